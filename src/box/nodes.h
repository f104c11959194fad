/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes.h - what is on disk about the snapshots of a sandbox
 *
 * How it works: boxes/NAME/snapshots is one JSON object, written whole. It names every layer that the sandbox needs,
 * before the layer is made (the one of
 * the next snapshot with this one): the sweeper keeps what any such file names. Who changes it holds a lock on the
 * directory, and a shared one on the layers, which the sweeper must have alone to remove any.
 */
#ifndef HUTCH_BOX_NODES_H
#define HUTCH_BOX_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "box/home.h"
#include "wire/stack.h"

struct node {
	char *name;	/* the user's tag, or a number */
	char *parent;	/* the one it grew from; NULL: from the start */
	struct stack layers;
	int64_t created_s; /* since 1970 */
};

struct nodes {
	struct node *v; /* in the order in which they were made */
	size_t n;
	uint64_t next;		   /* number of the next without a tag */
	struct stack base, now, was; /* right after start; at present; while that changes: before */
	char *at;		   /* the node from which the present comes; NULL: the start */
	/* Names that the keeper may use, noted before he does; "": none yet. */
	char next_layer[LAYER_NAME], next_merged[LAYER_NAME];
	uint32_t generation;	   /* where changes go at present: gN */
	int dir, layers_lock;
};

enum { SNAPSHOT_NAME_MAX = 200 };

/* Opens, and locks until nodes_close(). @make: the directory too, where there is none yet. Where there are no
 * snapshots it is empty. */
int nodes_open(struct home *h, const char *box, bool make, struct nodes *ret, struct err *e);
/* Is there something to be kept in step at all? */
bool nodes_exist(struct home *h, const char *box);
void nodes_close(struct nodes *n);
int nodes_write(struct nodes *n, struct err *e);

struct node *nodes_find(const struct nodes *n, const char *name);
/* At the end; takes nothing over. */
int nodes_add(struct nodes *n, const char *name, const struct stack *layers, int64_t now_s, struct err *e);
void nodes_remove(struct nodes *n, struct node *x); /* what grew from it grows from its parent then */
int nodes_set_at(struct nodes *n, const char *name, struct err *e); /* NULL: the start */
/* NOT_FOUND, with the names that are there. */
int nodes_none(const struct nodes *n, const char *name, struct err *e);

/* A name that no layer has. */
int layer_name_new(char kind, char ret[LAYER_NAME], struct err *e);

#endif
