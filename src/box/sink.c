/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.c - output that is kept up to a cap: the first part of what came, and the last
 *
 * How it works: half of the cap, rounded up, is for the head, which is filled first, the rest for a ring, which is only
 * made when the head is full. At the end the ring is put behind the head.
 */
#include "box/sink.h"

#include <stdlib.h>
#include <string.h>

void sink_init(struct sink *s, uint64_t cap)
{
	size_t most = cap > SIZE_MAX / 2 ? SIZE_MAX / 2 : cap ? (size_t)cap : 1;

	*s = (struct sink){.half = most - most / 2, .tail = most / 2};
	s->head.max = s->half + 1;
}

static void into_ring(struct sink *s, const char *data, size_t len)
{
	if (!s->tail)
		return;
	if (!s->ring)
		s->ring = malloc(s->tail);
	if (!s->ring) {
		s->head.bad = true;
		return;
	}
	if (len > s->tail) {
		data += len - s->tail;
		len = s->tail;
	}
	while (len) {
		size_t n = s->tail - s->at < len ? s->tail - s->at : len;

		memcpy(s->ring + s->at, data, n);
		s->at = (s->at + n) % s->tail;
		s->ring_len = s->ring_len + n < s->tail ? s->ring_len + n : s->tail;
		data += n;
		len -= n;
	}
}

void sink_add(struct sink *s, const char *data, size_t len)
{
	size_t room = s->half - (s->head.len < s->half ? s->head.len : s->half);
	size_t n = len < room ? len : room;

	s->total += len;
	buf_add(&s->head, data, n);
	if (len > n)
		into_ring(s, data + n, len - n);
}

int sink_output(struct sink *s, struct run_output *ret, struct err *e)
{
	*ret = (struct run_output){.cut_at = s->head.len};
	if (s->ring_len) {
		size_t first = s->ring_len < s->tail ? 0 : s->at;

		s->head.max += s->ring_len;
		buf_add(&s->head, s->ring + first, s->ring_len - first);
		buf_add(&s->head, s->ring, first);
		s->ring_len = s->at = 0;
	}
	if (buf_bad(&s->head))
		return err_oom(e);
	ret->data = s->head.data;
	ret->len = s->head.len;
	ret->total = s->total;
	if (ret->total == ret->len)
		ret->cut_at = ret->len;
	return 0;
}

void sink_done(struct sink *s)
{
	buf_done(&s->head);
	free(s->ring);
	s->ring = NULL;
}
