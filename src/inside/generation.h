/* SPDX-License-Identifier: Apache-2.0
 *
 * generation.h - what generation.c and first.c share: reaper and keeper, and what they say to each other
 */
#ifndef HUTCH_INSIDE_GENERATION_H
#define HUTCH_INSIDE_GENERATION_H

#include "inside/keeper.h"
#include "sys/proc.h"

enum report_kind { REPORT_WANTS_MAP = 1, REPORT_RUNS, REPORT_BEGUN, REPORT_NET, REPORT_READY, REPORT_FAILED, GO };

enum { REPORT_ROOM = sizeof(struct err) + 64 }; /* for any report */

/* The namespaces that every generation has of its own. */
enum { SPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWCGROUP };

/* In the reaper. Names of the uts namespace in which it is; a nested user namespace with what belongs to it
 * (@flags: of the plan). */
int reaper_names(const struct keeper *k, struct err *e);
int reaper_nest(uint32_t flags, int news, struct err *e);
/* Its namespaces (@which: CLONE_NEW*), or all with the nested user namespace: how many, or less than 0. */
int reaper_open_spaces(int which, int *fds, struct err *e);
int reaper_open_all(uint32_t flags, int fds[SPACES_MAX + 1], struct err *e);
/* The last it does: report, with @n descriptors, and be pid 1; or say why not. */
void reaper_rest(int news, const int *fds, int n) __attribute__((noreturn));
void reaper_failed(int news, const struct err *e) __attribute__((noreturn));
void reaper_close(int news); /* every other descriptor */

/* In the keeper. Clones a reaper: g->pid is 0 in it; *ret_news is the socket on either side. */
int generation_clone(struct generation *g, int spaces, int *ret_news, struct err *e);
int generation_devpts(struct err *e); /* a devpts of its own, attached nowhere */
/* The next report, which must be @want. */
int generation_report(struct keeper *k, struct generation *g, uint16_t want, struct msg *m, void *buf, size_t room,
		      struct err *e);
/* Takes the namespaces that came with a report, from the descriptor @from on, behind the first @have. */
int generation_take(struct generation *g, int have, struct msg *m, unsigned from, bool nested,
		    struct err *e);
/* Until @fd is readable. */
void generation_await(struct keeper *k, int fd);
/* Into one namespace of it, -errno. */
int generation_setns(const struct generation *g, int flag);

#endif
