/* SPDX-License-Identifier: Apache-2.0
 *
 * abstract.c - talk to an abstract unix socket: they have no place in any file system
 *
 *	abstract NAME		prints "stream RESULT" and "datagram RESULT" of connecting to it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void try(const char *what, int type, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, type, 0);

	strncpy(a.sun_path + 1, name, sizeof(a.sun_path) - 2);
	printf("%s %s\n", what,
	       connect(s, (void *)&a,
		       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) < 0
		       ? strerrorname_np(errno)
		       : "ok");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	try("stream", SOCK_STREAM, argv[1]);
	try("datagram", SOCK_DGRAM, argv[1]);
	return 0;
}
