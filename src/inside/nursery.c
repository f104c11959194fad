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
 *	caller   --OP_HELLO-->  nursery   what ids there are; user with subuids: newuidmap runs here,
 *	                                  once, into a namespace that all his sandboxes nest in
 *	caller   --OP_START-->  nursery   plan; the other end of the keeper's socket comes along
 *	nursery  --clone3----->  keeper   the nursery writes its id maps, idmaps trees (root caller)
 *	nursery  --OP_STARTED->  caller   pidfd, on the keeper's socket
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "inside/sweep.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

struct nursery {
	int sock, owner;
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
			       "%s is not installed (apt install uidmap), or use --ids self", program);
	if (status)
		return err_set(e, ERR_PERMISSION,
			       "%s refused the ids of /etc/subuid and /etc/subgid (status %d)",
			       program, WIFEXITED(status) ? WEXITSTATUS(status) : status);
	return 0;
}

/* Enters a user namespace that has all ids of the user. It needs no process to live, we are in it. */
static int enter_subids(struct nursery *n, struct err *e)
{
	auto_fd int hold_r = -1, hold_w = -1, ns = -1;
	const struct hello *h = &n->hello;
	int pipefd[2], r, r2;
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
	if (r < 0 || r2 < 0) {
		close_fd(&hold_w);
		waitpid(holder, NULL, 0);
		return r < 0 ? r : r2;
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", holder);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	r = ns < 0 ? -errno : sys_setns(ns, CLONE_NEWUSER);
	close_fd(&hold_w);
	waitpid(holder, NULL, 0);
	if (r < 0)
		return err_sys(e, r, "enter the user namespace of /etc/subuid");
	/* Whoever gains powers is no longer dumpable, and then the maps of its children could not be
	 * opened. Nothing inside can name this process. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return 0;
}

/* ---- one keeper ------------------------------------------------------------------------------- */

static int write_map(pid_t pid, const char *file, const struct plan_extent *x, uint32_t n,
		     struct err *e)
{
	char path[64], text[PLAN_EXTENTS_MAX * 36] = "";
	size_t at = 0;
	int r;

	for (uint32_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%u %u %u\n", x[i].inside,
				       x[i].outside, x[i].count);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	r = sys_write_file(AT_FDCWD, path, text);
	return r < 0 ? err_sys(e, r, "write %s", file) : 0;
}

/* A clone of a tree of the host, seen through the ids of the keeper's namespace. */
static int clone_idmapped(int tree, int recursive, int userns, struct err *e)
{
	auto_fd int fd = sys_clone_tree(tree, "", recursive);
	int r;

	if (fd < 0)
		return err_sys(e, fd, "open_tree");
	r = sys_idmap(fd, userns, recursive);
	if (r < 0)
		return err_sys(e, r,
			       "idmap the mount (its file system cannot, or Linux is older than 5.19; "
			       "run as an ordinary user, or with --ids host)");
	return take_fd(&fd);
}

struct clones {
	int fds[MSG_FDS_MAX];
	unsigned n;
};

static int clone_one(struct clones *c, const struct msg *m, const struct plan_tree *t, int userns,
		     struct err *e)
{
	int fd;

	if (t->fd < 0 || (unsigned)t->fd >= m->nfds)
		return 0;
	if (c->n == MSG_FDS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d layers and mounts", MSG_FDS_MAX);
	fd = clone_idmapped(m->fds[t->fd], (int)t->recursive, userns, e);
	if (fd < 0)
		return fd;
	c->fds[c->n++] = fd;
	return 0;
}

/* All trees of a plan that come by descriptor, in the order in which the keeper takes them. */
static int clone_all(struct clones *c, const struct msg *m, const struct pack *p,
		     const struct plan *pl, pid_t pid, struct err *e)
{
	const struct plan_tree *low = pack_at(p, pl->lowers.at, 0);
	const struct plan_mount *mnt = pack_at(p, pl->mounts.at, 0);
	auto_fd int userns = -1;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	userns = open(path, O_RDONLY | O_CLOEXEC);
	if (userns < 0)
		return err_sys(e, errno, "open '%s'", path);
	for (uint32_t i = 0; i < pl->lowers.count; i++) {
		r = clone_one(c, m, &low[i], userns, e);
		if (r < 0)
			return err_wrap(e, "root file system");
	}
	r = clone_one(c, m, &pl->upper, userns, e);
	if (r < 0)
		return err_wrap(e, "directory for changes");
	for (uint32_t i = 0; i < pl->mounts.count; i++) {
		r = clone_one(c, m, &mnt[i].tree, userns, e);
		if (r < 0)
			return err_wrap(e, "mount at '%s'", pack_get_str(p, mnt[i].target));
	}
	return 0;
}

/* What the keeper waits for: its ids, and the trees it cannot open itself. */
static int give(const struct msg *m, const struct pack *p, const struct plan *pl, pid_t pid, int go,
		struct err *e)
{
	struct msg_head h = {.op = OP_START};
	struct clones c = {.n = 0};
	int r = 0;

	if (pl->ids == PLAN_IDS_SELF)
		return 0;
	r = write_map(pid, "uid_map", pl->uid, pl->nuid, e);
	if (r == 0 && pl->ngid == 1 && pl->gid[0].count == 1) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
		(void)sys_write_file(AT_FDCWD, path, "deny"); /* needed by some, refused to some */
	}
	if (r == 0)
		r = write_map(pid, "gid_map", pl->gid, pl->ngid, e);
	if (r == 0)
		r = clone_all(&c, m, p, pl, pid, e);
	if (r == 0) {
		r = msg_send(go, &h, NULL, 0, c.fds, c.n);
		if (r < 0)
			err_sys(e, r, "hand over to the keeper");
	}
	for (unsigned i = 0; i < c.n; i++)
		close(c.fds[i]);
	return r;
}

static uint64_t keeper_flags(const struct plan *pl)
{
	return CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
	       (pl->flags & PLAN_NET ? CLONE_NEWNET : 0) |
	       (pl->flags & PLAN_TIMENS ? CLONE_NEWTIME : 0);
}

static int start(struct nursery *n, struct msg *m, struct err *e)
{
	struct pack p = {m->body, m->head.body};
	struct msg_head h = {.op = OP_STARTED};
	uint64_t asked = sys_now_ns();
	const struct plan *pl;
	auto_fd int pidfd = -1, go = -1;
	int r, pair[2];
	pid_t pid;

	if (n->bad.code) {
		*e = n->bad;
		return e->code;
	}
	pl = plan_open(&p, e);
	if (!pl)
		return e->code;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	go = pair[0];
	pid = sys_fork(keeper_flags(pl), &pidfd);
	if (pid == 0) {
		close(go);
		close(n->owner);
		keeper_main(m, pair[1], asked);
	}
	close(pair[1]);
	if (pid < 0)
		return err_sys(e, -pid, "make the namespaces%s",
			       pid == -EPERM || pid == -ENOSPC || pid == -EUSERS ?
				       " (`hutch doctor` says what this host lacks)" : "");
	h.arg = (uint32_t)pid;
	r = msg_send(m->fds[0], &h, NULL, 0, &pidfd, 1);
	if (r == 0)
		r = give(m, &p, pl, pid, go, e);
	else
		err_sys(e, r, "tell the caller");
	if (r < 0)
		(void)sys_pidfd_signal(pidfd, SIGKILL);
	return r;
}

/* A child of its own: it takes as long as it takes, and outlives the nursery. */
static void start_sweeper(struct nursery *n, const struct msg *m)
{
	pid_t pid = sys_fork(0, NULL);

	if (pid != 0) /* or it does not come about; a later one does the work */
		return;
	close(n->sock);
	close(n->owner);
	sweep_main(m->fds[0], m->fds[1], m->fds[2]);
}

/* ---- the loop --------------------------------------------------------------------------------- */

static void one_message(struct nursery *n)
{
	static char buf[MSG_BUF] __attribute__((aligned(8)));
	struct msg_head failed = {.op = OP_FAILED};
	struct err e = {0};
	struct msg m;
	int r;

	r = msg_recv(n->sock, &m, buf, sizeof(buf), 0);
	if (r == 0)
		_exit(0);
	if (r < 0)
		return;
	if (m.head.op == OP_HELLO && m.head.body == sizeof(n->hello) && m.nfds == 1) {
		memcpy(&n->hello, m.body, sizeof(n->hello));
		n->owner = m.fds[0];
		m.fds[0] = -1;
		if (n->hello.ids == PLAN_IDS_SUB)
			(void)enter_subids(n, &n->bad);
	} else if (m.head.op == OP_SWEEP && m.nfds >= 3) {
		start_sweeper(n, &m);
	} else if (m.head.op == OP_START && m.nfds >= 1) {
		if (start(n, &m, &e) < 0)
			(void)msg_send(m.fds[0], &failed, &e, sizeof(e), NULL, 0);
	}
	msg_done(&m);
}

static void on_child(int sig)
{
	(void)sig; /* only to leave ppoll() */
}

int nursery_main(int sock)
{
	struct nursery n = {.sock = sock, .owner = -1};
	struct sigaction sa = {.sa_handler = on_child};
	sigset_t block, none;
	int null;

	sys_signals_default(); /* ignored ones would pass to every command */
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_SETMASK, &block, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	prctl(PR_SET_NAME, "hutch-nursery", 0, 0, 0);
	setsid(); /* the terminal's Ctrl-C is for the commands */
	umask(022);
	if (chdir("/") < 0)
		return 1;
	sys_close_range(1, ~0u);
	null = open("/dev/null", O_RDWR | O_CLOEXEC); /* 1 */
	if (null != 1 || fcntl(null, F_DUPFD_CLOEXEC, 2) != 2)
		return 1;
	n.sock = fcntl(sock, F_DUPFD_CLOEXEC, 3);
	if (n.sock < 0 || dup3(1, 0, O_CLOEXEC) < 0)
		return 1;
	for (;;) {
		struct pollfd p[2] = {{n.sock, POLLIN, 0}, {n.owner, POLLIN, 0}};
		int r = ppoll(p, 2, NULL, &none);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (r <= 0)
			continue;
		if (p[1].revents)
			_exit(0);
		if (p[0].revents)
			one_message(&n);
	}
}
