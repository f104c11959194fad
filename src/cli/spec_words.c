/* SPDX-License-Identifier: Apache-2.0
 *
 * spec_words.c - what `run` and `create` share: a spec from words
 */
#include "cli/spec_words.h"

#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "cli/cli.h"

int spec_words_set(struct hutch_spec *spec, const char *field, const char *text, struct err *e)
{
	struct hutch_error why;

	return hutch_spec_set(spec, field, text, &why) < 0 ? cli_carry(&why, e) : 0;
}

bool spec_words_is_set(struct hutch_spec *spec, const char *field)
{
	auto_free char *text = NULL;

	return hutch_spec_get(spec, field, &text, NULL) == 0 && *text && strcmp(text, "false") &&
	       strcmp(text, "[]");
}

bool spec_words_has(struct hutch_spec *spec, const char *list)
{
	const char *const *items;
	size_t n = 0;

	return hutch_spec_list(spec, list, &items, &n, NULL) == 0 && n > 0;
}

bool spec_words_has_root(struct hutch_spec *spec)
{
	return spec_words_is_set(spec, "rootfs") || spec_words_is_set(spec, "host") ||
	       spec_words_is_set(spec, "image");
}

void spec_words_help(const char *usage, const struct opt *own, const struct opt_fields *fields)
{
	auto_buf struct buf text = BUF_INIT(1 << 20);

	buf_str(&text, usage);
	opt_help(&text, own, fields, 80);
	if (text.data)
		fputs(text.data, stdout);
}

int spec_words_usage(const char *usage, const struct opt *own)
{
	spec_words_help(usage, own, NULL);
	return 0;
}
