/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - what can only be said about the whole spec
 *
 * How it works: single values were checked when they were set. Here are contradictions between
 * fields, then the defaults that do not depend on the host, then the mounts are put in an order in
 * which none hides another.
 */
#include "spec/spec.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SHM_BYTES   (64ULL << 20) /* as Docker */
#define DEFAULT_UPPER_BYTES (1ULL << 30)

static int check_root(const struct spec *s, struct err *e)
{
	const char *first = s->rootfs ? "--rootfs" : NULL, *second = s->image ? "an image" : NULL;
	bool host = s->root == SPEC_ROOT_HOST;

	if (s->root == SPEC_ROOT_UNSET)
		return err_set(e, ERR_INVALID,
			       "no root file system: give an image, --rootfs DIR, or --host");
	if (host + !!first + !!second > 1)
		return err_set(e, ERR_INVALID, "one root file system only: %s or %s",
			       first ? first : "--host", second ? second : "--host");
	if (s->root == SPEC_ROOT_IMAGE)
		return err_set(e, ERR_UNSUPPORTED,
			       "image '%.100s': images are not in this version yet; give --rootfs "
			       "DIR, or --host",
			       s->image);
	return 0;
}

/* What the namespaces of the host have, a box must not set. */
static int check_sysctls(const struct spec *s, struct err *e)
{
	for (size_t i = 0; i < s->nsysctls; i++)
		if (s->network == SPEC_NET_HOST && strncmp(s->sysctls[i].key, "net.", 4) == 0)
			return err_set(e, ERR_INVALID,
				       "--sysctl '%.60s': with --network host it is the machine's",
				       s->sysctls[i].key);
	return 0;
}

static bool fill(char **text, const char *with)
{
	if (!*text)
		*text = strdup(with);
	return *text != NULL;
}

static int fill_defaults(struct spec *s, struct err *e)
{
	if (!fill(&s->working_dir, "/") || !fill(&s->user, "0"))
		return err_oom(e);
	if (!s->shm_size_bytes)
		s->shm_size_bytes = DEFAULT_SHM_BYTES;
	if (s->upper == SPEC_UPPER_TMPFS && !s->upper_size_bytes)
		s->upper_size_bytes = DEFAULT_UPPER_BYTES;
	if (!s->stop_signal_number)
		s->stop_signal_number = SIGTERM;
	return 0;
}

/* Targets have one form (parse_target()). */
static int check_targets(const struct spec *s, struct err *e)
{
	for (size_t i = 0; i < s->nmounts; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(s->mounts[i].target, s->mounts[j].target))
				return err_set(e, ERR_INVALID, "two mounts at '%.200s'",
					       s->mounts[i].target);
	return 0;
}

static size_t depth(const struct spec_mount *m)
{
	size_t n = 0;

	for (const char *p = m->target; *p; p++)
		n += *p == '/';
	return n;
}

struct ranked {
	struct spec_mount m;
	size_t depth, i;
};

static int by_depth(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* As Docker: "/a" before "/a/b", whichever was asked for first; else as asked. */
static int sort_mounts(struct spec *s, struct err *e)
{
	struct ranked *rank;

	if (s->nmounts < 2)
		return 0;
	rank = calloc(s->nmounts, sizeof(*rank));
	if (!rank)
		return err_oom(e);
	for (size_t i = 0; i < s->nmounts; i++)
		rank[i] = (struct ranked){s->mounts[i], depth(&s->mounts[i]), i};
	qsort(rank, s->nmounts, sizeof(*rank), by_depth);
	for (size_t i = 0; i < s->nmounts; i++)
		s->mounts[i] = rank[i].m;
	free(rank);
	return 0;
}

int spec_check(struct spec *s, struct err *e)
{
	int r;

	r = check_root(s, e);
	if (r < 0)
		return r;
	r = check_sysctls(s, e);
	if (r == 0)
		r = check_targets(s, e);
	if (r < 0)
		return r;
	r = fill_defaults(s, e);
	if (r < 0)
		return r;
	return sort_mounts(s, e);
}
