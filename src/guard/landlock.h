/* SPDX-License-Identifier: Apache-2.0
 *
 * landlock.h - what Landlock has to guard in a box
 */
#ifndef HUTCH_GUARD_LANDLOCK_H
#define HUTCH_GUARD_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, Linux 6.12 (ABI 6): no connection to abstract sockets that
 * were made outside of the domain. linux/landlock.h of 6.1 does not have it. */
#define GUARD_SCOPE_ABSTRACT UINT64_C(1)

/* The domain that the keeper enters, once per box; all zero: none is needed. */
struct guard_landlock {
	uint64_t scoped; /* landlock_ruleset_attr.scoped; nothing else is handled */
};

/**
 * guard_landlock_plan() - The domain of one box
 * @abi:	    landlock_create_ruleset(NULL, 0, VERSION), or 0 or less where there is none
 * @host_network:   The box shares the network namespace of the caller
 * @allow_abstract: Abstract sockets of the host may be reached where the kernel cannot prevent it
 *
 * Return: 0, or UNSUPPORTED: the kernel cannot prevent it, and it was not allowed.
 */
int guard_landlock_plan(int abi, bool host_network, bool allow_abstract,
			struct guard_landlock *ret_plan, struct err *e);

#endif
