/* SPDX-License-Identifier: Apache-2.0
 *
 * exec.c - start a command inside, and tell how it ended
 *
 * How it works: a command is a plain clone of the keeper. With CLONE_VM the inside could write the
 * keeper's oom_score_adj through a stopped child; with CLONE_VFORK it could stop the keeper for
 * ever. So nobody waits: the child's end of a pipe closes at exec, or carries a struct err, and is
 * looked at when the child ends or after a second. One that has not exec'ed by then was held by
 * the inside and is killed. Most are handed on to the starter, when there is one (hand_on.c): those have no
 * such pipe, and are looked at by what they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/child.h"
#include "inside/keeper.h"
#include "sys/proc.h"

#define EXEC_WITHIN_NS 1000000000ull
#define EXEC_AGAIN_NS 250000000ull /* of one that the starter has not begun in that time */

enum { BUSY_SECONDS = 30 };

/* ---- in the keeper ---------------------------------------------------------------------------- */

/* Both ends of a terminal. The slave goes to the command, the master to the caller. */
static int open_pty(struct keeper *k, const struct child *c, int *ret_master, int *ret_slave,
		    struct err *e)
{
	struct winsize ws = {.ws_row = c->call->rows, .ws_col = c->call->cols};
	auto_fd int m = openat(k->now.pts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), s = -1;
	int unlock = 0;

	if (m < 0)
		return err_sys(e, errno, "open a terminal");
	if (ioctl(m, TIOCSPTLCK, &unlock) < 0)
		return err_sys(e, errno, "unlock the terminal");
	s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0)
		return err_sys(e, errno, "open the terminal's other end");
	if (ws.ws_row && ioctl(m, TIOCSWINSZ, &ws) < 0)
		return err_sys(e, errno, "set the size of the terminal");
	(void)fchown(s, c->who.uid, (gid_t)-1); /* one id only: it is ours already */
	*ret_master = take_fd(&m);
	*ret_slave = take_fd(&s);
	return 0;
}

enum { EXITING = 4 }; /* PF_EXITING of the kernel's include/linux/sched.h */

/* Its end takes until all inside are reaped, our own children there by us: it cannot be waited for. */
static bool reaper_ends(const struct keeper *k)
{
	char path[32], text[512] = "";
	unsigned long flags = EXITING; /* gone */
	auto_fd int fd = -1;
	const char *end;

	snprintf(path, sizeof(path), "%d/stat", k->now.pid);
	fd = openat(k->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && (end = strrchr(text, ')')))
		(void)sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	return flags & EXITING;
}

static int launch_here(struct keeper *k, struct child *c, struct slot *s, struct err *e)
{
	int pipefd[2], r = child_vectors(c, e);

	if (r < 0)
		return r;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	s->pid = sys_fork(0, &s->pidfd);
	if (s->pid == 0)
		child_main(c, pipefd[1]);
	close(pipefd[1]);
	s->news = pipefd[0];
	if (s->pid < 0) {
		close(pipefd[0]);
		/* So the kernel calls a pid namespace whose first process is about to end. */
		if (s->pid == -ENOMEM && reaper_ends(k))
			return err_set(e, ERR_DIED, "its first process was killed");
		return err_sys(e, -s->pid, "make a process");
	}
	return 0;
}

/* @m NULL: by ourselves. */
static int launch(struct keeper *k, struct child *c, struct slot *s, struct msg *m, struct err *e)
{
	uint64_t now_ns = sys_now_ns(), exec_by_ns = now_ns + (m ? EXEC_WITHIN_NS : EXEC_AGAIN_NS);
	int r = 0;

	s->pid = 0;
	s->pidfd = s->news = -1;
	if (!m || !starter_takes(k, s, c->call, m))
		r = launch_here(k, c, s, e);
	if (r < 0)
		return r;
	if (!s->began_ns) /* else it is started again */
		s->began_ns = now_ns;
	if (s->exec_by_ns < exec_by_ns)
		s->exec_by_ns = exec_by_ns;
	if (c->call->timeout_ms && !s->end_by_ns)
		s->end_by_ns = sys_deadline_ns(sys_now_ns(), c->call->timeout_ms);
	s->flags = c->call->flags;
	s->reaper = k->now.pid;
	s->next = k->slots;
	k->slots = s;
	return 0;
}

/* With one id there is one group too, whatever the image's files say. */
static int one_id(const struct keeper *k, const struct call *c, struct who *w, struct err *e)
{
	if (c->groups.count)
		return err_set(e, ERR_UNSUPPORTED,
			       "no supplementary group can be given: the sandbox has one id only (`hutch "
			       "doctor` says how to get more)");
	if (k->plan->flags & PLAN_NESTED)
		w->gid = k->plan->nested_gid;
	w->ngroups = 0;
	return 0;
}

static int check_groups(const struct keeper *k, const struct who *w, struct err *e)
{
	const struct prepare *p = &k->prep;

	for (uint32_t i = 0; i < w->ngroups; i++) {
		bool found = false;

		for (uint32_t j = 0; j < p->ngid; j++)
			found |= w->groups[i] - p->gid[j].inside < p->gid[j].count;
		if (!found)
			return err_set(e, ERR_INVALID, "supplementary group %u is no id of the sandbox",
				       w->groups[i]);
	}
	return 0;
}

static int prepare(struct keeper *k, struct msg *m, struct child *c, int *ret_master, int *ret_slave,
		   struct err *e)
{
	int r;

	if (k->stop_by_ns)
		return err_set(e, ERR_STATE, "the sandbox is being stopped");
	r = reset_revive(k, e);
	if (r == 0)
		r = who_find(k, c->pack, c->call, &c->who, e);
	if (r == 0 && k->prep.ids == PLAN_IDS_SELF)
		r = one_id(k, c->call, &c->who, e);
	if (r == 0)
		r = check_groups(k, &c->who, e);
	if (r < 0)
		return r;
	if (!child_ends(c, m))
		return err_set(e, ERR_INTERNAL, "%u descriptors", m->nfds);
	if (!(c->call->flags & CALL_TTY))
		return 0;
	r = open_pty(k, c, ret_master, ret_slave, e);
	for (int i = 0; i < 3; i++)
		c->in[i] = *ret_slave;
	return r;
}

/* @again: not by the starter. */
static int start(struct keeper *k, struct child *c, struct slot *s, struct msg *m, bool again, struct err *e)
{
	auto_fd int master = -1, slave = -1;
	int r = prepare(k, m, c, &master, &slave, e);

	if (r == 0)
		r = launch(k, c, s, again ? NULL : m, e);
	if (r == 0 && master >= 0)
		(void)client_tell(s->client, &(struct msg_head){.op = OP_PTY, .id = s->id}, NULL, 0, &master, 1);
	child_done(c);
	return r;
}

static int start_here(struct keeper *k, struct child *c, struct slot *s, struct msg *m, bool again, struct err *e)
{
	int r = start(k, c, s, m, again, e);

	if (r == ERR_DIED && k->now.pid && !k->spent && reaper_ends(k)) { /* it was not quite dead yet */
		r = reset_outlive(k, e);
		if (r == 0)
			r = start(k, c, s, m, again, e);
	}
	return r;
}

int exec_start(struct keeper *k, struct client *client, struct msg *m, const char *cwd_last, struct err *e)
{
	struct pack p = {m->body, m->head.body};
	PIECE(struct child, c);
	struct slot *s;
	int r;

	*c = (struct child){.k = k, .pack = &p, .call = call_open(&p, e), .cwd_last = cwd_last, .image = -1};
	if (!c->call)
		return e->code;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_oom(e);
	s->id = m->head.id;
	s->client = client;
	r = start_here(k, c, s, m, false, e);
	if (r < 0)
		free(s);
	/* There is no other generation after it: what is there for building one goes beside the command, and not when
	 * somebody waits for the end. */
	if (r == 0 && c->call->flags & CALL_MAIN && k->listen < 0)
		k->spent = true;
	return r;
}

/* As a terminal's Ctrl-Z would. */
static bool is_for_group(int sig)
{
	return sig == SIGSTOP || sig == SIGCONT;
}

static void signal_one(struct slot *s, int sig, bool group)
{
	if (!s->pid) { /* it is being started */
		s->early |= EARLY(sig);
		return;
	}
	/* It leads a group of its number as long as we have not reaped it; not yet a session in its first
	 * moments. */
	if (!group || kill(-s->pid, sig) < 0)
		(void)sys_pidfd_signal(s->pidfd, sig);
}

void exec_signal_early(struct slot *s, uint64_t early)
{
	for (int sig = 1; sig <= 64; sig++)
		if (early & EARLY(sig))
			signal_one(s, sig, is_for_group(sig));
}

static void unlink_slot(struct keeper *k, struct slot *s)
{
	struct slot **at = &k->slots;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

static uint64_t lasted_us(const struct slot *s)
{
	return (sys_now_ns() - s->began_ns) / 1000;
}

/* A command of which nothing runs any more, or never did. */
static void tell_end(const struct slot *s, const struct exited *x)
{
	if (s->client)
		(void)client_tell(s->client, &(struct msg_head){.op = OP_EXITED, .id = s->id}, x, sizeof(*x), NULL, 0);
}

void exec_again(struct keeper *k, struct slot *s, struct msg *m, bool lost)
{
	struct pack p = {m->body, m->head.body};
	struct child c = {.k = k, .pack = &p, .image = -1};
	struct exited x = {.status = SIGKILL, .how = s->timed_out ? EXITED_TIMEOUT : EXITED_STATUS};
	uint64_t early = s->early;

	x.wall_us = lasted_us(s);
	unlink_slot(k, s);
	s->number = 0;
	s->early = 0;
	s->not_begun = false;
	c.call = call_open(&p, &x.e);
	if (!lost && !s->doomed && !(early & EARLY(SIGKILL))) {
		if (c.call && start_here(k, &c, s, m, true, &x.e) == 0) {
			exec_signal_early(s, early);
			return;
		}
		x.how = EXITED_FAULT;
	}
	tell_end(s, &x);
	free(s);
}

pid_t exec_pid(const struct keeper *k, const struct client *c, uint32_t id)
{
	for (const struct slot *s = k->slots; s; s = s->next)
		if (s->client == c && s->id == id)
			return s->pid;
	return 0;
}

void exec_assign(struct keeper *k, pid_t pid, struct client *c, uint32_t id)
{
	for (struct slot *s = k->slots; s; s = s->next)
		if (s->pid == pid) {
			s->client = c;
			s->id = id;
		}
}

void exec_signal(struct keeper *k, const struct client *c, uint32_t id, uint32_t arg)
{
	for (struct slot *s = k->slots; s; s = s->next)
		if (s->client == c && s->id == id)
			signal_one(s, (int)(arg & ~SIGNAL_GROUP), arg & SIGNAL_GROUP || is_for_group((int)arg));
}

static struct slot *by_pid(const struct keeper *k, pid_t pid)
{
	struct slot *s = k->slots;

	while (s && (s->pid != pid || !pid))
		s = s->next;
	return s;
}

void exec_signal_pid(struct keeper *k, pid_t pid, int sig)
{
	struct slot *s = by_pid(k, pid);

	if (s)
		signal_one(s, sig, is_for_group(sig));
}

int exec_news(const struct keeper *k, pid_t pid)
{
	const struct slot *s = by_pid(k, pid);

	return s ? s->news : -1;
}

int exec_main_news(const struct keeper *k)
{
	for (const struct slot *s = k->slots; s && k->spent; s = s->next)
		if (s->flags & CALL_MAIN)
			return s->news;
	return -1;
}

int exec_began(struct keeper *k, pid_t pid)
{
	const struct slot *s = by_pid(k, pid);
	struct pollfd p = {s ? s->news : -1, POLLIN, 0};

	if (!s || s->news < 0)
		return 1;
	if (poll(&p, 1, 0) <= 0)
		return 0;
	if (!(p.revents & POLLIN))
		return 1;
	/* It has said why not, and has nothing more to do. Something of the inside may have stopped it. */
	(void)sys_pidfd_signal(s->pidfd, SIGKILL);
	return -1;
}

void exec_forget(struct keeper *k, const struct client *c)
{
	for (struct slot *s = k->slots; s; s = s->next) {
		if (s->client != c)
			continue;
		s->client = NULL;
		if (s->pid)
			tree_kill(k, s->pid);
		else
			s->doomed = true;
	}
}

/* Has it exec'ed? Takes what the child said on its pipe. */
static bool look(struct slot *s, struct err *e)
{
	ssize_t n;

	if (s->why)
		*e = *s->why;
	if (s->number)
		return !s->why;
	if (s->news < 0)
		return true;
	n = read(s->news, e, sizeof(*e));
	close_fd(&s->news);
	if (n != (ssize_t)sizeof(*e))
		e->code = 0;
	return n == 0;
}

void exec_ended(struct keeper *k, pid_t pid, int status, const void *rusage)
{
	const struct rusage *ru = rusage;
	struct exited x = {.status = status};
	struct slot *s = by_pid(k, pid);

	if (!s || s->number) { /* it may have said who it is, or why it could not be executed, and nobody has heard it yet */
		starter_hear_of(k, pid);
		s = by_pid(k, pid);
	}
	if (!s)
		return;
	unlink_slot(k, s);
	if (s->reaper == k->now.pid)
		k->now.orphans = true;
	x.user_us = (uint64_t)ru->ru_utime.tv_sec * 1000000u + (uint64_t)ru->ru_utime.tv_usec;
	x.system_us = (uint64_t)ru->ru_stime.tv_sec * 1000000u + (uint64_t)ru->ru_stime.tv_usec;
	x.maxrss_kb = (uint64_t)ru->ru_maxrss;
	x.wall_us = lasted_us(s);
	if (!look(s, &x.e) && x.e.code)
		x.how = EXITED_FAULT;
	else if (s->stuck && (x.how = EXITED_FAULT))
		err_set(&x.e, ERR_TIMEOUT, "the command was stopped from inside before it began");
	else if (s->timed_out)
		x.how = EXITED_TIMEOUT;
	if (s->flags & CALL_MAIN)
		generation_kill(&k->now); /* it dies while the caller hears of it */
	tell_end(s, &x);
	jobs_ended(k, pid, &x);
	if (s->flags & CALL_MAIN) {
		jobs_last_words(k);
		jobs_keep(k);
		keeper_end(k, true);
	}
	shell_ended(k, pid);
	starter_ended(k, pid);
	close_fd(&s->pidfd);
	free(s->why);
	free(s);
}

/* The second for exec is over. On a machine that is very busy it may not have come to it yet. */
static void check_exec(struct keeper *k, struct slot *s, uint64_t now_ns)
{
	struct pollfd p = {s->news, POLLIN, 0};
	bool done = s->number ? starter_has_done(k, s) : s->news < 0 || poll(&p, 1, 0) == 1;

	s->exec_by_ns = 0;
	if (done)
		return;
	if (s->seconds++ < BUSY_SECONDS && process_is_busy(k, s->pid)) {
		s->exec_by_ns = now_ns + EXEC_WITHIN_NS;
		return;
	}
	s->stuck = true;
	(void)sys_pidfd_signal(s->pidfd, SIGKILL);
}

static void time_over(struct keeper *k, struct slot *s)
{
	s->end_by_ns = 0;
	s->timed_out = true;
	if (s->flags & CALL_MAIN)
		generation_kill(&k->now);
	else if (s->pid)
		tree_kill(k, s->pid);
	else
		s->doomed = true;
	if (s->pid)
		(void)sys_pidfd_signal(s->pidfd, SIGKILL);
}

uint64_t exec_due(struct keeper *k, uint64_t now_ns, uint64_t due_ns)
{
	bool held = work_holds(k);

	for (struct slot *s = k->slots; s; s = s->next) {
		if (s->exec_by_ns && held) /* so it cannot come to it */
			s->exec_by_ns = now_ns + EXEC_WITHIN_NS;
		if (!s->waiting && s->exec_by_ns && s->exec_by_ns <= now_ns)
			check_exec(k, s, now_ns);
		if (s->end_by_ns && s->end_by_ns <= now_ns)
			time_over(k, s);
		if (!s->waiting && s->exec_by_ns && (!due_ns || s->exec_by_ns < due_ns))
			due_ns = s->exec_by_ns;
		if (s->end_by_ns && (!due_ns || s->end_by_ns < due_ns))
			due_ns = s->end_by_ns;
	}
	return due_ns;
}
