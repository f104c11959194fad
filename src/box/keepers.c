/* SPDX-License-Identifier: Apache-2.0
 *
 * keepers.c - where a caller's keepers come from
 *
 * How it works: as a rule from his nursery, one small process from which keepers are cloned (see
 * inside/nursery.c). A caller who may have children and will not make many sandboxes (the command line)
 * goes without it and starts his keeper himself, straight into its namespaces: a process less to make, and
 * to wait for at the end. A user with subuids needs the nursery in any case: all his sandboxes are nested
 * in the user namespace that newuidmap maps once.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "box/home.h"
#include "box/init_image.h"
#include "sys/proc.h"
#include "sys/spawn.h"
#include "wire/birth.h"
#include "wire/msg.h"

/* In <sys/wait.h> only of newer C libraries. */
enum { BY_PIDFD = 3 };

#define ASKED_NS (SWEEP_AFTER_MS * 1000000ull * 3 / 4) /* so long whoever asks is before the sweeper, which was asked already */

static int have_image(struct home *h, struct err *e)
{
	int r;

	if (h->image >= 0)
		return 0;
	r = init_image_open(e);
	if (r < 0)
		return r;
	h->image = r;
	return 0;
}

static int make_pair(int *ours, int *theirs, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	*ours = pair[0];
	*theirs = pair[1];
	return 0;
}

/* ---- the nursery ------------------------------------------------------------------------------ */

void keepers_store(struct home *h)
{
	const struct msg_head head = {.op = OP_SWEEP, .arg = SWEEP_AT_END};
	const int fds[] = {h->trash, h->state, h->boxes, h->layers};

	if (h->nursery >= 0)
		(void)msg_send(h->nursery, &head, NULL, 0, fds, sizeof(fds) / sizeof(*fds)); /* only a help */
}

static int start_nursery(struct home *h, struct err *e)
{
	struct msg_head head = {.op = OP_HELLO};
	struct hello hello;
	auto_fd int ours = -1, theirs = -1;
	int r = make_pair(&ours, &theirs, e);

	if (r == 0)
		r = have_image(h, e);
	if (r < 0)
		return r;
	r = sys_spawn_image(h->image, "nursery", theirs, !h->children, &h->nursery_pid);
	if (r < 0)
		return err_sys(e, r, "start hutch-init");
	ns_ids_hello(&h->ids, &hello);
	r = msg_send(ours, &head, &hello, sizeof(hello), &h->self, 1);
	if (r < 0)
		return err_sys(e, r, "talk to the nursery");
	h->nursery = take_fd(&ours);
	h->swept_ns = 0;
	if (h->trash >= 0) /* it is a second one */
		keepers_store(h);
	return 0;
}

static void stop_nursery(struct home *h)
{
	const struct msg_head head = {.op = OP_SWEEP, .arg = SWEEP_AT_END};

	if (h->nursery >= 0 && h->owner == getpid()) /* it leaves nothing */
		(void)msg_send(h->nursery, &head, NULL, 0, NULL, 0);
	close_fd(&h->nursery); /* it ends by itself */
	if (h->children && h->nursery_pid > 0 && h->owner == getpid())
		while (waitpid(h->nursery_pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	h->nursery_pid = 0;
}

/* Asks the nursery, which is started anew when it has died. Under the lock. */
static int ask_nursery(struct home *h, const struct prepare *p, const int *fds, unsigned nfds,
		       struct err *e)
{
	struct msg_head head = {.op = OP_PREPARE};
	int r = -EPIPE;

	for (int try = 0; try < 2 && (r == -EPIPE || r == -ECONNRESET); try++) {
		if (try)
			stop_nursery(h);
		if (h->nursery < 0) {
			r = start_nursery(h, e);
			if (r < 0)
				return r;
		}
		r = msg_send(h->nursery, &head, p, sizeof(*p), fds, nfds);
	}
	return r < 0 ? err_sys(e, r, "ask the nursery") : 0;
}

/* ---- without ---------------------------------------------------------------------------------- */

static int give_score(pid_t pid, int adj, struct err *e)
{
	char path[48], text[16];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	snprintf(text, sizeof(text), "%d", adj);
	r = sys_write_file(AT_FDCWD, path, text);
	return r < 0 ? err_sys(e, r, "set oom_score_adj to %s", text) : 0;
}

/* What it shall be, said before it is there: so it need not wait for us. */
static int brief(struct home *h, int lock, const struct rlimit limits[RLIM_NLIMITS], struct spare *s, struct err *e)
{
	struct alone a = {.prep = s->prep, .asked_ns = sys_now_ns()};
	struct msg_head head = {.op = OP_ALONE};
	int r;

	static_assert(sizeof(a.limits) / sizeof(*a.limits) == RLIM_NLIMITS, "one for each");
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		a.limits[i][0] = limits[i].rlim_cur;
		a.limits[i][1] = limits[i].rlim_max;
	}
	r = msg_send(s->ctl, &head, &a, sizeof(a), (int[]){h->self, lock}, lock < 0 ? 1 : 2);
	return r < 0 ? err_sys(e, r, "brief the keeper") : 0;
}

/* What the nursery does for a keeper otherwise. */
static int bring_up(struct home *h, pid_t pid, const struct rlimit limits[RLIM_NLIMITS], struct spare *s, struct err *e)
{
	struct msg_head head = {.op = OP_IDS};
	int r = birth_give_ids(&s->prep, pid, s->pidfd, &s->userns, e);

	if (r == 0 && h->ids.persona == NS_ROOT)
		sys_limits_raise(pid, limits);
	if (r == 0 && s->prep.oom_score_adj < 0)
		r = give_score(pid, s->prep.oom_score_adj, e);
	if (r < 0 || s->prep.ids == PLAN_IDS_SELF)
		return r;
	r = msg_send(s->ctl, &head, NULL, 0, NULL, 0);
	return r < 0 ? err_sys(e, r, "talk to the keeper") : 0;
}

static int start_keeper(struct home *h, int theirs, int lock, struct spare *s, struct err *e)
{
	struct rlimit limits[RLIM_NLIMITS];
	bool in_spaces;
	pid_t pid;
	int r = have_image(h, e);

	sys_limits(limits);
	if (r == 0)
		r = brief(h, lock, limits, s, e);
	if (r < 0)
		return r;
	r = sys_spawn_apart(h->image, "keeper", theirs, birth_spaces(&s->prep), &pid, &s->pidfd, &in_spaces);
	if (r < 0)
		return in_spaces ? err_sys(e, r, "start hutch-init") : birth_refused(-r, e);
	s->child = true;
	r = bring_up(h, pid, limits, s, e);
	if (r < 0)
		(void)sys_pidfd_signal(s->pidfd, SIGKILL);
	return r;
}

void home_reap_keeper(int pidfd)
{
	siginfo_t end;

	/* A host that ignores SIGCHLD, or waits for any child, has done it already: ECHILD. */
	while (pidfd >= 0 && waitid((idtype_t)BY_PIDFD, (id_t)pidfd, &end, WEXITED) < 0 && errno == EINTR)
		;
}

void home_drop_keeper(struct spare *s)
{
	close_fd(&s->ctl); /* it ends by itself */
	if (s->child)
		home_reap_keeper(s->pidfd);
	close_fd(&s->pidfd);
	close_fd(&s->userns);
	*s = SPARE_NONE;
}

/* ---- one keeper ------------------------------------------------------------------------------- */

static bool nurseless(const struct home *h)
{
	return h->nurseless && h->ids.persona != NS_SUBIDS;
}

static int make_keeper(struct home *h, bool net, bool host_ids, int oom_score_adj, enum ahead_of ahead, struct spare *ret,
		       struct err *e)
{
	auto_with(home_drop_keeper) struct spare s = SPARE_NONE;
	auto_fd int theirs = -1, lock = -1;
	uint32_t range = 0;
	int r = make_pair(&s.ctl, &theirs, e);

	if (r == 0 && h->ids.persona == NS_ROOT && !host_ids)
		r = ns_range_take(h->state, &h->window, &h->range_hint, &range, &lock, e);
	if (r < 0)
		return r;
	s.host_ids = host_ids;
	s.prep.net = net;
	s.prep.timens = 1;
	s.prep.ahead = ahead;
	s.prep.oom_score_adj = oom_score_adj;
	ns_ids_prepare(&h->ids, host_ids, range, &s.prep);
	r = nurseless(h) ? start_keeper(h, theirs, lock, &s, e) :
			   ask_nursery(h, &s.prep, (int[]){theirs, lock}, lock < 0 ? 1 : 2, e);
	if (r < 0)
		return r;
	*ret = s;
	s = SPARE_NONE;
	return 0;
}

/* Is there a spare of this kind, and is it alive? */
static bool spare_fits(struct home *h, bool net, bool host_ids)
{
	struct pollfd p = {.fd = h->spare.ctl, .events = POLLIN};
	int r;

	if (h->spare.ctl < 0 || h->spare.prep.net != (uint32_t)net || h->spare.host_ids != host_ids)
		return false;
	r = poll(&p, 1, 0);
	if (r == 1 && p.revents & (POLLHUP | POLLERR)) {
		home_drop_keeper(&h->spare);
		return false;
	}
	if (r == 0 && h->spare.prep.ahead == AHEAD_LATER && h->nursery >= 0)
		(void)msg_try(h->nursery, &(struct msg_head){.op = OP_HURRY}, NULL, 0, NULL, 0);
	return true;
}

int home_take_keeper(struct home *h, bool net, bool host_ids, int oom_score_adj, struct spare *ret,
		     struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&h->lock);
	if (oom_score_adj >= 0 && spare_fits(h, net, host_ids)) {
		*ret = h->spare;
		h->spare = SPARE_NONE;
	} else {
		r = make_keeper(h, net, host_ids, oom_score_adj, AHEAD_NOT, ret, e);
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

void home_fill_spare(struct home *h, bool net, bool host_ids)
{
	uint64_t now = sys_now_ns();

	pthread_mutex_lock(&h->lock);
	if (h->keep_spare && h->spare.ctl < 0) {
		(void)make_keeper(h, net, host_ids, 0, now - h->spare_ns < CLOSELY_NS ? AHEAD_NOW : AHEAD_LATER, &h->spare, NULL);
		h->spare_ns = now;
	}
	pthread_mutex_unlock(&h->lock);
}

/* ---- the sweeper ------------------------------------------------------------------------------ */

/* It takes as long as it takes, and outlives us. */
static int start_sweeper(struct home *h, const struct msg_head *head, const int *fds, unsigned nfds,
			 struct err *e)
{
	auto_fd int ours = -1, theirs = -1;
	int r = make_pair(&ours, &theirs, e);
	pid_t pid;

	if (r == 0)
		r = have_image(h, e);
	if (r < 0)
		return r;
	r = sys_spawn_image(h->image, "sweeper", theirs, true, &pid);
	if (r == -EAGAIN) /* an orphan is two processes for a moment; a child of ours is one */
		r = sys_spawn_image(h->image, "sweeper", theirs, false, &pid);
	if (r == 0)
		r = msg_send(ours, head, NULL, 0, fds, nfds);
	return r < 0 ? err_sys(e, r, "start the sweeper") : 0;
}

int home_sweep(struct home *h, int out, bool soon, struct err *e)
{
	struct msg_head head = {.op = OP_SWEEP, .arg = soon ? SWEEP_SOON : SWEEP_NOW};
	int fds[] = {h->trash, h->state, h->boxes, h->layers, out}, r;
	unsigned nfds = out < 0 ? 4 : 5;
	uint64_t now = sys_now_ns();

	pthread_mutex_lock(&h->lock);
	if (nurseless(h)) {
		r = start_sweeper(h, &head, fds, nfds, e);
	} else if (soon && now - h->swept_ns < ASKED_NS) {
		r = 0; /* it comes, for all who ask before it does */
	} else {
		r = h->nursery < 0 ? -EPIPE : msg_send(h->nursery, &head, NULL, 0, fds, nfds);
		if (r < 0)
			err_sys(e, r, "ask the sweeper");
		else if (soon)
			h->swept_ns = now;
	}
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* ---- begin and end ---------------------------------------------------------------------------- */

int keepers_open(struct home *h, struct err *e)
{
	return nurseless(h) ? 0 : start_nursery(h, e);
}

int keepers_first(struct home *h, bool net, bool host_ids, struct err *e)
{
	return make_keeper(h, net, host_ids, 0, AHEAD_NOT, &h->spare, e);
}

void keepers_close(struct home *h)
{
	/* In a forked child it is not ours. */
	if (h->owner != getpid())
		h->spare.child = false;
	home_drop_keeper(&h->spare);
	stop_nursery(h);
}
