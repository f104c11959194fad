/* SPDX-License-Identifier: Apache-2.0
 *
 * draft.c - a plan while it is being made
 */
#include "wire/draft.h"

#include <stddef.h>
#include <string.h>

#include "base/own.h"

enum { BLOB_MAX = 4 << 20 };

void draft_init(struct draft *d)
{
	struct buf *all[] = {&d->blob, &d->lowers, &d->mounts, &d->devices, &d->sysctls,
			     &d->rlimits};

	memset(d, 0, offsetof(struct draft, room));
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		all[i]->max = BLOB_MAX;
	d->plan.magic = PLAN_MAGIC;
	d->plan.lock = d->plan.listen = d->plan.nodes = -1;
	d->plan.store.fd = -1;
	buf_lend(&d->blob, d->room, sizeof(d->room));
	buf_add(&d->blob, &d->plan, sizeof(d->plan));
}

void draft_done(struct draft *d)
{
	struct buf *all[] = {&d->blob, &d->lowers, &d->mounts, &d->devices, &d->sysctls,
			     &d->rlimits};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		buf_done(all[i]);
	for (unsigned i = 0; i < d->nfds; i++)
		close_fd(&d->fds[i]);
	d->nfds = 0;
}

int32_t draft_fd(struct draft *d, int fd)
{
	if (d->nfds == MSG_FDS_MAX - 1) { /* one is left for a long body */
		close_fd(&fd);
		d->fds_full = true;
		return -1;
	}
	d->fds[d->nfds] = fd;
	return (int32_t)d->nfds++;
}

pack_ref draft_str(struct draft *d, const char *s)
{
	return pack_str(&d->blob, s);
}

void draft_lower(struct draft *d, const struct plan_tree *t)
{
	buf_add(&d->lowers, t, sizeof(*t));
}

void draft_mount(struct draft *d, const struct plan_mount *m)
{
	buf_add(&d->mounts, m, sizeof(*m));
}

void draft_device(struct draft *d, const struct plan_device *v)
{
	buf_add(&d->devices, v, sizeof(*v));
}

void draft_sysctl(struct draft *d, const char *key, const char *value)
{
	struct plan_pair p = {draft_str(d, key), draft_str(d, value)};

	buf_add(&d->sysctls, &p, sizeof(p));
}

void draft_rlimit(struct draft *d, uint32_t which, const char *name, uint64_t soft, uint64_t hard)
{
	struct plan_rlimit l = {.which = which, .name = draft_str(d, name), .soft = soft,
				.hard = hard};

	buf_add(&d->rlimits, &l, sizeof(l));
}

void draft_filter(struct draft *d, const struct sock_filter *code, size_t n)
{
	d->plan.filter.at = pack_bytes(&d->blob, code, n * sizeof(*code));
	d->plan.filter.count = (uint32_t)n;
}

static struct plan_array array(struct draft *d, const struct buf *from, size_t size)
{
	struct plan_array a = {0, (uint32_t)(from->len / size)};

	if (buf_bad(from))
		d->blob.bad = true;
	else if (a.count)
		a.at = pack_bytes(&d->blob, from->data, from->len);
	return a;
}

int draft_finish(struct draft *d, struct err *e)
{
	struct plan *p = &d->plan;

	p->lowers = array(d, &d->lowers, sizeof(struct plan_tree));
	p->mounts = array(d, &d->mounts, sizeof(struct plan_mount));
	p->devices = array(d, &d->devices, sizeof(struct plan_device));
	p->sysctls = array(d, &d->sysctls, sizeof(struct plan_pair));
	p->rlimits = array(d, &d->rlimits, sizeof(struct plan_rlimit));
	if (d->fds_full)
		return err_set(e, ERR_LIMIT, "more than %d layers and volumes", MSG_FDS_MAX - 2);
	if (buf_bad(&d->blob))
		return err_set(e, ERR_LIMIT, "what is asked for is over %d bytes, or memory is short",
			       BLOB_MAX);
	memcpy(d->blob.data, p, sizeof(*p));
	return 0;
}
