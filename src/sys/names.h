/* SPDX-License-Identifier: Apache-2.0
 *
 * names.h - the names in a directory, for who looks at a small one often
 *
 *	struct sys_names n;
 *	const char *name;
 *
 *	sys_names_begin(&n, dir);
 *	while ((name = sys_names_next(&n)))
 *		...
 */
#ifndef HUTCH_SYS_NAMES_H
#define HUTCH_SYS_NAMES_H

#include <stddef.h>

struct sys_names {
	int dir, failed; /* failed: -errno, or 0 */
	size_t at, len, room;
	char buf[2048] __attribute__((aligned(8)));
};

/* @dir: open for reading, and read from where it stands: fresh, from its begin. It stays the caller's. */
void sys_names_begin(struct sys_names *n, int dir);

/* The next name but "." and "..", or NULL: that was all, or n->failed. It holds until the next call. */
const char *sys_names_next(struct sys_names *n);

/* How many there are from here on, at most @max; -errno. */
int sys_names_count(int dir, int max);

#endif
