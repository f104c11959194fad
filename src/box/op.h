/* SPDX-License-Identifier: Apache-2.0
 *
 * op.h - what a keeper does for a while: begun, and waited for or not
 *
 * How it works: whoever begins a reset, a snapshot and the like asks the keeper and gets an op. That is done when the
 * answer has come and what follows from it is noted; until then it can be waited for, or looked at when its descriptor says
 * so. A box has one at a time.
 */
#ifndef HUTCH_BOX_OP_H
#define HUTCH_BOX_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "box/box.h"
#include "box/nodes.h"

struct op {
	struct box *b;	   /* NULL: it is done */
	struct box *talks; /* whose keeper has the word */
	const char *what;  /* "reset" */
	/* Whether the answer is there, and what follows from it. Return: 1 it is done, 0 not yet, or less than 0. */
	int (*look)(struct op *o, struct err *e);
	int pidfd;	     /* whose end it waits for, too; borrowed; -1: none */
	uint64_t look_by_ns; /* when to look although nothing came; 0: never */
	bool keeps;	     /* processes go on meanwhile, and can be started */
	bool moves;	     /* shells must go to their directories again afterwards: no text can be sent to them */
	bool over;
	int code; /* once it is over, with @e where it failed */
	struct err e;
	int events, woken; /* descriptors for who waits elsewhere; -1: nobody does */
	/* of which each kind has some */
	struct nodes nodes;
	struct node node;
	struct stack on;
	char layer[LAYER_NAME];
	bool keep_processes, frozen, killed;
	int file;
	char *text; /* what came of it */
	size_t len;
	struct box **boxes;
	char **names;
	size_t n, made, nready;
	enum box_life life;
};

int op_usable(struct box *b, struct err *e); /* waits until it is ready; STATE: none can be had */
/* BUSY: there is one under way. */
int op_new(struct box *b, const char *what, int (*look)(struct op *o, struct err *e), struct op **ret, struct err *e);
/* What was begun is under way now (@r 0), or failed and is freed. */
int op_began(struct op *o, int r, struct op **ret, struct err *e);
/* BUSY: one under way ends what would be started; @shell: or moves it. */
int op_check(const struct box *b, bool shell, struct err *e);
void op_told(const struct box *b); /* by whoever takes the keeper's words */
/* reset.c: a reset that @op is (OP_RESET, OP_RESTORE). On failure with b->why it is stopped. */
int reset_ask(struct op *o, uint16_t op, const char *body, size_t len, struct err *e);
int reset_look(struct op *o, struct err *e);
/* snapshot.c: only the layers, o->on. look: they are there. over: the sandbox itself stands on them; if that fails, they are
 * of no use. */
int freeze_ask(struct op *o, struct err *e);
int freeze_look(struct op *o, struct err *e);
int freeze_over(struct op *o, struct err *e);
void freeze_end(struct box *b); /* waits for that: it comes soon */

void op_end(struct box *b); /* what is under way comes to its end: the box goes */
void op_talks_to(struct op *o, struct box *b);
int op_finish(struct op *o, struct err *e); /* waits for its end and frees it */

#endif
