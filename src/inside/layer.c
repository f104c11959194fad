/* SPDX-License-Identifier: Apache-2.0
 *
 * layer.c - copy what was written into a layer of its own, and make one layer of many
 *
 * How it works: layers are taken from the topmost down, and what is there already stays: so a copy of one is the
 * same as a copy of many. The marks of an overlay (a whiteout is a device 0:0, an opaque directory has an
 * attribute) are copied like everything else. Where a name is a directory in two layers, both are walked; an
 * opaque one hides what is below it. Owner, mode, times, extended attributes, holes and hard links are kept, and
 * blocks are shared where the file system can.
 *
 * All goes by directory descriptors, no link is followed and no fifo or device opened: what is copied was written
 * by the inside.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/layer.h"
#include "sys/names.h"
#include "sys/proc.h"

enum { DEPTH_MAX = 2000, CHUNK = 65536, XATTRS_MAX = 65536, FEW = 512, LISTS = 4096 };

static const char OPAQUE[] = "user.overlay.opaque";

/* A file with several names: where its first one went. */
struct linked {
	struct linked *next;
	ino_t ino;
	char path[]; /* below the root of the copy */
};

struct copy {
	int root; /* of the copy */
	struct linked *links[LISTS]; /* of this layer */
	char path[PATH_MAX]; /* of the directory that is copied */
};

static int oops(const struct copy *c, const char *name, int why, struct err *e)
{
	return err_sys(e, why, "copy '%s/%s'", c->path, name);
}

/* ---- what a file has beside its content ------------------------------------------------------- */

/* Most files have no attribute at all, or a short one: the kernel's largest is asked for only where that is too small.
 * @name NULL: the names of all. Return: as fgetxattr(); *ret is @few or *much, which is freed by the caller. */
static ssize_t get_xattr(int fd, const char *name, char few[FEW], char **much, char **ret)
{
	ssize_t n = name ? fgetxattr(fd, name, few, FEW) : flistxattr(fd, few, FEW);

	*ret = few;
	if (n >= 0 || errno != ERANGE)
		return n;
	if (!*much)
		*much = malloc(XATTRS_MAX);
	*ret = *much;
	if (!*much)
		return -1;
	return name ? fgetxattr(fd, name, *much, XATTRS_MAX) : flistxattr(fd, *much, XATTRS_MAX);
}

/* What overlayfs keeps about what is in a directory; those of the inside that are called so have the word twice. */
static bool of_overlayfs(const char *name)
{
	static const char *const kinds[] = {"user.overlay.", "trusted.overlay."};

	for (int i = 0; i < 2; i++) {
		size_t n = strlen(kinds[i]);

		if (strncmp(name, kinds[i], n) == 0)
			return strncmp(name + n, "overlay.", 8) != 0;
	}
	return false;
}

/* Not those of which the kernel says that they mean nothing there. @empty: @to will have nothing of what is in @from. */
static int copy_xattrs(int from, int to, bool empty)
{
	auto_free char *many_names = NULL, *long_value = NULL;
	char few_names[FEW], short_value[FEW], *names, *value;
	ssize_t n = get_xattr(from, NULL, few_names, &many_names, &names), len;

	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *at = names; at < names + n; at += strlen(at) + 1) {
		/* Labels are the host's matter. */
		if (!strncmp(at, "security.", 9) && strcmp(at, "security.capability") != 0)
			continue;
		if (empty && of_overlayfs(at))
			continue;
		len = get_xattr(from, at, short_value, &long_value, &value);
		if (len < 0 && (errno == ENODATA || errno == ENOTSUP))
			continue;
		if (len < 0 || (fsetxattr(to, at, value, (size_t)len, 0) < 0 && errno != ENOTSUP))
			return -errno;
	}
	return 0;
}

/* In this order: a change of owner takes mode bits and capabilities away, a write the times. */
static int copy_facts(int from, int to, const struct stat *st, bool empty)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	int r;

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	r = copy_xattrs(from, to, empty);
	return r < 0 ? r : futimens(to, times) < 0 ? -errno : 0;
}

static int facts_of_name(int to, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* ---- content ---------------------------------------------------------------------------------- */

static int copy_range(int from, int to, off_t at, off_t end)
{
	static char buf[CHUNK];

	while (at < end) {
		size_t want = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
		ssize_t n = pread(from, buf, want, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0; /* it has become shorter */
		for (ssize_t done = 0; done < n;) {
			ssize_t w = pwrite(to, buf + done, (size_t)(n - done), at + done);

			if (w < 0 && errno != EINTR)
				return -errno;
			done += w > 0 ? w : 0;
		}
		at += n;
	}
	return 0;
}

/* Holes stay holes. */
static int copy_content(int from, int to, off_t size)
{
	off_t at = 0, end;
	int r = 0;

	if (size == 0 || ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, size) < 0)
		return -errno;
	while (r == 0 && at < size) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		r = copy_range(from, to, at, end);
		at = end;
	}
	return r;
}

int layer_copy_open(int from, int to_dir, const char *name)
{
	auto_fd int to = -1;
	struct stat st;
	int r;

	if (fstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return -errno;
	r = copy_content(from, to, st.st_size);
	return r < 0 ? r : copy_facts(from, to, &st, false);
}

static int copy_file(int from_dir, const char *name, int to_dir)
{
	auto_fd int from = openat(from_dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);

	return from < 0 ? -errno : layer_copy_open(from, to_dir, name);
}

/* ---- names ------------------------------------------------------------------------------------ */

/* Return: 1 it is another name of what was copied before, 0 not, or -errno. */
static int link_again(struct copy *c, const struct stat *st, int to, const char *name)
{
	for (const struct linked *l = c->links[st->st_ino % LISTS]; l; l = l->next)
		if (l->ino == st->st_ino)
			return linkat(c->root, l->path, to, name, 0) < 0 ? -errno : 1;
	return 0;
}

static int remember(struct copy *c, const struct stat *st, const char *name)
{
	const char *dir = *c->path ? c->path + 1 : "";
	size_t room = strlen(dir) + strlen(name) + 2;
	struct linked *l = malloc(sizeof(*l) + room);

	if (!l)
		return -ENOMEM;
	snprintf(l->path, room, "%s%s%s", dir, *dir ? "/" : "", name);
	l->ino = st->st_ino;
	l->next = c->links[st->st_ino % LISTS];
	c->links[st->st_ino % LISTS] = l;
	return 0;
}

static void forget_links(struct copy *c)
{
	for (int i = 0; i < LISTS; i++)
		for (struct linked *l = c->links[i], *next; l; l = next) {
			next = l->next;
			free(l);
		}
}

static int copy_other(struct copy *c, int from, const char *name, const struct stat *st, int to)
{
	char text[PATH_MAX];
	ssize_t n;
	int r;

	if (st->st_nlink > 1 && (r = link_again(c, st, to, name)) != 0)
		return r < 0 ? r : 0;
	if (S_ISREG(st->st_mode)) {
		r = copy_file(from, name, to);
	} else if (S_ISLNK(st->st_mode)) {
		n = readlinkat(from, name, text, sizeof(text) - 1);
		if (n < 0)
			return -errno;
		text[n] = '\0';
		r = symlinkat(text, to, name) < 0 ? -errno : facts_of_name(to, name, st);
	} else {
		r = mknodat(to, name, st->st_mode & (S_IFMT | 07777), st->st_rdev) < 0 ? -errno : 0;
		/* A whiteout has no other facts: on some file systems all are one file. */
		if (r == 0 && !(S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0)))
			r = facts_of_name(to, name, st);
	}
	return r == 0 && st->st_nlink > 1 && !S_ISCHR(st->st_mode) ? remember(c, st, name) : r;
}

static bool is_opaque(int dir)
{
	char y;

	return fgetxattr(dir, OPAQUE, &y, 1) == 1 && y == 'y';
}

static int open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int copy_entries(struct copy *c, int from, int to, unsigned depth, struct err *e);

/* Into one that is there, of a layer above. */
static int fill_dir(struct copy *c, int from, int to, unsigned depth, struct err *e)
{
	struct timespec times[2];
	struct stat st;
	int r;

	if (is_opaque(to))
		return 0;
	if (fstat(to, &st) < 0)
		return oops(c, "", errno, e);
	r = copy_entries(c, from, to, depth, e);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (r == 0 && is_opaque(from) && fsetxattr(to, OPAQUE, "y", 1, 0) < 0)
		r = oops(c, "", errno, e);
	return r < 0 ? r : futimens(to, times) < 0 ? oops(c, "", errno, e) : 0;
}

static int copy_dir(struct copy *c, int from_dir, const char *name, const struct stat *st, int to_dir,
		    unsigned depth, struct err *e)
{
	size_t len = strlen(c->path);
	auto_fd int from = open_dir(from_dir, name), to = -1;
	bool is_new = mkdirat(to_dir, name, 0700) == 0;
	struct stat there;
	int r;

	if (from < 0)
		return oops(c, name, from, e);
	if (!is_new && (errno != EEXIST || fstatat(to_dir, name, &there, AT_SYMLINK_NOFOLLOW) < 0))
		return oops(c, name, errno, e);
	if (!is_new && !S_ISDIR(there.st_mode))
		return 0; /* something else hides it */
	to = open_dir(to_dir, name);
	if (to < 0)
		return oops(c, name, to, e);
	if (depth >= DEPTH_MAX || len + strlen(name) + 2 > sizeof(c->path))
		return err_set(e, ERR_LIMIT, "directories are nested too deep to be copied: '%.200s…'", c->path);
	sprintf(c->path + len, "/%s", name);
	r = is_new ? copy_entries(c, from, to, depth + 1, e) : fill_dir(c, from, to, depth + 1, e);
	c->path[len] = '\0';
	if (r == 0 && is_new && (r = copy_facts(from, to, st, false)) < 0)
		return oops(c, name, r, e);
	return r;
}

static int copy_entries(struct copy *c, int from, int to, unsigned depth, struct err *e)
{
	int again = fcntl(from, F_DUPFD_CLOEXEC, 3);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;
	struct stat st, there;
	int r = 0;

	if (!d)
		return oops(c, "", errno, e);
	rewinddir(d);
	while (r == 0 && (x = readdir(d))) {
		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
			continue;
		if (fstatat(from, x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno != ENOENT)
				r = oops(c, x->d_name, errno, e);
		} else if (S_ISDIR(st.st_mode)) {
			r = copy_dir(c, from, x->d_name, &st, to, depth, e);
		} else if (fstatat(to, x->d_name, &there, AT_SYMLINK_NOFOLLOW) < 0) {
			r = copy_other(c, from, x->d_name, &st, to);
			if (r < 0)
				r = oops(c, x->d_name, r, e);
		}
	}
	return r;
}

int layer_copy(int from, int to, bool first, struct err *e)
{
	auto_free struct copy *c = calloc(1, sizeof(*c));
	struct stat st;
	int r;

	if (!c)
		return err_oom(e);
	c->root = to;
	r = first ? copy_entries(c, from, to, 0, e) : fill_dir(c, from, to, 0, e);
	forget_links(c);
	if (r < 0 || !first)
		return r;
	r = fstat(from, &st) < 0 ? -errno : copy_facts(from, to, &st, false);
	return r < 0 ? err_sys(e, r, "copy a directory of changes") : 0;
}

/* What else than owner, mode and times: nothing that copy_xattrs() would copy. */
static bool is_plain(int fd)
{
	char names[FEW];
	ssize_t n = flistxattr(fd, names, sizeof(names));

	for (const char *at = names; at < names + n; at += strlen(at) + 1)
		if (!of_overlayfs(at) && (strncmp(at, "security.", 9) || !strcmp(at, "security.capability")))
			return false;
	return n >= 0 || errno == ENOTSUP;
}

bool layer_is_like(const char *to, const char *from)
{
	auto_fd int a = open_dir(AT_FDCWD, to), b = open_dir(AT_FDCWD, from);
	struct stat x, y;

	return a >= 0 && b >= 0 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_uid == y.st_uid && x.st_gid == y.st_gid &&
	       x.st_mode == y.st_mode && x.st_mtim.tv_sec == y.st_mtim.tv_sec && x.st_mtim.tv_nsec == y.st_mtim.tv_nsec &&
	       sys_names_count(a, 1) == 0 && is_plain(a) && is_plain(b) && sys_inode_flags(a) == sys_inode_flags(b);
}

int layer_like(const char *to, const char *from)
{
	auto_fd int a = open_dir(AT_FDCWD, from), b = open_dir(AT_FDCWD, to);
	struct stat st;

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	return fstat(a, &st) < 0 ? -errno : copy_facts(a, b, &st, true);
}
