/* SPDX-License-Identifier: Apache-2.0
 *
 * exec.c - commands: start, wait, signal
 *
 * How it works: a command gets three descriptors. Pipes, sockets and terminals go as they are.
 * Regular files and block devices do not: through /proc/self/fd the inside could open them anew
 * with more rights, so a pipe goes instead and this process carries the bytes while it waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "box/op.h"
#include "sys/proc.h"
#include "wire/draft.h"
#include "wire/msg.h"

enum { CALL_ROOM = 1024 }; /* on the stack, for a call of usual size */

#define PIPEFS 0x50495045 /* linux/magic.h, PIPEFS_MAGIC */

struct ends {
	int child[3]; /* what the command gets; -1: /dev/null */
	bool own[3];  /* ours to close */
};

static void ends_done(struct ends *n)
{
	for (int i = 0; i < 3; i++)
		if (n->own[i])
			close_fd(&n->child[i]);
}

/* A pipe with one end for the command. Both modes are open: the inside may run as anybody, and
 * /dev/stdout is an open of it. */
static int pipe_end(struct ends *n, int i, int *ret_ours, struct err *e)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	(void)fchmod(fd[0], 0666);
	n->child[i] = fd[i == 0 ? 0 : 1];
	n->own[i] = true;
	*ret_ours = fd[i == 0 ? 1 : 0];
	return 0;
}

static int given_end(struct ends *n, struct proc *p, int i, int fd, struct err *e)
{
	struct relay *r = &p->relays[i];
	struct statfs fs;
	struct stat st;
	int ours, code;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "standard descriptor %d", i);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID,
			       "standard descriptor %d is a directory: it would lead out of the sandbox", i);
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
		code = pipe_end(n, i, &ours, e);
		if (code < 0)
			return code;
		*r = i == 0 ? (struct relay){.from = fd, .to = ours, .own_to = true} :
			      (struct relay){.from = ours, .to = fd, .own_from = true};
		(void)fcntl(ours, F_SETFL, O_NONBLOCK);
		return 0;
	}
	if (S_ISFIFO(st.st_mode) && st.st_uid == geteuid() && fstatfs(fd, &fs) == 0 &&
	    fs.f_type == PIPEFS)
		(void)fchmod(fd, st.st_mode | 0666); /* as above */
	n->child[i] = fd;
	return 0;
}

static int make_ends(struct ends *n, struct proc *p, const struct exec_ask *ask, struct err *e)
{
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		if (ask->io[i].kind == STDIO_SAME && i)
			n->child[i] = n->child[i - 1];
		else if (ask->io[i].kind == STDIO_PIPE)
			r = pipe_end(n, i, &p->io[i], e);
		else if (ask->io[i].kind == STDIO_FD)
			r = given_end(n, p, i, ask->io[i].fd, e);
		else if (ask->io[i].kind != STDIO_NULL)
			r = err_set(e, ERR_INVALID, "standard descriptor %d: %d is no kind that it can have (enum hutch_stdio_kind)", i,
				    (int)ask->io[i].kind);
	}
	return r;
}

/* ---- the call --------------------------------------------------------------------------------- */

static int pack_argv(struct buf *blob, struct call *c, const struct box *b,
		     const struct exec_ask *ask, struct err *e)
{
	const struct spec *s = b->spec;
	size_t n = ask->argv ? ask->argc : s->entrypoint.n + s->command.n;
	auto_free char **v = NULL;

	if (!n)
		return err_set(e, ERR_INVALID, "no command");
	if (!ask->argv && !(v = calloc(n, sizeof(*v))))
		return err_oom(e);
	for (size_t i = 0; v && i < n; i++)
		v[i] = i < s->entrypoint.n ? s->entrypoint.v[i] : s->command.v[i - s->entrypoint.n];
	c->argv = pack_strs(blob, v ? v : ask->argv, n);
	return 0;
}

int exec_pack(struct buf *blob, const struct box *b, const struct exec_ask *ask, struct err *e)
{
	const struct spec *s = b->spec;
	struct call c = {.umask = 022, .timeout_ms = ask->timeout_ms, .rows = ask->rows,
			 .cols = ask->cols, .keep = ask->keep};
	/* Root is nobody whom the image's files would have to be asked about. */
	const char *user = ask->user ? ask->user : s->user;
	bool home_missing;
	auto_free char **env = NULL;
	size_t nenv = 0;
	int r;

	if (!c.timeout_ms && ask->main)
		c.timeout_ms = s->timeout_ms;
	c.flags = (ask->tty ? CALL_TTY : 0) | (ask->main ? CALL_MAIN : 0) |
		  (ask->or_sh ? CALL_OR_SH : 0);
	buf_add(blob, &c, sizeof(c));
	r = pack_argv(blob, &c, b, ask, e);
	if (r == 0)
		r = env_build(b, ask, &env, &nenv, &home_missing, e);
	if (r == 0) {
		c.env = pack_strs(blob, env, nenv);
		c.flags |= home_missing ? CALL_HOME : 0;
		c.cwd = pack_str(blob, ask->cwd ? ask->cwd : s->working_dir ? s->working_dir : "/");
		c.user = pack_str(blob, user && strcmp(user, "0") ? user : NULL);
		c.groups = pack_strs(blob, s->group_add.v, s->group_add.n);
		c.numbers = pack_bytes(blob, ask->fds, ask->nfds * sizeof(*ask->fds));
		c.nnumbers = (uint32_t)ask->nfds;
		c.job = pack_str(blob, ask->job);
	}
	if (r == 0 && buf_bad(blob))
		r = err_set(e, ERR_LIMIT, "the command and its environment are over %d bytes",
			    MSG_BODY_MAX);
	if (r == 0)
		memcpy(blob->data, &c, sizeof(c));
	return r;
}

static int check_fds(const struct exec_ask *ask, struct err *e)
{
	if (ask->nfds > CALL_FDS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d descriptors to pass on", CALL_FDS_MAX);
	for (size_t i = 0; i < ask->nfds; i++) {
		struct stat st;

		if (ask->fds[i] < 3 || fstat(ask->fds[i], &st) < 0)
			return err_set(e, ERR_INVALID, "%d is not an open descriptor from 3 on",
				       ask->fds[i]);
		if (S_ISDIR(st.st_mode))
			return err_set(e, ERR_INVALID,
				       "descriptor %d is a directory: it would lead out of the sandbox; "
				       "mount it as a volume",
				       ask->fds[i]);
	}
	return 0;
}

static int send_call(struct box *b, struct proc *p, const struct exec_ask *ask, struct err *e)
{
	auto_buf struct buf blob = BUF_INIT(MSG_BODY_MAX);
	struct msg_head head = {.op = OP_EXEC, .id = p->id};
	auto_with(ends_done) struct ends n = {.child = {-1, -1, -1}};
	int fds[3 + CALL_FDS_MAX];
	_Alignas(8) char room[CALL_ROOM]; /* it begins with a struct call */
	unsigned nfds = 0;
	int r = check_fds(ask, e);

	buf_lend(&blob, room, sizeof(room));
	if (r == 0)
		r = exec_pack(&blob, b, ask, e);
	if (r == 0 && !ask->tty)
		r = make_ends(&n, p, ask, e);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < 3; i++)
		if (n.child[i] >= 0)
			fds[nfds++] = n.child[i];
		else
			((struct call *)blob.data)->nulls |= 1u << i;
	for (size_t i = 0; i < ask->nfds; i++)
		fds[nfds++] = ask->fds[i];
	r = box_ask(b, &head, blob.data, blob.len, fds, nfds, e);
	return r < 0 && b->why.code ? err_wrap(e, "start '%s'", b->name) : r;
}

int box_exec(struct box *b, const struct exec_ask *ask, struct proc **ret, struct err *e)
{
	struct proc *p;
	int r = home_check_owner(b->home, e);

	if (r == 0)
		r = op_check(b, false, e);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_oom(e);
	p->box = b;
	p->id = ++b->next_id;
	p->pty = -1;
	p->wants_pty = ask->tty;
	for (int i = 0; i < 3; i++) {
		p->io[i] = -1;
		p->relays[i].from = p->relays[i].to = -1;
	}
	p->next = b->procs;
	b->procs = p;
	r = send_call(b, p, ask, e);
	if (r < 0) {
		proc_free(p);
		return r;
	}
	b->spent |= ask->main && !b->shared;
	*ret = p;
	return 0;
}

/* ---- carrying bytes --------------------------------------------------------------------------- */

static void relay_close(struct relay *r)
{
	if (r->own_from)
		close_fd(&r->from);
	if (r->own_to)
		close_fd(&r->to);
	r->from = r->to = -1;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = sys_write_quiet(fd, data, len);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* From the pipe of a command to a file. Return: bytes; 0 at the end, -EAGAIN nothing there. */
static ssize_t relay_out(struct proc *p, int i)
{
	struct relay *r = &p->relays[i];
	char buf[12288];
	ssize_t n = read(r->from, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n > 0) {
		int e = write_all(r->to, buf, (size_t)n);

		if (e < 0) { /* disk full: the command gets SIGPIPE, where it still runs */
			p->lost = -e;
			n = 0;
		}
	}
	if (n == 0)
		relay_close(r);
	return n;
}

/* From a file to the pipe of a command, as much as there is room for. */
static void relay_in(struct relay *r)
{
	char buf[4096]; /* a pipe that is writable takes PIPE_BUF bytes whole */
	ssize_t n = read(r->from, buf, sizeof(buf)), w = 0;

	if (n > 0)
		w = sys_write_quiet(r->to, buf, (size_t)n);
	if (n <= 0 || (w < 0 && w != -EAGAIN && w != -EINTR)) {
		relay_close(r);
		return;
	}
	if (w < n) /* what did not fit is read again */
		(void)lseek(r->from, (off_t)((w < 0 ? 0 : w) - n), SEEK_CUR);
}

/* What is still in the pipes when the command has ended: they hold 64 KiB, a MiB where root made
 * them larger. More comes from others that write on, for whom nobody waits. */
static void drain(struct proc *p)
{
	for (int i = 1; i < 3; i++)
		for (int k = 0; k < 90 && p->relays[i].from >= 0; k++)
			if (relay_out(p, i) <= 0)
				break;
}

/* One round. *woken: @wake_fd is readable. */
static int wait_once(struct proc *p, int timeout_ms, int wake_fd, bool *woken, struct err *e)
{
	struct pollfd f[5] = {{p->box->ctl, POLLIN, 0}, {wake_fd, POLLIN, 0}};

	for (int i = 0; i < 3; i++)
		f[i + 2] = (struct pollfd){i ? p->relays[i].from : p->relays[i].to,
					   i ? POLLIN : POLLOUT, 0};
	if (poll(f, 5, timeout_ms) < 0)
		return errno == EINTR ? 0 : err_sys(e, errno, "poll");
	if (f[2].revents & (POLLERR | POLLHUP))
		relay_close(&p->relays[0]);
	else if (f[2].revents)
		relay_in(&p->relays[0]);
	for (int i = 1; i < 3; i++)
		if (f[i + 2].revents)
			(void)relay_out(p, i);
	*woken = f[1].revents;
	return f[0].revents ? box_talk(p->box, 0, e) : 0;
}

int proc_wait(struct proc *p, int timeout_ms, int wake_fd, struct err *e)
{
	uint64_t end = sys_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u;
	int r = home_check_owner(p->box->home, e), left = timeout_ms;
	bool woken = false;

	while (r >= 0 && !p->done && !woken) {
		uint64_t now;

		if (p->box->dead && !p->box->why.code)
			return box_talk(p->box, 0, e);
		r = p->box->why.code ? -1 : wait_once(p, left, wake_fd, &woken, e);
		if (p->box->why.code) {
			(void)box_gone(p->box, e);
			return err_wrap(e, "start '%s'", p->box->name);
		}
		now = sys_now_ns();
		if (timeout_ms >= 0 && now >= end)
			break;
		if (timeout_ms >= 0)
			left = (int)((end - now + 999999) / 1000000);
	}
	if (!p->done)
		return r < 0 ? r : 0;
	drain(p);
	return 1;
}

int proc_signal(struct proc *p, int sig, bool group, struct err *e)
{
	struct msg_head head = {.op = OP_SIGNAL, .id = p->id, .arg = (uint32_t)sig | (group ? SIGNAL_GROUP : 0)};
	int r;

	r = home_check_owner(p->box->home, e);
	if (r < 0)
		return r;
	if (sig < 0 || sig > 64)
		return err_set(e, ERR_INVALID, "%d is not a signal", sig);
	if (p->done)
		return 0;
	return box_ask(p->box, &head, NULL, 0, NULL, 0, e);
}

int proc_exit_code(const struct exited *x)
{
	if (x->how == EXITED_FAULT)
		return x->e.code == ERR_NO_COMMAND ? 127 : x->e.code == ERR_CANNOT_EXEC ? 126 : 125;
	if (x->how == EXITED_TIMEOUT)
		return 124;
	return WIFSIGNALED(x->status) ? 128 + WTERMSIG(x->status) : WEXITSTATUS(x->status);
}

void proc_free(struct proc *p)
{
	struct proc **at;

	if (!p)
		return;
	for (at = &p->box->procs; *at && *at != p;)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	for (int i = 0; i < 3; i++) {
		relay_close(&p->relays[i]);
		close_fd(&p->io[i]);
	}
	close_fd(&p->pty);
	free(p);
}
