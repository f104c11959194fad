/* SPDX-License-Identifier: Apache-2.0
 *
 * start_guards.c - steps of a start: who can be inside, and what he may
 *
 * How it works: each step adds its part to the draft of the plan, from what the spec says and who the caller is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "box/start.h"
#include "guard/seccomp.h"
#include "spec/parse.h"

enum { SHM_DEFAULT = 64 << 20 };

/* ---- ids -------------------------------------------------------------------------------------- */

static bool is_in(uint32_t id, const struct plan_extent *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (id >= x[i].outside && id - x[i].outside < x[i].count)
			return true;
	return false;
}

/* For a range of its own, whose trees are idmapped, the question is whether it is below 65,536. */
bool start_knows_user(const struct start *s, uid_t uid)
{
	const struct ns_ids *ids = &s->h->ids;

	return ids->persona == NS_ROOT ? uid < 65536 : is_in(uid, ids->uids, ids->nuid);
}

bool start_knows_group(const struct start *s, gid_t gid)
{
	const struct ns_ids *ids = &s->h->ids;

	return ids->persona == NS_ROOT ? gid < 65536 : is_in(gid, ids->gids, ids->ngid);
}

static int nested_id(const char *text, uint32_t *ret)
{
	unsigned long v;
	char *end;

	v = strtoul(text, &end, 10);
	if (end == text || (*end && *end != ':') || v > UINT32_MAX - 1)
		return -1;
	*ret = (uint32_t)v;
	return 0;
}

/* With one id only, another one inside is a nested namespace in which he has that name. */
static int one_id_user(struct start *s, struct err *e)
{
	const char *user = s->b->spec->user, *colon = user ? strchr(user, ':') : NULL;
	struct plan *p = &s->d.plan;
	uint32_t uid = 0, gid = 0;

	if (!user || s->h->ids.persona != NS_ONE_ID)
		return 0;
	if (!strcmp(user, "root") || !strcmp(user, "0") || !strcmp(user, "0:0"))
		return 0;
	if (nested_id(user, &uid) < 0 || (colon && nested_id(colon + 1, &gid) < 0))
		return err_set(e, ERR_UNSUPPORTED,
			       "user '%s': with one id a user is given by number (`hutch doctor` says "
			       "how to get more ids)",
			       user);
	p->flags |= PLAN_NESTED;
	p->nested_uid = uid;
	p->nested_gid = gid;
	return 0;
}

int start_ids(struct start *s, struct err *e)
{
	if (s->keeper.prep.net)
		ns_ids_plan(&s->d, &s->keeper.prep);
	return one_id_user(s, e);
}

/* ---- guards and limits ------------------------------------------------------------------------ */

int start_guards(struct start *s, struct err *e)
{
	struct sock_filter code[GUARD_SECCOMP_MAX];
	const struct spec *spec = s->b->spec;
	struct guard_ask ask = {.caps = spec_caps(spec), .allow_ptrace = spec->allow_ptrace,
				.allow_userns = spec->allow_userns, .allow_i386 = spec->allow_i386};
	struct plan *p = &s->d.plan;
	size_t n = 0;
	int r;

	p->caps = ask.caps;
	if (spec_wants_nested(spec))
		p->flags |= PLAN_NESTED;
	if (spec->allow_new_privileges)
		p->flags |= PLAN_NEW_PRIVS;
	/* With the host's own ids its root could write what is masked otherwise. */
	if (spec->privileged && spec->ids != SPEC_IDS_HOST)
		p->flags |= PLAN_UNMASKED;
	if (spec->seccomp_unconfined || spec->privileged)
		return 0;
	r = guard_seccomp(&ask, code, GUARD_SECCOMP_MAX, &n, e);
	if (r == 0)
		draft_filter(&s->d, code, n);
	return r;
}

int start_limits(struct start *s, struct err *e)
{
	const struct spec *spec = s->b->spec;
	struct plan *p = &s->d.plan;
	struct rlimit files;

	(void)e;
	p->shm_size = spec->shm_size_bytes ? spec->shm_size_bytes : SHM_DEFAULT;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		p->nofile_soft = files.rlim_cur;
	for (size_t i = 0; i < spec->nulimits; i++)
		draft_rlimit(&s->d, (uint32_t)spec->ulimits[i].which,
			     parse_rlimit_name(spec->ulimits[i].which), spec->ulimits[i].soft,
			     spec->ulimits[i].hard);
	p->flags |= spec->spare || s->b->spare_early ? PLAN_SPARE : 0;
	p->oom_score_adj = spec->oom_score_adj;
	p->oom_score_adj_set = spec->oom_score_adj_set;
	return 0;
}

int start_sysctls(struct start *s, struct err *e)
{
	const struct spec *spec = s->b->spec;

	(void)e;
	for (size_t i = 0; i < spec->nsysctls; i++) {
		char key[256];

		snprintf(key, sizeof(key), "%s", spec->sysctls[i].key);
		for (char *c = key; *c; c++)
			if (*c == '.')
				*c = '/';
		draft_sysctl(&s->d, key, spec->sysctls[i].value);
	}
	return 0;
}
