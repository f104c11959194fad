/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.c - strings and arrays in one flat blob
 */
#include "wire/pack.h"

#include <stdlib.h>
#include <string.h>

pack_ref pack_bytes(struct buf *b, const void *data, size_t len)
{
	static const char zero[8];
	pack_ref at;

	buf_add(b, zero, -b->len & 7);
	if (buf_bad(b) || b->len > UINT32_MAX - len) {
		b->bad = true;
		return 0;
	}
	at = (pack_ref)b->len;
	buf_add(b, data, len);
	return buf_bad(b) ? 0 : at;
}

pack_ref pack_str(struct buf *b, const char *s)
{
	pack_ref at = (pack_ref)b->len;

	if (!s)
		return 0;
	buf_add(b, s, strlen(s) + 1);
	return buf_bad(b) ? 0 : at;
}

struct pack_list pack_strs(struct buf *b, char *const *v, size_t n)
{
	struct pack_list l = {0, (uint32_t)n};
	size_t at;

	if (!n)
		return l;
	buf_add(b, "\0\0\0\0\0\0\0", -b->len & 7);
	at = b->len;
	if (!buf_room(b, n * sizeof(pack_ref)))
		return (struct pack_list){0};
	memset(b->data + at, 0, n * sizeof(pack_ref));
	b->len += n * sizeof(pack_ref);
	for (size_t i = 0; i < n; i++) {
		pack_ref s = pack_str(b, v[i]);

		if (buf_bad(b))
			return (struct pack_list){0};
		memcpy(b->data + at + i * sizeof(s), &s, sizeof(s));
	}
	l.at = (pack_ref)at;
	return l;
}

const void *pack_at(const struct pack *p, pack_ref at, size_t len)
{
	if (!at || at & 7 || at > p->len || len > p->len - at)
		return NULL;
	return p->data + at;
}

const char *pack_get_str(const struct pack *p, pack_ref at)
{
	if (!at || at >= p->len || !memchr(p->data + at, 0, p->len - at))
		return NULL;
	return p->data + at;
}

const char *pack_get_item(const struct pack *p, struct pack_list l, uint32_t i)
{
	const pack_ref *v;

	if (i >= l.count || l.count > p->len / sizeof(pack_ref))
		return NULL;
	v = pack_at(p, l.at, l.count * sizeof(pack_ref));
	return v ? pack_get_str(p, v[i]) : NULL;
}

bool pack_get_vector(const struct pack *p, struct pack_list l, char **room)
{
	for (uint32_t i = 0; i < l.count; i++) {
		room[i] = (char *)(uintptr_t)pack_get_item(p, l, i);
		if (!room[i])
			return false;
	}
	room[l.count] = NULL;
	return true;
}
