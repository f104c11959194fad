/* SPDX-License-Identifier: Apache-2.0
 *
 * end.c - the end of a sandbox
 *
 * How it works: the keeper is told to end, and kills all there is first, so that all of it ends side by side: in the
 * end of a pid namespace the kernel waits for one process after the other. A keeper that does not hear is killed, and
 * with it, by the kernel, everything in its pid namespace.
 * When it says that nothing runs any more, or its pidfd that it is over, its directory of changes goes back to the pool or
 * to the trash (locked by the keeper until no mount is upon it), and its name is given back. To what it only holds yet
 * (mounts, a network) the kernel comes when it likes; for one that others look at, and for a child of ours, its very end is
 * waited for.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "box/op.h"
#include "sys/proc.h"
#include "wire/msg.h"

enum { HEAR_WITHIN_MS = 5, END_WITHIN_MS = 10000, LEARN_WITHIN_MS = 1000 };

/* The pidfd, which comes over the socket like everything else. */
static void learn_pidfd(struct box *b)
{
	while (b->ctl >= 0 && b->pidfd < 0 && !b->dead && !b->why.code)
		if (box_talk(b, LEARN_WITHIN_MS, NULL) <= 0)
			break;
}

/* Return: 1 it has ended. */
static int wait_for_end(int pidfd, int ms)
{
	struct pollfd gone = {pidfd, POLLIN, 0};
	int r;

	do {
		r = poll(&gone, 1, ms);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* One that is being built, or holds all that runs, does not hear. */
static bool ask(struct box *b, bool early)
{
	const struct msg_head head = {.op = OP_END, .arg = early ? 1 | (shell_all_wait(b) ? 2 : 0) : 0};

	return b->ready && !b->dead && b->ctl >= 0 && msg_try(b->ctl, &head, NULL, 0, NULL, 0) == 0;
}

/* Return: whether it has said so. */
static bool wait_for_word(struct box *b)
{
	uint64_t until = sys_now_ns() + HEAR_WITHIN_MS * 1000000ull, now;

	while (!b->ended && !b->dead && (now = sys_now_ns()) < until)
		(void)box_talk(b, (int)((until - now + 999999) / 1000000), NULL);
	return b->ended;
}

static int hangs(const struct box *b, struct err *e)
{
	return err_set(e, ERR_TIMEOUT, "sandbox '%s' has not ended within %d s (a process in it may hang in the kernel)",
		       b->name, END_WITHIN_MS / 1000);
}

/* Nobody else looks whether it is there. */
static bool may_end_early(const struct box *b)
{
	return !b->shared && !b->child;
}

int box_end_keeper(struct box *b, struct err *e)
{
	bool early = may_end_early(b);
	int r = 0;

	learn_pidfd(b);
	if (b->pidfd < 0)
		return 0; /* it was never born */
	if (ask(b, early)) {
		if (early && wait_for_word(b))
			return 0;
		r = wait_for_end(b->pidfd, HEAR_WITHIN_MS);
	}
	if (r != 1) {
		(void)sys_pidfd_signal(b->pidfd, SIGKILL); /* gone already is fine */
		r = wait_for_end(b->pidfd, END_WITHIN_MS);
	}
	if (r == 1 && b->child)
		home_reap_keeper(b->pidfd);
	return r == 1 ? 0 : hangs(b, e);
}

void box_close(struct box *b)
{
	if (!b)
		return;
	op_end(b);
	while (b->runs)
		run_free(b->runs);
	while (b->procs)
		proc_free(b->procs);
	if (b->shell_early)
		b->home->shells = false;
	if (b->spare_early)
		b->home->resets = false;
	if (b->counted)
		b->home->live--;
	shell_drop_all(b);
	stack_done(&b->layers.stack);
	job_drop_all(b);
	close_fd(&b->files);
	close_fd(&b->ctl);
	close_fd(&b->pidfd);
	close_fd(&b->userns);
	spec_free(b->spec);
	free(b->name);
	free(b->hostname);
	free(b->born);
	free(b);
}

enum { TRIES = 20, NAP_MS = 10 };

/* What is on disk of a detached one changes under its name only: it may have been started again, or removed,
 * by somebody else meanwhile. Whoever removes it has the name for a moment. */
static int remove_kept(struct box *b, struct err *e)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000};
	int r = box_remove(b->home, b->name, e);

	for (int i = 1; r == ERR_STATE && i < TRIES; i++) {
		nanosleep(&nap, NULL);
		r = box_remove(b->home, b->name, e);
	}
	return r == ERR_NOT_FOUND ? 0 : r;
}

static int give_back(struct box *b, struct err *e)
{
	if (b->kept)
		return remove_kept(b, e);
	if (b->has_upper)
		place_upper_give_back(b->home, b->name);
	place_give_back(b->home, b->name, b->shared);
	return 0;
}

/* It has ended, or (@r) not. */
static int forget(struct box *b, int r, struct err *e)
{
	shell_drop_all(b); /* not before: it would wake all that wait for text, and die */
	close_fd(&b->ctl); /* where descriptors are few, a sweeper needs them */
	close_fd(&b->pidfd);
	if (r == 0 && b->name)
		r = give_back(b, e);
	place_sweep_others(b->home);
	box_close(b);
	return r;
}

int box_delete(struct box *b, struct err *e)
{
	if (!b)
		return 0;
	op_end(b);
	if (b->home->owner != getpid()) {
		box_close(b);
		return 0;
	}
	shell_drop_mounts(b); /* whoever closes a mount last waits for its end: it shall be the keeper */
	return forget(b, box_end_keeper(b, e), e);
}

static int look(struct op *o, struct err *e)
{
	struct box *b = o->b;
	uint64_t now = sys_now_ns();
	int r = b->pidfd < 0 || (may_end_early(b) && b->ended) ? 1 : wait_for_end(b->pidfd, 0);

	if (r != 1 && now < o->look_by_ns)
		return 0;
	if (r != 1 && !o->killed) {
		(void)sys_pidfd_signal(b->pidfd, SIGKILL); /* gone already is fine */
		o->killed = true;
		o->look_by_ns = now + END_WITHIN_MS * 1000000ull;
		return 0;
	}
	if (r == 1 && b->child)
		home_reap_keeper(b->pidfd);
	r = r == 1 ? 0 : hangs(b, e);
	b->op = NULL;
	o->b = o->talks = NULL;
	o->pidfd = -1;
	r = forget(b, r, e);
	return r < 0 ? r : 1;
}

int box_delete_start(struct box *b, struct op **ret, struct err *e)
{
	struct op *o;
	int r = home_check_owner(b->home, e);

	if (r == 0)
		op_end(b);
	if (r == 0)
		r = op_new(b, "deletion", look, &o, e);
	if (r < 0)
		return r;
	shell_drop_mounts(b);
	learn_pidfd(b);
	o->pidfd = b->pidfd;
	o->look_by_ns = sys_now_ns() + (b->pidfd >= 0 && ask(b, may_end_early(b)) ? HEAR_WITHIN_MS * 1000000ull : 0);
	return op_began(o, 0, ret, e);
}
