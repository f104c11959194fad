/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.h - output that is kept up to a cap: the first part of what came, and the last
 */
#ifndef HUTCH_BOX_SINK_H
#define HUTCH_BOX_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct sink {
	struct buf head;
	char *ring; /* of the last part; NULL: none was needed yet */
	size_t half, tail; /* bytes of the head, and of the ring: together the cap */
	size_t at, ring_len; /* where the next byte goes; bytes in it */
	uint64_t total;
};

/* What came out: the first and the last part of @total bytes. */
struct run_output {
	char *data;
	size_t len;
	uint64_t total;
	size_t cut_at; /* where in data something is missing; len: nowhere */
};

void sink_init(struct sink *s, uint64_t cap); /* bytes, one at least */
void sink_add(struct sink *s, const char *data, size_t len);
/* What is there belongs to the sink, into which nothing may come any more. Return: 0, or NOMEM. */
int sink_output(struct sink *s, struct run_output *ret, struct err *e);
void sink_done(struct sink *s);

#endif
