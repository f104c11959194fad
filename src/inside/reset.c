/* SPDX-License-Identifier: Apache-2.0
 *
 * reset.c - throw a generation away and stand in the next
 *
 * How it works: the reaper is killed, and with it everything inside. The next generation is a spare
 * whose root is built already, or is built now. What was written stays behind in up/gN, of which
 * the caller is told the number; he moves it aside. After the answer the next spare is begun; its
 * reaper builds beside the keeper, which looks when it reports.
 *
 * Closing the namespaces of a large generation takes long, so a child that has copies of them, and
 * only exits, is the last to close them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

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

static int begin(struct keeper *k, struct generation *g, struct err *e)
{
	int r;

	generation_init(k, g);
	r = root_overlay(k, g, e);
	return r < 0 ? r : generation_start(k, g, e);
}

/* Until the reaper of @old is reaped. What ran in it ends too, and is told. */
static int wait_for_end(struct keeper *k, const struct generation *old, struct err *e)
{
	struct rusage ru;
	int status;

	for (;;) {
		pid_t pid = wait4(-1, &status, 0, &ru);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return err_sys(e, errno, "wait for the end of the old generation");
		if (WIFSTOPPED(status)) {
			(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
			continue;
		}
		if (pid == old->pid)
			return 0;
		if (!files_ended(k, pid))
			exec_ended(k, pid, status, &ru);
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
}

/* See above. Where no process can be made, we close them. */
static void drop_later(struct keeper *k, struct generation *g)
{
	struct err e;

	if (sys_setns(k->self, CLONE_NEWPID) == 0) {
		if (sys_fork(0, NULL) == 0)
			_exit(0);
		(void)generation_return(k, &e);
	}
	drop(g);
}

static int change(struct keeper *k, struct generation *old, struct err *e)
{
	struct generation g = k->spare;
	int r = storage_is_open(k) ? storage_close(k, e) : 0; /* only the first drops it for itself */

	if (r < 0)
		return r;
	*old = k->now;
	files_reset(k);
	generation_kill(old);
	k->now.pid = 0;
	k->spare.pid = 0;
	r = reset_go_home(k, e);
	if (r == 0)
		root_overlay_done(k, old);
	if (r == 0 && !g.pid)
		r = begin(k, &g, e);
	if (r == 0 && g.news >= 0)
		r = generation_finish(k, &g, e);
	if (r == 0 && old->pid)
		r = wait_for_end(k, old, e);
	return r < 0 ? r : generation_enter(k, &g, e);
}

int reset_run(struct keeper *k, struct client *c, uint32_t id)
{
	struct msg_head done = {.op = OP_RESET_DONE, .id = id};
	struct generation old;
	struct err e = {0};

	if (k->spent)
		return ERR_STATE; /* the caller knows and does not ask */
	if (change(k, &old, &e) < 0) { /* never half reset */
		done.op = OP_FAILED;
		(void)msg_send(c->fd, &done, &e, sizeof(e), NULL, 0);
		_exit(1);
	}
	shell_reset(k);
	done.arg = old.number;
	(void)msg_send(c->fd, &done, NULL, 0, NULL, 0);
	drop_later(k, &old);
	k->want_spare = true;
	return 0;
}

static void give_up(struct keeper *k, struct generation *g)
{
	root_overlay_done(k, g);
	drop(g);
}

void reset_prepare(struct keeper *k)
{
	struct err e;
	int r;

	if (!k->want_spare || k->spare.pid || !k->now.pid)
		return;
	k->want_spare = false;
	r = reset_go_home(k, &e);
	if (r == 0 && begin(k, &k->spare, &e) < 0)
		give_up(k, &k->spare); /* the next reset tries again, and says why */
	if (generation_return(k, &e) < 0)
		_exit(1); /* nothing could be started any more */
}

void reset_spare_reports(struct keeper *k)
{
	struct err e;

	if (generation_finish(k, &k->spare, &e) < 0)
		drop(&k->spare);
}

void reset_spare_ended(struct keeper *k)
{
	drop(&k->spare);
}
