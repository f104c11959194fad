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
#include <assert.h>
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

enum report_kind { REPORT_WANTS_MAP = 1, REPORT_READY, REPORT_FAILED };

struct report {
	struct err e;
	uint64_t marks[READY_MARKS];
};

static const struct {
	const char *file; /* in /proc/self/ns, as the reaper sees itself */
	int flag;
} kinds[] = {
	{"mnt", CLONE_NEWNS}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
	{"pid", CLONE_NEWPID}, {"cgroup", CLONE_NEWCGROUP}, {"net", CLONE_NEWNET},
};

static_assert(sizeof(kinds) / sizeof(*kinds) == SPACES_MAX, "one place for each");

/* The namespaces that a generation has of its own. A network only where commands rule over it. */
static int own_spaces(const struct plan *pl)
{
	int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;

	if (pl->flags & PLAN_CGROUPNS)
		flags |= CLONE_NEWCGROUP;
	if ((pl->flags & (PLAN_NESTED | PLAN_NET)) == (PLAN_NESTED | PLAN_NET))
		flags |= CLONE_NEWNET;
	return flags;
}

/* ---- the reaper ------------------------------------------------------------------------------- */

static int nest(const struct plan *pl, int news, struct err *e)
{
	struct msg_head wants = {.op = REPORT_WANTS_MAP};
	char c;

	if (unshare(CLONE_NEWUSER) < 0)
		return err_sys(e, errno, "make a nested user namespace");
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* else its maps belong to nobody the keeper could be */
	if (msg_send(news, &wants, NULL, 0, NULL, 0) < 0 || recv(news, &c, 1, 0) != 1)
		return err_set(e, ERR_DIED, "the keeper is gone");
	/* A cgroup namespace of theirs would let them mount cgroup2, and with it freeze or kill the
	 * cgroup in which we all are. */
	if (unshare(own_spaces(pl) & ~(CLONE_NEWPID | CLONE_NEWCGROUP)) < 0)
		return err_sys(e, errno, "make nested namespaces");
	if (mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(e, errno, "mount /dev/mqueue");
	return pl->flags & PLAN_NET ? net_up(e) : 0;
}

static int reaper_build(struct keeper *k, struct generation *g, int news, struct err *e)
{
	const char *host = pack_get_str(&k->pack, k->plan->hostname);
	int r;

	k->marks[MARK_GENERATION] = sys_now_ns();
	r = root_build(k, g, news, e);
	if (r == 0 && sethostname(host, strlen(host)) < 0)
		r = err_sys(e, errno, "set the host name '%s'", host);
	/* The kernel's default. A new uts namespace has what its parent has: the host's, or after a
	 * reset what the last generation has set. */
	if (r == 0 && setdomainname("(none)", 6) < 0)
		r = err_sys(e, errno, "set the NIS domain name");
	if (r == 0 && k->plan->flags & PLAN_NESTED)
		r = nest(k->plan, news, e);
	return r;
}

/* Our namespaces, as descriptors for the keeper: a pidfd would do, but the kernel asks for the right
 * to trace whom one follows by that, and nobody shall have that. */
static int open_spaces(const struct plan *pl, int fds[SPACES_MAX + 1], struct err *e)
{
	int own = own_spaces(pl), n = 0;
	char path[32];

	for (size_t i = 0; i < SPACES_MAX; i++) {
		if (!(own & kinds[i].flag))
			continue;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].file);
		fds[n] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[n++] < 0)
			return err_sys(e, errno, "open '%s'", path);
	}
	if (pl->flags & PLAN_NESTED) {
		fds[n] = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
		if (fds[n++] < 0)
			return err_sys(e, errno, "open '/proc/self/ns/user'");
	}
	return n;
}

/* Nothing inside may find a use for its pid 1. */
static void give_up_powers(void)
{
	sigset_t all;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "hutch-init", 0, 0, 0);
	sys_capset(0);
	signal(SIGCHLD, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

/**
 * reaper_main() - Build the inside, then be its pid 1
 *
 * Should:  give up dumpability and capabilities before it reports: commands are started then
 * Mustn't: ever wake up again: it is the one process that the inside can name
 */
static void reaper_main(struct keeper *k, struct generation *g, int news)
{
	static struct report rep;
	struct msg_head head = {.op = REPORT_READY};
	int fds[SPACES_MAX + 1], n = 0;

	setsid(); /* /proc/1/autogroup is that of a session */
	if (k->plan->flags & PLAN_NESTED)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* for the keeper to write our map */
	if (reaper_build(k, g, news, &rep.e) < 0 || (n = open_spaces(k->plan, fds, &rep.e)) < 0) {
		head.op = REPORT_FAILED;
		(void)msg_send(news, &head, &rep, sizeof(rep), NULL, 0);
		_exit(1);
	}
	memcpy(rep.marks, k->marks, sizeof(rep.marks));
	give_up_powers();
	(void)msg_send(news, &head, &rep, sizeof(rep), fds, (unsigned)n);
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

void generation_init(struct keeper *k, struct generation *g)
{
	*g = (struct generation){.pidfd = -1, .root = -1, .pts = -1, .news = -1, .user = -1,
				 .number = ++k->numbers};
}

int generation_start(struct keeper *k, struct generation *g, struct err *e)
{
	int pair[2];

	g->pts = open_devpts(e);
	if (g->pts < 0)
		return g->pts;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	g->pid = sys_fork((uint64_t)(own_spaces(k->plan) & ~CLONE_NEWNET), &g->pidfd);
	if (g->pid == 0) {
		close(pair[0]);
		reaper_main(k, g, pair[1]);
	}
	close(pair[1]);
	close_fd(&g->root); /* the reaper has it */
	g->news = pair[0];
	return g->pid < 0 ? err_sys(e, -g->pid, "make the namespaces of the inside") : 0;
}

/* The map of the nested namespace: either the keeper's ids one to one, or one id under another
 * name. */
static int write_nested_map(struct keeper *k, struct generation *g, struct err *e)
{
	const struct prepare *pl = &k->prep;
	char path[64], text[PLAN_EXTENTS_MAX * 36];
	int r = 0;

	for (int gid = 0; gid < 2 && r == 0; gid++) {
		const struct plan_extent *x = gid ? pl->gid : pl->uid;
		uint32_t n = gid ? pl->ngid : pl->nuid;
		size_t at = 0;

		if (pl->ids == PLAN_IDS_SELF) {
			at = (size_t)snprintf(text, sizeof(text), "%u 0 1",
					      gid ? k->plan->nested_gid : k->plan->nested_uid);
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

/* Takes the namespaces that came with the last report. */
static int take_spaces(struct keeper *k, struct generation *g, struct msg *m, struct err *e)
{
	bool nested = k->plan->flags & PLAN_NESTED;

	if (m->nfds < 1u + nested || m->nfds > SPACES_MAX + (unsigned)nested)
		return err_set(e, ERR_INTERNAL, "%u namespaces", m->nfds);
	g->nspaces = (int)m->nfds - nested;
	for (int i = 0; i < g->nspaces; i++)
		g->spaces[i] = take_fd(&m->fds[i]);
	if (nested)
		g->user = take_fd(&m->fds[g->nspaces]);
	return 0;
}

static int wait_report(struct keeper *k, struct generation *g, struct err *e)
{
	static char buf[sizeof(struct report) + 64] __attribute__((aligned(8)));
	const struct report *rep = (const void *)buf;
	struct msg m;
	int r = 0;

	while (r == 0) {
		if (msg_recv(g->news, &m, buf, sizeof(buf), 0) <= 0)
			return err_set(e, ERR_DIED, "the first process inside ended early");
		if (m.head.op == REPORT_WANTS_MAP) {
			r = write_nested_map(k, g, e);
		} else if (m.head.op == REPORT_FAILED) {
			*e = rep->e;
			r = e->code;
		} else {
			memcpy(k->marks + MARK_GENERATION, rep->marks + MARK_GENERATION,
			       (MARK_PIVOT - MARK_GENERATION + 1) * sizeof(rep->marks[0]));
			r = take_spaces(k, g, &m, e);
			msg_done(&m);
			return r;
		}
		msg_done(&m);
	}
	return r;
}

int generation_finish(struct keeper *k, struct generation *g, struct err *e)
{
	int r = wait_report(k, g, e);

	close_fd(&g->news);
	if (r < 0)
		generation_kill(g);
	return r;
}

/* Its namespaces are ours from now on. */
static int stand_in(struct keeper *k, struct generation *g, struct err *e)
{
	int own = own_spaces(k->plan), n = 0, r;

	for (size_t i = 0; i < SPACES_MAX; i++) {
		if (!(own & kinds[i].flag))
			continue;
		if (kinds[i].flag == CLONE_NEWPID)
			g->pid_space = n;
		r = sys_setns(g->spaces[n++], kinds[i].flag);
		if (r < 0)
			return err_sys(e, r, "enter the %s namespace of the inside", kinds[i].file);
	}
	return 0;
}

int generation_return(struct keeper *k, struct err *e)
{
	return k->now.pid ? stand_in(k, &k->now, e) : 0;
}

int generation_enter(struct keeper *k, struct generation *g, struct err *e)
{
	int r = stand_in(k, g, e);

	if (r < 0)
		return r;
	k->now = *g;
	return net_sysctls(k, e); /* those of net, ipc and uts: we stand in all three */
}

void generation_kill(struct generation *g)
{
	if (g->pidfd >= 0)
		(void)sys_pidfd_signal(g->pidfd, SIGKILL);
}
