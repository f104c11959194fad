/* SPDX-License-Identifier: Apache-2.0
 *
 * probe_text.c - what the texts of /proc and /etc say
 *
 * How it works: each function walks a text in memory line by line and passes over lines that it
 * does not understand; nothing is opened here.
 *
 * Called by: probe.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sys/probe.h"

static const char *next_line(const char *at)
{
	at += strcspn(at, "\n");
	return *at ? at + 1 : at;
}

/* The fields of a line of mountinfo that matter; proc(5): id parent dev root point … - type. */
static bool mount_line(const char *line, char root[256], char point[256], char type[32])
{
	const char *end = line + strcspn(line, "\n"), *dash = strstr(line, " - ");

	return dash && dash < end && sscanf(line, "%*s %*s %*s %255s %255s", root, point) == 2 &&
	       sscanf(dash, " - %31s", type) == 1;
}

bool probe_root_is_mount(const char *mountinfo)
{
	char root[256], point[256], type[32];

	for (const char *at = mountinfo; *at; at = next_line(at))
		if (mount_line(at, root, point, type) && !strcmp(point, "/"))
			return true;
	return false;
}

void probe_masked_find(const char *mountinfo, char *ret, size_t size)
{
	char root[256], point[256], type[32];

	ret[0] = '\0';
	for (const char *at = mountinfo; *at; at = next_line(at)) {
		if (!mount_line(at, root, point, type) || strncmp(point, "/proc/", 6) != 0)
			continue;
		/* On an empty directory of proc, where nothing is hidden. */
		if (!strcmp(point, "/proc/sys/fs/binfmt_misc") || !strcmp(point, "/proc/fs/nfsd"))
			continue;
		snprintf(ret, size, "%s", point);
		return;
	}
}

bool probe_cgroup_find(const char *mountinfo, const char *cgroup, struct probe_cgroup *ret)
{
	char root[256], point[256], type[32], path[512];
	const char *own = NULL, *rest = path;

	for (const char *at = mountinfo; *at; at = next_line(at)) {
		if (!mount_line(at, root, point, type))
			continue;
		ret->v1 |= !strcmp(type, "cgroup");
		if (strcmp(type, "cgroup2") != 0 || ret->mount[0])
			continue;
		snprintf(ret->mount, sizeof(ret->mount), "%s", point);
		snprintf(ret->own, sizeof(ret->own), "%s", root); /* until own is known */
	}
	for (const char *at = cgroup; *at && !own; at = next_line(at))
		if (!strncmp(at, "0::", 3))
			own = at + 3;
	if (!ret->mount[0] || !own)
		return false;
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(own, "\n"), own);
	/* What is mounted may be a part of the hierarchy, as in a container. */
	if (strcmp(ret->own, "/") != 0 && !strncmp(path, ret->own, strlen(ret->own)))
		rest = path + strlen(ret->own);
	snprintf(ret->own, sizeof(ret->own), "%s%s", ret->mount, strcmp(rest, "/") ? rest : "");
	return true;
}

bool probe_subid_find(const char *text, const char *user, uid_t uid, uint32_t *ret_start,
		      uint32_t *ret_count)
{
	char name[128], number[16];
	unsigned long start, count;

	snprintf(number, sizeof(number), "%u", (unsigned int)uid);
	for (const char *at = text; *at; at = next_line(at)) {
		if (sscanf(at, "%127[^:\n]:%lu:%lu", name, &start, &count) != 3)
			continue;
		if (strcmp(name, number) != 0 && (!user || strcmp(name, user) != 0))
			continue;
		if (count == 0 || start > UINT32_MAX - 1 || count > UINT32_MAX - start)
			continue;
		*ret_start = (uint32_t)start;
		*ret_count = (uint32_t)count;
		return true;
	}
	return false;
}

uint32_t probe_subid_gap(const char *text, uint32_t from, uint32_t count)
{
	unsigned long start, size;
	const char *at = text;

	while (*at) {
		if (sscanf(at, "%*[^:\n]:%lu:%lu", &start, &size) == 2 && start < UINT32_MAX &&
		    size < UINT32_MAX - start - count && start < (unsigned long)from + count &&
		    from < start + size) {
			from = (uint32_t)(start + size);
			at = text; /* an earlier line may have these */
			continue;
		}
		at = next_line(at);
	}
	return from;
}
