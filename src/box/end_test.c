/* SPDX-License-Identifier: Apache-2.0
 *
 * end_test.c - keepers that hear, and keepers that do not
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "sys/proc.h"
#include "tap.h"
#include "wire/msg.h"

struct made {
	struct box b;
	int keeper; /* the other end of its socket, in the child alone */
	pid_t pid;
	struct err e;
};

/* A child that waits for a message and exits with its number, or (@deaf) hears nothing. */
static void begin(struct made *m, bool deaf)
{
	char buf[64] __attribute__((aligned(8)));
	struct msg msg;
	int pair[2];

	*m = (struct made){.b = {.ctl = -1, .pidfd = -1, .userns = -1, .files = -1, .ready = true, .name = (char *)(uintptr_t)"ab"}};
	if (!ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0))
		return;
	m->pid = sys_fork(0, &m->b.pidfd);
	if (m->pid == 0) {
		while (deaf)
			pause();
		_exit(msg_recv(pair[1], &msg, buf, sizeof(buf), 0) > 0 ? (int)msg.head.op : 0);
	}
	close(pair[1]);
	m->b.ctl = pair[0];
}

static int end_status(struct made *m)
{
	int status = -1;

	is_int(box_end_keeper(&m->b, &m->e), 0);
	is_int(waitpid(m->pid, &status, 0), m->pid);
	close_fd(&m->b.ctl);
	close_fd(&m->b.pidfd);
	return status;
}

static void one_that_hears_ends_by_itself(void)
{
	struct made m;
	int status;

	begin(&m, false);
	status = end_status(&m);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == OP_END, "status %#x", (unsigned)status);
}

static void one_that_does_not_hear_is_killed(void)
{
	struct made m;
	int status;

	begin(&m, true);
	status = end_status(&m);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", (unsigned)status);
}

/* A stopped process ends by SIGKILL alone. */
static void one_that_is_stopped_is_killed(void)
{
	struct made m;
	int status;

	begin(&m, false);
	is_int(kill(m.pid, SIGSTOP), 0);
	status = end_status(&m);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", (unsigned)status);
}

static void one_that_is_not_ready_is_not_asked(void)
{
	struct made m;
	int status;

	begin(&m, false);
	m.b.ready = false;
	status = end_status(&m);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", (unsigned)status);
}

static void one_that_was_never_born_or_has_ended_is_no_failure(void)
{
	struct made m;

	begin(&m, false);
	is_int(kill(m.pid, SIGKILL), 0);
	usleep(20000);
	ok(WIFSIGNALED(end_status(&m)));
	m.b.dead = true;
	is_int(box_end_keeper(&m.b, &m.e), 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(one_that_hears_ends_by_itself),
		TAP_TEST(one_that_does_not_hear_is_killed),
		TAP_TEST(one_that_is_stopped_is_killed),
		TAP_TEST(one_that_is_not_ready_is_not_asked),
		TAP_TEST(one_that_was_never_born_or_has_ended_is_no_failure),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
