/* SPDX-License-Identifier: Apache-2.0
 *
 * foreground.h - a command in a sandbox, and we in front of it
 */
#ifndef HUTCH_CLI_FOREGROUND_H
#define HUTCH_CLI_FOREGROUND_H

#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "base/err.h"
#include "cli/terminal.h"
#include "hutch.h"

enum { STEPS_MAX = 12 };

struct foreground {
	/* what was asked for */
	const char *json, *preserve;
	bool quiet, tty, interactive;
	bool is_guest; /* the sandbox was there before, and others may end it */
	int fds[64], nfds; /* of --preserve-fd */
	/* the command, once it was started */
	struct hutch_proc *proc;
	struct hutch_run *run; /* or text in a session */
	int stopped_by;	       /* signal at which we ended the run; 0: none */
	int unwritten;	       /* why its output could not be written; 0: it was */
	struct hutch_result result;
	/* ours */
	struct terminal terminal;
	int epoll, signals;
	sigset_t before;
	bool trace; /* HUTCH_TRACE=1: the time of each step is printed at the end */
	struct {
		const char *name;
		struct timespec at;
	} steps[STEPS_MAX];
	int nsteps;
};

#define FOREGROUND_INIT {.epoll = -1, .signals = -1}

void foreground_step(struct foreground *f, const char *name);

/* Can what was asked for be had? */
int foreground_check(struct foreground *f, struct err *e);
/* From here on signals are ours to pass on. */
int foreground_begin(struct foreground *f, struct err *e);
/* Our descriptors, and a terminal where one was asked for. */
void foreground_exec(struct foreground *f, struct hutch_exec_options *ret);
/* Text in a session: where its output goes. */
void foreground_run(struct foreground *f, struct hutch_run_options *ret);
/* Waits for the end, unless @code (of what came before) is a failure, whose @e it is; says what there
 * is to say. Return: the exit status. */
int foreground_end(struct foreground *f, int code, struct err *e);
void foreground_done(struct foreground *f);

#endif
