/* SPDX-License-Identifier: Apache-2.0
 *
 * exec.c - hutch exec: a command in a living sandbox
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/own.h"
#include "cli/background.h"
#include "cli/cli.h"
#include "cli/foreground.h"
#include "cli/living.h"
#include "cli/opt.h"
#include "cli/spec_words.h"

struct exec {
	const char *cwd, *user, *session, *job, *keep;
	bool help, detach;
	struct hutch_spec *spec; /* for the options that mean the same as with run: env, timeout */
	struct opt_rest rest;
	struct living living;
	struct foreground fg;
	char **env;
	uint64_t timeout_ms;
};

/* The few fields of a spec that are options of exec too. */
static bool wanted(const struct hutch_field *f)
{
	static const char *const names[] = {"env", "env_file", "timeout"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(f->name, names[i]))
			return true;
	return false;
}

static int parse(struct exec *x, char **argv, struct err *e)
{
	const struct opt own[] = {
		{.name = "interactive", .letter = 'i', .on = &x->fg.interactive,
		 .help = "pass standard input on (without it: /dev/null)"},
		{.name = "tty", .letter = 't', .on = &x->fg.tty, .help = "run on a terminal of its own"},
		{.name = "workdir", .letter = 'w', .text = &x->cwd, .value = "DIR",
		 .help = "directory to start in (default: the sandbox's)"},
		{.name = "user", .letter = 'u', .text = &x->user, .value = "USER[:GROUP]",
		 .help = "user and group to run as (default: the sandbox's)"},
		{.name = "session", .text = &x->session, .value = "NAME",
		 .help = "run the words, joined, as text in a shell of this name that lasts from call to "
			 "call"},
		{.name = "detach", .letter = 'd', .on = &x->detach,
		 .help = "start a job, which belongs to the sandbox, and print its name"},
		{.name = "job", .text = &x->job, .value = "JOB", .help = "-d: what it is called (default: 8 digits)"},
		{.name = "keep", .text = &x->keep, .value = "SIZE",
		 .help = "-d: how much of its output is kept, the last part (default: 1m)"},
		{.name = "json", .maybe = &x->fg.json, .value = "FD",
		 .help = "tell how it ended as one line of JSON (default: last line on stderr)"},
		{.name = "preserve-fd", .text = &x->fg.preserve, .value = "FD[,FD...]",
		 .help = "descriptors that the command gets too, under the same numbers"},
		{.name = "quiet", .letter = 'q', .on = &x->fg.quiet, .help = "no remarks on stderr"},
		{.name = "help", .on = &x->help, .help = "this"},
		{0},
	};
	const struct hutch_field *all;
	struct hutch_field some[4];
	struct opt_fields fields = {.v = some, .set = opt_set_spec, .ctx = x->spec};
	size_t n = hutch_fields(&all);
	int r;

	for (size_t i = 0; i < n; i++)
		if (wanted(&all[i]))
			some[fields.n++] = all[i];
	r = opt_parse(argv + 1, own, &fields, &x->rest, e);
	if (r == 0 && x->help)
		spec_words_help("usage: hutch exec [OPTION...] NAME COMMAND [ARG...]\n"
				"       hutch exec -d [OPTION...] NAME COMMAND [ARG...]\n"
				"       hutch exec --session SESSION [OPTION...] NAME TEXT...\n\n", own, &fields);
	else if (r == 0 && x->rest.n < 2)
		r = err_set(e, ERR_INVALID, "a name and a command are needed (see `hutch exec --help`)");
	else if (r == 0 && x->session && (x->fg.interactive || x->fg.tty || x->user || x->fg.preserve))
		r = err_set(e, ERR_INVALID, "--session: -i, -t, -u and --preserve-fd cannot be had with it");
	else if (r == 0 && x->session && x->detach)
		r = err_set(e, ERR_INVALID, "--session cannot be had with --detach");
	else if (r == 0 && !x->detach && (x->job || x->keep))
		r = err_set(e, ERR_INVALID, "--%s is for --detach", x->job ? "job" : "keep");
	return r;
}

/* The environment and the timeout, out of the spec that took them. */
static int take_fields(struct exec *x, struct err *e)
{
	const char *const *env;
	struct hutch_error why;
	size_t n;

	if (hutch_spec_list(x->spec, "env", &env, &n, &why) < 0 ||
	    hutch_spec_number(x->spec, "timeout", &x->timeout_ms, &why) < 0)
		return cli_carry(&why, e);
	x->env = calloc(n + 1, sizeof(*x->env));
	if (!x->env)
		return err_oom(e);
	for (size_t i = 0; i < n; i++)
		x->env[i] = (char *)(uintptr_t)env[i];
	return 0;
}

/* As ssh does: what the caller's shell took apart is one text again. */
static int start_text(struct exec *x, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(8 << 20);
	struct hutch_run_options o = {.size = sizeof(o), .session = x->session, .cwd = x->cwd,
				      .timeout_ms = x->timeout_ms};
	struct hutch_error why;

	for (char **word = x->rest.words + 1; *word; word++) {
		if (text.len)
			buf_char(&text, ' ');
		buf_str(&text, *word);
	}
	if (buf_bad(&text))
		return err_set(e, ERR_LIMIT, "a text of over 8 MiB");
	o.text = text.data ? text.data : "";
	o.env = (const char *const *)x->env;
	foreground_run(&x->fg, &o);
	if (hutch_run_start(x->living.box, &o, &x->fg.run, &why) < 0)
		return cli_carry(&why, e);
	return 0;
}

static int start(struct exec *x, struct err *e)
{
	struct hutch_exec_options o = {.size = sizeof(o),
				       .argv = (const char *const *)(x->rest.words + 1),
				       .cwd = x->cwd, .user = x->user,
				       .timeout_ms = x->timeout_ms};
	struct hutch_error why;
	int r = living_open(&x->living, x->rest.words[0], e);

	if (r == 0 && x->session)
		return start_text(x, e);
	if (r < 0)
		return r;
	o.env = (const char *const *)x->env;
	foreground_exec(&x->fg, &o);
	if (hutch_box_exec(x->living.box, &o, &x->fg.proc, &why) < 0)
		return cli_carry(&why, e);
	return 0;
}

/* Nobody is in front of it. */
static int detach(struct exec *x, struct err *e)
{
	struct hutch_job_options o = {.size = sizeof(o), .argv = (const char *const *)(x->rest.words + 1),
				      .env = (const char *const *)x->env, .cwd = x->cwd, .user = x->user,
				      .id = x->job, .timeout_ms = x->timeout_ms};
	char id[HUTCH_JOB_ID_SIZE];
	int r = background_check(&x->fg, e);

	if (r == 0 && x->keep)
		r = background_size(x->keep, &o.keep, e);
	if (r == 0)
		r = living_open(&x->living, x->rest.words[0], e);
	if (r == 0)
		r = background_start(x->living.box, &o, id, e);
	if (r < 0)
		return background_fail(e);
	puts(id);
	return 0;
}

static int in_front(struct exec *x, int r, struct err *e)
{
	if (r == 0)
		r = foreground_check(&x->fg, e);
	if (r == 0)
		r = foreground_begin(&x->fg, e);
	if (r == 0)
		r = start(x, e);
	x->fg.is_guest = true;
	return foreground_end(&x->fg, r, e);
}

int cli_exec(int argc, char **argv)
{
	struct exec x = {.fg = FOREGROUND_INIT};
	struct hutch_error why;
	struct err e = {0};
	int r, status = 0;

	(void)argc;
	if (hutch_spec_new(&x.spec, &why) < 0)
		return cli_fail(why.message);
	r = parse(&x, argv, &e);
	if (r < 0 || !x.help) {
		if (r == 0)
			r = take_fields(&x, &e);
		status = r == 0 && x.detach ? detach(&x, &e) : in_front(&x, r, &e);
	}
	living_close(&x.living);
	foreground_done(&x.fg);
	hutch_spec_free(x.spec);
	free(x.env);
	return status;
}
