/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.c - points at which debug builds can be made to fail
 */
#include "box/fault.h"

#ifdef HUTCH_DEBUG

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fault(const char *point, struct err *e)
{
	static unsigned passes; /* of the one point that is asked for */
	const char *asked = getenv("HUTCH_FAULT"), *colon = asked ? strrchr(asked, ':') : NULL;
	size_t n = strlen(point);

	if (!colon || (size_t)(colon - asked) != n || strncmp(asked, point, n))
		return 0;
	if (++passes != (unsigned)atoi(colon + 1))
		return 0;
	return err_sys(e, EIO, "fault point '%s'", point);
}

#endif
