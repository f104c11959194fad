/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - JSON, written into a struct buf and read into a tree
 *
 * How it works: writing is done here, straight into the buffer. Reading is jansson's work; this is
 * the only file that knows it, so struct js is its json_t under another name.
 */
#include "base/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void before_value(struct js_out *o)
{
	if (o->comma)
		buf_char(o->b, ',');
	o->comma = true;
}

static void quote(struct js_out *o, const char *text, size_t len)
{
	if (!str_utf8(text, len))
		o->bad = true;
	buf_char(o->b, '"');
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			buf_fmt(o->b, "\\%c", c);
		else if (c == '\n')
			buf_str(o->b, "\\n");
		else if (c == '\t')
			buf_str(o->b, "\\t");
		else if (c < ' ' || c == 0x7f)
			buf_fmt(o->b, "\\u%04x", c);
		else
			buf_char(o->b, text[i]);
	}
	buf_char(o->b, '"');
}

void js_open(struct js_out *o, char kind)
{
	before_value(o);
	buf_char(o->b, kind);
	o->comma = false;
}

void js_close(struct js_out *o, char kind)
{
	buf_char(o->b, kind);
	o->comma = true;
}

static void key(struct js_out *o, const char *name, size_t len)
{
	before_value(o);
	quote(o, name, len);
	buf_char(o->b, ':');
	o->comma = false;
}

void js_key(struct js_out *o, const char *name)
{
	key(o, name, strlen(name));
}

void js_str(struct js_out *o, const char *text)
{
	before_value(o);
	quote(o, text, strlen(text));
}

void js_raw(struct js_out *o, const char *json)
{
	before_value(o);
	buf_str(o->b, json);
}

void js_int(struct js_out *o, int64_t n)
{
	before_value(o);
	buf_fmt(o->b, "%lld", (long long)n);
}

void js_uint(struct js_out *o, uint64_t n)
{
	before_value(o);
	buf_fmt(o->b, "%llu", (unsigned long long)n);
}

void js_bool(struct js_out *o, bool on)
{
	js_raw(o, on ? "true" : "false");
}

void js_null(struct js_out *o)
{
	js_raw(o, "null");
}

void js_fields_end(struct js_out *o)
{
	if (o->group[0])
		js_close(o, '}');
	o->group[0] = '\0';
}

void js_field(struct js_out *o, const char *dotted)
{
	const char *dot = strchr(dotted, '.');
	size_t len = dot ? (size_t)(dot - dotted) : 0;

	if (len >= sizeof(o->group)) { /* no field is called so */
		o->bad = true;
		return;
	}
	if (strlen(o->group) != len || memcmp(o->group, dotted, len) != 0) {
		js_fields_end(o);
		if (len) {
			key(o, dotted, len);
			js_open(o, '{');
			memcpy(o->group, dotted, len);
			o->group[len] = '\0';
		}
	}
	js_key(o, dot ? dot + 1 : dotted);
}

static json_t *their(struct js *v)
{
	return (json_t *)v;
}

int js_parse(const char *text, size_t len, struct js **ret, struct err *e)
{
	json_error_t why;
	json_t *v;
	int r;

	v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (v) {
		*ret = (struct js *)v;
		return 0;
	}
	if (json_error_code(&why) == json_error_out_of_memory)
		return err_oom(e);
	r = err_set(e, ERR_INVALID, "JSON, line %d, column %d: %s", why.line, why.column, why.text);
	if (e)
		str_one_line(e->msg);
	return r;
}

void js_free(struct js *v)
{
	json_decref(their(v));
}

enum js_type js_type(struct js *v)
{
	switch (json_typeof(their(v))) {
	case JSON_OBJECT:
		return JS_OBJECT;
	case JSON_ARRAY:
		return JS_LIST;
	case JSON_STRING:
		return JS_STR;
	case JSON_INTEGER:
		return JS_INT;
	case JSON_REAL:
		return JS_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return JS_BOOL;
	case JSON_NULL:
		break;
	}
	return JS_NULL;
}

const char *js_type_name(enum js_type type)
{
	static const char *const names[] = {
		[JS_NULL] = "null",	   [JS_BOOL] = "true or false", [JS_INT] = "a number",
		[JS_REAL] = "a number",	   [JS_STR] = "a string",	[JS_LIST] = "a list",
		[JS_OBJECT] = "an object",
	};

	return names[type];
}

struct js *js_get(struct js *object, const char *name)
{
	return (struct js *)json_object_get(their(object), name);
}

size_t js_len(struct js *list)
{
	return json_array_size(their(list));
}

struct js *js_at(struct js *list, size_t i)
{
	return (struct js *)json_array_get(their(list), i);
}

const char *js_text(struct js *v)
{
	return json_string_value(their(v));
}

bool js_is_true(struct js *v)
{
	return json_is_true(their(v));
}

int64_t js_number(struct js *v)
{
	return json_integer_value(their(v));
}

int js_scalar(struct js *v, char **ret, struct err *e)
{
	char *text;

	switch (js_type(v)) {
	case JS_STR:
		text = strdup(js_text(v));
		break;
	case JS_BOOL:
		text = strdup(js_is_true(v) ? "true" : "false");
		break;
	case JS_INT:
	case JS_REAL:
		/* Twelve digits: 0.1 stays 0.1. jansson writes "." in every locale. */
		text = json_dumps(their(v), JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
		break;
	default:
		return err_set(e, ERR_INVALID, "%s cannot stand here", js_type_name(js_type(v)));
	}
	if (!text)
		return err_oom(e);
	*ret = text;
	return 0;
}

int js_each(struct js *object, js_each_fn *fn, void *ctx, struct err *e)
{
	const char *name;
	json_t *v;

	json_object_foreach(their(object), name, v)
	{
		int r = fn(ctx, name, (struct js *)v, e);

		if (r)
			return r;
	}
	return 0;
}
