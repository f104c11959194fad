/* SPDX-License-Identifier: Apache-2.0
 *
 * cp.c - hutch cp: files and trees between the host and a living sandbox
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "cli/cli.h"
#include "cli/living.h"
#include "cli/opt.h"

static const char usage[] =
	"usage: hutch cp [OPTION...] NAME:PATH HOST_PATH\n"
	"       hutch cp [OPTION...] HOST_PATH NAME:PATH\n\n"
	"Copy a file or a directory out of a sandbox, or into it.\n\n"
	"  -L, --follow-link  where the source is a symbolic link, copy what it leads to\n"
	"  -q, --quiet        no remark on what is left out\n";

/* "NAME:PATH" of a sandbox; a host path with a colon begins with / or ./, as for docker cp. */
static bool is_inside(const char *word)
{
	const char *colon = strchr(word, ':'), *slash = strchr(word, '/');

	return colon && colon > word && *word != '.' && (!slash || colon < slash);
}

/* Splits it; relative paths are from the root. */
static int split(const char *word, char **ret_name, char **ret_path, struct err *e)
{
	const char *colon = strchr(word, ':'), *path = colon + 1;

	*ret_name = strndup(word, (size_t)(colon - word));
	if (!*ret_name || asprintf(ret_path, "%s%s", *path == '/' ? "" : "/", path) < 0) {
		*ret_path = NULL;
		return err_oom(e);
	}
	return 0;
}

static int copy(char **w, unsigned flags, long *ret_left_out, struct err *e)
{
	bool out = is_inside(w[0]);
	auto_free char *name = NULL, *path = NULL;
	struct living l = {0};
	struct hutch_error why;
	int r;

	if (out == is_inside(w[1]))
		return err_set(e, ERR_INVALID,
			       out ? "both '%s' and '%s' are in sandboxes; one must be on the host" :
				     "neither '%s' nor '%s' names a sandbox (NAME:PATH)",
			       w[0], w[1]);
	if (strcmp(w[out ? 1 : 0], "-") == 0) /* an archive, to docker cp */
		return err_set(e, ERR_UNSUPPORTED,
			       "'-': archives on standard %s are not in this version; `hutch exec%s NAME tar ...` goes, and a file of that name "
			       "is ./-", out ? "output" : "input", out ? "" : " -i");
	r = split(w[out ? 0 : 1], &name, &path, e);
	if (r == 0)
		r = living_open(&l, name, e);
	if (r < 0)
		return r;
	r = out ? hutch_copy_out(l.box, path, w[1], flags, &why) : hutch_copy_in(l.box, w[0], path, flags, &why);
	*ret_left_out = r;
	if (r < 0)
		r = cli_carry(&why, e);
	living_close(&l);
	return r;
}

int cli_cp(int argc, char **argv)
{
	bool help = false, follow = false, quiet = false;
	const struct opt own[] = {{.name = "help", .on = &help},
				  {.name = "follow-link", .letter = 'L', .on = &follow},
				  {.name = "quiet", .letter = 'q', .on = &quiet},
				  {0}};
	struct opt_rest rest;
	struct err e = {0};
	long left_out = 0;

	(void)argc;
	if (opt_parse(argv + 1, own, NULL, &rest, &e) < 0)
		return cli_fail(e.msg);
	if (help) {
		fputs(usage, stdout);
		return 0;
	}
	if (rest.n != 2)
		return cli_fail("a source and a destination are needed: hutch cp NAME:PATH HOST_PATH, or the other way");
	if (copy(rest.words, follow ? HUTCH_COPY_FOLLOW : 0, &left_out, &e) < 0)
		return cli_fail(e.msg);
	if (left_out && !quiet)
		fprintf(stderr, "hutch: %ld sockets and devices were left out\n", left_out);
	return 0;
}
