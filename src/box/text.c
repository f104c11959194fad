/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - the text that a shell is given
 *
 * How it works: what was asked for beside it (variables, a directory) is said in the shell's own language, in front of
 * it. Long texts go by a file in the directory that the shell sees under descriptor 9.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "wire/msg.h"

/* In single quotes, which hide everything but themselves. */
static void quote(struct buf *b, const char *s, size_t len)
{
	buf_char(b, '\'');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\'')
			buf_str(b, "'\\''");
		else
			buf_char(b, s[i]);
	}
	buf_char(b, '\'');
}

/* The text, behind what was asked for beside it, all on its first line: lines keep their numbers. */
int text_make(struct buf *b, const struct run_ask *ask, bool moved, struct err *e)
{
	if (moved)
		buf_str(b, "_ho=${OLDPWD-}; command cd -- \"$PWD\" 2>/dev/null && OLDPWD=$_ho; ");
	for (size_t i = 0; i < ask->nenv; i++) {
		const char *c = ask->env[i];
		size_t key = strspn(c, "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

		if (!key || c[key] != '=' || (*c >= '0' && *c <= '9'))
			return err_set(e, ERR_INVALID, "'%.100s' is no variable of a shell", ask->env[i]);
		buf_str(b, "export ");
		buf_add(b, c, key + 1);
		quote(b, c + key + 1, strlen(c + key + 1));
		buf_str(b, "; ");
	}
	if (ask->cwd) {
		buf_str(b, "cd -- ");
		quote(b, ask->cwd, strlen(ask->cwd));
		buf_str(b, ask->session ? "; " : " || exit 126; ");
	}
	buf_add(b, ask->text, ask->len);
	return buf_bad(b) ? err_set(e, ERR_LIMIT, "a text of over %d bytes", MSG_BODY_MAX) : 0;
}

int text_file(int dir, const char *name, const struct buf *text, struct err *e)
{
	auto_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	size_t done = 0;

	if (fd < 0 || fchmod(fd, 0644) < 0)
		return err_sys(e, errno, "make a file for the text");
	while (done < text->len) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(e, n < 0 ? errno : EIO, "write a file for the text");
		done += (size_t)n;
	}
	return 0;
}
