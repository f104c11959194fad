/* SPDX-License-Identifier: Apache-2.0
 *
 * unused.c - layers that no sandbox needs any more
 *
 * How it works: a sandbox with snapshots has files that name every layer it needs (box/nodes.h, present.c). Names have a form
 * of their own, so the files are not parsed: what looks like a name is one. Whoever makes or notes layers holds
 * a shared lock on their directory; here it is held alone, and where that cannot be had a later sweep does it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/sweep.h"
#include "sys/proc.h"
#include "wire/stack.h"

enum { NAME = LAYER_NAME - 2 };

struct found {
	char (*v)[LAYER_NAME];
	bool *used;
	size_t n, room;
};

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
	auto_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	auto_free char *text = NULL;
	struct stat st;
	ssize_t n;

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
	return true;
}

static bool mark_of(struct found *f, int boxes, const char *name)
{
	auto_dir DIR *d = NULL;
	struct dirent *x;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%.255s/layers.json", name);
	if (!mark_file(f, boxes, path))
		return false;
	snprintf(path, sizeof(path), "%.255s/present", name);
	if (!mark_file(f, boxes, path))
		return false;
	snprintf(path, sizeof(path), "%.255s/snapshots", name);
	fd = openat(boxes, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR;
	d = fdopendir(fd);
	while (d && (x = readdir(d)))
		if (x->d_type != DT_DIR && !mark_file(f, dirfd(d), x->d_name))
			return false;
	return d;
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

void sweep_layers(int layers, int boxes, int trash, bool wait)
{
	struct found f = {0};
	auto_fd int lock = openat(layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char to[64];

	if (lock < 0 || flock(lock, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0)
		return;
	if (list_layers(lock, &f) && f.n && mark_all(&f, boxes))
		for (size_t i = 0; i < f.n; i++) {
			if (f.used[i])
				continue;
			snprintf(to, sizeof(to), "%s.%llx", f.v[i], (unsigned long long)sys_now_ns());
			(void)renameat(lock, f.v[i], trash, to);
		}
	free(f.v);
	free(f.used);
}
