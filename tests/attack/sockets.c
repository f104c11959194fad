/* SPDX-License-Identifier: Apache-2.0
 *
 * sockets.c - every family of sockets, and every protocol of netlink
 *
 * Prints "family N RESULT" and "netlink N RESULT". With the words "high bits" the family is given
 * with bits above the 32 that the kernel looks at, to be no number that a careless filter knows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void try(const char *what, int n, long family, long type, long protocol)
{
	long fd = syscall(SYS_socket, family, type, protocol);

	printf("%s %d %s\n", what, n, fd < 0 ? strerrorname_np(errno) : "ok");
	if (fd >= 0)
		close((int)fd);
}

int main(int argc, char *argv[])
{
	long high = argc > 1 && argv[1] ? 1l << 32 : 0;

	for (int f = 0; f < 50; f++)
		try("family", f, f | high, f == AF_PACKET || f == AF_KEY ? SOCK_RAW : SOCK_DGRAM,
		    f == AF_KEY ? 2 : 0);
	for (int p = 0; p < 24; p++)
		try("netlink", p, AF_NETLINK | high, SOCK_RAW, p | high);
	return 0;
}
