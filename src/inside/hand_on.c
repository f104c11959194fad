/* SPDX-License-Identifier: Apache-2.0
 *
 * hand_on.c - commands that are handed on to the starter
 *
 * How it works: from the third plain command of a generation on there is a starter in it (starter.c). What it is given is kept
 * until it is heard that it has begun: if it comes to nothing (somebody inside has killed or stopped the starter, or there is
 * no room for a process) the keeper starts it himself. Nothing is begun twice: who cannot say that he has begun ends.
 *
 * Nobody waits for that word, which comes in the midst of an exec: it is heard when the command ends, or after a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

enum { PLAIN_BEFORE = 2, HEAR_NS = 2000000, OTHER_CAP = 21 /* CAP_SYS_ADMIN */ };

/* Who could look into the starter could make others run in a command's place. */
static bool can_be_trusted(const struct keeper *k)
{
	const uint64_t looks = UINT64_C(1) << RUNNER_CAP | UINT64_C(1) << OTHER_CAP;

	return !(k->plan->caps & looks) && k->starter.key;
}

/* Root, by itself, and nothing that the caller is to be told before it runs. */
static bool is_plain(const struct call *c, const struct msg *m)
{
	return m->head.op == OP_EXEC && !(c->flags & (CALL_TTY | CALL_MAIN | CALL_RUNNER)) && !c->user && !c->groups.count &&
	       m->head.body <= MSG_INLINE_MAX;
}

/* ---- the starter ------------------------------------------------------------------------------ */

/* There is none from now on, nor will there be. In the socket of one that somebody has stopped there are descriptors yet. */
static void let_go(struct keeper *k)
{
	if (k->starter.pid)
		(void)kill(k->starter.pid, SIGKILL);
	close_fd(&k->starter.sock);
	close_fd(&k->starter.theirs);
}

bool starter_is(const struct keeper *k, pid_t pid)
{
	return pid && pid == k->starter.pid;
}

/* Whoever had it could make commands that are in no tree: so it is known to no one else. */
static int put_key(struct keeper *k, struct err *e)
{
	const struct plan_array at = k->plan->filter;
	struct sock_filter *f = (struct sock_filter *)(uintptr_t)pack_at(&k->pack, at.at, 0);
	uint64_t key;
	int found = 0;

	if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return err_sys(e, errno, "make a key");
	for (uint32_t i = 0; i < at.count; i++) {
		if (f[i].code != (BPF_JMP | BPF_JEQ | BPF_K) || (f[i].k != FILTER_KEY_LOW && f[i].k != FILTER_KEY_HIGH))
			continue;
		f[i].k = f[i].k == FILTER_KEY_LOW ? (uint32_t)key : (uint32_t)(key >> 32);
		found++;
	}
	k->starter.key = found == 2 ? key : 0;
	return 0;
}

int starter_prepare(struct keeper *k, struct err *e)
{
	int r = k->plan->filter.count ? put_key(k, e) : 0, pair[2];

	if (r < 0 || !can_be_trusted(k) || k->plan->flags & PLAN_ONCE)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	k->starter.sock = pair[0];
	k->starter.theirs = pair[1];
	return 0;
}

/* As a command of the keeper's own. */
static int begin(struct keeper *k, struct err *e)
{
	static const char *const argv[] = {"hutch-init", "starter"};
	static const uint32_t numbers[] = {STARTER_SOCK};
	auto_buf struct buf blob = BUF_INIT(4096);
	struct call c = {.umask = 022, .flags = CALL_RUNNER, .nulls = 7, .nnumbers = 1};
	struct msg m = {.head = {.op = OP_SHELL}};
	int r;

	buf_add(&blob, &c, sizeof(c));
	c.argv = pack_strs(&blob, (char **)(uintptr_t)argv, 2);
	c.env = pack_strs(&blob, NULL, 0);
	c.cwd = pack_str(&blob, "/");
	c.numbers = pack_bytes(&blob, numbers, sizeof(numbers));
	if (buf_bad(&blob))
		return err_oom(e);
	memcpy(blob.data, &c, sizeof(c));
	m.body = blob.data;
	m.head.body = (uint32_t)blob.len;
	m.fds[m.nfds++] = fcntl(k->starter.theirs, F_DUPFD_CLOEXEC, 3);
	r = exec_start(k, NULL, &m, NULL, e);
	msg_done(&m);
	if (r == 0)
		k->starter.pid = exec_pid(k, NULL, 0);
	return r;
}

/* What was said to the one before, or by it. */
static void drain(int sock)
{
	PIECE(struct msg_buf, buf);
	struct msg m;
	int r;

	while ((r = msg_recv(sock, &m, buf->bytes, sizeof(buf->bytes), MSG_DONTWAIT)) != 0 && r != -EAGAIN && r != -ECONNRESET)
		if (r > 0 || r == -EMFILE)
			msg_done(&m);
}

void starter_begin(struct keeper *k)
{
	struct starter_told first = {.key = k->starter.key};
	struct err e;

	k->starter.want = false;
	if (k->starter.pid || k->starter.sock < 0 || !k->now.pid || work_holds(k))
		return;
	if (k->starter.leaves) /* it could still take what is sent to the next */
		return;
	drain(k->starter.theirs); /* the one before may have been killed */
	drain(k->starter.sock);
	k->starter.before = k->starter.number;
	child_limits_are(k, first.limits);
	if (begin(k, &e) < 0)
		k->starter.never = true;
	else if (send(k->starter.sock, &first, sizeof(first), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		let_go(k);
}

/* ---- what is handed on ------------------------------------------------------------------------ */

enum { WAITING_ROOM = 1024 };

struct waiting {
	struct msg m; /* ours */
	uint64_t hear_ns, pause_ns; /* when to look next, and how long after the last time */
	size_t room;
	_Alignas(8) char body[];
};

/* One is kept for the next: memory that goes back to the kernel and is had from it again is dear. */
static void waiting_free(struct keeper *k, struct waiting *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < w->m.nfds; i++)
		close_fd(&w->m.fds[i]);
	if (k->starter.free || w->room > WAITING_ROOM)
		free(w);
	else
		k->starter.free = w;
}

void starter_lean(struct keeper *k)
{
	free(take_ptr(&k->starter.free));
}

/* What is kept of a message, without its descriptors. NULL: no memory. */
static struct waiting *keep(struct keeper *k, const struct msg *m)
{
	size_t room = m->head.body > WAITING_ROOM ? m->head.body : WAITING_ROOM;
	struct waiting *w = room > WAITING_ROOM ? NULL : take_ptr(&k->starter.free);

	if (!w)
		w = malloc(sizeof(*w) + room);
	if (!w)
		return NULL;
	w->room = room;
	w->m.head = m->head;
	w->m.body = memcpy(w->body, m->body, m->head.body);
	w->m.big = NULL;
	w->m.nfds = 0;
	w->pause_ns = HEAR_NS;
	w->hear_ns = sys_now_ns() + w->pause_ns;
	return w;
}

bool starter_takes(struct keeper *k, struct slot *s, const struct call *c, struct msg *m)
{
	struct msg_head head = {.op = OP_EXEC, .id = k->starter.number + 1};
	struct waiting *w;

	if (k->starter.never || k->starter.sock < 0 || !is_plain(c, m))
		return false;
	if (!k->starter.pid) {
		k->starter.want = ++k->starter.plain >= PLAIN_BEFORE;
		return false;
	}
	w = work_holds(k) ? NULL : keep(k, m);
	if (!w || msg_try(k->starter.sock, &head, m->body, m->head.body, m->fds, m->nfds) < 0) {
		waiting_free(k, w);
		return false;
	}
	for (; w->m.nfds < m->nfds; w->m.nfds++)
		w->m.fds[w->m.nfds] = take_fd(&m->fds[w->m.nfds]);
	s->number = ++k->starter.number;
	s->waiting = w;
	k->starter.waiting++;
	return true;
}

/* ---- what is heard ---------------------------------------------------------------------------- */

static struct slot *by_number(const struct keeper *k, uint32_t number)
{
	struct slot *s = k->slots;

	while (s && (!number || s->number != number))
		s = s->next;
	return s;
}

static struct waiting *no_longer(struct keeper *k, struct slot *s)
{
	k->starter.waiting--;
	return take_ptr(&s->waiting);
}

/* Only as long as we hear: who sends with it on gets a name of the network's. */
static void hear_who(const struct keeper *k, int on)
{
	(void)setsockopt(k->starter.sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

/* Return: 1 one was heard, 0 nothing is there, or less than 0. */
static int hear_one(const struct keeper *k, struct starter_said *ret, pid_t *ret_pid)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {ret, sizeof(*ret)};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control)};
	struct ucred who = {0};
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(k->starter.sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	c = CMSG_FIRSTHDR(&mh);
	if (n != (ssize_t)sizeof(*ret) || !c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
		return -EPIPE;
	memcpy(&who, CMSG_DATA(c), sizeof(who));
	*ret_pid = who.pid;
	return 1;
}

/* It is our child, and its number stays its own until we have waited for it. */
static void has_begun(struct keeper *k, struct slot *s, pid_t pid)
{
	s->pid = pid;
	waiting_free(k, no_longer(k, s));
	if (pid == k->starter.ended)
		return;
	s->pidfd = sys_pidfd_open(pid);
	if (s->pidfd < 0) /* no descriptor is free: it could not be ended as it has to be */
		s->doomed = true;
	if (s->doomed)
		tree_kill(k, pid);
	if (s->early)
		exec_signal_early(s, s->early);
}

/* What is said by now. Return: false, nothing more will come. */
static bool hear(struct keeper *k)
{
	struct starter_said said;
	struct slot *s;
	pid_t pid = 0;
	int r;

	hear_who(k, true);
	while ((r = hear_one(k, &said, &pid)) > 0) {
		s = by_number(k, said.number);
		if (s && s->waiting && !said.error && pid > 0)
			has_begun(k, s, pid);
		else if (s && s->waiting)
			s->not_begun = true;
		else if (s && pid == s->pid && said.why.code && !s->why && (s->why = malloc(sizeof(*s->why))))
			*s->why = said.why;
	}
	hear_who(k, false);
	return r == 0;
}

/* Those that it did not begin; where it is gone, all. @lost: they shall not be any more. */
static void start_again(struct keeper *k, bool lost)
{
	if (!k->starter.waiting)
		return;
	for (struct slot *s = k->slots, *next; s; s = next) {
		struct waiting *w;

		next = s->next;
		if (!s->waiting || (k->starter.sock >= 0 && !s->not_begun && !lost))
			continue;
		w = no_longer(k, s);
		exec_again(k, s, &w->m, lost);
		waiting_free(k, w);
		next = k->slots; /* the list is another one */
	}
}

void starter_hear(struct keeper *k)
{
	if (k->starter.sock < 0 || k->starter.hearing)
		return;
	k->starter.hearing = true;
	if (!hear(k))
		let_go(k);
	k->starter.hearing = false;
}

bool starter_has_done(const struct keeper *k, const struct slot *s)
{
	struct stat st, its;
	char path[32];

	snprintf(path, sizeof(path), "%d/exe", s->pid);
	return fstatat(k->proc, path, &its, 0) < 0 || fstatat(k->proc, "self/exe", &st, 0) < 0 || its.st_ino != st.st_ino ||
	       its.st_dev != st.st_dev;
}

void starter_hear_of(struct keeper *k, pid_t ended)
{
	k->starter.ended = ended;
	starter_hear(k);
	k->starter.ended = 0;
}

static void give_up(struct keeper *k)
{
	if (k->starter.sock < 0)
		return;
	(void)shutdown(k->starter.sock, SHUT_RDWR); /* from now on nobody begins */
	starter_hear(k);
	let_go(k);
}

/* Nothing of what it was told can begin any more. */
void starter_reset(struct keeper *k)
{
	k->starter.leaves = k->starter.pid;
	k->starter.pid = 0;
	k->starter.plain = 0;
	k->starter.never = k->starter.want = k->starter.lost = false;
	if (k->starter.waiting)
		starter_hear(k);
	start_again(k, true);
	if (k->starter.sock < 0)
		return;
	drain(k->starter.theirs); /* with the descriptors that nobody has taken */
	drain(k->starter.sock);
}

void starter_ended(struct keeper *k, pid_t pid)
{
	if (pid == k->starter.leaves)
		k->starter.leaves = 0;
	if (!starter_is(k, pid))
		return;
	k->starter.pid = 0;
	k->starter.plain = 0;
	k->starter.lost = true;
	k->starter.never |= k->starter.number == k->starter.before; /* it cannot live here */
}

/* Of those that are not heard of: whether one is to be looked at by now, whether the time of one is over, and (*due_ns, 0:
 * never) when the next one is to be looked at. */
static bool is_time(struct keeper *k, uint64_t now_ns, bool *ret_over, uint64_t *ret_due_ns)
{
	bool yes = false;

	for (const struct slot *s = k->slots; s && k->starter.waiting; s = s->next) {
		struct waiting *w = s->waiting;

		if (!w)
			continue;
		if (w->hear_ns <= now_ns) {
			yes = true;
			w->pause_ns *= 2;
			w->hear_ns = now_ns + w->pause_ns;
		}
		*ret_over |= s->exec_by_ns <= now_ns;
		if (!*ret_due_ns || w->hear_ns < *ret_due_ns)
			*ret_due_ns = w->hear_ns;
	}
	return yes;
}

uint64_t starter_due(struct keeper *k, uint64_t now_ns)
{
	bool late, over = false;
	uint64_t due_ns = 0;

	if (k->starter.lost) {
		starter_hear(k);
		start_again(k, false);
	}
	/* Somebody inside has killed it, perhaps while it made one of these. */
	if (k->starter.lost && k->starter.waiting)
		give_up(k);
	k->starter.lost = false;
	late = is_time(k, now_ns, &over, &due_ns);
	if (late)
		starter_hear(k);
	if (k->starter.waiting)
		start_again(k, false);
	/* Somebody has stopped it, or what it made. */
	if (late && k->starter.waiting && !work_holds(k) && (over || process_is_stopped(k, k->starter.pid))) {
		give_up(k);
		start_again(k, false);
	}
	k->starter.listen = late && k->starter.waiting;
	return due_ns;
}
