/* SPDX-License-Identifier: Apache-2.0
 *
 * job.c - commands that belong to the sandbox
 *
 * How it works: the keeper holds them and their output (inside/jobs.c). Each question is a message with a
 * number, and is answered once; some answers come only when there is something to tell. A question that
 * somebody stopped waiting for stays in the list of the box: asked again, it is still the same.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "box/box.h"
#include "sys/proc.h"

struct job_question {
	struct job_question *next;
	uint32_t id;
	struct job_ask ask;
	bool answered;
	struct err e; /* code != 0: it was not done */
	struct job_facts *facts;
	size_t nfacts;
	uint64_t from;
	char *data;
	size_t len;
};

static void question_free(struct box *b, struct job_question *q)
{
	struct job_question **at = &b->questions;

	while (*at && *at != q)
		at = &(*at)->next;
	if (*at)
		*at = q->next;
	free(q->facts);
	free(q->data);
	free(q);
}

static struct job_question *question_new(struct box *b)
{
	struct job_question *q;

	if (!b->wide)
		b->wide = malloc(MSG_BUF); /* answers are longer than what else comes */
	q = b->wide ? calloc(1, sizeof(*q)) : NULL;
	if (!q)
		return NULL;
	q->id = ++b->next_id;
	q->next = b->questions;
	b->questions = q;
	return q;
}

void job_drop_all(struct box *b)
{
	while (b->questions)
		question_free(b, b->questions);
	free(b->job_output);
	free(b->wide);
	b->job_output = b->wide = NULL;
}

/* ---- the answer ------------------------------------------------------------------------------- */

static void take_facts(struct job_question *q, const struct job_said *s, const char *at)
{
	q->facts = calloc(s->njobs + 1, sizeof(*q->facts));
	q->data = malloc(s->len + 1);
	if (!q->facts || !q->data) {
		(void)err_oom(&q->e);
		return;
	}
	memcpy(q->facts, at, s->njobs * sizeof(*q->facts));
	q->nfacts = s->njobs;
	for (size_t i = 0; i < q->nfacts; i++) {
		struct job_facts *f = &q->facts[i];

		f->id[sizeof(f->id) - 1] = f->command[sizeof(f->command) - 1] = '\0';
		f->end.e.msg[sizeof(f->end.e.msg) - 1] = '\0';
	}
	memcpy(q->data, at + s->njobs * sizeof(*q->facts), s->len);
	q->data[s->len] = '\0';
	q->len = s->len;
	q->from = s->from;
}

/* Does the body hold what it says? */
static bool fits(const struct msg *m)
{
	const struct job_said *s = m->body;
	uint64_t rest;

	if (m->head.body < sizeof(*s))
		return false;
	rest = m->head.body - sizeof(*s);
	if (s->e.code)
		return rest == 0;
	return s->njobs <= rest / sizeof(struct job_facts) &&
	       s->len == rest - s->njobs * sizeof(struct job_facts);
}

void job_answered(struct box *b, struct msg *m)
{
	struct job_question *q = b->questions;

	while (q && q->id != m->head.id)
		q = q->next;
	if (!q || q->answered || !fits(m))
		return;
	q->answered = true;
	memcpy(&q->e, m->body, sizeof(q->e));
	q->e.msg[sizeof(q->e.msg) - 1] = '\0';
	if (!q->e.code)
		take_facts(q, m->body, (const char *)m->body + sizeof(struct job_said));
}

/* Hands over what was said, and frees @q. */
static int take(struct box *b, struct job_question *q, struct job_facts *ret, struct job_output *ret_out,
		struct err *e)
{
	int r = q->e.code;

	if (r == 0 && q->nfacts != 1)
		r = err_set(&q->e, ERR_INTERNAL, "an answer about %zu jobs", q->nfacts);
	if (r < 0 && e)
		*e = q->e;
	if (r == 0 && ret)
		*ret = q->facts[0];
	if (r == 0 && ret_out) {
		free(b->job_output);
		b->job_output = take_ptr(&q->data);
		*ret_out = (struct job_output){b->job_output, q->len, q->from};
	}
	question_free(b, q);
	return r;
}

/* ---- the question ----------------------------------------------------------------------------- */

static int told_no(struct box *b, struct err *e)
{
	int r = box_gone(b, e);

	return b->why.code ? err_wrap(e, "start '%s'", b->name) : r;
}

static int send_it(struct box *b, uint16_t op, uint32_t id, const void *body, size_t len, struct err *e)
{
	struct msg_head head = {.op = op, .id = id};
	int r = box_ask(b, &head, body, len, NULL, 0, e);

	return r < 0 && b->why.code ? err_wrap(e, "start '%s'", b->name) : r;
}

/* Until there is an answer. Frees @q where there comes none. */
static int wait_answer(struct box *b, struct job_question *q, struct err *e)
{
	int r = 0;

	while (r >= 0 && !q->answered && !b->why.code)
		r = box_talk(b, -1, e);
	if (q->answered)
		return 0;
	if (b->why.code)
		r = told_no(b, e);
	question_free(b, q);
	return r;
}

static int ask_for(struct box *b, uint16_t op, const void *body, size_t len, struct job_question **ret,
		   struct err *e)
{
	struct job_question *q = question_new(b);
	int r;

	if (!q)
		return err_oom(e);
	r = send_it(b, op, q->id, body, len, e);
	if (r < 0) {
		question_free(b, q);
		return r;
	}
	r = wait_answer(b, q, e);
	if (r == 0)
		*ret = q;
	return r;
}

int job_start(struct box *b, const struct exec_ask *ask, struct job_facts *ret, struct err *e)
{
	auto_buf struct buf blob = BUF_INIT(MSG_BODY_MAX);
	struct job_question *q;
	int r = home_check_owner(b->home, e);

	if (r == 0 && ask->main && !b->shared)
		r = err_set(e, ERR_STATE, "only a detached sandbox can end with a job");
	if (r == 0)
		r = exec_pack(&blob, b, ask, e);
	if (r == 0)
		r = ask_for(b, OP_JOB_START, blob.data, blob.len, &q, e);
	return r < 0 ? r : take(b, q, ret, NULL, e);
}

int job_ask(struct box *b, const struct job_ask *ask, struct job_facts *ret, struct job_output *ret_out,
	    struct err *e)
{
	struct job_question *q;
	int r = home_check_owner(b->home, e);

	if (r == 0)
		r = ask_for(b, OP_JOB, ask, sizeof(*ask), &q, e);
	return r < 0 ? r : take(b, q, ret, ret_out, e);
}

int job_list(struct box *b, struct job_facts **ret, size_t *ret_n, struct err *e)
{
	struct job_ask ask = {.what = JOB_LIST};
	struct job_question *q;
	int r = home_check_owner(b->home, e);

	if (r == 0)
		r = ask_for(b, OP_JOB, &ask, sizeof(ask), &q, e);
	if (r < 0)
		return r;
	r = q->e.code;
	if (r < 0) {
		*e = q->e;
	} else {
		*ret = take_ptr(&q->facts);
		*ret_n = q->nfacts;
	}
	question_free(b, q);
	return r;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

/* The question that was asked before, or asked now. */
static int need_question(struct box *b, const struct job_ask *ask, struct job_question **ret, struct err *e)
{
	struct job_question *q = b->questions;
	int r;

	while (q && (q->ask.what != ask->what || strcmp(q->ask.id, ask->id)))
		q = q->next;
	if (q && (q->ask.from != ask->from || q->ask.room != ask->room)) { /* the keeper drops it for the new one */
		question_free(b, q);
		q = NULL;
	}
	if (q) {
		*ret = q;
		return 0;
	}
	q = question_new(b);
	if (!q)
		return err_oom(e);
	q->ask = *ask;
	r = send_it(b, OP_JOB, q->id, ask, sizeof(*ask), e);
	if (r < 0)
		question_free(b, q);
	else
		*ret = q;
	return r;
}

static int wait_once(struct box *b, int timeout_ms, int wake_fd, bool *woken, struct err *e)
{
	struct pollfd p[2] = {{b->ctl, POLLIN, 0}, {wake_fd, POLLIN, 0}};

	if (poll(p, 2, timeout_ms) < 0)
		return errno == EINTR ? 0 : err_sys(e, errno, "poll");
	*woken = p[1].revents;
	return p[0].revents ? box_talk(b, 0, e) : 0;
}

int job_wait(struct box *b, const char *id, uint64_t from, int timeout_ms, int wake_fd, struct job_facts *ret,
	     struct job_output *ret_out, struct err *e)
{
	uint64_t end = sys_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u;
	struct job_ask ask = {.what = from == UINT64_MAX ? JOB_END : JOB_MORE, .from = from,
			      .room = ret_out ? JOB_PART_MAX : 0};
	struct job_ask look = {.what = JOB_CHECK};
	struct job_question *q = NULL;
	int r = home_check_owner(b->home, e), left = timeout_ms;
	bool woken = false;

	snprintf(look.id, sizeof(look.id), "%s", id);
	snprintf(ask.id, sizeof(ask.id), "%s", id);
	if (r == 0)
		r = need_question(b, &ask, &q, e);
	if (!q)
		return r;
	/* Only a look: the keeper answers in order, so behind this answer there is none to our question. */
	if (r == 0 && timeout_ms == 0)
		r = job_ask(b, &look, NULL, NULL, e);
	while (timeout_ms && r >= 0 && !q->answered && !woken) {
		uint64_t now;

		r = wait_once(b, left, wake_fd, &woken, e);
		if (b->why.code)
			r = told_no(b, e);
		now = sys_now_ns();
		if (timeout_ms >= 0 && now >= end)
			break;
		if (timeout_ms >= 0)
			left = (int)((end - now + 999999) / 1000000);
	}
	if (!q->answered) {
		if (r < 0)
			question_free(b, q);
		return r < 0 ? r : 0;
	}
	r = take(b, q, ret, ret_out, e);
	return r < 0 ? r : 1;
}
