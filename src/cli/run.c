/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - hutch run: one sandbox, one command, gone afterwards; or, with -d, left to itself
 *
 * How it works: options become fields of a spec (spec_words.c); the sandbox is started and the command asked
 * for at once; foreground.c waits for the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/background.h"
#include "cli/cli.h"
#include "cli/foreground.h"
#include "cli/opt.h"
#include "cli/preset_words.h"
#include "cli/spec_words.h"

struct run {
	const char *cidfile, *keep;
	bool help, detach, remove;
	struct preset_words preset;
	struct opt_rest rest;
	struct hutch *hutch;
	struct hutch_spec *spec;
	struct hutch_box *box;
	struct foreground fg;
};

static int parse(struct run *r, char **argv, struct err *e)
{
	const struct opt own[] = {
		{.name = "cidfile", .text = &r->cidfile, .value = "FILE",
		 .help = "write the sandbox's name to a file, which must not exist"},
		{.name = "json", .maybe = &r->fg.json, .value = "FD",
		 .help = "tell how it ended as one line of JSON (default: last line on stderr)"},
		{.name = "preserve-fd", .text = &r->fg.preserve, .value = "FD[,FD...]",
		 .help = "descriptors that the command gets too, under the same numbers"},
		{.name = "quiet", .letter = 'q', .on = &r->fg.quiet, .help = "no remarks on stderr"},
		{.name = "detach", .letter = 'd', .on = &r->detach,
		 .help = "go on in the background, as the job 'main', and print the sandbox's name"},
		{.name = "keep", .text = &r->keep, .value = "SIZE",
		 .help = "-d: how much of its output is kept, the last part (default: 1m)"},
		{.name = "rm", .on = &r->remove,
		 .help = "-d: the sandbox ends with its command (in the foreground nothing stays anyway)"},
		PRESET_OPTIONS(&r->preset),
		{.name = "pull", .value = "WHEN", .help = "accepted; there are no images yet"},
		{.name = "sig-proxy", .help = NULL},
		{.name = "help", .on = &r->help, .help = "this"},
		{0},
	};
	struct opt_fields fields = {.set = opt_set_spec, .ctx = r->spec};
	int code;

	fields.n = hutch_fields(&fields.v);
	code = opt_parse(argv + 1, own, &fields, &r->rest, e);
	if (code == 0 && r->keep && !r->detach)
		return err_set(e, ERR_INVALID, "--keep is for --detach");
	if (code == 0 && !r->help)
		return preset_words(r->spec, &r->preset, r->fg.quiet, e);
	if (code < 0)
		return code;
	spec_words_help("usage: hutch run [OPTION...] IMAGE [COMMAND [ARG...]]\n"
			"       hutch run [OPTION...] --rootfs DIR [--] COMMAND [ARG...]\n"
			"       hutch run [OPTION...] --host [--] COMMAND [ARG...]\n"
			"       hutch run [OPTION...] -- COMMAND [ARG...]     (as with --host)\n\n",
			own, &fields);
	return 0;
}

/* What the words behind the options are: an image first, unless a root was named otherwise. */
static int words(struct run *r, struct err *e)
{
	char **w = r->rest.words;
	int code = 0;

	if (!spec_words_has_root(r->spec)) {
		if (r->rest.dashes)
			code = spec_words_set(r->spec, "host", "true", e);
		else if (*w)
			code = spec_words_set(r->spec, "image", *w++, e);
		else
			return err_set(e, ERR_INVALID, "no image and no command (see `hutch run "
						       "--help`)");
	}
	for (; code == 0 && *w; w++)
		code = spec_words_set(r->spec, "command", *w, e);
	if (code == 0 && !spec_words_is_set(r->spec, "image") &&
	    !spec_words_has(r->spec, "command") && !spec_words_has(r->spec, "entrypoint"))
		return err_set(e, ERR_INVALID, "no command was given");
	r->fg.tty = spec_words_is_set(r->spec, "tty");
	r->fg.interactive = spec_words_is_set(r->spec, "interactive");
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

static int start(struct run *r, struct err *e)
{
	struct hutch_open_options open_opts = {.size = sizeof(open_opts),
					       .flags = HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE,
					       .like = r->spec};
	struct hutch_start_options start_opts = {.size = sizeof(start_opts),
						 .flags = HUTCH_START_NOWAIT | HUTCH_START_ONCE};
	struct hutch_exec_options exec = {.size = sizeof(exec), .flags = HUTCH_EXEC_MAIN};
	struct hutch_error why;

	if (hutch_open(&open_opts, &r->hutch, &why) < 0)
		return cli_carry(&why, e);
	foreground_step(&r->fg, "hutch opened");
	if (hutch_box_start(r->hutch, r->spec, &start_opts, &r->box, &why) < 0)
		return cli_carry(&why, e);
	foreground_step(&r->fg, "start asked for");
	if (*hutch_box_remark(r->box) && !r->fg.quiet)
		fprintf(stderr, "hutch: %s\n", hutch_box_remark(r->box));
	if (write_cidfile(r, e) < 0)
		return e->code;
	foreground_exec(&r->fg, &exec);
	if (hutch_box_exec(r->box, &exec, &r->fg.proc, &why) < 0)
		return cli_carry(&why, e);
	foreground_step(&r->fg, "command asked for");
	return 0;
}

/* Its command is a job: nothing of us stays. Signals wait until then. */
static int start_detached(struct run *r, struct err *e)
{
	struct hutch_start_options start_opts = {.size = sizeof(start_opts),
						 .flags = HUTCH_START_DETACHED | HUTCH_START_FOR_JOB |
							  (r->remove ? HUTCH_START_REMOVE : 0)};
	struct hutch_job_options o = {.size = sizeof(o), .id = "main", .flags = r->remove ? HUTCH_JOB_MAIN : 0};
	struct hutch_error why;

	if (r->keep && background_size(r->keep, &o.keep, e) < 0)
		return e->code;
	if (hutch_spec_number(r->spec, "timeout", &o.timeout_ms, &why) < 0 ||
	    hutch_open(&(struct hutch_open_options){.size = sizeof(struct hutch_open_options),
						    .flags = HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE,
						    .like = r->spec}, &r->hutch, &why) < 0 ||
	    hutch_box_start(r->hutch, r->spec, &start_opts, &r->box, &why) < 0)
		return cli_carry(&why, e);
	if (*hutch_box_remark(r->box) && !r->fg.quiet)
		fprintf(stderr, "hutch: %s\n", hutch_box_remark(r->box));
	if (write_cidfile(r, e) < 0)
		return e->code;
	return background_start(r->box, &o, NULL, e);
}

/* Return: the exit status. */
static int detach(struct run *r, int code, struct err *e)
{
	if (code == 0)
		code = background_check(&r->fg, e);
	if (code == 0)
		code = foreground_begin(&r->fg, e);
	if (code == 0)
		code = start_detached(r, e);
	if (code < 0)
		return background_fail(e); /* done() removes the sandbox */
	puts(hutch_box_name(r->box));
	hutch_box_close(r->box);
	r->box = NULL;
	return 0;
}

static int in_front(struct run *r, int code, struct err *e)
{
	int status;

	if (code == 0)
		code = foreground_check(&r->fg, e);
	if (code == 0)
		code = foreground_begin(&r->fg, e);
	foreground_step(&r->fg, "words read");
	if (code == 0)
		code = start(r, e);
	status = foreground_end(&r->fg, code, e);
	if (r->box && r->fg.trace)
		hutch_box_trace(r->box);
	return status;
}

static void done(struct run *r)
{
	(void)hutch_box_delete(r->box, NULL);
	foreground_step(&r->fg, "sandbox gone");
	hutch_close(r->hutch);
	foreground_step(&r->fg, "hutch closed");
	hutch_spec_free(r->spec);
	foreground_done(&r->fg);
}

int cli_run(int argc, char **argv)
{
	const char *trace = getenv("HUTCH_TRACE");
	struct run r = {.fg = FOREGROUND_INIT};
	struct hutch_error why;
	struct err e = {0};
	int code, status;

	(void)argc;
	r.fg.trace = trace && *trace == '1';
	foreground_step(&r.fg, "begin");
	if (hutch_spec_new(&r.spec, &why) < 0)
		return cli_fail(why.message);
	code = parse(&r, argv, &e);
	if (code == 0 && r.help) {
		hutch_spec_free(r.spec);
		return 0;
	}
	if (code == 0)
		code = words(&r, &e);
	status = r.detach ? detach(&r, code, &e) : in_front(&r, code, &e);
	done(&r);
	return status;
}
