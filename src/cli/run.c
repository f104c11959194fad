/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - hutch run: one sandbox, one command, gone afterwards
 *
 * How it works: options become fields of a spec; the sandbox is started and the command asked for
 * at once; then we wait, pass signals on, and carry bytes where there is a terminal. Signals come
 * through a signalfd, terminals through the same epoll, which wakes the library's wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/opt.h"
#include "cli/terminal.h"

enum { STEPS_MAX = 12 };

struct run {
	const char *cidfile, *json, *preserve;
	int fds[64], nfds; /* of --preserve-fd */
	bool quiet, help, detach;
	bool tty, interactive;
	int stop_signal;
	struct opt_rest rest;
	struct hutch *hutch;
	struct hutch_spec *spec;
	struct hutch_box *box;
	struct hutch_proc *proc;
	struct hutch_result result;
	struct terminal terminal;
	int epoll, signals;
	sigset_t before;
	bool trace; /* HUTCH_TRACE=1: the time of each step is printed at the end */
	struct {
		const char *name;
		struct timespec at;
	} steps[STEPS_MAX];
	int nsteps;
};

static void step(struct run *r, const char *name)
{
	if (!r->trace || r->nsteps == STEPS_MAX)
		return;
	r->steps[r->nsteps].name = name;
	clock_gettime(CLOCK_MONOTONIC, &r->steps[r->nsteps++].at);
}

static void print_steps(const struct run *r)
{
	for (int i = 1; i < r->nsteps; i++) {
		const struct timespec *a = &r->steps[i - 1].at, *b = &r->steps[i].at;

		fprintf(stderr, "run: %-26s %+8.1f us\n", r->steps[i].name,
			(double)(b->tv_sec - a->tv_sec) * 1e6 +
				(double)(b->tv_nsec - a->tv_nsec) / 1e3);
	}
}

static int carry(const struct hutch_error *from, struct err *e)
{
	err_set(e, (enum err_code)from->code, "%s", from->message);
	e->sys = from->sys_errno;
	return from->code;
}

/* ---- options ---------------------------------------------------------------------------------- */

static int parse(struct run *r, char **argv, struct err *e)
{
	const struct opt own[] = {
		{.name = "cidfile", .text = &r->cidfile, .value = "FILE",
		 .help = "write the sandbox's name to a file, which must not exist"},
		{.name = "json", .maybe = &r->json, .value = "FD",
		 .help = "tell how it ended as one line of JSON (default: last line on stderr)"},
		{.name = "preserve-fd", .text = &r->preserve, .value = "FD[,FD...]",
		 .help = "descriptors that the command gets too, under the same numbers"},
		{.name = "quiet", .letter = 'q', .on = &r->quiet, .help = "no remarks on stderr"},
		{.name = "detach", .letter = 'd', .on = &r->detach},
		{.name = "rm", .help = "accepted; nothing stays in the foreground"},
		{.name = "pull", .value = "WHEN", .help = "accepted; there are no images yet"},
		{.name = "sig-proxy", .help = NULL},
		{.name = "help", .on = &r->help, .help = "this"},
		{0},
	};
	struct opt_fields fields = {.set = opt_set_spec, .ctx = r->spec};
	auto_buf struct buf text = BUF_INIT(1 << 20);
	int code;

	fields.n = hutch_fields(&fields.v);
	code = opt_parse(argv + 1, own, &fields, &r->rest, e);
	if (code == 0 && r->detach)
		return err_set(e, ERR_UNSUPPORTED, "--detach: not in this version yet");
	if (code < 0 || !r->help)
		return code;
	buf_str(&text, "usage: hutch run [OPTION...] IMAGE [COMMAND [ARG...]]\n"
		       "       hutch run [OPTION...] --rootfs DIR [--] COMMAND [ARG...]\n"
		       "       hutch run [OPTION...] --host [--] COMMAND [ARG...]\n"
		       "       hutch run [OPTION...] -- COMMAND [ARG...]     (as with --host)\n\n");
	opt_help(&text, own, &fields, 80);
	if (text.data)
		fputs(text.data, stdout);
	return 0;
}

static bool is_set(struct run *r, const char *field)
{
	auto_free char *text = NULL;

	return hutch_spec_get(r->spec, field, &text, NULL) == 0 && *text &&
	       strcmp(text, "false") && strcmp(text, "[]");
}

static int set(struct run *r, const char *field, const char *text, struct err *e)
{
	struct hutch_error why;

	return hutch_spec_set(r->spec, field, text, &why) < 0 ? carry(&why, e) : 0;
}

/* What the words behind the options are: an image first, unless a root was named otherwise. */
static int words(struct run *r, struct err *e)
{
	char **w = r->rest.words;
	int code = 0;

	if (!is_set(r, "rootfs") && !is_set(r, "host")) {
		if (r->rest.dashes)
			code = set(r, "host", "true", e);
		else if (*w)
			code = set(r, "image", *w++, e);
		else
			return err_set(e, ERR_INVALID, "no image and no command (see `hutch run "
						       "--help`)");
	}
	for (; code == 0 && *w; w++)
		code = set(r, "command", *w, e);
	if (code == 0 && !is_set(r, "image") && !is_set(r, "command") && !is_set(r, "entrypoint"))
		return err_set(e, ERR_INVALID, "no command was given");
	r->tty = is_set(r, "tty");
	r->interactive = is_set(r, "interactive");
	if (code == 0 && r->tty && r->interactive && !isatty(0))
		return err_set(e, ERR_INVALID,
			       "standard input is not a terminal; leave -t or -i away");
	return code;
}

static int write_cidfile(struct run *r, struct err *e)
{
	const char *name = hutch_box_name(r->box);
	auto_fd int fd = -1;

	if (!r->cidfile)
		return 0;
	fd = open(r->cidfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_sys(e, errno, "cidfile '%s'", r->cidfile);
	if (write(fd, name, strlen(name)) < 0)
		return err_sys(e, errno, "write '%s'", r->cidfile);
	return 0;
}

/* ---- signals and terminals -------------------------------------------------------------------- */

static int watch(int epoll, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int catch_signals(struct run *r, struct err *e)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1,
				     SIGUSR2, SIGALRM, SIGWINCH, SIGCONT};
	struct sigaction sa;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		if (sigaction(caught[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
			sigaddset(&set, caught[i]); /* nohup's stay ignored */
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, &r->before);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->signals < 0 || r->epoll < 0 || watch(r->epoll, r->signals) < 0)
		return err_sys(e, errno, "signalfd");
	return 0;
}

static void pass_signals(struct run *r)
{
	struct signalfd_siginfo s;

	while (read(r->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		int master = hutch_proc_fd(r->proc, 0);

		if (s.ssi_signo == SIGWINCH) {
			if (r->tty && master >= 0)
				terminal_resized(master);
		} else if (s.ssi_signo != SIGCONT) {
			(void)hutch_proc_signal(r->proc, (int)s.ssi_signo, NULL);
		}
	}
}

/* ---- the command ------------------------------------------------------------------------------ */

static int start(struct run *r, struct err *e)
{
	struct hutch_open_options open_opts = {.size = sizeof(open_opts),
					       .flags = HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE,
					       .like = r->spec};
	struct hutch_start_options start_opts = {.size = sizeof(start_opts),
						 .flags = HUTCH_START_NOWAIT};
	struct hutch_exec_options exec = {.size = sizeof(exec), .flags = HUTCH_EXEC_MAIN};
	struct hutch_error why;

	if (hutch_open(&open_opts, &r->hutch, &why) < 0)
		return carry(&why, e);
	step(r, "hutch opened");
	if (hutch_box_start(r->hutch, r->spec, &start_opts, &r->box, &why) < 0)
		return carry(&why, e);
	step(r, "start asked for");
	if (*hutch_box_remark(r->box) && !r->quiet)
		fprintf(stderr, "hutch: %s\n", hutch_box_remark(r->box));
	if (write_cidfile(r, e) < 0)
		return e->code;
	for (int i = 0; i < 3; i++)
		exec.io[i] = (struct hutch_stdio){HUTCH_STDIO_FD, i};
	if (!r->interactive)
		exec.io[0].kind = HUTCH_STDIO_NULL;
	exec.fds = r->fds;
	exec.nfds = (size_t)r->nfds;
	if (r->tty) {
		exec.flags |= HUTCH_EXEC_TTY;
		terminal_size(&exec.rows, &exec.cols);
	}
	if (hutch_box_exec(r->box, &exec, &r->proc, &why) < 0)
		return carry(&why, e);
	return 0;
}

static int wait_for_end(struct run *r, struct err *e)
{
	struct hutch_error why;
	int code;

	r->result.size = sizeof(r->result);
	if (r->tty && terminal_open(&r->terminal, r->epoll, r->interactive) < 0)
		return err_sys(e, errno, "raw mode");
	for (;;) {
		/* Until the terminal's other end is there, keys wait in our own. */
		bool early = r->tty && hutch_proc_fd(r->proc, 0) < 0;

		code = hutch_proc_wait(r->proc, early ? 20 : -1, early ? r->signals : r->epoll,
				       &r->result, &why);
		if (code != 0)
			break;
		pass_signals(r);
		if (r->tty && hutch_proc_fd(r->proc, 0) >= 0)
			terminal_carry(&r->terminal, hutch_proc_fd(r->proc, 0));
	}
	if (r->tty && hutch_proc_fd(r->proc, 0) >= 0)
		terminal_drain(hutch_proc_fd(r->proc, 0));
	return code < 0 ? carry(&why, e) : 0;
}

/* ---- the verdict ------------------------------------------------------------------------------ */

static const char *end_name(int end)
{
	static const char *const names[] = {"exit", "signal", "timeout", "not_run"};

	return end >= 0 && end < (int)(sizeof(names) / sizeof(*names)) ? names[end] : "unknown";
}

static void tell_json(struct run *r, int status, const struct err *e)
{
	auto_buf struct buf b = BUF_INIT(1 << 16);
	const struct hutch_result *x = &r->result;
	struct js_out o = {.b = &b};
	int fd = *r->json ? atoi(r->json) : 2;
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

static int verdict(struct run *r, const struct err *e)
{
	int status = EXIT_HUTCH;

	if (e->code) {
		cli_fail(e->msg);
	} else {
		status = r->result.exit_code;
		if (r->result.end == HUTCH_END_NOT_RUN)
			cli_fail(r->result.message);
		else if (r->result.end == HUTCH_END_TIMEOUT && !r->quiet)
			fputs("hutch: time is over: everything in the sandbox was killed\n", stderr);
	}
	if (r->json)
		tell_json(r, status, e);
	return status;
}

static void done(struct run *r)
{
	terminal_close(&r->terminal);
	(void)hutch_box_delete(r->box, NULL);
	step(r, "sandbox gone");
	hutch_close(r->hutch);
	step(r, "hutch closed");
	print_steps(r);
	hutch_spec_free(r->spec);
	close_fd(&r->epoll);
	close_fd(&r->signals);
}

static int parse_fds(struct run *r, struct err *e)
{
	const char *rest = r->preserve;
	struct str_span s;
	uint64_t fd;

	while (rest && str_next(&rest, ',', &s)) {
		if (!str_u64(s, INT_MAX, &fd) || fd < 3)
			return err_set(e, ERR_INVALID,
				       "--preserve-fd '%s' is not a list of numbers from 3 on",
				       r->preserve);
		if (r->nfds == (int)(sizeof(r->fds) / sizeof(*r->fds)))
			return err_set(e, ERR_LIMIT, "--preserve-fd: more than %d", r->nfds);
		if (fcntl((int)fd, F_GETFD) < 0)
			return err_set(e, ERR_INVALID, "--preserve-fd: %d is not open", (int)fd);
		r->fds[r->nfds++] = (int)fd;
	}
	return 0;
}

static int check_json_fd(struct run *r, struct err *e)
{
	char *end;
	long fd;

	if (!r->json || !*r->json)
		return 0;
	fd = strtol(r->json, &end, 10);
	if (*end || fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
		return err_set(e, ERR_INVALID, "--json='%s' is not an open descriptor", r->json);
	return 0;
}

int cli_run(int argc, char **argv)
{
	const char *trace = getenv("HUTCH_TRACE");
	struct run r = {.epoll = -1, .signals = -1, .trace = trace && *trace == '1'};
	struct hutch_error why;
	struct err e = {0};
	int code, status;

	(void)argc;
	step(&r, "begin");
	if (hutch_spec_new(&r.spec, &why) < 0)
		return cli_fail(why.message);
	code = parse(&r, argv, &e);
	if (code == 0 && r.help) {
		hutch_spec_free(r.spec);
		return 0;
	}
	if (code == 0)
		code = words(&r, &e);
	if (code == 0)
		code = check_json_fd(&r, &e);
	if (code == 0)
		code = parse_fds(&r, &e);
	if (code == 0)
		code = catch_signals(&r, &e);
	step(&r, "words read");
	if (code == 0)
		code = start(&r, &e);
	step(&r, "command asked for");
	if (code == 0)
		code = wait_for_end(&r, &e);
	step(&r, "command ended");
	terminal_close(&r.terminal);
	if (r.box && r.trace)
		hutch_box_trace(r.box);
	status = verdict(&r, &e);
	done(&r);
	return status;
}
