/* SPDX-License-Identifier: Apache-2.0
 *
 * unused.c - layers that no sandbox needs any more
 *
 * How it works: a sandbox with snapshots has files that name every layer it needs (box/nodes.h, present.c). Names have a form
 * of their own, so the files are not parsed: what looks like a name is one. Whoever makes or notes layers holds
 * a shared lock on their directory; here it is held alone, and where that cannot be had a later sweep does it.
 *
 * Snapshots and forks wait for that lock, and the files may be many. So all are read before, without it; with it only those are
 * read that are new or were changed since then, or just before. A file is changed by another in its place, which changes the
 * directory, too.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/sweep.h"
#include "sys/proc.h"
#include "wire/stack.h"

enum { NAME = LAYER_NAME - 2 };

#define SURE_NS 100000000 /* a change that is older has another time than every later one, whatever the kernel's clock ticks */

/* What was read: a file, or the files of a directory. */
struct seen {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

struct found {
	char (*v)[LAYER_NAME];
	bool *used;
	size_t n, room;
	struct seen *seen;
	size_t nseen, seen_room;
	bool again; /* what was seen is not read */
};

/* ---- what was read ---------------------------------------------------------------------------- */

static struct seen seen_of(const struct stat *st)
{
	struct seen x;

	memset(&x, 0, sizeof(x)); /* what lies between the members, too: it is compared as bytes */
	x.dev = st->st_dev;
	x.ino = st->st_ino;
	x.size = st->st_size;
	x.modified = st->st_mtim;
	x.changed = st->st_ctim;
	return x;
}

static int compare_seen(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct seen));
}

/* As it was when it was read. */
static bool was_seen(const struct found *f, const struct stat *st)
{
	struct seen x = seen_of(st);

	return f->again && f->nseen && bsearch(&x, f->seen, f->nseen, sizeof(x), compare_seen);
}

static bool is_old(const struct timespec *t, const struct timespec *now)
{
	int64_t ns = (int64_t)(now->tv_sec - t->tv_sec) * 1000000000 + (now->tv_nsec - t->tv_nsec);

	return ns > SURE_NS; /* not if the clock was set back */
}

/* @st: of before it was read. Without memory it is read again. */
static void note_seen(struct found *f, const struct stat *st)
{
	struct timespec now;
	struct seen *more;

	clock_gettime(CLOCK_REALTIME, &now);
	if (f->again || !is_old(&st->st_mtim, &now) || !is_old(&st->st_ctim, &now))
		return;
	if (f->nseen == f->seen_room) {
		more = realloc(f->seen, (f->seen_room ? 2 * f->seen_room : 64) * sizeof(*more));
		if (!more)
			return;
		f->seen = more;
		f->seen_room = f->seen_room ? 2 * f->seen_room : 64;
	}
	f->seen[f->nseen++] = seen_of(st);
}

/* ---- layers, and who names them --------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, NAME);
}

static bool add(struct found *f, const char *name)
{
	char(*more)[LAYER_NAME];

	if (f->n == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		more = realloc(f->v, f->room * sizeof(*more));
		if (!more)
			return false;
		f->v = more;
	}
	memset(f->v[f->n], 0, LAYER_NAME);
	memcpy(f->v[f->n++], name, NAME);
	return true;
}

static bool list_layers(int layers, struct found *f)
{
	int again = openat(layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (layer_name_ok(x->d_name, strlen(x->d_name)) && !add(f, x->d_name))
			return false;
	if (!d)
		return false;
	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), compare);
	f->used = calloc(f->n + 1, sizeof(bool));
	return f->used;
}

static void mark(struct found *f, const char *text, size_t len)
{
	for (const char *at = text; at + NAME <= text + len; at++) {
		const char(*hit)[LAYER_NAME];

		if (at[1] != '.' || !layer_name_ok(at, NAME))
			continue;
		hit = bsearch(at, f->v, f->n, sizeof(*f->v), compare);
		if (hit)
			f->used[hit - (const char(*)[LAYER_NAME])f->v] = true;
	}
}

/* Return: false, it cannot be read: everything may be in use. */
static bool mark_file(struct found *f, int dir, const char *name)
{
	auto_fd int fd = -1;
	auto_free char *text = NULL;
	struct stat st;
	ssize_t n;

	if (f->again && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && was_seen(f, &st))
		return true;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR; /* it has none */
	if (fstat(fd, &st) < 0 || !(text = malloc((size_t)st.st_size + 1)))
		return false;
	for (off_t done = 0; done < st.st_size; done += n) {
		n = pread(fd, text + done, (size_t)(st.st_size - done), done);
		if (n <= 0)
			return false;
	}
	mark(f, text, (size_t)st.st_size);
	note_seen(f, &st);
	return true;
}

/* Those of its files are changed by another in their place: so the directory tells whether any was. */
static bool mark_snapshots(struct found *f, int boxes, const char *path)
{
	auto_dir DIR *d = NULL;
	struct dirent *x;
	struct stat st;
	int fd;

	if (f->again && fstatat(boxes, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && was_seen(f, &st))
		return true;
	fd = openat(boxes, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return false;
	}
	d = fdopendir(fd);
	if (!d)
		close(fd);
	while (d && (x = readdir(d)))
		if (x->d_type != DT_DIR && !mark_file(f, dirfd(d), x->d_name))
			return false;
	if (d)
		note_seen(f, &st);
	return d;
}

static bool mark_of(struct found *f, int boxes, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%.255s/layers.json", name);
	if (!mark_file(f, boxes, path))
		return false;
	snprintf(path, sizeof(path), "%.255s/present", name);
	if (!mark_file(f, boxes, path))
		return false;
	snprintf(path, sizeof(path), "%.255s/snapshots", name);
	return mark_snapshots(f, boxes, path);
}

static bool mark_all(struct found *f, int boxes)
{
	int again = openat(boxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (x->d_name[0] != '.' && !mark_of(f, boxes, x->d_name))
			return false;
	return d;
}

static bool has_unused(const struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (!f->used[i])
			return true;
	return false;
}

/* Once more, while nobody makes or notes any. */
static bool mark_again(struct found *f, int boxes)
{
	if (f->nseen)
		qsort(f->seen, f->nseen, sizeof(*f->seen), compare_seen);
	f->again = true;
	return mark_all(f, boxes);
}

void sweep_layers(int layers, int boxes, int trash, bool wait)
{
	struct found f = {0};
	auto_fd int lock = openat(layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char to[64];

	if (lock >= 0 && list_layers(lock, &f) && mark_all(&f, boxes) && has_unused(&f) &&
	    flock(lock, LOCK_EX | (wait ? 0 : LOCK_NB)) == 0 && mark_again(&f, boxes))
		for (size_t i = 0; i < f.n; i++) {
			if (f.used[i])
				continue;
			snprintf(to, sizeof(to), "%s.%llx", f.v[i], (unsigned long long)sys_now_ns());
			(void)renameat(lock, f.v[i], trash, to);
		}
	free(f.v);
	free(f.used);
	free(f.seen);
}
