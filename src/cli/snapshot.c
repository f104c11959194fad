/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - hutch snapshot, restore, diff and fork: states of a sandbox's files
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/own.h"
#include "cli/cli.h"
#include "cli/living.h"
#include "cli/opt.h"

/* Options and words. Return: 1 go on; else the exit status is *ret_status. */
static int words(char **argv, const struct opt *own, const char *usage, size_t least, size_t most,
		 struct opt_rest *rest, bool *help, int *ret_status)
{
	auto_buf struct buf text = BUF_INIT(1 << 16);
	struct err e = {0};

	*ret_status = 0;
	if (opt_parse(argv + 1, own, NULL, rest, &e) < 0) {
		*ret_status = cli_fail(e.msg);
		return 0;
	}
	if (*help) {
		buf_str(&text, usage);
		opt_help(&text, own, NULL, 80);
		fputs(text.data, stdout);
		return 0;
	}
	if (rest->n >= least && rest->n <= most)
		return 1;
	err_set(&e, ERR_INVALID, rest->n < least ? "hutch %s: a name is missing (`hutch %s --help`)" :
						   "hutch %s: too many words (`hutch %s --help`)", argv[0], argv[0]);
	*ret_status = cli_fail(e.msg);
	return 0;
}

/* ---- snapshot --------------------------------------------------------------------------------- */

static void print_list(const struct hutch_snapshot *v, size_t n, bool names_only)
{
	if (!names_only)
		printf("%-20s %-20s %-20s %s\n", "SNAPSHOT", "PARENT", "CREATED", "LAYERS");
	for (size_t i = 0; i < n; i++) {
		char when[32] = "";
		time_t t = (time_t)v[i].created;
		struct tm tm;

		if (names_only) {
			puts(v[i].name);
			continue;
		}
		if (localtime_r(&t, &tm))
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		printf("%-20s %-20s %-20s %u%s\n", v[i].name, *v[i].parent ? v[i].parent : "-", when, v[i].layers,
		       v[i].present ? " *" : "");
	}
}

static void print_json(const struct hutch_snapshot *v, size_t n)
{
	auto_buf struct buf b = BUF_INIT(64 << 20);
	struct js_out o = {.b = &b};

	js_open(&o, '[');
	for (size_t i = 0; i < n; i++) {
		js_open(&o, '{');
		js_key(&o, "name");
		js_str(&o, v[i].name);
		js_key(&o, "parent");
		if (*v[i].parent)
			js_str(&o, v[i].parent);
		else
			js_null(&o);
		js_key(&o, "created");
		js_int(&o, v[i].created);
		js_key(&o, "layers");
		js_uint(&o, v[i].layers);
		js_key(&o, "present");
		js_bool(&o, v[i].present);
		js_close(&o, '}');
	}
	js_close(&o, ']');
	if (!buf_bad(&b))
		puts(b.data);
}

static int list(struct living *l, bool json, bool quiet, struct err *e)
{
	struct hutch_snapshot *v = NULL;
	struct hutch_error why;
	size_t n = 0;

	if (hutch_box_snapshots(l->box, &v, &n, &why) < 0)
		return cli_carry(&why, e);
	if (json)
		print_json(v, n);
	else
		print_list(v, n, quiet);
	free(v);
	return 0;
}

static int delete(struct living *l, char **names, struct err *e)
{
	struct hutch_error why;

	for (; *names; names++)
		if (hutch_box_snapshot_delete(l->box, *names, &why) < 0)
			return cli_carry(&why, e);
	return 0;
}

static int take(struct living *l, const char *tag, struct err *e)
{
	auto_free char *name = NULL;
	struct hutch_error why;

	if (hutch_box_snapshot(l->box, tag, &name, &why) < 0)
		return cli_carry(&why, e);
	puts(name);
	return 0;
}

int cli_snapshot(int argc, char **argv)
{
	bool help = false, ls = false, rm = false, json = false, quiet = false;
	const struct opt own[] = {
		{.name = "list", .letter = 'l', .on = &ls, .help = "list them"},
		{.name = "delete", .letter = 'd', .on = &rm, .help = "forget those that are named"},
		{.name = "json", .on = &json, .help = "with --list: a list of objects"},
		{.name = "quiet", .letter = 'q', .on = &quiet, .help = "with --list: names only"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	struct living l = {0};
	struct opt_rest rest;
	struct err e = {0};
	int status, r;

	(void)argc;
	if (!words(argv, own, "usage: hutch snapshot NAME [TAG]\n"
			      "       hutch snapshot --list [--json | -q] NAME\n"
			      "       hutch snapshot --delete NAME TAG...\n\n"
			      "Keep how the files of a sandbox are now, and print the name of that.\n\n",
		   1, SIZE_MAX, &rest, &help, &status))
		return status;
	if (ls && rm)
		return cli_fail("--list and --delete are two things; give one of them");
	if ((json || quiet) && !ls)
		return cli_fail("--json and --quiet go with --list");
	if (rm && rest.n < 2)
		return cli_fail("--delete wants the names of snapshots, too: hutch snapshot --delete NAME TAG...");
	if (!rm && rest.n > (ls ? 1u : 2u)) {
		err_set(&e, ERR_INVALID, "one name%s, not '%s' too", ls ? "" : " and one tag", rest.words[ls ? 1 : 2]);
		return cli_fail(e.msg);
	}
	r = living_open(&l, rest.words[0], &e);
	if (r == 0)
		r = ls ? list(&l, json, quiet, &e) :
		    rm ? delete(&l, rest.words + 1, &e) : take(&l, rest.n > 1 ? rest.words[1] : NULL, &e);
	living_close(&l);
	return r < 0 ? cli_fail(e.msg) : 0;
}

/* ---- restore ---------------------------------------------------------------------------------- */

int cli_restore(int argc, char **argv)
{
	bool help = false, keep = false;
	const struct opt own[] = {
		{.name = "keep-processes", .on = &keep, .help = "put back files only"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	struct hutch_error why;
	struct living l = {0};
	struct opt_rest rest;
	struct err e = {0};
	int status, r;

	(void)argc;
	if (!words(argv, own, "usage: hutch restore [--keep-processes] NAME [TAG]\n\n"
			      "Put a sandbox back to a snapshot; without TAG to the one that was made last.\n\n",
		   1, 2, &rest, &help, &status))
		return status;
	r = living_open(&l, rest.words[0], &e);
	if (r == 0 && hutch_box_restore(l.box, rest.n > 1 ? rest.words[1] : NULL,
					keep ? HUTCH_RESTORE_KEEP_PROCESSES : 0, &why) < 0)
		r = cli_carry(&why, &e);
	living_close(&l);
	return r < 0 ? cli_fail(e.msg) : 0;
}

/* ---- diff ------------------------------------------------------------------------------------- */

static void print_records(const char *v, size_t len, bool zero)
{
	for (const char *at = v; at < v + len; at += strlen(at) + 1) {
		fputs(at, stdout);
		putchar(zero ? '\0' : '\n');
	}
}

int cli_diff(int argc, char **argv)
{
	bool help = false, zero = false;
	const struct opt own[] = {
		{.name = "zero", .letter = 'z', .on = &zero, .help = "a NUL behind each path, not a line"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	auto_free char *v = NULL;
	struct hutch_error why;
	struct living l = {0};
	struct opt_rest rest;
	struct err e = {0};
	size_t len = 0;
	int status, r;

	(void)argc;
	if (!words(argv, own, "usage: hutch diff [-z] NAME [FROM [TO]]\n\n"
			      "Print which paths were added (A), changed (C) and deleted (D) from snapshot FROM (or the "
			      "start) to\nsnapshot TO (or now).\n\n",
		   1, 3, &rest, &help, &status))
		return status;
	r = living_open(&l, rest.words[0], &e);
	if (r == 0 && hutch_box_diff(l.box, rest.n > 1 ? rest.words[1] : NULL, rest.n > 2 ? rest.words[2] : NULL, &v,
				     &len, &why) < 0)
		r = cli_carry(&why, &e);
	living_close(&l);
	if (r < 0)
		return cli_fail(e.msg);
	print_records(v ? v : "", len, zero);
	return 0;
}

/* ---- fork ------------------------------------------------------------------------------------- */

static int make(struct living *l, const char *snapshot, char **names, size_t n, struct err *e)
{
	auto_free struct hutch_box **boxes = calloc(n, sizeof(struct hutch_box *));
	struct hutch_error why;

	if (!boxes)
		return err_oom(e);
	if (hutch_box_fork(l->box, snapshot, (const char *const *)names, n, HUTCH_START_DETACHED, boxes, &why) < 0)
		return cli_carry(&why, e);
	for (size_t i = 0; i < n; i++) {
		puts(hutch_box_name(boxes[i]));
		hutch_box_close(boxes[i]);
	}
	return 0;
}

int cli_fork(int argc, char **argv)
{
	const char *snapshot = NULL;
	bool help = false;
	const struct opt own[] = {
		{.name = "snapshot", .value = "TAG", .text = &snapshot, .help = "begin with that, not with how it is now"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	struct living l = {0};
	struct opt_rest rest;
	struct err e = {0};
	int status, r;

	(void)argc;
	if (!words(argv, own, "usage: hutch fork [--snapshot TAG] NAME NEW...\n\n"
			      "Make new sandboxes that begin with the files of one.\n\n",
		   2, SIZE_MAX, &rest, &help, &status))
		return status;
	r = living_open(&l, rest.words[0], &e);
	if (r == 0)
		r = make(&l, snapshot, rest.words + 1, rest.n - 1, &e);
	living_close(&l);
	return r < 0 ? cli_fail(e.msg) : 0;
}
