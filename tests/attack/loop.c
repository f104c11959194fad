/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.c - one thing for ever, that keeps others from getting anywhere
 *
 *	loop STOP|KILL		that signal to everybody inside
 *	loop FORK		as many processes as there may be
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int sig = argc > 1 && !strcmp(argv[1], "STOP") ? SIGSTOP : SIGKILL;

	printf("looping\n");
	fflush(stdout);
	while (argc > 1 && !strcmp(argv[1], "FORK"))
		fork();
	for (;;)
		kill(-1, sig);
}
