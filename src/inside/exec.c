/* SPDX-License-Identifier: Apache-2.0
 *
 * exec.c - start a command inside, under all guards, and tell how it ended
 *
 * How it works: a command is a plain clone of the keeper. With CLONE_VM the inside could write the
 * keeper's oom_score_adj through a stopped child; with CLONE_VFORK it could stop the keeper for
 * ever. So nobody waits: the child's end of a pipe closes at exec, or carries a struct err, and is
 * looked at when the child ends or after a second. One that has not exec'ed by then was held by
 * the inside and is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

#define EXEC_WITHIN_NS 1000000000ull

enum { FILES_MANY = 8192, FILES_OURS = 1024 };

struct child {
	struct keeper *k;
	const struct pack *pack;
	const struct call *call;
	struct who who;
	char **argv, **env;
	int in[3]; /* standard descriptors */
	int more[CALL_FDS_MAX]; /* those asked for by number */
};

/* ---- in the child ----------------------------------------------------------------------------- */

/* Out of the way of the numbers asked for, before limits are set. */
static int child_raise(struct child *c, int *news, struct err *e)
{
	const uint32_t *number = pack_at(c->pack, c->call->numbers, 0);
	uint32_t above = 3;

	for (uint32_t i = 0; i < c->call->nnumbers; i++)
		if (number[i] >= above)
			above = number[i] + 1;
	for (uint32_t i = 0; i < c->call->nnumbers; i++) {
		c->more[i] = fcntl(c->more[i], F_DUPFD_CLOEXEC, (int)above);
		if (c->more[i] < 0)
			return err_sys(e, errno, "descriptor %u", number[i]);
	}
	*news = fcntl(*news, F_DUPFD_CLOEXEC, (int)above);
	return *news < 0 ? err_sys(e, errno, "descriptors") : 0;
}

static bool kept(const struct child *c, int news, int fd)
{
	for (uint32_t i = 0; i < c->call->nnumbers; i++)
		if (c->more[i] == fd)
			return true;
	return fd == news;
}

/* No descriptor of the keeper may be there when the first path of the inside is followed: by way of
 * /proc/self/fd it would lead to the storage. */
static int child_close(const struct child *c, int news, struct err *e)
{
	int last = news, r = 0;

	for (uint32_t i = 0; i < c->call->nnumbers; i++)
		if (c->more[i] > last)
			last = c->more[i];
	for (int fd = 3, from = 3; fd <= last + 1 && r == 0; fd++) {
		if (fd <= last && !kept(c, news, fd))
			continue;
		if (from < fd)
			r = sys_close_range((unsigned)from, fd > last ? ~0u : (unsigned)fd - 1);
		from = fd + 1;
	}
	if (r == 0)
		r = sys_close_range((unsigned)last + 1, ~0u);
	return r < 0 ? err_sys(e, r, "close the keeper's descriptors") : 0;
}

/* Links are followed, but not those of /proc that lead out of any root. */
static int child_cwd(const char *cwd, struct err *e)
{
	auto_fd int fd = sys_open_no_magic(*cwd ? cwd : "/", O_PATH | O_DIRECTORY);

	if (fd >= 0 && fchdir(fd) == 0)
		return 0;
	err_sys(e, fd < 0 ? fd : errno, "working directory '%s'", cwd);
	if (fd != -ENOSYS) /* that is not the command's fault: a filter around us refuses openat2 */
		e->code = ERR_CANNOT_EXEC;
	return e->code;
}

/* Nothing of ours is needed any more but the way to say what failed. */
static int child_numbers(const struct child *c, struct err *e)
{
	const uint32_t *number = pack_at(c->pack, c->call->numbers, 0);

	for (uint32_t i = 0; i < c->call->nnumbers; i++)
		if (dup2(c->more[i], (int)number[i]) < 0)
			return err_sys(e, errno, "descriptor %u", number[i]);
	return 0;
}

static int child_stdio(const struct child *c, struct err *e)
{
	for (int i = 0; i < 3; i++)
		if (dup2(c->in[i], i) < 0)
			return err_sys(e, errno, "standard descriptor %d", i);
	if (setsid() < 0)
		return err_sys(e, errno, "setsid");
	if (c->call->flags & CALL_TTY && ioctl(0, TIOCSCTTY, 0) < 0)
		return err_sys(e, errno, "take the terminal");
	return 0;
}

static int limit_refused(const struct child *c, uint32_t which, int sys, struct err *e)
{
	const struct plan *pl = c->k->plan;
	const struct plan_rlimit *l = pack_at(&c->k->pack, pl->rlimits.at, 0);

	for (uint32_t i = 0; i < pl->rlimits.count; i++)
		if (l[i].which == which) {
			const char *name = pack_get_str(&c->k->pack, l[i].name);

			return err_sys(e, sys, "--ulimit %s: more than the caller may have himself",
				       name ? name : "?");
		}
	return err_sys(e, sys, "set resource limit %u", which);
}

static int child_limits(const struct child *c, struct err *e)
{
	const struct plan *pl = c->k->plan;
	const struct plan_rlimit *l = pack_at(&c->k->pack, pl->rlimits.at, 0);
	struct rlimit limits[RLIM_NLIMITS];
	char text[16];
	int r;

	memcpy(limits, nursery_limits, sizeof(limits));
	/* What is left is for us: see send_it() of wire/msg.c. */
	if (limits[RLIMIT_NOFILE].rlim_max >= FILES_MANY)
		limits[RLIMIT_NOFILE].rlim_max -= FILES_OURS;
	if (limits[RLIMIT_NOFILE].rlim_cur > limits[RLIMIT_NOFILE].rlim_max)
		limits[RLIMIT_NOFILE].rlim_cur = limits[RLIMIT_NOFILE].rlim_max;
	/* 0 would still feed a core handler of the host that is a pipe: core(5). */
	limits[RLIMIT_CORE] = (struct rlimit){1, 1};
	if (pl->nofile_soft <= limits[RLIMIT_NOFILE].rlim_max)
		limits[RLIMIT_NOFILE].rlim_cur = pl->nofile_soft;
	for (uint32_t i = 0; i < pl->rlimits.count; i++)
		if (l[i].which < RLIM_NLIMITS)
			limits[l[i].which] = (struct rlimit){l[i].soft, l[i].hard};
	for (uint32_t i = 0; i < RLIM_NLIMITS; i++)
		if (setrlimit((int)i, &limits[i]) < 0)
			return limit_refused(c, i, errno, e);
	if (pl->oom_score_adj_set) {
		snprintf(text, sizeof(text), "%d", pl->oom_score_adj);
		/* The file is nobody's as long as we are not dumpable. Whoever is inside has less than
		 * we have: he may not trace us all the same. */
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		r = sys_write_file(c->k->proc, "self/oom_score_adj", text);
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		if (r < 0)
			return err_sys(e, r, "set oom_score_adj to %s", text);
	}
	return 0;
}

static int child_identity(const struct child *c, struct err *e)
{
	const struct who *w = &c->who;

	if (syscall(SYS_setgroups, (size_t)w->ngroups, w->groups) < 0 &&
	    (errno != EPERM || w->ngroups))
		return err_sys(e, errno, "set supplementary groups");
	if (syscall(SYS_setresgid, w->gid, w->gid, w->gid) < 0)
		return err_sys(e, errno, "become gid %u (not an id of the sandbox)", w->gid);
	if (syscall(SYS_setresuid, w->uid, w->uid, w->uid) < 0)
		return err_sys(e, errno, "become uid %u (not an id of the sandbox)", w->uid);
	return 0;
}

static int load_filter(const struct child *c, struct err *e)
{
	const struct plan *pl = c->k->plan;
	int r = 0;

	if (pl->filter.count)
		r = sys_seccomp_load(pack_at(&c->k->pack, pl->filter.at, 0),
				     (unsigned short)pl->filter.count);
	return r < 0 ? err_sys(e, r, "load the seccomp filter") : 0;
}

/* Where set-id programs may give powers: they give what the bounding set has. Both steps need powers
 * that another user than root no longer has, so they come before the change of ids. */
static int child_bounds(const struct child *c, struct err *e)
{
	int r;

	if (!(c->k->plan->flags & PLAN_NEW_PRIVS))
		return 0;
	r = sys_cap_bound(c->k->plan->caps);
	return r < 0 ? err_sys(e, r, "bounding set") : load_filter(c, e);
}

/**
 * child_guards() - The last steps before exec
 *
 * Should:  leave no way to gain powers; load the filter last, it may refuse what came before
 * Mustn't: open anything
 */
static int child_guards(const struct child *c, struct err *e)
{
	const struct plan *pl = c->k->plan;
	uint64_t have = 0;
	int r;

	if (!(pl->flags & PLAN_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "no_new_privs");
	/* Under no_new_privs exec cannot give more than this: it replaces the bounding set. */
	r = sys_capget(&have);
	if (r == 0)
		r = sys_capset(have & pl->caps);
	if (r < 0)
		return err_sys(e, r, "capset");
	return pl->flags & PLAN_NEW_PRIVS ? 0 : load_filter(c, e);
}

static int exec_failed(const char *path, int sys, struct err *e)
{
	if (sys == ENOENT || sys == ENOTDIR) {
		struct stat st;

		if (stat(path, &st) == 0) /* it is there: its interpreter is not */
			return err_set(e, ERR_NO_COMMAND,
				       "'%s': the interpreter it names is not in the sandbox", path);
		return err_set(e, ERR_NO_COMMAND, "'%s': no such file in the sandbox", path);
	}
	err_sys(e, sys, "'%s'", path);
	return e->code = ERR_CANNOT_EXEC;
}

static const char *env_get(char *const *env, const char *key)
{
	size_t n = strlen(key);

	for (; *env; env++)
		if (!strncmp(*env, key, n) && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* As execvp(), along the PATH of the command's own environment. */
static int exec_path(char *const *argv, char *const *env, struct err *e)
{
	const char *path = env_get(env, "PATH"), *p, *end;
	int worst = ENOENT;
	char file[4096];

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return exec_failed(argv[0], errno, e);
	}
	if (!argv[0][0])
		return err_set(e, ERR_NO_COMMAND, "'': no such file in the sandbox");
	for (p = path ? path : "/usr/bin:/bin"; ; p = end + 1) {
		end = strchrnul(p, ':');
		if ((size_t)snprintf(file, sizeof(file), "%.*s%s%s", (int)(end - p), p,
				     end == p ? "./" : "/", argv[0]) < sizeof(file)) {
			execve(file, argv, env);
			if (errno != ENOENT && errno != ENOTDIR)
				worst = errno;
			if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
				return exec_failed(file, errno, e);
		}
		if (!*end)
			break;
	}
	if (worst != ENOENT)
		return exec_failed(argv[0], worst, e);
	return err_set(e, ERR_NO_COMMAND, "'%s': not found in PATH of the sandbox", argv[0]);
}

/* What needs the keeper's descriptors and powers. */
static int child_prepare(struct child *c, struct err *e)
{
	int r = 0;

	if (c->k->plan->flags & PLAN_NESTED) {
		r = sys_setns(c->k->now.user, CLONE_NEWUSER);
		if (r < 0)
			return err_sys(e, r, "enter the nested user namespace");
	}
	sys_signals_mask(0);
	signal(SIGCHLD, SIG_DFL);
	(void)syscall(SYS_personality, 0);
	if (!c->k->plan->filter.count)
		(void)sys_keyring_join(); /* unfiltered, a command may have given the keeper its own */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* orphans stay below their leader */
	r = child_limits(c, e);
	if (r == 0)
		r = child_stdio(c, e);
	return r;
}

static int child_run(struct child *c, int news, struct err *e)
{
	const char *cwd = pack_get_str(c->pack, c->call->cwd);
	char home[sizeof(c->who.home) + 8];
	int r = child_prepare(c, e);

	if (r == 0)
		r = child_close(c, news, e);
	if (r == 0)
		r = child_bounds(c, e);
	if (r == 0)
		r = child_identity(c, e);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a change of ids can turn it on: fs.suid_dumpable */
	umask(c->call->umask);
	if (r == 0)
		r = child_cwd(cwd ? cwd : "/", e);
	if (r < 0)
		return r;
	if (c->call->flags & CALL_HOME) { /* the last element was left free for it */
		char **last = c->env;

		while (*last)
			last++;
		snprintf(home, sizeof(home), "HOME=%s", c->who.home);
		last[0] = home;
		last[1] = NULL;
	}
	r = child_guards(c, e);
	if (r == 0)
		r = child_numbers(c, e);
	return r < 0 ? r : exec_path(c->argv, c->env, e);
}

static void child_main(struct child *c, int news)
{
	struct err e = {0};

	if (child_raise(c, &news, &e) == 0)
		(void)child_run(c, news, &e);
	(void)!write(news, &e, sizeof(e));
	_exit(127);
}

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

static int vectors(struct child *c, struct err *e)
{
	uint32_t n = c->call->env.count;
	char **env;

	c->argv = pack_get_vector(c->pack, c->call->argv);
	c->env = pack_get_vector(c->pack, c->call->env);
	env = c->env ? realloc(c->env, (n + 2) * sizeof(*env)) : NULL;
	if (env)
		c->env = env;
	return c->argv && env ? 0 : err_set(e, ERR_INTERNAL, "arguments that are none");
}

static int launch(struct keeper *k, struct child *c, struct slot *s, struct err *e)
{
	int pipefd[2];

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	s->pidfd = -1;
	s->pid = sys_fork(0, &s->pidfd);
	if (s->pid == 0)
		child_main(c, pipefd[1]);
	close(pipefd[1]);
	s->news = pipefd[0];
	if (s->pid < 0) {
		close(pipefd[0]);
		return err_sys(e, -s->pid, "make a process");
	}
	s->exec_by_ns = sys_now_ns() + EXEC_WITHIN_NS;
	if (c->call->timeout_ms)
		s->end_by_ns = sys_now_ns() + c->call->timeout_ms * 1000000u;
	s->flags = c->call->flags;
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
	unsigned first;
	int r;

	if (!k->now.pid)
		return err_set(e, ERR_DIED, "the sandbox has ended");
	r = vectors(c, e);
	if (r == 0)
		r = who_find(k, c->pack, c->call, &c->who, e);
	if (r == 0 && k->prep.ids == PLAN_IDS_SELF)
		r = one_id(k, c->call, &c->who, e);
	if (r == 0)
		r = check_groups(k, &c->who, e);
	if (r < 0)
		return r;
	first = c->call->flags & CALL_TTY ? 0 : 3;
	if (m->nfds != first + c->call->nnumbers)
		return err_set(e, ERR_INTERNAL, "%u descriptors", m->nfds);
	memcpy(c->in, m->fds, first * sizeof(int));
	memcpy(c->more, m->fds + first, c->call->nnumbers * sizeof(int));
	if (first)
		return 0;
	r = open_pty(k, c, ret_master, ret_slave, e);
	for (int i = 0; i < 3; i++)
		c->in[i] = *ret_slave;
	return r;
}

int exec_start(struct keeper *k, struct client *client, struct msg *m, struct err *e)
{
	struct pack p = {m->body, m->head.body};
	static struct child c;
	auto_fd int master = -1, slave = -1;
	struct slot *s;
	int r;

	c = (struct child){.k = k, .pack = &p, .call = call_open(&p, e)};
	if (!c.call)
		return e->code;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_oom(e);
	s->id = m->head.id;
	s->client = client;
	r = prepare(k, m, &c, &master, &slave, e);
	if (r == 0)
		r = launch(k, &c, s, e);
	if (r < 0)
		free(s);
	if (r == 0 && master >= 0)
		(void)msg_send(client->fd, &(struct msg_head){.op = OP_PTY, .id = m->head.id}, NULL, 0,
			       &master, 1);
	free(c.argv);
	free(c.env);
	return r;
}

void exec_signal(struct keeper *k, const struct client *c, uint32_t id, int sig)
{
	bool group = sig == SIGSTOP || sig == SIGCONT;

	for (struct slot *s = k->slots; s; s = s->next) {
		if (s->client != c || s->id != id)
			continue;
		/* It leads a group of its number as long as we have not reaped it; not yet a session in its
		 * first moments. */
		if (!group || kill(-s->pid, sig) < 0)
			(void)sys_pidfd_signal(s->pidfd, sig);
	}
}

void exec_forget(struct keeper *k, const struct client *c)
{
	for (struct slot *s = k->slots; s; s = s->next) {
		if (s->client != c)
			continue;
		s->client = NULL;
		tree_kill(k, s->pid);
	}
}

/* Has it exec'ed? Takes what the child said on its pipe. */
static bool look(struct slot *s, struct err *e)
{
	ssize_t n;

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
	struct slot **at = &k->slots, *s;

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	s = *at;
	if (!s)
		return;
	*at = s->next;
	x.user_us = (uint64_t)ru->ru_utime.tv_sec * 1000000u + (uint64_t)ru->ru_utime.tv_usec;
	x.system_us = (uint64_t)ru->ru_stime.tv_sec * 1000000u + (uint64_t)ru->ru_stime.tv_usec;
	x.maxrss_kb = (uint64_t)ru->ru_maxrss;
	if (!look(s, &x.e) && x.e.code)
		x.how = EXITED_FAULT;
	else if (s->stuck && (x.how = EXITED_FAULT))
		err_set(&x.e, ERR_TIMEOUT, "the command was stopped from inside before it began");
	else if (s->timed_out)
		x.how = EXITED_TIMEOUT;
	if (s->flags & CALL_MAIN)
		generation_kill(&k->now); /* it dies while the caller hears of it */
	if (s->client)
		(void)msg_send(s->client->fd, &(struct msg_head){.op = OP_EXITED, .id = s->id}, &x,
			       sizeof(x), NULL, 0);
	if (s->flags & CALL_MAIN)
		_exit(0);
	close(s->pidfd);
	free(s);
}

/* The second for exec is over. */
static void check_exec(struct slot *s)
{
	struct pollfd p = {s->news, POLLIN, 0};

	s->exec_by_ns = 0;
	if (s->news < 0 || poll(&p, 1, 0) == 1)
		return;
	s->stuck = true;
	(void)sys_pidfd_signal(s->pidfd, SIGKILL);
}

static void time_over(struct keeper *k, struct slot *s)
{
	s->end_by_ns = 0;
	s->timed_out = true;
	if (s->flags & CALL_MAIN)
		generation_kill(&k->now);
	else
		tree_kill(k, s->pid);
	(void)sys_pidfd_signal(s->pidfd, SIGKILL);
}

uint64_t exec_due(struct keeper *k, uint64_t now_ns)
{
	uint64_t due = 0;

	for (struct slot *s = k->slots; s; s = s->next) {
		if (s->exec_by_ns && s->exec_by_ns <= now_ns)
			check_exec(s);
		if (s->end_by_ns && s->end_by_ns <= now_ns)
			time_over(k, s);
		if (s->exec_by_ns && (!due || s->exec_by_ns < due))
			due = s->exec_by_ns;
		if (s->end_by_ns && (!due || s->end_by_ns < due))
			due = s->end_by_ns;
	}
	return due;
}
