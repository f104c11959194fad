/* SPDX-License-Identifier: Apache-2.0
 *
 * msg_test.c - messages of any length arrive whole, with their descriptors, and nothing leaks
 */
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/own.h"
#include "base/scratch.h"
#include "tap.h"

static char room[MSG_BUF] __attribute__((aligned(8)));

struct pair {
	int a, b;
};

static void pair_done(struct pair *p)
{
	close_fd(&p->a);
	close_fd(&p->b);
}

static struct pair make_pair(void)
{
	int fd[2] = {-1, -1};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		exit(1);
	return (struct pair){fd[0], fd[1]};
}

#define auto_pair auto_with(pair_done) struct pair

/* A packet as nobody of ours would send it. */
static void send_raw(int sock, const void *data, size_t len, int with_fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (with_fd >= 0) {
		struct cmsghdr *c;

		mh.msg_control = control.room;
		mh.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &with_fd, sizeof(int));
	}
	ok(sendmsg(sock, &mh, MSG_NOSIGNAL) == (ssize_t)len, "errno %d", errno);
}

static void a_message_arrives_as_it_was_sent(void)
{
	struct msg_head head = {.op = OP_SIGNAL, .flags = 0xffff, .id = 7, .arg = 9, .body = 1234};
	auto_pair p = make_pair();
	struct msg m;

	is_int(msg_send(p.a, &head, "hello", 5, NULL, 0), 0);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), 1);
	is_int(m.head.op, OP_SIGNAL);
	is_int(m.head.id, 7);
	is_int(m.head.arg, 9);
	is_int(m.head.body, 5);
	is_int(m.nfds, 0);
	is_str(m.body, "hello"); /* with a NUL after it */
	ok(!m.big);
	msg_done(&m);
}

static void a_message_without_a_body_arrives(void)
{
	struct msg_head head = {.op = OP_READY};
	auto_pair p = make_pair();
	struct msg m;

	is_int(msg_send(p.a, &head, NULL, 0, NULL, 0), 0);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), 1);
	is_int(m.head.body, 0);
	is_str(m.body, "");
	msg_done(&m);
}

static void round_trip(size_t len)
{
	struct msg_head head = {.op = OP_EXEC, .id = 1};
	int before = scratch_descriptors();
	auto_pair p = make_pair();
	char *body = malloc(len + 1);
	struct msg m;

	if (!ok(body))
		return;
	for (size_t i = 0; i < len; i++)
		body[i] = (char)(i * 31 + (i >> 8));
	is_int(msg_send(p.a, &head, body, len, &p.a, 1), 0);
	if (ok(msg_recv(p.b, &m, room, sizeof(room), 0) == 1, "%zu bytes", len)) {
		is_int(m.head.body, len);
		is_int(m.nfds, 1);
		ok(!memcmp(m.body, body, len), "%zu bytes", len);
		is_int(((char *)m.body)[len], 0);
		msg_done(&m);
	}
	free(body);
	pair_done(&p);
	is_int(scratch_descriptors(), before);
}

static void bodies_of_all_lengths_arrive(void)
{
	static const size_t lengths[] = {0, 1, 4096, MSG_INLINE_MAX - 1, MSG_INLINE_MAX,
					 MSG_INLINE_MAX + 1, 1 << 20, MSG_BODY_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		round_trip(lengths[i]);
}

static void what_is_too_much_is_refused_and_not_sent(void)
{
	struct msg_head head = {.op = OP_EXEC};
	auto_pair p = make_pair();
	static int many[MSG_FDS_MAX + 1];
	struct msg m;

	is_int(msg_send(p.a, &head, NULL, (size_t)MSG_BODY_MAX + 1, NULL, 0), -E2BIG);
	is_int(msg_send(p.a, &head, "x", 1, many, MSG_FDS_MAX + 1), -E2BIG);
	is_int(msg_recv(p.b, &m, room, sizeof(room), MSG_DONTWAIT), -EAGAIN);
}

static void descriptors_arrive_close_on_exec_and_in_order(void)
{
	struct msg_head head = {.op = OP_PLAN};
	auto_pair p = make_pair();
	auto_fd int a = open("/dev/null", O_RDONLY), b = open("/dev/zero", O_RDONLY);
	int taken, before = scratch_descriptors();
	struct stat sent, got;
	struct msg m;

	is_int(msg_send(p.a, &head, "x", 1, (int[]){a, b}, 2), 0);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), 1);
	if (!is_int(m.nfds, 2))
		return;
	ok(fstat(b, &sent) == 0 && fstat(m.fds[1], &got) == 0 && sent.st_rdev == got.st_rdev);
	for (int i = 0; i < 2; i++)
		is_int(fcntl(m.fds[i], F_GETFD), FD_CLOEXEC);
	taken = take_fd(&m.fds[1]);
	msg_done(&m);
	is_int(scratch_descriptors(), before + 1);
	ok(fcntl(taken, F_GETFD) >= 0, "what was taken is not closed");
	close(taken);
}

/* "MSG_FDS_MAX: descriptors in one message", whatever the length of the body. */
static void as_many_descriptors_as_promised_arrive(size_t len)
{
	struct msg_head head = {.op = OP_PLAN};
	int before = scratch_descriptors(), r;
	auto_pair p = make_pair();
	static char body[MSG_INLINE_MAX + 1];
	static int many[MSG_FDS_MAX];
	struct msg m;

	for (int i = 0; i < MSG_FDS_MAX; i++)
		many[i] = p.a;
	r = msg_send(p.a, &head, body, len, many, MSG_FDS_MAX);
	if (r == 0 && is_int(msg_recv(p.b, &m, room, sizeof(room), 0), 1)) {
		is_int(m.nfds, MSG_FDS_MAX);
		is_int(m.head.body, len);
		msg_done(&m);
	} else if (r < 0) {
		is_int(r, -E2BIG); /* refusing is all or nothing as well */
	}
	pair_done(&p);
	is_int(scratch_descriptors(), before);
}

static void many_descriptors_arrive_with_a_short_body(void)
{
	as_many_descriptors_as_promised_arrive(1);
}

static void many_descriptors_arrive_with_a_long_body_or_are_refused(void)
{
	as_many_descriptors_as_promised_arrive(MSG_INLINE_MAX + 1);
}

static void the_end_of_the_other_side_is_told(void)
{
	struct msg_head head = {.op = OP_READY};
	auto_pair p = make_pair();
	struct msg m;

	is_int(msg_send(p.a, &head, "last", 4, NULL, 0), 0);
	close_fd(&p.a);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), 1);
	is_str(m.body, "last");
	msg_done(&m);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), 0);
	is_int(msg_send(p.b, &head, "x", 1, NULL, 0), -EPIPE); /* and no SIGPIPE */
}

static void packets_that_are_no_messages_are_refused(void)
{
	struct msg_head lies[] = {{.body = 1}, {.body = 0xffffffff}, {.flags = MSG_BODY_IN_FD},
				  {.flags = MSG_BODY_IN_FD, .body = 5}};
	int before = scratch_descriptors();
	auto_pair p = make_pair();
	struct msg m;

	send_raw(p.a, "short", 5, p.a);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), -EBADMSG);
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		send_raw(p.a, &lies[i], sizeof(lies[i]), -1);
		ok(msg_recv(p.b, &m, room, sizeof(room), 0) == -EBADMSG, "head %zu", i);
	}
	pair_done(&p);
	is_int(scratch_descriptors(), before);
}

static void a_body_in_a_descriptor_must_be_there(void)
{
	struct msg_head head = {.flags = MSG_BODY_IN_FD, .body = 100};
	auto_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int before = scratch_descriptors();
	auto_pair p = make_pair();
	struct msg m;

	send_raw(p.a, &head, sizeof(head), null); /* ends before 100 bytes */
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), -EBADMSG);
	send_raw(p.a, &head, sizeof(head), p.a); /* a socket cannot be read at an offset */
	ok(msg_recv(p.b, &m, room, sizeof(room), 0) < 0);
	head.body = MSG_BODY_MAX + 1;
	send_raw(p.a, &head, sizeof(head), null);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), -EBADMSG);
	pair_done(&p);
	is_int(scratch_descriptors(), before);
}

/* The kernel tells that the other side closed with unread packets before it gives what it said. */
static void the_last_words_of_the_other_side_are_heard(void)
{
	struct msg_head head = {.op = OP_FAILED};
	auto_pair p = make_pair();
	struct msg m;

	is_int(msg_send(p.a, &head, "unread", 6, NULL, 0), 0);
	is_int(msg_send(p.b, &head, "why", 3, NULL, 0), 0);
	close_fd(&p.b);
	is_int(msg_recv(p.a, &m, room, sizeof(room), 0), 1);
	is_str(m.body, "why");
	msg_done(&m);
	is_int(msg_recv(p.a, &m, room, sizeof(room), 0), 0);
	pair_done(&p);
}

static void descriptors_without_room_are_an_error(void)
{
	struct msg_head head = {.op = OP_EXEC, .id = 7};
	struct rlimit all, none;
	auto_pair p = make_pair();
	struct msg m;

	is_int(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){3, all.rlim_max};
	is_int(msg_send(p.a, &head, "x", 1, (int[]){p.a, p.b}, 2), 0);
	is_int(setrlimit(RLIMIT_NOFILE, &none), 0);
	is_int(msg_recv(p.b, &m, room, sizeof(room), 0), -EMFILE);
	is_int(setrlimit(RLIMIT_NOFILE, &all), 0);
	is_int(m.head.id, 7);
	pair_done(&p);
}

static void a_packet_longer_than_the_room_is_refused_whole(void)
{
	struct msg_head head = {.op = OP_EXEC};
	int before = scratch_descriptors();
	auto_pair p = make_pair();
	char small[16];
	struct msg m;

	is_int(msg_send(p.a, &head, "0123456789abcdef", 16, &p.a, 1), 0);
	is_int(msg_recv(p.b, &m, small, sizeof(small), 0), -EBADMSG);
	is_int(msg_send(p.a, &head, "0123456789abcde", 15, NULL, 0), 0);
	is_int(msg_recv(p.b, &m, small, sizeof(small), 0), 1);
	is_str(m.body, "0123456789abcde");
	msg_done(&m);
	pair_done(&p);
	is_int(scratch_descriptors(), before);
}

/* Its length is that of an end, so nobody calls msg_done(). */
static void an_empty_packet_leaves_no_descriptor_behind(void)
{
	int before = scratch_descriptors();
	auto_pair p = make_pair();
	struct msg m;

	send_raw(p.a, "", 0, p.a);
	ok(msg_recv(p.b, &m, room, sizeof(room), 0) <= 0);
	pair_done(&p);
	is_int(scratch_descriptors(), before);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_message_arrives_as_it_was_sent),
		TAP_TEST(a_message_without_a_body_arrives),
		TAP_TEST(bodies_of_all_lengths_arrive),
		TAP_TEST(what_is_too_much_is_refused_and_not_sent),
		TAP_TEST(descriptors_arrive_close_on_exec_and_in_order),
		TAP_TEST(many_descriptors_arrive_with_a_short_body),
		TAP_TEST(many_descriptors_arrive_with_a_long_body_or_are_refused),
		TAP_TEST(the_end_of_the_other_side_is_told),
		TAP_TEST(packets_that_are_no_messages_are_refused),
		TAP_TEST(a_body_in_a_descriptor_must_be_there),
		TAP_TEST(the_last_words_of_the_other_side_are_heard),
		TAP_TEST(descriptors_without_room_are_an_error),
		TAP_TEST(a_packet_longer_than_the_room_is_refused_whole),
		TAP_TEST(an_empty_packet_leaves_no_descriptor_behind),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
