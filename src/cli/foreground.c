/* SPDX-License-Identifier: Apache-2.0
 *
 * foreground.c - a command in a sandbox, and we in front of it
 *
 * How it works: we wait for the end of the command, pass signals on, and carry bytes where there is a
 * terminal. Signals come through a signalfd, terminals through the same epoll, which wakes the
 * library's wait.
 */
#include "cli/foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/json.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"

int cli_carry(const struct hutch_error *from, struct err *e)
{
	err_set(e, (enum err_code)from->code, "%s", from->message);
	e->sys = from->sys_errno;
	return from->code;
}

void foreground_step(struct foreground *f, const char *name)
{
	if (!f->trace || f->nsteps == STEPS_MAX)
		return;
	f->steps[f->nsteps].name = name;
	clock_gettime(CLOCK_MONOTONIC, &f->steps[f->nsteps++].at);
}

static void print_steps(const struct foreground *f)
{
	for (int i = 1; i < f->nsteps; i++) {
		const struct timespec *a = &f->steps[i - 1].at, *b = &f->steps[i].at;

		fprintf(stderr, "run: %-26s %+8.1f us\n", f->steps[i].name,
			(double)(b->tv_sec - a->tv_sec) * 1e6 +
				(double)(b->tv_nsec - a->tv_nsec) / 1e3);
	}
}

/* ---- what was asked for ------------------------------------------------------------------------ */

static int parse_fds(struct foreground *f, struct err *e)
{
	const char *rest = f->preserve;
	struct str_span s;
	uint64_t fd;

	while (rest && str_next(&rest, ',', &s)) {
		if (!str_u64(s, INT_MAX, &fd) || fd < 3)
			return err_set(e, ERR_INVALID,
				       "--preserve-fd '%s' is not a list of numbers from 3 on",
				       f->preserve);
		if (f->nfds == (int)(sizeof(f->fds) / sizeof(*f->fds)))
			return err_set(e, ERR_LIMIT, "--preserve-fd: more than %d", f->nfds);
		if (fcntl((int)fd, F_GETFD) < 0)
			return err_set(e, ERR_INVALID, "--preserve-fd: %d is not open", (int)fd);
		f->fds[f->nfds++] = (int)fd;
	}
	return 0;
}

static int check_json_fd(struct foreground *f, struct err *e)
{
	char *end;
	long fd;

	if (!f->json || !*f->json)
		return 0;
	fd = strtol(f->json, &end, 10);
	if (*end || fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
		return err_set(e, ERR_INVALID, "--json='%s' is not an open descriptor", f->json);
	return 0;
}

int foreground_check(struct foreground *f, struct err *e)
{
	int r = check_json_fd(f, e);

	if (r == 0)
		r = parse_fds(f, e);
	if (r == 0 && f->tty && f->interactive && !isatty(0))
		r = err_set(e, ERR_INVALID,
			    "standard input is not a terminal; leave -t or -i away");
	return r;
}

void foreground_exec(struct foreground *f, struct hutch_exec_options *ret)
{
	for (int i = 0; i < 3; i++)
		ret->io[i] = (struct hutch_stdio){HUTCH_STDIO_FD, i};
	if (!f->interactive)
		ret->io[0].kind = HUTCH_STDIO_NULL;
	ret->fds = f->fds;
	ret->nfds = (size_t)f->nfds;
	if (f->tty) {
		ret->flags |= HUTCH_EXEC_TTY;
		terminal_size(&ret->rows, &ret->cols);
	}
}

/* ---- signals and terminals -------------------------------------------------------------------- */

static int watch(int epoll, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
}

int foreground_begin(struct foreground *f, struct err *e)
{
	/* Those that are about ourselves. */
	static const int ours[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU};
	sigset_t set;

	memset(&set, 0xff, sizeof(set)); /* sigfillset() leaves out what a C library keeps for itself: musl, 34 */
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		sigdelset(&set, ours[i]);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, &f->before);
	f->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (f->signals < 0 || f->epoll < 0 || watch(f->epoll, f->signals) < 0)
		return err_sys(e, errno, "signalfd");
	return 0;
}

/* Ctrl-Z: the command stops, then we do, and go on together. One with a terminal of its own has job
 * control of its own: there only we stop. */
static void stop_together(struct foreground *f)
{
	sigset_t tstp;

	if (!f->tty)
		(void)hutch_proc_signal(f->proc, SIGSTOP, NULL);
	terminal_close(&f->terminal);
	sigemptyset(&tstp);
	sigaddset(&tstp, SIGTSTP);
	raise(SIGTSTP); /* comes when it is let through */
	sigprocmask(SIG_UNBLOCK, &tstp, NULL);
	sigprocmask(SIG_BLOCK, &tstp, NULL);
	terminal_again(&f->terminal);
	if (!f->tty)
		(void)hutch_proc_signal(f->proc, SIGCONT, NULL);
}

/* The next that has come. nohup's stay ignored: the kernel keeps what is blocked all the same. */
static bool next_signal(struct foreground *f, struct signalfd_siginfo *ret)
{
	struct sigaction sa;

	while (read(f->signals, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret))
		if (sigaction((int)ret->ssi_signo, NULL, &sa) < 0 || sa.sa_handler != SIG_IGN)
			return true;
	return false;
}

static void pass_signals(struct foreground *f)
{
	struct signalfd_siginfo s;

	while (next_signal(f, &s)) {
		int master = hutch_proc_fd(f->proc, 0);

		/* The size of our terminal is that of the command's, which then gets the signal itself. */
		if (s.ssi_signo == SIGWINCH && f->tty) {
			if (master >= 0)
				terminal_resized(master);
		} else if (s.ssi_signo == SIGTSTP) {
			stop_together(f);
		} else {
			if (s.ssi_signo == SIGCONT)
				terminal_again(&f->terminal);
			/* From the keys of the terminal it would be all that runs in front that get it. */
			(void)(s.ssi_code == SI_KERNEL ? hutch_proc_signal_group : hutch_proc_signal)(f->proc, (int)s.ssi_signo, NULL);
		}
	}
}

/* ---- text in a session ------------------------------------------------------------------------ */

static void write_out(void *arg, int which, const char *data, size_t len)
{
	struct foreground *f = arg;

	while (len) {
		ssize_t n = write(which, data, len);

		if (n < 0 && errno == EAGAIN)
			(void)poll(&(struct pollfd){which, POLLOUT, 0}, 1, 1000);
		else if (n < 0 && errno != EINTR) {
			if (errno != EPIPE) /* else nobody reads it any more; the text goes on, as with a shell */
				f->unwritten = errno;
			return;
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
}

void foreground_run(struct foreground *f, struct hutch_run_options *ret)
{
	ret->on_output = write_out;
	ret->arg = f;
	ret->flags |= HUTCH_RUN_APART;
}

/* Ctrl-C and the like end the text, not the session. */
static void stop_run(struct foreground *f)
{
	struct signalfd_siginfo s;

	while (next_signal(f, &s)) {
		if (s.ssi_signo != SIGINT && s.ssi_signo != SIGTERM && s.ssi_signo != SIGHUP &&
		    s.ssi_signo != SIGQUIT)
			continue;
		if (!f->stopped_by)
			(void)hutch_run_stop(f->run, NULL);
		f->stopped_by = (int)s.ssi_signo;
	}
}

/* The end of a sandbox kills what runs in it; that of one which was made for the command alone has another reason. */
static int not_waited(struct foreground *f, int code, const struct hutch_error *why, struct err *e)
{
	if (code != HUTCH_E_DIED || !f->is_guest)
		return cli_carry(why, e);
	f->result.end = HUTCH_END_SIGNAL;
	f->result.signal = SIGKILL;
	f->result.exit_code = 128 + SIGKILL;
	snprintf(f->result.message, sizeof(f->result.message), "%s", why->message);
	return 0;
}

static int wait_for_run(struct foreground *f, struct err *e)
{
	struct hutch_error why;
	int code;

	f->result.size = sizeof(f->result);
	while ((code = hutch_run_wait(f->run, -1, f->signals, &f->result, &why)) == 0)
		stop_run(f);
	if (code < 0)
		return not_waited(f, code, &why, e);
	if (f->unwritten && !*f->result.message)
		snprintf(f->result.message, sizeof(f->result.message), "write its output: %s", strerror(f->unwritten));
	if (f->stopped_by) {
		f->result.end = HUTCH_END_SIGNAL;
		f->result.signal = f->stopped_by;
		f->result.exit_code = 128 + f->stopped_by;
	}
	return 0;
}

/* ---- the end ---------------------------------------------------------------------------------- */

static int wait_for_end(struct foreground *f, struct err *e)
{
	struct hutch_error why;
	int code;

	f->result.size = sizeof(f->result);
	if (f->tty && terminal_open(&f->terminal, f->epoll, f->interactive) < 0)
		return err_sys(e, errno, "raw mode");
	for (;;) {
		/* Until the terminal's other end is there, keys wait in our own. */
		bool early = f->tty && hutch_proc_fd(f->proc, 0) < 0;

		code = hutch_proc_wait(f->proc, early ? 20 : -1, early ? f->signals : f->epoll,
				       &f->result, &why);
		if (code != 0)
			break;
		pass_signals(f);
		if (f->tty && hutch_proc_fd(f->proc, 0) >= 0)
			terminal_carry(&f->terminal, hutch_proc_fd(f->proc, 0));
	}
	if (f->tty && hutch_proc_fd(f->proc, 0) >= 0)
		terminal_drain(hutch_proc_fd(f->proc, 0));
	return code < 0 ? not_waited(f, code, &why, e) : 0;
}

static const char *end_name(int end)
{
	static const char *const names[] = {"exit", "signal", "timeout", "not_run",
					   "shell_died"};

	return end >= 0 && end < (int)(sizeof(names) / sizeof(*names)) ? names[end] : "unknown";
}

static void tell_json(struct foreground *f, int status, const struct err *e)
{
	auto_buf struct buf b = BUF_INIT(1 << 16);
	const struct hutch_result *x = &f->result;
	struct js_out o = {.b = &b};
	int fd = *f->json ? atoi(f->json) : 2;
	char message[480];
	bool ran = !e->code;

	js_open(&o, '{');
	js_key(&o, "end");
	js_str(&o, ran ? end_name(x->end) : "not_run");
	js_key(&o, "exit_code");
	js_int(&o, status);
	js_key(&o, "signal");
	js_int(&o, ran ? x->signal : 0);
	js_key(&o, "user_us");
	js_uint(&o, x->user_us);
	js_key(&o, "system_us");
	js_uint(&o, x->system_us);
	js_key(&o, "maxrss_bytes");
	js_uint(&o, x->maxrss_bytes);
	js_key(&o, "duration_us");
	js_uint(&o, x->duration_us);
	js_key(&o, "message");
	snprintf(message, sizeof(message), "%s", ran ? x->message : e->msg);
	if (!str_utf8(message, strlen(message)))
		for (char *c = message; *c; c++)
			*c = (unsigned char)*c < 128 ? *c : '?';
	js_str(&o, message);
	js_close(&o, '}');
	buf_char(&b, '\n');
	if (!buf_bad(&b))
		(void)!write(fd, b.data, b.len); /* nobody to tell it to */
}

static int verdict(struct foreground *f, const struct err *e)
{
	int status = EXIT_HUTCH;

	if (e->code) {
		cli_fail(e->msg);
	} else {
		status = f->result.exit_code;
		if (f->result.end == HUTCH_END_NOT_RUN)
			cli_fail(f->result.message);
		else if (f->result.end == HUTCH_END_TIMEOUT && !f->quiet)
			fputs("hutch: time is over: the command and all that it started was killed\n", stderr);
		else if (*f->result.message && cli_fail(f->result.message) && !status)
			status = EXIT_HUTCH; /* output was lost */
	}
	if (f->json)
		tell_json(f, status, e);
	return status;
}

int foreground_end(struct foreground *f, int code, struct err *e)
{
	int status;

	if (code == 0)
		(void)(f->run ? wait_for_run(f, e) : wait_for_end(f, e));
	foreground_step(f, "command ended");
	terminal_close(&f->terminal);
	status = verdict(f, e);
	return status;
}

void foreground_done(struct foreground *f)
{
	terminal_close(&f->terminal);
	print_steps(f);
	close_fd(&f->epoll);
	close_fd(&f->signals);
}
