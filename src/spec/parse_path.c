/* SPDX-License-Identifier: Apache-2.0
 *
 * parse_path.c - paths of the host and of the inside, and devices, from text
 *
 * How it works: a path of the host is only made absolute. Taking ".." out of it as text would
 * name another file where a link is on the way. A path of the inside is a mount point that hutch
 * makes itself, with openat2 in the root of the box; there the text is put in its normal form, so
 * that two ways to write one target are known to be one.
 */
#include "spec/parse.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"

int parse_host_path(const char *text, char **ret, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(SIZE_MAX / 2);
	auto_free char *here = NULL;
	char *path;

	if (!*text)
		return err_set(e, ERR_INVALID, "an empty path");
	if (text[0] != '/') {
		here = getcwd(NULL, 0);
		if (!here)
			return err_sys(e, errno, "current directory");
		if (here[0] != '/') /* "(unreachable)…": outside our root, see getcwd(3) */
			return err_set(e, ERR_NOT_FOUND, "the current directory is not in reach");
		buf_str(&b, strcmp(here, "/") == 0 ? "" : here);
		while (text[0] == '.' && text[1] == '/')
			for (text += 2; *text == '/';)
				text++;
		if (*text && strcmp(text, ".") != 0) {
			buf_char(&b, '/');
			buf_str(&b, text);
		} else if (!b.len) {
			buf_char(&b, '/');
		}
	} else {
		buf_str(&b, text);
	}
	if (b.len >= PATH_MAX)
		return err_set(e, ERR_INVALID, "longer than a path can be");
	path = buf_take(&b);
	if (!path)
		return err_oom(e);
	*ret = path;
	return 0;
}

int parse_rootfs(const char *text, char **ret, struct err *e)
{
	auto_free char *path = NULL;
	struct stat st;
	int r;

	r = parse_host_path(text, &path, e);
	if (r < 0)
		return r;
	if (stat(path, &st) < 0)
		return err_sys(e, errno, "'%.300s'", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "'%.300s' is not a directory", path);
	*ret = take_ptr(&path);
	return 0;
}

/* @text without "//", "." and ".."; "/" when nothing is left. */
static int normalise(const char *text, char **ret, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(PATH_MAX);
	const char *rest = text;
	struct str_span part;
	char *path;

	if (text[0] != '/')
		return err_set(e, ERR_INVALID, "'%.200s' is not an absolute path", text);
	if (strlen(text) >= PATH_MAX)
		return err_set(e, ERR_INVALID, "longer than a path can be");
	while (str_next(&rest, '/', &part)) {
		if (part.len == 0 || str_is(part, "."))
			continue;
		if (!str_is(part, "..")) {
			buf_char(&b, '/');
			buf_add(&b, part.at, part.len);
			continue;
		}
		if (buf_bad(&b))
			return err_oom(e);
		if (b.len == 0)
			return err_set(e, ERR_INVALID, "'%.200s' leads above /", text);
		while (b.data[--b.len] != '/')
			;
		b.data[b.len] = '\0';
	}
	if (b.len == 0)
		buf_char(&b, '/');
	path = buf_take(&b);
	if (!path)
		return err_oom(e);
	*ret = path;
	return 0;
}

/* @path is @dir or below it. */
static bool is_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

int parse_target(const char *text, char **ret, struct err *e)
{
	static const char *const ours[] = {"/proc", "/sys", "/dev"};
	auto_free char *path = NULL;
	int r;

	r = normalise(text, &path, e);
	if (r < 0)
		return r;
	if (strcmp(path, "/") == 0)
		return err_set(e, ERR_INVALID, "nothing can be mounted on '/'");
	if (strcmp(path, "/dev/shm") == 0)
		return err_set(e, ERR_INVALID,
			       "'/dev/shm' is there already; its size is --shm-size");
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (is_in(path, ours[i]))
			return err_set(e, ERR_INVALID, "nothing can be mounted in %s ('%.200s')",
				       ours[i], path);
	*ret = take_ptr(&path);
	return 0;
}

static int device_target(const char *text, char **ret, struct err *e)
{
	static const char *const ours[] = {
		"/dev/pts",   "/dev/shm",    "/dev/mqueue", "/dev/fd",	    "/dev/ptmx",
		"/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/console", "/dev/core",
	};
	auto_free char *path = NULL;
	int r;

	r = normalise(text, &path, e);
	if (r < 0)
		return r;
	if (!is_in(path, "/dev") || strcmp(path, "/dev") == 0)
		return err_set(e, ERR_INVALID, "'%.200s' is not below /dev", path);
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (is_in(path, ours[i]))
			return err_set(e, ERR_INVALID, "'%s' is made by hutch itself", ours[i]);
	*ret = take_ptr(&path);
	return 0;
}

/* "rw", "rwm". m (mknod) is taken and means nothing: nobody makes device nodes in a box. */
static bool device_mode(struct str_span s, struct spec_device *d)
{
	d->read = d->write = false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] != 'r' && s.at[i] != 'w' && s.at[i] != 'm')
			return false;
		d->read = d->read || s.at[i] == 'r';
		d->write = d->write || s.at[i] == 'w';
	}
	return d->read || d->write;
}

static int device_paths(struct str_span from, struct str_span to, struct spec_device *ret,
			struct err *e)
{
	auto_free char *from_text = str_dup(from);
	auto_free char *to_text = str_dup(to);
	auto_free char *source = NULL;
	struct stat st;
	int r;

	if (!from_text || !to_text)
		return err_oom(e);
	r = parse_host_path(from_text, &source, e);
	if (r < 0)
		return r;
	if (stat(source, &st) < 0)
		return err_sys(e, errno, "'%.300s'", source);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, ERR_INVALID, "'%.300s' is not a device", source);
	r = device_target(to_text, &ret->target, e);
	if (r < 0)
		return r;
	ret->source = take_ptr(&source);
	return 0;
}

int parse_device(const char *text, struct spec_device *ret, struct err *e)
{
	struct spec_device d = {.read = true, .write = true};
	struct str_span part[3];
	const char *rest = text;
	size_t n = 0;
	int r;

	while (n < 3 && str_next(&rest, ':', &part[n]))
		n++;
	if (rest || part[0].len == 0)
		return err_set(e, ERR_INVALID, "not SRC[:DST][:rwm]");
	if (n == 3 && !device_mode(part[2], &d))
		return err_set(e, ERR_INVALID, "'%.20s' is not a mode (r, w, rw, rwm)", part[2].at);
	if (n == 2 && part[1].at[0] != '/') {
		if (!device_mode(part[1], &d))
			return err_set(e, ERR_INVALID,
				       "'%.20s' is neither a path nor a mode (r, w, rw, rwm)",
				       part[1].at);
		n = 1;
	}
	r = device_paths(part[0], n > 1 ? part[1] : part[0], &d, e);
	if (r < 0)
		return r;
	*ret = d;
	return 0;
}
