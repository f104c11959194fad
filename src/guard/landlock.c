/* SPDX-License-Identifier: Apache-2.0
 *
 * landlock.c - what Landlock has to guard in a box
 *
 * Abstract unix sockets belong to the network namespace: with one of its own a box sees none of
 * the host's. With the host's network they are reachable (D-Bus, X11, agents), by no path that
 * could be left out of the root; only a Landlock scope keeps them away. Signals need no scope: the
 * pid namespace does that.
 *
 * Called by: box/start.c.  The doing: inside/ (the keeper enters the domain before it starts
 * anything).
 */
#include "guard/landlock.h"

enum { ABI_WITH_SCOPES = 6 };

int guard_landlock_plan(int abi, bool host_network, bool allow_abstract,
			struct guard_landlock *ret_plan, struct err *e)
{
	struct guard_landlock plan = {0};

	if (host_network && abi >= ABI_WITH_SCOPES)
		plan.scoped = GUARD_SCOPE_ABSTRACT;
	else if (host_network && !allow_abstract)
		return err_set(
			e, ERR_UNSUPPORTED,
			"network 'host': this kernel cannot keep the host's abstract unix sockets "
			"out of reach (Landlock ABI %d, needed 6); --allow-abstract-sockets "
			"accepts that",
			abi < 0 ? 0 : abi);
	*ret_plan = plan;
	return 0;
}
