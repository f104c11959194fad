/* SPDX-License-Identifier: Apache-2.0
 *
 * child.c - between clone and exec: from the keeper's child to a command, under all guards
 *
 * How it works: the order is forced. Limits and standard descriptors need the keeper's descriptors;
 * those are closed before the first path of the inside is followed; ids change after what needs
 * powers, and before paths are looked up; the filter comes last, as it may refuse what came before.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/child.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

enum { FILES_MANY = 8192, FILES_OURS = 1024 };

/* What we are: it is no file of the inside. */
static int open_image(struct child *c, int above, struct err *e)
{
	auto_fd int low = openat(c->k->proc, "self/exe", O_PATH | O_CLOEXEC);

	c->image = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, above);
	return c->image < 0 ? err_sys(e, errno, "open hutch-init") : 0;
}

/* Out of the way of the numbers asked for, before limits are set. */
static int child_raise(struct child *c, int *news, struct err *e)
{
	const uint32_t *number = pack_at(c->pack, c->call->numbers, 0);
	uint32_t above = 3;
	int raised;

	for (uint32_t i = 0; i < c->call->nnumbers; i++)
		if (number[i] >= above)
			above = number[i] + 1;
	for (uint32_t i = 0; i < c->call->nnumbers; i++) {
		c->more[i] = fcntl(c->more[i], F_DUPFD_CLOEXEC, (int)above);
		if (c->more[i] < 0)
			return err_sys(e, errno, "descriptor %u", number[i]);
	}
	if (*news < (int)above) {
		raised = fcntl(*news, F_DUPFD_CLOEXEC, (int)above);
		if (raised < 0)
			return err_sys(e, errno, "descriptors");
		*news = raised;
	}
	return c->call->flags & CALL_RUNNER ? open_image(c, (int)above, e) : 0;
}

static bool kept(const struct child *c, int news, int fd)
{
	for (uint32_t i = 0; i < c->call->nnumbers; i++)
		if (c->more[i] == fd)
			return true;
	return fd == news || fd == c->image;
}

/* No descriptor of the keeper may be there when the first path of the inside is followed: by way of
 * /proc/self/fd it would lead to the storage. */
static int child_close(const struct child *c, int news, struct err *e)
{
	int last = news > c->image ? news : c->image, r = 0;

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
static int enter(const char *dir)
{
	auto_fd int fd = -1;

	if (!*dir || !strcmp(dir, "/")) /* there is nothing on the way */
		return chdir("/") < 0 ? -errno : 0;
	fd = sys_open_no_magic(dir, O_PATH | O_DIRECTORY);
	return fd < 0 ? fd : fchdir(fd) < 0 ? -errno : 0;
}

static int child_cwd(const struct child *c, struct err *e)
{
	const char *last = c->cwd_last ? c->cwd_last : pack_get_str(c->pack, c->call->cwd_last);
	const char *cwd = pack_get_str(c->pack, c->call->cwd);
	int r;

	if (last && enter(last) == 0)
		return 0;
	r = enter(cwd ? cwd : "/");
	if (r == 0)
		return 0;
	err_sys(e, r, "working directory '%s'", cwd);
	if (r != -ENOSYS) /* that is not the command's fault: a filter around us refuses openat2 */
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

/* One of its own, as far as there is no other: what of it is changed or locked is no other's. */
static int child_null(struct child *c, struct err *e)
{
	int null = -1;

	for (int i = 0; i < 3; i++) {
		if (c->in[i] >= 0)
			continue;
		if (null < 0)
			null = keeper_null(c->k);
		if (null < 0)
			return err_sys(e, errno, "open '/dev/null'");
		c->in[i] = null;
	}
	return 0;
}

static int child_stdio(const struct child *c, struct err *e)
{
	for (int i = 0; i < 3; i++)
		if (c->in[i] >= 0 && dup2(c->in[i], i) < 0)
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

void child_limits_are(const struct keeper *k, struct rlimit *limits)
{
	const struct plan *pl = k->plan;
	const struct plan_rlimit *l = pack_at(&k->pack, pl->rlimits.at, 0);

	memcpy(limits, callers_limits, sizeof(callers_limits));
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
}

static int child_limits(const struct child *c, struct err *e)
{
	const struct plan *pl = c->k->plan;
	struct rlimit limits[RLIM_NLIMITS];
	char text[16];
	int r;

	child_limits_are(c->k, limits);
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
	/* With fs.suid_dumpable a change of ids makes us traceable for a moment. Who keeps powers until
	 * child_guards() is so for nobody who has fewer. */
	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
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
		r = c->image < 0 ? sys_capset(have & pl->caps) : sys_capset_through(have & pl->caps, RUNNER_CAP);
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

/* hutch-init itself, with memory of its own: none of ours is left in it. */
static int exec_image(const struct child *c, struct err *e)
{
	syscall(SYS_execveat, c->image, "", c->argv, c->env, AT_EMPTY_PATH);
	return err_sys(e, errno, "execute hutch-init");
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

/* Under all guards: its environment, its descriptors, itself. */
static int child_exec(struct child *c, struct err *e)
{
	char home[sizeof(c->who.home) + 8];
	int r;

	if (c->call->flags & CALL_HOME) { /* the last element was left free for it */
		char **last = c->env;

		while (*last)
			last++;
		snprintf(home, sizeof(home), "HOME=%s", c->who.home);
		last[0] = home;
		last[1] = NULL;
	}
	r = child_numbers(c, e);
	if (r == 0)
		r = c->image >= 0 ? exec_image(c, e) : exec_path(c->argv, c->env, e);
	if (r == ERR_NO_COMMAND && c->call->flags & CALL_OR_SH) {
		c->argv[0] = (char *)(uintptr_t)"sh";
		r = exec_path(c->argv, c->env, e);
	}
	return r;
}

static int child_run(struct child *c, int news, struct err *e)
{
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
		r = child_cwd(c, e);
	if (r == 0)
		r = child_guards(c, e);
	return r < 0 ? r : child_exec(c, e);
}

bool child_ends(struct child *c, const struct msg *m)
{
	unsigned at = 0;

	for (int i = 0; i < 3; i++) {
		c->in[i] = -1;
		if (c->call->flags & CALL_TTY || c->call->nulls & 1u << i)
			continue;
		if (at == m->nfds)
			return false;
		c->in[i] = m->fds[at++];
	}
	if (m->nfds != at + c->call->nnumbers)
		return false;
	memcpy(c->more, m->fds + at, c->call->nnumbers * sizeof(int));
	return true;
}

int child_vectors(struct child *c, struct err *e)
{
	size_t words = (size_t)c->call->argv.count + 1, all = words + c->call->env.count + 2;

	c->argv = all <= CHILD_VECTORS ? c->vectors : calloc(all, sizeof(*c->argv));
	if (!c->argv)
		return err_oom(e);
	c->env = c->argv + words;
	if (pack_get_vector(c->pack, c->call->argv, c->argv) && pack_get_vector(c->pack, c->call->env, c->env))
		return 0;
	child_done(c);
	return err_set(e, ERR_INTERNAL, "arguments that are none");
}

void child_done(struct child *c)
{
	if (c->argv != c->vectors)
		free(c->argv);
	c->argv = c->env = NULL;
}

int child_again(struct child *c, int *say, struct err *e)
{
	int r = child_raise(c, say, e);

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	umask(c->call->umask);
	if (r == 0)
		r = child_stdio(c, e);
	if (r == 0)
		r = child_cwd(c, e);
	return r < 0 ? r : child_exec(c, e);
}

void child_main(struct child *c, int news)
{
	struct err e = {0};

	if (child_null(c, &e) == 0 && child_raise(c, &news, &e) == 0)
		(void)child_run(c, news, &e);
	(void)!write(news, &e, sizeof(e));
	_exit(127);
}
