/* SPDX-License-Identifier: Apache-2.0
 *
 * mount_text.c - a mount as the text that parses to it again
 *
 * How it works: most are said by -v or --tmpfs; a path with a ":" in it, and what only --mount has
 * a word for, by --mount. Opposite: parse_mount.c.
 */
#include "spec/parse.h"

#include <string.h>

#include "base/buf.h"

enum parse_mount_form parse_mount_form(const struct spec_mount *m)
{
	if (m->kind == SPEC_TMPFS) /* only --tmpfs can say exec */
		return strchr(m->target, ':') && !m->exec ? PARSE_MOUNT : PARSE_TMPFS;
	if (m->nonrecursive || strchr(m->source, ':') || strchr(m->target, ':'))
		return PARSE_MOUNT;
	return PARSE_VOLUME;
}

/* ",KEY=VALUE" as one field of CSV. */
static void csv_add(struct buf *b, const char *key, const char *value)
{
	bool quote = strpbrk(value, ",\"") != NULL;

	buf_str(b, quote ? ",\"" : ",");
	buf_fmt(b, "%s=", key);
	for (; *value; value++) {
		if (*value == '"')
			buf_char(b, '"');
		buf_char(b, *value);
	}
	if (quote)
		buf_char(b, '"');
}

static void write_mount(struct buf *b, const struct spec_mount *m)
{
	buf_str(b, m->kind == SPEC_TMPFS ? "type=tmpfs" : "type=bind");
	if (m->source)
		csv_add(b, "source", m->source);
	csv_add(b, "target", m->target);
	if (m->kind == SPEC_BIND_RO)
		buf_str(b, ",readonly");
	if (m->kind == SPEC_BIND_COW)
		buf_str(b, ",cow");
	if (m->nonrecursive)
		buf_str(b, ",bind-nonrecursive");
	if (m->size_bytes)
		buf_fmt(b, ",tmpfs-size=%llu", (unsigned long long)m->size_bytes);
	if (m->kind == SPEC_TMPFS && m->mode != PARSE_TMPFS_MODE)
		buf_fmt(b, ",tmpfs-mode=%04o", m->mode);
}

static void write_tmpfs(struct buf *b, const struct spec_mount *m)
{
	char mark = ':';

	buf_str(b, m->target);
	if (m->size_bytes) {
		buf_fmt(b, "%csize=%llu", mark, (unsigned long long)m->size_bytes);
		mark = ',';
	}
	if (m->mode != PARSE_TMPFS_MODE) {
		buf_fmt(b, "%cmode=%04o", mark, m->mode);
		mark = ',';
	}
	if (m->exec)
		buf_fmt(b, "%cexec", mark);
}

char *parse_mount_text(const struct spec_mount *m)
{
	struct buf b = BUF_INIT(64 << 10);

	switch (parse_mount_form(m)) {
	case PARSE_MOUNT:
		write_mount(&b, m);
		break;
	case PARSE_TMPFS:
		write_tmpfs(&b, m);
		break;
	case PARSE_VOLUME:
		buf_fmt(&b, "%s:%s%s", m->source, m->target,
			m->kind == SPEC_BIND_RO	   ? ":ro"
			: m->kind == SPEC_BIND_COW ? ":cow"
						   : "");
		break;
	}
	return buf_take(&b);
}
