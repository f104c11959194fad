/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - what was written becomes a layer
 *
 * How it works: where only shells of ours that wait are inside, the directory of changes itself becomes the layer,
 * and a new one is stacked on it (swap.c): the cost does not depend on what was written. Where nothing was, the layers below
 * are the snapshot. Otherwise a process
 * beside the keeper holds what runs (still.c), copies what was written (layer.c), and lets it go on, which
 * sees nothing of it. In memory, with volumes of kind cow or where nested powers were asked for it is always a copy.
 *
 * Many layers cost every lookup. So beside the keeper, when there are many, one is made of them, which takes
 * their place in what is stacked from then on.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "inside/layer.h"
#include "inside/work.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

enum { QUIET_TRIES = 12, QUIET_NAP_NS = 300000 };

/* ---- answers ---------------------------------------------------------------------------------- */

/* @arg: of OP_LAYERS. */
static void tell_layers(struct client *c, uint32_t id, const struct stack *s, uint32_t arg)
{
	struct msg_head is = {.op = OP_LAYERS, .id = id, .arg = arg};
	auto_buf struct buf text = BUF_INIT(STACK_MAX * LAYER_NAME);

	stack_to_text(s, &text);
	(void)client_tell(c, &is, text.data ? text.data : "", text.len, NULL, 0);
}

static void tell_failed(struct client *c, uint32_t id, const struct err *e)
{
	if (c)
		(void)client_tell(c, &(struct msg_head){.op = OP_LAYERS, .id = id}, e, sizeof(*e), NULL, 0);
}

/* ---- a directory in the store ----------------------------------------------------------------- */

/* What was made and shall not be: out of the way, for the sweeper. */
static void give_up(const char *name)
{
	char from[64], to[80];

	snprintf(from, sizeof(from), "store/layers/%s", name);
	snprintf(to, sizeof(to), "store/trash/%s.%llx", name, (unsigned long long)sys_now_ns());
	(void)rename(from, to);
}

static int open_dir(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(e, errno, "open '%s'", path) : fd;
}

static int make_layer(const char *name, struct err *e)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), "store/layers/%s", name);
	r = sys_mkdir(AT_FDCWD, path, 0700);
	return r < 0 ? err_sys(e, r, "make a layer") : open_dir(path, e);
}

/* Copies the directory of changes @part ("upper", "cow3") of @from into the layer @to. */
static int copy_part(const char *from, const char *part, int to, bool first, struct err *e)
{
	auto_fd int in = -1, out = -1;
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", from, part);
	in = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return errno == ENOENT ? 1 : err_sys(e, errno, "open '%s'", path);
	if (mkdirat(to, part, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make '%s' of a layer", part);
	out = openat(to, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return err_sys(e, errno, "open '%s' of a layer", part);
	return layer_copy(in, out, first, e);
}

/* ---- a copy ----------------------------------------------------------------------------------- */

/* The private copy of a file has no name on disk: it is read where it is mounted. A lease is waited for. */
static int copy_cow_file(const struct keeper *k, uint32_t i, int inside, int to, struct err *e)
{
	const struct timespec nap = {.tv_nsec = 20000000};
	auto_fd int at = sys_open_no_links(inside, k->targets[i] + 1, O_PATH);
	char from[32], name[16];
	int r = at < 0 ? at : -EAGAIN;

	snprintf(name, sizeof(name), "cow%u", i);
	snprintf(from, sizeof(from), "proc/self/fd/%d", at);
	for (int try = 0; try < 100 && r == -EAGAIN; try++) {
		auto_fd int in = open(from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		r = in < 0 ? -errno : layer_copy_open(in, to, name);
		if (r == -EAGAIN)
			nanosleep(&nap, NULL);
	}
	return r < 0 ? err_sys(e, r, "copy the file at '%s'", k->targets[i]) : 0;
}

static int copy_cow(struct keeper *k, const char *from, int inside, int to, struct err *e)
{
	const struct plan_mount *m = pack_at(&k->pack, k->plan->mounts.at, 0);
	int r = 0;

	for (uint32_t i = 0; i < k->plan->mounts.count && r >= 0; i++) {
		char part[32], path[32];
		auto_fd int wrapper = -1;

		if (m[i].kind != PLAN_COW)
			continue;
		snprintf(part, sizeof(part), "cow%u", i);
		if (!m[i].is_dir) {
			r = copy_cow_file(k, i, inside, to, e);
			continue;
		}
		snprintf(path, sizeof(path), "%.16s/%.12s", from, part);
		if (mkdirat(to, part, 0700) < 0)
			return err_sys(e, errno, "make '%s' of a layer", part);
		wrapper = openat(to, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = wrapper < 0 ? err_sys(e, errno, "open '%s' of a layer", part) :
				  copy_part(path, "upper", wrapper, true, e);
	}
	return r < 0 ? r : 0;
}

/* In a process of its own, which stands in the storage; w->fd: the root of the inside. */
static int copy_all(struct keeper *k, const struct work *w, struct err *e)
{
	auto_fd int to = -1;
	char from[32];
	int r = still_hold(k, e);

	if (r < 0)
		return r;
	to = make_layer(w->layer, e);
	if (to < 0)
		return to;
	snprintf(from, sizeof(from), "up/g%u", k->now.number);
	r = copy_part(from, "upper", to, true, e);
	if (r == 1) { /* a read-only root: only volumes were written */
		r = mkdirat(to, "upper", 0755) < 0 ? err_sys(e, errno, "make a layer") : 0;
	}
	if (r == 0)
		r = copy_cow(k, from, w->fd, to, e);
	if (r < 0)
		give_up(w->layer);
	return r;
}

static void copied(struct keeper *k, struct work *w, const struct err *e)
{
	close_fd(&w->fd);
	if (e->code)
		tell_failed(w->client, w->id, e);
	else if (w->client)
		tell_layers(w->client, w->id, &w->stack, k->now.number | LAYERS_COPIED);
	present_note(k);
}

static int start_copy(struct keeper *k, struct client *c, uint32_t id, const char *name, struct err *e)
{
	struct work w = {.run = copy_all, .then = copied, .client = c, .id = id, .on_change = WORK_IS_AWAITED};
	int r = stack_copy(&w.stack, &k->stack, e);

	if (r == 0)
		r = stack_push(&w.stack, name, e);
	memcpy(w.layer, name, sizeof(w.layer));
	w.fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && w.fd < 0)
		r = err_sys(e, errno, "open the root of the inside");
	if (r == 0)
		r = work_start(k, &w, e);
	if (r < 0) {
		stack_done(&w.stack);
		close_fd(&w.fd);
	}
	return r;
}

/* ---- one of many ------------------------------------------------------------------------------ */

static int merge_all(struct keeper *k, const struct work *w, struct err *e)
{
	auto_fd int to = make_layer(w->merged, e);
	const struct plan_mount *m = pack_at(&k->pack, k->plan->mounts.at, 0);
	int r = 0;

	if (to < 0) /* not made by us */
		return to;
	for (uint32_t i = 0; i < w->stack.n && r >= 0; i++) {
		char from[64];

		snprintf(from, sizeof(from), "store/layers/%s", w->stack.v[i]);
		r = copy_part(from, "upper", to, i == 0, e);
	}
	for (uint32_t j = 0; j < k->plan->mounts.count && r >= 0; j++)
		if (m[j].kind == PLAN_COW) /* those have copies of their own in every layer */
			r = err_set(e, ERR_UNSUPPORTED, "volumes of kind cow are not made one");
	if (r < 0)
		give_up(w->merged);
	return r < 0 ? r : 0;
}

static void merged(struct keeper *k, struct work *w, const struct err *e)
{
	if (!e->code && stack_merged(&k->stack, &w->stack, w->merged)) /* else not there any more: a restore */
		present_note(k);
}

static void merge_later(struct keeper *k, const char *name)
{
	struct work w = {.run = merge_all, .then = merged, .fd = -1};
	struct stack part = k->stack;
	uint32_t first;
	struct err e;

	part.n = stack_to_merge(&k->stack, &first);
	part.v += part.n ? first : 0;
	/* The caller learns only with the next answer that a name is used up. */
	if (!part.n || work_merges(k) || stack_has(&k->stack, name) || stack_copy(&w.stack, &part, &e) < 0)
		return;
	memcpy(w.merged, name, sizeof(w.merged));
	if (work_start(k, &w, &e) < 0) /* the next one tries again */
		stack_done(&w.stack);
}

/* ---- the whole -------------------------------------------------------------------------------- */

/* A shell that has just told how a text ended is about to wait for the next. */
static bool soon_still(struct keeper *k)
{
	const struct timespec nap = {.tv_nsec = QUIET_NAP_NS};
	enum still how;

	starter_hear(k);
	how = still_is(k);
	for (int i = 0; i < QUIET_TRIES && how == STILL_SOON; i++) {
		nanosleep(&nap, NULL);
		starter_hear(k);
		how = still_is(k);
	}
	return how == STILL;
}

/* @told: the client says so of his shells. */
static bool is_quiet(struct keeper *k, bool told)
{
	if (k->clients->next) /* others may give their shells a text at any time */
		return false;
	return (told && still_waits(k)) || soon_still(k);
}

/* Return: 1 as it stands, the layers are all there is, 0 it was written to, or less than 0. */
static int is_unwritten(struct keeper *k, struct err *e)
{
	struct err back;
	int r = reset_go_home(k, e);

	if (r == 0)
		r = overlay_unwritten(k);
	if (generation_return(k, &back) < 0)
		_exit(1); /* nothing could be started any more */
	return r;
}

/* Who starts others on the layers need not wait until the sandbox itself stands on them. */
static void tell_early(struct client *c, uint32_t id)
{
	uint32_t number;
	const struct stack *on = swap_stack(&number);

	tell_layers(c, id, on, number | LAYERS_EARLY);
	sched_yield(); /* often the kernel has put him behind us, however idle other processors are */
}

/* What was written has the name that @ask gives it. Return: 1 it was answered, or less than 0. */
static int go_on(struct keeper *k, struct client *c, uint32_t id, const struct snapshot_ask *ask, struct err *e)
{
	struct msg_head on = {.op = OP_LAYERS_ON, .id = id};
	int r;

	if (ask->early)
		tell_early(c, id);
	r = swap_ready(k, e);
	if (r < 0 && ask->early) {
		(void)client_tell(c, &on, e, sizeof(*e), NULL, 0);
		*e = (struct err){0};
		return 1;
	}
	if (r < 0)
		return r;
	(void)swap_go(k);
	if (ask->early)
		(void)client_tell(c, &on, NULL, 0, NULL, 0);
	else
		tell_layers(c, id, &k->stack, k->now.number);
	swap_done();
	present_note(k);
	if (*ask->merged)
		merge_later(k, ask->merged);
	return 1;
}

/* Return: 1 it was answered, 0 it will be. */
static int take(struct keeper *k, struct client *c, const struct msg *m, struct err *e)
{
	const struct snapshot_ask *ask = m->body;
	uint32_t id = m->head.id;
	int r;

	if (!layer_name_ok(ask->layer, strnlen(ask->layer, LAYER_NAME)) ||
	    (*ask->merged && !layer_name_ok(ask->merged, strnlen(ask->merged, LAYER_NAME))))
		return err_set(e, ERR_INTERNAL, "no name for a layer");
	if (k->spent)
		return err_set(e, ERR_STATE, "the sandbox is there for the one command that runs in it");
	if (!k->plan->store.path && k->plan->store.fd < 0)
		return err_set(e, ERR_UNSUPPORTED,
			       "the file system of the data directory cannot be shown to the sandbox (HUTCH_HOME moves "
			       "it)");
	if ((r = reset_revive(k, e)) < 0 || (storage_is_open(k) && (r = storage_close(k, e)) < 0))
		return r;
	work_wait(k); /* two cannot hold what runs */
	reset_settle(k);
	if (!is_quiet(k, m->head.arg & 2))
		return start_copy(k, c, id, ask->layer, e);
	r = swap_begin(k, &k->stack, ask->layer, e);
	if (r == SWAP_CANNOT) {
		r = is_unwritten(k, e);
		if (r == 0)
			return start_copy(k, c, id, ask->layer, e);
	}
	if (r < 0)
		return r;
	if (r == 0)
		return go_on(k, c, id, ask, e);
	tell_layers(c, id, &k->stack, k->now.number);
	return 1;
}

void snapshot_take(struct keeper *k, struct client *c, const struct msg *m)
{
	struct err e = {0};

	if (m->head.body != sizeof(struct snapshot_ask))
		err_set(&e, ERR_INTERNAL, "a snapshot that is none");
	else
		(void)take(k, c, m, &e);
	if (e.code)
		tell_failed(c, m->head.id, &e);
}
