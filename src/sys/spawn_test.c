/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn_test.c - a program starts with nothing of ours but one socket, and we stay as we were
 *
 * How it works: the program that is started is this one, sealed into memory. Under the name
 * "hutch-init" it reports on descriptor 0 what it has.
 */
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/own.h"
#include "base/scratch.h"
#include "sys/proc.h"
#include "tap.h"

extern char **environ;

struct report {
	int descriptors, environment, blocked, parent, pid;
	uint64_t caps;
};

/* ---- the program that is started ------------------------------------------------------------- */

static int started(void)
{
	struct report r = {.parent = getppid(), .pid = getpid()};
	sigset_t set;

	for (char **v = environ; *v; v++)
		r.environment++;
	sigprocmask(SIG_SETMASK, NULL, &set);
	for (int s = 1; s < 32; s++)
		r.blocked += sigismember(&set, s) == 1;
	r.descriptors = scratch_descriptors();
	(void)sys_capget(&r.caps);
	return write(0, &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static int seal_self(void)
{
	auto_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;
	int image;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -1;
	image = sys_image_seal("image", data, (size_t)st.st_size);
	munmap(data, (size_t)st.st_size);
	return image;
}

static void a_sealed_image_cannot_be_changed(void)
{
	auto_fd int image = seal_self();
	char path[64];

	if (!ok(image >= 3, "%d", image))
		return;
	is_int(fcntl(image, F_GETFD), FD_CLOEXEC);
	ok(pwrite(image, "x", 1, 0) < 0 && errno == EPERM);
	ok(ftruncate(image, 0) < 0 && errno == EPERM);
	ok(ftruncate(image, 1 << 30) < 0 && errno == EPERM);
	ok(fcntl(image, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
	ok(!(fcntl(image, F_GET_SEALS) & F_SEAL_WRITE), "that one fails while the kernel holds a page");
	ok(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, image, 0) == MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	{
		auto_fd int again = open(path, O_RDWR | O_CLOEXEC);

		ok(again < 0 || (write(again, "x", 1) < 0 && errno == EPERM));
	}
}

/* Starts, and takes the report. Return: the pid that was returned, or -errno. */
static int start_and_hear(bool orphan, struct report *r)
{
	auto_fd int image = seal_self(), ours_end = -1, theirs = -1;
	int pair[2], code;
	pid_t pid = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours_end = pair[0];
	theirs = pair[1];
	code = sys_spawn_image(image, "report", theirs, orphan, &pid);
	if (code < 0)
		return code;
	if (!orphan)
		is_int(getsid(pid), pid); /* already: our terminal may hang up from here on */
	close_fd(&theirs);
	is_int(read(ours_end, r, sizeof(*r)), sizeof(*r));
	return pid;
}

static void it_starts_with_one_descriptor_and_nothing_else_of_ours(void)
{
	struct report r = {0};
	auto_fd int open_one = open("/dev/null", O_RDONLY), high = fcntl(open_one, F_DUPFD, 500);
	int status = 0;
	pid_t pid;

	ok(high >= 500);
	pid = start_and_hear(false, &r);
	if (!ok(pid > 0, "%d", pid))
		return;
	is_int(r.descriptors, 1);
	is_int(r.environment, 0);
	is_int(r.blocked, 29); /* of 31, all but KILL and STOP */
	is_int(r.pid, pid);
	is_int(r.parent, getpid());
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status, 0);
}

static void an_orphan_is_nobody_we_could_wait_for(void)
{
	struct report r = {0};

	is_int(start_and_hear(true, &r), 0);
	is_int(r.descriptors, 1);
	ok(r.parent != getpid(), "its parent is %d", r.parent);
	ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
}

/* ---- in namespaces of its own ----------------------------------------------------------------- */

enum { APART = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID };

static bool may_unshare(void)
{
	int status = 1;
	pid_t pid = sys_fork(CLONE_NEWUSER, NULL);

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static void apart_it_has_all_powers_in_its_namespaces_and_no_id_yet(void)
{
	auto_fd int image = seal_self(), ours = -1, theirs = -1, pidfd = -1;
	struct report r = {0};
	bool in_spaces = false;
	int pair[2], status = 1;
	pid_t pid = -1;

	if (!may_unshare())
		return;
	ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	ours = pair[0];
	theirs = pair[1];
	is_int(sys_spawn_apart(image, "report", theirs, APART | CLONE_NEWTIME, &pid, &pidfd, &in_spaces), 0);
	ok(in_spaces && pid > 1 && pidfd >= 3);
	is_int(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	is_int(read(ours, &r, sizeof(r)), sizeof(r));
	is_int(r.pid, 1);
	is_int(r.parent, 0);
	is_int(r.descriptors, 1);
	ok(r.caps >> 40 & 1, "no CAP_CHECKPOINT_RESTORE in %llx", (unsigned long long)r.caps);
	ok(r.caps >> 21 & 1, "no CAP_SYS_ADMIN in %llx", (unsigned long long)r.caps);
	is_int(waitpid(pid, &status, __WALL), pid);
	is_int(status, 0);
}

static void apart_a_failure_tells_how_far_it_came(void)
{
	int before = scratch_descriptors();
	auto_fd int image = sys_image_seal("image", "no program", 10), sock = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pidfd = -7;
	bool in_spaces;
	pid_t pid = -7;

	if (may_unshare()) {
		is_int(sys_spawn_apart(image, "x", sock, APART, &pid, &pidfd, &in_spaces), -ENOEXEC);
		ok(in_spaces);
	}
	/* Who shares his file system information cannot have another user namespace: clone(2). */
	is_int(sys_spawn_apart(image, "x", sock, APART | CLONE_FS, &pid, &pidfd, &in_spaces), -EINVAL);
	ok(!in_spaces);
	is_int(pid, -7);
	is_int(pidfd, -7);
	ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
	close_fd(&image);
	close_fd(&sock);
	is_int(scratch_descriptors(), before);
}

/* ---- the caller ------------------------------------------------------------------------------- */

static volatile sig_atomic_t handled;

static void handler(int sig)
{
	(void)sig;
	handled++;
}

static void we_stay_as_we_were(void)
{
	struct sigaction sa = {.sa_handler = handler}, old, now;
	int before = scratch_descriptors();
	sigset_t mask, was, is;
	struct report r;

	sigaction(SIGCHLD, &sa, &old);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, &was);
	errno = 42;
	is_int(start_and_hear(true, &r), 0);
	sigprocmask(SIG_SETMASK, NULL, &is);
	ok(sigismember(&is, SIGUSR2) == 1 && sigismember(&is, SIGTERM) == 0);
	sigaction(SIGCHLD, NULL, &now);
	ok(now.sa_handler == handler);
	is_int(handled, 0); /* no SIGCHLD came */
	is_int(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
	is_int(scratch_descriptors(), before);
	sigprocmask(SIG_SETMASK, &was, NULL);
	sigaction(SIGCHLD, &old, NULL);
}

static void what_is_no_program_is_told_and_leaves_nothing(void)
{
	int before = scratch_descriptors();
	auto_fd int image = sys_image_seal("image", "no program", 10),
		    sock = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid = -7;

	for (int orphan = 0; orphan < 2; orphan++) {
		ok(sys_spawn_image(image, "x", sock, orphan, &pid) == -ENOEXEC, "orphan %d",
		   orphan);
		ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD, "orphan %d", orphan);
	}
	is_int(pid, -7);
	is_int(sys_spawn_image(image, "x", -1, true, &pid), -EBADF);
	close_fd(&image);
	close_fd(&sock);
	is_int(scratch_descriptors(), before);
}

static void a_host_that_ignores_its_children_can_start(void)
{
	struct sigaction sa = {.sa_handler = SIG_IGN}, old;
	struct report r;

	sigaction(SIGCHLD, &sa, &old);
	is_int(start_and_hear(true, &r), 0);
	is_int(r.descriptors, 1);
	sigaction(SIGCHLD, &old, NULL);
}

static void a_host_without_standard_descriptors_can_start(void)
{
	struct report r = {0};
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		close(0);
		close(1);
		close(2);
		_exit(start_and_hear(true, &r) == 0 && r.descriptors == 1 ? 0 : 1);
	}
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status, 0);
}

static void the_image_also_stands_above_2_where_those_are_free(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int fd;

		close(0);
		close(1);
		close(2);
		fd = sys_image_seal("image", "x", 1);
		_exit(fd >= 3 && fcntl(0, F_GETFD) < 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC ? 0 : 1);
	}
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status, 0);
}

int main(int argc, char **argv)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_sealed_image_cannot_be_changed),
		TAP_TEST(it_starts_with_one_descriptor_and_nothing_else_of_ours),
		TAP_TEST(an_orphan_is_nobody_we_could_wait_for),
		TAP_TEST(apart_it_has_all_powers_in_its_namespaces_and_no_id_yet),
		TAP_TEST(apart_a_failure_tells_how_far_it_came),
		TAP_TEST(we_stay_as_we_were),
		TAP_TEST(what_is_no_program_is_told_and_leaves_nothing),
		TAP_TEST(a_host_that_ignores_its_children_can_start),
		TAP_TEST(a_host_without_standard_descriptors_can_start),
		TAP_TEST(the_image_also_stands_above_2_where_those_are_free),
	};

	if (argc == 2 && !strcmp(argv[0], "hutch-init"))
		return started();
	return tap_run(t, sizeof(t) / sizeof(*t));
}
