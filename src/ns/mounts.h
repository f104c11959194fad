/* SPDX-License-Identifier: Apache-2.0
 *
 * mounts.h - volumes, tmpfs, devices and the host's own trees, as parts of a plan
 */
#ifndef HUTCH_NS_MOUNTS_H
#define HUTCH_NS_MOUNTS_H

#include "base/err.h"
#include "ns/ids.h"
#include "spec/spec.h"
#include "wire/draft.h"

/* True where the keeper cannot open the caller's paths itself (a range of ids of its own): trees
 * then travel as idmapped clones. */
bool ns_by_fd(const struct ns_ids *ids, const struct spec *s);

/* A tree of the host for a plan. @path is absolute. @userns: whose ids it is seen with, as a
 * descriptor travels; -1: the keeper opens it by its path. */
int ns_tree(struct draft *d, int userns, const char *path, bool recursive, struct plan_tree *ret,
	    struct err *e);

/* Everything of the spec that is mounted into the sandbox. @p: the keeper's ids. @secret: two
 * directories of hutch itself, which a volume that contains them does not show. */
int ns_mounts_plan(struct draft *d, int userns, const struct prepare *p, const struct spec *s,
		   const char *const secret[2], struct err *e);

/* --host: /usr, /opt and, where they are directories of their own, /bin /sbin /lib*. */
int ns_host_plan(struct draft *d, struct err *e);

#endif
