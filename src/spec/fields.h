/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.h - the table of fields.def, and how one is found
 */
#ifndef HUTCH_SPEC_FIELDS_H
#define HUTCH_SPEC_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "hutch.h"

enum spec_field_id {
#define FIELD(name, id, ...) SPEC_F_##id,
#include "spec/fields.def"
#undef FIELD
	SPEC_NFIELDS
};

/* The whole table, in the order of the help; static. Return: how many there are. */
size_t spec_fields(const struct hutch_field **ret);

const struct hutch_field *spec_field(enum spec_field_id id);

/* Return: the enum spec_field_id, or ERR_INVALID, naming the nearest one. */
int spec_field_find(const char *name, struct err *e);

/* Known by name only: "later". */
bool spec_field_is_later(const struct hutch_field *f);

/* "--workdir (working_dir)", "--name", or "image": what a message calls it. */
enum { SPEC_LABEL_MAX = 96 };
const char *spec_field_label(const struct hutch_field *f, char out[SPEC_LABEL_MAX]);

#endif
