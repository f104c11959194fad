/* SPDX-License-Identifier: Apache-2.0
 *
 * living.h - a handle of a sandbox that somebody made before
 */
#ifndef HUTCH_CLI_LIVING_H
#define HUTCH_CLI_LIVING_H

#include "base/err.h"
#include "hutch.h"

struct living {
	struct hutch *hutch;
	struct hutch_box *box;
};

/* A handle for these commands. */
int living_hutch(struct hutch **ret, struct err *e);

/* All sandboxes of the user; to be freed with free(). */
int living_list(struct hutch_listed **ret, size_t *ret_n, struct err *e);
/* "running", "stopped", "dead" (ps.c) */
const char *living_state(const struct hutch_listed *x);

int living_open(struct living *l, const char *name, struct err *e);
/* The same of one that may be stopped. Return: 1 it is, and l->box is NULL; 0 it runs. */
int living_open_any(struct living *l, const char *name, struct err *e);
void living_close(struct living *l);

#endif
