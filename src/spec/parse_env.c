/* SPDX-License-Identifier: Apache-2.0
 *
 * parse_env.c - environment variables, from words and from files
 *
 * How it works: "K" alone stands for the caller's K, as in Docker. getenv() is only asked, never
 * changed.
 */
#include "spec/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"
#include "spec/list.h"

/* A file may as well be a pipe; what is longer is no list of variables. */
enum { FILE_MAX = 4 << 20 };

static char *join(const char *key, const char *value)
{
	struct buf b = BUF_INIT(SIZE_MAX / 2);

	buf_str(&b, key);
	buf_char(&b, '=');
	buf_str(&b, value);
	return buf_take(&b);
}

int parse_env(const char *text, char **ret, struct err *e)
{
	const char *value = NULL;
	char *r;

	if (!*text || *text == '=')
		return err_set(e, ERR_INVALID, "no name before the '='");
	if (!strchr(text, '='))
		value = getenv(text);
	r = value ? join(text, value) : strdup(text);
	if (!r)
		return err_oom(e);
	*ret = r;
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Docker, opts/file.go: blanks before the name go, those in it are an error, the value is taken
 * as it stands, quotes included. */
static int add_line(struct str_span line, struct spec_list *to, struct err *e)
{
	auto_free char *text = NULL;
	char *kv = NULL;
	int r;

	while (line.len && blank(line.at[0])) {
		line.at++;
		line.len--;
	}
	if (line.len == 0 || line.at[0] == '#')
		return 0;
	text = str_dup(line);
	if (!text)
		return err_oom(e);
	for (const char *p = text; *p && *p != '='; p++)
		if (blank(*p))
			return err_set(e, ERR_INVALID, "blank in the name of a variable");
	r = parse_env(text, &kv, e);
	if (r < 0)
		return r;
	if (!strchr(kv, '=')) { /* the caller has none: left out */
		free(kv);
		return 0;
	}
	return spec_list_add(to, kv) ? 0 : err_oom(e);
}

int parse_env_text(const char *text, size_t len, struct spec_list *ret, struct err *e)
{
	auto_list struct spec_list got = {0};
	const char *at = text, *end = text + len;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
		at += 3;
	for (int n = 1; at < end; n++) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		struct str_span line = {at, (size_t)((nl ? nl : end) - at)};
		int r;

		at = nl ? nl + 1 : end;
		if (line.len && line.at[line.len - 1] == '\r')
			line.len--;
		if (memchr(line.at, '\0', line.len))
			return err_set(e, ERR_INVALID, "line %d: a NUL byte", n);
		r = add_line(line, &got, e);
		if (r < 0) {
			(void)err_wrap(e, "line %d", n);
			return r;
		}
	}
	*ret = got;
	got = (struct spec_list){0};
	return 0;
}

static int read_all(int fd, struct buf *b, struct err *e)
{
	for (;;) {
		char *room = buf_room(b, 1);
		ssize_t n;

		if (!room)
			return b->len < b->max
				       ? err_oom(e)
				       : err_set(e, ERR_LIMIT, "longer than %d bytes", FILE_MAX);
		n = read(fd, room, b->room - b->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read");
		if (n == 0)
			return 0;
		b->len += (size_t)n;
	}
}

int parse_env_file(const char *path, struct spec_list *ret, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(FILE_MAX);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return err_sys(e, errno, "open");
	r = read_all(fd, &b, e);
	if (r < 0)
		return r;
	return parse_env_text(b.data ? b.data : "", b.len, ret, e);
}
