/* SPDX-License-Identifier: Apache-2.0
 *
 * probe_child.c - short-lived children in which the kernel is asked
 *
 * How it works: the caller may be a threaded process of many GB, so a child shares its memory
 * (CLONE_VM | CLONE_VFORK, on a stack of its own) instead of copying it; the calling thread sleeps
 * until the child ends, and answers are simply written where they belong. The exit signal is 0, so
 * that neither a host that waits for any child nor one that ignores SIGCHLD notices. All signals
 * are blocked meanwhile; the child gives SIGALRM its default action and a timer, so what hangs is
 * ended by the kernel, also when the caller died.
 *
 * Called by: probe.c, probe_calls.c, probe_ns.c, probe_data.c.
 */
#include "sys/probe_child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/own.h"

#ifndef __WALL
#define __WALL 0x40000000
#endif

enum { STACK_BYTES = 256 * 1024, STACKS = 3, PARKED = 2, DEADLINE_S = 3 };

struct child {
	int (*fn)(void *);
	void *arg;
};

struct program {
	const struct probe_stacks *stacks;
	const char *path;
	char *const *argv;
	int out; /* stdout; -1: /dev/null */
};

int probe_stacks_init(struct probe_stacks *s)
{
	void *m = mmap(NULL, (size_t)STACKS * STACK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	s->base = m == MAP_FAILED ? NULL : m;
	return s->base ? 0 : -ENOMEM;
}

void probe_stacks_done(struct probe_stacks *s)
{
	if (s->base)
		munmap(s->base, (size_t)STACKS * STACK_BYTES);
	s->base = NULL;
}

/* In the child: end by SIGALRM, whatever the caller does with it. */
static void arm_deadline(void)
{
	const struct itimerval soon = {.it_value = {.tv_sec = DEADLINE_S}};
	struct sigaction by_default;
	sigset_t alarm_only;

	memset(&by_default, 0, sizeof(by_default));
	by_default.sa_handler = SIG_DFL;
	sigaction(SIGALRM, &by_default, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

/* In the child, whose own children are to be waited for whatever the caller does with them. */
static int child_main(void *arg)
{
	const struct child *c = arg;
	struct sigaction by_default;

	memset(&by_default, 0, sizeof(by_default));
	by_default.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &by_default, NULL);
	arm_deadline();
	return c->fn(c->arg);
}

/* In the parked child, beside the running caller and on his errno: nothing that can fail. */
static int park_main(void *arg)
{
	(void)arg;
	arm_deadline();
	for (;;)
		pause();
	return 0;
}

static char *stack_top(const struct probe_stacks *s, int depth)
{
	return s->base + (size_t)(depth + 1) * STACK_BYTES;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ETIMEDOUT;
}

static pid_t start(const struct probe_stacks *s, int depth, int flags, int (*fn)(void *),
		   void *arg)
{
	sigset_t all, before;
	pid_t pid;

	if (!s->base)
		return -ENOMEM;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = clone(fn, stack_top(s, depth), flags | CLONE_VM, arg);
	pid = pid < 0 ? -errno : pid;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

int probe_in_child(const struct probe_stacks *s, int depth, int flags, int (*fn)(void *),
		   void *arg)
{
	struct child c = {.fn = fn, .arg = arg};
	int keep = errno;
	pid_t pid = start(s, depth, flags | CLONE_VFORK, child_main, &c);
	int r = pid < 0 ? pid : wait_for(pid);

	errno = keep;
	return r;
}

pid_t probe_park(const struct probe_stacks *s)
{
	return start(s, PARKED, CLONE_NEWUSER, park_main, NULL);
}

void probe_unpark(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL); /* not reaped yet, so the number is still its own */
	(void)wait_for(pid);
}

/* In the child: the descriptors of the host stay out of the program. */
static int exec_program(void *arg)
{
	static char *const no_env[] = {NULL};
	const struct program *p = arg;
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 2) < 0 ||
	    dup2(p->out >= 0 ? p->out : null, 1) < 0)
		return 127;
	syscall(SYS_close_range, 3U, ~0U, 0U);
	execve(p->path, p->argv, no_env);
	return 127;
}

/* In the middle child: a program that was exec'ed ends with SIGCHLD, which shall not reach the
 * host. The timer of the child survives exec, so the program ends too. */
static int run_program(void *arg)
{
	struct program *prog = arg;
	struct child c = {.fn = exec_program, .arg = prog};
	pid_t pid = start(prog->stacks, 1, CLONE_VFORK, child_main, &c);
	int r = pid < 0 ? pid : wait_for(pid);

	return r < 0 ? 127 : r;
}

static void read_all(int fd, char *out, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have + 1 < size) {
		n = read(fd, out + have, size - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	out[have] = '\0';
}

int probe_program_run(const struct probe_stacks *s, const char *path, char *const argv[],
		      char *out, size_t size)
{
	struct program prog = {.stacks = s, .path = path, .argv = argv, .out = -1};
	auto_fd int from = -1;
	auto_fd int to = -1;
	int ends[2], r;

	if (out) {
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
			return -errno;
		from = ends[0];
		to = ends[1];
		prog.out = to;
	}
	/* What it says is read when it has ended: a pipe holds more than is wanted. */
	r = probe_in_child(s, 0, 0, run_program, &prog);
	if (out)
		read_all(from, out, size);
	return r;
}

ssize_t probe_read(const char *path, char *buf, size_t size)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t have = 0;
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	while (have + 1 < size) {
		n = read(fd, buf + have, size - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	buf[have] = '\0';
	return (ssize_t)have;
}

int probe_write(const char *path, const char *text)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, len) == (ssize_t)len ? 0 : errno ? -errno : -EIO;
}

int probe_mounts_private(void)
{
	return (int)probe_call(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

int probe_map_self(const struct probe *p)
{
	char line[64];
	int r;

	/* Kernel: user_namespaces(7), "Defining user and group ID mappings": setgroups first.
	 * It does not exist before 3.19 and is not needed by a root caller. */
	r = probe_write("/proc/self/setgroups", "deny");
	if (r < 0 && r != -ENOENT)
		return r;
	snprintf(line, sizeof(line), "0 %u 1\n", (unsigned int)p->who.uid);
	r = probe_write("/proc/self/uid_map", line);
	if (r < 0)
		return r;
	snprintf(line, sizeof(line), "0 %u 1\n", (unsigned int)p->who.gid);
	return probe_write("/proc/self/gid_map", line);
}
