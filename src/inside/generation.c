/* SPDX-License-Identifier: Apache-2.0
 *
 * generation.c - start, enter and end what a reset throws away
 *
 * How it works: the keeper clones the reaper into new pid, mount, ipc, uts and cgroup namespaces.
 * The reaper builds the root (root.c), reports on a socket, gives up every power and descriptor and
 * from then on does nothing: SIGCHLD is ignored, so the kernel reaps for it. Everything else inside
 * is started by the keeper, which stands in the generation's namespaces (not its pid namespace):
 * its children are at no moment in any other mount namespace than the inside's, so none of them
 * can be caught showing the storage.
 *
 * Where more powers than Docker's were asked, or an id that the keeper's user namespace has not,
 * the reaper makes a user namespace below the keeper's, and namespaces that belong to it: what was
 * mounted comes along locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

enum { SPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS };

enum report_kind { REPORT_WANTS_MAP = 1, REPORT_READY, REPORT_FAILED };

struct report {
	uint32_t kind;
	struct err e;
	uint64_t marks[READY_MARKS];
};

static uint64_t spaces(const struct plan *pl)
{
	return SPACES | (pl->flags & PLAN_CGROUPNS ? CLONE_NEWCGROUP : 0);
}

/* ---- the reaper ------------------------------------------------------------------------------- */

static int nest(const struct plan *pl, int news, struct err *e)
{
	struct report rep = {.kind = REPORT_WANTS_MAP};
	uint64_t flags = spaces(pl) | (pl->flags & PLAN_NET ? CLONE_NEWNET : 0);
	char c;

	if (unshare(CLONE_NEWUSER) < 0)
		return err_sys(e, errno, "make a nested user namespace");
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* else its maps belong to nobody the keeper could be */
	if (send(news, &rep, sizeof(rep), MSG_NOSIGNAL) < 0 || recv(news, &c, 1, 0) != 1)
		return err_set(e, ERR_DIED, "the keeper is gone");
	if (unshare((int)flags) < 0)
		return err_sys(e, errno, "make nested namespaces");
	return pl->flags & PLAN_NET ? net_up(e) : 0;
}

static int reaper_build(struct keeper *k, struct generation *g, int news, struct err *e)
{
	const char *host = pack_get_str(&k->pack, k->plan->hostname);
	int r;

	k->marks[MARK_GENERATION] = sys_now_ns();
	r = root_build(k, g, e);
	if (r == 0 && sethostname(host, strlen(host)) < 0)
		r = err_sys(e, errno, "set the host name '%s'", host);
	if (r == 0 && k->plan->flags & PLAN_NESTED)
		r = nest(k->plan, news, e);
	return r;
}

/**
 * reaper_main() - Build the inside, then be its pid 1
 *
 * Should:  be dumpable until the keeper has entered the namespaces (the kernel asks for the right to
 *	    trace whom one follows), then give up dumpability, capabilities and descriptors before
 *	    anything else runs inside; the end of @news says that it has
 * Mustn't: ever wake up again: it is the one process that the inside can name
 */
static void reaper_main(struct keeper *k, struct generation *g, int news)
{
	static struct report rep;
	sigset_t all;
	char c;

	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	rep.kind = reaper_build(k, g, news, &rep.e) < 0 ? REPORT_FAILED : REPORT_READY;
	memcpy(rep.marks, k->marks, sizeof(rep.marks));
	(void)send(news, &rep, sizeof(rep), MSG_NOSIGNAL);
	if (rep.kind == REPORT_FAILED || recv(news, &c, 1, 0) != 1)
		_exit(1);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "hutch-init", 0, 0, 0);
	sys_capset(0);
	signal(SIGCHLD, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sys_close_range(0, ~0u);
	for (;;)
		pause();
}

/* ---- the keeper's side ------------------------------------------------------------------------ */

static int open_devpts(struct err *e)
{
	auto_fd int fs = sys_fsopen("devpts");
	int r = fs;

	if (r >= 0)
		r = sys_fs_flag(fs, "newinstance");
	if (r >= 0)
		r = sys_fs_string(fs, "ptmxmode", "0666");
	if (r >= 0)
		r = sys_fs_string(fs, "mode", "0620");
	if (r >= 0)
		r = sys_fs_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	return r < 0 ? err_sys(e, r, "make a devpts") : r;
}

/* Home: own mount namespace, children in the keeper's own pid namespace. */
static int go_home(struct keeper *k, struct err *e)
{
	int r = sys_setns(k->self, CLONE_NEWPID);

	if (r == 0)
		r = sys_setns(k->home_mnt, CLONE_NEWNS);
	return r < 0 ? err_sys(e, r, "return to the keeper's namespaces") : 0;
}

int generation_start(struct keeper *k, struct generation *g, struct err *e)
{
	unsigned number = k->now.number + 1;
	int pair[2], r = 0;

	*g = (struct generation){.pidfd = -1, .pts = -1, .news = -1, .user = -1,
				 .pid_space = -1, .ns = {-1, -1}, .number = number};
	if (k->now.pid)
		r = go_home(k, e);
	if (r < 0)
		return r;
	g->pts = open_devpts(e);
	if (g->pts < 0)
		return g->pts;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	g->pid = sys_fork(CLONE_NEWPID | spaces(k->plan), &g->pidfd);
	if (g->pid == 0) {
		close(pair[0]);
		reaper_main(k, g, pair[1]);
	}
	close(pair[1]);
	g->news = pair[0];
	return g->pid < 0 ? err_sys(e, -g->pid, "make the namespaces of the inside") : 0;
}

/* The map of the nested namespace: either the keeper's ids one to one, or one id under another
 * name. */
static int write_nested_map(struct keeper *k, struct generation *g, struct err *e)
{
	const struct plan *pl = k->plan;
	char path[64], text[PLAN_EXTENTS_MAX * 36];
	int r = 0;

	for (int gid = 0; gid < 2 && r == 0; gid++) {
		const struct plan_extent *x = gid ? pl->gid : pl->uid;
		uint32_t n = gid ? pl->ngid : pl->nuid;
		size_t at = 0;

		if (pl->ids == PLAN_IDS_SELF) {
			at = (size_t)snprintf(text, sizeof(text), "%u 0 1",
					      gid ? pl->nested_gid : pl->nested_uid);
			snprintf(path, sizeof(path), "%d/setgroups", g->pid);
			if (gid)
				r = sys_write_file(k->proc, path, "deny");
		}
		/* An extent may not span two of the parent's. */
		for (uint32_t i = 0; pl->ids != PLAN_IDS_SELF && i < n; i++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%u %u %u\n",
					       x[i].inside, x[i].inside, x[i].count);
		snprintf(path, sizeof(path), "%d/%s", g->pid, gid ? "gid_map" : "uid_map");
		if (r == 0)
			r = sys_write_file(k->proc, path, text);
	}
	if (r == 0 && send(g->news, "g", 1, MSG_NOSIGNAL) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "map the ids of the nested user namespace") : 0;
}

static int wait_report(struct keeper *k, struct generation *g, struct err *e)
{
	static struct report rep;

	for (;;) {
		ssize_t n = recv(g->news, &rep, sizeof(rep), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(rep))
			return err_set(e, ERR_DIED, "the first process inside ended early");
		if (rep.kind == REPORT_WANTS_MAP) {
			int r = write_nested_map(k, g, e);

			if (r < 0)
				return r;
			continue;
		}
		if (rep.kind == REPORT_FAILED) {
			*e = rep.e;
			return e->code;
		}
		memcpy(k->marks + MARK_GENERATION, rep.marks + MARK_GENERATION,
		       (MARK_PIVOT - MARK_GENERATION + 1) * sizeof(rep.marks[0]));
		return 0;
	}
}

int generation_finish(struct keeper *k, struct generation *g, struct err *e)
{
	int r = wait_report(k, g, e);

	if (r < 0) {
		generation_kill(g);
		return r;
	}
	return 0;
}

static int hold(struct keeper *k, const char *name, int *ret, struct err *e)
{
	*ret = openat(k->proc, name, O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, errno, "open '/proc/%s'", name) : 0;
}

/* By way of ourselves, who stand in them. mnt and ipc are held because whoever leaves a namespace
 * last tears it down while somebody waits for him; the others are for coming back. */
static int hold_spaces(struct keeper *k, struct generation *g, struct err *e)
{
	char path[32];
	int r;

	r = hold(k, "self/ns/mnt", &g->ns[0], e);
	if (r == 0)
		r = hold(k, "self/ns/ipc", &g->ns[1], e);
	if (r == 0)
		r = hold(k, "self/ns/pid_for_children", &g->pid_space, e);
	snprintf(path, sizeof(path), "%d/ns/user", g->pid);
	if (r == 0 && k->plan->flags & PLAN_NESTED)
		r = hold(k, path, &g->user, e);
	return r;
}

/* Lets the reaper give up its powers, and sees that it has. */
static int let_go(struct generation *g, struct err *e)
{
	ssize_t n;
	char c;

	n = send(g->news, "g", 1, MSG_NOSIGNAL);
	while (n > 0 || (n < 0 && errno == EINTR))
		n = recv(g->news, &c, 1, 0);
	close_fd(&g->news);
	return n < 0 ? err_sys(e, errno, "wait for the first process inside") : 0;
}

int generation_enter(struct keeper *k, struct generation *g, struct err *e)
{
	int flags = (int)spaces(k->plan) | CLONE_NEWPID, r;

	if ((k->plan->flags & (PLAN_NESTED | PLAN_NET)) == (PLAN_NESTED | PLAN_NET))
		flags |= CLONE_NEWNET;
	r = sys_setns(g->pidfd, flags);
	if (r < 0)
		return err_sys(e, r, "enter the namespaces of the inside");
	r = hold_spaces(k, g, e);
	if (r == 0)
		r = net_sysctls(k, e); /* those of net, ipc and uts: we stand in all three */
	if (r == 0)
		r = let_go(g, e);
	if (r == 0)
		k->now = *g;
	return r;
}

void generation_kill(struct generation *g)
{
	if (g->pidfd >= 0)
		(void)sys_pidfd_signal(g->pidfd, SIGKILL);
}
