/* SPDX-License-Identifier: Apache-2.0
 *
 * pieces.c - memory that is used for a moment
 *
 * How it works: what is too large for the stack is static, and what was once written there stays memory of every sandbox.
 * So all of it lies together, each piece as long as the program lives, and what is in them is given back to the kernel
 * when the keeper has had nothing to do for a while. The next who uses a piece finds zeros there.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "inside/keeper.h"

enum { ROOM = 128 * 1024 }; /* for all pieces that there are */

static char room[ROOM] __attribute__((aligned(4096)));

void *piece_take(size_t size)
{
	static size_t used;
	char *piece = room + used;

	used += (size + 15) & ~(size_t)15;
	if (used > sizeof(room))
		_exit(1); /* as the first test of whoever adds a piece shows */
	return piece;
}

void pieces_drop(void)
{
	(void)madvise(room, sizeof(room), MADV_DONTNEED);
}
