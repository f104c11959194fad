/* SPDX-License-Identifier: Apache-2.0
 *
 * preset.h - a whole set of fields by one name
 */
#ifndef HUTCH_SPEC_PRESET_H
#define HUTCH_SPEC_PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "hutch.h"
#include "spec/spec.h"

/* All presets, in the order of the alphabet; static. Return: how many there are. */
size_t spec_presets(const struct hutch_preset **ret);

/* "agent_executor", "agent-executor", "AgentExecutor". Else ERR_INVALID, naming the nearest one. */
int spec_preset_find(const char *name, const struct hutch_preset **ret, struct err *e);

/* Fills in what the preset says and @s does not say yet. Its fields of a later version are an
 * error, unless @without: then they are left out and named in *ret_left_out, "limits.memory=4g, …",
 * "" for none, which is the caller's to free. On failure the spec is as before. */
int spec_preset(struct spec *s, const char *name, const char *const *paths, size_t npaths,
		bool without, char **ret_left_out, struct err *e);

#endif
