/* SPDX-License-Identifier: Apache-2.0
 *
 * scratch.h - what tests need of the world: a directory of their own, and a look at what is open
 *
 *	struct scratch s;
 *	if (!ok(scratch_open(&s), "no directory"))
 *		return;
 *	scratch_file(&s, "etc/passwd", 0644, "root:x:0:0::/root:/bin/sh\n");
 *	...
 *	scratch_close(&s);
 *
 * Only x_test.c and x_fuzz.c include it.
 */
#ifndef HUTCH_BASE_SCRATCH_H
#define HUTCH_BASE_SCRATCH_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
	char path[64];
	int fd; /* of the directory */
};

static inline bool scratch_open(struct scratch *s)
{
	snprintf(s->path, sizeof(s->path), "/tmp/hutch-tests-XXXXXX");
	s->fd = -1;
	if (!mkdtemp(s->path))
		return false;
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->fd >= 0;
}

/* Removes @name below @dir, whatever it is. */
static inline void scratch_remove(int dir, const char *name)
{
	struct dirent *x;
	DIR *d;
	int fd;

	if (unlinkat(dir, name, 0) == 0 || unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return;
	(void)fchmodat(dir, name, 0700, 0); /* not there: the open says so */
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (x = readdir(d)))
		if (strcmp(x->d_name, ".") && strcmp(x->d_name, ".."))
			scratch_remove(dirfd(d), x->d_name);
	if (d)
		closedir(d);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

static inline void scratch_close(struct scratch *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	scratch_remove(AT_FDCWD, s->path);
}

/* The directories above @path, which are made where missing. */
static inline bool scratch_parents(const struct scratch *s, const char *path)
{
	char copy[512];

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdirat(s->fd, copy, 0755); /* there already is fine */
		*p = '/';
	}
	return true;
}

static inline bool scratch_dir(const struct scratch *s, const char *path, mode_t mode)
{
	return scratch_parents(s, path) && mkdirat(s->fd, path, 0700) == 0 &&
	       fchmodat(s->fd, path, mode, 0) == 0;
}

static inline bool scratch_link(const struct scratch *s, const char *target, const char *path)
{
	return scratch_parents(s, path) && symlinkat(target, s->fd, path) == 0;
}

static inline bool scratch_file(const struct scratch *s, const char *path, mode_t mode,
				const char *text)
{
	size_t len = strlen(text);
	bool whole;
	int fd;

	if (!scratch_parents(s, path))
		return false;
	fd = openat(s->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	whole = write(fd, text, len) == (ssize_t)len && fchmod(fd, mode) == 0;
	close(fd);
	return whole;
}

/* The text of a short file, in memory that the next call writes over; NULL: it cannot be read. */
static inline const char *scratch_read(int dir, const char *path)
{
	static char text[8192];
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

static inline bool scratch_has(const struct scratch *s, const char *path)
{
	return faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* How many names the directory @path has; -1: it cannot be read. */
static inline int scratch_names(const struct scratch *s, const char *path)
{
	int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	if (!d)
		return -1;
	while ((x = readdir(d)))
		n += strcmp(x->d_name, ".") && strcmp(x->d_name, "..");
	closedir(d);
	return n;
}

/* How many descriptors this process has open. */
static inline int scratch_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 3; /* ".", ".." and the one that looked */
}

#endif
