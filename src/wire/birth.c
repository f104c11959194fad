/* SPDX-License-Identifier: Apache-2.0
 *
 * birth.c - what whoever makes a keeper does for it: the nursery, or the caller himself
 */
#include "wire/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "sys/proc.h"

bool birth_fits(const struct prepare *p)
{
	return p->nuid <= PLAN_EXTENTS_MAX && p->ngid <= PLAN_EXTENTS_MAX;
}

uint64_t birth_spaces(const struct prepare *p)
{
	return CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | (p->timens ? CLONE_NEWTIME : 0);
}

int birth_refused(int sys, struct err *e)
{
	if (sys == ENOSPC || sys == EUSERS)
		return err_set(e, ERR_LIMIT,
			       "make the namespaces: no more are allowed (sysctl user.max_user_namespaces "
			       "and its like; `hutch doctor` shows them)");
	return err_sys(e, sys, "make the namespaces%s",
		       sys == EPERM ? " (`hutch doctor` says what this host lacks)" : "");
}

static int write_map(pid_t pid, const char *file, const struct plan_extent *x, uint32_t n,
		     struct err *e)
{
	char path[64], text[PLAN_EXTENTS_MAX * 36] = "";
	size_t at = 0;
	int r;

	for (uint32_t i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%u %u %u\n", x[i].inside,
				       x[i].outside, x[i].count);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	r = sys_write_file(AT_FDCWD, path, text);
	return r < 0 ? err_sys(e, r, "write %s", file) : 0;
}

static int write_maps(const struct prepare *p, pid_t pid, struct err *e)
{
	char path[64];
	int r;

	if (p->ids == PLAN_IDS_SELF)
		return 0;
	r = write_map(pid, "uid_map", p->uid, p->nuid, e);
	if (r == 0 && p->ngid == 1 && p->gid[0].count == 1) {
		snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
		(void)sys_write_file(AT_FDCWD, path, "deny"); /* needed by some, refused to some */
	}
	return r < 0 ? r : write_map(pid, "gid_map", p->gid, p->ngid, e);
}

int birth_give_ids(const struct prepare *p, pid_t pid, int pidfd, int *ret_userns, struct err *e)
{
	char path[64];
	int r = write_maps(p, pid, e);

	if (r < 0 || p->ids != PLAN_IDS_MAP)
		return r;
	r = sys_pidfd_userns(pidfd);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	*ret_userns = r >= 0 ? r : openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC); /* or nobody needs it */
	return 0;
}
