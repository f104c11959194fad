/* SPDX-License-Identifier: Apache-2.0
 *
 * start.c - the table of contents of a start
 *
 * How it works: box_start() is the list. Each step takes the spec and adds to a draft of the plan,
 * or takes something that end.c gives back. Nothing here touches a namespace: the nursery and the
 * keeper do what the plan says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "box/fault.h"
#include "box/nodes.h"
#include "box/start.h"
#include "layers/skeleton.h"
#include "layers/stack.h"
#include "net/hosts.h"
#include "ns/mounts.h"
#include "sys/proc.h"
#include "wire/draft.h"
#include "wire/msg.h"

enum { UPPER_DEFAULT = 1 << 30, NAME_MADE = 6 };

/* ---- name ------------------------------------------------------------------------------------- */

int start_make_name(const char *before, char **ret, struct err *e)
{
	unsigned char rnd[NAME_MADE];
	char name[2 * NAME_MADE + 1];

	do {
		if (getrandom(rnd, sizeof(rnd), 0) != (ssize_t)sizeof(rnd))
			return err_sys(e, errno, "getrandom");
		for (int i = 0; i < NAME_MADE; i++)
			snprintf(name + 2 * i, 3, "%02x", rnd[i]);
	} while (!name[strspn(name, "0123456789")]); /* as a host name such a number is taken for an address, and not found */
	if (asprintf(ret, "%s%s", before, name) < 0) {
		*ret = NULL;
		return err_oom(e);
	}
	return 0;
}

char *start_hostname(const struct spec *spec, const char *name)
{
	return spec->hostname ? strdup(spec->hostname) : strndup(name, 63);
}

static int step_name(struct start *s, struct err *e)
{
	struct box *b = s->b;
	const char *asked = b->spec->name;
	int r = 0;

	if (asked && !s->twin)
		b->name = strdup(asked);
	else
		r = start_make_name(s->twin ? TWIN_PREFIX : "", &b->name, e);
	if (r == 0 && !b->name)
		r = err_oom(e);
	if (r < 0)
		return r;
	b->hostname = start_hostname(b->spec, b->name + (s->twin ? strlen(TWIN_PREFIX) : 0));
	if (!b->hostname)
		return err_oom(e);
	return s->again ? 0 : place_take(s->h, b->name, &s->lock, e); /* else it was taken already */
}

/* ---- root file system ------------------------------------------------------------------------- */

static int add_lower(struct start *s, const char *path, struct err *e)
{
	struct plan_tree t;
	int r = ns_tree(&s->d, s->b->userns, path, false, &t, e);

	if (r == 0)
		draft_lower(&s->d, &t);
	return r;
}

__attribute__((format(printf, 2, 3))) static void remark(struct box *b, const char *fmt, ...)
{
	size_t len = strlen(b->remark);
	va_list ap;

	if (len)
		len += (size_t)snprintf(b->remark + len, sizeof(b->remark) - len, "; ");
	va_start(ap, fmt);
	if (len < sizeof(b->remark))
		(void)vsnprintf(b->remark + len, sizeof(b->remark) - len, fmt, ap);
	va_end(ap);
}

/* What belongs to somebody else cannot be copied when it is written to: EOVERFLOW, which says little; where its mode already forbids
 * that, EACCES. */
static void check_owner(struct start *s, const struct stat *st, const char *what, const char *so)
{
	bool user = start_knows_user(s, st->st_uid);

	if (s->b->spec->ids == SPEC_IDS_HOST || (user && start_knows_group(s, st->st_gid)))
		return;
	remark(s->b,
	       "%s belongs to %s %u, whom the sandbox does not know: %s (\"Value too large for defined data type\" or "
	       "\"Permission denied\")", what, user ? "group" : "uid", user ? st->st_gid : st->st_uid, so);
}

static int step_root(struct start *s, struct err *e)
{
	auto_free char *name = NULL, *path = NULL;
	struct stat st;
	int r;

	switch (s->b->spec->root) {
	case SPEC_ROOT_DIR:
		r = layers_check_rootfs(s->b->spec->rootfs, &st, e);
		if (r == 0 && !s->b->spec->read_only)
			check_owner(s, &st, "the root file system", "its directories cannot be written");
		return r < 0 ? r : add_lower(s, s->b->spec->rootfs, e);
	case SPEC_ROOT_HOST:
		r = layers_skeleton(s->h->layers, &name, e);
		if (r == 0 && asprintf(&path, "%s/layers/%s", s->h->data_path, name) < 0) {
			path = NULL;
			r = err_oom(e);
		}
		if (r == 0)
			r = add_lower(s, path, e);
		return r < 0 ? r : ns_host_plan(&s->d, e);
	default:
		return err_set(e, ERR_UNSUPPORTED,
			       "image '%s': images are not in this version yet; --rootfs DIR takes an "
			       "unpacked root file system, --host this machine's own programs",
			       s->b->spec->image ? s->b->spec->image : "");
	}
}

/* ---- where changes go ------------------------------------------------------------------------- */

static bool needs_upper(const struct spec *s)
{
	for (size_t i = 0; i < s->nmounts; i++)
		if (s->mounts[i].kind == SPEC_BIND_COW)
			return true;
	return !s->read_only;
}

/* What a later start needs is on disk before anything inside runs. */
static int step_record(struct start *s, struct err *e)
{
	struct box *b = s->b;
	int r = 0;

	if (!s->life || s->life & BOX_UNTIL_END)
		return 0;
	if (!s->again && !b->has_upper) {
		r = place_upper_take(s->h, b->name, e);
		b->has_upper = r == 0;
	}
	if (r == 0 && !s->again) {
		b->kept = true;
		r = kept_write(s->h, b->name, b->spec, e);
	}
	if (r == 0)
		r = kept_hold(s->h, b->name, e);
	if (r < 0)
		return r;
	(void)draft_fd(&s->d, r); /* the keeper just has it */
	return s->again ? kept_set_unclean(s->h, b->name, e) : 0;
}

/* A directory for them, or the one that was left. To make one may take long: where nobody but the keeper needs it yet, he
 * makes it. */
static int take_upper(struct start *s, struct err *e)
{
	int r = 0;

	if (!s->life && !s->on->n && !s->again)
		s->d.plan.flags |= place_upper_reuse(s->h, s->b->name) ? 0 : PLAN_NEW_BOX;
	else if (!s->again)
		r = place_upper_take(s->h, s->b->name, e);
	s->b->has_upper |= r == 0;
	return r;
}

static int step_upper(struct start *s, struct err *e)
{
	struct plan *p = &s->d.plan;
	const struct spec *spec = s->b->spec;
	struct err no_store;
	int r = ns_tree(&s->d, s->b->userns, s->h->data_path, false, &p->store, &no_store);

	if (spec->read_only)
		p->flags |= PLAN_READONLY_ROOT;
	if (!needs_upper(spec))
		return 0;
	if (spec->upper == SPEC_UPPER_TMPFS) {
		p->flags |= PLAN_UPPER_TMPFS;
		p->upper_size = spec->upper_size_bytes ? spec->upper_size_bytes : UPPER_DEFAULT;
		return 0;
	}
	if (r < 0) { /* without changes on disk only snapshots need it, and say so */
		*e = no_store;
		return r;
	}
	r = take_upper(s, e);
	if (r < 0)
		return r;
	p->box = draft_str(&s->d, s->b->name);
	return 0;
}

/* Those that were noted. */
static int old_layers(struct start *s, struct err *e)
{
	auto_buf struct buf now = BUF_INIT(STACK_MAX * LAYER_NAME), base = BUF_INIT(STACK_MAX * LAYER_NAME);
	struct kept_state k = {0};
	int r = kept_state(s->h, s->b->name, &k, e);

	if (r == 0 && (k.now.n || k.base.n) && !s->d.plan.store.path && s->d.plan.store.fd < 0)
		r = err_set(e, ERR_UNSUPPORTED, "the file system of the data directory cannot be shown to the sandbox");
	stack_to_text(&k.now, &now);
	stack_to_text(&k.base, &base);
	s->d.plan.stack = draft_str(&s->d, now.data ? now.data : "");
	s->d.plan.base = draft_str(&s->d, base.data ? base.data : "");
	s->d.plan.generation = k.generation;
	s->d.plan.continued = k.continued;
	kept_state_done(&k);
	return r;
}

/* Noted before anything stands on them: else the sweeper might remove them. */
static int step_layers(struct start *s, struct err *e)
{
	auto_with(nodes_close) struct nodes n = {.dir = -1, .layers_lock = -1};
	auto_buf struct buf text = BUF_INIT(STACK_MAX * LAYER_NAME);
	int r;

	if (s->again)
		return old_layers(s, e);
	if (!s->on->n)
		return 0;
	if (!s->d.plan.store.path && s->d.plan.store.fd < 0)
		return err_set(e, ERR_UNSUPPORTED, "the file system of the data directory cannot be shown to the sandbox");
	r = nodes_open(s->h, s->b->name, true, &n, e);
	if (r < 0)
		return r;
	s->b->has_upper = true;
	r = stack_copy(&n.base, s->on, e);
	if (r == 0)
		r = stack_copy(&n.now, s->on, e);
	if (r == 0)
		r = nodes_write(&n, e);
	stack_to_text(s->on, &text);
	if (r == 0)
		s->d.plan.stack = draft_str(&s->d, text.data);
	return r;
}

/* ---- keeper, network, volumes ------------------------------------------------------------------ */

/* The keeper, without a plan yet. Its user namespace is needed to show it trees of the host. */
static int step_keeper(struct start *s, struct err *e)
{
	const struct spec *spec = s->b->spec;
	struct box *b = s->b;
	int r;

	r = home_take_keeper(s->h, spec->network != SPEC_NET_HOST, spec->ids == SPEC_IDS_HOST,
			     spec->oom_score_adj_set ? spec->oom_score_adj : 0, &s->keeper, e);
	if (r < 0)
		return r;
	b->ctl = s->keeper.ctl;
	b->pidfd = s->keeper.pidfd;
	b->child = s->keeper.child;
	if (!ns_by_fd(&s->h->ids, spec)) {
		close_fd(&s->keeper.userns);
		return 0;
	}
	b->userns = s->keeper.userns;
	while (b->pidfd < 0 && !b->why.code) /* both come together */
		if (box_talk(b, -1, e) < 0 && !b->why.code)
			return e ? e->code : ERR_DIED;
	if (b->why.code)
		*e = b->why;
	else if (b->userns < 0)
		return err_set(e, ERR_DIED, "the user namespace of the keeper cannot be opened");
	return b->why.code;
}

static int step_network(struct start *s, struct err *e)
{
	return net_plan(&s->d, s->b->spec, s->b->hostname, e);
}

/* A volume that is a file was copied before. */
static void check_volume(struct start *s, const struct spec_mount *m)
{
	auto_free char *what = NULL;
	struct stat st;

	if (m->kind != SPEC_BIND_COW || stat(m->source, &st) < 0 || !S_ISDIR(st.st_mode))
		return;
	if (asprintf(&what, "'%s'", m->source) < 0)
		what = NULL;
	check_owner(s, &st, what ? what : "a volume", "what is theirs cannot be written");
}

static int step_mounts(struct start *s, struct err *e)
{
	const char *const own[2] = {s->h->data_path, s->h->state_path};

	for (size_t i = 0; i < s->b->spec->nmounts; i++)
		check_volume(s, &s->b->spec->mounts[i]);
	return ns_mounts_plan(&s->d, s->b->userns, &s->keeper.prep, s->b->spec, own, e);
}

/* ---- the jump --------------------------------------------------------------------------------- */

static int step_names(struct start *s, struct err *e)
{
	struct plan *p = &s->d.plan;
	const char *dir = s->b->spec->working_dir;

	(void)e;
	p->name = draft_str(&s->d, s->b->name);
	p->hostname = draft_str(&s->d, s->b->hostname);
	p->working_dir = draft_str(&s->d, dir ? dir : "/");
	return 0;
}

static int step_plan(struct start *s, struct err *e)
{
	struct msg_head head = {.op = OP_PLAN};
	struct draft *d = &s->d;
	int r = 0, listen = -1;

	if (s->life) {
		r = attach_listen(s->h, s->b->name, s->b->spec, s->life & BOX_UNTIL_END, &listen, e);
		if (r < 0)
			return r;
		d->plan.listen = draft_fd(d, listen);
		d->plan.flags |= s->life & BOX_FOR_JOB ? PLAN_FOR_JOB : 0;
	}
	d->plan.flags |= s->once ? PLAN_ONCE : 0;
	d->plan.flags |= s->twin ? PLAN_TWIN : 0;
	d->plan.flags |= s->twin == AHEAD_LATER ? PLAN_LATER : 0;
	d->plan.lock = draft_fd(d, take_fd(&s->lock));
	r = draft_finish(d, e);
	if (r < 0)
		return r;
	r = msg_send(s->b->ctl, &head, d->blob.data, d->blob.len, d->fds, d->nfds);
	if (r == -EPIPE || r == -ECONNRESET)
		return box_gone(s->b, e);
	return r < 0 ? err_sys(e, r, "hand the plan to the keeper") : 0;
}

static const struct {
	const char *name;
	int (*run)(struct start *s, struct err *e);
} steps[] = {
	{"name", step_name},	 /* taken, or the start ends here */
	{"keeper", step_keeper}, /* with its namespaces and ids */
	{"ids", start_ids},
	{"root file system", step_root},
	{"changes", step_upper},
	{"layers", step_layers},
	{"mounts", step_mounts},
	{"network", step_network},
	{"guards", start_guards},
	{"limits", start_limits},
	{"sysctls", start_sysctls},
	{"names", step_names},
	{"record", step_record}, /* of one that can be stopped and started */
	{"plan", step_plan},	 /* from here on it is the keeper's turn */
};

static void start_done(struct start *s)
{
	draft_done(&s->d);
	close_fd(&s->lock);
	if (s->b)
		close_fd(&s->b->userns);
}

static int run_steps(struct start *s, struct err *e)
{
	struct box *b = s->b;
	int r = spec_check(b->spec, e);

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && r == 0; i++) {
		r = fault(steps[i].name, e);
		if (r == 0)
			r = steps[i].run(s, e);
	}
	if (r < 0)
		err_wrap(e, "start%s%s%s", b->name ? " '" : "", b->name ? b->name : "",
			 b->name ? "'" : "");
	return r;
}

/* Nothing has run in it: what was there before is there still. */
static void give_up(struct start *s, struct box *b)
{
	if (!s->again) {
		close_fd(&s->lock);
		(void)box_delete(b, NULL);
		return;
	}
	if (box_end_keeper(b, NULL) == 0) {
		if (s->was_clean)
			(void)kept_set_clean(s->h, b->name, NULL);
		if (s->lock >= 0)
			place_let_go(s->h, b->name, &s->lock);
		else
			place_give_back(s->h, b->name, true);
	}
	box_close(b);
}

/* Takes over @spec. */
static int start(struct start *s, struct spec *spec, bool wait, struct box **ret, struct err *e)
{
	struct box *b = calloc(1, sizeof(*b));
	int r;

	draft_init(&s->d);
	if (!b || !spec) {
		spec_free(spec);
		free(b);
		return err_oom(e);
	}
	s->b = b;
	b->home = s->h;
	b->shared = s->life;
	b->spent = s->once;
	b->nameless = s->twin;
	b->counted = true;
	b->spare_early = ++s->h->live <= SPARES_EARLY_MAX && s->h->resets && !s->life && !s->once;
	b->kept = s->again;
	b->ctl = b->pidfd = b->userns = b->files = -1;
	b->asked_ns = sys_now_ns();
	b->spec = spec;
	if (s->again && !s->was_clean)
		remark(b, "it was not stopped before it ended: what was written last may be missing");
	r = run_steps(s, e);
	draft_done(&s->d); /* with the lock, which the keeper has now */
	close_fd(&b->userns);
	if (r == 0 && (wait || s->twin))
		shell_ask_early(b);
	if (r == 0 && wait)
		r = box_wait_ready(b, e);
	if (r < 0) {
		s->b = NULL;
		give_up(s, b);
		return r;
	}
	s->b = NULL;
	if (s->again)
		place_sweep(s->h); /* work directories of before are in the trash */
	home_fill_spare(s->h, s->keeper.prep.net, s->keeper.host_ids);
	*ret = b;
	return 0;
}

int box_start(struct home *h, const struct spec *spec, bool wait, enum box_life life, struct box **ret,
	      struct err *e)
{
	const struct stack none = {0};

	return box_start_on(h, spec, &none, wait, life, ret, e);
}

int box_start_on(struct home *h, const struct spec *spec, const struct stack *on, bool wait, enum box_life life,
		 struct box **ret, struct err *e)
{
	auto_with(start_done) struct start s = {.h = h, .lock = -1, .life = life & ~BOX_ONCE, .once = life & BOX_ONCE, .on = on};
	bool like_any = life == BOX_ATTACHED && !on->n;
	int r = home_check_owner(h, e);

	if (r < 0)
		return r;
	if (!like_any || !(*ret = twin_take(h, spec, wait)))
		r = start(&s, spec_copy(spec), wait, ret, e);
	if (r == 0 && like_any)
		twin_next(h, spec);
	return r;
}

int start_twin(struct home *h, const struct spec *spec, bool later, struct box **ret, struct err *e)
{
	const struct stack none = {0};
	auto_with(start_done) struct start s = {.h = h, .lock = -1, .twin = later ? AHEAD_LATER : AHEAD_NOW, .on = &none};

	return start(&s, spec_copy(spec), false, ret, e);
}

int box_start_again(struct home *h, struct spec *spec, int lock, bool was_clean, bool wait, struct box **ret,
		    struct err *e)
{
	const struct stack none = {0};
	auto_with(start_done) struct start s = {.h = h, .lock = lock, .life = BOX_DETACHED, .again = true,
						.was_clean = was_clean, .on = &none};

	return start(&s, spec, wait, ret, e);
}
