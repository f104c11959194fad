/* SPDX-License-Identifier: Apache-2.0
 *
 * cleanup.c - hutch cleanup: remove what killed sandboxes left
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/opt.h"

int cli_cleanup(int argc, char **argv)
{
	struct hutch_open_options opts = {.size = sizeof(opts), .flags = HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE};
	bool help = false;
	const struct opt own[] = {{.name = "help", .on = &help, .help = "this"}, {0}};
	struct hutch_error why;
	struct opt_rest rest;
	struct err e = {0};
	struct hutch *h;
	int r;

	(void)argc;
	if (opt_parse(argv + 1, own, NULL, &rest, &e) < 0)
		return cli_fail(e.msg);
	if (help) {
		puts("usage: hutch cleanup\n\nRemove at once what sandboxes left whose process was "
		     "killed.");
		return 0;
	}
	if (rest.n)
		return cli_fail("cleanup takes no words");
	if (hutch_open(&opts, &h, &why) < 0)
		return cli_fail(why.message);
	r = hutch_cleanup(h, -1, &why);
	hutch_close(h);
	return r < 0 ? cli_fail(why.message) : 0;
}
