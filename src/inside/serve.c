/* SPDX-License-Identifier: Apache-2.0
 *
 * serve.c - what a keeper does once its sandbox stands
 *
 * How it works: it answers what comes over its socket, and over those of whoever attaches; what it does unasked it does
 * when nothing else is to do. It ends when its socket closes or its owner's pidfd becomes readable, or, where it has no
 * owner, when its name was removed below it (stop.c). It waits for nothing that the inside can hold back: its children
 * are clones of its own, looked at when they end or when their time to exec is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

/* STACK_KEPT: with that much the start of a command takes as long as with all of it. */
enum { REAP_MAX = 256, STACK_KEPT = 8192 };
static const uint64_t lean_after_ns = 10000000000u; /* as long as a sub-shell that was forked ahead stays (bash/main.c) */

void keeper_reaped(struct keeper *k, pid_t pid, int status, const struct rusage *ru)
{
	if (WIFSTOPPED(status)) /* PTRACE_TRACEME made us its tracer: we are nobody's */
		(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	else if (pid == k->now.pid)
		k->now.pid = 0; /* the end of the generation; its commands follow */
	else if (k->spare.pid && pid == k->spare.pid)
		reset_spare_ended(k);
	else if (!reset_left(k, pid) && !files_ended(k, pid) && !work_ended(k, pid, status))
		exec_ended(k, pid, status, ru);
}

static void reap(struct keeper *k)
{
	struct rusage ru;
	int status;
	pid_t pid;

	/* Not without end: processes inside may be made our children faster than we reap. */
	for (int i = 0; i < REAP_MAX && (pid = wait4(-1, &status, WNOHANG, &ru)) > 0; i++)
		keeper_reaped(k, pid, status, &ru);
}

static struct client *add_client(struct keeper *k, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->next = k->clients;
	k->clients = c;
	return c;
}

/* Whoever attaches is told at once what the maker was told in the course of the start. */
bool keeper_welcome(struct keeper *k)
{
	struct msg_head h = {.op = OP_STARTED, .arg = (uint32_t)getpid()};
	static struct ready ready;
	int fd = accept4(k->listen, NULL, NULL, SOCK_CLOEXEC);
	struct client *c;

	if (fd < 0 && errno == EAGAIN)
		return true; /* somebody was here, and was welcomed in the middle of a reset, or has gone */
	c = fd < 0 ? NULL : add_client(k, fd);
	if (!c)
		return false;
	(void)client_tell(c, &h, NULL, 0, &k->self, 1);
	h = (struct msg_head){.op = OP_READY, .arg = WIRE};
	(void)client_tell(c, &h, &ready, sizeof(ready), NULL, 0);
	return true;
}

/* The end of a client; of the whole, when he was its owner. */
static void lose_client(struct keeper *k, struct client *c)
{
	struct client **at = &k->clients;

	if (c->fd == k->ctl && (k->listen < 0 || k->for_job))
		_exit(0);
	shell_forget(k, c);
	exec_forget(k, c);
	work_forget(k, c);
	jobs_forget(k, c);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	client_drop(c);
	close(c->fd);
	free(c);
}

static void give_files(struct keeper *k, struct client *c, uint32_t id)
{
	struct msg_head is = {.op = OP_FILES_IS, .id = id};
	struct err e = {0};

	if (files_open(k, c, id, &e) < 0)
		(void)client_tell(c, &is, &e, sizeof(e), NULL, 0);
}

/* The first process of a pid namespace ends before the others are killed, and those one in another one by one: so
 * all of them are killed now. Our own end frees the lock, which is all that some look at: so of a detached one nothing may
 * run any more then. Who ends it by our pidfd need not wait, and ends us where what was killed hangs in the kernel. */
void keeper_end(const struct keeper *k, bool by_itself)
{
	if (getpid() == 1) { /* else it would not be ours alone */
		(void)kill(-1, SIGKILL);
		while (by_itself && k->listen >= 0 && (wait(NULL) > 0 || errno == EINTR))
			;
	}
	_exit(0);
}

/* For all who have a copy of it yet: those of ours that have not come to their exec, or are about to end. */
static void unlock_name(const struct keeper *k)
{
	struct flock l = {.l_type = F_UNLCK};

	if (k->plan->lock >= 0 && (unsigned)k->plan->lock < k->start.nfds)
		(void)fcntl(k->start.fds[k->plan->lock], F_OFD_SETLK, &l);
}

static void kill_all(void)
{
	if (kill(-1, SIGKILL) == 0)
		while (wait(NULL) > 0 || errno == EINTR)
			;
}

/* Most of a keeper's own end are waits of the kernel for its mounts. @c need not wait for those; nor for the end of what does nothing
 * any more (unless @patient; see reset_end()). */
static void end_before(struct keeper *k, struct client *c, bool patient)
{
	const struct msg_head ended = {.op = OP_ENDED};
	int lock = -1;

	if (getpid() != 1) /* else it would not be ours alone */
		_exit(0);
	if (patient || k->working || !reset_end(k))
		kill_all();
	if (reset_abandon(k, &lock)) {
		unlock_name(k);
		(void)client_tell(c, &ended, NULL, 0, NULL, 0);
		kill_all();
		reset_let_go(k, &lock);
	}
	_exit(0);
}

static void one_message(struct keeper *k, struct client *c)
{
	PIECE(struct msg_buf, buf);
	struct msg_head failed = {.op = OP_EXITED};
	struct exited x = {.how = EXITED_FAULT};
	struct msg m;
	int r = msg_recv(c->fd, &m, buf->bytes, sizeof(buf->bytes), MSG_DONTWAIT);

	if (r == 0)
		lose_client(k, c);
	failed.id = m.head.id;
	if (r == -EMFILE && (m.head.op == OP_EXEC || m.head.op == OP_SHELL)) {
		(void)err_sys(&x.e, r, "take the command's descriptors");
		(void)client_tell(c, &failed, &x, sizeof(x), NULL, 0);
	}
	if (r == -EMFILE && m.head.op == OP_DIFF) {
		(void)err_sys(&x.e, r, "take the file for what differs");
		failed.op = OP_LAYERS;
		(void)client_tell(c, &failed, &x.e, sizeof(x.e), NULL, 0);
	}
	if (r == -EMFILE && m.head.op == OP_JOB_START) {
		(void)err_sys(&x.e, r, "take the command");
		jobs_refuse(c, m.head.id, &x.e);
	}
	if (r <= 0)
		return;
	if ((m.head.op == OP_EXEC && exec_start(k, c, &m, NULL, &x.e) < 0) ||
	    (m.head.op == OP_SHELL && shell_open(k, c, &m, &x.e) < 0))
		(void)client_tell(c, &failed, &x, sizeof(x), NULL, 0);
	else if (m.head.op == OP_SHELL_BACK)
		shell_back(k, c, &m);
	else if (m.head.op == OP_SHELL_KILL && m.head.body == sizeof(struct shell_kill))
		shell_kill(k, c, m.head.id, m.body);
	else if (m.head.op == OP_DRAIN && m.nfds == 1)
		drain_add(k, take_fd(&m.fds[0]));
	else if (m.head.op == OP_JOB_START)
		jobs_start(k, c, &m);
	else if (m.head.op == OP_JOB && m.head.body == sizeof(struct job_ask))
		jobs_ask(k, c, &m);
	else if (m.head.op == OP_FILES)
		give_files(k, c, m.head.id);
	else if (m.head.op == OP_SIGNAL)
		exec_signal(k, c, m.head.id, m.head.arg);
	else if (m.head.op == OP_RESET || m.head.op == OP_RESTORE)
		reset_run(k, c, &m);
	else if (m.head.op == OP_NAME)
		twin_named(k, c, &m);
	else if (m.head.op == OP_SNAPSHOT)
		snapshot_take(k, c, &m);
	else if (m.head.op == OP_DIFF)
		diff_start(k, c, &m);
	else if (m.head.op == OP_END && m.head.arg & 1)
		end_before(k, c, !(m.head.arg & 2));
	else if (m.head.op == OP_END)
		keeper_end(k, false);
	else if (m.head.op == OP_STOP)
		stop_begin(k, &m);
	else if (m.head.op == OP_KILL_ALL)
		stop_signal(k, (int)m.head.arg);
	msg_done(&m);
}

static void hear(struct keeper *k, struct client *c, short what)
{
	if (what & (POLLHUP | POLLERR)) /* what he said before he went is heard all the same */
		client_drop(c);
	if (c->unsent)
		client_go_on(c);
	else
		one_message(k, c);
}

enum { FULL_NS = 50000000, FIXED = 5, CLIENTS_MAX = 250, WATCHED = FIXED + CLIENTS_MAX + DRAINS_MAX + 2 * JOBS_MAX };

/* What to wait for: the owner's end, somebody new, a spare that reports, the exec of the one command after which the
 * storage is of no use, every client, output that is dropped (*drains: where that begins), and jobs. */
static unsigned watch(struct keeper *k, struct pollfd *p, struct client **who, unsigned *drains, unsigned *jobs)
{
	/* Nobody is heard as long as what runs is held: what he began now would go on beside. */
	const short hears = work_holds(k) ? 0 : POLLIN;
	int fds[2 * JOBS_MAX];
	unsigned n = FIXED, njobs = jobs_watch(k, fds);

	p[0] = (struct pollfd){k->owner, POLLIN, 0};
	p[1] = (struct pollfd){k->listen, POLLIN, 0};
	p[2] = (struct pollfd){k->spare.pid ? k->spare.news : -1, POLLIN, 0};
	p[3] = (struct pollfd){storage_is_open(k) ? exec_main_news(k) : -1, POLLIN, 0};
	p[4] = (struct pollfd){k->starter.listen ? k->starter.sock : -1, POLLIN, 0};
	for (struct client *c = k->clients; c && n < FIXED + CLIENTS_MAX; c = c->next, n++) {
		p[n] = (struct pollfd){c->fd, c->unsent ? POLLOUT : hears, 0};
		who[n] = c;
	}
	if (n == FIXED + CLIENTS_MAX || k->full_until_ns)
		p[1].fd = -1; /* full: who comes now waits */
	*drains = n;
	for (int i = 0; i < k->ndrains; i++)
		p[n++] = (struct pollfd){k->drains[i], POLLIN, 0};
	*jobs = n;
	for (unsigned i = 0; i < njobs; i++)
		p[n++] = (struct pollfd){fds[i], POLLIN, 0};
	return n;
}

static int wait_until(struct pollfd *p, unsigned n, uint64_t due, const sigset_t *none)
{
	uint64_t now = sys_now_ns();
	struct timespec ts = {0};

	if (due > now) {
		ts.tv_sec = (time_t)((due - now) / 1000000000u);
		ts.tv_nsec = (long)((due - now) % 1000000000u);
	}
	return ppoll(p, n, due ? &ts : NULL, none);
}

static void drop_storage(struct keeper *k)
{
	struct err e;

	if (storage_close(k, &e) == 0)
		return;
	if (!storage_is_open(k))
		_exit(1); /* better no sandbox than one that holds on to the host's mounts */
	k->full_until_ns = sys_now_ns() + FULL_NS;
}

/* Nothing else is to do. */
static void when_idle(struct keeper *k)
{
	if (storage_is_open(k)) {
		drop_storage(k);
		return;
	}
	reset_prepare(k);
	if (k->want_ahead)
		shell_ahead(k);
	if (k->starter.want)
		starter_begin(k);
}

/* Nobody has come for long: the next one waits some microseconds for what that gives back. */
static void get_lean(struct keeper *k)
{
	pieces_drop();
	starter_lean(k);
	sys_stack_trim(0);
	k->lean = true;
}

void keeper_serve(struct keeper *k)
{
	static struct pollfd p[WATCHED];
	static struct client *who[FIXED + CLIENTS_MAX];
	sigset_t none;

	sigemptyset(&none);
	if (!add_client(k, k->ctl))
		_exit(1);
	k->heard_ns = sys_now_ns();
	for (;;) {
		uint64_t now = sys_now_ns(), due = stop_due(k, jobs_due(k, now, exec_due(k, now, starter_due(k, now))));
		unsigned drains, jobs, n;
		bool later;
		int r;

		if (k->full_until_ns <= now)
			k->full_until_ns = 0;
		else if (!due || k->full_until_ns < due)
			due = k->full_until_ns;
		if (!k->lean && (!due || k->heard_ns + lean_after_ns < due))
			due = k->heard_ns + lean_after_ns;
		later = reset_is_due(k, now, &due) || k->want_ahead || k->starter.want ||
			(storage_is_open(k) && exec_main_news(k) < 0 && !k->full_until_ns);
		n = watch(k, p, who, &drains, &jobs);
		r = wait_until(p, n, later ? 1 : stop_nameless(k, now, due), &none);

		reap(k);
		if (r == 0) {
			when_idle(k);
			sys_stack_trim(STACK_KEPT);
			if (!k->lean && now >= k->heard_ns + lean_after_ns)
				get_lean(k);
		}
		if (r <= 0)
			continue;
		k->heard_ns = sys_now_ns(); /* not as long ago as it began to wait */
		k->lean = false;
		if (p[0].revents)
			_exit(0);
		if (p[2].revents && k->spare.pid) /* else it was reaped just now */
			reset_spare_reports(k);
		if (p[3].revents && storage_is_open(k))
			drop_storage(k);
		for (unsigned i = FIXED; i < drains; i++)
			if (p[i].revents)
				hear(k, who[i], p[i].revents);
		for (unsigned i = drains; i < jobs; i++)
			if (p[i].revents)
				drain_some(k, p[i].fd);
		for (unsigned i = jobs; i < n; i++)
			if (p[i].revents)
				jobs_some(k, p[i].fd);
		if (p[1].revents && !keeper_welcome(k)) /* no descriptor is free */
			k->full_until_ns = now + FULL_NS;
	}
}
