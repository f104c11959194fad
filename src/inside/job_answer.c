/* SPDX-License-Identifier: Apache-2.0
 *
 * job_answer.c - what clients are told of jobs
 *
 * How it works: clients ask by name. An answer may have to wait (for more output, for the end); who asked stands in
 * the job's list until then, once for each client and kind of question.
 */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "inside/job.h"

/* Somebody who waits for an answer. */
struct asker {
	struct asker *next;
	struct client *client;
	uint32_t id;
	struct job_ask ask;
};

void jobs_refuse(struct client *c, uint32_t id, const struct err *e)
{
	struct msg_head head = {.op = OP_JOB_SAID, .id = id};
	struct job_said said = {.e = *e};

	(void)client_tell(c, &head, &said, sizeof(said), NULL, 0);
}

struct job_facts job_facts_of(const struct job *j)
{
	struct job_facts f = j->facts;

	f.wire = WIRE;
	f.total = j->ring.total;
	f.kept = ring_kept(&j->ring);
	return f;
}

void job_answer(const struct job *j, struct client *c, uint32_t id, uint64_t from, uint64_t room)
{
	struct msg_head head = {.op = OP_JOB_SAID, .id = id};
	struct job_said said = {.njobs = 1};
	const struct job_facts facts = job_facts_of(j);
	uint64_t first = facts.total - facts.kept;
	auto_free char *body = NULL;

	said.from = from < first ? first : from > facts.total ? facts.total : from;
	said.len = facts.total - said.from;
	if (said.len > room)
		said.len = room;
	if (said.len > JOB_PART_MAX)
		said.len = JOB_PART_MAX;
	body = malloc(sizeof(said) + sizeof(facts) + said.len);
	if (!body) {
		struct err e = {0};

		(void)err_oom(&e);
		jobs_refuse(c, id, &e);
		return;
	}
	if (!facts.running && said.from + said.len == facts.total)
		c->follows = false;
	memcpy(body, &said, sizeof(said));
	memcpy(body + sizeof(said), &facts, sizeof(facts));
	ring_copy(&j->ring, said.from, body + sizeof(said) + sizeof(facts), said.len);
	(void)client_tell(c, &head, body, sizeof(said) + sizeof(facts) + said.len, NULL, 0);
}

void job_answer_list(const struct keeper *k, struct client *c, uint32_t id)
{
	static char body[sizeof(struct job_said) + JOBS_MAX * sizeof(struct job_facts)];
	struct msg_head head = {.op = OP_JOB_SAID, .id = id};
	struct job_said said = {0};
	size_t len = sizeof(said);

	for (const struct job *j = k->jobs; j; j = j->next) {
		const struct job_facts facts = job_facts_of(j);

		memcpy(body + len, &facts, sizeof(facts));
		len += sizeof(facts);
		said.njobs++;
	}
	memcpy(body, &said, sizeof(said));
	(void)client_tell(c, &head, body, len, NULL, 0);
}

/* Those whose time has come: all at the end, else who waits for what is there now. */
void job_answer_askers(struct job *j)
{
	struct asker **at = &j->askers, *a;

	while ((a = *at)) {
		if (j->pid && !(a->ask.what == JOB_MORE && j->ring.total > a->ask.from)) {
			at = &a->next;
			continue;
		}
		job_answer(j, a->client, a->id, a->ask.from, a->ask.room);
		*at = a->next;
		free(a);
	}
}

void job_drop_askers(struct job *j, const struct client *c, uint32_t what)
{
	struct asker **at = &j->askers, *a;

	while ((a = *at)) {
		if ((c && a->client != c) || (what && a->ask.what != what)) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
	}
}

int job_wait_for(struct job *j, struct client *c, uint32_t id, const struct job_ask *ask, struct err *e)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return err_oom(e);
	job_drop_askers(j, c, ask->what); /* he has thought better of it */
	*a = (struct asker){.client = c, .id = id, .ask = *ask, .next = j->askers};
	j->askers = a;
	return 0;
}

void job_refuse_askers(const struct job *j, const struct err *e)
{
	if (j->starter)
		jobs_refuse(j->starter, j->starter_id, e);
	for (const struct asker *a = j->askers; a; a = a->next)
		jobs_refuse(a->client, a->id, e);
}
