/* SPDX-License-Identifier: Apache-2.0
 *
 * preset.c - a whole set of fields by one name
 *
 * How it works: presets.def says what each preset asks for, in fields and their text. They are set
 * in a copy of the spec, through the same rules as everything else, and the copy takes the spec's
 * place when all went well. What was asked before stays; what is asked afterwards replaces the
 * preset's: its mounts without a path of the caller's carry a mark for that (set_files.c).
 *
 * A field that comes later cannot be set. Whoever asks for a preset does not know which those are,
 * so it is an error unless the caller said that he does without them; then they are told by name.
 */
#include "spec/preset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"
#include "spec/fields.h"
#include "spec/list.h"
#include "spec/parse.h"
#include "spec/rule.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* ---- the table, three times over ------------------------------------------------------------- */

#define PRESET(preset, looks, count, line) \
	{.name = #preset, .paths = (looks), .npaths = (count), .help = (line)},
#define SHOW(...)
#define ASK(...)
static const struct hutch_preset presets[] = {
#include "spec/presets.def"
};
#undef PRESET
#undef SHOW

#define PRESET(...)
#define SHOW(name, word, how, which, where) {#name, (word), SPEC_BIND_##how, NEED_##which, (where)},
static const struct show {
	const char *preset, *what;
	enum spec_mount_kind kind;
	enum { NEED_ANY, NEED_DIR } need;
	const char *target;
} shows[] = {
#include "spec/presets.def"
};
#undef SHOW
#undef ASK

#define SHOW(...)
#define ASK(name, which, value) {#name, (which), (value)},
static const struct ask {
	const char *preset, *field, *text;
} asks[] = {
#include "spec/presets.def"
};

size_t spec_presets(const struct hutch_preset **ret)
{
	*ret = presets;
	return COUNT(presets);
}

/* @name, of at most @size - 1 bytes, without "-" and "_" and in small letters. */
static const char *plain(const char *name, char *out, size_t size)
{
	size_t n = 0;

	for (; *name && n + 1 < size; name++)
		if (*name != '-' && *name != '_')
			out[n++] = *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name;
	out[n] = '\0';
	return out;
}

int spec_preset_find(const char *name, const struct hutch_preset **ret, struct err *e)
{
	char word[64], names[COUNT(presets)][64];
	struct str_near near = {.word = plain(name, word, sizeof(word))};
	const char *best;

	for (size_t i = 0; i < COUNT(presets); i++) {
		if (strcmp(word, plain(presets[i].name, names[i], sizeof(names[i]))) == 0) {
			*ret = &presets[i];
			return 0;
		}
		str_near_try(&near, names[i], presets[i].name);
	}
	best = str_near_best(&near);
	if (best)
		err_set(e, ERR_INVALID, "unknown preset '%.80s'; did you mean '%s'?", name, best);
	else
		err_set(e, ERR_INVALID, "unknown preset '%.80s' (%s, %s, %s, %s)", name,
			presets[0].name, presets[1].name, presets[2].name, presets[3].name);
	_Static_assert(COUNT(presets) == 4, "the message above names all presets");
	if (e)
		str_one_line(e->msg);
	return ERR_INVALID;
}

/* ---- paths of the caller's ------------------------------------------------------------------- */

/* Where @path is shown. A file goes into the directory in which the command starts. */
static char *show_target(const struct show *show, const char *path, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || strcmp(show->target, "/workspace") != 0)
		return strdup(show->target);
	return spec_text("%s%s", show->target, strrchr(path, '/'));
}

static int show_check(const struct show *show, const char *path, struct stat *st, struct err *e)
{
	if (stat(path, st) < 0)
		return err_sys(e, errno, "'%.300s'", path);
	if (show->need == NEED_DIR && !S_ISDIR(st->st_mode))
		return err_set(e, ERR_INVALID, "'%.300s' is not a directory", path);
	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		return err_set(e, ERR_INVALID, "'%.300s' is neither a directory nor a file", path);
	return 0;
}

static int show_path(struct spec *s, const struct show *show, const char *text, struct err *e)
{
	auto_free char *path = NULL;
	auto_free char *target = NULL;
	auto_free char *mount = NULL;
	struct spec_mount m = {.kind = show->kind};
	struct stat st;
	int r;

	r = parse_host_path(text, &path, e);
	if (r == 0)
		r = show_check(show, path, &st, e);
	if (r < 0)
		return r;
	target = show_target(show, path, &st);
	m.source = path;
	m.target = target;
	mount = target ? parse_mount_text(&m) : NULL;
	if (!mount)
		return err_oom(e);
	return spec_set(s, parse_mount_form(&m) == PARSE_VOLUME ? "volumes" : "mounts", mount, e);
}

static int show_paths(struct spec *s, const struct hutch_preset *p, const char *const *paths,
		      struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < COUNT(shows); i++) {
		int r;

		if (strcmp(shows[i].preset, p->name) != 0)
			continue;
		r = paths[n] ? show_path(s, &shows[i], paths[n], e)
			     : err_set(e, ERR_INVALID, "no path");
		if (r < 0 && r != ERR_NOMEM && e)
			(void)err_wrap(e, "%s", shows[i].what);
		if (r < 0)
			return r;
		n++;
	}
	return 0;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* Of a list, an element for the same thing: what stands before "=". */
static bool is_in_list(const struct spec_list *l, const char *text)
{
	size_t len = strcspn(text, "=");

	for (size_t i = 0; i < l->n; i++)
		if (strncmp(l->v[i], text, len) == 0 && l->v[i][len] == text[len])
			return true;
	return false;
}

static bool is_mounted(const struct spec *s, const char *text)
{
	size_t len = strcspn(text, ":");

	for (size_t i = 0; i < s->nmounts; i++)
		if (strncmp(s->mounts[i].target, text, len) == 0 && !s->mounts[i].target[len])
			return true;
	return false;
}

/* Was it asked for already? */
static int is_asked(const struct spec *s, const struct ask *ask, int id, bool *ret, struct err *e)
{
	auto_list struct spec_list got = {0};
	const struct spec_rule *rule = spec_rule_of(id);

	if (id == SPEC_F_tmpfs) {
		*ret = is_mounted(s, ask->text);
		return 0;
	}
	if (!rule->get(s, rule, &got))
		return err_oom(e);
	*ret = spec_field((enum spec_field_id)id)->type == HUTCH_FIELD_LIST
		       ? is_in_list(&got, ask->text)
		       : got.n > 0;
	return 0;
}

static int ask_one(struct spec *s, const struct ask *ask, struct buf *left, struct err *e)
{
	int id = spec_field_find(ask->field, e);
	bool asked = false;
	int r;

	if (id < 0)
		return id;
	if (spec_field_is_later(spec_field((enum spec_field_id)id))) {
		buf_fmt(left, "%s%s=%s", left->len ? ", " : "", ask->field, ask->text);
		return 0;
	}
	r = is_asked(s, ask, id, &asked, e);
	if (r < 0 || asked)
		return r;
	r = spec_set(s, ask->field, ask->text, e);
	if (r == 0 && id == SPEC_F_tmpfs)
		s->mounts[s->nmounts - 1].preset = true;
	return r;
}

static int ask_all(struct spec *s, const struct hutch_preset *p, struct buf *left, struct err *e)
{
	for (size_t i = 0; i < COUNT(asks); i++) {
		int r = strcmp(asks[i].preset, p->name) == 0 ? ask_one(s, &asks[i], left, e) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int fill(struct spec *s, const struct hutch_preset *p, const char *const *paths,
		size_t npaths, bool without, struct buf *left, struct err *e)
{
	int r;

	if (npaths != p->npaths)
		return err_set(e, ERR_INVALID, "takes %u path%s (%s), not %zu", p->npaths,
			       p->npaths == 1 ? "" : "s", p->paths, npaths);
	r = show_paths(s, p, paths, e);
	if (r == 0)
		r = ask_all(s, p, left, e);
	if (r == 0 && buf_bad(left))
		r = err_oom(e);
	if (r == 0 && left->len && !without)
		r = err_set(e, ERR_UNSUPPORTED,
			    "%s: not in this version yet; --without-limits does without them",
			    left->data);
	return r;
}

int spec_preset(struct spec *s, const char *name, const char *const *paths, size_t npaths,
		bool without, char **ret_left_out, struct err *e)
{
	auto_buf struct buf left = BUF_INIT(4096);
	const struct hutch_preset *p;
	struct spec *copy, old;
	char *text;
	int r;

	r = spec_preset_find(name, &p, e);
	if (r < 0)
		return r;
	copy = spec_copy(s);
	if (!copy)
		return err_oom(e);
	r = fill(copy, p, paths, npaths, without, &left, e);
	if (r < 0 && r != ERR_NOMEM && e) {
		(void)err_wrap(e, "preset '%s'", p->name);
		str_one_line(e->msg);
	}
	text = r == 0 ? strdup(left.len ? left.data : "") : NULL;
	if (r == 0 && !text)
		r = err_oom(e);
	if (r == 0) {
		old = *s;
		*s = *copy;
		*copy = old;
		*ret_left_out = text;
	}
	spec_free(copy);
	return r;
}
