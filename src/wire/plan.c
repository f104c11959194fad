/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.c - read a plan or a call and check what it refers to
 */
#include "wire/plan.h"

#include <stdbool.h>
#include <stddef.h>

const char *const ready_names[READY_MARKS] = {
	"nursery asked", "keeper born", "ids mapped", "/dev", "proc, sysfs", "plan received",
	"trees of the host", "generated layer", "overlay", "network",
	"generation born", "mounts", "proc, masks", "pivot", "generation ready",
};

static bool array_ok(const struct pack *p, struct plan_array a, size_t size)
{
	return !a.count || (a.count <= p->len / size && pack_at(p, a.at, a.count * size));
}

static bool str_ok(const struct pack *p, pack_ref s)
{
	return !s || pack_get_str(p, s);
}

static bool trees_ok(const struct pack *p, const struct plan *pl)
{
	const struct plan_tree *t = pack_at(p, pl->lowers.at, 0);
	const struct plan_mount *m = pack_at(p, pl->mounts.at, 0);
	const struct plan_device *d = pack_at(p, pl->devices.at, 0);
	const struct plan_pair *s = pack_at(p, pl->sysctls.at, 0);
	const struct plan_rlimit *l = pack_at(p, pl->rlimits.at, 0);

	for (uint32_t i = 0; i < pl->lowers.count; i++)
		if (t[i].fd < 0 && !pack_get_str(p, t[i].path))
			return false;
	for (uint32_t i = 0; i < pl->mounts.count; i++)
		if (!pack_get_str(p, m[i].target) || !str_ok(p, m[i].tree.path) ||
		    !str_ok(p, m[i].hide[0]) || !str_ok(p, m[i].hide[1]))
			return false;
	for (uint32_t i = 0; i < pl->devices.count; i++)
		if (!pack_get_str(p, d[i].source) || !pack_get_str(p, d[i].target))
			return false;
	for (uint32_t i = 0; i < pl->sysctls.count; i++)
		if (!pack_get_str(p, s[i].key) || !pack_get_str(p, s[i].value))
			return false;
	for (uint32_t i = 0; i < pl->rlimits.count; i++)
		if (!str_ok(p, l[i].name))
			return false;
	return str_ok(p, pl->store.path) && str_ok(p, pl->box) && str_ok(p, pl->stack) &&
	       str_ok(p, pl->base);
}

const struct plan *plan_open(const struct pack *p, struct err *e)
{
	const struct plan *pl = (const struct plan *)p->data;

	if (p->len < sizeof(*pl) || pl->magic != PLAN_MAGIC ||
	    !array_ok(p, pl->lowers, sizeof(struct plan_tree)) ||
	    !array_ok(p, pl->mounts, sizeof(struct plan_mount)) ||
	    !array_ok(p, pl->devices, sizeof(struct plan_device)) ||
	    !array_ok(p, pl->sysctls, sizeof(struct plan_pair)) ||
	    !array_ok(p, pl->rlimits, sizeof(struct plan_rlimit)) ||
	    !array_ok(p, pl->filter, sizeof(struct sock_filter)) ||
	    !pack_get_str(p, pl->name) || !pack_get_str(p, pl->hostname) ||
	    !pack_get_str(p, pl->working_dir) || !str_ok(p, pl->hosts) ||
	    !str_ok(p, pl->resolv_conf) || !trees_ok(p, pl)) {
		err_set(e, ERR_INTERNAL, "a plan that is not one");
		return NULL;
	}
	return pl;
}

const struct naming *naming_open(const struct pack *p, struct err *e)
{
	const struct naming *n = (const struct naming *)p->data;

	if (p->len < sizeof(*n) || !pack_get_str(p, n->hostname) || !pack_get_str(p, n->hosts) || !str_ok(p, n->box)) {
		err_set(e, ERR_INTERNAL, "a name that is none");
		return NULL;
	}
	return n;
}

const struct call *call_open(const struct pack *p, struct err *e)
{
	const struct call *c = (const struct call *)p->data;

	if (p->len < sizeof(*c) || !c->argv.count || !pack_get_item(p, c->argv, 0) ||
	    !str_ok(p, c->cwd) || !str_ok(p, c->cwd_last) || !str_ok(p, c->user) || !str_ok(p, c->session) ||
	    !str_ok(p, c->job) || c->nnumbers > CALL_FDS_MAX ||
	    c->argv.count > p->len / sizeof(pack_ref) || c->env.count > p->len / sizeof(pack_ref) ||
	    (c->nnumbers && !pack_at(p, c->numbers, c->nnumbers * sizeof(uint32_t)))) {
		err_set(e, ERR_INTERNAL, "a call that is not one");
		return NULL;
	}
	return c;
}
