/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - a spec as JSON, and from JSON
 *
 * How it works: both go through the table of fields and the rules of set.c, so a field needs
 * nothing here. A field "limits.memory" is written as {"limits": {"memory": …}} and read in both
 * spellings. Lists are lists of strings (numbers are taken), sizes are bytes, times are seconds;
 * where a flag takes "512k" or "1m30s", a string of that kind is taken too.
 *
 * Reading makes a copy of the spec, first empties the lists that the JSON names, then sets field
 * by field, and puts the copy in the spec's place when all went well. Emptying comes first because
 * several fields share one list (volumes, mounts and tmpfs).
 */
#include "spec/spec.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/str.h"
#include "spec/fields.h"
#include "spec/list.h"
#include "spec/rule.h"

enum { NAME_LEN = 128 };

/* ---- out ------------------------------------------------------------------------------------- */

static void write_value(struct js_out *o, const struct hutch_field *f, const struct spec_list *v)
{
	switch (f->type) {
	case HUTCH_FIELD_BOOL:
	case HUTCH_FIELD_INT:
	case HUTCH_FIELD_SIZE:
	case HUTCH_FIELD_DURATION:
		js_raw(o, v->v[0]);
		return;
	case HUTCH_FIELD_STRING:
		js_str(o, v->v[0]);
		return;
	case HUTCH_FIELD_LIST:
		break;
	}
	js_open(o, '[');
	for (size_t i = 0; i < v->n; i++)
		js_str(o, v->v[i]);
	js_close(o, ']');
}

static int write_field(struct js_out *o, const struct spec *s, int id, struct err *e)
{
	const struct spec_rule *rule = spec_rule_of(id);
	const struct hutch_field *f = spec_field((enum spec_field_id)id);
	auto_list struct spec_list v = {0};

	if (!rule)
		return 0;
	if (!rule->get(s, rule, &v))
		return err_oom(e);
	if (v.n == 0)
		return 0;
	js_field(o, f->name);
	write_value(o, f, &v);
	if (o->bad)
		return err_set(e, ERR_INVALID, "%s: not UTF-8, which JSON must be", f->name);
	return 0;
}

int spec_to_json(const struct spec *s, char **ret, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(SIZE_MAX / 2);
	struct js_out o = {.b = &b};
	char *text;

	js_open(&o, '{');
	for (int id = 0; id < SPEC_NFIELDS; id++) {
		int r = write_field(&o, s, id, e);

		if (r < 0)
			return r;
	}
	js_fields_end(&o);
	js_close(&o, '}');
	text = buf_take(&b);
	if (!text)
		return err_oom(e);
	*ret = text;
	return 0;
}

/* ---- in -------------------------------------------------------------------------------------- */

/* One walk over the object. */
struct walk {
	struct spec *spec;
	const char *prefix; /* "limits." in that object, else "" */
	int (*field)(struct spec *s, int id, struct js *v, struct err *e);
};

static int set_scalar(struct spec *s, const struct hutch_field *f, struct js *v, struct err *e)
{
	char *text = NULL;
	int r = js_scalar(v, &text, e);

	if (r < 0) {
		(void)err_wrap(e, "%s", f->name);
		return r;
	}
	r = spec_set(s, f->name, text, e);
	free(text);
	return r;
}

static int set_elements(struct spec *s, const struct hutch_field *f, struct js *v, struct err *e)
{
	for (size_t i = 0; i < js_len(v); i++) {
		enum js_type type = js_type(js_at(v, i));
		int r;

		if (type != JS_STR && type != JS_INT)
			return err_set(e, ERR_INVALID, "%s: element %zu is %s, not a string",
				       f->name, i + 1, js_type_name(type));
		r = set_scalar(s, f, js_at(v, i), e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* First pass: null empties a field, and a list is about to be given anew. */
static int clear_field(struct spec *s, int id, struct js *v, struct err *e)
{
	if (js_type(v) == JS_NULL || js_type(v) == JS_LIST)
		return spec_clear(s, spec_field((enum spec_field_id)id)->name, e);
	return 0;
}

/* Second pass. */
static int set_field(struct spec *s, int id, struct js *v, struct err *e)
{
	const struct hutch_field *f = spec_field((enum spec_field_id)id);
	const struct spec_rule *rule = spec_rule_of(id);
	enum js_type type = js_type(v);
	bool list = f->type == HUTCH_FIELD_LIST;

	if (type == JS_NULL)
		return 0;
	if (!rule)
		return spec_set(s, f->name, "", e); /* says "not yet" */
	if (list != (type == JS_LIST) || type == JS_OBJECT)
		return err_set(e, ERR_INVALID, "%s is %s; %s is needed", f->name,
			       js_type_name(type), list ? "a list of strings" : "a single value");
	if (type == JS_BOOL && f->type != HUTCH_FIELD_BOOL)
		return err_set(e, ERR_INVALID, "%s is true or false; %s is needed", f->name,
			       f->type == HUTCH_FIELD_STRING ? "a string" : "a number");
	if (!list)
		return set_scalar(s, f, v, e);
	if (js_len(v) == 0 && rule->empty_says)
		return spec_set(s, f->name, "", e);
	return set_elements(s, f, v, e);
}

static int walk_key(void *ctx, const char *key, struct js *v, struct err *e)
{
	const struct walk *w = ctx;
	char name[NAME_LEN];
	int id, n = snprintf(name, sizeof(name), "%s%s", w->prefix, key);

	if (n < 0 || (size_t)n >= sizeof(name) - 1)
		return err_set(e, ERR_INVALID, "unknown field '%.60s'", name);
	if (js_type(v) == JS_OBJECT && spec_field_find(name, NULL) < 0) {
		struct walk below = *w;

		name[n] = '.'; /* room for it was left above */
		name[n + 1] = '\0';
		below.prefix = name;
		return js_each(v, walk_key, &below, e);
	}
	id = spec_field_find(name, e);
	return id < 0 ? id : w->field(w->spec, id, v, e);
}

static int read_object(struct spec *s, struct js *root, struct err *e)
{
	struct walk w = {s, "", clear_field};
	int r;

	if (js_type(root) != JS_OBJECT)
		return err_set(e, ERR_INVALID, "a spec is an object, this is %s",
			       js_type_name(js_type(root)));
	r = js_each(root, walk_key, &w, e);
	if (r < 0)
		return r;
	w.field = set_field;
	return js_each(root, walk_key, &w, e);
}

int spec_from_json(struct spec *s, const char *json, size_t len, struct err *e)
{
	struct spec *copy, old;
	struct js *root = NULL;
	int r;

	r = js_parse(json, len, &root, e);
	if (r < 0)
		return r;
	copy = spec_copy(s);
	if (!copy) {
		js_free(root);
		return err_oom(e);
	}
	r = read_object(copy, root, e);
	js_free(root);
	if (r < 0) {
		if (e)
			str_one_line(e->msg);
		spec_free(copy);
		return r;
	}
	old = *s;
	*s = *copy;
	*copy = old;
	spec_free(copy);
	return 0;
}
