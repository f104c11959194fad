/* SPDX-License-Identifier: Apache-2.0
 *
 * opt.h - the words of a command line, and the help about them
 *
 * A command has a table of options of its own, says where each goes, and may have the fields of a
 * spec as options besides:
 *
 *	const char *cidfile = NULL, *json = NULL;
 *	bool quiet = false;
 *	const struct opt own[] = {
 *		{.name = "cidfile", .text = &cidfile, .value = "FILE", .help = "write the id to
 *FILE"},
 *		{.name = "json", .maybe = &json, .value = "FD", .help = "say the end as JSON"},
 *		{.name = "net", .same_as = "network"},
 *		{.name = "quiet", .letter = 'q', .on = &quiet, .help = "say nothing"},
 *		{.name = "pull", .value = "WHEN", .help = "accepted"},
 *		{0},
 *	};
 *	struct opt_fields fields = {.set = opt_set_spec, .ctx = spec};
 *	struct opt_rest rest;
 *
 *	fields.n = hutch_fields(&fields.v);
 *	r = opt_parse(argv + 1, own, &fields, &rest, e);
 *
 * Words are read as GNU's programs and Docker do: --name VALUE, --name=VALUE, -n VALUE, -nVALUE,
 * -n=VALUE, switches in one cluster (-it), --switch=false. The first word that is no option ends
 * them, and so does "--".
 */
#ifndef HUTCH_CLI_OPT_H
#define HUTCH_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "hutch.h"

/* One option of a command's own. What it takes follows from where it goes; with none of the four
 * it is accepted and means nothing, with `value` it then takes one. */
struct opt {
	const char *name;    /* long, without dashes; NULL ends a table */
	char letter;	     /* 0: none */
	bool *on;	     /* a switch: --name, --name=false */
	const char **text;   /* --name VALUE, the last one counts. Borrowed from argv */
	const char **maybe;  /* --name is "", --name=VALUE is VALUE */
	const char *same_as; /* another name for the long option so called */
	const char *value;   /* "FILE", in the help */
	const char *help;    /* NULL: not in the help */
};

/* Fields of a spec that are options too. Those of the command's own go before them. */
struct opt_fields {
	const struct hutch_field *v;
	size_t n;
	/* @text is "true" for a switch alone. */
	int (*set)(void *ctx, const struct hutch_field *f, const char *text, struct err *e);
	void *ctx;
};

struct opt_rest {
	char **words; /* the first word behind the options, in argv: NULL-terminated */
	size_t n;
	bool dashes; /* "--" ended the options */
};

/* @argv is NULL-terminated and without the command's name; @fields may be NULL. On failure (one
 * line, with the nearest name for an unknown one) options before it have taken effect. */
int opt_parse(char **argv, const struct opt *own, const struct opt_fields *fields,
	      struct opt_rest *ret, struct err *e);

/* Two columns, @width wide; fields of later versions are left out. */
void opt_help(struct buf *to, const struct opt *own, const struct opt_fields *fields,
	      unsigned width);

/* For opt_fields.set: @spec is a struct hutch_spec. As in Docker the last --entrypoint counts.
 * In opt_spec.c. */
int opt_set_spec(void *spec, const struct hutch_field *f, const char *text, struct err *e);

#endif
