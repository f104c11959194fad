/* SPDX-License-Identifier: Apache-2.0
 *
 * op.c - resets, snapshots and the like that are begun, and waited for or not
 */
#include "api/api.h"

static struct op *to_op(struct hutch_op *op)
{
	return (struct op *)op;
}

/* With what was begun, or not. */
static int give(int r, struct op *const *o, struct hutch_op **ret, const struct err *e, struct hutch_error *err)
{
	if (r == 0)
		*ret = (struct hutch_op *)*o;
	return api_give(r, e, err);
}

int hutch_ready_start(struct hutch_box *box, struct hutch_op **ret_op, struct hutch_error *err)
{
	struct err e = {0};
	struct op *o = NULL;

	if (!box || !ret_op)
		return api_missing("box or room for what is begun", err);
	return give(box_ready_start(to_box(box), &o, &e), &o, ret_op, &e, err);
}

int hutch_reset_start(struct hutch_box *box, unsigned flags, struct hutch_op **ret_op, struct hutch_error *err)
{
	struct err e = {0};
	struct op *o = NULL;
	int r;

	if (!box || !ret_op)
		return api_missing("box or room for what is begun", err);
	r = api_check_flags(flags, HUTCH_RESTORE_KEEP_PROCESSES, &e);
	if (r == 0)
		r = box_reset_start(to_box(box), flags & HUTCH_RESTORE_KEEP_PROCESSES, &o, &e);
	return give(r, &o, ret_op, &e, err);
}

int hutch_snapshot_start(struct hutch_box *box, const char *tag, struct hutch_op **ret_op, struct hutch_error *err)
{
	struct err e = {0};
	struct op *o = NULL;

	if (!box || !ret_op)
		return api_missing("box or room for what is begun", err);
	return give(box_snapshot_start(to_box(box), tag, &o, &e), &o, ret_op, &e, err);
}

int hutch_restore_start(struct hutch_box *box, const char *name, unsigned flags, struct hutch_op **ret_op,
			struct hutch_error *err)
{
	struct err e = {0};
	struct op *o = NULL;
	int r;

	if (!box || !ret_op)
		return api_missing("box or room for what is begun", err);
	r = api_check_flags(flags, HUTCH_RESTORE_KEEP_PROCESSES, &e);
	if (r == 0)
		r = box_restore_start(to_box(box), name, flags & HUTCH_RESTORE_KEEP_PROCESSES, &o, &e);
	return give(r, &o, ret_op, &e, err);
}

int hutch_diff_start(struct hutch_box *box, const char *from, const char *to, struct hutch_op **ret_op,
		     struct hutch_error *err)
{
	struct err e = {0};
	struct op *o = NULL;

	if (!box || !ret_op)
		return api_missing("box or room for what is begun", err);
	return give(box_diff_start(to_box(box), from, to, &o, &e), &o, ret_op, &e, err);
}

int hutch_fork_start(struct hutch_box *box, const char *snapshot, const char *const *names, size_t n, unsigned flags,
		     struct hutch_op **ret_op, struct hutch_error *err)
{
	struct err e = {0};
	struct op *o = NULL;
	int r;

	if (!box || !ret_op)
		return api_missing("box or room for what is begun", err);
	r = api_check_flags(flags, HUTCH_START_DETACHED | HUTCH_START_REMOVE, &e);
	if (r == 0)
		r = box_fork_start(to_box(box), snapshot, names, n, api_life(flags), &o, &e);
	return give(r, &o, ret_op, &e, err);
}

int hutch_delete_start(struct hutch_box *box, struct hutch_op **ret_op, struct hutch_error *err)
{
	struct err e = {0};
	struct op *o = NULL;

	if (!box || !ret_op)
		return api_missing("box or room for what is begun", err);
	return give(box_delete_start(to_box(box), &o, &e), &o, ret_op, &e, err);
}

int hutch_op_wait(struct hutch_op *op, int timeout_ms, struct hutch_error *err)
{
	struct err e = {0};

	if (!op)
		return api_missing("op", err);
	return api_give(op_wait(to_op(op), timeout_ms, &e), &e, err);
}

int hutch_op_fd(struct hutch_op *op, struct hutch_error *err)
{
	struct err e = {0};

	if (!op)
		return api_missing("op", err);
	return api_give(op_fd(to_op(op), &e), &e, err);
}

const char *hutch_op_text(const struct hutch_op *op, size_t *ret_len)
{
	return op_text((const struct op *)op, ret_len);
}

size_t hutch_op_boxes(struct hutch_op *op, struct hutch_box **ret_boxes)
{
	return op_boxes(to_op(op), (struct box **)ret_boxes);
}

void hutch_op_free(struct hutch_op *op)
{
	op_free(to_op(op));
}
