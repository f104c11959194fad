/* SPDX-License-Identifier: Apache-2.0
 *
 * opt_spec.c - an option that is a field of a spec, handed to the library
 */
#include "cli/opt.h"

#include <stdio.h>
#include <string.h>

static int carry(const struct hutch_error *from, struct err *e)
{
	if (e) {
		e->code = from->code;
		e->sys = from->sys_errno;
		snprintf(e->msg, sizeof(e->msg), "%s", from->message);
	}
	return from->code;
}

int opt_set_spec(void *spec, const struct hutch_field *f, const char *text, struct err *e)
{
	struct hutch_error why = {0};

	/* A list for the library, one word for `docker run`: the last one counts. */
	if (strcmp(f->name, "entrypoint") == 0 && hutch_spec_clear(spec, f->name, &why) < 0)
		return carry(&why, e);
	if (hutch_spec_set(spec, f->name, text, &why) < 0)
		return carry(&why, e);
	return 0;
}
