/* SPDX-License-Identifier: Apache-2.0
 *
 * ids_fuzz.c - any bytes as /etc/subuid
 *
 * What comes out is a map that newuidmap could take: extents one after the other from id 1 on, none
 * empty, 65,536 ids in all at most.
 */
#include <stdint.h>
#include <stdlib.h>

#include "ns/ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan_extent x[PLAN_EXTENTS_MAX + 1] = {{0, 1000, 1}};
	uint32_t n = 1, next = 0;

	x[PLAN_EXTENTS_MAX].count = 0xcafe;
	ns_ids_parse((const char *)data, size, "alice", 1000, x, &n);
	if (n < 1 || n > PLAN_EXTENTS_MAX || x[PLAN_EXTENTS_MAX].count != 0xcafe)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		if (x[i].inside != next || !x[i].count || x[i].count > 65536 - next)
			abort();
		next += x[i].count;
	}
	return 0;
}
