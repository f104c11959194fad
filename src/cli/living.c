/* SPDX-License-Identifier: Apache-2.0
 *
 * living.c - hutch reset, rm and ps: sandboxes that somebody made before
 */
#include "cli/living.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/opt.h"

int living_hutch(struct hutch **ret, struct err *e)
{
	struct hutch_open_options opts = {.size = sizeof(opts),
					  .flags = HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE};
	struct hutch_error why;

	return hutch_open(&opts, ret, &why) < 0 ? cli_carry(&why, e) : 0;
}

int living_open(struct living *l, const char *name, struct err *e)
{
	struct hutch_error why;
	int r = living_hutch(&l->hutch, e);

	if (r < 0)
		return r;
	if (hutch_box_attach(l->hutch, name, &l->box, &why) < 0) {
		r = cli_carry(&why, e);
		living_close(l);
	}
	return r;
}

void living_close(struct living *l)
{
	hutch_box_close(l->box);
	hutch_close(l->hutch);
	l->box = NULL;
	l->hutch = NULL;
}

/* Every name in turn; all are tried, the first failure decides. */
static int each(char **names, int (*act)(struct living *l, struct hutch_error *why),
		int (*on_dead)(struct err *e))
{
	int status = 0;

	for (; *names; names++) {
		struct living l = {0};
		struct hutch_error why;
		struct err e = {0};
		int r = living_open(&l, *names, &e);

		if (r == ERR_DIED && on_dead)
			r = on_dead(&e);
		else if (r == 0 && act(&l, &why) < 0)
			r = cli_carry(&why, &e);
		if (r < 0)
			status = cli_fail(e.msg);
		living_close(&l);
	}
	return status;
}

static int words_only(char **argv, const char *usage, const char *flag, bool *on, struct opt_rest *rest)
{
	bool help = false;
	const struct opt own[] = {{.name = "help", .on = &help},
				  {.name = flag, .letter = *flag == 'f' ? 'f' : 0, .on = on},
				  {0}};
	struct err e = {0};

	if (opt_parse(argv + 1, own, NULL, rest, &e) < 0)
		return cli_fail(e.msg);
	if (help) {
		fputs(usage, stdout);
		return -1;
	}
	return rest->n ? 0 : cli_fail("no name was given");
}

static int reset(struct living *l, struct hutch_error *why)
{
	return hutch_box_reset(l->box, why);
}

static int reset_files(struct living *l, struct hutch_error *why)
{
	return hutch_box_reset_files(l->box, why);
}

int cli_reset(int argc, char **argv)
{
	bool keep = false;
	struct opt_rest rest;
	int r = words_only(argv, "usage: hutch reset [--keep-processes] NAME...\n\nPut sandboxes back to how they were "
				 "right after start; or their files only.\n", "keep-processes", &keep, &rest);

	(void)argc;
	return r < 0 ? 0 : r ? r : each(rest.words, keep ? reset_files : reset, NULL);
}

static int end(struct living *l, struct hutch_error *why)
{
	struct hutch_box *box = l->box;

	l->box = NULL;
	return hutch_box_delete(box, why);
}

/* What a dead one left, and others like it: there is nobody to ask. */
static int clean_up(struct err *e)
{
	struct hutch_error why;
	struct hutch *h;
	int r = living_hutch(&h, e);

	if (r < 0)
		return r;
	r = hutch_cleanup(h, -1, &why);
	hutch_close(h);
	return r < 0 ? cli_carry(&why, e) : 0;
}

int cli_rm(int argc, char **argv)
{
	bool force = false;
	struct opt_rest rest;
	int r = words_only(argv, "usage: hutch rm [-f] NAME...\n\nEnd sandboxes and remove what they "
				 "left. -f is accepted: they need not be stopped first.\n", "force", &force, &rest);

	(void)argc;
	return r < 0 ? 0 : r ? r : each(rest.words, end, clean_up);
}

/* ---- ps --------------------------------------------------------------------------------------- */

static void print_age(int64_t started)
{
	int64_t s = started ? (int64_t)time(NULL) - started : 0;

	if (s < 120)
		printf("%" PRId64 "s", s);
	else if (s < 7200)
		printf("%" PRId64 "m", s / 60);
	else if (s < 48 * 3600)
		printf("%" PRId64 "h", s / 3600);
	else
		printf("%" PRId64 "d", s / 86400);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct hutch_listed *)a)->name, ((const struct hutch_listed *)b)->name);
}

static void print_json(const struct hutch_listed *v, size_t n)
{
	auto_buf struct buf b = BUF_INIT(64 << 20);
	struct js_out o = {.b = &b};

	js_open(&o, '[');
	for (size_t i = 0; i < n; i++) {
		js_open(&o, '{');
		js_key(&o, "name");
		js_str(&o, v[i].name);
		js_key(&o, "state");
		js_str(&o, v[i].alive ? "running" : "dead");
		js_key(&o, "kind");
		js_str(&o, v[i].detached ? "detached" : "attached");
		js_key(&o, "started");
		js_int(&o, v[i].started);
		js_close(&o, '}');
	}
	js_close(&o, ']');
	if (!buf_bad(&b))
		puts(b.data);
}

static void print_table(const struct hutch_listed *v, size_t n, bool names_only)
{
	if (!names_only)
		printf("%-24s %-8s %-9s %s\n", "NAME", "STATE", "KIND", "AGE");
	for (size_t i = 0; i < n; i++) {
		if (names_only) {
			puts(v[i].name);
			continue;
		}
		printf("%-24s %-8s %-9s ", v[i].name, v[i].alive ? "running" : "dead",
		       v[i].detached ? "detached" : "attached");
		print_age(v[i].started);
		putchar('\n');
	}
}

int cli_ps(int argc, char **argv)
{
	bool all = false, names = false, json = false, help = false;
	const struct opt own[] = {
		{.name = "all", .letter = 'a', .on = &all, .help = "dead ones too"},
		{.name = "quiet", .letter = 'q', .on = &names, .help = "names only"},
		{.name = "json", .on = &json, .help = "a list of objects"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	struct hutch_listed *v = NULL;
	struct hutch_error why;
	struct opt_rest rest;
	struct err e = {0};
	struct hutch *h;
	size_t n = 0, kept = 0;
	int r;

	(void)argc;
	if (opt_parse(argv + 1, own, NULL, &rest, &e) < 0)
		return cli_fail(e.msg);
	if (help) {
		auto_buf struct buf text = BUF_INIT(1 << 16);

		buf_str(&text, "usage: hutch ps [-a] [-q] [--json]\n\n");
		opt_help(&text, own, NULL, 80);
		fputs(text.data, stdout);
		return 0;
	}
	if (rest.n) {
		err_set(&e, ERR_INVALID, "ps takes no words, but '%s' was given", rest.words[0]);
		return cli_fail(e.msg);
	}
	if (living_hutch(&h, &e) < 0)
		return cli_fail(e.msg);
	r = hutch_list(h, &v, &n, &why);
	hutch_close(h);
	if (r < 0)
		return cli_fail(why.message);
	for (size_t i = 0; i < n; i++)
		if (all || v[i].alive)
			v[kept++] = v[i];
	qsort(v, kept, sizeof(*v), by_name);
	if (json)
		print_json(v, kept);
	else
		print_table(v, kept, names);
	free(v);
	return 0;
}
