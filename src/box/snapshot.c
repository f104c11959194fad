/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - snapshots of a sandbox: take, go back, compare, delete
 *
 * How it works: the keeper makes a layer of what was written and tells the whole list of layers; that, under a name, is
 * a snapshot (nodes.h has what is on disk). To go back is a reset on another list. Layers are shared: deleting a
 * snapshot forgets a list, and the sweeper removes what no list names any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "box/nodes.h"
#include "box/op.h"
#include "wire/msg.h"

/* ---- words with the keeper -------------------------------------------------------------------- */

static void take_error(struct err *bad, const struct msg *m)
{
	if (m->head.body == sizeof(*bad))
		memcpy(bad, m->body, sizeof(*bad));
	bad->msg[sizeof(bad->msg) - 1] = '\0';
	if (bad->code >= 0)
		bad->code = ERR_INTERNAL;
}

void layers_given(struct box *b, struct msg *m)
{
	struct layers_answer *x = &b->layers;

	if (b->reset_id && m->head.id == b->reset_id && !m->head.arg) { /* a reset that was refused */
		b->reset_id = 0;
	} else if (!x->id || m->head.id != x->id) {
		return;
	}
	x->id = 0;
	x->generation = m->head.arg & ~(LAYERS_COPIED | LAYERS_EARLY);
	x->copied = m->head.arg & LAYERS_COPIED;
	x->early = m->head.arg & LAYERS_EARLY ? m->head.id : 0;
	if (!m->head.arg) {
		take_error(&x->bad, m);
	} else if (m->head.body && stack_from_text(&x->stack, m->body, m->head.body, NULL) < 0) {
		x->generation = 0;
		err_set(&x->bad, ERR_INTERNAL, "an answer of another form");
	}
}

/* What had the file tree before it open knows another one. */
static void stands_on(struct box *b)
{
	shell_moved(b);
	close_fd(&b->files);
}

void layers_on(struct box *b, const struct msg *m)
{
	struct layers_answer *x = &b->layers;

	if (!x->early || m->head.id != x->early)
		return;
	x->early = 0;
	if (m->head.body)
		take_error(&x->bad, m);
	else
		stands_on(b);
}

static int ask(struct box *b, uint16_t op, const void *body, size_t len, const int *fd, struct err *e)
{
	struct msg_head head = {.op = op, .id = ++b->next_id, .arg = op == OP_SNAPSHOT && shell_all_wait(b) ? 2 : 0};
	int r;

	stack_done(&b->layers.stack);
	b->layers.bad = (struct err){0};
	b->layers.early = 0;
	b->layers.id = head.id;
	r = box_ask(b, &head, body, len, fd, fd ? 1 : 0, e);
	if (r < 0)
		b->layers.id = 0;
	return r;
}

/* Return: 1, with b->layers.stack, 0 not yet, or less than 0. */
static int answered(struct box *b, struct err *e)
{
	if (b->layers.id && !b->why.code && !b->dead)
		return 0;
	if (b->layers.id || b->why.code)
		return box_gone(b, e);
	if (b->layers.bad.code)
		*e = b->layers.bad;
	return b->layers.bad.code < 0 ? b->layers.bad.code : 1;
}

static int open_nodes(struct box *b, bool make, struct nodes *n, struct err *e)
{
	int r = nodes_open(b->home, b->name, make, n, e);

	if (r == 0 && make)
		b->has_upper = true; /* the directory is there and is given back at the end */
	return r;
}

/* ---- take ------------------------------------------------------------------------------------- */

static int check_name(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (!n || n > SNAPSHOT_NAME_MAX)
		return err_set(e, ERR_INVALID, "a snapshot has a name of 1 to %d bytes", SNAPSHOT_NAME_MAX);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 127)
			return err_set(e, ERR_INVALID, "the name of a snapshot has no control characters");
	if (*name == '.' || strchr(name, '/'))
		return err_set(e, ERR_INVALID, "'%s' is no name for a snapshot: it begins with a dot or has a slash", name);
	return 0;
}

static bool is_number(const char *name, uint64_t *ret)
{
	char *end;

	*ret = strtoull(name, &end, 10);
	return *name >= '0' && *name <= '9' && !*end;
}

static bool is_used_up(const struct nodes *n)
{
	return *n->next_layer && faccessat(n->layers_lock, n->next_layer, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Names for what the keeper makes. Those of before are used up, or still good. */
static int reserve(struct nodes *n, bool *ret_changed, struct err *e)
{
	int r = 0;

	*ret_changed = false;
	if (!*n->next_layer || is_used_up(n)) {
		r = nodes_add_frozen(&n->now, n->layers_lock, n->next_layer, e);
		if (r == 0)
			r = layer_name_new(LAYER_FROZEN, n->next_layer, e);
		*ret_changed = true;
	}
	/* One more than now may be enough. */
	if (r == 0 && !*n->next_merged && n->now.n + 1 >= STACK_DEEP) {
		r = layer_name_new(LAYER_MERGED, n->next_merged, e);
		*ret_changed = true;
	}
	return r;
}

/* What the keeper stands on now. A copy was put beside it, not under it. */
static int take_over(struct box *b, struct nodes *n, const char *layer, struct err *e)
{
	struct stack *all = &b->layers.stack;
	struct stack now = *all;
	int r;

	if (n->next_merged[0] && stack_has(all, n->next_merged))
		*n->next_merged = '\0';
	if (b->layers.copied && all->n && !strcmp(all->v[0], layer)) {
		now.v++;
		now.n--;
	}
	r = stack_copy(&n->now, &now, e);
	n->generation = b->layers.generation;
	*n->next_layer = '\0';
	return r < 0 ? r : layer_name_new(LAYER_FROZEN, n->next_layer, e);
}

static int take(struct op *o, bool early, struct err *e)
{
	struct snapshot_ask ask_for = {.early = early};
	struct nodes *n = &o->nodes;
	bool changed;
	int r = reserve(n, &changed, e);

	if (r == 0 && changed)
		r = nodes_write(n, e);
	if (r < 0)
		return r;
	o->keeps = o->moves = true;
	memcpy(o->layer, n->next_layer, LAYER_NAME);
	memcpy(ask_for.layer, n->next_layer, LAYER_NAME);
	memcpy(ask_for.merged, n->next_merged, LAYER_NAME);
	return ask(o->b, OP_SNAPSHOT, &ask_for, sizeof(ask_for), NULL, e);
}

/* The sandbox stands on them; @name NULL: there is no snapshot of it. Return: 1, or less than 0. */
static int note_taken(struct op *o, const char *name, struct err *e)
{
	struct nodes *n = &o->nodes;
	struct box *b = o->b;
	int r = name ? node_add(n, name, &b->layers.stack, time(NULL), e) : 0;

	if (r == 0)
		r = take_over(b, n, o->layer, e);
	if (r == 0 && name)
		r = nodes_set_at(n, name, e);
	if (r == 0)
		r = nodes_write(n, e);
	return r < 0 ? r : 1;
}

static int look_snapshot(struct op *o, struct err *e)
{
	int r = answered(o->b, e);

	if (r == 1) {
		stands_on(o->b);
		r = note_taken(o, o->text, e);
	}
	return r < 0 ? err_wrap(e, "snapshot of '%s'", o->b->name) : r;
}

/* Return: 0, with a name for it. */
static int choose_name(struct op *o, const char *tag, struct err *e)
{
	struct nodes *n = &o->nodes;
	char number[24];
	uint64_t as_number;

	if (!tag) {
		do {
			snprintf(number, sizeof(number), "%llu", (unsigned long long)n->next++);
		} while (node_is_there(n, number));
	} else if (node_is_there(n, tag)) {
		return err_set(e, ERR_EXISTS, "sandbox '%s' has a snapshot '%s' already", o->b->name, tag);
	} else if (is_number(tag, &as_number) && as_number >= n->next && as_number < UINT64_MAX / 2) {
		n->next = as_number + 1;
	}
	o->text = strdup(tag ? tag : number);
	o->len = o->text ? strlen(o->text) : 0;
	return o->text ? 0 : err_oom(e);
}

int box_snapshot_start(struct box *b, const char *tag, struct op **ret, struct err *e)
{
	struct op *o;
	int r = tag ? check_name(tag, e) : 0;

	if (r == 0)
		r = op_usable(b, e);
	if (r == 0)
		r = op_new(b, "snapshot", look_snapshot, &o, e);
	if (r < 0)
		return err_wrap(e, "snapshot of '%s'", b->name);
	r = open_nodes(b, true, &o->nodes, e);
	if (r == 0)
		r = choose_name(o, tag, e);
	if (r == 0)
		r = take(o, false, e);
	if (r < 0 && r != ERR_EXISTS)
		err_wrap(e, "snapshot of '%s'", b->name);
	return op_began(o, r, ret, e);
}

/* What came of it, and the op is freed. */
static int finish_text(struct op *o, char **ret, size_t *ret_len, struct err *e)
{
	int r = op_wait(o, -1, e);

	if (r == 1) {
		*ret = take_ptr(&o->text);
		*ret_len = o->len;
	}
	op_free(o);
	return r < 0 ? r : 0;
}

int box_snapshot(struct box *b, const char *tag, char **ret_name, struct err *e)
{
	struct op *o;
	size_t len;
	int r = box_snapshot_start(b, tag, &o, e);

	return r < 0 ? r : finish_text(o, ret_name, &len, e);
}

/* Early only for those that end with us: nobody else would know of it, should the layer become a directory of changes again. */
int freeze_ask(struct op *o, struct err *e)
{
	int r = open_nodes(o->b, true, &o->nodes, e);

	return r < 0 ? r : take(o, o->life == BOX_ATTACHED, e);
}

int freeze_look(struct op *o, struct err *e)
{
	struct box *b = o->b;
	int r = answered(b, e);

	if (r == 1 && stack_copy(&o->on, &b->layers.stack, e) < 0)
		return e->code;
	if (r == 1 && !b->layers.early)
		stands_on(b);
	return r;
}

int freeze_over(struct op *o, struct err *e)
{
	struct box *b = o->b;
	int r;

	if (b->layers.early)
		return b->why.code || b->dead ? box_gone(b, e) : 0;
	if (o->nodes.dir < 0)
		return 1;
	r = answered(b, e);
	if (r == 1)
		r = note_taken(o, NULL, e);
	nodes_close(&o->nodes);
	return r;
}

void freeze_end(struct box *b)
{
	while (b->layers.early && !b->why.code && !b->dead)
		(void)box_talk(b, -1, NULL);
}

/* ---- go back ---------------------------------------------------------------------------------- */

/* @r: what came of it. */
static int note_restored(struct op *o, int r, struct err *e)
{
	struct nodes *n = &o->nodes;
	struct err later;

	if (r == 1 && is_used_up(n)) /* it stands on that no longer */
		*n->next_layer = '\0';
	if (r == 1)
		n->generation = o->b->generation;
	else if (stack_copy(&n->now, &n->was, &later) < 0 || nodes_set_at(n, n->was_at, &later) < 0)
		return r; /* both are noted */
	n->was.n = 0;
	if (nodes_write(n, r < 0 ? &later : e) < 0 && r == 1)
		r = err_wrap(e, "it was done, but that could not be noted");
	return r < 0 ? err_wrap(e, "restore '%s'", o->b->name) : 1;
}

static int look_restore(struct op *o, struct err *e)
{
	int r = reset_look(o, e);

	return r == 0 ? 0 : note_restored(o, r, e);
}

static int prepare_restore(struct op *o, const char *name, struct err *e)
{
	struct nodes *n = &o->nodes;
	int r = open_nodes(o->b, false, n, e);

	if (r == 0)
		r = node_read(n, name, &o->node, e);
	if (r == 0)
		r = stack_copy(&n->was, &n->now, e);
	if (r == 0)
		r = stack_copy(&n->now, &o->node.layers, e);
	if (r == 0) {
		n->was_at = take_ptr(&n->at);
		r = nodes_set_at(n, o->node.name, e);
	}
	if (r == 0)
		r = nodes_write(n, e);
	return r < 0 ? err_wrap(e, "restore '%s'", o->b->name) : 0;
}

int box_restore_start(struct box *b, const char *name, bool keep_processes, struct op **ret, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(STACK_MAX * LAYER_NAME);
	struct op *o;
	int r = op_usable(b, e);

	if (r == 0)
		r = op_new(b, "restore", look_restore, &o, e);
	if (r < 0)
		return err_wrap(e, "restore '%s'", b->name);
	o->keep_processes = keep_processes;
	r = prepare_restore(o, name, e);
	if (r < 0)
		return op_began(o, r, ret, e);
	stack_to_text(&o->nodes.now, &text);
	r = reset_ask(o, OP_RESTORE, text.data ? text.data : "", text.len, e);
	return op_began(o, r < 0 ? note_restored(o, r, e) : 0, ret, e);
}

int box_restore(struct box *b, const char *name, bool keep_processes, struct err *e)
{
	struct op *o;
	int r = box_restore_start(b, name, keep_processes, &o, e);

	return r < 0 ? r : op_finish(o, e);
}

/* After a reset. */
int snapshots_at_start(struct box *b, struct err *e)
{
	auto_with(nodes_close) struct nodes n = {.dir = -1, .layers_lock = -1};
	int r;

	if (!nodes_exist(b->home, b->name))
		return 0;
	r = nodes_open(b->home, b->name, false, &n, e);
	if (r == 0)
		r = stack_copy(&n.now, &n.base, e);
	if (r == 0)
		r = nodes_set_at(&n, NULL, e);
	if (r == 0 && is_used_up(&n)) /* it stands on that no longer */
		*n.next_layer = '\0';
	n.generation = b->generation;
	return r < 0 ? r : nodes_write(&n, e);
}

/* ---- list, delete ----------------------------------------------------------------------------- */

int box_snapshots(struct box *b, struct snapshot_listed **ret, size_t *ret_n, struct err *e)
{
	auto_with(nodes_close) struct nodes n = {.dir = -1, .layers_lock = -1};
	struct snapshot_listed *v;
	struct node *x = NULL;
	size_t len = 0;
	int r = home_check_owner(b->home, e);

	if (r == 0)
		r = nodes_look(b->home, b->name, &n, e);
	if (r == 0)
		r = nodes_list(&n, &x, &len, e);
	if (r < 0)
		return r;
	v = calloc(len + 1, sizeof(*v));
	for (size_t i = 0; i < len && v; i++) {
		snprintf(v[i].name, sizeof(v[i].name), "%s", x[i].name);
		snprintf(v[i].parent, sizeof(v[i].parent), "%s", x[i].parent ? x[i].parent : "");
		v[i].created_s = x[i].created_s;
		v[i].layers = x[i].layers.n;
		v[i].present = n.at && !strcmp(n.at, x[i].name);
	}
	nodes_free(x, len);
	*ret = v;
	*ret_n = len;
	return v ? 0 : err_oom(e);
}

int box_snapshot_delete(struct box *b, const char *name, struct err *e)
{
	auto_with(nodes_close) struct nodes n = {.dir = -1, .layers_lock = -1};
	int r = home_check_owner(b->home, e);

	if (r == 0 && b->op && b->op->nodes.dir >= 0) /* locked by that */
		r = err_set(e, ERR_BUSY, "a %s of sandbox '%s' is under way", b->op->what, b->name);
	if (r == 0)
		r = nodes_open(b->home, b->name, false, &n, e);
	if (r == 0)
		r = node_remove(&n, name, e);
	if (r < 0)
		return r;
	nodes_close(&n); /* the sweeper needs the lock */
	place_sweep(b->home);
	return 0;
}

/* ---- compare ---------------------------------------------------------------------------------- */

static int make_ask(struct buf *body, const struct stack *from, const struct stack *to, struct err *e)
{
	auto_buf struct buf a = BUF_INIT(STACK_MAX * LAYER_NAME), c = BUF_INIT(STACK_MAX * LAYER_NAME);
	struct diff_ask head = {.present = !to};

	stack_to_text(from, &a);
	if (to)
		stack_to_text(to, &c);
	head.first = (uint32_t)a.len;
	head.second = (uint32_t)c.len;
	buf_add(body, &head, sizeof(head));
	buf_add(body, a.data ? a.data : "", a.len);
	buf_add(body, c.data ? c.data : "", c.len);
	return buf_bad(body) || buf_bad(&a) || buf_bad(&c) ? err_oom(e) : 0;
}

static int read_back(int fd, char **ret, size_t *ret_len, struct err *e)
{
	struct stat st;
	size_t done = 0;
	char *text;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat");
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return err_oom(e);
	while (done < (size_t)st.st_size) {
		ssize_t n = pread(fd, text + done, (size_t)st.st_size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	text[done] = '\0';
	*ret = text;
	*ret_len = done;
	return 0;
}

static int look_diff(struct op *o, struct err *e)
{
	int r = answered(o->b, e);

	if (r == 1 && read_back(o->file, &o->text, &o->len, e) < 0)
		r = e->code;
	return r < 0 ? err_wrap(e, "compare snapshots of '%s'", o->b->name) : r;
}

static int ask_diff(struct op *o, const char *from, const char *to, struct err *e)
{
	auto_buf struct buf body = BUF_INIT(MSG_BODY_MAX);
	auto_with(node_done) struct node x = {0};
	auto_with(node_done) struct node y = {0};
	struct nodes *n = &o->nodes;
	int r = open_nodes(o->b, false, n, e);

	o->keeps = true;
	if (r == 0 && from)
		r = node_read(n, from, &x, e);
	if (r == 0 && to)
		r = node_read(n, to, &y, e);
	if (r == 0)
		r = make_ask(&body, from ? &x.layers : &n->base, to ? &y.layers : NULL, e);
	if (r < 0)
		return r;
	o->file = memfd_create("hutch-diff", MFD_CLOEXEC);
	return o->file < 0 ? err_sys(e, errno, "memfd_create") : ask(o->b, OP_DIFF, body.data, body.len, &o->file, e);
}

int box_diff_start(struct box *b, const char *from, const char *to, struct op **ret, struct err *e)
{
	struct op *o;
	int r = op_usable(b, e);

	if (r == 0)
		r = op_new(b, "comparison", look_diff, &o, e);
	if (r < 0)
		return err_wrap(e, "compare snapshots of '%s'", b->name);
	r = ask_diff(o, from, to, e);
	if (r < 0)
		err_wrap(e, "compare snapshots of '%s'", b->name);
	return op_began(o, r, ret, e);
}

int box_diff(struct box *b, const char *from, const char *to, char **ret, size_t *ret_len, struct err *e)
{
	struct op *o;
	int r = box_diff_start(b, from, to, &o, e);

	return r < 0 ? r : finish_text(o, ret, ret_len, e);
}
