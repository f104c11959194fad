/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - the last bytes of a stream, and how many there were in all
 */
#ifndef HUTCH_INSIDE_RING_H
#define HUTCH_INSIDE_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
	char *data;	/* NULL: none */
	uint64_t room;
	uint64_t total; /* bytes that came; the last of them, at most room, are kept */
};

int ring_open(struct ring *r, uint64_t room); /* 0 or -errno; its memory is in no clone of ours */
void ring_close(struct ring *r);
void ring_keep(struct ring *r, const char *data, size_t len);
uint64_t ring_kept(const struct ring *r);

/* @len bytes from the offset @from of the stream on, all of them kept. */
void ring_copy(const struct ring *r, uint64_t from, char *to, uint64_t len);

#endif
