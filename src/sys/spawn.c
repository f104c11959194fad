/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.c - start hutch-init from a program of any size
 *
 * How it works: clone(CLONE_VM | CLONE_VFORK) with a stack of its own; the caller's thread stands
 * still until the exec. All signals are blocked meanwhile, so that none of the caller's handlers
 * runs in the child. For an orphan there is a second such clone in between, which ends at once and
 * is waited for with __WCLONE: it never exec'ed, so its exit signal is still none.
 */
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

enum { STACK = 16384 };

struct task {
	int image, sock;
	const char *arg;
	volatile int failed;
	char *stack2; /* not NULL: orphan */
};

int sys_image_seal(const void *data, size_t len)
{
	auto_fd int fd = memfd_create("hutch-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	auto_fd int high = -1;
	size_t done = 0;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("hutch-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
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
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	if (fd >= 3)
		return take_fd(&fd);
	high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return high < 0 ? -errno : take_fd(&high);
}

/* Raw system calls only: the memory is the caller's. The table of descriptors is a copy. */
static int become_init(void *p)
{
	struct task *t = p;
	char *argv[] = {(char *)(uintptr_t)"hutch-init", (char *)(uintptr_t)t->arg, NULL};
	char *env[] = {NULL};

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

int sys_spawn_image(int image, const char *arg, int sock, bool orphan, pid_t *ret_pid)
{
	struct task t = {.image = image, .arg = arg};
	auto_fd int high = fcntl(sock, F_DUPFD_CLOEXEC, 3); /* 0 is written over in the child */
	uint64_t all = ~0ull, before;
	int keep = errno;
	pid_t pid;
	char *stack;

	if (high < 0)
		return -errno;
	t.sock = high;
	stack = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
		     -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	t.stack2 = orphan ? stack + STACK : NULL;
	(void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, 8);
	pid = clone(orphan ? middle : become_init, stack + STACK, CLONE_VM | CLONE_VFORK, &t);
	if (pid < 0)
		t.failed = errno;
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
	if (pid > 0 && (orphan || t.failed))
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	munmap(stack, 2 * STACK);
	errno = keep;
	if (t.failed)
		return -t.failed;
	*ret_pid = orphan ? 0 : pid;
	return 0;
}
