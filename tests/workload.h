/* SPDX-License-Identifier: Apache-2.0
 *
 * workload.h - what programs do with a living sandbox, each step with a look at its result
 *
 * Used by soak.c and owner.c. A step is right (0), or a call failed (a negative HUTCH_E_*), or
 * something came that is not what it should be.
 */
#ifndef HUTCH_TESTS_WORKLOAD_H
#define HUTCH_TESTS_WORKLOAD_H

#include "hutch.h"

enum work {
	WORK_RUN,     /* text in the warm shell */
	WORK_CLEAN,   /* text in a new shell */
	WORK_EXEC,    /* a command without a shell */
	WORK_SESSION, /* two texts in a session */
	WORK_FILE,    /* make, write, look at, rename, read and remove a file */
	WORK_DIRTY,   /* many small files, and directories of the root file system removed */
	WORK_CLOSED,  /* directories that nobody may enter */
	WORK_JOBS,    /* children in the background, some in sessions of their own, one with our output */
	WORK_TIMEOUT, /* a text whose time is over, with what it started */
	WORK_CAP,     /* more output than is kept */
	WORK_RESET,   /* and a look whether all that was there is gone */
	WORK_KINDS,
};

enum work_result {
	WORK_RIGHT = 0,
	WORK_WRONG = 1,	 /* a result that is a mistake of hutch */
	WORK_KILLED = 2, /* the command or its shell was killed, and it was said so */
};

const char *work_name(enum work kind);

/* One step. @number: makes names and values of it its own. Return: see above; @e says what, when it is
 * not 0. */
int work_do(struct hutch_box *box, enum work kind, unsigned number, struct hutch_error *e);

#endif
