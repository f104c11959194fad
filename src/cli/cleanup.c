/* SPDX-License-Identifier: Apache-2.0
 *
 * cleanup.c - hutch cleanup: remove what killed sandboxes left, or all there are
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/own.h"
#include "cli/cli.h"
#include "cli/living.h"
#include "cli/opt.h"

static int end_one(struct hutch *h, const struct hutch_listed *x, struct err *e)
{
	struct hutch_error why;
	struct hutch_box *box;
	int r;

	if (!x->alive) {
		r = hutch_remove(h, x->name, &why);
		return r < 0 && r != HUTCH_E_NOT_FOUND ? cli_carry(&why, e) : 0; /* somebody was quicker */
	}
	r = hutch_box_attach(h, x->name, &box, &why);
	if (r == 0)
		r = hutch_box_delete(box, &why);
	return r < 0 && r != HUTCH_E_NOT_FOUND ? cli_carry(&why, e) : 0;
}

static int end_all(struct hutch *h)
{
	auto_free struct hutch_listed *v = NULL;
	struct hutch_error why;
	int status = 0;
	size_t n = 0;

	if (hutch_list(h, &v, &n, &why) < 0)
		return cli_fail(why.message);
	for (size_t i = 0; i < n; i++) {
		struct err e = {0};

		if (end_one(h, &v[i], &e) < 0)
			status = cli_fail(e.msg);
	}
	return status;
}

int cli_cleanup(int argc, char **argv)
{
	bool help = false, all = false;
	const struct opt own[] = {
		{.name = "all", .on = &all, .help = "end and remove all sandboxes, running and stopped, first"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	struct hutch_error why;
	struct opt_rest rest;
	struct err e = {0};
	struct hutch *h;
	int status = 0;

	(void)argc;
	if (opt_parse(argv + 1, own, NULL, &rest, &e) < 0)
		return cli_fail(e.msg);
	if (help) {
		auto_buf struct buf text = BUF_INIT(1 << 16);

		buf_str(&text, "usage: hutch cleanup [--all]\n\nRemove at once what sandboxes left whose process was "
			       "killed.\n\n");
		opt_help(&text, own, NULL, 80);
		fputs(text.data, stdout);
		return 0;
	}
	if (rest.n)
		return cli_fail("cleanup takes no words");
	if (living_hutch(&h, &e) < 0)
		return cli_fail(e.msg);
	if (all)
		status = end_all(h);
	if (hutch_cleanup(h, -1, &why) < 0)
		status = cli_fail(why.message);
	hutch_close(h);
	return status;
}
