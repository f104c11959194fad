/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes.c - what is on disk about the snapshots of a sandbox
 */
#include "box/nodes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/own.h"
#include "base/whole.h"
#include "sys/proc.h"
#include "wire/job.h"

enum { TEXT_MAX = 1 << 20 };

enum { WAIT_MS = 60000, NAP_NS = 500000, NAP_MAX_NS = 16000000 };

static const char STATE[] = "layers.json", DIRECTORY[] = "snapshots";

int layer_name_new(char kind, char ret[LAYER_NAME], struct err *e)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return err_sys(e, errno, "getrandom");
	memset(ret, 0, LAYER_NAME);
	snprintf(ret, LAYER_NAME, "%c.%016llx", kind, (unsigned long long)number);
	return 0;
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static int read_stack(struct js *v, struct stack *ret, struct err *e)
{
	const char *text = v ? js_text(v) : NULL;

	return text ? stack_from_text(ret, text, strlen(text), e) : 0;
}

static char *copy_text(struct js *v)
{
	const char *text = v && js_type(v) == JS_STR ? js_text(v) : NULL;

	return text ? strdup(text) : NULL;
}

static uint64_t read_number(struct js *v)
{
	int64_t n = v ? js_number(v) : 0;

	return n > 0 ? (uint64_t)n : 0;
}

static void read_name(struct js *v, char ret[LAYER_NAME])
{
	const char *text = v ? js_text(v) : NULL;

	if (text && layer_name_ok(text, strlen(text)))
		memcpy(ret, text, LAYER_NAME - 2);
}

static void write_stack(struct js_out *o, const char *key, const struct stack *s)
{
	auto_buf struct buf text = BUF_INIT(STACK_MAX * LAYER_NAME);

	stack_to_text(s, &text);
	js_key(o, key);
	js_str(o, text.data ? text.data : "");
}

static void write_text(struct js_out *o, const char *key, const char *text)
{
	js_key(o, key);
	if (text)
		js_str(o, text);
	else
		js_null(o);
}

static void write_number(struct js_out *o, const char *key, uint64_t n)
{
	js_key(o, key);
	js_uint(o, n);
}

static int write_file(const struct nodes *n, int dir, const char *name, const struct js_out *o, struct err *e)
{
	if (buf_bad(o->b) || o->bad)
		return err_set(e, ERR_INVALID, "'%s' is not UTF-8", name);
	return (n->kept ? whole_write : whole_write_quick)(dir, name, o->b->data, o->b->len, e);
}

/* ---- on what it stands ------------------------------------------------------------------------ */

static int read_state(struct nodes *n, struct js *root, struct err *e)
{
	int r = read_stack(js_get(root, "base"), &n->base, e);

	if (r == 0)
		r = read_stack(js_get(root, "now"), &n->now, e);
	if (r == 0)
		r = read_stack(js_get(root, "was"), &n->was, e);
	if (r < 0)
		return r;
	n->next = read_number(js_get(root, "next"));
	n->order = read_number(js_get(root, "order"));
	n->generation = (uint32_t)read_number(js_get(root, "generation"));
	n->at = copy_text(js_get(root, "at"));
	n->last = copy_text(js_get(root, "last"));
	read_name(js_get(root, "next_layer"), n->next_layer);
	read_name(js_get(root, "next_merged"), n->next_merged);
	return 0;
}

/* A file of ours as a tree. Return: 1, 0 it is not there, or less than 0. */
static int read_json(int dir, const char *name, struct js **ret, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX + 65536);
	int r;

	if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	r = whole_read(dir, name, &text, e);
	if (r == 0)
		r = js_parse(text.data ? text.data : "", text.len, ret, e);
	if (r == 0 && js_type(*ret) != JS_OBJECT) {
		js_free(*ret);
		*ret = NULL;
		r = err_set(e, ERR_INVALID, "it is no object");
	}
	return r < 0 ? err_wrap(e, "'%s'", name) : 1;
}

int nodes_write(struct nodes *n, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	struct js_out o = {.b = &text};

	js_open(&o, '{');
	write_number(&o, "next", n->next);
	write_number(&o, "order", n->order);
	write_number(&o, "generation", n->generation);
	write_text(&o, "at", n->at);
	write_text(&o, "last", n->last);
	write_stack(&o, "base", &n->base);
	write_stack(&o, "now", &n->now);
	write_stack(&o, "was", &n->was);
	write_text(&o, "next_layer", n->next_layer);
	write_text(&o, "next_merged", n->next_merged);
	js_close(&o, '}');
	return write_file(n, n->dir, STATE, &o, e);
}

/* Whoever holds them is not long about it, unless he copies much. Or it is we ourselves, by another handle: what this has begun
 * is over when the caller says so, who waits here. */
static int lock_dir(int dir, struct err *e)
{
	uint64_t end_ns = sys_now_ns() + (uint64_t)WAIT_MS * 1000000;
	struct timespec nap = {.tv_nsec = NAP_NS};

	while (flock(dir, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EINTR && errno != EWOULDBLOCK)
			return err_sys(e, errno, "lock the snapshots");
		if (sys_now_ns() >= end_ns)
			return err_set(e, ERR_BUSY, "a snapshot, a restore, a comparison or a fork of it was begun by another handle of it, "
						    "and is not over after %d s", WAIT_MS / 1000);
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < NAP_MAX_NS)
			nap.tv_nsec *= 2;
	}
	return 0;
}

static int lock(struct home *h, struct nodes *n, struct err *e)
{
	n->layers_lock = openat(h->data, "layers", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (n->layers_lock < 0)
		return err_sys(e, errno, "open '%s/layers'", h->data_path);
	n->owner = getpid();
	while (flock(n->layers_lock, LOCK_SH) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "lock the layers");
	return lock_dir(n->dir, e);
}

/* @locked: as long as it is open. */
static int open_them(struct home *h, const char *box, bool locked, struct nodes *ret, struct err *e)
{
	struct js *root = NULL;
	int r;

	ret->dir = openat(h->boxes, box, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ret->dir < 0 && errno == ENOENT)
		return 0; /* nothing was ever written */
	if (ret->dir < 0)
		return err_sys(e, errno, "open '%s/boxes/%s'", h->data_path, box);
	ret->kept = faccessat(ret->dir, KEPT_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	r = locked ? lock(h, ret, e) : 0;
	if (r == 0)
		r = read_json(ret->dir, STATE, &root, e);
	if (r == 1)
		r = read_state(ret, root, e);
	js_free(root);
	if (r < 0) {
		nodes_close(ret);
		return err_wrap(e, "'%s/boxes/%s'", h->data_path, box);
	}
	return 0;
}

int nodes_open(struct home *h, const char *box, bool make, struct nodes *ret, struct err *e)
{
	int r;

	*ret = (struct nodes){.dir = -1, .layers_lock = -1};
	if (make && (r = sys_mkdir(h->boxes, box, 0700)) < 0 && r != -EEXIST)
		return err_sys(e, r, "make '%s/boxes/%s'", h->data_path, box);
	return open_them(h, box, true, ret, e);
}

int nodes_look(struct home *h, const char *box, struct nodes *ret, struct err *e)
{
	*ret = (struct nodes){.dir = -1, .layers_lock = -1};
	return open_them(h, box, false, ret, e);
}

bool nodes_exist(struct home *h, const char *box)
{
	char path[300];

	snprintf(path, sizeof(path), "%.200s/%s", box, STATE);
	return faccessat(h->boxes, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool nodes_only_base(int dir)
{
	return faccessat(dir, STATE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && faccessat(dir, DIRECTORY, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

int nodes_drop_base(int dir)
{
	return unlinkat(dir, STATE, 0) < 0 ? -errno : 0;
}

void nodes_close(struct nodes *n)
{
	free(n->at);
	free(n->was_at);
	free(n->last);
	stack_done(&n->base);
	stack_done(&n->now);
	stack_done(&n->was);
	if (n->owner == getpid()) { /* to close them is not enough where a fork of ours lives */
		(void)flock(n->dir, LOCK_UN);
		(void)flock(n->layers_lock, LOCK_UN);
	}
	close_fd(&n->dir);
	close_fd(&n->layers_lock);
	n->at = n->was_at = n->last = NULL;
}

int nodes_set_at(struct nodes *n, const char *name, struct err *e)
{
	char *copy = name ? strdup(name) : NULL;

	if (name && !copy)
		return err_oom(e);
	free(n->at);
	n->at = copy;
	return 0;
}

/* Only what was one has the form of a generation. */
int nodes_add_frozen(struct stack *now, int layers, const char *layer, struct err *e)
{
	char path[64];

	snprintf(path, sizeof(path), "%.24s/work", layer);
	if (!*layer || stack_has(now, layer) || faccessat(layers, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return stack_push(now, layer, e);
}

/* ---- snapshots -------------------------------------------------------------------------------- */

static int open_directory(const struct nodes *n)
{
	return n->dir < 0 ? -1 : openat(n->dir, DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void node_done(struct node *x)
{
	free(x->name);
	free(x->parent);
	stack_done(&x->layers);
}

bool node_is_there(const struct nodes *n, const char *name)
{
	auto_fd int dir = open_directory(n);

	return dir >= 0 && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Return: 1, 0 it is not there, or less than 0. */
static int read_one(int dir, const char *name, struct node *x, struct err *e)
{
	struct js *root = NULL;
	int r = read_json(dir, name, &root, e);

	*x = (struct node){0};
	if (r != 1)
		return r;
	x->name = strdup(name);
	x->parent = copy_text(js_get(root, "parent"));
	x->created_s = (int64_t)read_number(js_get(root, "created"));
	x->order = read_number(js_get(root, "order"));
	r = x->name ? read_stack(js_get(root, "layers"), &x->layers, e) : err_oom(e);
	js_free(root);
	if (r < 0) {
		node_done(x);
		return err_wrap(e, "'%s'", name);
	}
	return 1;
}

static int write_one(const struct nodes *n, const struct node *x, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	struct js_out o = {.b = &text};
	auto_fd int dir = -1;
	int r = sys_mkdir(n->dir, DIRECTORY, 0700);

	if (r < 0 && r != -EEXIST)
		return err_sys(e, r, "make a directory for snapshots");
	dir = open_directory(n);
	if (dir < 0)
		return err_sys(e, errno, "open the directory of snapshots");
	js_open(&o, '{');
	write_text(&o, "parent", x->parent);
	write_number(&o, "created", (uint64_t)x->created_s);
	write_number(&o, "order", x->order);
	write_stack(&o, "layers", &x->layers);
	js_close(&o, '}');
	return write_file(n, dir, x->name, &o, e);
}

int node_add(struct nodes *n, const char *name, const struct stack *layers, int64_t now_s, struct err *e)
{
	struct node x = {.name = (char *)(uintptr_t)name, .parent = n->at, .created_s = now_s, .order = ++n->order,
			 .layers = *layers};
	int r = write_one(n, &x, e);

	if (r < 0)
		return r;
	free(n->last);
	n->last = strdup(name);
	return n->last ? 0 : err_oom(e);
}

unsigned nodes_count(struct home *h, const char *box)
{
	auto_dir DIR *d = NULL;
	struct dirent *x;
	char path[300];
	unsigned n = 0;
	int fd;

	snprintf(path, sizeof(path), "%.200s/%s", box, DIRECTORY);
	fd = openat(h->boxes, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (x = readdir(d)))
		n += x->d_name[0] != '.';
	return n;
}

static int by_order(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

int nodes_list(const struct nodes *n, struct node **ret, size_t *ret_n, struct err *e)
{
	int fd = open_directory(n), r = 0;
	auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct node *v = NULL;
	size_t len = 0, room = 0;
	struct dirent *x;

	while (d && r >= 0 && (x = readdir(d))) {
		if (x->d_name[0] == '.')
			continue;
		if (len == room) {
			struct node *more;

			room = room ? 2 * room : 64;
			more = realloc(v, room * sizeof(*v));
			if (!more) {
				r = err_oom(e);
				break;
			}
			v = more;
		}
		r = read_one(dirfd(d), x->d_name, &v[len], e);
		len += r == 1;
	}
	if (r < 0) {
		nodes_free(v, len);
		return r;
	}
	if (len)
		qsort(v, len, sizeof(*v), by_order);
	*ret = v;
	*ret_n = len;
	return 0;
}

void nodes_free(struct node *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		node_done(&v[i]);
	free(v);
}

static int none(const char *name, const struct node *v, size_t n, struct err *e)
{
	auto_buf struct buf names = BUF_INIT(4096);

	if (!n)
		return err_set(e, ERR_NOT_FOUND, "no snapshot is there: none was made");
	for (size_t i = n > 20 ? n - 20 : 0; i < n; i++)
		buf_fmt(&names, "%s%.40s", names.len ? ", " : "", v[i].name);
	return err_set(e, ERR_NOT_FOUND, "no snapshot '%.100s'; there %s: %.300s", name, n == 1 ? "is" : "are",
		       names.data ? names.data : "");
}

int node_read(const struct nodes *n, const char *name, struct node *ret, struct err *e)
{
	auto_fd int dir = open_directory(n);
	struct node *v = NULL;
	size_t len = 0;
	bool fits = name && *name && *name != '.' && !strchr(name, '/'); /* else it is one of no snapshot */
	int r = dir >= 0 && fits ? read_one(dir, name, ret, e) : 0;

	if (!name && n->last && dir >= 0) /* the files of all need not be read */
		r = read_one(dir, n->last, ret, e);
	if (r != 0)
		return r < 0 ? r : 0;
	r = nodes_list(n, &v, &len, e);
	if (r < 0)
		return r;
	if (!name && len) {
		*ret = v[--len];
		nodes_free(v, len);
		return 0;
	}
	r = none(name ? name : "", v, len, e);
	nodes_free(v, len);
	return r;
}

/* Return: 0, or less than 0. */
static int grow_from(char **parent, const struct node *gone, bool *ret_changed, struct err *e)
{
	*ret_changed = *parent && !strcmp(*parent, gone->name);
	if (!*ret_changed)
		return 0;
	free(*parent);
	*parent = gone->parent ? strdup(gone->parent) : NULL;
	return *parent || !gone->parent ? 0 : err_oom(e);
}

int node_remove(struct nodes *n, const char *name, struct err *e)
{
	auto_with(node_done) struct node gone = {0};
	auto_fd int dir = -1;
	struct node *v = NULL;
	size_t len = 0;
	bool changed;
	int r = node_read(n, name, &gone, e);

	if (r == 0)
		r = nodes_list(n, &v, &len, e);
	for (size_t i = 0; i < len && r == 0; i++) {
		r = grow_from(&v[i].parent, &gone, &changed, e);
		if (r == 0 && changed)
			r = write_one(n, &v[i], e);
	}
	nodes_free(v, len);
	if (r == 0)
		r = grow_from(&n->at, &gone, &changed, e);
	if (r < 0)
		return r;
	dir = open_directory(n);
	if (dir < 0 || unlinkat(dir, name, 0) < 0)
		return err_sys(e, errno, "remove '%s'", name);
	return changed ? nodes_write(n, e) : 0;
}
