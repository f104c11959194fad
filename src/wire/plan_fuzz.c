/* SPDX-License-Identifier: Apache-2.0
 *
 * plan_fuzz.c - any bytes as a plan or a call
 *
 * What plan_open() or call_open() took is walked as the keeper walks it: every string is read to
 * its end, every array to its last element. A seed that begins with "call" is one of a call.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t seen; /* so that nothing that is read is left out */

static void need(const struct pack *p, pack_ref at)
{
	const char *s = pack_get_str(p, at);

	if (!s)
		abort(); /* the keeper uses it without a look */
	seen += strlen(s);
}

static void maybe(const struct pack *p, pack_ref at)
{
	if (at)
		need(p, at);
}

static const void *elements(const struct pack *p, struct plan_array a, size_t size)
{
	const void *v = a.count ? pack_at(p, a.at, a.count * size) : NULL;
	const unsigned char *bytes = v;

	if (a.count && !v)
		abort();
	for (size_t i = 0; i < a.count * size; i++)
		seen += bytes[i];
	return v;
}

static void walk_plan(const struct pack *p, const struct plan *pl)
{
	const struct plan_tree *low = elements(p, pl->lowers, sizeof(*low));
	const struct plan_mount *m = elements(p, pl->mounts, sizeof(*m));
	const struct plan_device *d = elements(p, pl->devices, sizeof(*d));
	const struct plan_pair *s = elements(p, pl->sysctls, sizeof(*s));
	const struct plan_rlimit *l = elements(p, pl->rlimits, sizeof(*l));

	(void)elements(p, pl->filter, sizeof(struct sock_filter));
	need(p, pl->name);
	need(p, pl->hostname);
	need(p, pl->working_dir);
	maybe(p, pl->hosts);
	maybe(p, pl->resolv_conf);
	maybe(p, pl->store.path);
	maybe(p, pl->box);
	maybe(p, pl->stack);
	for (uint32_t i = 0; i < pl->lowers.count; i++)
		if (low[i].fd < 0)
			need(p, low[i].path);
	for (uint32_t i = 0; i < pl->mounts.count; i++) {
		need(p, m[i].target);
		maybe(p, m[i].tree.path);
	}
	for (uint32_t i = 0; i < pl->devices.count; i++) {
		need(p, d[i].source);
		need(p, d[i].target);
	}
	for (uint32_t i = 0; i < pl->sysctls.count; i++) {
		need(p, s[i].key);
		need(p, s[i].value);
	}
	for (uint32_t i = 0; i < pl->rlimits.count; i++)
		maybe(p, l[i].name);
}

static void walk_list(const struct pack *p, struct pack_list l)
{
	char **v = calloc((size_t)l.count + 1, sizeof(*v));

	if (v && pack_get_vector(p, l, v))
		for (char **s = v; *s; s++)
			seen += strlen(*s);
	free(v);
}

static void walk_call(const struct pack *p, const struct call *c)
{
	walk_list(p, c->argv);
	walk_list(p, c->env);
	maybe(p, c->cwd);
	maybe(p, c->user);
	maybe(p, c->job);
	for (uint32_t i = 0; i < c->groups.count && i < 1000; i++) {
		const char *g = pack_get_item(p, c->groups, i);

		seen += g ? strlen(g) : 0;
	}
	if (!pack_get_item(p, c->argv, 0) || c->nnumbers > CALL_FDS_MAX)
		abort();
	for (uint32_t i = 0; i < c->nnumbers; i++)
		seen += ((const uint32_t *)pack_at(p, c->numbers,
						   c->nnumbers * sizeof(uint32_t)))[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool call = size >= 4 && !memcmp(data, "call", 4), name = size >= 4 && !memcmp(data, "name", 4);
	size_t skip = call || name ? 4 : 0, len = size - skip;
	char *blob = malloc(len ? len : 1); /* aligned, as a message's body is */
	struct pack p = {blob, len};
	const struct plan *pl = NULL;
	const struct call *c = NULL;
	const struct naming *n = NULL;
	struct err e;

	if (!blob)
		return 0;
	memcpy(blob, data + skip, len);
	if (call)
		c = call_open(&p, &e);
	else if (name)
		n = naming_open(&p, &e);
	else
		pl = plan_open(&p, &e);
	if (pl)
		walk_plan(&p, pl);
	if (c)
		walk_call(&p, c);
	if (n) {
		need(&p, n->hostname);
		need(&p, n->hosts);
		maybe(&p, n->box);
	}
	free(blob);
	return 0;
}
