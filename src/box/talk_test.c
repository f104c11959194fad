/* SPDX-License-Identifier: Apache-2.0
 *
 * talk_test.c - what the keeper says is taken, and what nobody of ours would say is dropped
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/own.h"
#include "base/scratch.h"
#include "box/box.h"
#include "sys/proc.h"
#include "tap.h"
#include "wire/msg.h"

/* A box whose keeper is this test. */
struct made {
	struct home h;
	struct box b;
	struct proc p;
	int keeper; /* its end of the socket */
	struct err e;
};

static void begin(struct made *m)
{
	int pair[2];

	memset(m, 0, sizeof(*m));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	m->h.owner = getpid();
	m->b = (struct box){.home = &m->h, .name = (char *)(uintptr_t)"ab", .ctl = pair[0],
			    .pidfd = -1, .userns = -1, .files = -1, .procs = &m->p, .asked_ns = 1};
	m->p = (struct proc){.box = &m->b, .id = 7, .pty = -1, .io = {-1, -1, -1}};
	m->keeper = pair[1];
}

static void made_done(struct made *m)
{
	close_fd(&m->b.ctl);
	close_fd(&m->b.pidfd);
	close_fd(&m->b.userns);
	close_fd(&m->p.pty);
	close_fd(&m->keeper);
}

static void say(struct made *m, uint16_t op, uint32_t id, const void *body, size_t len,
		unsigned nfds)
{
	struct msg_head h = {.op = op, .id = id, .arg = op == OP_READY ? WIRE : 0};
	int fds[] = {0, 0, 0, 0};

	for (int i = 0; i < 4; i++)
		fds[i] = m->keeper;
	is_int(msg_send(m->keeper, &h, body, len, fds, nfds), 0);
}

static void the_keepers_descriptors_are_kept(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	say(&m, OP_STARTED, 0, NULL, 0, 2);
	is_int(box_talk(&m.b, 1000, &m.e), 1);
	ok(m.b.pidfd >= 0 && m.b.userns >= 0);
	is_int(fcntl(m.b.pidfd, F_GETFD), FD_CLOEXEC);
}

static void descriptors_nobody_asked_for_are_closed(void)
{
	auto_with(made_done) struct made m;
	int before;

	begin(&m);
	say(&m, OP_STARTED, 0, NULL, 0, 2);
	is_int(box_talk(&m.b, 1000, &m.e), 1);
	before = scratch_descriptors();
	say(&m, OP_STARTED, 0, NULL, 0, 3); /* a second time */
	say(&m, OP_READY, 0, NULL, 0, 2);
	say(&m, OP_PTY, 99, NULL, 0, 1);    /* of a command there is not */
	say(&m, OP_PTY, 7, NULL, 0, 2);	    /* a terminal has one */
	say(&m, OP_EXITED, 7, "x", 1, 1);
	say(&m, 999, 7, NULL, 0, 4);
	for (int i = 0; i < 6; i++)
		is_int(box_talk(&m.b, 1000, &m.e), 1);
	is_int(box_talk(&m.b, 0, &m.e), 0);
	is_int(scratch_descriptors(), before);
	ok(!m.b.ready && !m.p.done && m.p.pty < 0);
}

static void readiness_is_a_message_of_the_right_size(void)
{
	auto_with(made_done) struct made m;
	struct ready ready = {.marks = {1, 2, 3}};

	begin(&m);
	say(&m, OP_READY, 0, &ready, sizeof(ready) - 1, 0);
	is_int(box_talk(&m.b, 1000, &m.e), 1);
	ok(!m.b.ready);
	say(&m, OP_READY, 0, &ready, sizeof(ready), 0);
	is_int(box_wait_ready(&m.b, &m.e), 0);
	is_int(m.b.marks[2], 3);
}

static void who_attaches_to_one_of_another_version_is_told(void)
{
	struct msg_head h = {.op = OP_READY, .arg = WIRE + 1};
	auto_with(made_done) struct made m;
	char pid[32];

	begin(&m);
	m.b.pidfd = sys_pidfd_open(getpid());
	snprintf(pid, sizeof(pid), "`kill -KILL %d`", getpid());
	is_int(msg_send(m.keeper, &h, "its form is another one", 23, NULL, 0), 0);
	is_int(box_wait_ready(&m.b, &m.e), ERR_UNSUPPORTED);
	ok(strstr(m.e.msg, "another version of hutch") && strstr(m.e.msg, pid), "%s", m.e.msg);
}

static void a_failed_start_says_why(void)
{
	auto_with(made_done) struct made m;
	struct err why = {.code = ERR_UNSUPPORTED, .sys = ENOSYS, .msg = "overlay: Function not"};

	begin(&m);
	say(&m, OP_FAILED, 0, &why, sizeof(why), 0);
	is_int(box_wait_ready(&m.b, &m.e), ERR_UNSUPPORTED);
	is_int(m.e.sys, ENOSYS);
	is_str(m.e.msg, "start 'ab': overlay: Function not");
	is_int(box_wait_ready(&m.b, &m.e), ERR_UNSUPPORTED);
	is_str(m.e.msg, "start 'ab': overlay: Function not");
}

/* Also when it is no failure of ours: no success comes of it, and no text without an end. */
static void a_failure_that_lies_is_one_all_the_same(void)
{
	auto_with(made_done) struct made m;
	struct err why;

	begin(&m);
	memset(&why, 'w', sizeof(why));
	why.code = 5;
	say(&m, OP_FAILED, 0, &why, sizeof(why), 0);
	is_int(box_wait_ready(&m.b, &m.e), ERR_INTERNAL);
	ok(memchr(m.e.msg, 0, sizeof(m.e.msg)));
	m.b.why.code = 0;
	say(&m, OP_FAILED, 0, "short", 5, 0);
	ok(box_wait_ready(&m.b, &m.e) < 0);
}

static void the_end_of_a_command_is_told_once(void)
{
	auto_with(made_done) struct made m;
	struct exited x = {.how = EXITED_STATUS, .status = 3 << 8};

	begin(&m);
	say(&m, OP_EXITED, 8, &x, sizeof(x), 0); /* of another */
	is_int(box_talk(&m.b, 1000, &m.e), 1);
	ok(!m.p.done);
	memset(x.e.msg, 'x', sizeof(x.e.msg));
	say(&m, OP_EXITED, 7, &x, sizeof(x), 0);
	x.status = 4 << 8;
	say(&m, OP_EXITED, 7, &x, sizeof(x), 0);
	is_int(box_talk(&m.b, 1000, &m.e), 1);
	is_int(box_talk(&m.b, 1000, &m.e), 1);
	ok(m.p.done);
	is_int(m.p.end.status, 3 << 8);
	ok(memchr(m.p.end.e.msg, 0, sizeof(m.p.end.e.msg)));
}

static void the_terminal_of_a_command_is_kept(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	say(&m, OP_PTY, 7, NULL, 0, 1);
	is_int(box_talk(&m.b, 1000, &m.e), 1);
	ok(m.p.pty >= 0);
}

static void a_keeper_that_is_gone_is_told_every_time(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	close_fd(&m.keeper);
	is_int(box_talk(&m.b, 1000, &m.e), ERR_DIED);
	ok(strstr(m.e.msg, "'ab'"), "%s", m.e.msg);
	is_int(box_talk(&m.b, 1000, &m.e), ERR_DIED);
	is_int(box_wait_ready(&m.b, &m.e), ERR_DIED);
	is_int(box_talk(&m.b, 1000, NULL), ERR_DIED);
}

static void packets_that_are_no_messages_are_errors_and_end_nothing(void)
{
	auto_with(made_done) struct made m;
	static char large[20000];
	struct ready ready = {0};

	begin(&m);
	ok(send(m.keeper, "x", 1, 0) == 1);
	ok(box_talk(&m.b, 1000, &m.e) < 0);
	ok(!m.b.dead, "%s", m.e.msg);
	say(&m, OP_READY, 0, large, sizeof(large), 0); /* longer than any of ours */
	ok(box_talk(&m.b, 1000, &m.e) < 0);
	say(&m, OP_READY, 0, &ready, sizeof(ready), 0);
	is_int(box_wait_ready(&m.b, &m.e), 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(the_keepers_descriptors_are_kept),
		TAP_TEST(descriptors_nobody_asked_for_are_closed),
		TAP_TEST(readiness_is_a_message_of_the_right_size),
		TAP_TEST(who_attaches_to_one_of_another_version_is_told),
		TAP_TEST(a_failed_start_says_why),
		TAP_TEST(a_failure_that_lies_is_one_all_the_same),
		TAP_TEST(the_end_of_a_command_is_told_once),
		TAP_TEST(the_terminal_of_a_command_is_kept),
		TAP_TEST(a_keeper_that_is_gone_is_told_every_time),
		TAP_TEST(packets_that_are_no_messages_are_errors_and_end_nothing),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
