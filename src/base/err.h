/* SPDX-License-Identifier: Apache-2.0
 *
 * err.h - one failure, as a flat value
 *
 * Filled where it fails, prefixed on the way up, printed once. Of fixed size, so that it can be
 * filled in a fresh child and crosses the wire as it is.
 */
#ifndef HUTCH_BASE_ERR_H
#define HUTCH_BASE_ERR_H

#include <stdarg.h>

/* The codes of include/hutch.h (HUTCH_E_*), which api/ ties to these by static_assert. */
enum err_code {
	ERR_SYSTEM = -1,      /* a system call failed; errno is in sys */
	ERR_NOMEM = -2,       /* out of memory */
	ERR_INVALID = -3,     /* bad argument or field */
	ERR_NOT_FOUND = -4,   /* a file, image, command or sandbox that is not there */
	ERR_EXISTS = -5,      /* a name that is taken */
	ERR_PERMISSION = -6,  /* the caller may not */
	ERR_UNSUPPORTED = -7, /* this host or this version cannot give what was asked */
	ERR_BUSY = -8,        /* in use by somebody else */
	ERR_TIMEOUT = -9,     /* a deadline passed */
	ERR_DIED = -10,       /* the sandbox or its keeper is gone */
	ERR_LIMIT = -11,      /* too many, too long, disk full */
	ERR_CANNOT_EXEC = -12,/* the command is there and cannot be executed */
	ERR_STATE = -13,      /* not in a state in which this can be done */
	ERR_INTERNAL = -14,   /* a mistake of hutch itself */
	ERR_NO_COMMAND = -15, /* the command is not in the sandbox */
};

struct err {
	int code;      /* enum err_code */
	int sys;       /* errno of the failing call; 0: no call was involved */
	char msg[480]; /* outermost step first: "start 'ab': open '/x': No such file" */
};

/* Each fills @e (may be NULL) and returns the negative code, so reporting and leaving are one
 * statement. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), nonnull(3)));
int err_sys(struct err *e, int sys, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), nonnull(3)));
int err_oom(struct err *e);

/* Puts "@fmt: " in front of the message that @e holds. Return: the code of @e. */
int err_wrap(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), nonnull(2)));

/* The code that stands for an errno. */
enum err_code err_code_of(int sys);

#endif
