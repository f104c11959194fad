/* SPDX-License-Identifier: Apache-2.0
 *
 * reset.c - back to how it was
 *
 * How it works: the keeper steps into the next generation (inside/reset.c) and says so. What the caller had in the
 * old one is dropped then, and what was written in it is moved aside.
 */
#include "base/own.h"
#include "box/op.h"
#include "wire/msg.h"

int reset_ask(struct op *o, uint16_t op, const char *body, size_t len, struct err *e)
{
	struct box *b = o->b;
	struct msg_head head = {.op = op, .id = ++b->next_id, .arg = o->keep_processes | (shell_all_wait(b) ? 2 : 0)};
	int r = box_ask(b, &head, body, len, NULL, 0, e);

	if (r < 0)
		return r;
	b->layers.bad = (struct err){0};
	b->reset_id = head.id;
	o->keeps = o->moves = o->keep_processes;
	return 0;
}

static int answer(struct box *b, struct err *e)
{
	if (b->why.code) {
		*e = b->why;
		return err_wrap(e, "it is stopped now");
	}
	if (b->reset_id)
		return box_gone(b, e);
	if (b->layers.bad.code)
		*e = b->layers.bad;
	return b->layers.bad.code;
}

int reset_look(struct op *o, struct err *e)
{
	struct box *b = o->b;
	int r;

	if (b->reset_id && !b->why.code && !b->dead)
		return 0;
	r = answer(b, e);
	if (r < 0)
		return r;
	if (o->keep_processes)
		shell_moved(b);
	else
		shell_drop_all(b);
	close_fd(&b->files); /* it ended with the generation */
	if (b->has_upper)
		place_generation_give_back(b->home, b->name, b->left_behind);
	return 1;
}

static int look(struct op *o, struct err *e)
{
	int r = reset_look(o, e);

	if (r == 1 && snapshots_at_start(o->b, e) < 0)
		r = e->code;
	return r < 0 ? err_wrap(e, "reset '%s'", o->b->name) : r;
}

int box_reset_start(struct box *b, bool keep_processes, struct op **ret, struct err *e)
{
	struct op *o;
	int r = op_usable(b, e);

	if (r == 0)
		r = op_new(b, "reset", look, &o, e);
	if (r < 0)
		return r;
	o->keep_processes = keep_processes;
	if (!keep_processes && !b->shared) {
		b->home->resets = true; /* who resets one will reset the next, too */
		b->spare_early = false;
	}
	r = reset_ask(o, OP_RESET, NULL, 0, e);
	if (r < 0)
		err_wrap(e, "reset '%s'", b->name);
	return op_began(o, r, ret, e);
}

int box_reset(struct box *b, bool keep_processes, struct err *e)
{
	struct op *o;
	int r = box_reset_start(b, keep_processes, &o, e);

	return r < 0 ? r : op_finish(o, e);
}
