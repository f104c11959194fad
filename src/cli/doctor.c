/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.c - `hutch doctor`: what this host can do, what is lost, and what mends it
 *
 * How it works: the library asks and judges; here the checks become aligned lines, or JSON. The
 * whole text is made first and written once.
 *
 * Called by: main.c.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/opt.h"
#include "hutch.h"

int cli_doctor(int argc, char **argv);

enum { OUTPUT_MAX = 1 << 20, HELP_WIDTH = 80, EXIT_LACKING = 1, EXIT_HUTCH = 125 };

static const char usage[] =
	"Usage: hutch doctor [--json]\n"
	"\n"
	"Says what this host can do for sandboxes, what is lost where something is missing, and\n"
	"the line that mends it. Nothing is changed.\n"
	"\n";

static const char exit_codes[] =
	"\n"
	"Exit status: 0 everything a sandbox requires is there, 1 something is not, 125 hutch\n"
	"failed.\n";

static const char *level_name(int level)
{
	switch (level) {
	case HUTCH_CHECK_REQUIRED:
		return "required";
	case HUTCH_CHECK_RECOMMENDED:
		return "recommended";
	default:
		return "optional";
	}
}

static size_t count_lacking(const struct hutch_check *checks, size_t n, int level)
{
	size_t lacking = 0;

	for (size_t i = 0; i < n; i++)
		lacking += checks[i].ok == 0 && checks[i].level == level;
	return lacking;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void print_check(struct buf *out, const struct hutch_check *c, int width)
{
	const char *mark = c->ok == 1 ? "ok" : c->ok == 0 ? "no" : "??";

	buf_fmt(out, "%s  %-*s  %s\n", mark, width, c->name, c->found);
	if (c->ok != 0)
		return; /* what could not be asked may well be there */
	if (*c->lost)
		buf_fmt(out, "    lost: %s\n", c->lost);
	if (*c->mend)
		buf_fmt(out, "    mend: %s\n", c->mend);
}

static void print_verdict(struct buf *out, const struct hutch_check *checks, size_t n)
{
	const size_t required = count_lacking(checks, n, HUTCH_CHECK_REQUIRED);
	const size_t others = count_lacking(checks, n, HUTCH_CHECK_RECOMMENDED);

	if (required)
		buf_fmt(out, "\nNo sandbox can start here yet: %zu thing%s required to mend.\n",
			required, required == 1 ? " is" : "s are");
	else if (others)
		buf_fmt(out, "\nSandboxes can start here; %zu recommended thing%s missing.\n",
			others, others == 1 ? " is" : "s are");
	else
		buf_str(out, "\nSandboxes can start here.\n");
}

static void print_lines(struct buf *out, const struct hutch_check *checks, size_t n)
{
	size_t width = 0;

	for (size_t i = 1; i < n; i++)
		if (strlen(checks[i].name) > width)
			width = strlen(checks[i].name);
	if (n)
		buf_fmt(out, "You are %s.\n\n", checks[0].found);
	for (size_t i = 1; i < n; i++)
		print_check(out, &checks[i], (int)width);
	print_verdict(out, checks, n);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_text(struct js_out *o, const char *key, const char *text)
{
	js_key(o, key);
	js_str(o, text);
}

static bool print_json(struct buf *out, const struct hutch_check *checks, size_t n)
{
	struct js_out o = {.b = out};

	js_open(&o, '[');
	for (size_t i = 0; i < n; i++) {
		const struct hutch_check *c = &checks[i];

		js_open(&o, '{');
		json_text(&o, "name", c->name);
		js_key(&o, "ok");
		if (c->ok < 0)
			js_null(&o);
		else
			js_bool(&o, c->ok == 1);
		json_text(&o, "level", level_name(c->level));
		json_text(&o, "found", c->found);
		json_text(&o, "lost", c->lost);
		json_text(&o, "mend", c->mend);
		js_close(&o, '}');
	}
	js_close(&o, ']');
	buf_char(out, '\n');
	return !o.bad;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int report(const struct hutch_check *checks, size_t n, bool json)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);
	bool well = true;

	if (json)
		well = print_json(&out, checks, n);
	else
		print_lines(&out, checks, n);
	if (!well || buf_bad(&out) || !out.data) {
		fprintf(stderr, "hutch: doctor: out of memory\n");
		return EXIT_HUTCH;
	}
	fputs(out.data, stdout);
	return count_lacking(checks, n, HUTCH_CHECK_REQUIRED) ? EXIT_LACKING : 0;
}

static int help(const struct opt *own)
{
	auto_buf struct buf out = BUF_INIT(OUTPUT_MAX);

	buf_str(&out, usage);
	opt_help(&out, own, NULL, HELP_WIDTH);
	buf_str(&out, exit_codes);
	if (buf_bad(&out))
		return EXIT_HUTCH;
	fputs(out.data, stdout);
	return 0;
}

static int complain(const char *message)
{
	fprintf(stderr, "hutch: doctor: %s\n", message);
	return EXIT_HUTCH;
}

/* argv[0] is the name of the command. */
int cli_doctor(int argc, char **argv)
{
	bool json = false, asked_help = false;
	const struct opt own[] = {
		{.name = "json", .on = &json, .help = "print an array of objects"},
		{.name = "help", .letter = 'h', .on = &asked_help, .help = "print this"},
		{0},
	};
	struct hutch_check *checks;
	struct hutch_error err;
	struct opt_rest rest;
	struct err e;
	size_t n;
	int r;

	if (opt_parse(argv + (argc > 0), own, NULL, &rest, &e) < 0)
		return complain(e.msg);
	if (asked_help)
		return help(own);
	if (rest.n)
		return complain("takes no words, only options");
	if (hutch_doctor(&checks, &n, &err) < 0)
		return complain(err.message);
	r = report(checks, n, json);
	hutch_doctor_free(checks);
	return r;
}
