/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.c - start hutch-init from a program of any size
 *
 * How it works: clone(CLONE_VM | CLONE_VFORK) with a stack of its own; the caller's thread stands
 * still until the exec. All signals are blocked meanwhile, so that none of the caller's handlers
 * runs in the child. It has a session of its own before the caller goes on. For an orphan there is a second such clone in between, which ends at once and
 * is waited for with __WCLONE: it never exec'ed, so its exit signal is still none.
 */
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/proc.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

enum { STACK = 16384 };

struct task {
	int image, sock;
	const char *arg;
	volatile int failed;
	volatile bool in_spaces; /* it failed later than in making its namespaces */
	bool orphan;
	char *stack2; /* of the second clone, for an orphan */
	uint64_t spaces; /* its own namespaces; 0: none */
};

int sys_image_seal(const char *name, const void *data, size_t len)
{
	auto_fd int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	auto_fd int high = -1;
	size_t done = 0;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	/* Nothing maps it, so this is as much as F_SEAL_WRITE; but that waits until nobody else holds a
	 * page, and EBUSY after 150 ms: the kernel's own work on memory is enough (mm/memfd.c). */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0)
		return -errno;
	if (fd >= 3)
		return take_fd(&fd);
	high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return high < 0 ? -errno : take_fd(&high);
}

/* Whoever has no id yet would lose his powers in the exec, were they not ambient (capabilities(7)).
 * And nobody may share memory with a process of another time: that namespace comes with the exec. */
static int settle(const struct task *t)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (t->spaces & CLONE_NEWTIME && syscall(SYS_unshare, CLONE_NEWTIME) < 0)
		return -1;
	if (syscall(SYS_capget, &h, d) < 0)
		return -1;
	d[0].inheritable = d[0].permitted;
	d[1].inheritable = d[1].permitted;
	if (syscall(SYS_capset, &h, d) < 0)
		return -1;
	for (unsigned c = 0; c < 64; c++)
		if (d[c / 32].permitted >> (c % 32) & 1)
			(void)syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
	return 0;
}

/* Raw system calls only: the memory is the caller's. The table of descriptors is a copy. */
static int become_init(void *p)
{
	struct task *t = p;
	char *argv[] = {(char *)(uintptr_t)"hutch-init", (char *)(uintptr_t)t->arg, NULL};
	char *env[] = {NULL};

	if (t->spaces && settle(t) < 0) {
		t->failed = errno;
		return 127;
	}
	t->in_spaces = true;
	/* Before the caller goes on: when he leads a session and ends, its terminal hangs up on all in it. */
	(void)syscall(SYS_setsid);
	if (syscall(SYS_dup3, t->sock, 0, 0) >= 0) {
		if (t->image > 1)
			(void)syscall(SYS_close_range, 1, t->image - 1, 0);
		(void)syscall(SYS_close_range, t->image + 1, ~0u, 0);
		(void)syscall(SYS_execveat, t->image, "", argv, env, AT_EMPTY_PATH);
	}
	t->failed = errno;
	return 127;
}

static int middle(void *p)
{
	struct task *t = p;

	if (clone(become_init, t->stack2 + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, t) < 0)
		t->failed = errno;
	return 0;
}

/* *ret_pidfd may be NULL. */
static int spawn(struct task *t, int sock, pid_t *ret_pid, int *ret_pidfd)
{
	auto_fd int high = sock >= 3 ? -1 : fcntl(sock, F_DUPFD_CLOEXEC, 3); /* 0 is written over in the child */
	int flags = CLONE_VM | CLONE_VFORK | (int)(t->spaces & ~(uint64_t)CLONE_NEWTIME) |
		    (ret_pidfd ? CLONE_PIDFD : 0);
	uint64_t all = ~0ull, before;
	int keep = errno, pidfd = -1;
	pid_t pid;
	char *stack;

	if (sock < 3 && high < 0)
		return -errno;
	t->sock = sock < 3 ? high : sock;
	stack = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
		     -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	t->stack2 = stack + STACK;
	(void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, 8);
	pid = clone(t->orphan ? middle : become_init, stack + STACK, flags, t, &pidfd);
	if (pid < 0)
		t->failed = errno;
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
	if (pid > 0 && (t->orphan || t->failed))
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	munmap(stack, 2 * STACK);
	errno = keep;
	if (t->failed) {
		close_fd(&pidfd);
		return -t->failed;
	}
	*ret_pid = t->orphan ? 0 : pid;
	if (ret_pidfd)
		*ret_pidfd = pidfd;
	return 0;
}

int sys_spawn_image(int image, const char *arg, int sock, bool orphan, pid_t *ret_pid)
{
	struct task t = {.image = image, .arg = arg, .orphan = orphan};

	return spawn(&t, sock, ret_pid, NULL);
}

int sys_spawn_apart(int image, const char *arg, int sock, uint64_t spaces, pid_t *ret_pid,
		    int *ret_pidfd, bool *ret_in_spaces)
{
	struct task t = {.image = image, .arg = arg, .spaces = spaces};
	int r = spawn(&t, sock, ret_pid, ret_pidfd);

	*ret_in_spaces = t.in_spaces;
	return r;
}
