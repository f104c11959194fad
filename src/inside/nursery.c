/* SPDX-License-Identifier: Apache-2.0
 *
 * nursery.c - the process that keepers are born from
 *
 * How it works: a caller has one nursery. It is started once, by a vfork-like clone and exec, so
 * that its 40 kB do not depend on how large the caller is; from then on a keeper is a plain clone
 * of this small process, straight into its namespaces, without an exec and without a copy of the
 * caller's descriptors. For the caller it is no child (it was orphaned on purpose): the kernel
 * sets the exit signal of every process that execs to SIGCHLD (fs/exec.c, de_thread()), so a
 * child of his would show up in his wait(-1) whatever signal it was cloned with.
 *
 *	caller   --OP_HELLO--->  nursery  what ids there are; user with subuids: newuidmap runs here,
 *	                                  once, into a namespace that all his sandboxes nest in
 *	caller   --OP_PREPARE->  nursery  a keeper; the other end of its socket comes along
 *	nursery  --clone3----->  keeper   the nursery writes its id maps
 *	nursery  --OP_STARTED->  caller   pidfd and user namespace, on the keeper's socket
 *	caller   --OP_PLAN---->  keeper
 *
 * A user with subuids aside, a caller who will make one sandbox only goes without: he starts the keeper
 * himself, with the same vfork-like clone (keeper_alone()).
 *
 * It ends when its socket closes or its owner dies; keepers do the same by themselves and need it
 * no more once they run.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "inside/sweep.h"
#include "sys/proc.h"
#include "wire/birth.h"

enum { STORE = 4, END_NAP_MS = 5, END_WITHIN_MS = 500, TRIES = 3 };

struct nursery {
	int sock, owner;
	int store[STORE];     /* -1: not known yet */
	uint64_t sweep_at_ns; /* 0: nothing is due */
	bool sweep_again; /* somebody has asked since then */
	bool sweep_at_end;
	int score; /* our own oom_score_adj */
	struct hello hello;
	struct err bad; /* code != 0: no start will work, and this is why */
};

/* ---- several ids for a user: once ------------------------------------------------------------- */

enum { MAPPER_ARGS = 2 + 3 * PLAN_EXTENTS_MAX + 1, MAPPER_TEXT = 12 };

static pid_t mapper_start(const char *program, pid_t pid, const struct plan_extent *x, uint32_t n)
{
	static const char *const dirs[] = {"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"};
	static char *const env[] = {NULL};
	char text[MAPPER_ARGS][MAPPER_TEXT], path[64];
	char *argv[MAPPER_ARGS + 1];
	uint32_t i, k = 1;
	pid_t p;

	snprintf(text[1], MAPPER_TEXT, "%d", pid);
	for (i = 0; i < n; i++) {
		snprintf(text[k + 1], MAPPER_TEXT, "%u", x[i].inside);
		snprintf(text[k + 2], MAPPER_TEXT, "%u", x[i].outside);
		snprintf(text[k + 3], MAPPER_TEXT, "%u", x[i].count);
		k += 3;
	}
	argv[0] = (char *)(uintptr_t)program;
	for (i = 1; i <= k; i++)
		argv[i] = text[i];
	argv[k + 1] = NULL;
	p = vfork();
	if (p == 0) {
		for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
			snprintf(path, sizeof(path), "%s/%s", dirs[i], program);
			execve(path, argv, env);
		}
		_exit(127);
	}
	return p;
}

static int mapper_wait(pid_t p, const char *program, struct err *e)
{
	int status = 0;

	while (p > 0 && waitpid(p, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "wait for %s", program);
	if (p <= 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127))
		return err_set(e, ERR_UNSUPPORTED,
			       "%s is not installed (apt install uidmap)", program);
	if (WIFSIGNALED(status))
		return err_set(e, ERR_DIED, "%s was killed by signal %d", program, WTERMSIG(status));
	if (status)
		return err_set(e, ERR_PERMISSION,
			       "%s refused the ids of /etc/subuid and /etc/subgid (status %d)",
			       program, WEXITSTATUS(status));
	return 0;
}

/* Enters a user namespace that has all ids of the user. It needs no process to live, we are in it. */
static int enter_subids(struct nursery *n, struct err *e)
{
	auto_fd int hold_r = -1, hold_w = -1, ns = -1;
	const struct hello *h = &n->hello;
	int pipefd[2], r, r2, status = 0;
	char path[64];
	pid_t holder, u, g;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	hold_r = pipefd[0];
	hold_w = pipefd[1];
	holder = sys_fork(CLONE_NEWUSER, NULL);
	if (holder < 0)
		return err_sys(e, -holder, "make a user namespace");
	if (holder == 0) { /* just there until its namespace has been entered */
		char c;

		close(hold_w);
		(void)!read(hold_r, &c, 1);
		_exit(0);
	}
	/* Both at once: each takes a millisecond. */
	u = mapper_start("newuidmap", holder, h->uid, h->uids);
	g = mapper_start("newgidmap", holder, h->gid, h->gids);
	r = mapper_wait(u, "newuidmap", e);
	r2 = mapper_wait(g, "newgidmap", r < 0 ? NULL : e);
	r = r < 0 ? r : r2;
	if (r == 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", holder);
		ns = open(path, O_RDONLY | O_CLOEXEC);
		r = ns < 0 ? -errno : sys_setns(ns, CLONE_NEWUSER);
		if (r < 0)
			r = err_sys(e, r, "enter the user namespace of /etc/subuid");
	}
	close_fd(&hold_w);
	if (waitpid(holder, &status, 0) == holder && r < 0 && WIFSIGNALED(status))
		return err_set(e, ERR_DIED, "the holder of the new user namespace was killed by signal %d", WTERMSIG(status));
	if (r < 0)
		return r;
	/* Whoever gains powers is no longer dumpable, and then the maps of its children could not be
	 * opened. Nothing inside can name this process. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return 0;
}

/* What it says is told to all who start something here; so that somebody was killed over it, once, is not the end of that. */
static void have_subids(struct nursery *n)
{
	struct err e;
	int r = 0;

	for (int i = 0; i < TRIES; i++) {
		e = (struct err){0};
		r = enter_subids(n, &e);
		if (r != ERR_DIED)
			break;
	}
	if (r < 0)
		n->bad = e;
}

/* ---- one keeper ------------------------------------------------------------------------------- */

/* The keeper's pidfd, and its user namespace where the caller will need it, go to the caller. */
static int announce(int sock, pid_t pid, int pidfd, int userns, struct err *e)
{
	struct msg_head h = {.op = OP_STARTED, .arg = (uint32_t)pid};
	int r = msg_send(sock, &h, NULL, 0, (int[]){pidfd, userns}, userns < 0 ? 1 : 2);

	return r < 0 ? err_sys(e, r, "tell the caller") : 0;
}

static int score(int adj, struct err *e)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%d", adj);
	r = sys_write_file(AT_FDCWD, "/proc/self/oom_score_adj", text);
	return r < 0 ? err_sys(e, r, "set oom_score_adj to %s", text) : 0;
}

static int own_score(void)
{
	char text[16] = "0";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	return atoi(text);
}

static int prepare(struct nursery *n, struct msg *m, struct err *e)
{
	uint64_t asked = sys_now_ns();
	auto_fd int pidfd = -1, go = -1, userns = -1;
	struct prepare p;
	int r, pair[2];
	pid_t pid;

	if (n->bad.code) {
		*e = n->bad;
		return e->code;
	}
	memcpy(&p, m->body, sizeof(p));
	if (!birth_fits(&p))
		return err_set(e, ERR_INTERNAL, "too many extents of ids");
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	if (p.oom_score_adj < 0) {
		r = score(p.oom_score_adj, e);
		if (r < 0)
			return r;
	}
	if (p.ahead == AHEAD_LATER)
		(void)poll(&(struct pollfd){n->sock, POLLIN, 0}, 1, LATER_MS);
	pid = sys_fork(birth_spaces(&p), &pidfd);
	if (pid == 0) {
		close(pair[1]);
		close(n->sock);
		keeper_main(&p, m->fds[0], n->owner, pair[0], asked);
	}
	close(pair[0]);
	go = pair[1];
	if (p.oom_score_adj < 0)
		(void)score(n->score, e); /* up again, which everybody may */
	if (pid < 0)
		return birth_refused(-pid, e);
	r = birth_give_ids(&p, pid, pidfd, &userns, e);
	if (r == 0)
		r = announce(m->fds[0], pid, pidfd, userns, e);
	/* Last: should we be killed before, it ends, and the caller does not wait for what we owe him. He may have killed it
	 * already. */
	if (r == 0 && sys_write_quiet(go, "g", 1) != 1)
		r = err_set(e, ERR_DIED, "the keeper is gone");
	if (r < 0)
		(void)sys_pidfd_signal(pidfd, SIGKILL);
	return r;
}

/* A child of its own: it takes as long as it takes, and outlives the nursery. */
static bool start_sweeper(struct nursery *n, const int *store, bool wait)
{
	pid_t pid = sys_fork(0, NULL);

	if (pid != 0)
		return pid > 0;
	close(n->sock);
	close(n->owner);
	sweep_main(store, wait);
}

/* Where no process can be made, later. */
static void sweep_now(struct nursery *n)
{
	bool done = start_sweeper(n, n->store, false) && !n->sweep_again;

	n->sweep_at_ns = done ? 0 : sys_deadline_ns(sys_now_ns(), SWEEP_AFTER_MS);
	n->sweep_again = false;
}

static void hear_of_sweep(struct nursery *n, struct msg *m)
{
	if (m->head.arg == SWEEP_AT_END)
		n->sweep_at_end = m->nfds;
	if (m->nfds < STORE)
		return;
	if (m->head.arg == SWEEP_NOW) {
		(void)start_sweeper(n, m->fds, m->nfds > STORE); /* or a later one does the work */
		return;
	}
	for (int i = 0; i < STORE && n->store[STORE - 1] < 0; i++)
		n->store[i] = take_fd(&m->fds[i]);
	/* Who resets and deletes often asks for one each time, and goes on: it is not to be in the way of that. */
	n->sweep_again |= m->head.arg == SWEEP_SOON && n->sweep_at_ns;
	if (m->head.arg == SWEEP_SOON && !n->sweep_at_ns)
		n->sweep_at_ns = sys_deadline_ns(sys_now_ns(), SWEEP_AFTER_MS);
}

/* Return: in how many ms it is time for it; 0: now, -1: no. */
static int sweep_in_ms(const struct nursery *n)
{
	uint64_t now = sys_now_ns();

	if (!n->sweep_at_ns)
		return -1;
	return n->sweep_at_ns <= now ? 0 : (int)((n->sweep_at_ns - now) / 1000000 + 1);
}

/* Keepers end by themselves when their owner has; what they had on disk is to go too, as soon as nobody has it. Those that
 * live on without him are not waited for. */
static void nursery_end(struct nursery *n)
{
	const struct timespec nap = {.tv_nsec = END_NAP_MS * 1000000};

	if (n->sweep_at_end) {
		for (int ms = 0; ms < END_WITHIN_MS && waitpid(-1, NULL, WNOHANG) >= 0; ms += END_NAP_MS)
			nanosleep(&nap, NULL);
		sweep_main(n->store, false);
	}
	if (n->sweep_at_ns && !start_sweeper(n, n->store, false))
		sweep_main(n->store, false);
	_exit(0);
}

/* ---- the loop --------------------------------------------------------------------------------- */

static void one_message(struct nursery *n)
{
	static struct msg_buf buf;
	struct msg_head failed = {.op = OP_FAILED};
	struct err e = {0};
	struct msg m;
	int r;

	r = msg_recv(n->sock, &m, buf.bytes, sizeof(buf.bytes), 0);
	if (r == 0)
		nursery_end(n);
	if (r < 0)
		return;
	if (m.head.op == OP_HELLO && m.head.body == sizeof(n->hello) && m.nfds == 1) {
		memcpy(&n->hello, m.body, sizeof(n->hello));
		n->owner = m.fds[0];
		m.fds[0] = -1;
		if (n->hello.ids == PLAN_IDS_SUB)
			have_subids(n);
	} else if (m.head.op == OP_SWEEP) {
		hear_of_sweep(n, &m);
	} else if (m.head.op == OP_PREPARE && m.head.body == sizeof(struct prepare) && m.nfds >= 1) {
		if (prepare(n, &m, &e) < 0)
			(void)msg_send(m.fds[0], &failed, &e, sizeof(e), NULL, 0);
	}
	msg_done(&m);
}

void nursery_main(int sock)
{
	struct nursery n = {.owner = -1, .store = {-1, -1, -1, -1}};
	sigset_t none;

	sigemptyset(&none);
	(void)inside_begin("hutch-nursery", sock, &n.sock, &n.bad);
	sys_limits(callers_limits);
	sys_limits_raise(0, callers_limits);
	n.score = own_score();
	for (;;) {
		struct pollfd p[2] = {{n.sock, POLLIN, 0}, {n.owner, POLLIN, 0}};
		int ms = sweep_in_ms(&n);
		struct timespec until = {.tv_nsec = ms * 1000000l};
		int r = ppoll(p, 2, ms < 0 ? NULL : &until, &none);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (sweep_in_ms(&n) == 0)
			sweep_now(&n);
		if (r <= 0)
			continue;
		if (p[0].revents) /* first: what its owner asked for before he ended is done */
			one_message(&n);
		else if (p[1].revents)
			nursery_end(&n);
	}
}
