/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - JSON, written into a struct buf and read into a tree
 *
 * Writing: one function per thing, commas are put by themselves.
 *
 *	struct js_out o = {.b = &buf};
 *	js_open(&o, '{');
 *	js_key(&o, "code");
 *	js_int(&o, 125);
 *	js_close(&o, '}');
 *
 * Text that is not UTF-8 cannot stand in JSON: it marks the output as `bad`, as a full buffer marks
 * the buffer; look at both once, at the end.
 */
#ifndef HUTCH_BASE_JSON_H
#define HUTCH_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct js_out {
	struct buf *b;	/* borrowed */
	bool comma;	/* the next thing is not the first one here */
	bool bad;	/* some text was not UTF-8 */
	char group[64]; /* the object that js_field() has opened; "" is none */
};

void js_open(struct js_out *o, char kind);  /* '{' or '[' */
void js_close(struct js_out *o, char kind); /* '}' or ']' */
void js_key(struct js_out *o, const char *key);
void js_str(struct js_out *o, const char *text);
void js_int(struct js_out *o, int64_t n);
void js_uint(struct js_out *o, uint64_t n);
void js_bool(struct js_out *o, bool on);
void js_null(struct js_out *o);
void js_raw(struct js_out *o, const char *json); /* text that is JSON already */

/* A key with at most one dot: "limits.memory" is the key "memory" in the object "limits", which is
 * opened when it is not the one of the field before. js_fields_end() closes what is open. */
void js_field(struct js_out *o, const char *dotted);
void js_fields_end(struct js_out *o);

/* A value that was read. The root is freed with js_free(), the others belong to it. */
struct js;

enum js_type { JS_NULL, JS_BOOL, JS_INT, JS_REAL, JS_STR, JS_LIST, JS_OBJECT };

/* One JSON value and nothing behind it. A key that comes twice in an object and a \u0000 are
 * errors. */
int js_parse(const char *text, size_t len, struct js **ret, struct err *e);
void js_free(struct js *v);

enum js_type js_type(struct js *v);
const char *js_type_name(enum js_type type); /* "a list" */

struct js *js_get(struct js *object, const char *key); /* NULL: not there */
size_t js_len(struct js *list);
struct js *js_at(struct js *list, size_t i);

const char *js_text(struct js *v); /* NULL: not a string */
bool js_is_true(struct js *v);
int64_t js_number(struct js *v); /* 0: not a whole number */

/* A string as it is, a number and true or false as JSON writes them; *ret is the caller's.
 * ERR_INVALID: neither. */
int js_scalar(struct js *v, char **ret, struct err *e);

/* Calls @fn for each key in the order of the text; ends at the first that returns other than 0,
 * which is handed back. */
typedef int js_each_fn(void *ctx, const char *key, struct js *v, struct err *e);
int js_each(struct js *object, js_each_fn *fn, void *ctx, struct err *e);

#endif
