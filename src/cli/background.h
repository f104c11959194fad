/* SPDX-License-Identifier: Apache-2.0
 *
 * background.h - a command in a sandbox that nobody of us stays with
 */
#ifndef HUTCH_CLI_BACKGROUND_H
#define HUTCH_CLI_BACKGROUND_H

#include "base/err.h"
#include "cli/foreground.h"
#include "hutch.h"

/* Options that want somebody in front of the command. */
int background_check(const struct foreground *f, struct err *e);
/* "64k", "10m", "1g". */
int background_size(const char *text, uint64_t *ret, struct err *e);
/* "10", "1.5", "200ms", "2m"; @name: of the option, for the message. */
int background_time(const char *name, const char *text, uint64_t *ret_ms, struct err *e);
int background_start(struct hutch_box *box, const struct hutch_job_options *o, char *ret_id, struct err *e);
/* Prints the failure. Return: the exit status: 126 and 127 where the command could not be executed. */
int background_fail(const struct err *e);

#endif
