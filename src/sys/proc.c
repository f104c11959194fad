/* SPDX-License-Identifier: Apache-2.0
 *
 * proc.c - processes, namespaces, capabilities, by system call
 */
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int ret(long r)
{
	return r < 0 ? -errno : (int)r;
}

pid_t sys_fork(uint64_t flags, int *ret_pidfd)
{
	struct clone_args a = {
		.flags = flags | (ret_pidfd ? CLONE_PIDFD : 0),
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
	};

	return ret(syscall(SYS_clone3, &a, sizeof(a)));
}

int sys_pidfd_open(pid_t pid)
{
	return ret(syscall(SYS_pidfd_open, pid, 0));
}

int sys_pidfd_signal(int pidfd, int sig)
{
	return ret(syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0));
}

#ifndef PIDFD_GET_USER_NAMESPACE
#define PIDFD_GET_USER_NAMESPACE _IO(0xFF, 9) /* <linux/pidfd.h>, Linux 6.11 */
#endif

int sys_pidfd_userns(int pidfd)
{
	return ret(ioctl(pidfd, PIDFD_GET_USER_NAMESPACE, 0));
}

int sys_setns(int fd, int flags)
{
	return ret(syscall(SYS_setns, fd, flags));
}

int sys_close_range(unsigned first, unsigned last)
{
	return ret(syscall(SYS_close_range, first, last, 0));
}

void sys_stack_trim(size_t keep)
{
	const uintptr_t page = 4096, deepest = 1 << 20; /* nothing else is there: stack_guard_gap (kernel-parameters.txt) */
	const uintptr_t own = 1024; /* this call's, and what it calls */
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - own - keep) & ~(page - 1);

	int before = errno;

	(void)syscall(SYS_madvise, end - deepest, deepest, MADV_DONTNEED);
	errno = before; /* what is not mapped yet is passed over, and told: ENOMEM */
}

int sys_capset(uint64_t caps)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)},
	};

	return ret(syscall(SYS_capset, &h, d));
}

int sys_capset_through(uint64_t caps, unsigned through)
{
	uint64_t also = UINT64_C(1) << through;
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{0}};

	for (int i = 0; i < 2; i++) {
		d[i].effective = d[i].permitted = (uint32_t)((caps | also) >> 32 * i);
		d[i].inheritable = (uint32_t)(also >> 32 * i);
	}
	if (syscall(SYS_capset, &h, d) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, through, 0, 0) < 0)
		return -errno;
	return 0;
}

int sys_capget(uint64_t *ret_effective)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	*ret_effective = d[0].effective | (uint64_t)d[1].effective << 32;
	return 0;
}

int sys_cap_bound(uint64_t keep)
{
	for (unsigned long c = 0; c < 64; c++) {
		if (keep >> c & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno; /* past the last one */
	}
	return 0;
}

/* KILL and STOP refuse, which is fine. */
static void set_all(uint64_t handler)
{
	uint64_t act[4] = {handler}; /* the kernel's struct sigaction */

	for (int s = 1; s <= 64; s++)
		(void)syscall(SYS_rt_sigaction, s, act, NULL, 8);
}

void sys_signals_default(void)
{
	set_all(0); /* SIG_DFL */
}

void sys_signals_forget(void)
{
	uint64_t waiting = ~0ull;

	(void)syscall(SYS_rt_sigpending, &waiting, sizeof(waiting));
	if (waiting)
		set_all(1); /* SIG_IGN: what waits is dropped, sigaction(2) */
}

void sys_signals_mask(int block_all)
{
	uint64_t set = block_all ? ~0ull : 0;

	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8);
}

int sys_seccomp_load(const void *code, unsigned short n)
{
	struct sock_fprog p = {n, (struct sock_filter *)(uintptr_t)code};

	/* Without SPEC_ALLOW kernels before 5.16 slow the process down (store bypass mitigation). */
	return ret(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &p));
}

int sys_landlock_scope_abstract(void)
{
	/* struct landlock_ruleset_attr of ABI 6: handled_access_fs, _net, scoped */
	uint64_t attr[3] = {0, 0, 1 /* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET */};
	int fd, r;

	fd = ret(syscall(SYS_landlock_create_ruleset, attr, sizeof(attr), 0));
	if (fd < 0)
		return fd == -E2BIG || fd == -EINVAL || fd == -EOPNOTSUPP ? -ENOSYS : fd;
	r = ret(syscall(SYS_landlock_restrict_self, fd, 0));
	close(fd);
	return r;
}

int sys_keyring_join(void)
{
	return ret(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0));
}

void sys_limits(struct rlimit ret_limits[RLIM_NLIMITS])
{
	for (int i = 0; i < RLIM_NLIMITS; i++)
		(void)getrlimit(i, &ret_limits[i]); /* fails for none of these: getrlimit(2) */
}

void sys_limits_raise(pid_t pid, const struct rlimit now[RLIM_NLIMITS])
{
	/* Open files end at fs.nr_open, whose default is the last of these. */
	static const rlim_t highest[] = {RLIM_INFINITY, 1u << 30, 1u << 20};
	int may = 1;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		const struct rlimit *l = &now[i];

		for (size_t j = 0; may && j < sizeof(highest) / sizeof(*highest); j++) {
			struct rlimit up = {l->rlim_cur, highest[j]};

			if (highest[j] <= l->rlim_max || prlimit(pid, i, &up, NULL) == 0)
				break; /* enough, or done */
			may = errno != EPERM || i == RLIMIT_NOFILE; /* a user may raise none */
		}
	}
}

uint64_t sys_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t sys_deadline_ns(uint64_t from_ns, uint64_t ms)
{
	return ms < (UINT64_MAX - from_ns) / 1000000u ? from_ns + ms * 1000000u : UINT64_MAX;
}

/* SIGPIPE comes to the thread that writes. It is held back meanwhile and taken away, unless one was waiting
 * before, or the program holds it back or ignores it itself. */
ssize_t sys_write_quiet(int fd, const void *data, size_t len)
{
	sigset_t pipe_only, before, waiting;
	ssize_t n;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&waiting);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	n = ret(write(fd, data, len));
	if (n == -EPIPE && !sigismember(&waiting, SIGPIPE))
		while (sigtimedwait(&pipe_only, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n;
}

int sys_write_file(int dir, const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int e;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	e = n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
	close(fd);
	return e;
}

int sys_inode_flags(int fd)
{
	int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? 0 : flags;
}

int sys_mkdir(int dir, const char *path, mode_t mode)
{
	int r = ret(mkdirat(dir, path, mode));

	return r < 0 ? r : ret(fchmodat(dir, path, mode, 0));
}

int sys_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
	return ret(syscall(SYS_renameat2, from_dir, from, to_dir, to, RENAME_NOREPLACE));
}

int sys_rename_swap(int dir, const char *one, const char *other)
{
	return ret(syscall(SYS_renameat2, dir, one, dir, other, RENAME_EXCHANGE));
}

/* ---- processor time --------------------------------------------------------------------------- */

/* linux/sched/types.h, which clashes with sched.h of some C libraries; the first version of it. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

#define SLICE_MAX_NS 100000000u /* sched(7): what the kernel takes at most; 0: what it gives by itself */

void sys_background(pid_t pid, bool on)
{
	struct attr a = {.size = sizeof(a)};

	if (syscall(SYS_sched_getattr, pid, &a, sizeof(a), 0) < 0 || a.policy != SCHED_NORMAL)
		return;
	a.runtime = on ? SLICE_MAX_NS : 0;
	(void)syscall(SYS_sched_setattr, pid, &a, 0);
}

void sys_defer(pid_t pid)
{
	const int none = 0;

	(void)syscall(SYS_sched_setscheduler, pid, SCHED_BATCH, &none);
}
