/* SPDX-License-Identifier: Apache-2.0
 *
 * home.h - where hutch keeps things, and the one nursery of a caller
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

struct home {
	pid_t owner;	    /* the process that opened it */
	bool children;	    /* nursery as a child of the caller */
	char *state_path, *data_path;
	int state, data, boxes, layers, pool, trash; /* directories */
	struct ns_ids ids;
	struct ns_window window;
	uint32_t range_hint;
	pthread_mutex_t lock; /* the nursery, range_hint */
	int image;	      /* sealed copy of hutch-init */
	int nursery;	      /* socket; -1: none yet, or it has died */
	pid_t nursery_pid;    /* with children only */
	int self;	      /* pidfd of the owner */
	uint64_t names;	      /* for names that are made */
};

/* Opens the directories (makes them where missing) and starts the nursery. */
int home_open(bool children, struct home **ret, struct err *e);
void home_close(struct home *h);

/* Sends a start to the nursery, which is started anew when it has died. */
int home_start_keeper(struct home *h, const void *blob, size_t len, const int *fds, unsigned nfds,
		      struct err *e);

/* Removes what dead sandboxes left, and waits for the end of it. */
int home_cleanup(struct home *h, int timeout_ms, struct err *e);

/* HUTCH_E_STATE in a forked child. */
int home_check_owner(const struct home *h, struct err *e);

#endif
