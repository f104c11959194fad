/* SPDX-License-Identifier: Apache-2.0
 *
 * baked.c - finds a filter among those that were compiled when hutch was built
 *
 * The table is written by bake.c during the build. A comparison of the whole ask is all there is
 * to it: the list is short and the default stands first.
 */
#include "guard/baked.h"

#include "guard/baked_filters.inc"

const struct baked_filter *baked_find(const struct guard_ask *relevant)
{
	for (size_t i = 0; i < sizeof(baked_filters) / sizeof(*baked_filters); i++) {
		const struct guard_ask *a = &baked_filters[i].ask;

		if (a->caps == relevant->caps && a->allow_ptrace == relevant->allow_ptrace &&
		    a->allow_userns == relevant->allow_userns &&
		    a->allow_i386 == relevant->allow_i386)
			return &baked_filters[i];
	}
	return NULL;
}
