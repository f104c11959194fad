/* SPDX-License-Identifier: Apache-2.0
 *
 * exec_test.c - what the keeper is asked for, and the bytes that are carried meanwhile
 *
 * The keeper is this test: it reads the call from the other end of the box's socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/scratch.h"
#include "box/box.h"
#include "tap.h"
#include "wire/msg.h"

struct made {
	struct home h;
	struct box b;
	struct exec_ask ask;
	struct proc *p;
	int keeper;
	struct msg m; /* the last call that came */
	struct pack pack;
	const struct call *call;
	struct err e;
	int before; /* descriptors */
};

static char room[MSG_BUF] __attribute__((aligned(8)));

static void begin(struct made *m)
{
	int pair[2];

	memset(m, 0, sizeof(*m));
	m->before = scratch_descriptors();
	m->b.spec = spec_new();
	if (!m->b.spec || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	m->h.owner = getpid();
	m->b.home = &m->h;
	m->b.name = m->b.hostname = (char *)(uintptr_t)"ab";
	m->b.ctl = pair[0];
	m->b.pidfd = m->b.userns = m->b.files = -1;
	m->keeper = pair[1];
}

static void made_done(struct made *m)
{
	while (m->b.procs)
		proc_free(m->b.procs);
	msg_done(&m->m);
	close_fd(&m->b.ctl);
	close_fd(&m->keeper);
	spec_free(m->b.spec);
	is_int(scratch_descriptors(), m->before);
}

static void argv(struct made *m, const char *const *v)
{
	m->ask.argv = (char *const *)(uintptr_t)v;
	for (m->ask.argc = 0; v[m->ask.argc];)
		m->ask.argc++;
}

/* Asks for a command, and takes the call as the keeper does. */
static bool ask(struct made *m)
{
	static const char *const sh[] = {"sh", NULL};

	if (!m->ask.argv && !m->b.spec->command.n)
		argv(m, sh);
	msg_done(&m->m);
	if (!ok(box_exec(&m->b, &m->ask, &m->p, &m->e) == 0, "%s", m->e.msg) ||
	    !ok(msg_recv(m->keeper, &m->m, room, sizeof(room), MSG_DONTWAIT) == 1))
		return false;
	m->pack = (struct pack){m->m.body, m->m.head.body};
	m->call = call_open(&m->pack, &m->e);
	return ok(m->call && m->m.head.op == OP_EXEC, "%s", m->e.msg);
}

static void end(struct made *m, struct exited *x)
{
	struct msg_head h = {.op = OP_EXITED, .id = m->m.head.id};

	is_int(msg_send(m->keeper, &h, x, sizeof(*x), NULL, 0), 0);
}

/* ---- the call -------------------------------------------------------------------------------- */

static void the_words_of_the_call_are_those_asked_for(void)
{
	static const char *const words[] = {"printf", "", "a\nb\xff", NULL};
	auto_with(made_done) struct made m;

	begin(&m);
	argv(&m, words);
	m.ask.cwd = "/work";
	m.ask.user = "7:8";
	m.ask.timeout_ms = 1500;
	if (!ask(&m))
		return;
	is_int(m.call->argv.count, 3);
	is_str(pack_get_item(&m.pack, m.call->argv, 0), "printf");
	is_str(pack_get_item(&m.pack, m.call->argv, 1), "");
	is_str(pack_get_item(&m.pack, m.call->argv, 2), "a\nb\xff");
	is_str(pack_get_str(&m.pack, m.call->cwd), "/work");
	is_str(pack_get_str(&m.pack, m.call->user), "7:8");
	is_int(m.call->timeout_ms, 1500);
	is_int(m.call->umask, 022);
	is_int(m.call->flags, CALL_HOME);
}

static void without_words_it_is_the_specs_command(void)
{
	static const char *const set[][2] = {
		{"entrypoint", "/bin/entry"},
		{"command", "one"},
		{"command", "two"},
		{"working_dir", "/w"},
		{"user", "9"},
		{"group_add", "44"},
		{"timeout", "2"},
		{"env", "HOME=/h"},
	};
	auto_with(made_done) struct made m;

	begin(&m);
	for (size_t i = 0; i < sizeof(set) / sizeof(*set); i++)
		ok(spec_set(m.b.spec, set[i][0], set[i][1], &m.e) == 0, "%s", m.e.msg);
	m.ask.main = true;
	if (!ask(&m))
		return;
	is_int(m.call->argv.count, 3);
	is_str(pack_get_item(&m.pack, m.call->argv, 0), "/bin/entry");
	is_str(pack_get_item(&m.pack, m.call->argv, 2), "two");
	is_str(pack_get_str(&m.pack, m.call->cwd), "/w");
	is_str(pack_get_str(&m.pack, m.call->user), "9");
	is_str(pack_get_item(&m.pack, m.call->groups, 0), "44");
	is_int(m.call->timeout_ms, 2000);
	is_int(m.call->flags, CALL_MAIN); /* HOME was given */
}

static void no_command_at_all_is_refused(void)
{
	static const char *const none[] = {NULL};
	auto_with(made_done) struct made m;

	begin(&m);
	is_int(box_exec(&m.b, &m.ask, &m.p, &m.e), ERR_INVALID);
	argv(&m, none);
	is_int(box_exec(&m.b, &m.ask, &m.p, &m.e), ERR_INVALID);
	is_str(m.e.msg, "no command");
	ok(!m.b.procs && !m.p);
}

static void a_hundred_thousand_words_arrive_and_too_many_are_refused(void)
{
	enum { MANY = 100000 };
	static const char *many[MANY + 1];
	auto_with(made_done) struct made m;
	char *large = malloc(MSG_BODY_MAX);

	begin(&m);
	for (int i = 0; i < MANY; i++)
		many[i] = "word";
	argv(&m, many);
	if (ask(&m)) {
		is_int(m.call->argv.count, MANY);
		is_str(pack_get_item(&m.pack, m.call->argv, MANY - 1), "word");
	}
	if (!ok(large))
		return;
	memset(large, 'x', MSG_BODY_MAX - 1);
	large[MSG_BODY_MAX - 1] = '\0';
	many[1] = large;
	is_int(box_exec(&m.b, &m.ask, &m.p, &m.e), ERR_LIMIT);
	free(large);
}

static void each_call_has_a_number_of_its_own(void)
{
	auto_with(made_done) struct made m;
	uint32_t first;

	begin(&m);
	if (!ask(&m))
		return;
	first = m.m.head.id;
	if (ask(&m))
		ok(m.m.head.id != first && m.m.head.id && first);
}

static void a_sandbox_that_is_gone_is_told(void)
{
	static const char *const sh[] = {"sh", NULL};
	auto_with(made_done) struct made m;

	begin(&m);
	close_fd(&m.keeper);
	argv(&m, sh);
	is_int(box_exec(&m.b, &m.ask, &m.p, &m.e), ERR_DIED);
	ok(!m.b.procs);
}

/* ---- standard descriptors -------------------------------------------------------------------- */

static void by_default_they_are_dev_null(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	if (!ask(&m))
		return;
	is_int(m.m.nfds, 0);
	is_int(m.call->nulls, 7);
}

static void pipes_are_made_where_asked_with_our_ends_close_on_exec(void)
{
	auto_with(made_done) struct made m;
	char text[8] = "";

	begin(&m);
	for (int i = 0; i < 3; i++)
		m.ask.io[i].kind = STDIO_PIPE;
	if (!ask(&m) || !is_int(m.m.nfds, 3))
		return;
	ok(write(m.p->io[0], "in", 2) == 2 && read(m.m.fds[0], text, 7) == 2 &&
	   !strcmp(text, "in"));
	ok(write(m.m.fds[1], "out", 3) == 3 && read(m.p->io[1], text, 7) == 3 &&
	   !strcmp(text, "out"));
	ok(write(m.m.fds[2], "err", 3) == 3 && read(m.p->io[2], text, 7) == 3 &&
	   !strcmp(text, "err"));
	for (int i = 0; i < 3; i++) {
		struct stat st;

		is_int(fcntl(m.p->io[i], F_GETFD), FD_CLOEXEC);
		ok(fstat(m.m.fds[i], &st) == 0 && (st.st_mode & 0666) == 0666,
		   "/dev/stdout is an open");
	}
}

static void pipes_and_sockets_of_the_caller_go_as_they_are(void)
{
	auto_with(made_done) struct made m;
	struct stat mine, got;

	begin(&m);
	m.ask.io[1].kind = STDIO_FD;
	m.ask.io[1].fd = m.b.ctl;
	if (!ask(&m) || !is_int(m.m.nfds, 1))
		return;
	is_int(m.call->nulls, 1 << 0 | 1 << 2);
	ok(fstat(m.b.ctl, &mine) == 0 && fstat(m.m.fds[0], &got) == 0 && mine.st_ino == got.st_ino);
}

static void a_descriptor_that_is_not_open_is_refused(void)
{
	static const char *const sh[] = {"sh", NULL};
	auto_with(made_done) struct made m;

	begin(&m);
	argv(&m, sh);
	m.ask.io[0].kind = STDIO_PIPE; /* made before the failure: closed again */
	m.ask.io[2].kind = STDIO_FD;
	m.ask.io[2].fd = 1 << 20;
	ok(box_exec(&m.b, &m.ask, &m.p, &m.e) < 0);
	is_int(m.e.sys, EBADF);
	ok(!m.b.procs);
}

static void a_kind_that_there_is_not_is_refused(void)
{
	static const char *const sh[] = {"sh", NULL};
	static const int kinds[][2] = {{0, 99}, {2, 99}, {1, -1}, {0, STDIO_SAME}}; /* as whom could the first be */

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		auto_with(made_done) struct made m;

		begin(&m);
		argv(&m, sh);
		m.ask.io[kinds[i][0]].kind = (enum stdio_kind)kinds[i][1];
		is_int(box_exec(&m.b, &m.ask, &m.p, &m.e), ERR_INVALID);
		ok(!m.b.procs);
	}
}

/* A file as standard output, which the command must not get hold of. */
static void files_are_carried(void)
{
	auto_with(made_done) struct made m;
	struct exited x = {.status = 0};
	struct scratch s;
	struct stat st;
	int fd;

	begin(&m);
	if (!ok(scratch_open(&s)))
		return;
	fd = openat(s.fd, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	m.ask.io[1].kind = m.ask.io[2].kind = STDIO_FD; /* both to one file, in order */
	m.ask.io[1].fd = m.ask.io[2].fd = fd;
	if (ask(&m) && is_int(m.m.nfds, 2)) {
		ok(fstat(m.m.fds[0], &st) == 0 && S_ISFIFO(st.st_mode));
		ok(write(m.m.fds[0], "one\n", 4) == 4);
		is_int(proc_wait(m.p, 50, -1, &m.e), 0);
		is_str(scratch_read(s.fd, "out"), "one\n");
		ok(write(m.m.fds[1], "two\n", 4) == 4);
		end(&m, &x);
		is_int(proc_wait(m.p, 1000, -1, &m.e), 1);
		is_str(scratch_read(s.fd, "out"), "one\ntwo\n"); /* also what came last */
		ok(fcntl(fd, F_GETFD) >= 0, "the caller's descriptor stays his");
	}
	close(fd);
	scratch_close(&s);
}

/* Reads the command's input until it ends, while it is carried; it must be @text. */
static size_t read_all(struct made *m, const char *text, size_t size)
{
	size_t got = 0;
	char buf[8192];
	ssize_t n;

	is_int(fcntl(m->m.fds[0], F_SETFL, O_NONBLOCK), 0);
	do {
		is_int(proc_wait(m->p, 0, -1, &m->e), 0); /* carries what fits */
		n = read(m->m.fds[0], buf, sizeof(buf));
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0 || got + (size_t)n > size || memcmp(buf, text + got, (size_t)n))
			return got;
		got += (size_t)n;
	} while (n != 0);
	return got;
}

static void a_file_as_input_is_carried_to_its_end(void)
{
	auto_with(made_done) struct made m;
	size_t got = 0, size = 200000;
	char *text = malloc(size + 1);
	struct scratch s;
	int fd;

	begin(&m);
	if (!ok(text) || !ok(scratch_open(&s)))
		return;
	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 23);
	text[size] = '\0';
	scratch_file(&s, "in", 0600, text);
	fd = openat(s.fd, "in", O_RDONLY | O_CLOEXEC);
	m.ask.io[0].kind = STDIO_FD;
	m.ask.io[0].fd = fd;
	if (ask(&m))
		got = read_all(&m, text, size);
	is_int(got, size);
	close(fd);
	free(text);
	scratch_close(&s);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void waiting_ends_with_the_command_the_time_or_a_wake(void)
{
	auto_with(made_done) struct made m;
	struct exited x = {.how = EXITED_TIMEOUT, .status = SIGKILL, .user_us = 5};
	auto_fd int wake_r = -1, wake_w = -1;
	int pipefd[2];

	begin(&m);
	if (!ask(&m) || pipe2(pipefd, O_CLOEXEC) < 0)
		return;
	wake_r = pipefd[0];
	wake_w = pipefd[1];
	is_int(proc_wait(m.p, 0, -1, &m.e), 0);
	is_int(proc_wait(m.p, 20, wake_r, &m.e), 0);
	ok(write(wake_w, "x", 1) == 1);
	is_int(proc_wait(m.p, -1, wake_r, &m.e), 0);
	end(&m, &x);
	is_int(proc_wait(m.p, -1, -1, &m.e), 1);
	is_int(m.p->end.how, EXITED_TIMEOUT);
	is_int(m.p->end.user_us, 5);
	is_int(proc_wait(m.p, 0, -1, &m.e), 1);
}

static void the_end_of_the_sandbox_ends_the_wait(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	if (!ask(&m))
		return;
	close_fd(&m.keeper);
	is_int(proc_wait(m.p, -1, -1, &m.e), ERR_DIED);
	is_int(proc_wait(m.p, -1, -1, &m.e), ERR_DIED);
}

static void a_start_that_failed_is_told_by_the_wait(void)
{
	struct err why = {.code = ERR_NOT_FOUND, .msg = "it"};
	struct msg_head h = {.op = OP_FAILED};
	auto_with(made_done) struct made m;

	begin(&m);
	if (!ask(&m))
		return;
	is_int(msg_send(m.keeper, &h, &why, sizeof(why), NULL, 0), 0);
	close_fd(&m.keeper);
	is_int(proc_wait(m.p, -1, -1, &m.e), ERR_NOT_FOUND);
	is_str(m.e.msg, "start 'ab': it");
}

static void signals_are_asked_for_by_number(void)
{
	auto_with(made_done) struct made m;
	struct exited x = {0};
	uint32_t id;

	begin(&m);
	if (!ask(&m))
		return;
	id = m.m.head.id;
	is_int(proc_signal(m.p, SIGTERM, false, &m.e), 0);
	msg_done(&m.m);
	is_int(msg_recv(m.keeper, &m.m, room, sizeof(room), MSG_DONTWAIT), 1);
	ok(m.m.head.op == OP_SIGNAL && m.m.head.id == id && m.m.head.arg == SIGTERM);
	is_int(proc_signal(m.p, 65, false, &m.e), ERR_INVALID);
	is_int(proc_signal(m.p, -1, false, &m.e), ERR_INVALID);
	end(&m, &x);
	is_int(proc_wait(m.p, -1, -1, &m.e), 1);
	is_int(proc_signal(m.p, SIGTERM, false, &m.e), 0);
	is_int(msg_recv(m.keeper, &m.m, room, sizeof(room), MSG_DONTWAIT), -EAGAIN);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(the_words_of_the_call_are_those_asked_for),
		TAP_TEST(without_words_it_is_the_specs_command),
		TAP_TEST(no_command_at_all_is_refused),
		TAP_TEST(a_hundred_thousand_words_arrive_and_too_many_are_refused),
		TAP_TEST(each_call_has_a_number_of_its_own),
		TAP_TEST(a_sandbox_that_is_gone_is_told),
		TAP_TEST(by_default_they_are_dev_null),
		TAP_TEST(pipes_are_made_where_asked_with_our_ends_close_on_exec),
		TAP_TEST(pipes_and_sockets_of_the_caller_go_as_they_are),
		TAP_TEST(a_descriptor_that_is_not_open_is_refused),
		TAP_TEST(a_kind_that_there_is_not_is_refused),
		TAP_TEST(files_are_carried),
		TAP_TEST(a_file_as_input_is_carried_to_its_end),
		TAP_TEST(waiting_ends_with_the_command_the_time_or_a_wake),
		TAP_TEST(the_end_of_the_sandbox_ends_the_wait),
		TAP_TEST(a_start_that_failed_is_told_by_the_wait),
		TAP_TEST(signals_are_asked_for_by_number),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
