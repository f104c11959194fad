/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - the names in a directory, for who looks at a small one often
 *
 * How it works: getdents64() into room of the caller's. fdopendir() takes a descriptor over, so that a second
 * one has to be made first, asks for what it is, and has its room from malloc(): half a dozen system calls more.
 */
#include "sys/names.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* getdents(2) */
struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* Who looks for any name has one among the first; the room is for one of NAME_MAX. */
enum { FIRST_ROOM = 320 };

void sys_names_begin(struct sys_names *n, int dir)
{
	n->dir = dir;
	n->failed = 0;
	n->at = n->len = 0;
	n->room = FIRST_ROOM;
}

const char *sys_names_next(struct sys_names *n)
{
	for (;;) {
		const struct entry *x = (const void *)(n->buf + n->at);

		if (n->at == n->len) {
			long got = syscall(SYS_getdents64, n->dir, n->buf, n->room);

			n->room = sizeof(n->buf);
			n->failed = got < 0 ? -errno : 0;
			if (got <= 0)
				return NULL;
			n->at = 0;
			n->len = (size_t)got;
			continue;
		}
		n->at += x->size;
		if (strcmp(x->name, ".") && strcmp(x->name, ".."))
			return x->name;
	}
}

int sys_names_count(int dir, int max)
{
	struct sys_names n;
	int count = 0;

	sys_names_begin(&n, dir);
	while (count < max && sys_names_next(&n))
		count++;
	return n.failed ? n.failed : count;
}
