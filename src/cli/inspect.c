/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect.c - hutch inspect: all that is known of a sandbox, as JSON
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "cli/cli.h"
#include "cli/living.h"
#include "cli/opt.h"

static int add_spec(const struct hutch_listed *x, struct js_out *o, struct err *e)
{
	auto_free char *json = NULL;
	struct hutch_error why;
	struct living l = {0};
	int r = 0;

	js_key(o, "spec");
	/* One that belongs to a program answers to that alone. */
	if (!x->detached) {
		js_null(o);
		return 0;
	}
	r = living_hutch(&l.hutch, e);
	if (r < 0) {
		js_null(o);
		return r;
	}
	r = hutch_stopped_spec(l.hutch, x->name, &json, &why);
	if (r == HUTCH_E_NOT_FOUND) { /* of `run -d --rm`: it has no record, and no paths of the host are told */
		r = hutch_box_attach(l.hutch, x->name, &l.box, &why);
		if (r == 0)
			r = hutch_spec_to_json(hutch_box_spec(l.box), &json, &why);
	}
	if (r < 0) {
		r = cli_carry(&why, e);
		js_null(o);
	} else {
		js_raw(o, json);
	}
	living_close(&l);
	return r;
}

static int add(const struct hutch_listed *x, struct js_out *o, struct err *e)
{
	int r;

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
	js_key(o, "snapshots");
	js_uint(o, x->snapshots);
	r = add_spec(x, o, e);
	js_close(o, '}');
	return r;
}

static const struct hutch_listed *find(const struct hutch_listed *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].name, name))
			return &v[i];
	return NULL;
}

/* Each in turn; all are tried, the first failure decides. */
static int all_of(char **names, const struct hutch_listed *v, size_t n, struct js_out *o)
{
	int status = 0;

	js_open(o, '[');
	for (; *names; names++) {
		const struct hutch_listed *x = find(v, n, *names);
		struct err e = {0};

		if (!x)
			err_set(&e, ERR_NOT_FOUND, "sandbox '%s': no sandbox has the name '%s'", *names, *names);
		else
			(void)add(x, o, &e);
		if (e.code)
			status = cli_fail(e.msg);
	}
	js_close(o, ']');
	return status;
}

int cli_inspect(int argc, char **argv)
{
	auto_buf struct buf text = BUF_INIT(64 << 20);
	struct js_out o = {.b = &text};
	bool help = false;
	const struct opt own[] = {{.name = "help", .on = &help}, {0}};
	auto_free struct hutch_listed *v = NULL;
	struct opt_rest rest;
	struct err e = {0};
	size_t n = 0;
	int status;

	(void)argc;
	if (opt_parse(argv + 1, own, NULL, &rest, &e) < 0)
		return cli_fail(e.msg);
	if (help) {
		fputs("usage: hutch inspect NAME...\n\nAll that is known of sandboxes, as an array of JSON objects.\n",
		      stdout);
		return 0;
	}
	if (!rest.n)
		return cli_fail("no name was given");
	if (living_list(&v, &n, &e) < 0)
		return cli_fail(e.msg);
	status = all_of(rest.words, v, n, &o);
	if (buf_bad(&text) || o.bad)
		return cli_fail("too much, or a value that is not UTF-8");
	puts(text.data);
	return status;
}
