/* SPDX-License-Identifier: Apache-2.0
 *
 * create.c - hutch create: a sandbox that lives until it is removed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "cli/cli.h"
#include "cli/opt.h"
#include "cli/preset_words.h"
#include "cli/spec_words.h"

struct create {
	bool quiet, help;
	struct preset_words preset;
	struct opt_rest rest;
	struct hutch_spec *spec;
};

/* What is said of one command means nothing to a sandbox that lives without one. */
static int refuse_for_commands(struct hutch_spec *spec, struct err *e)
{
	static const char *const fields[] = {"timeout", "tty", "interactive"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (spec_words_is_set(spec, fields[i]))
			return err_set(e, ERR_INVALID,
				       "--%s is for one command; give it to `hutch exec`", fields[i]);
	if (spec_words_has(spec, "entrypoint") && !spec_words_is_set(spec, "shell_entrypoint"))
		return err_set(e, ERR_INVALID, "--entrypoint is for `hutch run`: create runs no command (with "
			       "--shell-entrypoint it is for the shells of sessions)");
	return 0;
}

/* The time of a preset, too, is one command's. It is told, as nobody typed it. */
static int preset(struct create *c, struct err *e)
{
	auto_free char *seconds = NULL;
	struct hutch_error why;
	int r = preset_words(c->spec, &c->preset, c->quiet, e);

	if (r < 0 || !c->preset.text)
		return r;
	if (hutch_spec_get(c->spec, "timeout", &seconds, &why) < 0 ||
	    hutch_spec_clear(c->spec, "timeout", &why) < 0)
		return cli_carry(&why, e);
	if (*seconds && !c->quiet)
		fprintf(stderr, "hutch: the preset's time is for one command: give --timeout %s to `hutch exec`\n",
			seconds);
	return 0;
}

/* Behind the options, or by --name; both where they say the same. */
static int set_name(struct hutch_spec *spec, const char *name, struct err *e)
{
	auto_free char *before = NULL;
	struct hutch_error why;

	if (hutch_spec_get(spec, "name", &before, &why) < 0)
		return cli_carry(&why, e);
	if (*before && strcmp(before, name))
		return err_set(e, ERR_INVALID, "one name, not --name '%s' and '%s'", before, name);
	return spec_words_set(spec, "name", name, e);
}

static int parse(struct create *c, char **argv, struct err *e)
{
	const struct opt own[] = {
		{.name = "quiet", .letter = 'q', .on = &c->quiet, .help = "no remarks on stderr"},
		PRESET_OPTIONS(&c->preset),
		{.name = "help", .on = &c->help, .help = "this"},
		{0},
	};
	struct opt_fields fields = {.set = opt_set_spec, .ctx = c->spec};
	int code;

	fields.n = hutch_fields(&fields.v);
	code = opt_parse(argv + 1, own, &fields, &c->rest, e);
	if (code == 0 && c->help)
		spec_words_help("usage: hutch create [OPTION...] --rootfs DIR NAME\n"
				"       hutch create [OPTION...] --host NAME\n\n"
				"Make a sandbox that lives until `hutch rm NAME`.\n\n",
				own, &fields);
	if (code < 0 || c->help)
		return code;
	if (c->rest.n > 1)
		return err_set(e, ERR_INVALID, "one name, not '%s' too", c->rest.words[1]);
	if (c->rest.n == 1)
		code = set_name(c->spec, c->rest.words[0], e);
	if (code == 0)
		code = refuse_for_commands(c->spec, e);
	if (code == 0 && !spec_words_has_root(c->spec))
		code = err_set(e, ERR_INVALID, "no root file system; give --rootfs DIR, or --host");
	if (code == 0)
		code = preset(c, e);
	return code;
}

static int create(struct create *c, struct err *e)
{
	struct hutch_open_options open_opts = {.size = sizeof(open_opts),
					       .flags = HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE,
					       .like = c->spec};
	struct hutch_start_options start_opts = {.size = sizeof(start_opts),
						 .flags = HUTCH_START_DETACHED};
	struct hutch_error why;
	struct hutch_box *box;
	struct hutch *h;
	int r;

	if (hutch_open(&open_opts, &h, &why) < 0)
		return cli_carry(&why, e);
	r = hutch_box_start(h, c->spec, &start_opts, &box, &why);
	if (r == 0) {
		if (*hutch_box_remark(box) && !c->quiet)
			fprintf(stderr, "hutch: %s\n", hutch_box_remark(box));
		puts(hutch_box_name(box));
		hutch_box_close(box);
	}
	hutch_close(h);
	return r < 0 ? cli_carry(&why, e) : 0;
}

int cli_create(int argc, char **argv)
{
	struct create c = {0};
	struct hutch_error why;
	struct err e = {0};
	int r;

	(void)argc;
	if (hutch_spec_new(&c.spec, &why) < 0)
		return cli_fail(why.message);
	r = parse(&c, argv, &e);
	if (r == 0 && !c.help)
		r = create(&c, &e);
	hutch_spec_free(c.spec);
	return r < 0 ? cli_fail(e.msg) : 0;
}
