/* SPDX-License-Identifier: Apache-2.0
 *
 * msg.c - one message over a seqpacket socket, with descriptors
 */
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/own.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static int body_to_fd(const void *body, size_t len)
{
	auto_fd int fd = memfd_create("hutch-body", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	size_t done = 0;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("hutch-body", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = write(fd, (const char *)body + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return take_fd(&fd);
}

static int send_once(int sock, const struct msghdr *mh, int flags)
{
	for (;;) {
		if (sendmsg(sock, mh, MSG_NOSIGNAL | flags) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* The kernel counts the descriptors that a user of the machine has in flight, in all his processes, and
 * refuses more where they are over the sender's soft limit of open files (net/core/scm.c). Commands in
 * sandboxes are processes of his too, and may fill that; their hard limit is below ours. So for this
 * call ours is what it may be at most. */
static int send_it(int sock, const struct msghdr *mh, int flags)
{
	struct rlimit was, most;
	int r = send_once(sock, mh, flags);

	if (r != -ETOOMANYREFS || getrlimit(RLIMIT_NOFILE, &was) < 0)
		return r;
	most = (struct rlimit){was.rlim_max, was.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &most) < 0)
		return r;
	r = send_once(sock, mh, flags);
	(void)setrlimit(RLIMIT_NOFILE, &was);
	return r;
}

static int send_message(int sock, const struct msg_head *head, const void *body, size_t len, const int *fds,
			unsigned nfds, int flags)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * (MSG_FDS_MAX + 1))];
		struct cmsghdr align;
	} control;
	struct msg_head h = *head;
	struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)body, len}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	auto_fd int bodyfd = -1;

	if (nfds > MSG_FDS_MAX || len > MSG_BODY_MAX)
		return -E2BIG;
	h.body = (uint32_t)len;
	h.flags = 0;
	if (len > MSG_INLINE_MAX) {
		bodyfd = body_to_fd(body, len);
		if (bodyfd < 0)
			return bodyfd;
		h.flags = MSG_BODY_IN_FD;
		mh.msg_iovlen = 1;
	}
	if (nfds || bodyfd >= 0) {
		unsigned all = nfds + (bodyfd >= 0);
		struct cmsghdr *c;

		memset(&control, 0, CMSG_SPACE(sizeof(int) * all));
		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * all);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * all);
		if (nfds)
			memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
		if (bodyfd >= 0)
			memcpy(CMSG_DATA(c) + sizeof(int) * nfds, &bodyfd, sizeof(int));
	}
	return send_it(sock, &mh, flags);
}

int msg_send(int sock, const struct msg_head *head, const void *body, size_t len, const int *fds,
	     unsigned nfds)
{
	return send_message(sock, head, body, len, fds, nfds, 0);
}

int msg_try(int sock, const struct msg_head *head, const void *body, size_t len, const int *fds,
	    unsigned nfds)
{
	return send_message(sock, head, body, len, fds, nfds, MSG_DONTWAIT);
}

/* Takes the body out of the last descriptor. */
static int body_from_fd(struct msg *m)
{
	size_t len = m->head.body, done = 0;
	int fd;

	if (!m->nfds || len > MSG_BODY_MAX)
		return -EBADMSG;
	fd = m->fds[m->nfds - 1];
	m->big = malloc(len + 1);
	if (!m->big)
		return -ENOMEM;
	while (done < len) {
		ssize_t n = pread(fd, (char *)m->big + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		done += (size_t)n;
	}
	((char *)m->big)[len] = '\0';
	m->body = m->big;
	m->nfds--;
	close(fd);
	return 0;
}

static void take_fds(struct msg *m, struct msghdr *mh)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->nfds <= MSG_FDS_MAX)
				m->fds[m->nfds++] = fd;
			else
				close(fd);
		}
	}
}

int msg_recv(int sock, struct msg *m, void *buf, size_t room, int flags)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * (MSG_FDS_MAX + 1))];
		struct cmsghdr align;
	} control;
	struct iovec iov[2] = {{&m->head, sizeof(m->head)}, {buf, room - 1}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.room,
			    .msg_controllen = sizeof(control.room)};
	bool reset = false; /* told before what was sent until then, and once */
	ssize_t n;
	int r = 0;

	m->head = (struct msg_head){0};
	m->body = buf;
	m->big = NULL;
	m->nfds = 0;
	for (;;) {
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC | flags);
		if (n >= 0 || (errno != EINTR && (errno != ECONNRESET || reset)))
			break;
		reset = reset || errno == ECONNRESET;
	}
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_fds(m, &mh);
	if (n == 0) {
		msg_done(m);
		return 0;
	}
	if ((size_t)n < sizeof(m->head) || mh.msg_flags & MSG_TRUNC)
		r = -EBADMSG;
	else if (mh.msg_flags & MSG_CTRUNC) /* more than a message has, or this process had none left */
		r = m->nfds > MSG_FDS_MAX ? -EBADMSG : -EMFILE;
	else if (m->head.flags & MSG_BODY_IN_FD)
		r = body_from_fd(m);
	else if (m->head.body != (size_t)n - sizeof(m->head))
		r = -EBADMSG;
	else
		((char *)buf)[m->head.body] = '\0';
	if (r < 0) {
		msg_done(m);
		return r;
	}
	return 1;
}

void msg_done(struct msg *m)
{
	for (unsigned i = 0; i < m->nfds; i++)
		close_fd(&m->fds[i]);
	m->nfds = 0;
	free(m->big);
	m->big = NULL;
}
