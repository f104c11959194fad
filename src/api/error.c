/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c - failures on their way out
 */
#include "api/api.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(sizeof(struct hutch_error) == sizeof(struct err), "one struct");
static_assert(offsetof(struct hutch_error, code) == offsetof(struct err, code), "one struct");
static_assert(offsetof(struct hutch_error, sys_errno) == offsetof(struct err, sys), "one struct");
static_assert(offsetof(struct hutch_error, message) == offsetof(struct err, msg), "one struct");
static_assert((int)HUTCH_E_SYSTEM == (int)ERR_SYSTEM, "one list of codes");
static_assert((int)HUTCH_E_NOMEM == (int)ERR_NOMEM, "one list of codes");
static_assert((int)HUTCH_E_INVALID == (int)ERR_INVALID, "one list of codes");
static_assert((int)HUTCH_E_NOT_FOUND == (int)ERR_NOT_FOUND, "one list of codes");
static_assert((int)HUTCH_E_EXISTS == (int)ERR_EXISTS, "one list of codes");
static_assert((int)HUTCH_E_PERMISSION == (int)ERR_PERMISSION, "one list of codes");
static_assert((int)HUTCH_E_UNSUPPORTED == (int)ERR_UNSUPPORTED, "one list of codes");
static_assert((int)HUTCH_E_BUSY == (int)ERR_BUSY, "one list of codes");
static_assert((int)HUTCH_E_TIMEOUT == (int)ERR_TIMEOUT, "one list of codes");
static_assert((int)HUTCH_E_DIED == (int)ERR_DIED, "one list of codes");
static_assert((int)HUTCH_E_LIMIT == (int)ERR_LIMIT, "one list of codes");
static_assert((int)HUTCH_E_CANNOT_EXEC == (int)ERR_CANNOT_EXEC, "one list of codes");
static_assert((int)HUTCH_E_STATE == (int)ERR_STATE, "one list of codes");
static_assert((int)HUTCH_E_INTERNAL == (int)ERR_INTERNAL, "one list of codes");
static_assert((int)HUTCH_E_NO_COMMAND == (int)ERR_NO_COMMAND, "one list of codes");

int api_give(int r, const struct err *e, struct hutch_error *ret)
{
	if (r < 0 && ret) {
		ret->code = e->code;
		ret->sys_errno = e->sys;
		memcpy(ret->message, e->msg, sizeof(ret->message));
	}
	return r;
}

int api_missing(const char *what, struct hutch_error *ret)
{
	struct err e = {0};

	return api_give(err_set(&e, ERR_INVALID, "no %s was given", what), &e, ret);
}

int api_check_flags(unsigned flags, unsigned known, struct err *e)
{
	if (flags & ~known)
		return err_set(e, ERR_INVALID, "0x%x: no flags of this call in this version", flags & ~known);
	return 0;
}

size_t api_count(const char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}
