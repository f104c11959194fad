/* SPDX-License-Identifier: Apache-2.0
 *
 * setid.c - what a set-id program, or one with file capabilities, has become
 *
 * Prints the lines "Uid:", "Cap...:" and "NoNewPrivs:" of its own status, as every program sees
 * them. With the word "unmask" it tries to uncover /proc/keys, which needs the powers of the
 * keeper.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Cap", 3) ||
		    !strncmp(line, "NoNewPrivs:", 11))
			fputs(line, stdout);
	if (argc > 1 && !strcmp(argv[1], "unmask"))
		printf("unmask %s\n",
		       umount2("/proc/keys", MNT_DETACH) < 0 ? strerrorname_np(errno) : "ok");
	return 0;
}
