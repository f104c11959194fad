/* SPDX-License-Identifier: Apache-2.0
 *
 * child.h - a command that is about to be one
 */
#ifndef HUTCH_INSIDE_CHILD_H
#define HUTCH_INSIDE_CHILD_H

#include "inside/keeper.h"

enum { CHILD_VECTORS = 64 }; /* with so many words and variables no memory has to be asked for */

struct child {
	struct keeper *k;
	const struct pack *pack;
	const struct call *call;
	const char *cwd_last; /* NULL: the call's */
	struct who who;
	char **argv, **env; /* child_vectors() */
	char *vectors[CHILD_VECTORS];
	int in[3]; /* standard descriptors; -1: /dev/null */
	int more[CALL_FDS_MAX]; /* those asked for by number */
	int image;		/* of CALL_RUNNER: hutch-init; else -1 */
};

/* Its descriptors, which stay the message's. Return: false, it has others than the call says. */
bool child_ends(struct child *c, const struct msg *m);
/* Its arguments and environment, which has room for one more. */
int child_vectors(struct child *c, struct err *e);
void child_done(struct child *c);

/* In a clone of the keeper's: becomes the command. @news: closes when it has, or says why it has not. */
void child_main(struct child *c, int news) __attribute__((noreturn));
/* In a vfork of the starter's, which stands under all guards: becomes the command, or returns why not. *say, by which
 * to say that, may get another number. */
int child_again(struct child *c, int *say, struct err *e);

#endif
