/* SPDX-License-Identifier: Apache-2.0
 *
 * pack.h - strings and arrays in one flat blob
 *
 * How it works: a blob begins with a struct of fixed form whose members of type pack_ref are
 * offsets from the blob's begin (0: not there) to strings (NUL-terminated) or to arrays. The
 * writer appends to a struct buf; the reader checks every offset against the length, so that a
 * blob that lies gives NULL, never memory outside of it.
 */
#ifndef HUTCH_WIRE_PACK_H
#define HUTCH_WIRE_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

typedef uint32_t pack_ref;

struct pack_list {
	pack_ref at; /* array of count pack_ref */
	uint32_t count;
};

/* ---- writing: b->data may move, so keep offsets, not pointers. Check buf_bad() at the end. ---- */
pack_ref pack_bytes(struct buf *b, const void *data, size_t len); /* aligned to 8 */
pack_ref pack_str(struct buf *b, const char *s);		  /* NULL gives 0 */
struct pack_list pack_strs(struct buf *b, char *const *v, size_t n);

/* ---- reading ---------------------------------------------------------------------------------- */
struct pack {
	const char *data;
	size_t len;
};

const void *pack_at(const struct pack *p, pack_ref at, size_t len); /* NULL: outside, misaligned */
const char *pack_get_str(const struct pack *p, pack_ref at);	    /* NULL: none, or no NUL */

/* Element @i of a list of strings; NULL: none. */
const char *pack_get_item(const struct pack *p, struct pack_list l, uint32_t i);

/* The list as a NULL-terminated vector in @room, for l.count + 1; the strings stay in the blob. Return: false, a blob that lies. */
bool pack_get_vector(const struct pack *p, struct pack_list l, char **room);

#endif
