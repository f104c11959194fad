/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - hutch_box_snapshot() and what belongs to it, and hutch_box_fork()
 */
#include <assert.h>
#include <string.h>

#include "api/api.h"
#include "base/own.h"

int hutch_box_snapshot(struct hutch_box *box, const char *tag, char **ret_name, struct hutch_error *err)
{
	struct err e = {0};

	if (!box || !ret_name)
		return api_missing("box or room for the name", err);
	return api_give(box_snapshot(to_box(box), tag, ret_name, &e), &e, err);
}

int hutch_box_restore(struct hutch_box *box, const char *name, unsigned flags, struct hutch_error *err)
{
	struct err e = {0};
	int r;

	if (!box)
		return api_missing("box", err);
	r = api_check_flags(flags, HUTCH_RESTORE_KEEP_PROCESSES, &e);
	if (r == 0)
		r = box_restore(to_box(box), name, flags & HUTCH_RESTORE_KEEP_PROCESSES, &e);
	return api_give(r, &e, err);
}

static_assert(sizeof(((struct hutch_snapshot *)0)->name) == sizeof(((struct snapshot_listed *)0)->name),
	      "names have one size");

int hutch_box_snapshots(struct hutch_box *box, struct hutch_snapshot **ret, size_t *ret_n, struct hutch_error *err)
{
	auto_free struct snapshot_listed *v = NULL;
	struct hutch_snapshot *out;
	struct err e = {0};
	size_t n = 0;
	int r;

	if (!box || !ret || !ret_n)
		return api_missing("box or room for the list", err);
	r = box_snapshots(to_box(box), &v, &n, &e);
	if (r < 0)
		return api_give(r, &e, err);
	out = calloc(n + 1, sizeof(*out));
	if (!out)
		return api_give(err_oom(&e), &e, err);
	for (size_t i = 0; i < n; i++) {
		memcpy(out[i].name, v[i].name, sizeof(out[i].name));
		memcpy(out[i].parent, v[i].parent, sizeof(out[i].parent));
		out[i].created = v[i].created_s;
		out[i].layers = v[i].layers;
		out[i].present = v[i].present;
	}
	*ret = out;
	*ret_n = n;
	return 0;
}

int hutch_box_snapshot_delete(struct hutch_box *box, const char *name, struct hutch_error *err)
{
	struct err e = {0};

	if (!box || !name)
		return api_missing("box or name", err);
	return api_give(box_snapshot_delete(to_box(box), name, &e), &e, err);
}

int hutch_box_diff(struct hutch_box *box, const char *from, const char *to, char **ret_records, size_t *ret_len,
		   struct hutch_error *err)
{
	struct err e = {0};

	if (!box || !ret_records || !ret_len)
		return api_missing("box or room for the records", err);
	return api_give(box_diff(to_box(box), from, to, ret_records, ret_len, &e), &e, err);
}

int hutch_box_fork(struct hutch_box *box, const char *snapshot, const char *const *names, size_t n, unsigned flags,
		   struct hutch_box **ret_boxes, struct hutch_error *err)
{
	struct err e = {0};
	int r;

	if (!box || (n && !ret_boxes))
		return api_missing("box or room for the new ones", err);
	r = api_check_flags(flags, HUTCH_START_DETACHED | HUTCH_START_REMOVE, &e);
	if (r == 0)
		r = box_fork(to_box(box), snapshot, names, n, api_life(flags), (struct box **)ret_boxes, &e);
	return api_give(r, &e, err);
}
