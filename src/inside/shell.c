/* SPDX-License-Identifier: Apache-2.0
 *
 * shell.c - shells that wait for commands
 *
 * How it works: a shell is a command that lives on. The keeper starts it and holds its ends; whoever
 * asked for it gets copies and from then on talks to it without the keeper. A session is kept under
 * its name when its client goes, and lent to one client at a time; who is gone without having given
 * it back has left something running in it, and it is killed. The directory of a session outlives its
 * shell, for the next of its name; who has it as its shell ends gives it back with the directory.
 *
 * A program that resets often wants its shell at once. So in the spare generation one is started like the last that
 * was asked for, and waits; not where a variable would have it run a file of the image before its time.
 *
 * Output goes through fifos that the client makes in a small tmpfs. Inside it is seen read-only, as a
 * mount that is attached nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/bash_module.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

struct shell {
	struct shell *next;
	char *name;	      /* of a session; NULL: a client's own */
	struct client *lent;  /* who has its ends; NULL: nobody */
	uint32_t id;	      /* what he calls it by */
	pid_t ahead;	      /* nobody has asked for it yet: the reaper of its generation; 0: it was asked for */
	pid_t pid;	      /* 0: it has ended, and its name is kept for its directory's sake */
	bool dying, runner;
	uint32_t kind;	      /* 2: bash; what its clients found */
	dev_t pipe_dev;
	ino_t pipe;	      /* by which it gets its texts */
	bool moved;	      /* its directory is of a file tree that was replaced */
	int ends[SHELL_ENDS]; /* ours: the other sides of the shell's */
	char *cwd;	      /* where its last command left it; NULL: not known */
};

/* ---- the directory for fifos ------------------------------------------------------------------ */

static int make_fifos(struct keeper *k, struct err *e)
{
	auto_fd int ro = -1, rw = -1;
	int r;

	rw = inside_tmpfs("67108864", "4096", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, e);
	if (rw < 0)
		return rw;
	/* Cloned where it is attached: of a mount that is attached nowhere only new kernels make one. */
	r = inside_mkdir("fifos", 0755, e);
	if (r == 0 && (r = sys_attach(rw, AT_FDCWD, "fifos")) < 0)
		r = err_sys(e, r, "attach a directory for fifos");
	if (r == 0) {
		ro = sys_clone_tree(AT_FDCWD, "fifos", 0);
		r = ro < 0 ? ro : sys_set_attr(ro, "", MOUNT_ATTR_RDONLY, 0);
		if (r < 0)
			err_sys(e, r, "make the directory for fifos read-only (Linux 5.12 can)");
	}
	if (r < 0)
		return e->code;
	k->fifos = take_fd(&rw);
	k->fifos_ro = take_fd(&ro);
	return 0;
}

/* Mounts are made at home, whose root is the storage. */
static int need_fifos(struct keeper *k, struct err *e)
{
	struct err back;
	int r;

	if (k->fifos >= 0)
		return 0;
	r = reset_go_home(k, e);
	if (r < 0)
		return r;
	r = make_fifos(k, e);
	if (generation_return(k, &back) < 0)
		_exit(1); /* nothing could be started any more */
	return r;
}

/* ---- one shell -------------------------------------------------------------------------------- */

static void close_ends(struct keeper *k, struct shell *s)
{
	reset_close(k, take_fd(&s->ends[SHELL_END_DIR]));
	for (int i = 0; i < SHELL_ENDS; i++)
		close_fd(&s->ends[i]);
}

static void forget(struct keeper *k, struct shell *s)
{
	struct shell **at = &k->shells;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	close_ends(k, s);
	free(s->name);
	free(s->cwd);
	free(s);
}

static struct shell *by_name(struct keeper *k, const char *name)
{
	struct shell *s = k->shells;

	while (s && (!s->name || strcmp(s->name, name) || s->dying))
		s = s->next;
	return s;
}

/* Its shell has ended, and nobody has it. */
static void retire(struct keeper *k, struct shell *s)
{
	s->lent = NULL;
	s->dying = true; /* as long as we look whether there is another of its name */
	if (!s->name || !s->cwd || by_name(k, s->name))
		forget(k, s);
	else
		s->dying = false;
}

/* Where one of the same name stood that is being killed. */
static void inherit(const struct keeper *k, struct shell *s)
{
	const struct shell *x = k->shells;

	while (x && (x == s || !x->dying || !x->cwd || !x->name || strcmp(x->name, s->name)))
		x = x->next;
	if (x)
		s->cwd = strdup(x->cwd);
}

static struct shell *by_id(struct keeper *k, const struct client *c, uint32_t id)
{
	struct shell *s = k->shells;

	while (s && (s->lent != c || s->id != id))
		s = s->next;
	return s;
}

/* One pipe: the shell's end becomes m->fds[@at]. */
static int add_pipe(struct shell *s, struct msg *m, int at, enum shell_end end, bool shell_reads,
		    struct err *e)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	m->fds[at] = fd[shell_reads ? 0 : 1];
	s->ends[end] = fd[shell_reads ? 1 : 0];
	return 0;
}

/* Without it a shell does as much by itself. */
static int open_module(const struct keeper *k)
{
	int fd = bash_module_open();

	return fd >= 0 ? fd : keeper_null(k);
}

/* Fills the message as if the client had sent its descriptors: standard ones, then 7, 8, 9, and a shell's 6. */
static int make_ends(struct keeper *k, struct shell *s, struct msg *m, bool apart, struct err *e)
{
	unsigned n = 3 + ((const struct call *)m->body)->nnumbers;
	int dir = m->nfds ? take_fd(&m->fds[0]) : -1, r = 0;
	struct stat st;

	for (unsigned i = 0; i < n; i++)
		m->fds[i] = -1;
	m->nfds = n;
	if (dir < 0) {
		r = need_fifos(k, e);
		if (r == 0) {
			m->fds[5] = fcntl(k->fifos_ro, F_DUPFD_CLOEXEC, 3);
			s->ends[SHELL_END_DIR] = fcntl(k->fifos, F_DUPFD_CLOEXEC, 3);
		}
	} else {
		m->fds[5] = dir;
		s->ends[SHELL_END_DIR] = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	}
	if (r == 0 && (m->fds[5] < 0 || s->ends[SHELL_END_DIR] < 0))
		r = err_sys(e, errno, "the directory for fifos");
	for (int i = 0; i < 3 && r == 0; i++) {
		m->fds[i] = i ? fcntl(m->fds[0], F_DUPFD_CLOEXEC, 3) : keeper_null(k);
		if (m->fds[i] < 0)
			r = err_sys(e, errno, "standard descriptors");
	}
	if (r == 0)
		r = add_pipe(s, m, 3, SHELL_END_COMMANDS, true, e);
	if (r == 0)
		r = add_pipe(s, m, 4, SHELL_END_RESULTS, false, e);
	if (r == 0 && n > 6 && (m->fds[6] = open_module(k)) < 0)
		r = err_sys(e, errno, "standard descriptors");
	if (r == 0 && fstat(m->fds[3], &st) == 0) {
		s->pipe_dev = st.st_dev;
		s->pipe = st.st_ino;
	}
	if (r < 0 || !s->name)
		return r;
	close_fd(&m->fds[1]);
	close_fd(&m->fds[2]);
	r = add_pipe(s, m, 1, SHELL_END_OUT, false, e);
	if (r == 0 && apart)
		return add_pipe(s, m, 2, SHELL_END_ERR, false, e);
	if (r == 0)
		m->fds[2] = fcntl(m->fds[1], F_DUPFD_CLOEXEC, 3);
	return r == 0 && m->fds[2] < 0 ? err_sys(e, errno, "standard error") : r;
}

static int start(struct keeper *k, struct shell *s, struct client *c, struct msg *m, bool apart,
		 struct err *e)
{
	int r = reset_revive(k, e); /* before we go home: from there nobody returns to a generation that has ended */

	if (r == 0)
		r = make_ends(k, s, m, apart, e);
	if (r == 0)
		r = exec_start(k, c, m, s->cwd, e);
	if (r < 0) {
		close_ends(k, s);
		return r;
	}
	s->pid = exec_pid(k, c, m->head.id);
	s->moved = false;
	return 0;
}

static struct shell *make(struct keeper *k, const char *name, struct err *e)
{
	struct shell *s = calloc(1, sizeof(*s));

	if (s && name)
		s->name = strdup(name);
	if (!s || (name && !s->name)) {
		free(s);
		err_oom(e);
		return NULL;
	}
	for (int i = 0; i < SHELL_ENDS; i++)
		s->ends[i] = -1;
	s->next = k->shells;
	k->shells = s;
	return s;
}

/* ---- ahead of its time ------------------------------------------------------------------------ */

struct ahead {
	int dir; /* for fifos; -1: the keeper makes one */
	size_t len;
	char call[] __attribute__((aligned(8)));
};

/* bash reads the file that BASH_ENV names, a plain sh that of ENV; and it may stand behind an entrypoint. */
static bool runs_a_file(const struct msg *m)
{
	struct pack p = {m->body, m->head.body};
	const struct call *c = m->body;
	const char *first = pack_get_item(&p, c->argv, 0);

	if (!first || strcmp(first, "bash"))
		return true;
	for (uint32_t i = 0; i < c->env.count; i++) {
		const char *v = pack_get_item(&p, c->env, i);

		if (!v || !strncmp(v, "BASH_ENV=", 9) || !strncmp(v, "ENV=", 4))
			return true;
	}
	return false;
}

static bool is_like(const struct keeper *k, const struct msg *m)
{
	return k->ahead && k->ahead->len == m->head.body && !memcmp(k->ahead->call, m->body, k->ahead->len);
}

static bool waits_in_spare(const struct keeper *k)
{
	const struct shell *s = k->shells;

	while (s && s->ahead != k->spare.pid)
		s = s->next;
	return s;
}

/* @m before its descriptors are taken. */
static void remember(struct keeper *k, const struct msg *m)
{
	struct ahead *a;

	if (is_like(k, m) || runs_a_file(m))
		return;
	a = malloc(sizeof(*a) + m->head.body);
	if (!a)
		return; /* the next one is started when it is asked for */
	a->len = m->head.body;
	memcpy(a->call, m->body, a->len);
	a->dir = m->nfds ? fcntl(m->fds[0], F_DUPFD_CLOEXEC, 3) : -1;
	if (k->ahead)
		close_fd(&k->ahead->dir);
	free(k->ahead);
	k->ahead = a;
	k->want_ahead = k->spare.pid && k->spare.news < 0 && !waits_in_spare(k);
}

static struct shell *take_ahead(struct keeper *k, const struct msg *m)
{
	struct shell *s = k->shells;

	while (s && (!s->ahead || s->ahead != k->now.pid || !s->pid || s->dying))
		s = s->next;
	if (!s || !is_like(k, m))
		return NULL;
	s->ahead = 0;
	return s;
}

/* Where @now is the present generation. */
static void stand(struct keeper *k, const struct generation *now)
{
	struct err e;

	k->now = *now;
	if (reset_go_home(k, &e) < 0 || generation_stand(k, &e) < 0)
		_exit(1); /* nothing could be started any more */
}

void shell_ahead(struct keeper *k)
{
	struct generation present = k->now;
	struct msg m = {.head = {.op = OP_SHELL}};
	struct shell *s;
	struct err e;

	k->want_ahead = false;
	if (!k->ahead || !present.pid || !k->spare.pid || k->spare.news >= 0)
		return;
	m.body = k->ahead->call;
	m.head.body = (uint32_t)k->ahead->len;
	if (k->ahead->dir >= 0)
		m.fds[m.nfds++] = fcntl(k->ahead->dir, F_DUPFD_CLOEXEC, 3);
	s = make(k, NULL, &e);
	if (!s)
		return;
	stand(k, &k->spare);
	if (start(k, s, NULL, &m, false, &e) < 0)
		forget(k, s);
	else
		s->ahead = k->spare.pid;
	k->spare = k->now;
	stand(k, &present);
	msg_done(&m);
}

/* ---- what clients ask ------------------------------------------------------------------------- */

static void lend(struct keeper *k, struct shell *s, struct client *c, uint32_t id, bool fresh)
{
	struct msg_head is = {.op = OP_SHELL_IS, .id = id, .arg = fresh ? 1 : s->kind | (s->moved ? 4 : 0)};
	int fds[SHELL_ENDS];
	unsigned n = 0;

	s->lent = c;
	s->id = id;
	exec_assign(k, s->pid, c, id);
	for (int i = 0; i < SHELL_ENDS; i++)
		if (s->ends[i] >= 0)
			fds[n++] = s->ends[i];
	(void)client_tell(c, &is, NULL, 0, fds, n);
	/* All of them are his. But whoever closes the last descriptor of a mount waits for its end: that shall not be the shell
	 * when it is killed, whose end others wait for. */
	for (int i = 0; i < SHELL_ENDS && !s->name; i++)
		if (i != SHELL_END_DIR)
			close_fd(&s->ends[i]);
}

int shell_open(struct keeper *k, struct client *c, struct msg *m, struct err *e)
{
	struct pack p = {m->body, m->head.body};
	const struct call *call = call_open(&p, e);
	const char *name = call ? pack_get_str(&p, call->session) : NULL;
	struct shell *s;
	bool fresh, runner;
	int r = 0;

	if (!call)
		return e->code;
	runner = call->flags & CALL_RUNNER;
	if (call->nnumbers != (runner ? 3 : 4) || call->flags & (CALL_TTY | CALL_MAIN) || (runner && name))
		return err_set(e, ERR_INTERNAL, "a shell that is none");
	s = name ? by_name(k, name) : runner ? NULL : take_ahead(k, m);
	if (s && s->lent && (s->lent != c || s->pid))
		return err_set(e, ERR_BUSY, "session '%s' is in use by another call", name);
	fresh = !s || !s->pid || !name;
	if (!s && (s = make(k, name, e)) && name)
		inherit(k, s);
	if (!s)
		return e->code;
	if (!name && !runner)
		remember(k, m);
	s->runner = runner;
	if (!s->pid)
		r = start(k, s, c, m, call->flags & CALL_APART, e);
	if (r < 0) {
		retire(k, s);
		return r;
	}
	lend(k, s, c, m->head.id, fresh);
	return 0;
}

void shell_back(struct keeper *k, struct client *c, const struct msg *m)
{
	struct shell *s = by_id(k, c, m->head.id);
	size_t len = m->head.body;

	if (!s || !s->name)
		return;
	s->kind = m->head.arg & (2 | 8 | 16);
	s->moved = m->head.arg & 4;
	s->lent = NULL;
	if (len && len < SHELL_CWD_MAX) {
		free(s->cwd);
		s->cwd = strndup(m->body, len);
	}
	if (s->pid)
		exec_assign(k, s->pid, NULL, 0);
	else
		retire(k, s);
}

void shell_kill(struct keeper *k, struct client *c, uint32_t id, const struct shell_kill *what)
{
	struct shell *s = by_id(k, c, id);

	struct msg_head done = {.op = OP_SHELL_KILLED, .id = id};

	if (s && what->shell == SHELL_KILLED)
		s->dying = true; /* its name is free */
	if (s && s->pid && what->shell == SHELL_CONTINUED)
		(void)kill(s->pid, SIGCONT);
	else if (what->shell == SHELL_LEFT)
		tree_kill_left(k, what);
	else if (s && s->pid)
		tree_kill_run(k, s->pid, what);
	(void)client_tell(c, &done, NULL, 0, NULL, 0);
}

void shell_forget(struct keeper *k, const struct client *c)
{
	for (struct shell *s = k->shells, *next; s; s = next) {
		next = s->next;
		if (s->lent != c)
			continue;
		s->lent = NULL;
		s->dying = true;
		if (!s->pid)
			retire(k, s);
	}
}

void shell_ended(struct keeper *k, pid_t pid)
{
	struct shell *s = k->shells;

	while (s && s->pid != pid)
		s = s->next;
	if (!s)
		return;
	s->pid = 0;
	close_ends(k, s);
	if (!s->name || !s->lent || s->dying)
		retire(k, s);
}

bool shell_has_socket(const struct keeper *k)
{
	const struct shell *s = k->shells;

	while (s && !(s->name && s->pid && process_has_socket(k, s->pid)))
		s = s->next;
	return s;
}

int shell_children(const struct keeper *k, pid_t pid)
{
	const struct shell *s = k->shells;

	while (s && s->pid != pid)
		s = s->next;
	if (!s || s->dying)
		return -1;
	if (s->ahead && s->ahead == k->spare.pid)
		return SHELL_OF_SPARE;
	return !s->name && !s->runner; /* the sub-shell that has been forked ahead */
}

void shell_leave(struct keeper *k)
{
	for (struct shell *s = k->shells; s; s = s->next) {
		if (!s->pid || (s->ahead && s->ahead != k->now.pid))
			continue;
		exec_assign(k, s->pid, NULL, 0);
		s->lent = NULL;
		s->dying = true;
		free(s->cwd);
		s->cwd = NULL;
	}
}

void shell_reset(struct keeper *k)
{
	for (struct shell *s = k->shells, *next; s; s = next) {
		next = s->next;
		if (!s->pid)
			forget(k, s);
	}
}

bool shell_waits_ahead(const struct keeper *k, pid_t pid)
{
	const struct shell *s = k->shells;

	while (s && (s->pid != pid || !s->ahead || s->ahead != k->spare.pid))
		s = s->next;
	return s;
}

bool shell_is(const struct keeper *k, pid_t pid)
{
	const struct shell *s = k->shells;

	while (s && s->pid != pid)
		s = s->next;
	return s;
}

void shell_named(struct keeper *k)
{
	for (const struct shell *s = k->shells; s; s = s->next)
		if (s->pid)
			tree_foreground(k, s->pid);
}

bool shell_reads(const struct keeper *k, const struct stat *pipe)
{
	const struct shell *s = k->shells;

	while (s && (!s->pid || s->pipe != pipe->st_ino || s->pipe_dev != pipe->st_dev))
		s = s->next;
	return s;
}

bool shell_program(const struct keeper *k, const struct stat *exe)
{
	char path[32];
	struct stat st;

	for (const struct shell *s = k->shells; s; s = s->next) {
		snprintf(path, sizeof(path), "%d/exe", s->pid);
		if (s->pid && fstatat(k->proc, path, &st, 0) == 0 && st.st_ino == exe->st_ino &&
		    st.st_dev == exe->st_dev)
			return true;
	}
	return false;
}

void shell_moved(struct keeper *k)
{
	for (struct shell *s = k->shells; s; s = s->next)
		s->moved = true;
}
