/* SPDX-License-Identifier: Apache-2.0
 *
 * pid1.c - reach into pid 1, the only process of hutch that can be named inside
 *
 * Prints "WHAT RESULT" for every way that there is into another process: its memory, descriptors,
 * root, namespaces and registers, and its signals. "stop" and "kill" say "ok" when they were sent,
 * which does not mean that anything came of it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long r)
{
	printf("%s %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

static void try_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	char buf[64];
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (n == 0) { /* what says nothing tells nothing */
		n = -1;
		errno = ENODATA;
	}
	say(path, n);
	if (fd >= 0)
		close(fd);
}

static void try_link(const char *path)
{
	char text[256], what[80];

	snprintf(what, sizeof(what), "link %s", path);
	say(what, readlink(path, text, sizeof(text)));
	snprintf(what, sizeof(what), "open %s", path);
	say(what, open(path, O_PATH));
}

static void in_child(const char *what, int (*step)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(step() < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	errno = WEXITSTATUS(status);
	say(what, errno ? -1 : 0);
}

static int by_pidfd(void)
{
	return setns((int)syscall(SYS_pidfd_open, 1, 0),
		     CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER);
}

static int by_pidfd_mnt(void)
{
	return setns((int)syscall(SYS_pidfd_open, 1, 0), CLONE_NEWNS);
}

static int attach(void)
{
	return (int)syscall(SYS_ptrace, 16 /* ATTACH */, 1, 0, 0);
}

static int seize(void)
{
	return (int)syscall(SYS_ptrace, 0x4206 /* SEIZE */, 1, 0, 0);
}

int main(void)
{
	static const char *const files[] = {"environ", "maps",	"auxv",	   "syscall",
					    "stack",   "mem",	"pagemap", "personality",
					    "io",      "smaps", "timers"};
	static const char *const links[] = {"root",   "cwd",	"exe",	"ns/mnt", "ns/user",
					    "ns/pid", "ns/net", "fd/0", "fd/3",	  "fd/5"};
	unsigned long list[3];
	struct iovec mine = {list, 8}, its = {(void *)0x400000, 8};
	int pidfd = (int)syscall(SYS_pidfd_open, 1, 0), fds = 0;
	char path[64];
	DIR *d = opendir("/proc/1/fd");

	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "/proc/1/%s", files[i]);
		try_read(path);
	}
	for (unsigned i = 0; i < sizeof(links) / sizeof(*links); i++) {
		snprintf(path, sizeof(path), "/proc/1/%s", links[i]);
		try_link(path);
	}
	while (d && readdir(d))
		fds++;
	printf("descriptors %d\n", d ? fds - 2 : 0);
	in_child("ptrace attach", attach);
	in_child("ptrace seize", seize);
	say("process_vm_readv", syscall(SYS_process_vm_readv, 1, &mine, 1, &its, 1, 0));
	say("process_vm_writev", syscall(SYS_process_vm_writev, 1, &mine, 1, &its, 1, 0));
	for (int fd = 0; fd < 64; fd++)
		if (syscall(438 /* pidfd_getfd */, pidfd, fd, 0) >= 0)
			printf("pidfd_getfd of %d ok\n", fd);
	say("process_madvise", syscall(440, pidfd, &its, 1, 20 /* COLD */, 0));
	say("kcmp", syscall(SYS_kcmp, 1, getpid(), 0, 0, 0));
	say("get_robust_list", syscall(SYS_get_robust_list, 1, list, list + 1));
	say("move_pages", syscall(SYS_move_pages, 1, 1l, &its.iov_base, 0, list, 0));
	in_child("setns by pidfd", by_pidfd);
	in_child("setns by pidfd, mounts", by_pidfd_mnt);
	say("write mem", open("/proc/1/mem", O_WRONLY));
	say("write exe", open("/proc/1/exe", O_WRONLY));
	for (int s = 1; s <= 64; s++)
		(void)kill(1, s);
	say("stop", syscall(SYS_tgkill, 1, 1, SIGSTOP));
	say("kill", kill(1, SIGKILL));
	return 0;
}
