/* SPDX-License-Identifier: Apache-2.0
 *
 * work.h - what takes long is done by a process beside the keeper
 */
#ifndef HUTCH_INSIDE_WORK_H
#define HUTCH_INSIDE_WORK_H

#include "inside/keeper.h"

/* When what it works on is to be replaced. */
enum work_then { WORK_GOES_ON, WORK_IS_AWAITED, WORK_IS_KILLED };

struct work {
	/* In the process of its own, which stands in the storage. */
	int (*run)(struct keeper *k, const struct work *w, struct err *e);
	/* In the keeper, afterwards. @e->code != 0: it failed. */
	void (*then)(struct keeper *k, struct work *w, const struct err *e);
	struct client *client; /* who is told; NULL: he has gone, or nobody */
	uint32_t id;	       /* what he calls it by */
	struct stack stack;    /* what it is about; freed afterwards */
	char layer[LAYER_NAME];
	char merged[LAYER_NAME];
	const void *more; /* run only: of the message */
	size_t len;
	int fd;
	enum work_then on_change;
};

int work_start(struct keeper *k, const struct work *w, struct err *e); /* on failure the stack stays the caller's */

#endif
