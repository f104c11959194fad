/* SPDX-License-Identifier: Apache-2.0
 *
 * first.c - the first generation, which is begun before there is a plan
 *
 * How it works: its reaper makes what takes longest, beside the keeper: its namespaces, the network, proc and
 * the like, which come as mounts that are attached nowhere. The keeper makes the mount namespace and builds
 * the root (root.c); as soon as there is one, the reaper goes to stand in it:
 *
 *	reaper	--REPORT_BEGUN-->  keeper   namespaces, proc, mqueue
 *	reaper	--REPORT_NET---->  keeper   network namespace, sysfs
 *	keeper	--GO------------>  reaper   mount namespace, its root
 *	reaper	--REPORT_READY-->  keeper
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/generation.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

/* Descriptors of REPORT_BEGUN, before those of the namespaces. */
enum { BEGUN_PROC, BEGUN_MQUEUE, BEGUN };

/* ---- the reaper ------------------------------------------------------------------------------- */

static int open_fs(const char *type, struct err *e)
{
	auto_fd int fs = sys_fsopen(type);
	int r = fs;

	if (r >= 0)
		r = sys_fs_string(fs, "source", type); /* as it is shown in mountinfo */
	if (r >= 0)
		r = sys_fs_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return r < 0 ? err_sys(e, r, "mount %s", type) : r;
}

/* The keeper has its ids, and so have we. The ipc namespace comes with a file system, whose root belongs to
 * who made it: so not before. */
static int early_spaces(int news, struct err *e)
{
	char c;
	int r;

	if (recv(news, &c, 1, 0) != 1)
		_exit(0);
	(void)sys_keyring_join();
	r = inside_root(e);
	if (r == 0 && unshare(SPACES & ~(CLONE_NEWPID | CLONE_NEWNS)) < 0)
		r = err_sys(e, errno, "make the namespaces of the inside");
	return r;
}

static int early_report(int news, struct err *e)
{
	struct msg_head begun = {.op = REPORT_BEGUN};
	int fds[BEGUN + SPACES_MAX], n;

	fds[BEGUN_PROC] = open_fs("proc", e);
	if (fds[BEGUN_PROC] < 0)
		return err_wrap(e, "hidden by a container? `hutch doctor` has the remedy");
	fds[BEGUN_MQUEUE] = open_fs("mqueue", e);
	if (fds[BEGUN_MQUEUE] < 0)
		return fds[BEGUN_MQUEUE];
	n = reaper_open_spaces(SPACES & ~CLONE_NEWNS, fds + BEGUN, e);
	if (n < 0)
		return n;
	n = msg_send(news, &begun, NULL, 0, fds, BEGUN + (unsigned)n);
	return n < 0 ? err_sys(e, n, "report") : 0;
}

static int early_net(int news, struct err *e)
{
	struct msg_head head = {.op = REPORT_NET};
	int fds[NET_MADE], r = net_finish(fds, e);

	if (r < 0)
		return r;
	r = msg_send(news, &head, NULL, 0, fds, NET_MADE);
	return r < 0 ? err_sys(e, r, "report the network") : 0;
}

/* To the place that the keeper made meanwhile. */
static int early_go(int news, uint32_t *ret_flags, struct err *e)
{
	char buf[64] __attribute__((aligned(8)));
	struct msg m;
	int r = msg_recv(news, &m, buf, sizeof(buf), 0);

	if (r == 0)
		_exit(0); /* no plan came */
	if (r < 0)
		return err_sys(e, r, "take the word where to go");
	if (m.head.op != GO || m.nfds != 2)
		return err_set(e, ERR_INTERNAL, "no word where to go");
	*ret_flags = m.head.arg;
	r = sys_setns(m.fds[0], CLONE_NEWNS);
	if (r == 0 && (fchdir(m.fds[1]) < 0 || chroot(".") < 0))
		r = -errno;
	msg_done(&m);
	return r < 0 ? err_sys(e, r, "enter the new root") : 0;
}

/* The keeper has built it: now what is nested in it. */
static int early_nest(int news, uint32_t flags, int fds[SPACES_MAX + 1], struct err *e)
{
	char c;
	int r;

	if (recv(news, &c, 1, 0) != 1)
		_exit(0);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* for the keeper to write our map */
	r = reaper_nest(flags, news, e);
	return r < 0 ? r : reaper_open_all(flags, fds, e);
}

static void early_main(struct keeper *k, int news)
{
	int fds[SPACES_MAX + 1], n = 0, r;
	struct err e = {0};
	uint32_t flags = 0;

	(void)msg_send(news, &(struct msg_head){.op = REPORT_RUNS}, NULL, 0, NULL, 0);
	sched_setaffinity(0, sizeof(k->cpus), &k->cpus); /* see apart_from_us() */
	setsid();
	r = k->prep.net ? net_make(&e) : 0;
	if (r == 0)
		r = early_spaces(news, &e);
	if (r == 0)
		r = early_report(news, &e);
	if (r == 0 && k->prep.net)
		r = early_net(news, &e);
	reaper_close(news); /* all of it was sent; now is the time, while the keeper builds */
	if (r == 0)
		r = early_go(news, &flags, &e);
	if (k->prep.ahead || flags & PLAN_TWIN)
		sys_background(0, flags & PLAN_TWIN);
	if (r == 0 && flags & PLAN_NESTED)
		r = n = early_nest(news, flags, fds, &e);
	if (r < 0)
		reaper_failed(news, &e);
	reaper_rest(news, fds, n);
}

/* ---- the keeper's side ------------------------------------------------------------------------ */

int generation_begin(struct keeper *k, struct generation *g, struct err *e)
{
	int news, r;

	generation_init(k, g, &k->stack);
	if (sched_getaffinity(0, sizeof(k->cpus), &k->cpus) < 0)
		CPU_ZERO(&k->cpus); /* more than we can name */
	r = generation_clone(g, CLONE_NEWPID, &news, e);
	if (r == 0 && g->pid == 0)
		early_main(k, news);
	g->news = news;
	return r;
}


int generation_begun(struct keeper *k, struct generation *g, struct err *e)
{
	char buf[REPORT_ROOM] __attribute__((aligned(8)));
	struct msg m;
	int r;

	if (g->news < 0) /* not the first: what is asked for here is in place, or made by itself */
		return 0;
	r = generation_report(k, g, REPORT_BEGUN, &m, buf, sizeof(buf), e);
	k->marks[MARK_GENERATION] = sys_now_ns();
	if (r < 0)
		return r;
	if (m.nfds > BEGUN) {
		g->proc = take_fd(&m.fds[BEGUN_PROC]);
		g->mqueue = take_fd(&m.fds[BEGUN_MQUEUE]);
	}
	r = generation_take(g, 1, &m, BEGUN, false, e); /* behind the mount namespace */
	msg_done(&m);
	return r;
}

/* A mount namespace, with the storage in it, and below that still the caller's tree. Where no other generation will
 * follow, nobody comes back to the keeper's: then it is that one. */
static int own_mounts(struct keeper *k, struct generation *g, struct err *e)
{
	if (k->spent && !(k->plan->flags & PLAN_NESTED)) {
		g->nspaces = 1;
		g->spaces[0] = take_fd(&k->home_mnt);
		return 0;
	}
	if (unshare(CLONE_NEWNS) < 0)
		return err_sys(e, errno, "make the mount namespace of the inside");
	g->nspaces = 1;
	g->spaces[0] = openat(k->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return g->spaces[0] < 0 ? err_sys(e, errno, "open '/proc/self/ns/mnt'") : 0;
}

static int send_go(struct keeper *k, struct generation *g, struct err *e)
{
	struct msg_head go = {.op = GO, .arg = k->plan->flags};
	auto_fd int root = open("new", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (root < 0)
		return err_sys(e, errno, "open the new root");
	r = msg_send(g->news, &go, NULL, 0, (int[]){g->spaces[0], root}, 2);
	if (r == -EPIPE || r == -ECONNRESET)
		return err_set(e, ERR_DIED, "the first process inside was killed before the start");
	return r < 0 ? err_sys(e, r, "tell the first process inside where to go") : 0;
}

int generation_network(struct keeper *k, struct generation *g, int fds[NET_MADE], struct err *e)
{
	char buf[REPORT_ROOM] __attribute__((aligned(8)));
	struct msg m;
	int r = generation_report(k, g, REPORT_NET, &m, buf, sizeof(buf), e);

	if (r < 0)
		return r;
	if (m.nfds != NET_MADE)
		r = err_set(e, ERR_INTERNAL, "%u descriptors of a network", m.nfds);
	for (int i = 0; r == 0 && i < NET_MADE; i++)
		fds[i] = take_fd(&m.fds[i]);
	msg_done(&m);
	return r;
}

/* Stands in its uts namespace afterwards. */
static int name_it(struct keeper *k, struct generation *g, struct err *e)
{
	int r = generation_setns(g, CLONE_NEWUTS);

	return r < 0 ? err_sys(e, r, "enter the uts namespace of the inside") : reaper_names(k, e);
}

/* It shall be made beside us, not after us. With few processors the kernel may have put it behind us on
 * ours, and leaves it there although another has become free. */
static void apart_from_us(const struct keeper *k, const struct generation *g)
{
	cpu_set_t others = k->cpus;
	int here = sched_getcpu();
	char c;

	if (recv(g->news, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0 || here < 0 || here >= CPU_SETSIZE)
		return; /* it runs */
	CPU_CLR(here, &others);
	if (CPU_COUNT(&others))
		(void)sched_setaffinity(g->pid, sizeof(others), &others); /* only a help; it undoes that */
}

int generation_has_ids(const struct keeper *k, struct generation *g, struct err *e)
{
	if (!k->prep.ahead)
		apart_from_us(k, g);
	return send(g->news, "i", 1, MSG_NOSIGNAL) == 1 ? 0 : err_set(e, ERR_DIED, "the first process inside ended early");
}

int generation_build(struct keeper *k, struct generation *g, struct err *e)
{
	int r = g->pts = generation_devpts(e);

	if (r >= 0)
		r = own_mounts(k, g, e);
	if (r == 0)
		r = root_attach(g, e);
	if (r == 0)
		r = send_go(k, g, e);
	if (r == 0)
		r = root_build(k, g, e);
	if (r == 0 && k->plan->flags & PLAN_NESTED) /* what is mounted is locked by that */
		r = root_drop(k, e);
	close_fd(&g->root);
	if (r == 0)
		r = name_it(k, g, e);
	if (r == 0 && k->plan->flags & PLAN_NESTED && send(g->news, "n", 1, MSG_NOSIGNAL) != 1)
		r = err_set(e, ERR_DIED, "the first process inside ended early");
	return r;
}
