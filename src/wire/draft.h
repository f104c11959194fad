/* SPDX-License-Identifier: Apache-2.0
 *
 * draft.h - a plan while it is being made
 *
 * Each mechanism adds its part (ns_plan, guard_plan, …); draft_finish() makes one blob of it.
 * Descriptors given to draft_fd() belong to the draft from then on.
 */
#ifndef HUTCH_WIRE_DRAFT_H
#define HUTCH_WIRE_DRAFT_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/msg.h"
#include "wire/plan.h"

enum { DRAFT_ROOM = 3072 };

struct draft {
	struct plan plan;
	struct buf blob; /* begins with the plan */
	struct buf lowers, mounts, devices, sysctls, rlimits; /* arrays of plan_… */
	int fds[MSG_FDS_MAX]; /* as they go into the message */
	unsigned nfds;
	bool fds_full;
	_Alignas(8) char room[DRAFT_ROOM]; /* for a blob of usual size: memory from the kernel is dear */
};

void draft_init(struct draft *d);
void draft_done(struct draft *d);

/* Takes @fd over. Return: its index for the plan. */
int32_t draft_fd(struct draft *d, int fd);

pack_ref draft_str(struct draft *d, const char *s);
void draft_lower(struct draft *d, const struct plan_tree *t);
void draft_mount(struct draft *d, const struct plan_mount *m);
void draft_device(struct draft *d, const struct plan_device *v);
void draft_sysctl(struct draft *d, const char *key, const char *value);
void draft_rlimit(struct draft *d, uint32_t which, const char *name, uint64_t soft, uint64_t hard);
void draft_filter(struct draft *d, const struct sock_filter *code, size_t n);

/* The blob is d->blob afterwards. Return: 0, NOMEM or LIMIT. */
int draft_finish(struct draft *d, struct err *e);

#endif
