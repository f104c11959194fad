/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes.h - what is on disk about the snapshots of a sandbox
 *
 * How it works: boxes/NAME/layers.json says on what the sandbox stands, and boxes/NAME/snapshots/ has a file for each
 * snapshot, called as it is. Each is a JSON object, written whole. They name every layer that the sandbox needs,
 * before the layer is made (the one of the next snapshot with this one): the sweeper keeps what any such
 * file names. Who changes them holds a lock on boxes/NAME, and a shared one on the layers, which the sweeper must have
 * alone to remove any.
 */
#ifndef HUTCH_BOX_NODES_H
#define HUTCH_BOX_NODES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "box/home.h"
#include "wire/stack.h"

struct node {
	char *name;	/* the user's tag, or a number */
	char *parent;	/* the one it grew from; NULL: from the start */
	struct stack layers;
	int64_t created_s; /* since 1970 */
	uint64_t order;	   /* the later ones have more */
};

struct nodes {
	int dir, layers_lock;
	pid_t owner;		   /* who holds the locks, alone: not a fork of his, which has the descriptors too */
	bool kept;		   /* the sandbox may outlast a crash of the machine */
	uint64_t next;		   /* number of the next without a tag */
	uint64_t order;		   /* of the last one that was made */
	struct stack base, now, was; /* right after start; at present; while that changes: before */
	char *at;		   /* the snapshot from which the present comes; NULL: the start */
	char *was_at;		   /* with @was, not on disk */
	char *last;		   /* the one that was made last, which may be deleted; NULL: not known */
	/* Names that the keeper may use, noted before he does; "": none yet. */
	char next_layer[LAYER_NAME], next_merged[LAYER_NAME];
	uint32_t generation;	   /* where changes go at present: gN; 0: not known */
};

enum { SNAPSHOT_NAME_MAX = 200 };

/* Opens, and locks until nodes_close(). @make: the directory too, where there is none yet. Where there is nothing to be
 * read all is empty. BUSY: it is locked for long. */
int nodes_open(struct home *h, const char *box, bool make, struct nodes *ret, struct err *e);
/* Only to be looked at: what is written to it is written whole, so no lock is needed for that, nor had. */
int nodes_look(struct home *h, const char *box, struct nodes *ret, struct err *e);
/* Is there something to be kept in step at all? */
bool nodes_exist(struct home *h, const char *box);
/* What says on what one stands that has no snapshots, and has ended. @dir: boxes/NAME. */
bool nodes_only_base(int dir);
int nodes_drop_base(int dir); /* 0 or -errno */
void nodes_close(struct nodes *n);
int nodes_write(struct nodes *n, struct err *e); /* all but the snapshots */
int nodes_set_at(struct nodes *n, const char *name, struct err *e); /* NULL: the start */
/* Onto @now, if @layer is there and was the directory of changes: then it stands on it, although nobody could note that. */
int nodes_add_frozen(struct stack *now, int layers, const char *layer, struct err *e);

bool node_is_there(const struct nodes *n, const char *name);
/* NULL: the one that was made last. NOT_FOUND, with the names that are there. */
int node_read(const struct nodes *n, const char *name, struct node *ret, struct err *e);
/* A new one, on these layers. */
int node_add(struct nodes *n, const char *name, const struct stack *layers, int64_t now_s, struct err *e);
/* What grew from it grows from its parent then. */
int node_remove(struct nodes *n, const char *name, struct err *e);
void node_done(struct node *x);

unsigned nodes_count(struct home *h, const char *box);
/* All, in the order in which they were made. */
int nodes_list(const struct nodes *n, struct node **ret, size_t *ret_n, struct err *e);
void nodes_free(struct node *v, size_t n);

/* A name that no layer has. */
int layer_name_new(char kind, char ret[LAYER_NAME], struct err *e);

#endif
