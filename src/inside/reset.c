/* SPDX-License-Identifier: Apache-2.0
 *
 * reset.c - throw a generation away and stand in the next
 *
 * How it works: the reaper is killed, and with it everything inside. The next generation is a spare
 * whose root is built already, or is built now. What was written stays behind in up/gN, of which
 * the caller is told the number; he moves it aside. Later the next spare is begun; its
 * reaper builds beside the keeper, which looks when it reports. Not at once: that, and the end of the old mounts, would
 * make the first command as slow again. But to a caller whose resets follow each other closely at once.
 *
 * To end takes what was inside several times as long as all that. So where only shells were there that waited, in a sandbox that
 * shares nothing with others which it could change, they are killed, and nobody waits until they have ended: whoever has been killed runs no
 * more of a program, and what the kernel still does for him nobody else can see. Its reaper is killed after the answer. Whoever
 * needs to know what is alive waits (reset_settle()).
 *
 * Where the reaper was killed all inside has ended. The next call finds a new generation on the same changes.
 *
 * Closing the namespaces of a large generation takes long, so a child that has copies of them, and
 * only exits, is the last to close them. Until then the kernel keeps what was written, also what is
 * removed meanwhile; so the directory is locked, and the sweeper waits for that (sweep.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

#define QUIET_NS 3000000ull   /* a first command takes one to two milliseconds */
#define CLOSELY_NS 8000000ull  /* several times that */

/* Home: own mount namespace, children in the keeper's own pid namespace. */
int reset_go_home(struct keeper *k, struct err *e)
{
	int r;

	if (k->spent)
		return err_set(e, ERR_STATE, "the sandbox is there for the one command that runs in it");
	r = sys_setns(k->self, CLONE_NEWPID);
	if (r == 0)
		r = sys_setns(k->home_mnt, CLONE_NEWNS);
	return r < 0 ? err_sys(e, r, "return to the keeper's namespaces") : 0;
}

/* Return: -1, it cannot be. */
static int lock_dir(const char *at)
{
	int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0) /* as good as any: whoever wants to know wants it alone */
		close_fd(&fd);
	return fd;
}

/* Its mounts end later than it does. At home. */
static void mark_in_use(const struct keeper *k, struct generation *g)
{
	char at[32];

	if (k->plan->flags & PLAN_UPPER_TMPFS || g->in_use >= 0)
		return;
	snprintf(at, sizeof(at), "up/g%u", g->number);
	g->in_use = lock_dir(at);
}

static int begin(struct keeper *k, struct generation *g, const struct stack *on, struct err *e)
{
	int r;

	generation_init(k, g, on);
	r = root_overlay(k, g, e);
	if (r == 0)
		mark_in_use(k, g);
	return r < 0 ? r : generation_start(k, g, e);
}

/* Until the reaper of @old is reaped. What ran in it ends too, and is told. Those of others may be killed meanwhile, too:
 * that of @next (or NULL), whose pid is 0 then, and the spare's. */
static int wait_for_end(struct keeper *k, const struct generation *old, struct generation *next, struct err *e)
{
	struct rusage ru;
	int status;

	for (;;) {
		pid_t pid = wait4(-1, &status, 0, &ru);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return err_sys(e, errno, "wait for the end of the old generation");
		if (pid == old->pid && !WIFSTOPPED(status))
			return 0;
		if (next && pid == next->pid && !WIFSTOPPED(status))
			next->pid = 0; /* it has ended before it was entered: the next command begins it anew */
		else
			keeper_reaped(k, pid, status, &ru);
	}
}

static void drop(struct generation *g)
{
	close_fd(&g->pidfd);
	close_fd(&g->root);
	close_fd(&g->pts);
	close_fd(&g->proc);
	close_fd(&g->mqueue);
	close_fd(&g->user);
	close_fd(&g->news);
	for (int i = 0; i < g->nspaces; i++)
		close_fd(&g->spaces[i]);
	g->nspaces = 0;
	g->pid = 0;
	close_fd(&g->in_use); /* the last */
}

bool reset_abandon(struct keeper *k, int *ret_lock)
{
	struct err e;

	if (reset_go_home(k, &e) < 0)
		return false;
	*ret_lock = k->plan->flags & PLAN_UPPER_TMPFS ? -1 : lock_dir("up");
	return *ret_lock >= 0 || k->plan->flags & PLAN_UPPER_TMPFS;
}

void reset_let_go(struct keeper *k, int *lock)
{
	if (k->has_left)
		drop(&k->left);
	if (k->spare.pid)
		drop(&k->spare);
	drop(&k->now);
	close_fd(lock);
}

static pid_t *leaving(struct keeper *k, pid_t pid)
{
	for (int i = 0; i < LEAVING_MAX; i++)
		if (k->leaving[i] == pid)
			return &k->leaving[i];
	return NULL;
}

static pid_t *ending(struct keeper *k, pid_t pid)
{
	for (int i = 0; i < ENDING_MAX; i++)
		if (k->ending[i] == pid)
			return &k->ending[i];
	return NULL;
}

void reset_settle(struct keeper *k)
{
	struct rusage ru;
	int status;

	for (int i = 0; i < ENDING_MAX; i++)
		while (k->ending[i]) {
			pid_t pid = wait4(-1, &status, 0, &ru);

			if (pid > 0)
				keeper_reaped(k, pid, status, &ru);
			else if (errno != EINTR)
				k->ending[i] = 0; /* it has ended */
		}
}

bool reset_leaves(const struct keeper *k, pid_t pid)
{
	bool is = false;

	for (int i = 0; i < LEAVING_MAX; i++)
		is |= k->leaving[i] == pid;
	for (int i = 0; i < ENDING_MAX; i++)
		is |= k->ending[i] == pid;
	return is;
}

bool reset_left(struct keeper *k, pid_t pid)
{
	pid_t *at = ending(k, pid);

	if (!at)
		at = leaving(k, pid);
	if (at)
		*at = 0;
	return at;
}

void reset_close(struct keeper *k, int mount)
{
	if (mount >= 0 && !k->now.pid && k->nlater < LATER_MAX)
		k->later[k->nlater++] = mount;
	else
		close_fd(&mount);
}

static void close_those(struct keeper *k)
{
	while (k->nlater)
		close_fd(&k->later[--k->nlater]);
}

static void close_all(struct keeper *k, struct generation *g)
{
	close_those(k);
	drop(g);
}

/* Until the keeper has closed its own (the pipe's end @w), and nothing of it is left that ends. */
static void end_last(struct keeper *k, struct generation *g, int r, int w)
{
	char c;

	close(w);
	(void)!read(r, &c, 1);
	(void)poll(&(struct pollfd){g->pidfd, POLLIN, 0}, 1, -1);
	close_all(k, g); /* an exit would do it in any order */
	_exit(0);
}

int reset_outlive(struct keeper *k, struct err *e)
{
	int r = wait_for_end(k, &k->now, NULL, e);

	if (r == 0)
		k->now.pid = 0;
	return r;
}

/* See above. Where no process can be made, we close them. */
static void drop_left(struct keeper *k)
{
	auto_fd int r = -1, w = -1;
	struct generation *g = &k->left;
	pid_t *at = k->now.pid ? leaving(k, 0) : NULL;
	int pipefd[2];
	struct err e;

	if (!k->has_left)
		return;
	k->has_left = false;
	if (at && pipe2(pipefd, O_CLOEXEC) == 0) {
		r = pipefd[0];
		w = pipefd[1];
	}
	if (w >= 0 && sys_setns(k->self, CLONE_NEWPID) == 0) {
		pid_t pid = sys_fork(0, NULL);

		if (pid == 0)
			end_last(k, g, r, w);
		*at = pid > 0 ? pid : 0;
		/* Its reaper may have been killed just now: the next call finds another one on its files (reset_revive()). */
		if (generation_return(k, &e) < 0) {
			generation_kill(&k->now);
			if (reset_outlive(k, &e) < 0)
				_exit(1);
		}
	}
	close_all(k, g);
}

static void give_up(struct keeper *k, struct generation *g)
{
	root_overlay_done(k, g);
	drop(g);
}

static void use_stack(struct keeper *k, struct generation *g, struct stack *on)
{
	stack_done(&k->stack);
	k->stack = *on;
	*on = (struct stack){0};
	g->on = &k->stack;
}

/* For other layers than those of the start there is no spare: the next generation is begun while the present one is
 * there, which stays if that fails. Return: 0, or less than 0 and nothing has changed. */
static int begin_on(struct keeper *k, struct generation *g, const struct stack *on, struct err *e)
{
	struct err back;
	int r = reset_go_home(k, e);

	if (r == 0 && begin(k, g, on, e) < 0) {
		r = e->code;
		generation_kill(g);
		give_up(k, g);
	}
	if (generation_return(k, &back) < 0)
		_exit(1);
	return r;
}

/* What is done inside can be seen outside, or may change what outlives it. */
static bool is_shared(const struct keeper *k)
{
	const struct plan *pl = k->plan;
	const struct plan_mount *m = pack_at(&k->pack, pl->mounts.at, 0);

	for (uint32_t i = 0; i < pl->mounts.count; i++)
		if (m[i].kind == PLAN_BIND && !m[i].readonly)
			return true;
	return !(pl->flags & PLAN_NET) || pl->flags & (PLAN_NESTED | PLAN_UNMASKED) || pl->devices.count;
}

bool reset_end(struct keeper *k)
{
	/* What a session has opened is closed only when its memory is given back; a socket is in the network, which stays. */
	return !is_shared(k) && !k->clients->next && !shell_has_socket(k) && still_end(k);
}

/* Its reaper is killed when somebody has heard of the reset. Return: false, it cannot be remembered. */
static bool let_end(struct keeper *k, struct generation *old)
{
	pid_t *at = ending(k, 0);

	if (!at)
		return false;
	*at = old->pid;
	sys_defer(old->pid);
	old->pid = 0;
	shell_leave(k);
	return true;
}

/* What of @old stands in the keeper's own mount namespace; and @next, where it is not begun (pid 0). */
static int change_at_home(struct keeper *k, struct generation *old, struct generation *next, struct stack *on, struct err *e)
{
	int r;

	if (next->pid && old->in_use >= 0) /* nothing, and it is */
		return 0;
	r = reset_go_home(k, e);
	if (r < 0)
		return r;
	mark_in_use(k, old);
	root_overlay_done(k, old);
	return next->pid ? 0 : begin(k, next, on, e);
}

/* What the old one has used up (processes, most likely) is there again when it has ended. At home. */
static int begin_after(struct keeper *k, struct generation *old, struct generation *next, struct stack *on, struct err *e)
{
	int r;

	generation_kill(old);
	give_up(k, next);
	*next = (struct generation){0};
	r = wait_for_end(k, old, NULL, e);
	old->pid = 0;
	return r < 0 ? r : begin(k, next, on, e);
}

/* Of the one that was begun before the first process has been killed, or has failed: as if there were none. */
static int begin_instead(struct keeper *k, struct generation *next, struct stack *on, struct err *e)
{
	int r = reset_go_home(k, e);

	if (r < 0)
		return r;
	generation_kill(next);
	give_up(k, next);
	r = begin(k, next, on, e);
	return r < 0 ? r : generation_finish(k, next, e);
}

/* @quiet: see reset_end(). */
static int change(struct keeper *k, struct generation *old, struct generation next, bool quiet, struct stack *on, struct err *e)
{
	bool is_spare = next.pid > 0;
	int r;

	*old = k->now;
	files_reset(k);
	if (!quiet || !let_end(k, old))
		generation_kill(old);
	k->now.pid = 0;
	r = change_at_home(k, old, &next, on, e);
	if (r < 0 && old->pid && next.pid < 0 && (e->sys == EAGAIN || e->sys == ENOMEM))
		r = begin_after(k, old, &next, on, e);
	if (r == 0 && next.news >= 0)
		r = generation_finish(k, &next, e);
	if (r < 0 && is_spare && next.pid > 0)
		r = begin_instead(k, &next, on, e);
	if (r == 0 && old->pid)
		r = wait_for_end(k, old, &next, e);
	use_stack(k, &next, on);
	return r < 0 ? r : generation_enter(k, &next, e);
}

static void reopen(const struct keeper *k, unsigned number)
{
	char name[48];

	snprintf(name, sizeof(name), "up/g%u", number);
	overlay_reopen(name);
	for (unsigned i = 0; i < k->plan->mounts.count; i++) {
		snprintf(name, sizeof(name), "up/g%u/cow%u", number, i);
		overlay_reopen(name);
	}
}

/* Nothing inside lives any more, so nothing of it can be in the way. */
int reset_revive(struct keeper *k, struct err *e)
{
	struct generation next;
	int r;

	if (k->now.pid)
		return 0;
	if (k->spent)
		return err_set(e, ERR_DIED, "the sandbox has ended");
	if (k->stop_by_ns)
		return err_set(e, ERR_STATE, "the sandbox is being stopped");
	work_wait(k);
	files_reset(k); /* they look at the mounts of before */
	r = storage_is_open(k) ? storage_close(k, e) : 0;
	if (r == 0)
		r = reset_go_home(k, e);
	if (r < 0)
		return r;
	drop(&k->now);
	reopen(k, k->now.number);
	generation_init(k, &next, &k->stack);
	next.number = k->now.number;
	next.continued = true;
	r = root_overlay(k, &next, e);
	if (r == 0)
		r = generation_start(k, &next, e);
	if (r == 0)
		r = generation_finish(k, &next, e);
	if (r == 0)
		r = generation_enter(k, &next, e);
	if (r < 0) {
		generation_kill(&next);
		drop(&next);
		return err_wrap(e, "its first process was killed, and to begin anew on its files");
	}
	close_those(k);
	return 0;
}

/* Files only. Return: 0, or an error and nothing has changed. */
static int change_files(struct keeper *k, struct stack *on, uint32_t *ret_left, struct err *e)
{
	int r = reset_revive(k, e);

	if (r == 0)
		r = swap_begin(k, on, NULL, e);
	if (r == 0)
		r = swap_ready(k, e);
	if (r == 0)
		*ret_left = swap_go(k);
	return r == SWAP_CANNOT ? err_set(e, ERR_UNSUPPORTED,
				"with a read-only root file system, nested powers, volumes of kind cow or a mount that was "
				"moved processes cannot be kept: the file tree below them cannot be replaced") : r;
}

/* Return: 0, an error and nothing has changed, or it does not return. */
static int run(struct keeper *k, struct client *c, const struct msg *m, struct stack *on, struct err *e)
{
	struct msg_head done = {.op = OP_RESET_DONE, .id = m->head.id};
	struct generation next = {0};
	uint64_t now = sys_now_ns(), lasted_ns = now - k->began_ns;
	bool quiet;
	int r = storage_is_open(k) ? storage_close(k, e) : 0; /* only the first drops it for itself */

	work_wait(k); /* it may read what is thrown away */
	drop_left(k);
	if (r == 0 && m->head.arg & 1) {
		r = change_files(k, on, &done.arg, e);
		if (r == 0)
			(void)client_tell(c, &done, &k->now.number, sizeof(k->now.number), NULL, 0);
		swap_done();
		if (r == 0)
			present_note(k);
		return r;
	}
	if (r == 0 && m->head.op == OP_RESTORE)
		r = begin_on(k, &next, on, e);
	if (r < 0)
		return r;
	quiet = m->head.arg & 2 && reset_end(k);
	if (m->head.op == OP_RESET) {
		next = k->spare;
		k->spare.pid = 0;
	}
	if (change(k, &k->left, next, quiet, on, e) < 0) { /* never half reset */
		done.op = OP_FAILED;
		(void)client_tell(c, &done, e, sizeof(*e), NULL, 0);
		client_finish(c);
		_exit(1);
	}
	shell_reset(k);
	starter_reset(k);
	jobs_reset(k);
	done.arg = k->left.number;
	(void)client_tell(c, &done, &k->now.number, sizeof(k->now.number), NULL, 0);
	generation_kill(&k->left); /* where that only waited, it is there still */
	present_note(k);
	k->has_left = k->want_spare = true;
	reset_begins(k, sys_now_ns());
	if (lasted_ns < CLOSELY_NS)
		k->quiet_until_ns = 0;
	return 0;
}

void reset_run(struct keeper *k, struct client *c, const struct msg *m)
{
	auto_with(stack_done) struct stack on = {0};
	struct err e = {0};
	int r;

	if (k->spent)
		return; /* the caller knows and does not ask */
	r = m->head.op == OP_RESTORE ? stack_from_text(&on, m->body, m->head.body, &e) : stack_copy(&on, &k->base, &e);
	if (r == 0)
		r = run(k, c, m, &on, &e);
	if (r < 0)
		(void)client_tell(c, &(struct msg_head){.op = OP_LAYERS, .id = m->head.id}, &e, sizeof(e), NULL, 0);
}

void reset_begins(struct keeper *k, uint64_t now_ns)
{
	k->began_ns = now_ns;
	k->quiet_until_ns = now_ns + QUIET_NS;
}

static bool wants_spare(const struct keeper *k)
{
	return k->want_spare && !k->spare.pid && k->now.pid;
}

bool reset_is_due(const struct keeper *k, uint64_t now_ns, uint64_t *due_ns)
{
	if (!k->has_left && !wants_spare(k))
		return false;
	if (k->quiet_until_ns <= now_ns)
		return true;
	if (!*due_ns || k->quiet_until_ns < *due_ns)
		*due_ns = k->quiet_until_ns;
	return false;
}

void reset_prepare(struct keeper *k)
{
	struct err e;
	int r;

	if (sys_now_ns() < k->quiet_until_ns)
		return;
	drop_left(k);
	if (!wants_spare(k))
		return;
	k->want_spare = false;
	if (k->spent)
		return;
	r = reset_go_home(k, &e);
	if (r == 0 && begin(k, &k->spare, &k->base, &e) < 0)
		give_up(k, &k->spare); /* the next reset tries again, and says why */
	if (generation_return(k, &e) < 0)
		_exit(1); /* nothing could be started any more */
}

void reset_spare_reports(struct keeper *k)
{
	struct err e;

	if (generation_finish(k, &k->spare, &e) < 0)
		drop(&k->spare);
	else
		shell_ahead(k);
}

void reset_spare_ended(struct keeper *k)
{
	drop(&k->spare);
}
