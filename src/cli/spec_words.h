/* SPDX-License-Identifier: Apache-2.0
 *
 * spec_words.h - what `run` and `create` share: a spec from words
 */
#ifndef HUTCH_CLI_SPEC_WORDS_H
#define HUTCH_CLI_SPEC_WORDS_H

#include <stdbool.h>

#include "base/err.h"
#include "cli/opt.h"
#include "hutch.h"

int spec_words_set(struct hutch_spec *spec, const char *field, const char *text, struct err *e);
bool spec_words_is_set(struct hutch_spec *spec, const char *field);
/* Has a list field an element? Its words may be any bytes. */
bool spec_words_has(struct hutch_spec *spec, const char *list);
/* Was --rootfs, --host or an image given? */
bool spec_words_has_root(struct hutch_spec *spec);

/* @usage, then the command's own options and the fields of a spec. */
void spec_words_help(const char *usage, const struct opt *own, const struct opt_fields *fields);
/* Of a command without fields. Return: 0. */
int spec_words_usage(const char *usage, const struct opt *own);

#endif
