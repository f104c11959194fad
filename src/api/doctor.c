/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.c - what this host can do, for the world
 *
 * How it works: box/doctor.c hands over one block; the public checks are the same data under the
 * public names, which the assertions below hold together.
 *
 * Called by: everybody.
 */
#include <stdlib.h>
#include <string.h>

#include "box/doctor.h"
#include "hutch.h"

#define SAME(member)                                                                               \
	_Static_assert(offsetof(struct hutch_check, member) == offsetof(struct box_check, member), \
		       "struct hutch_check is struct box_check")
SAME(name);
SAME(ok);
SAME(level);
SAME(found);
SAME(lost);
SAME(mend);
_Static_assert(sizeof(struct hutch_check) == sizeof(struct box_check), "and nothing more");
_Static_assert((int)HUTCH_CHECK_REQUIRED == (int)BOX_CHECK_REQUIRED &&
		       (int)HUTCH_CHECK_RECOMMENDED == (int)BOX_CHECK_RECOMMENDED &&
		       (int)HUTCH_CHECK_OPTIONAL == (int)BOX_CHECK_OPTIONAL,
	       "levels are the same");

HUTCH_PUBLIC int hutch_doctor(struct hutch_check **ret_checks, size_t *ret_n,
			      struct hutch_error *err)
{
	struct box_check *checks;
	struct err e;
	void *block;
	int r = box_doctor(&checks, ret_n, &e);

	if (r < 0) {
		if (err)
			*err = (struct hutch_error){.code = e.code, .sys_errno = e.sys};
		if (err)
			memcpy(err->message, e.msg, sizeof(err->message));
		return r;
	}
	block = checks;
	*ret_checks = block;
	return 0;
}

HUTCH_PUBLIC void hutch_doctor_free(struct hutch_check *checks)
{
	free(checks);
}
