/* SPDX-License-Identifier: Apache-2.0
 *
 * starter.c - starts commands in the keeper's place, where that needs nothing but an exec
 *
 * How it works: inside, as a command under all guards, lives this program. The keeper hands on what he was asked to start,
 * as it came. The command is a vfork of ours, so nothing is copied and no
 * guard is put on anew; but it is the keeper's child, as if he had made it: he waits for it, and all that he can do with
 * commands he can do with it. First of all it says that it is there, and the kernel says with that who it is.
 *
 * Nothing inside can look into this process or write to its descriptors (runner.c); what can be done is to stop it or to kill
 * it. Then the keeper starts the command himself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/child.h"

enum { STACK_SIZE = 65536 };

struct order {
	struct child c;
	uint32_t number;
	volatile bool said; /* by the child, which shares our memory */
};

/* Who says it, the kernel makes sure of. */
static bool say(int sock, struct starter_said *what)
{
	const struct ucred who = {getpid(), getuid(), getgid()};
	union {
		char room[CMSG_SPACE(sizeof(who))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {what, sizeof(*what)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(who));
	memcpy(CMSG_DATA(c), &who, sizeof(who));
	return sendmsg(sock, &mh, MSG_NOSIGNAL) == (ssize_t)sizeof(*what);
}

/* In the child. Whoever does not hear us starts the command himself: so then it must not be started here. */
static int become(void *arg)
{
	static struct starter_said what;
	struct order *o = arg;
	int sock = STARTER_SOCK;

	what = (struct starter_said){.number = o->number};
	o->said = say(sock, &what);
	if (o->said) {
		(void)child_again(&o->c, &sock, &what.why);
		(void)say(sock, &what);
	}
	_exit(127);
}

/* Return: 0, or why there is no such command. */
static int carry_out(struct msg *m, uint64_t key)
{
	static char stack[STACK_SIZE] __attribute__((aligned(16)));
	static struct order o;
	struct pack p = {m->body, m->head.body};
	struct err e;
	int r = 0;

	o = (struct order){.c = {.pack = &p, .image = -1}, .number = m->head.id};
	o.c.call = call_open(&p, &e);
	if (!o.c.call || !child_ends(&o.c, m)) /* a standard descriptor that did not come is ours */
		return EINVAL;
	strcpy(o.c.who.home, "/root"); /* as of root alone (who_find()) */
	if (child_vectors(&o.c, &e) < 0)
		r = ENOMEM;
	else if (clone(become, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, &o, NULL,
		       (void *)(uintptr_t)key, (void *)(uintptr_t)key) < 0) /* one of these is FILTER_KEY_ARGUMENT */
		r = errno;
	else if (!o.said) /* it was killed before */
		r = ESRCH;
	child_done(&o.c);
	return r;
}

void starter_main(int sock)
{
	static struct msg_buf buf;
	static struct starter_said not_begun;
	struct starter_told told;
	struct msg m;

	(void)sock;
	runner_hide("hutch-starter");
	if (fcntl(STARTER_SOCK, F_SETFD, FD_CLOEXEC) < 0 || recv(STARTER_SOCK, &told, sizeof(told), 0) != (ssize_t)sizeof(told))
		_exit(1);
	(void)runner_stands(told.limits);
	for (;;) {
		int r = msg_recv(STARTER_SOCK, &m, buf.bytes, sizeof(buf.bytes), 0);
		bool stands = runner_stands(NULL);

		if (r <= 0 && r != -EMFILE)
			_exit(0);
		not_begun = (struct starter_said){.number = m.head.id, .error = r < 0 ? -r : !stands ? EPERM : carry_out(&m, told.key)};
		if (not_begun.error)
			(void)say(STARTER_SOCK, &not_begun);
		msg_done(&m);
		if (!stands)
			_exit(0); /* he starts it himself, and then another of us */
	}
}
