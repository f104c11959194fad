/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h - what the parts of a run share
 */
#ifndef HUTCH_BOX_RUN_H
#define HUTCH_BOX_RUN_H

#include "base/buf.h"
#include "box/box.h"

enum { READ_SIZE = 65536 };

struct run {
	struct run *next;
	struct box *b;
	struct shell *s; /* or */
	struct proc *p;
	int out[2];	 /* reading ends; -1 */
	bool apart;	 /* errors are */
	bool own[2];	 /* ours to close: those of a session stay */
	unsigned made;	 /* run_shell.c: what it has in the directory of its shell */
	struct sink sink[2];
	char *buf;   /* READ_SIZE; NULL: it has not written much yet */
	int in;	     /* of a pipe to it; -1: it has all, or has none */
	char *input; /* what goes there */
	size_t ninput, fed;
	int events, timer; /* for run_fd(); -1: nobody has asked for it */
	void (*on_output)(void *arg, int which, const char *data, size_t len);
	void *arg;
	uint64_t began_ns, end_by_ns, ended_ns; /* end_by 0: no timeout */
	uint64_t kill_by_ns, again_ns;		  /* once it is stopped */
	char *program; /* the text, where it is one program, which may take its sub-shell's place; or NULL */
	struct buf words; /* in a runner: those that are run, each with a NUL behind it */
	bool is_words;	  /* there, and were no text */
	char *again; /* what a warm shell was given that may not have forked yet who takes it; or NULL */
	uint64_t continue_ns; /* when to look after its shell, which somebody inside may have stopped; 0: never */
	struct err bad; /* code != 0: it could not be begun after all */
	bool timed_out, done, shell_died;
	bool swept;   /* its runner was killed, and what it left is, too, or will be in a moment */
	bool stopped; /* by who waits for it: in a shell, of which nobody else could tell */
	bool looked_out;
	bool settled; /* run_shell_settle() */
	int status;   /* then: how it had ended */
};

/* run_io.c: Takes what is there of output @i. @hung_up: its writers are gone, as poll() says. Return: how many bytes; 0: there are none. */
void run_hear_no_more(const struct run *r, int fd);
size_t run_take(struct run *r, int i, bool hung_up);
/* What is there yet when the run has ended. What comes later goes elsewhere. */
void run_take_rest(struct run *r);
/* A sub-shell says of its program which signal ended it. */
void run_give_said(struct run *r);
/* The whole input of a command, and then as much as it takes now. */
int run_give_input(struct run *r, const struct run_ask *ask, struct err *e);
void run_feed(struct run *r);

/* run_shell.c: Begins the run in its shell (r->s). After a failure with r->s->deaf: in the next one. */
int run_shell_start(struct run *r, const struct run_ask *ask, struct err *e);
int run_shell_start_next(struct run *r, const struct run_ask *ask, struct err *e);
/* A session that was told to pass over the rest of a text, and had come to its end, may do so with the next one: so it gets one
 * that does nothing. Return: true, and that is to be waited for. */
bool run_shell_settle(struct run *r);
/* Gives the shell back, as if the run had not been begun in it. */
void run_shell_leave(struct run *r);
/* Whether a runner would do for it. */
bool run_shell_is_plain(struct run *r, const struct run_ask *ask);
/* Removes what was made for the run in the directory of its shell. */
void run_shell_forget(struct run *r);

#endif
