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

#define NAME_CHARS "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" /* of variables */

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

/* All on one line: in front of a text, lines keep their numbers. In a session, which goes on, the text itself is part of the line:
 * it is run where all of this could be done, and nowhere else. There functions and aliases may be called as what is meant here. */
int text_before(struct buf *b, const struct run_ask *ask, bool moved, bool bash, bool *ret_whole, struct err *e)
{
	const char *otherwise = ask->session ? " || (exit 126) && " : " || exit 126; ";
	const char *own = ask->session && bash ? "\\builtin " : "";

	*ret_whole = ask->session && (ask->nenv || ask->cwd);
	if (moved)
		buf_fmt(b, "_ho=${OLDPWD-}; %scd -- \"$PWD\" 2>/dev/null && OLDPWD=$_ho; ", *own ? own : "command ");
	for (size_t i = 0; i < ask->nenv; i++) {
		const char *c = ask->env[i];
		size_t key = strspn(c, NAME_CHARS);

		if (!key || c[key] != '=' || (*c >= '0' && *c <= '9'))
			return err_set(e, ERR_INVALID, "'%.100s' is no variable of a shell", ask->env[i]);
		buf_fmt(b, "%sexport ", own);
		buf_add(b, c, key + 1);
		quote(b, c + key + 1, strlen(c + key + 1));
		buf_str(b, ask->session ? otherwise : "; "); /* else none is read-only but what bash sets itself, also as it starts */
	}
	if (ask->cwd) {
		buf_fmt(b, "%scd -- ", own);
		quote(b, ask->cwd, strlen(ask->cwd));
		buf_str(b, otherwise);
	}
	if (*ret_whole) {
		buf_fmt(b, "%seval %s", own, bash ? "-- " : "");
		quote(b, ask->text, ask->len);
	}
	return buf_bad(b) ? err_set(e, ERR_LIMIT, "a text of over %d bytes", MSG_BODY_MAX) : 0;
}

/* ---- one program with its words --------------------------------------------------------------- */

#define NAME NAME_CHARS "./+-"

/* What bash reads as more than the name of a command; and what it does itself (`compgen -b` of bash 5.2). */
static bool is_shells_own(const char *word, size_t len)
{
	static const char *const own[] = {
		"case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select", "then", "time",
		"until", "while",
		".", "alias", "bg", "bind", "break", "builtin", "caller", "cd", "command", "compgen", "complete", "compopt", "continue",
		"declare", "dirs", "disown", "echo", "enable", "eval", "exec", "exit", "export", "false", "fc", "fg", "getopts", "hash",
		"help", "history", "jobs", "kill", "let", "local", "logout", "mapfile", "popd", "printf", "pushd", "pwd", "read",
		"readarray", "readonly", "return", "set", "shift", "shopt", "source", "suspend", "test", "times", "trap", "true", "type",
		"typeset", "ulimit", "umask", "unalias", "unset", "wait",
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strlen(own[i]) == len && !memcmp(own[i], word, len))
			return true;
	return false;
}

static bool is_one_of(const char *at, const char *end, const char *chars)
{
	return at < end && *at && strchr(chars, *at);
}

/* Return: the place of the quote that closes the one at @at; @end: it is not there, or something is run before. */
static const char *closing(const char *at, const char *end)
{
	char quote = *at;

	for (at++; at < end && *at != quote; at++) {
		if (!*at)
			return end;
		if (quote == '\'')
			continue;
		if (*at == '`' || (*at == '$' && is_one_of(at + 1, end, "({[")))
			return end;
		at += *at == '\\' && at + 1 < end;
	}
	return at;
}

/* Neither a list nor a pipe, nothing that a shell runs to make a word, no text in place of a file. */
static bool are_words(const char *at, const char *end)
{
	char before = 0, c;

	for (; at < end; at++, before = c) {
		c = *at;
		if (c == '\n')
			break;
		if (!c || strchr("`;|()#", c) || (c == '&' && before != '>') || (c == '<' && before == '<') ||
		    (c == '$' && is_one_of(at + 1, end, "({['\"")))
			return false;
		if (c == '\'' || c == '"')
			at = closing(at, end);
		else if (c == '\\')
			at++;
		if (at == end || !*at || (c == '\\' && *at == '\n'))
			return false;
	}
	while (is_one_of(at, end, " \t\n"))
		at++;
	return at == end;
}

size_t text_program(const char *text, size_t len)
{
	size_t name = 0;

	while (is_one_of(text + name, text + len, NAME))
		name++;
	if (!name || is_one_of(text, text + len, "-+") || is_shells_own(text, name))
		return 0;
	if (name < len && !is_one_of(text + name, text + len, " \t\n"))
		return 0;
	return are_words(text + name, text + len) ? name : 0;
}

/* ---- without a shell -------------------------------------------------------------------------- */

#define PLAIN NAME ":,@%="

/* Return: behind the word at @at, which is added; NULL: it is more than it says. */
static const char *add_word(struct buf *ret, const char *at, const char *end)
{
	while (at < end && !is_one_of(at, end, " \t\n")) {
		const char *last = at + 1;

		if (*at == '\'' || *at == '"') {
			last = closing(at, end);
			if (last == end || (*at == '"' && (memchr(at, '$', (size_t)(last - at)) || memchr(at, '\\', (size_t)(last - at)))))
				return NULL;
			buf_add(ret, at + 1, (size_t)(last - at - 1));
			last++;
		} else if (is_one_of(at, end, PLAIN)) {
			buf_char(ret, *at);
		} else {
			return NULL;
		}
		at = last;
	}
	buf_char(ret, '\0');
	return at;
}

unsigned text_words(struct buf *ret, const char *text, size_t len)
{
	const char *at = text, *end = text + len;
	unsigned n = 0;

	if (!text_program(text, len))
		return 0;
	while (at) {
		while (is_one_of(at, end, " \t\n"))
			at++;
		if (at == end)
			return n;
		at = add_word(ret, at, end);
		n++;
	}
	return 0;
}

/* Files that bash reads, functions and options that it takes over, what it would change, and other languages. */
bool text_env_is_plain(const struct spec *spec)
{
	static const char *const more[] = {"ENV", "EXECIGNORE", "OLDPWD", "POSIXLY_CORRECT", "PWD", "SHELLOPTS", "SHLVL", "_"};

	for (size_t i = 0; i < spec->env.n; i++) {
		const char *v = spec->env.v[i];
		size_t key = strspn(v, NAME_CHARS);

		if (!key || v[key] != '=' || (*v >= '0' && *v <= '9') || !strncmp(v, "BASH", 4))
			return false;
		for (size_t j = 0; j < sizeof(more) / sizeof(*more); j++)
			if (strlen(more[j]) == key && !memcmp(v, more[j], key))
				return false;
		if ((!strncmp(v, "LC_", 3) || !strncmp(v, "LANG", 4)) && v[key + 1] && v[key + 1] != 'C' &&
		    strncmp(v + key + 1, "POSIX", 5) && strncmp(v + key + 1, "en", 2))
			return false;
	}
	return true;
}

/* ---- by a file -------------------------------------------------------------------------------- */

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
