/* SPDX-License-Identifier: Apache-2.0
 *
 * opt.c - the words of a command line, and the help about them
 *
 * How it works: each word with a dash is looked up in the command's own table, then among the
 * fields of a spec; what was found says whether a value follows.
 */
#include "cli/opt.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Where the help's second column begins, and the least that it needs. */
enum { COLUMN = 32, COLUMN_MIN = 20 };

/* What a word was found to be: one of the two, or neither. */
struct found {
	const struct opt *own;
	const struct hutch_field *field;
};

struct parse {
	const struct opt *own;
	const struct opt_fields *fields;
	char **next; /* the next word */
};

static const struct opt_fields no_fields;

static struct found find_long(const struct parse *p, struct str_span name)
{
	struct found f = {0};

	for (const struct opt *o = p->own; o->name; o++)
		if (str_is(name, o->name)) {
			if (o->same_as)
				return find_long(p,
						 (struct str_span){o->same_as, strlen(o->same_as)});
			f.own = o;
			return f;
		}
	for (size_t i = 0; i < p->fields->n; i++)
		if (p->fields->v[i].flag && str_is(name, p->fields->v[i].flag)) {
			f.field = &p->fields->v[i];
			return f;
		}
	return f;
}

static struct found find_letter(const struct parse *p, char letter)
{
	struct found f = {0};

	for (const struct opt *o = p->own; o->name; o++)
		if (o->letter == letter) {
			if (o->same_as)
				return find_long(p,
						 (struct str_span){o->same_as, strlen(o->same_as)});
			f.own = o;
			return f;
		}
	for (size_t i = 0; i < p->fields->n; i++)
		if (p->fields->v[i].flag && p->fields->v[i].short_flag == letter) {
			f.field = &p->fields->v[i];
			return f;
		}
	return f;
}

static bool is_later(const struct hutch_field *f)
{
	return strcmp(f->since, "later") == 0;
}

static int unknown(const struct parse *p, const char *word, struct str_span name, struct err *e)
{
	char *copy = str_dup(name);
	struct str_near near = {.word = copy};
	const char *best;

	if (!copy)
		return err_oom(e);
	for (const struct opt *o = p->own; o->name; o++)
		str_near_try(&near, o->name, o->name);
	for (size_t i = 0; i < p->fields->n; i++)
		if (p->fields->v[i].flag && !is_later(&p->fields->v[i])) {
			str_near_try(&near, p->fields->v[i].flag, p->fields->v[i].flag);
			str_near_try(&near, p->fields->v[i].name, p->fields->v[i].flag);
		}
	best = str_near_best(&near);
	free(copy);
	if (best)
		return err_set(e, ERR_INVALID, "unknown option '%.80s'; did you mean '--%s'?", word,
			       best);
	return err_set(e, ERR_INVALID, "unknown option '%.80s'", word);
}

static bool takes_value(struct found f)
{
	if (f.field)
		return f.field->type != HUTCH_FIELD_BOOL;
	return f.own->text || (f.own->value && !f.own->on && !f.own->maybe);
}

static const char *name_of(struct found f)
{
	return f.field ? f.field->flag : f.own->name;
}

/* "true" and "false" as everywhere in hutch; the rest of its words are for spec/ to know. */
static int switch_word(const char *text, bool *ret, struct err *e)
{
	static const char *const yes[] = {"true", "1", "yes", "t", "y"};
	static const char *const no[] = {"false", "0", "no", "f", "n"};
	struct str_span s = {text, strlen(text)};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
		if (str_is_nocase(s, yes[i]) || str_is_nocase(s, no[i])) {
			*ret = str_is_nocase(s, yes[i]);
			return 0;
		}
	return err_set(e, ERR_INVALID, "neither true nor false");
}

/* @value is NULL when none was given and none is needed. */
static int apply(const struct parse *p, struct found f, const char *value, struct err *e)
{
	const struct opt *o = f.own;
	bool on = true;
	int r;

	if (f.field)
		return p->fields->set(p->fields->ctx, f.field, value ? value : "true", e);
	if (o->text)
		*o->text = value;
	else if (o->maybe)
		*o->maybe = value ? value : "";
	else if (value && !o->value) {
		r = switch_word(value, &on, e);
		if (r < 0) {
			(void)err_wrap(e, "--%s '%.60s'", o->name, value);
			return r;
		}
	}
	if (o->on)
		*o->on = on;
	return 0;
}

static int need_value(struct parse *p, struct found f, const char **ret, struct err *e)
{
	const char *looks = f.field ? f.field->value : f.own->value;

	if (!*p->next)
		return err_set(e, ERR_INVALID, "--%s needs a value%s%s", name_of(f),
			       looks && *looks ? ": " : "", looks ? looks : "");
	*ret = *p->next++;
	return 0;
}

/* "--name" or "--name=value". */
static int parse_long(struct parse *p, const char *word, struct err *e)
{
	struct str_span name = {word + 2, strcspn(word + 2, "=")};
	const char *value = name.at[name.len] ? name.at + name.len + 1 : NULL;
	struct found f = find_long(p, name);
	int r = 0;

	if (!f.own && !f.field)
		return unknown(p, word, name, e);
	if (!value && takes_value(f))
		r = need_value(p, f, &value, e);
	return r < 0 ? r : apply(p, f, value, e);
}

static int unknown_letter(const char *word, char letter, struct err *e)
{
	if (!word[2])
		return err_set(e, ERR_INVALID, "unknown option '%s'", word);
	return err_set(e, ERR_INVALID, "unknown option '-%c' in '%.80s'", letter, word);
}

/* "-it", "-eK=V", "-e K=V", "-t=false". */
static int parse_short(struct parse *p, const char *word, struct err *e)
{
	for (const char *at = word + 1; *at; at++) {
		struct found f = find_letter(p, *at);
		const char *value = NULL;
		int r = 0;

		if (!f.own && !f.field)
			return unknown_letter(word, *at, e);
		if (at[1] == '=')
			value = at + 2;
		else if (takes_value(f) && at[1])
			value = at + 1;
		else if (takes_value(f))
			r = need_value(p, f, &value, e);
		if (r == 0)
			r = apply(p, f, value, e);
		if (r < 0 || value)
			return r;
	}
	return 0;
}

int opt_parse(char **argv, const struct opt *own, const struct opt_fields *fields,
	      struct opt_rest *ret, struct err *e)
{
	struct parse p = {.own = own, .fields = fields ? fields : &no_fields, .next = argv};
	struct opt_rest rest = {0};

	while (*p.next && p.next[0][0] == '-' && p.next[0][1]) {
		const char *word = *p.next++;
		int r;

		if (strcmp(word, "--") == 0) {
			rest.dashes = true;
			break;
		}
		r = word[1] == '-' ? parse_long(&p, word, e) : parse_short(&p, word, e);
		if (r < 0) {
			if (e)
				str_one_line(e->msg);
			return r;
		}
	}
	rest.words = p.next;
	while (rest.words[rest.n])
		rest.n++;
	*ret = rest;
	return 0;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void spaces(struct buf *to, size_t n)
{
	while (n-- > 0)
		buf_char(to, ' ');
}

/* Characters, not bytes. */
static size_t wide(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += (s[i] & 0xc0) != 0x80;
	return n;
}

/* @text from column @from on, broken at blanks before @width. */
static void wrap(struct buf *to, const char *text, size_t from, size_t width)
{
	size_t at = from;
	struct str_span word;

	while (str_next(&text, ' ', &word)) {
		size_t len = wide(word.at, word.len);

		if (at > from && at + 1 + len > width) {
			buf_char(to, '\n');
			spaces(to, from);
			at = from;
		} else if (at > from) {
			buf_char(to, ' ');
			at++;
		}
		buf_add(to, word.at, word.len);
		at += len;
	}
	buf_char(to, '\n');
}

static void help_line(struct buf *to, const char *name, char letter, const char *value,
		      const char *help, bool maybe, unsigned width)
{
	size_t start = to->len, at, column = COLUMN;

	if (width < COLUMN + COLUMN_MIN)
		column = 8;
	if (letter)
		buf_fmt(to, "  -%c, --%s", letter, name);
	else
		buf_fmt(to, "      --%s", name);
	if (value && *value && maybe)
		buf_fmt(to, "[=%s]", value);
	else if (value && *value)
		buf_fmt(to, " %s", value);
	at = to->len - start;
	if (at + 2 > column) {
		buf_char(to, '\n');
		at = 0;
	}
	spaces(to, column - at);
	wrap(to, help, column, width);
}

void opt_help(struct buf *to, const struct opt *own, const struct opt_fields *fields,
	      unsigned width)
{
	if (!fields)
		fields = &no_fields;
	for (const struct opt *o = own; o->name; o++)
		if (o->help)
			help_line(to, o->name, o->letter, o->value, o->help, o->maybe != NULL,
				  width);
	for (size_t i = 0; i < fields->n; i++) {
		const struct hutch_field *f = &fields->v[i];

		if (f->flag && !is_later(f))
			help_line(to, f->flag, f->short_flag, f->value, f->help, false, width);
	}
}
