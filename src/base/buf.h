/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.h - bytes that grow, up to a ceiling
 *
 * A struct buf is usable after BUF_INIT(max) and empty after buf_done(). Once an append fails
 * (no memory, ceiling reached) the buffer is marked bad, later appends do nothing, and one check
 * of buf_bad() at the end covers them all. data is always NUL-terminated when not NULL.
 */
#ifndef HUTCH_BASE_BUF_H
#define HUTCH_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;
	size_t len, room, max;
	bool bad;
	bool lent; /* data is not ours to free */
};

#define BUF_INIT(ceiling) {.max = (ceiling)}
#define auto_buf	  __attribute__((cleanup(buf_done)))

void buf_done(struct buf *b);

/* An empty buffer stands in @room, which lives longer than it, until it needs more. */
void buf_lend(struct buf *b, void *room, size_t size);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for @len bytes more at data + len; the caller adds to len what he wrote. NULL: bad. */
char *buf_room(struct buf *b, size_t len);

/* Hands the text to the caller (to free()); the buffer is empty afterwards. NULL: bad. */
char *buf_take(struct buf *b);

static inline bool buf_bad(const struct buf *b)
{
	return b->bad;
}

#endif
