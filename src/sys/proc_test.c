/* SPDX-License-Identifier: Apache-2.0
 *
 * proc_test.c - the wrappers of proc.c, most of them in children that show what came of it
 */
#include "sys/proc.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/own.h"
#include "base/scratch.h"
#include "tap.h"

/* Runs @child in a process of its own. Return: its exit status, or 128 + a signal. */
static int in_child(int (*child)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(child());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void a_fork_gives_a_child_and_a_pidfd_that_is_close_on_exec(void)
{
	int value = 1, pidfd = -1, status = 0;
	pid_t pid = sys_fork(0, &pidfd);

	if (pid == 0) {
		value = 7;
		_exit(value);
	}
	ok(pid > 0);
	is_int(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	is_int(waitpid(pid, &status, 0), pid);
	is_int(WEXITSTATUS(status), 7);
	is_int(value, 1);
	close(pidfd);
}

static void a_fork_that_cannot_be_says_why_and_opens_nothing(void)
{
	int before = scratch_descriptors(), pidfd = -1;
	pid_t r = sys_fork(CLONE_NEWNS | CLONE_FS, &pidfd); /* they exclude each other */

	is_int(r, -EINVAL);
	is_int(pidfd, -1);
	is_int(scratch_descriptors(), before);
	r = sys_fork(0, NULL);
	if (r == 0)
		_exit(0);
	ok(r > 0 && waitpid(r, NULL, 0) == r);
}

static void a_process_is_signalled_by_its_pidfd(void)
{
	int pidfd = -1, status = 0;
	pid_t pid = sys_fork(0, &pidfd);

	if (pid == 0)
		for (;;)
			pause();
	is_int(sys_pidfd_signal(pidfd, 0), 0);
	is_int(sys_pidfd_signal(pidfd, SIGKILL), 0);
	is_int(waitpid(pid, &status, 0), pid);
	is_int(WTERMSIG(status), SIGKILL);
	is_int(sys_pidfd_signal(pidfd, SIGKILL), -ESRCH);
	close(pidfd);
	ok(sys_pidfd_open(pid) < 0, "it was reaped");
	pidfd = sys_pidfd_open(getpid());
	is_int(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	close(pidfd);
	is_int(sys_pidfd_signal(-1, 0), -EBADF);
	is_int(sys_setns(-1, 0), -EBADF);
}

static int close_them(void)
{
	int fd = open("/dev/null", O_RDONLY);

	if (dup2(fd, 100) != 100 || dup2(fd, 101) != 101 || dup2(fd, 102) != 102)
		return 1;
	if (sys_close_range(100, 101) != 0)
		return 2;
	if (fcntl(100, F_GETFD) >= 0 || fcntl(101, F_GETFD) >= 0 || fcntl(102, F_GETFD) < 0)
		return 3;
	return sys_close_range(3, ~0u) == 0 && scratch_descriptors() <= 3 ? 0 : 4;
}

static void a_write_that_nobody_reads_is_told_without_a_signal(void)
{
	sigset_t waiting;
	int p[2];

	ok(pipe2(p, O_CLOEXEC) == 0);
	is_int(sys_write_quiet(p[1], "ab", 2), 2);
	close(p[0]);
	is_int(sys_write_quiet(p[1], "ab", 2), -EPIPE); /* the default would be our end */
	sigpending(&waiting);
	ok(!sigismember(&waiting, SIGPIPE));
	pthread_sigmask(SIG_BLOCK, NULL, &waiting);
	ok(!sigismember(&waiting, SIGPIPE));
	close(p[1]);
}

static void a_range_of_descriptors_is_closed(void)
{
	is_int(in_child(close_them), 0);
}

/* ---- signals --------------------------------------------------------------------------------- */

static int clear_signals(void)
{
	sigset_t set;

	for (int s = 1; s <= 64; s++)
		(void)signal(s, SIG_IGN); /* libc's own two refuse */
	sys_signals_default();
	for (int s = 1; s <= 64; s++) {
		struct sigaction sa;

		if (sigaction(s, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL)
			return s;
	}
	sys_signals_mask(1);
	sigprocmask(SIG_SETMASK, NULL, &set);
	if (!sigismember(&set, SIGTERM) || !sigismember(&set, SIGRTMAX))
		return 100;
	sys_signals_mask(0);
	sigprocmask(SIG_SETMASK, NULL, &set);
	for (int s = 1; s <= 64; s++)
		if (sigismember(&set, s) == 1)
			return 101;
	raise(SIGUSR1); /* its default ends us */
	return 102;
}

enum { DEEP = 1 << 18, FRAME = 4096 };

/* Return: an address DEEP below here, where something was written. */
static __attribute__((noinline)) uintptr_t go_deep(uintptr_t from)
{
	volatile char x[FRAME];

	x[0] = 1;
	return from - (uintptr_t)__builtin_frame_address(0) > DEEP ? (uintptr_t)__builtin_frame_address(0) : go_deep(from) + (x[0] - 1);
}

static unsigned trim_deeper(unsigned n);

/* Wherever in a page that is: of two frames of unlike size each comes to lie everywhere. Return: 1. */
static __attribute__((noinline)) unsigned trim_at_all_depths(unsigned n)
{
	volatile unsigned one = 1;

	sys_stack_trim(0);
	return n ? one & trim_deeper(n - 1) : one;
}

static __attribute__((noinline)) unsigned trim_deeper(unsigned n)
{
	volatile unsigned pad[8] = {1};

	sys_stack_trim(0);
	return n ? pad[0] & trim_at_all_depths(n - 1) : pad[0];
}

static bool is_there(uintptr_t at)
{
	unsigned char present = 0;

	return mincore((void *)(at & ~(uintptr_t)4095), 4096, &present) == 0 && present;
}

static void what_deep_calls_left_of_the_stack_is_given_back(void)
{
	char mine[5000];
	uintptr_t deepest = go_deep((uintptr_t)__builtin_frame_address(0));

	memset(mine, 'x', sizeof(mine));
	ok(is_there(deepest) && is_there(deepest + DEEP - 16384));
	sys_stack_trim(DEEP / 2);
	ok(!is_there(deepest));
	ok(is_there(deepest + DEEP - 16384), "that was to be kept");
	sys_stack_trim(0);
	ok(!is_there(deepest + DEEP - 32768));
	is_int(trim_at_all_depths(2000), 1);
	ok(mine[0] == 'x' && mine[sizeof(mine) - 1] == 'x');
}

static void all_signals_go_back_to_their_default(void)
{
	is_int(in_child(clear_signals), 128 + SIGUSR1);
}

/* ---- powers ---------------------------------------------------------------------------------- */

static int give_up_powers(void)
{
	uint64_t have = ~0ull;

	if (sys_capset(0) != 0 || sys_capget(&have) != 0)
		return 1;
	if (have)
		return 2;
	return sys_capset(1ull << CAP_SYS_ADMIN) == -EPERM ? 0 : 3;
}

static void powers_that_are_given_up_are_gone(void)
{
	is_int(in_child(give_up_powers), 0);
}

static int keep_some_powers(void)
{
	uint64_t keep = 1ull << CAP_CHOWN | 1ull << CAP_SETPCAP, have = 0;

	if (sys_cap_bound(keep) != 0)
		return 1;
	for (unsigned long c = 0; c < 64; c++) {
		int in = prctl(PR_CAPBSET_READ, c, 0, 0, 0);

		if (in >= 0 && in != (int)(keep >> c & 1))
			return 2;
	}
	if (sys_capset(1ull << CAP_CHOWN) != 0 || sys_capget(&have) != 0 ||
	    have != 1ull << CAP_CHOWN)
		return 3;
	return sys_cap_bound(0) == -EPERM ? 0 : 4; /* without SETPCAP it is refused, and said */
}

static void the_bounding_set_keeps_what_it_shall(void)
{
	uint64_t have = 0;

	if (sys_capget(&have) < 0 || !(have >> CAP_SETPCAP & 1))
		skip("needs CAP_SETPCAP");
	else
		is_int(in_child(keep_some_powers), 0);
}

static int load_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	if (sys_seccomp_load(code, 0) != -EINVAL)
		return 2;
	if (sys_seccomp_load(code, 4) != 0)
		return 3;
	return syscall(SYS_getppid) == -1 && errno == EDOM ? 0 : 4;
}

static void a_filter_is_loaded_and_an_empty_one_refused(void)
{
	is_int(in_child(load_filter), 0);
}

static int scope(void)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	r = sys_landlock_scope_abstract();
	return r == 0 ? 0 : r == -ENOSYS ? 77 : 2;
}

static void the_scope_of_sockets_is_there_or_missing_and_nothing_else(void)
{
	int before = scratch_descriptors(), r = in_child(scope);

	if (r == 77)
		skip("needs Landlock ABI 6");
	else
		is_int(r, 0);
	is_int(scratch_descriptors(), before);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void the_clock_goes_forward(void)
{
	uint64_t a = sys_now_ns(), b = sys_now_ns();

	ok(a > 0 && b >= a && b - a < 10000000000u);
}

static void a_file_is_written_at_once_or_not(void)
{
	struct scratch s;

	if (!ok(scratch_open(&s)))
		return;
	scratch_file(&s, "there", 0600, "");
	is_int(sys_write_file(s.fd, "there", "0 100000 1"), 0);
	is_str(scratch_read(s.fd, "there"), "0 100000 1");
	is_int(sys_write_file(s.fd, "missing", "x"), -ENOENT);
	ok(!scratch_has(&s, "missing"), "it makes no file");
	scratch_dir(&s, "dir", 0755);
	is_int(sys_write_file(s.fd, "dir", "x"), -EISDIR);
	is_int(sys_write_file(AT_FDCWD, "/dev/full", "x"), -ENOSPC);
	scratch_close(&s);
}

static void one_that_is_deferred_is_so_and_no_other(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	sys_defer(pid);
	is_int(sched_getscheduler(pid), SCHED_BATCH);
	is_int(sched_getscheduler(0), SCHED_OTHER);
	kill(pid, SIGKILL);
	is_int(waitpid(pid, NULL, 0), pid);
}

static void flags_of_a_file_are_read(void)
{
	auto_with(scratch_close) struct scratch s;
	int flags = FS_NODUMP_FL;

	if (!ok(scratch_open(&s), "no directory"))
		return;
	if (ioctl(s.fd, FS_IOC_SETFLAGS, &flags) < 0)
		skip("no flags on this file system");
	else
		ok(sys_inode_flags(s.fd) & FS_NODUMP_FL, "%x", (unsigned)sys_inode_flags(s.fd));
	is_int(sys_inode_flags(-1), 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_fork_gives_a_child_and_a_pidfd_that_is_close_on_exec),
		TAP_TEST(a_fork_that_cannot_be_says_why_and_opens_nothing),
		TAP_TEST(a_process_is_signalled_by_its_pidfd),
		TAP_TEST(a_write_that_nobody_reads_is_told_without_a_signal),
		TAP_TEST(a_range_of_descriptors_is_closed),
		TAP_TEST(what_deep_calls_left_of_the_stack_is_given_back),
		TAP_TEST(all_signals_go_back_to_their_default),
		TAP_TEST(powers_that_are_given_up_are_gone),
		TAP_TEST(the_bounding_set_keeps_what_it_shall),
		TAP_TEST(a_filter_is_loaded_and_an_empty_one_refused),
		TAP_TEST(the_scope_of_sockets_is_there_or_missing_and_nothing_else),
		TAP_TEST(the_clock_goes_forward),
		TAP_TEST(a_file_is_written_at_once_or_not),
		TAP_TEST(one_that_is_deferred_is_so_and_no_other),
		TAP_TEST(flags_of_a_file_are_read),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
