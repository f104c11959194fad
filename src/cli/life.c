/* SPDX-License-Identifier: Apache-2.0
 *
 * life.c - hutch stop, start, restart and kill: the life of a sandbox whose files are kept
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/background.h"
#include "cli/cli.h"
#include "cli/living.h"
#include "cli/opt.h"
#include "cli/spec_words.h"

enum { STOP_MS = 10000, LONGEST_MS = 1000000000 };

struct life {
	struct hutch *hutch;
	int timeout_ms, signal;
};

/* What one of these commands takes. */
struct words {
	const char *usage, *about;
	bool time, signal; /* the option is one of its own */
	int (*act)(const struct life *l, const char *name, struct err *e);
};

static int parse_time(const char *text, int *ret_ms, struct err *e)
{
	uint64_t ms = 0;
	int r;

	if (!strcmp(text, "-1") || !strcmp(text, "0")) {
		*ret_ms = *text == '0' ? 0 : -1;
		return 0;
	}
	r = background_time("--time", text, &ms, e);
	if (r < 0)
		return r;
	*ret_ms = ms > LONGEST_MS ? LONGEST_MS : (int)ms;
	return 0;
}

static void remark(const char *name, const struct hutch_box *box)
{
	if (*hutch_box_remark(box))
		fprintf(stderr, "hutch: sandbox '%s': %s\n", name, hutch_box_remark(box));
}

/* Is it one that has ended, and can be started? */
static bool is_stopped(const struct life *l, const char *name)
{
	struct hutch_error why;
	char *json;

	if (hutch_stopped_spec(l->hutch, name, &json, &why) < 0)
		return why.code != HUTCH_E_NOT_FOUND;
	free(json);
	return true;
}

static int stop(const struct life *l, const char *name, struct err *e)
{
	struct hutch_error why;
	struct hutch_box *box;
	int r = hutch_box_attach(l->hutch, name, &box, &why);

	if (r == HUTCH_E_DIED && is_stopped(l, name))
		return 0;
	if (r < 0)
		return cli_carry(&why, e);
	r = hutch_box_stop(box, l->timeout_ms, &why);
	if (r == 0)
		remark(name, box);
	hutch_box_close(box);
	return r < 0 ? cli_carry(&why, e) : 0;
}

/* What `hutch run -d` began with runs again. Where it does already, somebody else was quicker. */
static int run_main(struct hutch_box *box, struct err *e)
{
	struct hutch_job_options o = {.size = sizeof(o), .id = "main"};
	struct hutch_spec *spec = (struct hutch_spec *)(uintptr_t)hutch_box_spec(box);
	struct hutch_error why;
	int r;

	if (!spec_words_has(spec, "command") &&
	    (!spec_words_has(spec, "entrypoint") || spec_words_is_set(spec, "shell_entrypoint")))
		return 0;
	if (hutch_spec_number(spec, "timeout", &o.timeout_ms, &why) < 0)
		return cli_carry(&why, e);
	r = background_start(box, &o, NULL, e);
	return r == ERR_EXISTS ? 0 : r;
}

static int start(const struct life *l, const char *name, struct err *e)
{
	struct hutch_error why;
	struct hutch_box *box;
	int r;

	if (hutch_box_start_stopped(l->hutch, name, NULL, &box, &why) < 0)
		return cli_carry(&why, e);
	remark(name, box);
	r = run_main(box, e);
	hutch_box_close(box);
	return r;
}

static int restart(const struct life *l, const char *name, struct err *e)
{
	int r = stop(l, name, e);

	return r < 0 ? r : start(l, name, e);
}

static int kill_it(const struct life *l, const char *name, struct err *e)
{
	struct hutch_error why;
	struct hutch_box *box;
	int r;

	if (hutch_box_attach(l->hutch, name, &box, &why) < 0)
		return cli_carry(&why, e);
	r = hutch_box_kill(box, l->signal, &why);
	if (r == 0)
		remark(name, box);
	hutch_box_close(box);
	return r < 0 ? cli_carry(&why, e) : 0;
}

static int help(const struct words *w, const struct opt *own)
{
	auto_buf struct buf text = BUF_INIT(1 << 16);

	buf_fmt(&text, "usage: hutch %s\n\n%s\n\n", w->usage, w->about);
	opt_help(&text, own, NULL, 80);
	fputs(text.data, stdout);
	return 0;
}

/* Every name in turn; all are tried. */
static int each(const struct words *w, struct life *l, char **names)
{
	int status = 0;
	struct err e = {0};

	if (living_hutch(&l->hutch, &e) < 0)
		return cli_fail(e.msg);
	for (; *names; names++) {
		e = (struct err){0};
		if (w->act(l, *names, &e) < 0)
			status = cli_fail(e.msg);
	}
	hutch_close(l->hutch);
	return status;
}

static int run(const struct words *w, char **argv)
{
	const char *time = NULL, *signal = NULL;
	bool wants_help = false;
	const struct opt own_time = {.name = "time", .letter = 't', .text = &time, .value = "TIME",
				     .help = "how long commands may take to end; -1: for ever (default: 10)"};
	const struct opt own_signal = {.name = "signal", .letter = 's', .text = &signal, .value = "SIGNAL",
				       .help = "name or number (default: KILL)"};
	const struct opt own_help = {.name = "help", .on = &wants_help, .help = "this"};
	const struct opt own[] = {w->time ? own_time : w->signal ? own_signal : own_help,
				  w->time || w->signal ? own_help : (struct opt){0}, {0}};
	struct life l = {.timeout_ms = STOP_MS};
	struct hutch_error why;
	struct opt_rest rest;
	struct err e = {0};

	if (opt_parse(argv + 1, own, NULL, &rest, &e) < 0 || (time && parse_time(time, &l.timeout_ms, &e) < 0))
		return cli_fail(e.msg);
	l.signal = hutch_signal_number(signal ? signal : "KILL", &why);
	if (l.signal < 0) {
		(void)cli_carry(&why, &e);
		(void)err_wrap(&e, "--signal '%s'", signal);
		return cli_fail(e.msg);
	}
	if (wants_help)
		return help(w, own);
	return rest.n ? each(w, &l, rest.words) : cli_fail("no name was given");
}

int cli_stop(int argc, char **argv)
{
	static const struct words w = {"stop [-t TIME] NAME...", "End sandboxes and keep their files.", .time = true,
				       .act = stop};

	(void)argc;
	return run(&w, argv);
}

int cli_start(int argc, char **argv)
{
	static const struct words w = {"start NAME...", "Start stopped sandboxes again.", .act = start};

	(void)argc;
	return run(&w, argv);
}

int cli_restart(int argc, char **argv)
{
	static const struct words w = {"restart [-t TIME] NAME...", "Stop sandboxes and start them again.",
				       .time = true, .act = restart};

	(void)argc;
	return run(&w, argv);
}

int cli_kill(int argc, char **argv)
{
	static const struct words w = {"kill [-s SIGNAL] NAME...",
				       "Send a signal to the main command of sandboxes, or where there is none to "
				       "all commands.", .signal = true, .act = kill_it};

	(void)argc;
	return run(&w, argv);
}
