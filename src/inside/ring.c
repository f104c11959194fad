/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.c - the last bytes of a stream, and how many there were in all
 */
#include "inside/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int ring_open(struct ring *r, uint64_t room)
{
	void *data = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return -errno;
	(void)madvise(data, room, MADV_DONTFORK); /* each command is a clone of ours for a moment */
	*r = (struct ring){.data = data, .room = room};
	return 0;
}

void ring_close(struct ring *r)
{
	if (r->data)
		munmap(r->data, r->room);
	r->data = NULL;
}

uint64_t ring_kept(const struct ring *r)
{
	return r->total < r->room ? r->total : r->room;
}

/* How many bytes from the offset @from on lie in one piece, of @len. */
static uint64_t piece(const struct ring *r, uint64_t from, uint64_t len)
{
	uint64_t to_end = r->room - from % r->room;

	return to_end < len ? to_end : len;
}

void ring_keep(struct ring *r, const char *data, size_t len)
{
	uint64_t end = r->total + len;

	if (len > r->room) {
		data += len - r->room;
		len = (size_t)r->room;
	}
	for (uint64_t to = end - len, n; to < end; to += n, data += n) {
		n = piece(r, to, end - to);
		memcpy(r->data + to % r->room, data, n);
	}
	r->total = end;
}

void ring_copy(const struct ring *r, uint64_t from, char *to, uint64_t len)
{
	for (uint64_t n; len; from += n, to += n, len -= n) {
		n = piece(r, from, len);
		memcpy(to, r->data + from % r->room, n);
	}
}
