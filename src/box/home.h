/* SPDX-License-Identifier: Apache-2.0
 *
 * home.h - where hutch keeps things (home.c), and where a caller's keepers come from (keepers.c)
 *
 *	state	/run/hutch (root caller), $XDG_RUNTIME_DIR/hutch, or /tmp/hutch-UID
 *	data	/var/lib/hutch, or $XDG_DATA_HOME/hutch (~/.local/share/hutch)
 *		boxes/ layers/ pool/ trash/
 *	HUTCH_HOME moves both, to its run/ and data/.
 *
 * Both are 0700 and the caller's own, or opening them is refused.
 */
#ifndef HUTCH_BOX_HOME_H
#define HUTCH_BOX_HOME_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "ns/ids.h"
#include "wire/plan.h"

/* A keeper without a plan. */
struct spare {
	int ctl; /* -1: none */
	int pidfd, userns; /* -1: they come over ctl, from the nursery */
	bool child; /* of ours: to be waited for */
	bool host_ids;
	struct prepare prep;
};

#define SPARE_NONE ((struct spare){.ctl = -1, .pidfd = -1, .userns = -1})

/* A sandbox that nobody has asked for yet (twin.c). */
struct twin {
	struct box *box;       /* NULL: none */
	bool busy;	       /* one is being made */
	struct spec *like;     /* as the last sandbox was asked for; NULL: none was */
	uint64_t made_ns;      /* when the last one was begun */
	struct twin_seen *saw; /* the host, as it was made */
};

struct home {
	pid_t owner;	    /* the process that opened it */
	bool children;	    /* helpers are children of the caller */
	bool nurseless;	    /* so are keepers, which the caller starts himself */
	char *state_path, *data_path;
	int state, data, boxes, layers, pool, trash; /* directories */
	struct ns_ids ids;
	struct ns_window window;
	uint32_t range_hint;
	uint64_t swept_ns;    /* when a sweep in a moment was asked for last; 0: never */
	uint64_t looked_ns;   /* when place_sweep_others() last did something */
	pthread_mutex_t lock; /* the nursery, range_hint */
	int image;	      /* sealed copy of hutch-init */
	int nursery;	      /* socket; -1: none yet, or it has died */
	pid_t nursery_pid;    /* with children only */
	int self;	      /* pidfd of the owner */
	struct spare spare;   /* under the lock */
	uint64_t spare_ns;    /* when it was asked for */
	bool keep_spare;      /* one stands ready at all times */
	_Atomic bool shells;  /* sandboxes are asked for a shell: the last was */
	_Atomic bool resets;  /* likewise: reset */
	_Atomic unsigned live; /* sandboxes of this handle */
	struct twin twin;     /* under the lock */
};

/* What is made ahead is made a moment later (enum ahead_of) unless it was needed so shortly ago. */
#define CLOSELY_NS 20000000ull

/* Where there are more, what each of them takes counts for more than its first reset: none is given a spare that was not asked for. */
enum { SPARES_EARLY_MAX = 16 };

/* What home_open() is to do beside opening. */
struct home_ask {
	bool children;	 /* helpers are children of the caller */
	bool keep_spare; /* a keeper stands ready, and the next one when that is taken */
	bool prepare;	 /* the first one at once; what it shall have follows */
	bool net, host_ids;
	const char *directory; /* in place of HUTCH_HOME; NULL: that, or where it usually is */
};

/* Opens the directories (makes them where missing) and starts the nursery, if there is to be one. */
int home_open(const struct home_ask *ask, struct home **ret, struct err *e);
void home_close(struct home *h);

/* A keeper with these namespaces, ids and (where less than 0) oom_score_adj: the one that stands ready,
 * or a new one. */
int home_take_keeper(struct home *h, bool net, bool host_ids, int oom_score_adj, struct spare *ret,
		     struct err *e);

/* The end of one that is not needed any more; of one that was a sandbox: waits for its end, where it is a
 * child of ours. */
void home_drop_keeper(struct spare *s);
void home_reap_keeper(int pidfd);

/* Makes the next one ready, where that is wanted; no failure is told, the next start has it. */
void home_fill_spare(struct home *h, bool net, bool host_ids);

/* For home.c: the nursery, the first keeper, the end of both. */
int keepers_open(struct home *h, struct err *e);
void keepers_store(struct home *h); /* the directories are open: what the caller's end leaves in them is to be swept */
int keepers_first(struct home *h, bool net, bool host_ids, struct err *e);
void keepers_close(struct home *h);

/* Starts a sweeper on the store, which holds @out (-1: nothing) until it ends. @soon: it need not be at once. */
int home_sweep(struct home *h, int out, bool soon, struct err *e);

/* Removes what dead sandboxes left, and waits for the end of it. */
int home_cleanup(struct home *h, int timeout_ms, struct err *e);

/* HUTCH_E_STATE in a forked child. */
int home_check_owner(const struct home *h, struct err *e);

#endif
