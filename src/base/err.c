/* SPDX-License-Identifier: Apache-2.0
 *
 * err.c - fill, prefix and carry a struct err
 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum err_code err_code_of(int sys)
{
	switch (sys) {
	case ENOMEM:
		return ERR_NOMEM;
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case ENOSYS:
	case EOPNOTSUPP:
		return ERR_UNSUPPORTED;
	case EBUSY:
		return ERR_BUSY;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
	case ENFILE:
	case E2BIG:
	case ETOOMANYREFS:
		return ERR_LIMIT;
	default:
		return ERR_SYSTEM;
	}
}

/* C libraries say of a full user's quota of descriptors in sent messages (unix(7)) that references cannot be spliced, or nothing. */
static const char *text_of(int sys)
{
	return sys == ETOOMANYREFS ? "too many descriptors of this user are on their way between processes (ulimit -n)" : strerror(sys);
}

__attribute__((format(printf, 4, 0))) static void fill(struct err *e, int code, int sys,
							const char *fmt, va_list ap)
{
	int n;

	e->code = code;
	e->sys = sys;
	n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	if (sys && n >= 0 && (size_t)n < sizeof(e->msg))
		snprintf(e->msg + n, sizeof(e->msg) - (size_t)n, ": %s", text_of(sys));
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	fill(e, code, 0, fmt, ap);
	va_end(ap);
	return code;
}

int err_sys(struct err *e, int sys, const char *fmt, ...)
{
	enum err_code code;
	va_list ap;

	if (sys < 0)
		sys = -sys;
	code = err_code_of(sys);
	if (!e)
		return code;
	va_start(ap, fmt);
	fill(e, code, sys, fmt, ap);
	va_end(ap);
	return code;
}

int err_oom(struct err *e)
{
	return err_set(e, ERR_NOMEM, "out of memory");
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	va_list ap;
	int n;

	if (!e)
		return ERR_INTERNAL;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->msg) - 2)
		snprintf(e->msg + n, sizeof(e->msg) - (size_t)n, ": %.*s",
			 (int)(sizeof(e->msg) - (size_t)n - 3), old);
	return e->code;
}
