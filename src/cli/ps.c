/* SPDX-License-Identifier: Apache-2.0
 *
 * ps.c - hutch ps: the list of sandboxes
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

const char *living_state(const struct hutch_listed *x)
{
	return x->state == HUTCH_RUNNING ? "running" : x->state == HUTCH_STOPPED ? "stopped" : "dead";
}

static void print_age(int64_t started)
{
	int64_t s = started ? (int64_t)time(NULL) - started : 0;
	char text[32];

	if (s < 120)
		snprintf(text, sizeof(text), "%" PRId64 "s", s);
	else if (s < 7200)
		snprintf(text, sizeof(text), "%" PRId64 "m", s / 60);
	else if (s < 48 * 3600)
		snprintf(text, sizeof(text), "%" PRId64 "h", s / 3600);
	else
		snprintf(text, sizeof(text), "%" PRId64 "d", s / 86400);
	printf("%-5s ", text);
}

static void print_memory(const struct hutch_listed *x)
{
	static const char units[] = "KMGT";
	uint64_t bytes = 0;
	double n;
	int unit = 0;

	if (!x->pid || hutch_listed_memory(x, &bytes, NULL) < 0) {
		printf("%-8s ", "-");
		return;
	}
	for (n = (double)bytes / 1024; n >= 1000 && unit < 3; unit++)
		n /= 1024;
	printf("%6.1f%c  ", n, units[unit]);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct hutch_listed *)a)->name, ((const struct hutch_listed *)b)->name);
}

static void print_one_json(struct js_out *o, const struct hutch_listed *x)
{
	uint64_t memory = 0;

	js_open(o, '{');
	js_key(o, "name");
	js_str(o, x->name);
	js_key(o, "state");
	js_str(o, living_state(x));
	js_key(o, "kind");
	js_str(o, x->detached ? "detached" : "attached");
	js_key(o, "started");
	js_int(o, x->started);
	js_key(o, "pid");
	if (x->pid)
		js_int(o, x->pid);
	else
		js_null(o);
	js_key(o, "root");
	if (*x->root)
		js_str(o, x->root);
	else
		js_null(o);
	js_key(o, "snapshots");
	js_uint(o, x->snapshots);
	js_key(o, "memory_bytes");
	if (x->pid && hutch_listed_memory(x, &memory, NULL) == 0)
		js_uint(o, memory);
	else
		js_null(o);
	js_close(o, '}');
}

static int print_json(const struct hutch_listed *v, size_t n)
{
	auto_buf struct buf b = BUF_INIT(64 << 20);
	struct js_out o = {.b = &b};

	js_open(&o, '[');
	for (size_t i = 0; i < n; i++)
		print_one_json(&o, &v[i]);
	js_close(&o, ']');
	if (buf_bad(&b) || o.bad)
		return cli_fail("too many, or a path that is not UTF-8");
	puts(b.data);
	return 0;
}

static void print_table(const struct hutch_listed *v, size_t n)
{
	printf("%-24s %-8s %-8s %-5s %-9s %-8s %s\n", "NAME", "STATE", "PID", "AGE", "SNAPSHOTS", "MEMORY", "ROOT");
	for (size_t i = 0; i < n; i++) {
		char pid[16] = "-";

		if (v[i].pid)
			snprintf(pid, sizeof(pid), "%d", v[i].pid);
		printf("%-24s %-8s %-8s ", v[i].name, living_state(&v[i]), pid);
		print_age(v[i].started);
		printf("%-9u ", v[i].snapshots);
		print_memory(&v[i]);
		puts(*v[i].root ? v[i].root : "-");
	}
}

static int help(const struct opt *own)
{
	auto_buf struct buf text = BUF_INIT(1 << 16);

	buf_str(&text, "usage: hutch ps [-a] [-q] [--json]\n\n");
	opt_help(&text, own, NULL, 80);
	fputs(text.data, stdout);
	return 0;
}

int cli_ps(int argc, char **argv)
{
	bool all = false, names = false, json = false, wants_help = false;
	const struct opt own[] = {
		{.name = "all", .letter = 'a', .on = &all, .help = "stopped and dead ones too"},
		{.name = "quiet", .letter = 'q', .on = &names, .help = "names only"},
		{.name = "json", .on = &json, .help = "a list of objects"},
		{.name = "help", .on = &wants_help, .help = "this"},
		{0},
	};
	auto_free struct hutch_listed *v = NULL;
	struct opt_rest rest;
	struct err e = {0};
	size_t n = 0, kept = 0;

	(void)argc;
	if (opt_parse(argv + 1, own, NULL, &rest, &e) < 0)
		return cli_fail(e.msg);
	if (wants_help)
		return help(own);
	if (rest.n) {
		err_set(&e, ERR_INVALID, "ps takes no words, but '%s' was given", rest.words[0]);
		return cli_fail(e.msg);
	}
	if (living_list(&v, &n, &e) < 0)
		return cli_fail(e.msg);
	for (size_t i = 0; i < n; i++)
		if (all || v[i].alive)
			v[kept++] = v[i];
	qsort(v, kept, sizeof(*v), by_name);
	if (json)
		return print_json(v, kept);
	if (!names)
		print_table(v, kept);
	for (size_t i = 0; names && i < kept; i++)
		puts(v[i].name);
	return 0;
}
