/* SPDX-License-Identifier: Apache-2.0
 *
 * job.h - one job of a sandbox, and who waits for an answer about it
 *
 * What jobs.c (their life) and job_answer.c (what clients are told) share.
 */
#ifndef HUTCH_INSIDE_JOB_H
#define HUTCH_INSIDE_JOB_H

#include "inside/keeper.h"
#include "inside/ring.h"

struct asker;

struct job {
	struct job *next;
	struct job_facts facts;
	pid_t pid;	 /* 0: it has ended */
	int out;	 /* -1: nobody can write there any more */
	struct ring ring;
	bool starting;	 /* it has not exec'ed yet */
	struct client *starter; /* who is told of that; NULL: nobody */
	uint32_t starter_id;
	struct asker *askers;
	bool stopping;
	uint64_t kill_by_ns; /* 0: not due */
	pid_t *spared;	     /* the reaper's children that are not ours to end */
	size_t nspared;
	bool spared_known;
};

/**
 * job_answer() - Tell a client how a job stands
 * @from:	the first byte of output that he wants; what is no longer kept is left out
 * @room:	at most so many bytes of it
 */
void job_answer(const struct job *j, struct client *c, uint32_t id, uint64_t from, uint64_t room);

struct job_facts job_facts_of(const struct job *j); /* as of now */
void job_take_rest(struct job *j); /* what it has written until now, but for what it writes meanwhile */
uint64_t job_now_ms(void);	    /* since 1970 */

void job_answer_list(const struct keeper *k, struct client *c, uint32_t id);

/* Who waits is answered later: for more output when there is some, else at the end. One question of a kind and client. */
int job_wait_for(struct job *j, struct client *c, uint32_t id, const struct job_ask *ask, struct err *e);
void job_answer_askers(struct job *j);
void job_refuse_askers(const struct job *j, const struct err *e);
void job_drop_askers(struct job *j, const struct client *c, uint32_t what); /* NULL: everybody; 0: all of his */

#endif
