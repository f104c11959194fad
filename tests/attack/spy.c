/* SPDX-License-Identifier: Apache-2.0
 *
 * spy.c - look at every process that appears, all the time, for one that is still the keeper's
 *
 *	spy [stop] WORD...
 *
 * A command is a copy of the keeper until it execs: it has the keeper's descriptors, memory and
 *powers. The spy tries to get at those, and looks in every list of mounts for the WORDs. With
 *"stop" it holds such processes with SIGSTOP while it tries. Prints "seen" once it has caught one
 *in that state, and "REACHED ..." for all that it should not have got. Runs until it is killed.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool seen;

static ssize_t slurp(const char *pid, const char *name, char *buf, size_t room)
{
	char path[320];
	ssize_t n = 0, got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	while ((got = read(fd, buf + n, room - 1 - (size_t)n)) > 0)
		n += got;
	buf[n] = '\0';
	close(fd);
	return n;
}

static void reached(const char *pid, const char *what)
{
	printf("REACHED %s of %s\n", what, pid);
	fflush(stdout);
}

static void look_for_words(const char *pid, char **words)
{
	static char text[1 << 16];

	if (slurp(pid, "mountinfo", text, sizeof(text)) <= 0)
		return;
	for (; *words; words++)
		if (strstr(text, *words))
			reached(pid, *words);
}

/* Has it not become the command meanwhile? Then what was got before was the keeper's. */
static bool still_keepers(const char *pid)
{
	char comm[32];

	return slurp(pid, "comm", comm, sizeof(comm)) > 0 &&
	       (!strncmp(comm, "hutch", 5) || !strncmp(comm, "memfd:", 6));
}

static void try_open(const char *pid, const char *name, int flags)
{
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	fd = open(path, flags);
	if (fd < 0)
		return;
	if (!strcmp(name, "environ") || !strcmp(name, "maps")) { /* checked when read; of one that is dead there is nothing */
		char c;

		if (read(fd, &c, 1) <= 0)
			goto out;
	}
	if (still_keepers(pid))
		reached(pid, name);
out:
	close(fd);
}

static void attack(const char *pid, bool stop)
{
	static const char *const names[] = {
		"mem",	"environ", "maps",    "root",	"cwd",
		"exe",	"ns/mnt",  "ns/user", "ns/pid", "ns/pid_for_children",
		"fd/3", "fd/4",	   "fd/5",    "fd/6",	"fd/7",
		"fd/8", "fd/9",	   "fd/10",   "fd/11",	"fd/12"};
	int number = atoi(pid), pidfd;

	if (!seen) {
		seen = true;
		printf("seen\n");
		fflush(stdout);
	}
	if (stop)
		kill(number, SIGSTOP);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		try_open(pid, names[i], i ? O_RDONLY : O_RDWR);
	pidfd = (int)syscall(SYS_pidfd_open, number, 0);
	for (int fd = 3; fd < 16; fd++)
		if (syscall(438 /* pidfd_getfd */, pidfd, fd, 0) >= 0 && still_keepers(pid))
			reached(pid, "a descriptor by pidfd_getfd");
	close(pidfd);
	if (stop)
		kill(number, SIGCONT);
}

int main(int argc, char **argv)
{
	bool stop = argc > 1 && !strcmp(argv[1], "stop");
	char **words = argv + 1 + stop;
	DIR *d = opendir("/proc");
	struct dirent *x;

	printf("spying\n");
	fflush(stdout);
	for (;;) {
		rewinddir(d);
		while ((x = readdir(d))) {
			if (!isdigit((unsigned char)x->d_name[0]) || atoi(x->d_name) == getpid())
				continue;
			look_for_words(x->d_name, words);
			if (atoi(x->d_name) != 1 && still_keepers(x->d_name))
				attack(x->d_name, stop);
		}
	}
}
