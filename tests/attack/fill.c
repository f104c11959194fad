/* SPDX-License-Identifier: Apache-2.0
 *
 * fill.c - as many empty files in a directory as it takes
 *
 *	fill DIR MOST		prints how many were made and why there are no more, "N RESULT"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long n, most = argc > 2 ? atol(argv[2]) : 0;
	char name[32];

	if (argc < 3 || chdir(argv[1]) < 0)
		return 2;
	for (n = 0; n < most; n++) {
		snprintf(name, sizeof(name), "%ld", n);
		if (mknod(name, S_IFREG | 0600, 0) < 0)
			break;
	}
	printf("%ld %s\n", n, n < most ? strerrorname_np(errno) : "ok");
	return 0;
}
