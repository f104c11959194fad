/* SPDX-License-Identifier: Apache-2.0
 *
 * refused.c - the rows of refused.def as a table, and the question whether one stands
 */
#include "guard/refused.h"

#include <linux/capability.h>

#define C(cap) (UINT64_C(1) << CAP_##cap)

static const struct refused_call calls[] = {
#define REFUSED(name, number, answer, caps, options) \
	{#name, number, REFUSED_##answer, caps, options},
#include "guard/refused.def"
#undef REFUSED
};

const struct refused_call *refused_calls(size_t *ret_n)
{
	*ret_n = sizeof(calls) / sizeof(*calls);
	return calls;
}

bool refused_stands(const struct refused_call *call, const struct guard_ask *ask)
{
	if (call->caps & ask->caps)
		return false;
	if ((call->options & REFUSED_BUT_PTRACE) && ask->allow_ptrace)
		return false;
	return !((call->options & REFUSED_BUT_USERNS) && ask->allow_userns);
}

struct guard_ask refused_relevant(const struct guard_ask *ask)
{
	struct guard_ask r = *ask;
	uint64_t seen = REFUSED_CAPS_NAMESPACES | REFUSED_CAPS_NETLINK;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		seen |= calls[i].caps;
	r.caps &= seen;
	return r;
}
