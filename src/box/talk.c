/* SPDX-License-Identifier: Apache-2.0
 *
 * talk.c - messages from the keeper
 *
 * How it works: one socket per sandbox brings what the nursery says of the keeper (OP_STARTED, in
 * any order with the rest), that commands can run (OP_READY), that it came to nothing (OP_FAILED),
 * and what becomes of commands. Each message has a fixed form and a number that we chose; anything
 * else is dropped.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "box/op.h"
#include "sys/proc.h"
#include "wire/msg.h"

/* The longest there is: a list of layers. */
enum { TALK_ROOM = STACK_MAX * LAYER_NAME + 64 };

static_assert(TALK_ROOM > sizeof(struct exited) + 64 && TALK_ROOM > sizeof(struct ready) + 64, "room for all");

static struct proc *find(struct box *b, uint32_t id)
{
	struct proc *p = b->procs;

	while (p && p->id != id)
		p = p->next;
	return p;
}

static void is_of_another(struct box *b)
{
	pid_t pid = box_pid_of(b->pidfd);
	char way[64] = "";

	if (pid > 0)
		snprintf(way, sizeof(way), "; `kill -KILL %d` ends it", (int)pid);
	err_set(&b->why, ERR_UNSUPPORTED, "it was started by another version of hutch, which alone can use it%s", way);
}

static void take(struct box *b, struct msg *m)
{
	struct proc *p;

	switch (m->head.op) {
	case OP_STARTED:
		if (m->nfds >= 1 && b->pidfd < 0)
			b->pidfd = take_fd(&m->fds[0]);
		if (m->nfds >= 2 && b->userns < 0)
			b->userns = take_fd(&m->fds[1]);
		break;
	case OP_READY:
		if (m->head.arg != WIRE)
			is_of_another(b);
		else if (m->head.body == sizeof(struct ready)) {
			b->ready = true;
			memcpy(b->marks, m->body, sizeof(b->marks));
		}
		break;
	case OP_ENDED:
		b->ended = true;
		break;
	case OP_NAMED:
		b->naming = false;
		break;
	case OP_FAILED:
		if (m->head.body == sizeof(b->why))
			memcpy(&b->why, m->body, sizeof(b->why));
		b->why.msg[sizeof(b->why.msg) - 1] = '\0';
		if (b->why.code >= 0)
			b->why.code = ERR_INTERNAL;
		break;
	case OP_PTY:
		p = find(b, m->head.id);
		if (p && m->nfds == 1 && p->pty < 0)
			p->pty = take_fd(&m->fds[0]);
		break;
	case OP_SHELL_IS:
		shell_given(b, m);
		break;
	case OP_LAYERS:
		layers_given(b, m);
		break;
	case OP_LAYERS_ON:
		layers_on(b, m);
		break;
	case OP_FILES_IS:
		files_given(b, m);
		break;
	case OP_SHELL_KILLED:
		shell_killed(b, m);
		break;
	case OP_JOB_SAID:
		job_answered(b, m);
		break;
	case OP_EXITED:
		if (shell_exited(b, m))
			break;
		p = find(b, m->head.id);
		if (p && !p->done && m->head.body == sizeof(p->end)) {
			memcpy(&p->end, m->body, sizeof(p->end));
			p->end.e.msg[sizeof(p->end.e.msg) - 1] = '\0';
			p->done = true;
		}
		break;
	case OP_RESET_DONE:
		if (m->head.id == b->reset_id) {
			b->reset_id = 0;
			b->left_behind = m->head.arg;
			if (m->head.body == sizeof(b->generation))
				memcpy(&b->generation, m->body, sizeof(b->generation));
		}
		break;
	default:
		break;
	}
}

int box_talk(struct box *b, int timeout_ms, struct err *e)
{
	char buf[TALK_ROOM] __attribute__((aligned(8)));
	struct pollfd wait = {b->ctl, POLLIN, 0};
	struct msg m;
	int r = 1;

	if (b->dead)
		return err_set(e, ERR_DIED, "sandbox '%s' has ended", b->name);
	while (timeout_ms && (r = poll(&wait, 1, timeout_ms)) < 0 && errno == EINTR && timeout_ms < 0)
		;
	if (r <= 0)
		return r < 0 && errno != EINTR ? err_sys(e, errno, "poll") : 0;
	r = msg_recv(b->ctl, &m, b->wide ? b->wide : buf, b->wide ? MSG_BUF : sizeof(buf), MSG_DONTWAIT);
	if (r == -EAGAIN)
		return 0;
	if (r == 0) {
		b->dead = true;
		runs_told(b);
		op_told(b);
		return err_set(e, ERR_DIED, "sandbox '%s' has ended", b->name);
	}
	if (r < 0)
		return err_sys(e, r, "a message of sandbox '%s'", b->name);
	take(b, &m);
	msg_done(&m);
	runs_told(b);
	op_told(b);
	return 1;
}

/* The keeper does not hear who does not take what it says; so that is taken meanwhile. */
int box_say(struct box *b, const struct msg_head *head, const void *body, size_t len, const int *fds,
	    unsigned nfds)
{
	struct pollfd p = {b->ctl, POLLIN | POLLOUT, 0};
	int r;

	while ((r = msg_try(b->ctl, head, body, len, fds, nfds)) == -EAGAIN) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return -errno;
		if (p.revents & ~POLLOUT && box_talk(b, 0, NULL) < 0 && b->dead)
			return -EPIPE;
	}
	return r;
}

int box_gone(struct box *b, struct err *e)
{
	while (!b->dead && !b->why.code && box_talk(b, 0, NULL) == 1)
		;
	b->dead = true;
	if (!b->why.code)
		return err_set(e, ERR_DIED, "sandbox '%s' has ended", b->name);
	if (e)
		*e = b->why;
	return b->why.code;
}

int box_ask(struct box *b, const struct msg_head *head, const void *body, size_t len, const int *fds, unsigned nfds,
	    struct err *e)
{
	int r = box_say(b, head, body, len, fds, nfds);

	if (r == -EPIPE || r == -ECONNRESET)
		return box_gone(b, e);
	return r < 0 ? err_sys(e, r, "ask the keeper of '%s'", b->name) : 0;
}

int box_wait_ready(struct box *b, struct err *e)
{
	int r = home_check_owner(b->home, e);

	if (r < 0)
		return r;
	while (r >= 0 && !b->ready && !b->why.code)
		r = box_talk(b, -1, e);
	if (b->why.code) {
		r = b->why.code;
		if (e)
			*e = b->why;
	}
	if (r < 0)
		return b->asked_ns ? err_wrap(e, "start '%s'", b->name) : r; /* or it was started long ago, by whomever */
	if (b->spec && b->spec->spare && !b->shared && !b->told_ready)
		shell_ask_ahead(b);
	b->told_ready = true;
	return 0;
}

void box_trace(const struct box *b)
{
	uint64_t last = b->asked_ns;

	/* In the order in which they came about: some steps overlap. */
	for (int done = 0; done < READY_MARKS; done++) {
		int next = -1;

		for (int i = 0; i < READY_MARKS; i++)
			if (b->marks[i] > last && (next < 0 || b->marks[i] < b->marks[next]))
				next = i;
		if (next < 0)
			break;
		fprintf(stderr, "start: %-24s %+8.1f us\n", ready_names[next],
			(double)(b->marks[next] - last) / 1e3);
		last = b->marks[next];
	}
	fprintf(stderr, "start: %-24s %8.1f us\n", "in all", (double)(last - b->asked_ns) / 1e3);
}
