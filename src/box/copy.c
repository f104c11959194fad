/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.c - files and trees, in and out
 *
 * How it works: directories are walked here, on the host by descriptors that follow no link, inside by the files
 * helper, which opens each thing for us. Bytes go from descriptor to descriptor, by the kernel where it can
 * (a clone, copy_file_range), holes stay holes. Modes and times are kept; owners are the sandbox's root going
 * in, and we ourselves going out. Sockets and devices are left out, and counted.
 *
 * Where something goes is decided as by cp and `docker cp`: an existing directory is gone into.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"

enum { PIECE = 1 << 20, DEPTH_MAX = 256, MADE_UP_MAX = 64 << 20 };

struct copy {
	struct box *b;
	unsigned flags;
	bool follow; /* what is named, where it is a link */
	long left_out; /* sockets, devices */
};

/* ---- bytes ------------------------------------------------------------------------------------ */

static int piece_by_hand(int from, int to, off_t at, off_t len)
{
	auto_free char *buf = malloc(PIECE);

	if (!buf)
		return -ENOMEM;
	while (len > 0) {
		ssize_t n = pread(from, buf, len < PIECE ? (size_t)len : PIECE, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0; /* shorter by now */
		for (ssize_t done = 0; done < n;) {
			ssize_t w = pwrite(to, buf + done, (size_t)(n - done), at + done);

			if (w < 0 && errno == EINTR)
				continue;
			if (w < 0)
				return -errno;
			done += w;
		}
		at += n;
		len -= n;
	}
	return 0;
}

static int piece(int from, int to, off_t at, off_t len)
{
	off_t in = at, out = at;

	while (len > 0) {
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
			return -errno;
		if (n <= 0) /* not between these two, or the end */
			return piece_by_hand(from, to, in, len);
		len -= n;
	}
	return 0;
}

/* Whether the kernel makes it up as it is read: then its size says nothing. */
static bool is_made_up(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC);
}

/* Some have no end. */
static int made_up(int from, int to)
{
	struct stat st;
	int r = piece_by_hand(from, to, 0, MADE_UP_MAX);

	return r == 0 && fstat(to, &st) == 0 && st.st_size >= MADE_UP_MAX ? -EFBIG : r;
}

/* All bytes of @from to the empty file @to. @named: by the caller; in a tree, what is made up is left empty. */
static int bytes(int from, int to, off_t size, bool named)
{
	off_t at = 0, end;
	int r;

	if (is_made_up(from))
		return named ? made_up(from, to) : 0;
	if (!size || ioctl(to, FICLONE, from) == 0)
		return 0;
	while (at < size) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0 && errno == ENXIO)
			break; /* the rest is a hole */
		if (at < 0) { /* no such thing on this file system */
			at = 0;
			end = size;
		} else {
			end = lseek(from, at, SEEK_HOLE);
			end = end < 0 || end > size ? size : end;
		}
		r = piece(from, to, at, end - at);
		if (r < 0)
			return r;
		at = end;
	}
	return ftruncate(to, size) < 0 ? -errno : 0;
}

/* ---- in --------------------------------------------------------------------------------------- */

static int join(char out[PATH_MAX], const char *dir, const char *name, struct err *e)
{
	size_t n = strlen(dir);

	if ((size_t)snprintf(out, PATH_MAX, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name) >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "'%s/%s'", dir, name);
	return 0;
}

static int say(struct copy *c, struct file_ask a, const char *path, const char *other, struct err *e)
{
	auto_with(file_answer_done) struct file_answer got = {.fd = -1};

	return box_file(c->b, &a, path, other, &got, e);
}

static int set_meta(struct copy *c, const struct stat *st, const char *path, struct err *e)
{
	struct file_ask a = {
		.op = FILE_META, .flags = FILE_NOFOLLOW | FILE_SET_MODE | FILE_SET_TIMES,
		.mode = st->st_mode & 07777,
		.atime = {.s = st->st_atim.tv_sec, .ns = (uint32_t)st->st_atim.tv_nsec},
		.mtime = {.s = st->st_mtim.tv_sec, .ns = (uint32_t)st->st_mtim.tv_nsec},
	};

	return say(c, a, path, NULL, e);
}

/* Also over a link, as cp has it. */
static int is_dir_inside(struct copy *c, const char *path, struct err *e)
{
	auto_with(file_answer_done) struct file_answer is = {.fd = -1};
	int r = box_file(c->b, &(struct file_ask){.op = FILE_STAT}, path, NULL, &is, e);

	return r < 0 || S_ISDIR(is.facts.mode) ? r : err_sys(e, ENOTDIR, "'%s'", path);
}

/* What is in the way of something that is no directory goes, unless it is a directory. */
static int make_way(struct copy *c, const char *path, struct err *e)
{
	int r = say(c, (struct file_ask){.op = FILE_REMOVE}, path, NULL, e);

	return r < 0 && e->sys != ENOENT ? r : 0;
}

static int file_in(struct copy *c, int from, const struct stat *st, const char *path, int depth, struct err *e)
{
	struct file_ask ask = {.op = FILE_OPEN, .mode = 0600,
			       .flags = FILE_WRITE | FILE_CREATE | FILE_TRUNC};
	auto_with(file_answer_done) struct file_answer to = {.fd = -1};
	int r = box_file(c->b, &ask, path, NULL, &to, e);

	if (r < 0)
		return r;
	r = bytes(from, to.fd, st->st_size, !depth);
	if (r < 0) {
		err_sys(e, r, "write '%s'", path);
		(void)say(c, (struct file_ask){.op = FILE_REMOVE}, path, NULL, &(struct err){0});
		return e->code;
	}
	return set_meta(c, st, path, e);
}

static int one_in(struct copy *c, int dir, const char *name, const char *path, int follow, int depth, struct err *e);

static int tree_in(struct copy *c, int from, const struct stat *st, const char *path, int depth, struct err *e)
{
	auto_dir DIR *d = fdopendir(from);
	char below[PATH_MAX];
	struct dirent *x;
	int r;

	if (!d) {
		close(from);
		return err_oom(e);
	}
	r = say(c, (struct file_ask){.op = FILE_MKDIR, .mode = 0700}, path, NULL, e);
	if (r < 0 && e->sys == EEXIST)
		r = is_dir_inside(c, path, e);
	while (r == 0 && (x = readdir(d))) {
		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
			continue;
		r = join(below, path, x->d_name, e);
		if (r == 0)
			r = one_in(c, dirfd(d), x->d_name, below, 0, depth + 1, e);
	}
	return r < 0 ? r : set_meta(c, st, path, e);
}

static int link_in(struct copy *c, int dir, const char *name, const struct stat *st, const char *path,
		   struct err *e)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(dir, name, text, sizeof(text) - 1);
	int r;

	if (n < 0)
		return err_sys(e, errno, "read the link '%s'", name);
	text[n] = '\0';
	r = make_way(c, path, e);
	if (r == 0)
		r = say(c, (struct file_ask){.op = FILE_SYMLINK}, path, text, e);
	return r < 0 ? r : set_meta(c, st, path, e);
}

/* @name below @dir of the host, to @path. */
static int one_in(struct copy *c, int dir, const char *name, const char *path, int follow, int depth,
		  struct err *e)
{
	auto_fd int fd = -1;
	struct stat st;
	int r;

	if (depth > DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "'%s' is more than %d directories deep", path, DEPTH_MAX);
	if (fstatat(dir, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "'%s'", name);
	if (S_ISLNK(st.st_mode))
		return link_in(c, dir, name, &st, path, e);
	if (S_ISFIFO(st.st_mode)) {
		r = make_way(c, path, e);
		if (r == 0)
			r = say(c, (struct file_ask){.op = FILE_FIFO, .mode = 0600}, path, NULL, e);
		return r < 0 ? r : set_meta(c, &st, path, e);
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		c->left_out++;
		return 0;
	}
	fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW) |
					(S_ISDIR(st.st_mode) ? O_DIRECTORY : 0));
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "open '%s'", name);
	if (S_ISDIR(st.st_mode))
		return tree_in(c, take_fd(&fd), &st, path, depth, e);
	return S_ISREG(st.st_mode) ? file_in(c, fd, &st, path, depth, e) : err_sys(e, EINVAL, "'%s'", name);
}

/* ---- out -------------------------------------------------------------------------------------- */

static int finish_out(int fd, int dir, const char *name, const struct file_facts *f, struct err *e)
{
	struct timespec t[2] = {{.tv_sec = f->atime.s, .tv_nsec = (long)f->atime.ns},
				{.tv_sec = f->mtime.s, .tv_nsec = (long)f->mtime.ns}};

	/* Set-id bits are about owners, and the owner is another one here. */
	if (fd >= 0 && fchmod(fd, f->mode & 01777) < 0)
		return err_sys(e, errno, "set the mode of '%s'", name);
	if (utimensat(dir, name, t, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "set the times of '%s'", name);
	return 0;
}

static uint32_t nofollow(const struct copy *c, int depth)
{
	return depth || !c->follow ? FILE_NOFOLLOW : 0;
}

static int file_out(struct copy *c, const char *path, int dir, const char *name, int depth, struct err *e)
{
	struct file_ask ask = {.op = FILE_OPEN, .flags = FILE_READ | nofollow(c, depth)};
	auto_with(file_answer_done) struct file_answer from = {.fd = -1};
	auto_fd int to = -1;
	int r = box_file(c->b, &ask, path, NULL, &from, e);

	if (r < 0)
		return r;
	to = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (to < 0)
		return err_sys(e, errno, "make '%s'", name);
	r = bytes(from.fd, to, (off_t)from.facts.size, !depth);
	if (r < 0) {
		(void)unlinkat(dir, name, 0);
		return err_sys(e, r, "write '%s'", name);
	}
	return finish_out(to, dir, name, &from.facts, e);
}

static int one_out(struct copy *c, const char *path, int dir, const char *name, int depth, struct err *e);

static int tree_out(struct copy *c, const char *path, int dir, const char *name, int depth, struct err *e)
{
	struct file_ask ask = {.op = FILE_OPEN, .flags = FILE_DIR | nofollow(c, depth)};
	auto_with(file_answer_done) struct file_answer from = {.fd = -1};
	auto_dir DIR *d = NULL;
	auto_fd int to = -1;
	char below[PATH_MAX];
	struct dirent *x;
	int r = box_file(c->b, &ask, path, NULL, &from, e);

	if (r < 0)
		return r;
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make '%s'", name);
	to = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return err_sys(e, errno, "open '%s'", name);
	d = fdopendir(from.fd);
	if (!d)
		return err_oom(e);
	from.fd = -1;
	while (r == 0 && (x = readdir(d))) {
		/* What a file system of theirs may call its files is not ours to trust. */
		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, "..") || strchr(x->d_name, '/'))
			continue;
		r = join(below, path, x->d_name, e);
		if (r == 0)
			r = one_out(c, below, to, x->d_name, depth + 1, e);
		if (r < 0 && e->sys == ENOENT && say(c, (struct file_ask){.op = FILE_STAT, .flags = FILE_NOFOLLOW}, below, NULL, &(struct err){0}) < 0)
			r = 0; /* removed while we were at it */
	}
	return r < 0 ? r : finish_out(to, dir, name, &from.facts, e);
}

static int link_out(struct copy *c, const char *path, const struct file_facts *f, int dir, const char *name,
		    struct err *e)
{
	auto_with(file_answer_done) struct file_answer a = {.fd = -1};
	int r = box_file(c->b, &(struct file_ask){.op = FILE_READLINK}, path, NULL, &a, e);

	if (r < 0)
		return r;
	if (symlinkat(a.text, dir, name) < 0 &&
	    (errno != EEXIST || unlinkat(dir, name, 0) < 0 || symlinkat(a.text, dir, name) < 0))
		return err_sys(e, errno, "make '%s'", name);
	return finish_out(-1, dir, name, f, e);
}

static int one_out(struct copy *c, const char *path, int dir, const char *name, int depth, struct err *e)
{
	struct file_ask ask = {.op = FILE_STAT, .flags = nofollow(c, depth)};
	auto_with(file_answer_done) struct file_answer is = {.fd = -1};
	int r;

	if (depth > DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "'%s' is more than %d directories deep", path, DEPTH_MAX);
	r = box_file(c->b, &ask, path, NULL, &is, e);
	if (r < 0)
		return r;
	if (S_ISREG(is.facts.mode))
		return file_out(c, path, dir, name, depth, e);
	if (S_ISDIR(is.facts.mode))
		return tree_out(c, path, dir, name, depth, e);
	if (S_ISLNK(is.facts.mode))
		return link_out(c, path, &is.facts, dir, name, e);
	if (!S_ISFIFO(is.facts.mode)) {
		c->left_out++;
		return 0;
	}
	if (mkfifoat(dir, name, is.facts.mode & 0777) < 0 &&
	    (errno != EEXIST || unlinkat(dir, name, 0) < 0 || mkfifoat(dir, name, is.facts.mode & 0777) < 0))
		return err_sys(e, errno, "make '%s'", name);
	return finish_out(-1, dir, name, &is.facts, e);
}

/* Of the one that is named; in trees they are passed over. */
static int check_kind(uint32_t mode, const char *path, struct err *e)
{
	if (S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode))
		return err_set(e, ERR_INVALID, "'%s' is a %s, which is not copied", path, S_ISSOCK(mode) ? "socket" : "device");
	return 0;
}

/* ---- where to --------------------------------------------------------------------------------- */

/* The last component, "" for "/", "." and "..": then there is none to be called by. */
static void base_of(const char *path, char name[NAME_MAX + 1])
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; start--)
		;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), path + start);
	if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "/"))
		*name = '\0';
}

static bool ends_with_slash(const char *path)
{
	size_t n = strlen(path);

	return n && path[n - 1] == '/';
}

/* Of what @path is inside: -1 nothing, 0 no directory, 1 a directory; or a failure. */
static int dir_inside(struct copy *c, const char *path, int *ret, struct err *e)
{
	auto_with(file_answer_done) struct file_answer is = {.fd = -1};
	int r = box_file(c->b, &(struct file_ask){.op = FILE_STAT}, path, NULL, &is, e);

	if (r < 0 && e->sys != ENOENT)
		return r;
	*ret = r < 0 ? -1 : S_ISDIR(is.facts.mode);
	return 0;
}

/* The rules of cp. @there: as of dir_inside(). */
static int place(const struct copy *c, const char *from, bool from_dir, const char *to, int there, char name[NAME_MAX + 1],
		 struct err *e)
{
	base_of(from, name);
	if (from_dir && there == 0)
		return err_sys(e, ENOTDIR, "'%s' is no directory", to);
	if (!from_dir && there < 0 && ends_with_slash(to))
		return err_sys(e, ENOENT, "the directory '%s'", to);
	if (!from_dir && there == 1 && c->flags & COPY_EXACT)
		return err_sys(e, EISDIR, "'%s'", to);
	if (there != 1 || c->flags & COPY_EXACT)
		*name = '\0'; /* it is to be called so itself */
	return 0;
}

static int parents_inside(struct copy *c, const char *path, struct err *e)
{
	char dir[PATH_MAX];
	char *slash;

	if (!(c->flags & COPY_PARENTS))
		return 0;
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return say(c, (struct file_ask){.op = FILE_MKDIR, .flags = FILE_PARENTS, .mode = 0755}, dir, NULL, e);
}

int box_copy_in(struct box *b, const char *host, const char *path, unsigned flags, long *ret_left_out,
		struct err *e)
{
	struct copy c = {.b = b, .flags = flags};
	char name[NAME_MAX + 1], to[PATH_MAX];
	/* "x/" and "x/." are what x leads to. */
	int follow = flags & COPY_FOLLOW || ends_with_slash(host) || !strcmp(host, "."), there, r;
	struct stat st;

	if (fstatat(AT_FDCWD, host, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "'%s'", host);
	r = check_kind(st.st_mode, host, e);
	if (r == 0)
		r = dir_inside(&c, path, &there, e);
	if (r == 0)
		r = place(&c, host, S_ISDIR(st.st_mode), path, there, name, e);
	if (r == 0)
		r = *name ? join(to, path, name, e) : (snprintf(to, sizeof(to), "%s", path), 0);
	if (r == 0)
		r = parents_inside(&c, to, e);
	if (r == 0)
		r = one_in(&c, AT_FDCWD, host, to, follow, 0, e);
	*ret_left_out = c.left_out;
	return r;
}

/* Opens the directory in which @to is to be, and says how it is called there. */
static int host_parent(const char *to, char name[NAME_MAX + 1], struct err *e)
{
	char dir[PATH_MAX];
	size_t end = strlen(to), start;
	int fd;

	while (end > 1 && to[end - 1] == '/')
		end--;
	for (start = end; start && to[start - 1] != '/'; start--)
		;
	if (end - start > NAME_MAX || start >= sizeof(dir))
		return err_sys(e, ENAMETOOLONG, "'%.100s…'", to);
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), to + start);
	snprintf(dir, sizeof(dir), "%.*s", (int)start, to);
	fd = open(*dir ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "'%s'", *dir ? dir : ".") : fd;
}

int box_copy_out(struct box *b, const char *path, const char *host, unsigned flags, long *ret_left_out,
		 struct err *e)
{
	struct copy c = {.b = b, .flags = flags, .follow = flags & COPY_FOLLOW || ends_with_slash(path)};
	struct file_ask ask = {.op = FILE_STAT, .flags = nofollow(&c, 0)};
	auto_with(file_answer_done) struct file_answer is = {.fd = -1};
	char name[NAME_MAX + 1], below[NAME_MAX + 1];
	auto_fd int dir = -1;
	struct stat st;
	int there, r = box_file(b, &ask, path, NULL, &is, e);

	if (r == 0)
		r = check_kind(is.facts.mode, path, e);
	if (r < 0)
		return r;
	there = stat(host, &st) < 0 ? -1 : S_ISDIR(st.st_mode);
	r = place(&c, path, S_ISDIR(is.facts.mode), host, there, below, e);
	if (r < 0)
		return r;
	if (there == 1) {
		/* Into it, or its content into it. */
		dir = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_sys(e, errno, "'%s'", host);
		snprintf(name, sizeof(name), "%s", *below ? below : ".");
	} else {
		dir = host_parent(host, name, e);
		if (dir < 0)
			return dir;
	}
	r = one_out(&c, path, dir, name, 0, e);
	*ret_left_out = c.left_out;
	return r;
}
