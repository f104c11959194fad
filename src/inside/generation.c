/* SPDX-License-Identifier: Apache-2.0
 *
 * generation.c - start, enter and end what a reset throws away
 *
 * How it works: the reaper is pid 1 of new pid, mount, ipc, uts and cgroup namespaces. It reports on a
 * socket, gives up every power and descriptor and from then on does nothing: SIGCHLD is ignored, so the
 * kernel reaps for it. Everything else inside is started by the keeper, which stands in the generation's
 * namespaces (not its pid namespace): its children are at no moment in any other mount namespace than the
 * inside's, so none of them can be caught showing the storage.
 *
 * The first generation is begun before there is a plan, see first.c.
 * The reapers of later generations (reset.c) have the plan, and do all of that themselves while the
 * keeper serves the generation before.
 *
 * Where more powers than Docker's were asked, or an id that the keeper's user namespace has not,
 * the reaper makes a user namespace below the keeper's, and namespaces that belong to it: what was
 * mounted comes along locked.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/generation.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

static const struct {
	const char *file; /* in /proc/self/ns, as the reaper sees itself */
	int flag;
} kinds[] = {
	{"mnt", CLONE_NEWNS}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
	{"pid", CLONE_NEWPID}, {"cgroup", CLONE_NEWCGROUP}, {"net", CLONE_NEWNET},
};

static_assert(sizeof(kinds) / sizeof(*kinds) == SPACES_MAX, "one place for each");

/* A network only where commands rule over it. @flags: of the plan. */
static int own_spaces(uint32_t flags)
{
	return (flags & (PLAN_NESTED | PLAN_NET)) == (PLAN_NESTED | PLAN_NET) ? SPACES | CLONE_NEWNET :
										SPACES;
}

/* ---- the reaper ------------------------------------------------------------------------------- */

/* Of the uts namespace in which we are. */
int reaper_names(const struct keeper *k, struct err *e)
{
	if (sethostname(k->hostname, strlen(k->hostname)) < 0)
		return err_sys(e, errno, "set the host name '%s'", k->hostname);
	/* The kernel's default. A new uts namespace has what its parent has: the host's, or after a
	 * reset what the last generation has set. */
	return setdomainname("(none)", 6) < 0 ? err_sys(e, errno, "set the NIS domain name") : 0;
}

int reaper_nest(uint32_t flags, int news, struct err *e)
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
	if (unshare(own_spaces(flags) & ~(CLONE_NEWPID | CLONE_NEWCGROUP)) < 0)
		return err_sys(e, errno, "make nested namespaces");
	if (mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(e, errno, "mount /dev/mqueue");
	return flags & PLAN_NET ? net_up(e) : 0;
}

/* Our namespaces, as descriptors for the keeper: a pidfd would do, but the kernel asks for the right
 * to trace whom one follows by that, and nobody shall have that. Return: how many, or less than 0. */
int reaper_open_spaces(int which, int *fds, struct err *e)
{
	char path[32];
	int n = 0;

	for (size_t i = 0; i < SPACES_MAX; i++) {
		if (!(which & kinds[i].flag))
			continue;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].file);
		fds[n] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[n++] < 0)
			return err_sys(e, errno, "open '%s'", path);
	}
	return n;
}

/* With the nested user namespace, if there is one. */
int reaper_open_all(uint32_t flags, int fds[SPACES_MAX + 1], struct err *e)
{
	int n = reaper_open_spaces(own_spaces(flags), fds, e);

	if (n < 0 || !(flags & PLAN_NESTED))
		return n;
	fds[n] = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	return fds[n] < 0 ? err_sys(e, errno, "open '/proc/self/ns/user'") : n + 1;
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

void reaper_close(int news)
{
	if (news > 0)
		sys_close_range(0, (unsigned)news - 1);
	sys_close_range((unsigned)news + 1, ~0u);
}

/**
 * reaper_rest() - Report, and be the pid 1 of the inside
 *
 * Should:  give up dumpability and capabilities before it reports; close @news when it has nothing else any more:
 *	    the keeper starts no command before
 * Mustn't: ever wake up again: it is the one process that the inside can name
 */
void reaper_rest(int news, const int *fds, int n)
{
	struct msg_head head = {.op = REPORT_READY};

	give_up_powers();
	(void)msg_send(news, &head, NULL, 0, fds, (unsigned)n);
	reaper_close(news);
	close(news);
	sys_stack_trim(0);
	for (;;)
		pause();
}

void reaper_failed(int news, const struct err *e)
{
	struct msg_head head = {.op = REPORT_FAILED};

	(void)msg_send(news, &head, e, sizeof(*e), NULL, 0);
	_exit(1);
}

/* One that has the plan. */
static void reaper_main(struct keeper *k, struct generation *g, int news)
{
	uint32_t flags = k->plan->flags;
	int fds[SPACES_MAX + 1], n = 0;
	struct err e = {0};
	int r;

	setsid(); /* /proc/1/autogroup is that of a session */
	if (flags & PLAN_NESTED)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* for the keeper to write our map */
	r = root_attach(g, &e);
	if (r == 0)
		r = root_build(k, g, &e);
	if (r == 0)
		r = root_drop(k, &e);
	if (r == 0)
		r = reaper_names(k, &e);
	if (r == 0 && flags & PLAN_NESTED)
		r = reaper_nest(flags, news, &e);
	if (r == 0)
		r = n = reaper_open_all(flags, fds, &e);
	if (r < 0)
		reaper_failed(news, &e);
	reaper_rest(news, fds, n);
}

/* ---- the keeper's side ------------------------------------------------------------------------- */

int generation_devpts(struct err *e)
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

void generation_init(struct keeper *k, struct generation *g, const struct stack *on)
{
	*g = (struct generation){.pidfd = -1, .root = -1, .pts = -1, .proc = -1, .mqueue = -1, .news = -1,
				 .user = -1, .in_use = -1, .number = ++k->numbers, .on = on};
}

int generation_clone(struct generation *g, int spaces, int *ret_news, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	g->pid = sys_fork((uint64_t)spaces, &g->pidfd);
	close(pair[g->pid == 0 ? 0 : 1]);
	*ret_news = pair[g->pid == 0 ? 1 : 0];
	return g->pid < 0 ? err_sys(e, -g->pid, "make the namespaces of the inside") : 0;
}

int generation_start(struct keeper *k, struct generation *g, struct err *e)
{
	int news, r;

	g->pts = generation_devpts(e);
	if (g->pts < 0)
		return g->pts;
	r = generation_clone(g, SPACES, &news, e);
	if (r == 0 && g->pid == 0)
		reaper_main(k, g, news);
	close_fd(&g->root); /* the reaper has it */
	g->news = news;
	return r;
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

/* Takes the namespaces that came with a report, from the descriptor @from on, behind the first @have. */
int generation_take(struct generation *g, int have, struct msg *m, unsigned from, bool nested,
		       struct err *e)
{
	int n = (int)m->nfds - (int)from - nested;

	if (n < 1 || have + n > SPACES_MAX)
		return err_set(e, ERR_INTERNAL, "%u namespaces", m->nfds);
	for (int i = have; i < g->nspaces; i++)
		close(g->spaces[i]);
	g->nspaces = have + n;
	for (int i = 0; i < n; i++)
		g->spaces[have + i] = take_fd(&m->fds[from + (unsigned)i]);
	if (nested)
		g->user = take_fd(&m->fds[from + (unsigned)n]);
	return 0;
}

/* Building may take long: a file that is a volume of kind cow is read, and the host's file system may be one that does
 * not answer. So what ends the keeper at other times does so here, and whoever comes meanwhile is told by what he can
 * end it. */
void generation_await(struct keeper *k, int fd)
{
	bool is_owned = k->listen < 0, room = k->clients;

	while (fd >= 0) {
		struct pollfd p[] = {
			{fd, POLLIN, 0}, {k->owner, POLLIN, 0}, {is_owned ? k->ctl : -1, 0, 0},
			{room ? k->listen : -1, POLLIN, 0},
		};
		int r = poll(p, sizeof(p) / sizeof(*p), -1);

		if (r < 0 && errno == EINTR)
			continue;
		if (r > 0 && (p[1].revents || p[2].revents))
			_exit(0);
		if (r < 0 || p[0].revents)
			return;
		room = keeper_welcome(k);
	}
}

/* The next report, which must be @want. */
int generation_report(struct keeper *k, struct generation *g, uint16_t want, struct msg *m, void *buf, size_t room,
		       struct err *e)
{
	int r;

	do {
		generation_await(k, g->news);
		r = msg_recv(g->news, m, buf, room, 0);
		if (r < 0)
			return err_sys(e, r, "take a report of the first process inside");
		if (r == 0)
			return err_set(e, ERR_DIED, "the first process inside ended early");
	} while (m->head.op == REPORT_RUNS);
	if (m->head.op == want)
		return 0;
	if (m->head.op == REPORT_FAILED && m->head.body == sizeof(*e))
		memcpy(e, m->body, sizeof(*e));
	else
		err_set(e, ERR_INTERNAL, "report %u of the first process inside", m->head.op);
	msg_done(m);
	return e->code;
}

static int wait_ready(struct keeper *k, struct generation *g, struct err *e)
{
	char buf[REPORT_ROOM] __attribute__((aligned(8)));
	bool nested = k->plan->flags & PLAN_NESTED;
	struct msg m;
	int r = 0;

	if (nested) {
		r = generation_report(k, g, REPORT_WANTS_MAP, &m, buf, sizeof(buf), e);
		if (r == 0)
			r = write_nested_map(k, g, e);
	}
	if (r == 0)
		r = generation_report(k, g, REPORT_READY, &m, buf, sizeof(buf), e);
	if (r < 0)
		return r;
	if (m.nfds) /* the first one has sent them already, unless they are nested */
		r = generation_take(g, 0, &m, 0, nested, e);
	msg_done(&m);
	return r;
}

int generation_finish(struct keeper *k, struct generation *g, struct err *e)
{
	int r = wait_ready(k, g, e);

	if (r == 0)
		generation_await(k, g->news); /* its other end is the last that the reaper closes */
	close_fd(&g->news);
	if (r < 0)
		generation_kill(g);
	return r;
}

/* Those of its namespaces that @which (CLONE_NEW*) has are ours from now on. */
static int stand_in(struct keeper *k, struct generation *g, int which, struct err *e)
{
	int own = own_spaces(k->plan->flags), n = 0, r;

	for (size_t i = 0; i < SPACES_MAX; i++) {
		if (!(own & kinds[i].flag))
			continue;
		if (kinds[i].flag == CLONE_NEWPID)
			g->pid_space = n;
		r = kinds[i].flag & which ? sys_setns(g->spaces[n], kinds[i].flag) : 0;
		n++;
		if (r < 0)
			return err_sys(e, r, "enter the %s namespace of the inside", kinds[i].file);
	}
	return 0;
}

int generation_setns(const struct generation *g, int flag)
{
	int n = 0;

	for (size_t i = 0; kinds[i].flag != flag; i++)
		n += (SPACES & kinds[i].flag) != 0;
	return sys_setns(g->spaces[n], flag);
}

int generation_return(struct keeper *k, struct err *e)
{
	return k->now.pid ? stand_in(k, &k->now, CLONE_NEWPID | CLONE_NEWNS, e) : 0;
}

int generation_stand(struct keeper *k, struct err *e)
{
	return stand_in(k, &k->now, ~0, e);
}

int generation_enter(struct keeper *k, struct generation *g, struct err *e)
{
	/* Of the first generation we made the mount namespace ourselves; to enter it would lead to what lies on its root. */
	int r = stand_in(k, g, k->undropped ? ~CLONE_NEWNS : ~0, e);

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
