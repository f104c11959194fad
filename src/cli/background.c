/* SPDX-License-Identifier: Apache-2.0
 *
 * background.c - a command in a sandbox that nobody of us stays with: hutch run -d, hutch exec -d
 */
#include "cli/background.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

int background_check(const struct foreground *f, struct err *e)
{
	if (f->tty)
		return err_set(e, ERR_UNSUPPORTED, "-t with --detach: not in this version yet; `hutch shell` has a terminal");
	if (f->interactive)
		return err_set(e, ERR_UNSUPPORTED, "-i with --detach: not in this version yet; its input is /dev/null");
	if (f->json)
		return err_set(e, ERR_INVALID, "--json with --detach: how it ends is told by `hutch jobs --json`");
	if (f->preserve)
		return err_set(e, ERR_INVALID, "--preserve-fd cannot be had with --detach");
	return 0;
}

int background_size(const char *text, uint64_t *ret, struct err *e)
{
	static const char units[] = "kmg";
	struct str_span s = {text, strlen(text)};
	uint64_t scale = 1;

	if (s.len > 1 && (s.at[s.len - 1] == 'b' || s.at[s.len - 1] == 'B'))
		s.len--;
	for (int i = 0; i < 3 && s.len; i++)
		if ((s.at[s.len - 1] | 32) == units[i]) {
			scale = 1ull << 10 * (i + 1);
			s.len--;
			break;
		}
	if (!str_decimal(s, scale, 1ull << 40, ret) || !*ret)
		return err_set(e, ERR_INVALID, "--keep '%s' is not a size: 64k, 10m, 1g", text);
	return 0;
}

int background_time(const char *name, const char *text, uint64_t *ret_ms, struct err *e)
{
	struct hutch_spec *spec = NULL;
	struct hutch_error why;
	int r = hutch_spec_new(&spec, &why);

	if (r == 0)
		r = hutch_spec_set(spec, "timeout", text, &why);
	if (r == 0)
		r = hutch_spec_number(spec, "timeout", ret_ms, &why);
	hutch_spec_free(spec);
	if (r < 0)
		return err_set(e, (enum err_code)why.code, "%s '%s' is not a time: 10, 1.5, 200ms, 2m", name, text);
	return 0;
}

int background_start(struct hutch_box *box, const struct hutch_job_options *o, char *ret_id, struct err *e)
{
	struct hutch_error why;

	return hutch_job_start(box, o, ret_id, &why) < 0 ? cli_carry(&why, e) : 0;
}

int background_fail(const struct err *e)
{
	int status = cli_fail(e->msg);

	return e->code == ERR_NO_COMMAND ? 127 : e->code == ERR_CANNOT_EXEC ? 126 : status;
}
