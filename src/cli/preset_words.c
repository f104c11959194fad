/* SPDX-License-Identifier: Apache-2.0
 *
 * preset_words.c - --preset and --without-limits of `run` and `create`
 *
 * How it works: the word is cut into a name and paths, as many as the preset takes, and handed to
 * the library. A preset of one path takes all that follows "=", so that there may be a ":" in it.
 */
#include "cli/preset_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"

enum { PATHS_MAX = 4 }; /* more than any preset takes */

/* Cuts @text, which is the caller's, in place. */
static size_t cut(char *text, size_t want, const char **ret_paths)
{
	size_t n = 1;

	ret_paths[0] = text;
	if (want > 1)
		for (char *colon = strchr(text, ':'); colon && n < PATHS_MAX;
		     colon = strchr(colon, ':')) {
			*colon++ = '\0';
			ret_paths[n++] = colon;
		}
	return n;
}

static int ask(struct hutch_spec *spec, const struct preset_words *p, char *name, bool quiet,
	       struct err *e)
{
	unsigned flags = p->without ? HUTCH_PRESET_WITHOUT_LIMITS : 0;
	const char *paths[PATHS_MAX];
	const struct hutch_preset *preset;
	struct hutch_error why;
	auto_free char *left = NULL;
	char *text = strchr(name, '=');
	size_t n;

	if (text)
		*text++ = '\0';
	if (hutch_preset_find(name, &preset, &why) < 0)
		return cli_carry(&why, e);
	if (!text)
		return err_set(e, ERR_INVALID, "--preset %s needs a path: %s=%s", preset->name,
			       preset->name, preset->paths);
	n = cut(text, preset->npaths, paths);
	if (hutch_spec_preset(spec, preset->name, paths, n, flags, &left, &why) < 0)
		return cli_carry(&why, e);
	if (*left && !quiet)
		fprintf(stderr, "hutch: preset '%s': not enforced: %s\n", preset->name, left);
	return 0;
}

int preset_words(struct hutch_spec *spec, const struct preset_words *p, bool quiet, struct err *e)
{
	auto_free char *copy = NULL;

	if (!p->text)
		return p->without ? err_set(e, ERR_INVALID, "--without-limits is for --preset") : 0;
	copy = strdup(p->text);
	return copy ? ask(spec, p, copy, quiet, e) : err_oom(e);
}
