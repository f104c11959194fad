/* SPDX-License-Identifier: Apache-2.0
 *
 * preset_words.h - --preset and --without-limits of `run` and `create`
 */
#ifndef HUTCH_CLI_PRESET_WORDS_H
#define HUTCH_CLI_PRESET_WORDS_H

#include <stdbool.h>

#include "base/err.h"
#include "cli/opt.h"
#include "hutch.h"

struct preset_words {
	const char *text; /* "NAME=PATH"; NULL: not given */
	bool without;
};

/* Their rows of a command's own options. */
/* clang-format off */
#define PRESET_OPTIONS(p) \
	{.name = "preset", .text = &(p)->text, .value = "NAME=PATH", \
	 .help = "a whole set of options by a name: agent_executor=DIR, code_judge=PATH, " \
		 "data_analysis=INPUT:OUTPUT, interactive=DIR"}, \
	{.name = "without-limits", .on = &(p)->without, \
	 .help = "--preset: do without those of its limits that this version cannot enforce"}
/* clang-format on */

/* Fills in @spec what --preset says, when all other options are in it. What is left out is told on
 * standard error unless @quiet. */
int preset_words(struct hutch_spec *spec, const struct preset_words *p, bool quiet, struct err *e);

#endif
