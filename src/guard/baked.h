/* SPDX-License-Identifier: Apache-2.0
 *
 * baked.h - filters that were compiled when hutch was built
 */
#ifndef HUTCH_GUARD_BAKED_H
#define HUTCH_GUARD_BAKED_H

#include "guard/seccomp.h"

struct baked_filter {
	struct guard_ask ask; /* as refused_relevant() leaves it */
	const struct sock_filter *code;
	size_t n;
};

/* The baked filter for @relevant (made by refused_relevant()); NULL: there is none. */
const struct baked_filter *baked_find(const struct guard_ask *relevant);

#endif
