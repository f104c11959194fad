/* SPDX-License-Identifier: Apache-2.0
 *
 * seccomp_load_test.c - the filter in a real kernel: what worked without it is refused with it
 *
 * How it works: each trial is a forked child, with the filter loaded or without, which makes one
 * call and hands back its errno as its exit status. No root is needed: no_new_privs is set first.
 */
#include "guard/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guard/caps.h"
#include "tap.h"

#define HIGH	 (1L << 32)
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

enum { CANNOT_LOAD = 200 };

static struct sock_filter code[GUARD_SECCOMP_MAX];
static struct sock_fprog program = {.filter = code};

static bool make(const struct guard_ask *ask)
{
	struct err e = {0};
	size_t n;

	if (!ok(guard_seccomp(ask, code, GUARD_SECCOMP_MAX, &n, &e) == 0, "%s", e.msg))
		return false;
	program.len = (unsigned short)n;
	return true;
}

static bool load(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       &program) == 0;
}

/* Return: the exit status of a child that does @what, with the filter or not; -1: it was killed. */
static int in_child(bool filtered, int (*what)(const void *arg), const void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(filtered && !load() ? CANNOT_LOAD : what(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int nothing(const void *arg)
{
	(void)arg;
	return 0;
}

static bool can_load(const struct guard_ask *ask)
{
	int r;

	if (!make(ask))
		return false;
	r = in_child(true, nothing, NULL);
	if (r == CANNOT_LOAD)
		skip("this kernel loads no seccomp filters");
	else
		is_int(r, 0);
	return r == 0;
}

static const struct guard_ask plain = {.caps = GUARD_CAPS_DOCKER};

struct trial {
	const char *name;
	long nr, a0, a1, a2;
	int without, with; /* errno, 0: it works; -1: depends on the machine */
};

static int make_call(const void *arg)
{
	const struct trial *t = arg;

	errno = 0;
	return syscall(t->nr, t->a0, t->a1, t->a2, 0, 0) < 0 ? errno : 0;
}

static void what_works_without_the_filter_is_refused_with_it(void)
{
	static const char path[] = "/";
	bool bare = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0; /* not in a sandbox already */
	int pair[2];

	if (!can_load(&plain) || !ok(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0))
		return;
	const struct trial trials[] = {
		{"unshare", SYS_unshare, 0, 0, 0, 0, ENOSYS},
		{"clone3", SYS_clone3, 0, 0, 0, EINVAL, ENOSYS},
		{"mount", SYS_mount, 0, (long)path, 0, -1, ENOSYS},
		{"setns", SYS_setns, -1, 0, 0, EBADF, ENOSYS},
		{"kcmp", SYS_kcmp, getpid(), getpid(), 1, -1, EPERM},
		{"ptrace", SYS_ptrace, 0xffff, 1 << 30, 0, ESRCH, EPERM},
		{"keyctl", SYS_keyctl, 0xffff, 0, 0, -1, EPERM},
		{"TIOCSTI", SYS_ioctl, pair[0], TIOCSTI, (long)path, ENOTTY, EPERM},
		{"TIOCSTI, high bits", SYS_ioctl, pair[0], HIGH | TIOCSTI, (long)path, ENOTTY,
		 EPERM},
		{"TIOCLINUX", SYS_ioctl, pair[0], TIOCLINUX, (long)path, ENOTTY, EPERM},
		{"another ioctl", SYS_ioctl, pair[0], TIOCGPGRP, 0, ENOTTY, ENOTTY},
		{"personality", SYS_personality, 0x0040000, 0, 0, 0, EPERM},
		{"personality, high bits", SYS_personality, HIGH | 0x0040000, 0, 0, 0, EPERM},
		{"socket of family 38", SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, -1, EAFNOSUPPORT},
		{"the same, high bits", SYS_socket, HIGH | AF_ALG, SOCK_SEQPACKET, 0, -1,
		 EAFNOSUPPORT},
		{"packets", SYS_socket, AF_PACKET, SOCK_RAW, 0, -1, EAFNOSUPPORT},
		{"uevents", SYS_socket, AF_NETLINK, SOCK_RAW, 15, -1, EPROTONOSUPPORT},
		{"routes", SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0, 0},
		{"unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0},
		{"internet", SYS_socket, AF_INET, SOCK_DGRAM, 0, 0, 0},
		{"a new user namespace", SYS_clone, CLONE_NEWUSER | 17, 0, 0, -1, EPERM},
		{"the same, high bits", SYS_clone, HIGH | CLONE_NEWUSER | 17, 0, 0, -1, EPERM},
		{"a number of the future", 469, 0, 0, 0, -1, ENOSYS},
		{"x32", 0x40000000 + 39, 0, 0, 0, -1, ENOSYS},
		{"getpid", SYS_getpid, 0, 0, 0, 0, 0},
		{"chroot", SYS_chroot, 0, 0, 0, EFAULT, EFAULT},
	};

	for (size_t i = 0; i < COUNT(trials); i++) {
		const struct trial *t = &trials[i];
		int without = in_child(false, make_call, t), with = in_child(true, make_call, t);

		ok(!bare || t->without < 0 || without == t->without, "%s without the filter: %s",
		   t->name, strerror(without));
		ok(with == t->with, "%s with the filter: %s", t->name, strerror(with));
	}
	close(pair[0]);
	close(pair[1]);
}

#if defined(__x86_64__)
/* getpid() by the door for 32 bits. Return: 0, or the errno. */
static int call_of_32_bits(const void *arg)
{
	long r = 20;

	(void)arg;
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return (int)r < 0 ? -(int)r : 0;
}

static void the_door_for_32_bits_is_closed_unless_asked(void)
{
	struct guard_ask both = {.caps = GUARD_CAPS_DOCKER, .allow_i386 = true};

	if (!can_load(&plain))
		return;
	if (in_child(false, call_of_32_bits, NULL) != 0) {
		skip("this kernel runs no programs of 32 bits");
		return;
	}
	is_int(in_child(true, call_of_32_bits, NULL), ENOSYS);
	if (can_load(&both))
		is_int(in_child(true, call_of_32_bits, NULL), 0);
}
#endif

static void *thread(void *arg)
{
	*(int *)arg = 7;
	return NULL;
}

static int use_threads_and_children(const void *arg)
{
	char *argv[] = {(char[]){"true"}, NULL}, *env[] = {NULL};
	int seen = 0, status = -1;
	pthread_t t;
	pid_t pid;

	(void)arg;
	if (pthread_create(&t, NULL, thread, &seen) || pthread_join(t, NULL) || seen != 7)
		return 1;
	if (posix_spawnp(&pid, "true", NULL, NULL, argv, env) || waitpid(pid, &status, 0) != pid ||
	    status)
		return 2;
	pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status ? 3 : 0;
}

static void threads_and_programs_start_as_ever(void)
{
	if (can_load(&plain))
		is_int(in_child(true, use_threads_and_children, NULL), 0);
}

/* ---- what it costs -------------------------------------------------------------------------- */

enum { ROUNDS = 101 };

static double *shared; /* one figure, from child to parent */

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int time_load(const void *arg)
{
	double start;

	(void)arg;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	start = now_us();
	if (!load())
		return 1;
	*shared = now_us() - start;
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void loading_is_quick(void)
{
	static const struct guard_ask asks[] = {{.caps = GUARD_CAPS_DOCKER},
						{.caps = GUARD_CAPS_DOCKER, .allow_i386 = true}};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (!ok(shared != MAP_FAILED) || !can_load(&plain))
		return;
	for (size_t i = 0; i < COUNT(asks); i++) {
		double v[ROUNDS], made = now_us();

		if (!make(&asks[i]))
			return;
		made = now_us() - made;
		for (int j = 0; j < ROUNDS; j++) {
			if (!ok(in_child(false, time_load, NULL) == 0))
				return;
			v[j] = *shared;
		}
		qsort(v, ROUNDS, sizeof(*v), by_size);
		printf("# %s: %u instructions, made in %.1f us, loaded in %.0f us (median of %d, "
		       "best %.0f)\n",
		       i ? "with 32 bits" : "default", program.len, made, v[ROUNDS / 2], ROUNDS,
		       v[0]);
		ok(v[0] < 5000, "%.0f us", v[0]); /* an upper bound for the slowest of machines */
	}
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(what_works_without_the_filter_is_refused_with_it),
#if defined(__x86_64__)
		TAP_TEST(the_door_for_32_bits_is_closed_unless_asked),
#endif
		TAP_TEST(threads_and_programs_start_as_ever),
		TAP_TEST(loading_is_quick),
	};

	return tap_run(t, COUNT(t));
}
