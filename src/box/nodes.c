/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes.c - what is on disk about the snapshots of a sandbox
 */
#include "box/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/json.h"
#include "base/own.h"
#include "base/whole.h"
#include "sys/proc.h"

enum { TEXT_MAX = 64 << 20 };

int layer_name_new(char kind, char ret[LAYER_NAME], struct err *e)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return err_sys(e, errno, "getrandom");
	memset(ret, 0, LAYER_NAME);
	snprintf(ret, LAYER_NAME, "%c.%016llx", kind, (unsigned long long)number);
	return 0;
}

/* ---- reading ---------------------------------------------------------------------------------- */

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

static int read_node(struct js *v, struct node *x, struct err *e)
{
	*x = (struct node){.name = copy_text(js_get(v, "name")), .parent = copy_text(js_get(v, "parent"))};
	if (js_get(v, "created"))
		x->created_s = js_number(js_get(v, "created"));
	return x->name ? read_stack(js_get(v, "layers"), &x->layers, e) :
			 err_set(e, ERR_INVALID, "a snapshot without a name");
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

static int read_all(struct nodes *n, struct js *root, struct err *e)
{
	struct js *list = js_get(root, "snapshots");
	size_t len = list ? js_len(list) : 0;
	int r = read_stack(js_get(root, "base"), &n->base, e);

	if (r == 0)
		r = read_stack(js_get(root, "now"), &n->now, e);
	if (r == 0)
		r = read_stack(js_get(root, "was"), &n->was, e);
	if (r < 0)
		return r;
	n->next = read_number(js_get(root, "next"));
	n->generation = (uint32_t)read_number(js_get(root, "generation"));
	n->at = copy_text(js_get(root, "at"));
	read_name(js_get(root, "next_layer"), n->next_layer);
	read_name(js_get(root, "next_merged"), n->next_merged);
	n->v = calloc(len + 1, sizeof(*n->v));
	if (!n->v)
		return err_oom(e);
	for (; n->n < len && r == 0; n->n++)
		r = read_node(js_at(list, n->n), &n->v[n->n], e);
	return r;
}

static int read_file(struct nodes *n, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	struct js *root = NULL;
	int r;

	if (faccessat(n->dir, "snapshots", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	r = whole_read(n->dir, "snapshots", &text, e);
	if (r == 0)
		r = js_parse(text.data ? text.data : "", text.len, &root, e);
	if (r == 0)
		r = read_all(n, root, e);
	js_free(root);
	return r;
}

/* ---- writing ---------------------------------------------------------------------------------- */

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

static void write_node(struct js_out *o, const struct node *x)
{
	js_open(o, '{');
	write_text(o, "name", x->name);
	write_text(o, "parent", x->parent);
	write_stack(o, "layers", &x->layers);
	js_key(o, "created");
	js_int(o, x->created_s);
	js_close(o, '}');
}

int nodes_write(struct nodes *n, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(TEXT_MAX);
	struct js_out o = {.b = &text};

	js_open(&o, '{');
	js_key(&o, "next");
	js_uint(&o, n->next);
	js_key(&o, "generation");
	js_uint(&o, n->generation);
	write_text(&o, "at", n->at);
	write_stack(&o, "base", &n->base);
	write_stack(&o, "now", &n->now);
	write_stack(&o, "was", &n->was);
	write_text(&o, "next_layer", n->next_layer);
	write_text(&o, "next_merged", n->next_merged);
	js_key(&o, "snapshots");
	js_open(&o, '[');
	for (size_t i = 0; i < n->n; i++)
		write_node(&o, &n->v[i]);
	js_close(&o, ']');
	js_close(&o, '}');
	if (buf_bad(&text) || o.bad)
		return err_set(e, ERR_LIMIT, "what is to be noted about snapshots is over %d bytes, or not UTF-8",
			       TEXT_MAX);
	return whole_write(n->dir, "snapshots", text.data, text.len, e);
}

/* ---- the whole -------------------------------------------------------------------------------- */

static int lock(struct home *h, struct nodes *n, struct err *e)
{
	n->layers_lock = openat(h->data, "layers", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (n->layers_lock < 0)
		return err_sys(e, errno, "open '%s/layers'", h->data_path);
	while (flock(n->layers_lock, LOCK_SH) < 0 || flock(n->dir, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "lock the snapshots");
	return 0;
}

int nodes_open(struct home *h, const char *box, bool make, struct nodes *ret, struct err *e)
{
	int r;

	*ret = (struct nodes){.layers_lock = -1};
	if (make && (r = sys_mkdir(h->boxes, box, 0700)) < 0 && r != -EEXIST) {
		ret->dir = -1;
		return err_sys(e, r, "make '%s/boxes/%s'", h->data_path, box);
	}
	ret->dir = openat(h->boxes, box, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ret->dir < 0 && errno == ENOENT)
		return 0; /* none were ever made */
	if (ret->dir < 0)
		return err_sys(e, errno, "open '%s/boxes/%s'", h->data_path, box);
	r = lock(h, ret, e);
	if (r == 0 && read_file(ret, e) < 0)
		r = err_wrap(e, "'%s/boxes/%s/snapshots'", h->data_path, box);
	if (r < 0)
		nodes_close(ret);
	return r;
}

bool nodes_exist(struct home *h, const char *box)
{
	char path[300];

	snprintf(path, sizeof(path), "%.200s/snapshots", box);
	return faccessat(h->boxes, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void node_done(struct node *x)
{
	free(x->name);
	free(x->parent);
	stack_done(&x->layers);
}

void nodes_close(struct nodes *n)
{
	for (size_t i = 0; i < n->n; i++)
		node_done(&n->v[i]);
	free(n->v);
	free(n->at);
	stack_done(&n->base);
	stack_done(&n->now);
	stack_done(&n->was);
	close_fd(&n->dir);
	close_fd(&n->layers_lock);
	n->v = NULL;
	n->at = NULL;
	n->n = 0;
}

struct node *nodes_find(const struct nodes *n, const char *name)
{
	for (size_t i = 0; i < n->n; i++)
		if (!strcmp(n->v[i].name, name))
			return &n->v[i];
	return NULL;
}

int nodes_add(struct nodes *n, const char *name, const struct stack *layers, int64_t now_s, struct err *e)
{
	struct node *more = realloc(n->v, (n->n + 1) * sizeof(*more)), x = {.created_s = now_s};
	int r;

	if (!more)
		return err_oom(e);
	n->v = more;
	x.name = strdup(name);
	x.parent = n->at ? strdup(n->at) : NULL;
	r = x.name && (x.parent || !n->at) ? stack_copy(&x.layers, layers, e) : err_oom(e);
	if (r < 0) {
		node_done(&x);
		return r;
	}
	n->v[n->n++] = x;
	return 0;
}

static void grow_from(char **parent, const struct node *gone)
{
	if (!*parent || strcmp(*parent, gone->name) != 0)
		return;
	free(*parent);
	*parent = gone->parent ? strdup(gone->parent) : NULL;
}

void nodes_remove(struct nodes *n, struct node *x)
{
	size_t i = (size_t)(x - n->v);
	struct node gone = *x;

	memmove(x, x + 1, (n->n - i - 1) * sizeof(*x));
	n->n--;
	for (i = 0; i < n->n; i++)
		grow_from(&n->v[i].parent, &gone);
	grow_from(&n->at, &gone);
	node_done(&gone);
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

int nodes_none(const struct nodes *n, const char *name, struct err *e)
{
	auto_buf struct buf names = BUF_INIT(4096);

	if (!n->n)
		return err_set(e, ERR_NOT_FOUND, "no snapshot is there: none was made");
	for (size_t i = n->n > 20 ? n->n - 20 : 0; i < n->n; i++)
		buf_fmt(&names, "%s%.40s", names.len ? ", " : "", n->v[i].name);
	return err_set(e, ERR_NOT_FOUND, "no snapshot '%.100s'; there %s: %.300s", name, n->n == 1 ? "is" : "are",
		       names.data ? names.data : "");
}
