/* SPDX-License-Identifier: Apache-2.0
 *
 * diff.c - which paths differ between two snapshots, or one and how it is now
 *
 * How it works: a process beside the keeper stacks both, read-only and attached nowhere, and walks them side by side;
 * but only where a layer that is not common to both has something: what is in no such layer is the same. In a
 * directory that one of them hides or replaces all is walked.
 *
 * For each path one record, "A /path", "C /path" or "D /path" with a NUL (added, changed, removed, as `docker diff`
 * calls it). Of a directory that was removed there is one record, of one that was added one for each path in it. A
 * directory has changed when its mode or owner has.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "inside/work.h"

enum { DEPTH_MAX = 2000, CHUNK = 65536, OUT_AT = 1 << 16, OUT_MAX = 1 << 20, TOTAL_MAX = 1 << 30 };

struct diff {
	int out;
	struct buf text;
	size_t total; /* bytes of records, so far */
	char path[PATH_MAX];
};

/* Directories of the same path: in both trees (-1: it is not there), and in the layers that are not common. */
struct level {
	int a, b;
	int *layers;
	unsigned n;
	bool all; /* one of them hides what is below */
};

static void level_done(struct level *l)
{
	close_fd(&l->a);
	close_fd(&l->b);
	for (unsigned i = 0; i < l->n; i++)
		close_fd(&l->layers[i]);
	free(l->layers);
}

/* ---- records ---------------------------------------------------------------------------------- */

/* It ends up in the memory of who asked, and code inside says how much it is: 1 GiB at most. */
static int flush(struct diff *d, struct err *e)
{
	d->total += d->text.len;
	if (d->total > TOTAL_MAX)
		return err_set(e, ERR_LIMIT, "to name all that differs takes over 1 GiB");
	for (size_t done = 0; done < d->text.len;) {
		ssize_t n = write(d->out, d->text.data + done, d->text.len - done);

		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "write what differs");
		done += n > 0 ? (size_t)n : 0;
	}
	d->text.len = 0;
	return 0;
}

static int record(struct diff *d, char kind, const char *name, struct err *e)
{
	buf_fmt(&d->text, "%c %s/%s", kind, d->path, name);
	buf_add(&d->text, "", 1);
	if (buf_bad(&d->text))
		return err_oom(e);
	return d->text.len < OUT_AT ? 0 : flush(d, e);
}

static int enter(struct diff *d, const char *name, size_t *ret_len, unsigned depth, struct err *e)
{
	size_t len = strlen(d->path);

	if (depth >= DEPTH_MAX || len + strlen(name) + 2 > sizeof(d->path))
		return err_set(e, ERR_LIMIT, "directories are nested too deep to be compared: '%.200s…'", d->path);
	sprintf(d->path + len, "/%s", name);
	*ret_len = len;
	return 0;
}

/* ---- is it the same? -------------------------------------------------------------------------- */

static bool same_content(int a, int b, const char *name)
{
	static char one[CHUNK], two[CHUNK];
	auto_fd int x = openat(a, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int y = openat(b, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	off_t at = 0;
	ssize_t n;

	if (x < 0 || y < 0)
		return false;
	while ((n = pread(x, one, CHUNK, at)) > 0) {
		if (pread(y, two, CHUNK, at) != n || memcmp(one, two, (size_t)n) != 0)
			return false;
		at += n;
	}
	return n == 0 && pread(y, two, 1, at) == 0;
}

static bool same_text(int a, int b, const char *name)
{
	char one[PATH_MAX], two[PATH_MAX];
	ssize_t n = readlinkat(a, name, one, sizeof(one)), m = readlinkat(b, name, two, sizeof(two));

	return n >= 0 && n == m && memcmp(one, two, (size_t)n) == 0;
}

static bool same(int a, int b, const char *name, const struct stat *x, const struct stat *y)
{
	if (x->st_mode != y->st_mode || x->st_uid != y->st_uid || x->st_gid != y->st_gid)
		return false;
	if (S_ISDIR(x->st_mode))
		return true;
	if (x->st_mtim.tv_sec != y->st_mtim.tv_sec || x->st_mtim.tv_nsec != y->st_mtim.tv_nsec ||
	    x->st_rdev != y->st_rdev || x->st_size != y->st_size)
		return false;
	return S_ISREG(x->st_mode) ? same_content(a, b, name) : S_ISLNK(x->st_mode) ? same_text(a, b, name) : true;
}

/* ---- names ------------------------------------------------------------------------------------ */

struct names {
	char **v;
	size_t n, room;
};

static void names_done(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static int add_names(struct names *l, int dir, struct err *e)
{
	int again = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	if (dir < 0)
		return 0;
	if (!d)
		return err_sys(e, errno, "read a directory");
	while ((x = readdir(d))) {
		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
			continue;
		if (l->n == l->room) {
			size_t room = l->room ? 2 * l->room : 64;
			char **more = realloc(l->v, room * sizeof(*more));

			if (!more)
				return err_oom(e);
			l->v = more;
			l->room = room;
		}
		l->v[l->n] = strdup(x->d_name);
		if (!l->v[l->n++])
			return err_oom(e);
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In order, and those that several have one after the other. */
static int list_names(const struct level *l, struct names *ret, struct err *e)
{
	int r = 0;

	if (l->all) {
		r = add_names(ret, l->a, e);
		if (r == 0)
			r = add_names(ret, l->b, e);
	}
	for (unsigned i = 0; r == 0 && i < l->n && !l->all; i++)
		r = add_names(ret, l->layers[i], e);
	if (r == 0 && ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	return r;
}

/* ---- the walk --------------------------------------------------------------------------------- */

static int open_dir(int at, const char *name)
{
	return at < 0 ? -1 : openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int down(const struct level *l, const char *name, bool in_a, bool in_b, struct level *ret, struct err *e)
{
	char y;

	*ret = (struct level){.a = in_a ? open_dir(l->a, name) : -1, .b = in_b ? open_dir(l->b, name) : -1,
			      .all = l->all || !in_a || !in_b};
	if ((in_a && ret->a < 0) || (in_b && ret->b < 0))
		return err_sys(e, errno, "open the directory '%s'", name);
	ret->layers = calloc(l->n + 1, sizeof(int));
	if (!ret->layers)
		return err_oom(e);
	for (unsigned i = 0; i < l->n && !ret->all; i++) {
		struct stat st;
		int fd;

		if (fstatat(l->layers[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		fd = open_dir(l->layers[i], name);
		if (fd < 0 || (fgetxattr(fd, "user.overlay.opaque", &y, 1) == 1 && y == 'y'))
			ret->all = true; /* it hides what is below it */
		if (fd >= 0)
			ret->layers[ret->n++] = fd;
	}
	return 0;
}

static int walk(struct diff *d, const struct level *l, unsigned depth, struct err *e);

static int walk_below(struct diff *d, const struct level *l, const char *name, bool in_a, bool in_b, unsigned depth,
		      struct err *e)
{
	auto_with(level_done) struct level next = {.a = -1, .b = -1};
	size_t len = 0;
	int r = enter(d, name, &len, depth, e);

	if (r < 0)
		return r;
	r = down(l, name, in_a, in_b, &next, e);
	if (r == 0)
		r = walk(d, &next, depth + 1, e);
	d->path[len] = '\0';
	return r;
}

static int one_name(struct diff *d, const struct level *l, const char *name, unsigned depth, struct err *e)
{
	struct stat x, y;
	bool in_a = l->a >= 0 && fstatat(l->a, name, &x, AT_SYMLINK_NOFOLLOW) == 0;
	bool in_b = l->b >= 0 && fstatat(l->b, name, &y, AT_SYMLINK_NOFOLLOW) == 0;
	bool dir_a = in_a && S_ISDIR(x.st_mode), dir_b = in_b && S_ISDIR(y.st_mode);
	int r = 0;

	if (!in_a && !in_b)
		return 0;
	if (in_a && !in_b)
		return record(d, 'D', name, e);
	if (!in_a)
		r = record(d, 'A', name, e);
	else if (!same(l->a, l->b, name, &x, &y))
		r = record(d, 'C', name, e);
	return r < 0 || !dir_b ? r : walk_below(d, l, name, dir_a, dir_b, depth, e);
}

static int walk(struct diff *d, const struct level *l, unsigned depth, struct err *e)
{
	auto_with(names_done) struct names names = {0};
	int r = list_names(l, &names, e);

	for (size_t i = 0; r == 0 && i < names.n; i++)
		if (!i || strcmp(names.v[i], names.v[i - 1]) != 0)
			r = one_name(d, l, names.v[i], depth, e);
	return r;
}

/* ---- both trees ------------------------------------------------------------------------------- */

struct sides {
	struct stack a, b;
	bool present;
};

static void sides_done(struct sides *s)
{
	stack_done(&s->a);
	stack_done(&s->b);
}

static int read_ask(const struct keeper *k, const void *body, size_t len, struct sides *s, struct err *e)
{
	const struct diff_ask *ask = body;
	const char *text = (const char *)(ask + 1);
	int r;

	if (len < sizeof(*ask) || len - sizeof(*ask) < ask->first ||
	    len - sizeof(*ask) - ask->first != ask->second)
		return err_set(e, ERR_INTERNAL, "a comparison that is none");
	s->present = ask->present;
	r = stack_from_text(&s->a, text, ask->first, e);
	if (r == 0)
		r = s->present ? stack_copy(&s->b, &k->stack, e) :
				 stack_from_text(&s->b, text + ask->first, ask->second, e);
	return r;
}

static int add_layer(struct level *l, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open a layer");
	l->layers[l->n++] = fd;
	return 0;
}

static int add_layers(struct level *l, const struct stack *s, uint32_t common, struct err *e)
{
	char path[64];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i + common < s->n; i++) {
		snprintf(path, sizeof(path), "store/layers/%s/upper", s->v[i]);
		r = add_layer(l, path, e);
	}
	return r;
}

static int compare(struct keeper *k, const struct work *w, struct err *e)
{
	auto_with(sides_done) struct sides s = {0};
	auto_with(level_done) struct level top = {.a = -1, .b = -1};
	struct diff d = {.out = w->fd, .text = BUF_INIT(OUT_MAX)};
	char present[32] = "";
	uint32_t common;
	int r = read_ask(k, w->more, w->len, &s, e);

	if (r < 0)
		return r;
	common = stack_common(&s.a, &s.b);
	top.layers = calloc(s.a.n + s.b.n + 1, sizeof(int));
	if (!top.layers)
		return err_oom(e);
	if (s.present && !(k->plan->flags & PLAN_READONLY_ROOT))
		snprintf(present, sizeof(present), "up/g%u/upper", k->now.number);
	r = top.a = overlay_view(k, &s.a, "", e);
	if (r >= 0)
		r = top.b = overlay_view(k, &s.b, present, e);
	if (r >= 0)
		r = *present ? add_layer(&top, present, e) : 0;
	if (r >= 0)
		r = add_layers(&top, &s.a, common, e);
	if (r >= 0)
		r = add_layers(&top, &s.b, common, e);
	if (r >= 0)
		r = walk(&d, &top, 0, e);
	return r < 0 ? r : flush(&d, e);
}

static void compared(struct keeper *k, struct work *w, const struct err *e)
{
	struct msg_head is = {.op = OP_LAYERS, .id = w->id, .arg = e->code ? 0 : k->now.number};

	if (w->client)
		(void)client_tell(w->client, &is, e->code ? e : NULL, e->code ? sizeof(*e) : 0, NULL, 0);
}

void diff_start(struct keeper *k, struct client *c, struct msg *m)
{
	struct work w = {.run = compare, .then = compared, .client = c, .id = m->head.id, .more = m->body,
			 .len = m->head.body, .on_change = WORK_IS_KILLED, .fd = m->nfds == 1 ? m->fds[0] : -1};
	struct err e = {0};
	int r = 0;

	if (k->spent || w.fd < 0)
		r = err_set(&e, ERR_STATE, "the sandbox is there for the one command that runs in it");
	else
		r = reset_revive(k, &e);
	if (r == 0 && storage_is_open(k))
		r = storage_close(k, &e);
	if (r == 0)
		r = work_start(k, &w, &e);
	if (r < 0)
		compared(k, &w, &e);
}
