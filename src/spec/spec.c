/* SPDX-License-Identifier: Apache-2.0
 *
 * spec.c - a spec is made, copied and freed; which capabilities it comes to
 *
 * How it works: what a spec owns is said once, in the two tables of offsets and the four arrays
 * below them; copying and freeing go through the same tables.
 */
#include "spec/spec.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "spec/list.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static const size_t strings[] = {
	offsetof(struct spec, rootfs),	    offsetof(struct spec, image),
	offsetof(struct spec, name),	    offsetof(struct spec, hostname),
	offsetof(struct spec, working_dir), offsetof(struct spec, user),
	offsetof(struct spec, stop_signal), offsetof(struct spec, shell),
};

static const size_t lists[] = {
	offsetof(struct spec, command),	  offsetof(struct spec, entrypoint),
	offsetof(struct spec, group_add), offsetof(struct spec, env),
	offsetof(struct spec, add_host),  offsetof(struct spec, dns),
};

static char **string_at(struct spec *s, size_t i)
{
	return (char **)(void *)((char *)s + strings[i]);
}

static struct spec_list *list_at(struct spec *s, size_t i)
{
	return (struct spec_list *)(void *)((char *)s + lists[i]);
}

struct spec *spec_new(void)
{
	return calloc(1, sizeof(struct spec));
}

void spec_free(struct spec *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < COUNT(strings); i++)
		free(*string_at(s, i));
	for (size_t i = 0; i < COUNT(lists); i++)
		spec_list_done(list_at(s, i));
	for (size_t i = 0; i < s->nmounts; i++) {
		free(s->mounts[i].source);
		free(s->mounts[i].target);
	}
	for (size_t i = 0; i < s->ndevices; i++) {
		free(s->devices[i].source);
		free(s->devices[i].target);
	}
	for (size_t i = 0; i < s->nsysctls; i++) {
		free(s->sysctls[i].key);
		free(s->sysctls[i].value);
	}
	free(s->mounts);
	free(s->devices);
	free(s->sysctls);
	free(s->ulimits);
	free(s);
}

/* Copies @from unless it is NULL. False: no memory. */
static bool copy_string(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

static bool copy_mounts(struct spec *to, const struct spec *from)
{
	if (from->nmounts == 0)
		return true;
	to->mounts = calloc(from->nmounts, sizeof(*to->mounts));
	if (!to->mounts)
		return false;
	for (; to->nmounts < from->nmounts; to->nmounts++) {
		const struct spec_mount *old = &from->mounts[to->nmounts];
		struct spec_mount *m = &to->mounts[to->nmounts];

		*m = *old;
		m->target = NULL;
		if (!copy_string(&m->source, old->source) ||
		    !copy_string(&m->target, old->target)) {
			free(m->source);
			return false;
		}
	}
	return true;
}

static bool copy_devices(struct spec *to, const struct spec *from)
{
	if (from->ndevices == 0)
		return true;
	to->devices = calloc(from->ndevices, sizeof(*to->devices));
	if (!to->devices)
		return false;
	for (; to->ndevices < from->ndevices; to->ndevices++) {
		const struct spec_device *old = &from->devices[to->ndevices];
		struct spec_device *d = &to->devices[to->ndevices];

		*d = *old;
		d->target = NULL;
		if (!copy_string(&d->source, old->source) ||
		    !copy_string(&d->target, old->target)) {
			free(d->source);
			return false;
		}
	}
	return true;
}

static bool copy_sysctls(struct spec *to, const struct spec *from)
{
	if (from->nsysctls == 0)
		return true;
	to->sysctls = calloc(from->nsysctls, sizeof(*to->sysctls));
	if (!to->sysctls)
		return false;
	for (; to->nsysctls < from->nsysctls; to->nsysctls++) {
		const struct spec_pair *old = &from->sysctls[to->nsysctls];
		struct spec_pair *p = &to->sysctls[to->nsysctls];

		if (!copy_string(&p->key, old->key) || !copy_string(&p->value, old->value)) {
			free(p->key);
			return false;
		}
	}
	return true;
}

static bool copy_ulimits(struct spec *to, const struct spec *from)
{
	if (from->nulimits == 0)
		return true;
	to->ulimits = calloc(from->nulimits, sizeof(*to->ulimits));
	if (!to->ulimits)
		return false;
	memcpy(to->ulimits, from->ulimits, from->nulimits * sizeof(*to->ulimits));
	to->nulimits = from->nulimits;
	return true;
}

/* All that is not owned, and nothing yet of what is. */
static void copy_plain(struct spec *to, const struct spec *from)
{
	*to = *from;
	for (size_t i = 0; i < COUNT(strings); i++)
		*string_at(to, i) = NULL;
	for (size_t i = 0; i < COUNT(lists); i++)
		*list_at(to, i) = (struct spec_list){0};
	to->mounts = NULL;
	to->devices = NULL;
	to->sysctls = NULL;
	to->ulimits = NULL;
	to->nmounts = to->ndevices = to->nsysctls = to->nulimits = 0;
}

struct spec *spec_copy(const struct spec *from)
{
	struct spec *to = malloc(sizeof(*to));
	bool good = true;

	if (!to)
		return NULL;
	copy_plain(to, from);
	for (size_t i = 0; i < COUNT(strings) && good; i++)
		good = copy_string(string_at(to, i),
				   *(char *const *)(const void *)((const char *)from + strings[i]));
	for (size_t i = 0; i < COUNT(lists) && good; i++)
		good = spec_list_copy(list_at(to, i),
				      (const void *)((const char *)from + lists[i]));
	if (good && copy_mounts(to, from) && copy_devices(to, from) && copy_sysctls(to, from) &&
	    copy_ulimits(to, from))
		return to;
	spec_free(to);
	return NULL;
}

/* ---- comparing -------------------------------------------------------------------------------- */

static bool same_string(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_list(const struct spec_list *a, const struct spec_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

/* What is not owned is compared as bytes: a field of a later day is not forgotten, nor taken for equal. */
static bool same_mounts(const struct spec *a, const struct spec *b)
{
	for (size_t i = 0; i < a->nmounts; i++) {
		struct spec_mount x = a->mounts[i], y = b->mounts[i];

		if (!same_string(x.source, y.source) || !same_string(x.target, y.target))
			return false;
		x.source = x.target = y.source = y.target = NULL;
		if (memcmp(&x, &y, sizeof(x)) != 0)
			return false;
	}
	return true;
}

static bool same_devices(const struct spec *a, const struct spec *b)
{
	for (size_t i = 0; i < a->ndevices; i++) {
		struct spec_device x = a->devices[i], y = b->devices[i];

		if (!same_string(x.source, y.source) || !same_string(x.target, y.target))
			return false;
		x.source = x.target = y.source = y.target = NULL;
		if (memcmp(&x, &y, sizeof(x)) != 0)
			return false;
	}
	return true;
}

static bool same_arrays(const struct spec *a, const struct spec *b)
{
	if (a->nmounts != b->nmounts || a->ndevices != b->ndevices || a->nsysctls != b->nsysctls || a->nulimits != b->nulimits)
		return false;
	for (size_t i = 0; i < a->nsysctls; i++)
		if (!same_string(a->sysctls[i].key, b->sysctls[i].key) || !same_string(a->sysctls[i].value, b->sysctls[i].value))
			return false;
	return same_mounts(a, b) && same_devices(a, b) &&
	       (!a->nulimits || !memcmp(a->ulimits, b->ulimits, a->nulimits * sizeof(*a->ulimits)));
}

bool spec_alike(const struct spec *a, const struct spec *b)
{
	struct spec x, y;

	copy_plain(&x, a);
	copy_plain(&y, b);
	if (memcmp(&x, &y, sizeof(x)) != 0)
		return false;
	for (size_t i = 0; i < COUNT(strings); i++)
		if (strings[i] != offsetof(struct spec, name) && strings[i] != offsetof(struct spec, hostname) &&
		    !same_string(*(char *const *)(const void *)((const char *)a + strings[i]),
				 *(char *const *)(const void *)((const char *)b + strings[i])))
			return false;
	for (size_t i = 0; i < COUNT(lists); i++)
		if (!same_list((const void *)((const char *)a + lists[i]), (const void *)((const char *)b + lists[i])))
			return false;
	return same_arrays(a, b);
}

/* ---- capabilities ---------------------------------------------------------------------------- */

#define BIT(cap) (1ULL << (cap))

/* All that the kernel has numbers for; one that it does not know is left out where it is used. */
#define ALL_CAPS (BIT(CAP_CHECKPOINT_RESTORE + 1) - 1)

/* Docker, oci/caps/defaults.go. */
#define DEFAULT_CAPS                                                                             \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) |            \
	 BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) |                 \
	 BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) | \
	 BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE))

/* As Docker's oci/caps/utils.go: with ALL added, all but those dropped by name; with ALL dropped,
 * those added; else the default ones less the dropped, then plus the added. */
uint64_t spec_caps(const struct spec *s)
{
	uint64_t drop = s->cap_drop == UINT64_MAX ? 0 : s->cap_drop;

	if (s->privileged)
		return ALL_CAPS;
	if (s->cap_add == UINT64_MAX)
		return ALL_CAPS & ~drop;
	if (s->cap_drop == UINT64_MAX)
		return s->cap_add & ALL_CAPS;
	return ((DEFAULT_CAPS & ~drop) | s->cap_add) & ALL_CAPS;
}

bool spec_wants_nested(const struct spec *s)
{
	return s->privileged || (spec_caps(s) & ~(DEFAULT_CAPS | BIT(CAP_NET_ADMIN))) != 0;
}
