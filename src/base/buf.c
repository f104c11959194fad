/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.c - bytes that grow, up to a ceiling
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_done(struct buf *b)
{
	if (!b->lent)
		free(b->data);
	b->data = NULL;
	b->len = b->room = 0;
	b->bad = b->lent = false;
}

void buf_lend(struct buf *b, void *room, size_t size)
{
	b->data = room;
	b->room = size;
	b->lent = true;
	*b->data = '\0';
}

static bool grow(struct buf *b, size_t room)
{
	char *p = realloc(b->lent ? NULL : b->data, room);

	if (!p)
		return false;
	if (b->lent)
		memcpy(p, b->data, b->len + 1);
	b->data = p;
	b->room = room;
	b->lent = false;
	return true;
}

char *buf_room(struct buf *b, size_t len)
{
	size_t want;

	if (b->bad)
		return NULL;
	if (len > b->max || b->len > b->max - len) {
		b->bad = true;
		return NULL;
	}
	want = b->len + len + 1;
	if (want > b->room) {
		size_t room = b->room ? b->room * 2 : 256;

		if (room < want)
			room = want;
		if (!grow(b, room)) {
			b->bad = true;
			return NULL;
		}
	}
	return b->data + b->len;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	char *p = buf_room(b, len);

	if (!p)
		return;
	if (len)
		memcpy(p, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && buf_room(b, (size_t)n)) {
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

char *buf_take(struct buf *b)
{
	char *r;

	if (!b->bad)
		buf_add(b, "", 0);
	if (b->bad || (b->lent && !grow(b, b->len + 1))) {
		buf_done(b);
		return NULL;
	}
	r = b->data;
	b->data = NULL;
	b->len = b->room = 0;
	return r;
}
