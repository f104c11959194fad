/* SPDX-License-Identifier: Apache-2.0
 *
 * msg_fuzz.c - any packets to msg_recv()
 *
 * The input is cut into packets by two bytes of length before each; the high bit of the second
 * sends a descriptor along: a file of 64 bytes, which a head may call its body. What is taken is
 * read to its end, and in the end no descriptor may be left open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/scratch.h"
#include "wire/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 4096 };

static volatile size_t seen;

/* Return: whether it could be sent: a full socket ends the input. */
static int send_packet(int sock, const uint8_t *data, size_t len, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		struct cmsghdr *c;

		mh.msg_control = control.room;
		mh.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void receive(int sock)
{
	char *room = malloc(ROOM); /* the address sanitizer sees one byte too many */
	struct msg m;
	int r;

	if (!room)
		abort();
	r = msg_recv(sock, &m, room, ROOM, MSG_DONTWAIT);
	if (r > 1)
		abort();
	if (r == 1) {
		const char *body = m.body;

		for (size_t i = 0; i < m.head.body; i++)
			seen += (size_t)body[i];
		if (body[m.head.body] != '\0')
			abort();
		msg_done(&m);
	}
	free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[64] = "a body in a file";
	int before = scratch_descriptors(), pair[2], file = memfd_create("fuzz", MFD_CLOEXEC);

	if (file < 0 || write(file, text, sizeof(text)) != (ssize_t)sizeof(text) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	while (size >= 2) {
		size_t len = data[0] | (size_t)(data[1] & 0x7f) << 8;
		int fd = data[1] & 0x80 ? file : -1;

		data += 2;
		size -= 2;
		len = len < size ? len : size;
		if (send_packet(pair[0], data, len, fd))
			receive(pair[1]);
		data += len;
		size -= len;
	}
	close(pair[0]);
	close(pair[1]);
	close(file);
	if (scratch_descriptors() != before)
		abort();
	return 0;
}
