/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.c - the table of fields.def, and how one is found
 */
#include "spec/fields.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct hutch_field fields[] = {
#define FIELD(field_name, id, field_type, field_unit, long_flag, letter, looks, version, line) \
	[SPEC_F_##id] = {.name = (field_name),                                                 \
			 .flag = (long_flag),                                                  \
			 .short_flag = (letter),                                               \
			 .type = HUTCH_FIELD_##field_type,                                     \
			 .unit = (field_unit),                                                 \
			 .value = (looks),                                                     \
			 .since = (version),                                                   \
			 .help = (line)},
#include "spec/fields.def"
#undef FIELD
};

_Static_assert(sizeof(fields) / sizeof(*fields) == SPEC_NFIELDS, "one row per id");

size_t spec_fields(const struct hutch_field **ret)
{
	*ret = fields;
	return SPEC_NFIELDS;
}

const struct hutch_field *spec_field(enum spec_field_id id)
{
	return &fields[id];
}

int spec_field_find(const char *name, struct err *e)
{
	struct str_near near = {.word = name};
	const char *best;

	for (int i = 0; i < SPEC_NFIELDS; i++)
		if (strcmp(fields[i].name, name) == 0)
			return i;
	/* The flag's name is meant as often as the field's is mistyped. */
	for (int i = 0; i < SPEC_NFIELDS; i++) {
		str_near_try(&near, fields[i].name, fields[i].name);
		if (fields[i].flag)
			str_near_try(&near, fields[i].flag, fields[i].name);
	}
	best = str_near_best(&near);
	if (best)
		return err_set(e, ERR_INVALID, "unknown field '%.80s'; did you mean '%s'?", name,
			       best);
	return err_set(e, ERR_INVALID, "unknown field '%.80s'", name);
}

bool spec_field_is_later(const struct hutch_field *f)
{
	return strcmp(f->since, "later") == 0;
}

const char *spec_field_label(const struct hutch_field *f, char out[SPEC_LABEL_MAX])
{
	if (!f->flag)
		snprintf(out, SPEC_LABEL_MAX, "%s", f->name);
	else if (str_distance(f->flag, f->name) == 0)
		snprintf(out, SPEC_LABEL_MAX, "--%s", f->flag);
	else
		snprintf(out, SPEC_LABEL_MAX, "--%s (%s)", f->flag, f->name);
	return out;
}
