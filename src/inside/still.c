/* SPDX-License-Identifier: Apache-2.0
 *
 * still.c - whether anything runs inside, and to hold all of it
 *
 * How it works: /proc of the keeper's own pid namespace names every process of the generation, beside the keeper
 * and its helpers. Quiet is a shell of ours that waits for its next text: it, or the sub-shell that was forked
 * ahead, reads from the shell's pipe, or waits until there is something to read, and nothing else is there.
 *
 * Whoever is not quiet is held with PTRACE_SEIZE and PTRACE_INTERRUPT, which the inside sees nothing of and cannot
 * undo (a SIGSTOP it could continue). A process that is held makes no other; so it is done when a
 * round finds nobody new. Whom the keeper has cloned and who has not exec'ed yet cannot be held, for a moment; nor
 * can who has a debugger inside. The tracer is a process of its own: with its end, for whatever reason, all go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/names.h"
#include "sys/proc.h"

enum { TASKS_MAX = 65536, HELD_WITHIN_MS = 2000, ASLEEP_NAPS = 50 };

/* ---- who is there ----------------------------------------------------------------------------- */

/* Return: the descriptor, for the caller to close, or -1. */
static int list(int at, const char *path, struct sys_names *n)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	sys_names_begin(n, fd);
	return fd;
}

/* The next number among the names; 0: no more. */
static pid_t next_number(struct sys_names *n)
{
	const char *name;

	while ((name = sys_names_next(n)))
		if (*name >= '1' && *name <= '9')
			return (pid_t)atoi(name);
	return 0;
}

static ssize_t read_text(int at, const char *path, char *text, size_t room)
{
	auto_fd int fd = openat(at, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, room - 1);

	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* Of ours, and not of the inside. */
static bool is_helper(const struct keeper *k, pid_t pid)
{
	return pid == 1 || pid == k->now.pid || pid == k->spare.pid || pid == getpid() ||
	       files_is(k, pid) || work_is(k, pid) || reset_leaves(k, pid) || shell_waits_ahead(k, pid);
}

/* Its sub-shell is the only other process of the spare generation. */
static bool is_of_spare(const struct keeper *k, pid_t pid)
{
	char path[32], text[512];
	const char *end;
	int parent = 0;

	if (!k->spare.pid)
		return false;
	snprintf(path, sizeof(path), "%d/stat", pid);
	if (read_text(k->proc, path, text, sizeof(text)) <= 0)
		return false;
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %*c %d", &parent) == 1 && shell_waits_ahead(k, parent);
}

/* ---- quiet ------------------------------------------------------------------------------------ */

/* One letter of proc(5); X: it has gone. */
static char state_of(const struct keeper *k, pid_t pid)
{
	char path[32], text[512];
	const char *end;

	snprintf(path, sizeof(path), "%d/stat", pid);
	if (read_text(k->proc, path, text, sizeof(text)) <= 0)
		return errno == ENOENT || errno == ESRCH ? 'X' : '?';
	end = strrchr(text, ')');
	return end ? end[2] : '?';
}

static bool is_zombie(const struct keeper *k, pid_t pid)
{
	char state = state_of(k, pid);

	return state == 'Z' || state == 'X';
}

/* A shell of ours, or what it has forked and is still the same program; or who is about to have ended, and has no program any
 * more: a sub-shell tells its end before that. */
static enum still of_shell(const struct keeper *k, pid_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "%d/exe", pid);
	if (fstatat(k->proc, path, &st, 0) < 0)
		return errno == ENOENT || errno == ESRCH ? STILL_SOON : STILL_NOT;
	return shell_program(k, &st) ? STILL_SOON : STILL_NOT;
}

static enum still is_quiet(const struct keeper *k, pid_t pid)
{
	char path[48], text[256];
	long number = -1;
	unsigned long first = 0;
	struct stat st;

	snprintf(path, sizeof(path), "%d/syscall", pid);
	(void)read_text(k->proc, path, text, sizeof(text));
	if (starter_is(k, pid)) /* nobody asks it for anything meanwhile */
		return sscanf(text, "%ld", &number) == 1 && number == SYS_recvmsg ? STILL : STILL_SOON;
	if (sscanf(text, "%ld 0x%lx", &number, &first) < 2 || number < 0)
		return process_is_zombie(k, pid) ? STILL : of_shell(k, pid);
	/* For its sub-shell, which is looked at, too. */
	if ((number == SYS_wait4 || number == SYS_waitid) && shell_is(k, pid))
		return STILL;
	snprintf(path, sizeof(path), "%d/fd/%lu", pid, number == SYS_read ? first : SHELL_COMMANDS);
	if ((number == SYS_read || number == SYS_ppoll) && fstatat(k->proc, path, &st, 0) == 0 && shell_reads(k, &st))
		return STILL;
	return of_shell(k, pid);
}

enum still still_is(const struct keeper *k)
{
	struct sys_names names;
	auto_fd int d = list(k->proc, ".", &names);
	enum still all = d < 0 ? STILL_NOT : k->starter.waiting ? STILL_SOON : STILL;
	pid_t pid;

	while (all != STILL_NOT && (pid = next_number(&names))) {
		enum still one = is_helper(k, pid) || is_of_spare(k, pid) ? STILL : is_quiet(k, pid);

		all = one < all ? one : all;
	}
	return d >= 0 && names.failed ? STILL_NOT : all;
}

/* ---- what only waits --------------------------------------------------------------------------- */

enum { WAITING_MAX = 32 };

/* Who is below the first thread of @pid, as far as there is room. Return: how many, -1: more, or nobody knows. */
static int children(const struct keeper *k, pid_t pid, pid_t *v, int room)
{
	char path[48], text[64], *at = text;
	int n = 0;

	snprintf(path, sizeof(path), "%d/task/%d/children", pid, pid);
	if (read_text(k->proc, path, text, sizeof(text)) < 0)
		return -1;
	while (*at) {
		if (n == room)
			return -1;
		v[n++] = (pid_t)strtol(at, &at, 10);
		if (*at++ != ' ')
			return -1;
	}
	return n;
}

/* Return: how many there are, -1: more than that is there. */
static int find_waiting(const struct keeper *k, pid_t v[WAITING_MAX])
{
	int n = 0;

	if (k->starter.waiting || !k->now.pid || (k->now.orphans && children(k, k->now.pid, v, 0) < 0))
		return -1;
	for (const struct slot *s = k->slots; s; s = s->next) {
		int may = starter_is(k, s->pid) ? 0 : shell_children(k, s->pid), has;

		if (may == SHELL_OF_SPARE)
			continue;
		if (!s->pid || may < 0 || n + 1 + may > WAITING_MAX || (has = children(k, s->pid, v + n, may)) < 0)
			return -1;
		n += has;
		v[n++] = s->pid;
	}
	return n;
}

bool still_waits(const struct keeper *k)
{
	pid_t v[WAITING_MAX];

	return find_waiting(k, v) >= 0;
}

bool still_end(struct keeper *k)
{
	pid_t v[WAITING_MAX];
	int n = find_waiting(k, v);

	for (int i = 0; i < n; i++) {
		sys_defer(v[i]);
		(void)kill(v[i], SIGKILL);
	}
	return n >= 0;
}

/* ---- hold ------------------------------------------------------------------------------------- */

struct held {
	pid_t *v;
	size_t n, room, awaited;
	uint64_t until_ns;
	pid_t refused; /* the last that the kernel did not let us have */
};

static bool is_held(const struct held *h, pid_t tid)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i] == tid)
			return true;
	return false;
}

/* Until it stands still. One that sleeps in the kernel and cannot be woken does nothing either (who has made a
 * child by vfork() waits so for its exec, which may be held already) and stops before it goes on. */
static void wait_one(const struct keeper *k, pid_t tid, uint64_t until_ns)
{
	const struct timespec nap = {.tv_nsec = 100000};
	siginfo_t how;

	for (int asleep = 0; asleep < ASLEEP_NAPS && sys_now_ns() < until_ns;) {
		/* It is only looked at: a signal whose delivery is what stops it would be lost when it is taken. */
		how.si_pid = 0;
		if (waitid(P_PID, (id_t)tid, &how, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || how.si_pid)
			return;
		nanosleep(&nap, NULL);
		asleep = state_of(k, tid) == 'D' ? asleep + 1 : 0;
	}
}

static void wait_held(const struct keeper *k, struct held *h)
{
	for (; h->awaited < h->n; h->awaited++)
		wait_one(k, h->v[h->awaited], h->until_ns);
}

/* Return: 1 it is held now, 0 it has gone or had been, or less than 0. */
static int hold(const struct keeper *k, struct held *h, pid_t tid, struct err *e)
{
	pid_t *more;

	if (is_held(h, tid))
		return 0;
	if (h->n == h->room) {
		h->room = h->room ? 2 * h->room : 64;
		more = h->room > TASKS_MAX ? NULL : realloc(h->v, h->room * sizeof(*more));
		if (!more)
			return err_set(e, ERR_LIMIT, "more than %d threads run inside: they cannot be held for a copy",
				       TASKS_MAX);
		h->v = more;
	}
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
		int why = errno;

		if (why == ESRCH || (why == EPERM && is_zombie(k, tid)))
			return 0; /* it has ended meanwhile */
		if (why != EPERM)
			return err_sys(e, why, "hold process %d for the copy", tid);
		h->refused = tid;
		return 1;
	}
	h->v[h->n++] = tid;
	(void)ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return 1;
}

static int hold_process(const struct keeper *k, struct held *h, pid_t pid, struct err *e)
{
	struct sys_names names;
	auto_fd int d = -1;
	int some = 0, r = 0;
	char path[32];
	pid_t tid;

	if (process_is_zombie(k, pid)) /* its first thread alone may be one */
		return 0;
	snprintf(path, sizeof(path), "%d/task", pid);
	d = list(k->proc, path, &names);
	while (d >= 0 && r >= 0 && (tid = next_number(&names))) {
		r = hold(k, h, tid, e);
		some |= r > 0;
	}
	return r < 0 ? r : some;
}

int still_hold(const struct keeper *k, struct err *e)
{
	struct held h = {.until_ns = sys_now_ns() + HELD_WITHIN_MS * 1000000ull}; /* as long as we live */
	const struct timespec nap = {.tv_nsec = 200000};
	int r = 1;

	while (r > 0 && sys_now_ns() < h.until_ns) {
		struct sys_names names;
		auto_fd int d = list(k->proc, ".", &names);
		pid_t pid;

		if (h.refused)
			nanosleep(&nap, NULL);
		h.refused = 0;
		r = d >= 0 ? 0 : err_sys(e, errno, "see what runs inside");
		while (r >= 0 && (pid = next_number(&names))) {
			int one = is_helper(k, pid) || is_of_spare(k, pid) ? 0 : hold_process(k, &h, pid, e);

			r = one < 0 ? one : r | one;
		}
		wait_held(k, &h);
	}
	if (r > 0 && h.refused)
		return err_set(e, ERR_BUSY, "process %d inside cannot be held for a copy: a debugger has it", h.refused);
	if (r > 0)
		return err_set(e, ERR_BUSY, "what runs inside makes processes faster than they can be held for a copy");
	return r;
}
