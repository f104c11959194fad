/* SPDX-License-Identifier: Apache-2.0
 *
 * ids.h - which ids a sandbox can have
 *
 *	root caller	CAP_SYS_ADMIN in the initial user namespace: a range of 65,536 ids for each
 *			sandbox, trees of the host idmapped, so that on disk stand the image's own
 *	user		uid 0 inside is himself, 1… are those of /etc/subuid
 *	user, one id	no /etc/subuid entry, or no newuidmap: uid 0 inside is himself, and nobody else
 *	nested		uid 0 of another user namespace: the ids which that has, one to one
 */
#ifndef HUTCH_NS_IDS_H
#define HUTCH_NS_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spec/spec.h"
#include "wire/draft.h"
#include "wire/plan.h"

enum ns_persona { NS_ROOT, NS_SUBIDS, NS_ONE_ID, NS_NESTED };

struct ns_ids {
	enum ns_persona persona;
	uint32_t uid, gid; /* of the caller, effective */
	uint32_t nuid, ngid;
	struct plan_extent uids[PLAN_EXTENTS_MAX], gids[PLAN_EXTENTS_MAX]; /* inside -> caller's ns */
};

/* Looks at the calling process (@self: a pidfd of it; -1: by /proc, slower), /etc/subuid and /etc/subgid. */
int ns_ids_find(struct ns_ids *ret, int self, struct err *e);

/* What the nursery is told once. */
void ns_ids_hello(const struct ns_ids *ids, struct hello *ret);

/* Extents of one id file ("NAME:FIRST:COUNT" a line), appended to @x from id 1 inside on, up to
 * 65,536 ids in all. */
void ns_ids_parse(const char *text, size_t len, const char *name, uint32_t id,
		  struct plan_extent *x, uint32_t *n);

/* First id and number of ranges that a root caller's sandboxes take theirs from. The default,
 * 0x70000000 to 0x7fffffff, is above what systemd takes for containers and below the ids that are
 * negative as an int (systemd docs/UIDS-GIDS.md); HUTCH_IDS=FIRST:RANGES moves it. */
struct ns_window {
	uint32_t first, ranges;
};
int ns_window_find(struct ns_window *ret, struct err *e);

/* Takes a free range: an OFD lock on one byte of the file @ranges. *ret_lock holds it. */
int ns_range_take(int ranges_dir, const struct ns_window *w, uint32_t *hint, uint32_t *ret_first,
		  int *ret_lock, struct err *e);

/* The id maps of a keeper. @range: first id of its range (root caller). */
void ns_ids_prepare(const struct ns_ids *ids, bool host_ids, uint32_t range, struct prepare *ret);

/* The sysctls of a network namespace that follow from the ids: who may ping, who may bind what. */
void ns_ids_plan(struct draft *d, const struct prepare *p);

#endif
