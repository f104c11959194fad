/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.c - kill(-1, SIGNAL) for ever, so that nothing new gets going
 *
 *	loop STOP|KILL
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	int sig = argc > 1 && !strcmp(argv[1], "STOP") ? SIGSTOP : SIGKILL;

	printf("looping\n");
	fflush(stdout);
	for (;;)
		kill(-1, sig);
}
