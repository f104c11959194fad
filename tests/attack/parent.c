/* SPDX-License-Identifier: Apache-2.0
 *
 * parent.c - what a command can do to its parent, the keeper, without a pid to name it by
 *
 *	parent traced		make the keeper our tracer (PTRACE_TRACEME), and stop: a
 *				wait that does not look closely takes that for the end
 *	parent flood N		N processes make children of the keeper's (CLONE_PARENT) that
 *				end at once, for ever: it has to collect them all
 *	parent keyring		put a session keyring of ours into its place, by
 *				KEYCTL_SESSION_TO_PARENT
 *	parent stray		leave a child of the keeper's behind, below nobody else
 *	parent fork N		as flood, but the children are our own: a comparison
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

static char stack[4096] __attribute__((aligned(16)));

static int end(void *unused)
{
	(void)unused;
	syscall(SYS_exit, 0);
	return 0;
}

static void flood(int n, int whose)
{
	signal(SIGCHLD, SIG_IGN);
	for (int i = 1; i < n; i++)
		if (fork() == 0) {
			setsid(); /* each with a share of the processor of its own: sched(7),
				     autogroup */
			break;
		}
	for (;;)
		clone(end, stack + sizeof(stack),
		      whose | SIGCHLD | CLONE_VFORK | CLONE_VM | CLONE_FILES | CLONE_FS |
			      CLONE_SIGHAND,
		      NULL);
}

static int traced(void)
{
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0) {
		printf("traced %s\n", strerrorname_np(errno));
		return 3;
	}
	alarm(20); /* nobody may ever set us going again */
	raise(SIGSTOP);
	printf("went on\n");
	return 4;
}

/* It has nothing of ours open, and a session of its own. */
static int stray(void)
{
	if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
		setsid();
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		execlp("sleep", "sleep", "60", NULL);
		_exit(9);
	}
	pause();
	return 0;
}

static int keyring(void)
{
	long r = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "evil");

	if (r >= 0)
		r = syscall(SYS_keyctl, KEYCTL_SESSION_TO_PARENT);
	printf("keyring %s\n", r < 0 ? strerrorname_np(errno) : "ok");
	return 0;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 1;

	if (argc > 1 && !strcmp(argv[1], "traced"))
		return traced();
	if (argc > 1 && !strcmp(argv[1], "stray"))
		return stray();
	if (argc > 1 && !strcmp(argv[1], "flood"))
		flood(n, CLONE_PARENT);
	if (argc > 1 && !strcmp(argv[1], "fork"))
		flood(n, 0);
	return keyring();
}
