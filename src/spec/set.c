/* SPDX-License-Identifier: Apache-2.0
 *
 * set.c - one field of a spec: set from text, read as text, emptied
 *
 * How it works: fields.def gives each field an id, and the table below says by id what is done. A
 * field without a row is one of a later version. Where a field fails, its name and the text are put
 * in front of the message here, once.
 */
#include "spec/spec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "spec/fields.h"
#include "spec/list.h"
#include "spec/parse.h"
#include "spec/rule.h"

char *spec_text(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

/* ---- fields that are a plain member ---------------------------------------------------------- */

static void *member(struct spec *s, const struct spec_rule *r)
{
	return (char *)s + r->at;
}

static const void *member_of(const struct spec *s, const struct spec_rule *r)
{
	return (const char *)s + r->at;
}

static int set_text(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	char **to = member(s, r), *word = NULL;
	int n = r->word(text, &word, e);

	if (n < 0)
		return n;
	free(*to);
	*to = word;
	return 0;
}

static bool get_text(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	const char *text = *(char *const *)member_of(s, r);

	return !text || spec_list_add_copy(to, text);
}

static void clear_text(struct spec *s, const struct spec_rule *r)
{
	char **text = member(s, r);

	free(*text);
	*text = NULL;
}

static int set_bool(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	return parse_bool(text, member(s, r), e);
}

static bool get_bool(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	return !*(const bool *)member_of(s, r) || spec_list_add_copy(to, "true");
}

static void clear_bool(struct spec *s, const struct spec_rule *r)
{
	*(bool *)member(s, r) = false;
}

static int set_size(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	uint64_t bytes;
	int n = parse_size(text, &bytes, e);

	if (n < 0)
		return n;
	if (bytes == 0)
		return err_set(e, ERR_INVALID, "must be more than 0");
	*(uint64_t *)member(s, r) = bytes;
	return 0;
}

static bool get_size(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	uint64_t bytes = *(const uint64_t *)member_of(s, r);

	return !bytes || spec_list_add(to, spec_text("%llu", (unsigned long long)bytes));
}

static void clear_number(struct spec *s, const struct spec_rule *r)
{
	*(uint64_t *)member(s, r) = 0;
}

static int set_time(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	return parse_duration(text, member(s, r), e);
}

/* In seconds, which is a number in JSON too. */
static bool get_time(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	unsigned long long ms = *(const uint64_t *)member_of(s, r);

	if (!ms)
		return true;
	if (ms % 1000 == 0)
		return spec_list_add(to, spec_text("%llu", ms / 1000));
	return spec_list_add(to, spec_text("%llu.%03u", ms / 1000, (unsigned)(ms % 1000)));
}

static int set_list(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	char *word = NULL;
	int n = 0;

	if (r->word)
		n = r->word(text, &word, e);
	else
		word = strdup(text);
	if (n < 0)
		return n;
	return spec_list_add(member(s, r), word) ? 0 : err_oom(e);
}

static bool get_list(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	const struct spec_list *l = member_of(s, r);

	for (size_t i = 0; i < l->n; i++)
		if (!spec_list_add_copy(to, l->v[i]))
			return false;
	return true;
}

static void clear_list(struct spec *s, const struct spec_rule *r)
{
	spec_list_done(member(s, r));
}

/* ---- the table ------------------------------------------------------------------------------- */

#define TEXT(name, parse)                                              \
	[SPEC_F_##name] = &(const struct spec_rule)                    \
	{                                                              \
		.set = set_text, .get = get_text, .clear = clear_text, \
		.at = offsetof(struct spec, name), .word = parse       \
	}
#define SWITCH(name)                                                   \
	[SPEC_F_##name] = &(const struct spec_rule)                    \
	{                                                              \
		.set = set_bool, .get = get_bool, .clear = clear_bool, \
		.at = offsetof(struct spec, name), .unset = "false"    \
	}
#define LIST(name, parse)                                              \
	[SPEC_F_##name] = &(const struct spec_rule)                    \
	{                                                              \
		.set = set_list, .get = get_list, .clear = clear_list, \
		.at = offsetof(struct spec, name), .word = parse       \
	}
#define OWN(name) [SPEC_F_##name] = &spec_rule_##name

static const struct spec_rule *const rules[SPEC_NFIELDS] = {
	OWN(image),
	OWN(rootfs),
	OWN(host),
	LIST(command, NULL),
	OWN(entrypoint),
	SWITCH(shell_entrypoint),
	TEXT(shell, parse_shell),
	TEXT(name, parse_name),
	TEXT(hostname, parse_hostname),
	TEXT(working_dir, parse_workdir),
	TEXT(user, parse_user),
	LIST(group_add, parse_group),
	OWN(env),
	OWN(env_file),
	SWITCH(tty),
	SWITCH(interactive),
	SWITCH(init),
	OWN(stop_signal),
	[SPEC_F_timeout] = &(const struct spec_rule){.set = set_time,
						     .get = get_time,
						     .clear = clear_number,
						     .at = offsetof(struct spec, timeout_ms)},
	OWN(volumes),
	OWN(mounts),
	OWN(tmpfs),
	SWITCH(read_only),
	OWN(upper),
	[SPEC_F_shm_size] = &(const struct spec_rule){.set = set_size,
						      .get = get_size,
						      .clear = clear_number,
						      .at = offsetof(struct spec, shm_size_bytes)},
	OWN(devices),
	OWN(network),
	LIST(add_host, parse_add_host),
	LIST(dns, parse_dns),
	SWITCH(allow_abstract_sockets),
	OWN(ulimits),
	SWITCH(spare),
	OWN(oom_score_adj),
	OWN(cap_add),
	OWN(cap_drop),
	SWITCH(privileged),
	OWN(security_opt),
	OWN(sysctls),
	OWN(ids),
};

static int later(const struct hutch_field *f, struct err *e)
{
	char label[SPEC_LABEL_MAX];

	return err_set(e, ERR_UNSUPPORTED, "%s: not in this version yet",
		       spec_field_label(f, label));
}

/* The rule of the field @name. *ret is NULL for a field of a later version. */
static int find(const char *name, const struct hutch_field **ret_field,
		const struct spec_rule **ret, struct err *e)
{
	int id;

	if (!name)
		return err_set(e, ERR_INVALID, "no field named");
	id = spec_field_find(name, e);
	if (id < 0) {
		if (e)
			str_one_line(e->msg);
		return id;
	}
	*ret_field = spec_field((enum spec_field_id)id);
	*ret = rules[id];
	return 0;
}

int spec_set(struct spec *s, const char *name, const char *text, struct err *e)
{
	const struct hutch_field *f = NULL;
	const struct spec_rule *rule = NULL;
	char label[SPEC_LABEL_MAX];
	int r;

	r = find(name, &f, &rule, e);
	if (r < 0)
		return r;
	if (!rule)
		return later(f, e);
	if (!text)
		return err_set(e, ERR_INVALID, "%s: no value", spec_field_label(f, label));
	r = rule->set(s, rule, text, e);
	if (r >= 0)
		return 0;
	if (e && r != ERR_NOMEM) {
		(void)err_wrap(e, "%s '%.100s'", spec_field_label(f, label), text);
		str_one_line(e->msg);
	}
	return r;
}

int spec_clear(struct spec *s, const char *name, struct err *e)
{
	const struct hutch_field *f = NULL;
	const struct spec_rule *rule = NULL;
	int r = find(name, &f, &rule, e);

	if (r < 0)
		return r;
	if (rule)
		rule->clear(s, rule);
	return 0;
}

static int list_json(const struct hutch_field *f, const struct spec_list *l, char **ret,
		     struct err *e)
{
	auto_buf struct buf b = BUF_INIT(SIZE_MAX / 2);
	struct js_out o = {.b = &b};
	char *text;

	js_open(&o, '[');
	for (size_t i = 0; i < l->n; i++)
		js_str(&o, l->v[i]);
	js_close(&o, ']');
	if (o.bad)
		return err_set(e, ERR_INVALID, "%s: an element is not UTF-8, which JSON must be",
			       f->name);
	text = buf_take(&b);
	if (!text)
		return err_oom(e);
	*ret = text;
	return 0;
}

int spec_get(const struct spec *s, const char *name, char **ret, struct err *e)
{
	auto_list struct spec_list got = {0};
	const struct hutch_field *f = NULL;
	const struct spec_rule *rule = NULL;
	char *text;
	int r;

	r = find(name, &f, &rule, e);
	if (r < 0)
		return r;
	if (rule && !rule->get(s, rule, &got))
		return err_oom(e);
	if (f->type == HUTCH_FIELD_LIST)
		return list_json(f, &got, ret, e);
	text = strdup(got.n ? got.v[0] : rule && rule->unset ? rule->unset : "");
	if (!text)
		return err_oom(e);
	*ret = text;
	return 0;
}

const struct spec_rule *spec_rule_of(int id)
{
	return rules[id];
}
