/* SPDX-License-Identifier: Apache-2.0
 *
 * start.h - what the parts of a start share
 */
#ifndef HUTCH_BOX_START_H
#define HUTCH_BOX_START_H

#include "box/box.h"
#include "wire/draft.h"

struct start {
	struct home *h;
	struct box *b;
	struct draft d;
	int lock;
	enum box_life life;
	bool once;	/* for one command */
	enum ahead_of twin; /* nobody has asked for it yet */
	bool again;	/* it was stopped, and goes on with its files */
	bool was_clean; /* and all of them are there */
	struct spare keeper; /* what it has; its socket is the box's */
	const struct stack *on;
};

/* start_guards.c: Has the sandbox an id for this one of the host? */
bool start_knows_user(const struct start *s, uid_t uid);
bool start_knows_group(const struct start *s, gid_t gid);

/* Steps. */
int start_ids(struct start *s, struct err *e);
int start_guards(struct start *s, struct err *e);
int start_limits(struct start *s, struct err *e);
int start_sysctls(struct start *s, struct err *e);

#endif
