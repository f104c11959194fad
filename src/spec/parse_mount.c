/* SPDX-License-Identifier: Apache-2.0
 *
 * parse_mount.c - volumes, mounts and tmpfs, from text
 *
 * How it works: three spellings (-v, --mount, --tmpfs) lead to one struct spec_mount. Docker's
 * options that say how its own machinery should go about it (labels of SELinux, caching on a Mac,
 * propagation, which never leaves a box) are taken and change nothing.
 *
 * Opposite: mount_text.c.
 */
#include "spec/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"

static const char named_volume[] = "named volumes are not there yet; write ./name for a directory";

static bool is_one_of(struct str_span s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(s, words[i]))
			return true;
	return false;
}

/* Which way of propagation, of Docker's; a box is cut off from the host's mounts in any case. */
static bool is_propagation(struct str_span s)
{
	static const char *const words[] = {"rprivate", "private", "rshared",
					    "shared",	"rslave",  "slave"};

	return is_one_of(s, words, sizeof(words) / sizeof(*words));
}

static bool is_harmless(struct str_span s)
{
	static const char *const words[] = {"z",	 "Z",	       "cached",
					    "delegated", "consistent", "nocopy"};

	return is_one_of(s, words, sizeof(words) / sizeof(*words)) || is_propagation(s);
}

static void mount_done(struct spec_mount *m)
{
	free(m->source);
	free(m->target);
}

/* What all binds have in common: both paths in their form, and the source is there. */
static int bind_paths(const char *source, const char *target, struct spec_mount *m, struct err *e)
{
	struct stat st;
	int r;

	r = parse_target(target, &m->target, e);
	if (r < 0)
		return r;
	r = parse_host_path(source, &m->source, e);
	if (r < 0)
		return r;
	if (stat(m->source, &st) < 0)
		return err_sys(e, errno, "source '%.300s'", m->source);
	return 0;
}

/* ---- -v SRC:DST[:OPTIONS] -------------------------------------------------------------------- */

static int volume_options(const char *text, enum spec_mount_kind *ret, struct err *e)
{
	struct str_span word;
	bool said = false;

	while (str_next(&text, ',', &word)) {
		bool ro = str_is(word, "ro"), cow = str_is(word, "cow");

		if (ro || cow || str_is(word, "rw")) {
			if (said)
				return err_set(e, ERR_INVALID, "only one of ro, rw and cow");
			*ret = ro ? SPEC_BIND_RO : cow ? SPEC_BIND_COW : SPEC_BIND_RW;
			said = true;
		} else if (!is_harmless(word)) {
			return err_set(e, ERR_INVALID, "no option '%.*s' (ro, rw, cow)",
				       (int)(word.len < 40 ? word.len : 40), word.at);
		}
	}
	return 0;
}

int parse_volume(const char *text, struct spec_mount *ret, struct err *e)
{
	auto_with(mount_done) struct spec_mount m = {.kind = SPEC_BIND_RW};
	auto_free char *source = NULL;
	auto_free char *target = NULL;
	struct str_span from, to;
	const char *rest = text;
	int r;

	str_next(&rest, ':', &from);
	if (from.len == 0 || (rest && !*rest))
		return err_set(e, ERR_INVALID, "not SRC:DST[:ro|rw|cow]");
	if (!rest || (!memchr(from.at, '/', from.len) && from.at[0] != '.'))
		return err_set(e, ERR_UNSUPPORTED, "%s", named_volume);
	str_next(&rest, ':', &to);
	if (rest && strchr(rest, ':'))
		return err_set(e, ERR_INVALID, "more than two ':'; --mount takes any path");
	if (rest) {
		r = volume_options(rest, &m.kind, e);
		if (r < 0)
			return r;
	}
	source = str_dup(from);
	target = str_dup(to);
	if (!source || !target)
		return err_oom(e);
	r = bind_paths(source, target, &m, e);
	if (r < 0)
		return r;
	*ret = m;
	m = (struct spec_mount){0};
	return 0;
}

/* ---- --mount KEY=VALUE,... ------------------------------------------------------------------- */

/* What the words said, before it is known what it means. Strings are pieces of the text. */
struct ask {
	const char *type, *source, *target;
	bool ro, cow, nonrecursive, bind_only;
	uint64_t size_bytes;
	uint32_t mode;
	bool tmpfs_only;
};

/* Cuts the next field of a line of CSV off *@rest, in place: "a,b" in quotes is one field, ""
 * inside it is one quote. NULL in *@ret: no more. RFC 4180, as Docker reads it. */
static int csv_next(char **rest, char **ret, struct err *e)
{
	char *at = *rest, *to = *rest;

	*ret = at;
	if (!at)
		return 0;
	if (*at != '"') {
		at += strcspn(at, ",");
		*rest = *at ? at + 1 : NULL;
		*at = '\0';
		return 0;
	}
	for (at++; *at && (*at != '"' || at[1] == '"'); at++) {
		if (*at == '"')
			at++;
		*to++ = *at;
	}
	if (*at != '"' || (at[1] && at[1] != ','))
		return err_set(e, ERR_INVALID, "a quote that is not closed");
	*rest = at[1] ? at + 2 : NULL;
	*to = '\0';
	return 0;
}

static int switch_value(const char *key, const char *value, bool *ret, struct err *e)
{
	int r;

	*ret = true;
	if (!value)
		return 0;
	r = parse_bool(value, ret, e);
	if (r < 0)
		(void)err_wrap(e, "%s '%.40s'", key, value);
	return r;
}

static int parse_mode(const char *text, uint32_t *ret, struct err *e)
{
	uint32_t mode = 0;

	if (!*text || strlen(text) > 5 || text[strspn(text, "01234567")])
		return err_set(e, ERR_INVALID, "'%.40s' is not a mode (1777)", text);
	for (; *text; text++)
		mode = mode * 8 + (uint32_t)(*text - '0');
	if (mode > 07777)
		return err_set(e, ERR_INVALID, "%o is not a mode (1777)", mode);
	*ret = mode;
	return 0;
}

static int parse_tmpfs_size(const char *text, uint64_t *ret, struct err *e)
{
	int r = parse_size(text, ret, e);

	if (r < 0) {
		(void)err_wrap(e, "size '%.40s'", text);
		return r;
	}
	if (*ret == 0)
		return err_set(e, ERR_INVALID, "a tmpfs without a limit is not given (size 0)");
	return 0;
}

enum key {
	KEY_TYPE,
	KEY_SOURCE,
	KEY_TARGET,
	KEY_RO,
	KEY_COW,
	KEY_RECURSIVE,
	KEY_NONRECURSIVE,
	KEY_PROPAGATION,
	KEY_SIZE,
	KEY_MODE,
	KEY_CONSISTENCY,
	KEY_VOLUME,
};

static const struct {
	const char *name;
	enum key key;
	bool alone; /* may stand without a value */
} keys[] = {
	{"type", KEY_TYPE, false},
	{"source", KEY_SOURCE, false},
	{"src", KEY_SOURCE, false},
	{"target", KEY_TARGET, false},
	{"dst", KEY_TARGET, false},
	{"destination", KEY_TARGET, false},
	{"readonly", KEY_RO, true},
	{"ro", KEY_RO, true},
	{"cow", KEY_COW, true},
	{"bind-propagation", KEY_PROPAGATION, false},
	{"bind-nonrecursive", KEY_NONRECURSIVE, true},
	{"bind-recursive", KEY_RECURSIVE, false},
	{"consistency", KEY_CONSISTENCY, false},
	{"tmpfs-size", KEY_SIZE, false},
	{"tmpfs-mode", KEY_MODE, false},
	{"volume-nocopy", KEY_VOLUME, true},
	{"volume-subpath", KEY_VOLUME, false},
	{"volume-driver", KEY_VOLUME, false},
	{"volume-label", KEY_VOLUME, false},
	{"volume-opt", KEY_VOLUME, false},
};

static int key_find(const char *name, const char *value, enum key *ret, struct err *e)
{
	struct str_near near = {.word = name};
	const char *best;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		str_near_try(&near, keys[i].name, keys[i].name);
		if (!str_is_nocase((struct str_span){name, strlen(name)}, keys[i].name))
			continue;
		if (!keys[i].alone && (!value || !*value))
			return err_set(e, ERR_INVALID, "'%s' needs a value", keys[i].name);
		*ret = keys[i].key;
		return 0;
	}
	best = str_near_best(&near);
	if (best)
		return err_set(e, ERR_INVALID, "unknown key '%.40s'; did you mean '%s'?", name,
			       best);
	return err_set(e, ERR_INVALID, "unknown key '%.40s'", name);
}

static int take_recursive(const char *value, bool *ret, struct err *e)
{
	*ret = strcmp(value, "disabled") == 0;
	if (*ret || strcmp(value, "enabled") == 0)
		return 0;
	return err_set(e, ERR_UNSUPPORTED, "bind-recursive is enabled or disabled");
}

static int take_key(struct ask *a, enum key key, const char *value, struct err *e)
{
	switch (key) {
	case KEY_TYPE:
		a->type = value;
		return 0;
	case KEY_SOURCE:
		a->source = value;
		return 0;
	case KEY_TARGET:
		a->target = value;
		return 0;
	case KEY_RO:
		return switch_value("readonly", value, &a->ro, e);
	case KEY_COW:
		return switch_value("cow", value, &a->cow, e);
	case KEY_NONRECURSIVE:
		a->bind_only = true;
		return switch_value("bind-nonrecursive", value, &a->nonrecursive, e);
	case KEY_RECURSIVE:
		a->bind_only = true;
		return take_recursive(value, &a->nonrecursive, e);
	case KEY_PROPAGATION:
		a->bind_only = true;
		if (!is_propagation((struct str_span){value, strlen(value)}))
			return err_set(e, ERR_INVALID, "no propagation '%.40s'", value);
		return 0;
	case KEY_SIZE:
		a->tmpfs_only = true;
		return parse_tmpfs_size(value, &a->size_bytes, e);
	case KEY_MODE:
		a->tmpfs_only = true;
		return parse_mode(value, &a->mode, e);
	case KEY_CONSISTENCY:
		return 0;
	case KEY_VOLUME:
		break;
	}
	return err_set(e, ERR_UNSUPPORTED, "%s", named_volume);
}

/* Reads the words of @text, which is cut up. */
static int read_words(char *text, struct ask *a, struct err *e)
{
	for (char *rest = text, *word;;) {
		enum key key = KEY_TYPE;
		char *value;
		int r = csv_next(&rest, &word, e);

		if (r < 0 || !word)
			return r;
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		r = key_find(word, value, &key, e);
		if (r < 0)
			return r;
		r = take_key(a, key, value, e);
		if (r < 0)
			return r;
	}
}

static int ask_tmpfs(const struct ask *a, struct spec_mount *m, struct err *e)
{
	if (a->source || a->cow || a->bind_only)
		return err_set(e, ERR_INVALID, "type=tmpfs takes no source, cow or bind-…");
	if (a->ro)
		return err_set(e, ERR_UNSUPPORTED, "an empty tmpfs that cannot be written");
	m->kind = SPEC_TMPFS;
	m->size_bytes = a->size_bytes;
	m->mode = a->mode;
	return parse_target(a->target, &m->target, e);
}

static int ask_bind(const struct ask *a, struct spec_mount *m, struct err *e)
{
	if (!a->source)
		return err_set(e, ERR_INVALID, "type=bind needs source=");
	if (a->tmpfs_only)
		return err_set(e, ERR_INVALID, "tmpfs-… goes with type=tmpfs only");
	if (a->ro && a->cow)
		return err_set(e, ERR_INVALID, "only one of readonly and cow");
	m->kind = a->ro ? SPEC_BIND_RO : a->cow ? SPEC_BIND_COW : SPEC_BIND_RW;
	m->nonrecursive = a->nonrecursive;
	return bind_paths(a->source, a->target, m, e);
}

int parse_mount(const char *text, struct spec_mount *ret, struct err *e)
{
	auto_with(mount_done) struct spec_mount m = {0};
	struct ask a = {.type = "volume", .mode = PARSE_TMPFS_MODE};
	auto_free char *copy = strdup(text);
	int r;

	if (!copy)
		return err_oom(e);
	r = read_words(copy, &a, e);
	if (r < 0)
		return r;
	if (!a.target)
		return err_set(e, ERR_INVALID, "target= is missing");
	if (strcmp(a.type, "bind") == 0)
		r = ask_bind(&a, &m, e);
	else if (strcmp(a.type, "tmpfs") == 0)
		r = ask_tmpfs(&a, &m, e);
	else if (strcmp(a.type, "volume") == 0)
		r = err_set(e, ERR_UNSUPPORTED,
			    "named volumes (type=volume, the default) are not there yet; write "
			    "type=bind or type=tmpfs");
	else
		r = err_set(e, ERR_INVALID, "no type '%.40s' (bind, tmpfs)", a.type);
	if (r < 0)
		return r;
	*ret = m;
	m = (struct spec_mount){0};
	return 0;
}

/* ---- --tmpfs DST[:OPTIONS] ------------------------------------------------------------------- */

static int tmpfs_option(struct str_span word, struct spec_mount *m, struct err *e)
{
	/* What a tmpfs of ours has anyway, or what makes no difference on one. */
	static const char *const given[] = {"",	     "defaults", "rw",	     "nosuid",	  "nodev",
					    "async", "noatime",	 "relatime", "nodiratime"};
	static const char *const refused[] = {"ro", "suid", "dev"};
	auto_free char *text = str_dup(word);

	if (!text)
		return err_oom(e);
	if (strncmp(text, "size=", 5) == 0)
		return parse_tmpfs_size(text + 5, &m->size_bytes, e);
	if (strncmp(text, "mode=", 5) == 0)
		return parse_mode(text + 5, &m->mode, e);
	if (str_is(word, "exec") || str_is(word, "noexec")) {
		m->exec = word.len == 4;
		return 0;
	}
	if (is_one_of(word, given, sizeof(given) / sizeof(*given)))
		return 0;
	if (is_one_of(word, refused, sizeof(refused) / sizeof(*refused)) ||
	    strncmp(text, "uid=", 4) == 0 || strncmp(text, "gid=", 4) == 0 ||
	    strncmp(text, "nr_inodes=", 10) == 0)
		return err_set(e, ERR_UNSUPPORTED, "option '%.40s' is not given", text);
	return err_set(e, ERR_INVALID, "no option '%.40s' (size=, mode=, exec)", text);
}

int parse_tmpfs(const char *text, struct spec_mount *ret, struct err *e)
{
	auto_with(mount_done) struct spec_mount m = {.kind = SPEC_TMPFS, .mode = PARSE_TMPFS_MODE};
	auto_free char *target = NULL;
	struct str_span to, word;
	const char *rest = text;
	int r;

	str_next(&rest, ':', &to);
	target = str_dup(to);
	if (!target)
		return err_oom(e);
	while (str_next(&rest, ',', &word)) {
		r = tmpfs_option(word, &m, e);
		if (r < 0)
			return r;
	}
	r = parse_target(target, &m.target, e);
	if (r < 0)
		return r;
	*ret = m;
	m = (struct spec_mount){0};
	return 0;
}
