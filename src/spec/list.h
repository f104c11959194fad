/* SPDX-License-Identifier: Apache-2.0
 *
 * list.h - a growing list of strings that owns them
 *
 * v[n] is NULL whenever v is not, so that a list serves as an argv.
 */
#ifndef HUTCH_SPEC_LIST_H
#define HUTCH_SPEC_LIST_H

#include <stdbool.h>

#include "base/own.h"
#include "spec/spec.h"

#define auto_list auto_with(spec_list_done)

void spec_list_done(struct spec_list *l); /* frees all; an empty list afterwards */

/* All return false when there is no memory; the list is then as before. */
bool spec_list_reserve(struct spec_list *l, size_t n); /* room for @n strings in all */
bool spec_list_add(struct spec_list *l, char *taken);  /* frees @taken on failure; NULL is one */
bool spec_list_add_copy(struct spec_list *l, const char *s);
bool spec_list_copy(struct spec_list *to, const struct spec_list *from); /* @to is overwritten */

/* @at up to n; there must be room (spec_list_reserve()). */
void spec_list_insert(struct spec_list *l, size_t at, char *taken);
void spec_list_remove(struct spec_list *l, size_t at, size_t count);

#endif
