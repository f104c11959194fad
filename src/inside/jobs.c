/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs.c - commands that belong to the sandbox, with their output
 *
 * How it works: a job is a command as any other (exec.c), but no client's. What it writes comes through one
 * pipe, which the keeper reads whenever there is something and keeps in a ring (ring.c). So a job never
 * waits for a reader and never loses one. It stays known when it has ended, until it is stopped or a reset
 * comes. What clients ask is answered in job_answer.c.
 *
 * Stop: the signal, and after a while SIGKILL to the whole tree. A leader that ends at the signal leaves its
 * children to the reaper; those that were not there when the stop began are killed with it. Whatever else
 * loses its parent between these two moments is told apart by looking again when another command ends.
 *
 * All is bounded: the number of jobs, the bytes of all rings together, the questions of a client.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/job.h"
#include "sys/proc.h"

#define KEEP_ALL ((uint64_t)JOBS_MAX << 20)

#define LAST_WORDS_NS 1000000000ull

enum { READ_SIZE = 65536, READS_AT_END = 32 };

uint64_t job_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static struct job *by_id(const struct keeper *k, const char *id)
{
	struct job *j = k->jobs;

	while (j && strcmp(j->facts.id, id))
		j = j->next;
	return j;
}

pid_t jobs_pid(const struct keeper *k, const char *id)
{
	const struct job *j = by_id(k, id);

	return j ? j->pid : 0;
}

/* ---- output ----------------------------------------------------------------------------------- */

/* Return: was there something? */
static bool take(struct job *j)
{
	static char buf[READ_SIZE];
	ssize_t n = j->out < 0 ? -1 : read(j->out, buf, sizeof(buf));

	if (n > 0)
		ring_keep(&j->ring, buf, (size_t)n);
	else if (j->out >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
		close_fd(&j->out);
	return n > 0;
}

void job_take_rest(struct job *j)
{
	for (int i = 0; i < READS_AT_END && take(j); i++)
		;
}

/* ---- begin and end ---------------------------------------------------------------------------- */

static void job_free(struct keeper *k, struct job *j)
{
	struct job **at = &k->jobs;

	while (*at && *at != j)
		at = &(*at)->next;
	if (*at)
		*at = j->next;
	job_drop_askers(j, NULL, 0);
	if (j->out >= 0 && k->now.pid) /* what it started may go on writing */
		drain_add(k, take_fd(&j->out));
	close_fd(&j->out);
	ring_close(&j->ring);
	free(j->spared);
	free(j);
}

static int check_room(const struct keeper *k, uint64_t room, struct err *e)
{
	uint64_t all = room;
	int n = 0;

	for (const struct job *j = k->jobs; j; j = j->next, n++)
		all += j->ring.room;
	if (n >= JOBS_MAX)
		return err_set(e, ERR_LIMIT, "there are %d jobs in the sandbox; one that has ended is forgotten when "
			       "it is stopped (`hutch job stop`)", n);
	if (room > KEEP_ALL || all > KEEP_ALL)
		return err_set(e, ERR_LIMIT, "output of over %llu bytes would be kept in all; keep less of it, or stop "
			       "jobs that have ended", (unsigned long long)KEEP_ALL);
	return 0;
}

static int choose_id(const struct keeper *k, const char *asked, char ret[JOB_ID], struct err *e)
{
	uint32_t n;

	if (asked && strlen(asked) >= JOB_ID)
		return err_set(e, ERR_INVALID, "a job's name has at most %d bytes", JOB_ID - 1);
	if (asked && by_id(k, asked))
		return err_set(e, ERR_EXISTS, "there is a job '%s'; stop it first", asked);
	if (asked) {
		snprintf(ret, JOB_ID, "%s", asked);
		return 0;
	}
	do {
		if (getrandom(&n, sizeof(n), 0) != sizeof(n))
			return err_sys(e, errno, "getrandom");
		snprintf(ret, JOB_ID, "%08x", n);
	} while (by_id(k, ret));
	return 0;
}

static void describe(struct job_facts *f, const struct pack *p, struct pack_list argv)
{
	size_t len = 0;

	for (uint32_t i = 0; i < argv.count && len < sizeof(f->command) - 1; i++) {
		const char *word = pack_get_item(p, argv, i);

		len += (size_t)snprintf(f->command + len, sizeof(f->command) - len, "%s%s", i ? " " : "",
					word ? word : "");
	}
}

static struct job *make(struct keeper *k, const struct pack *p, const struct call *call, struct err *e)
{
	struct job *j, **at = &k->jobs;
	char id[JOB_ID];
	int r;

	if (call->nnumbers || call->flags & CALL_TTY || !call->keep) {
		err_set(e, ERR_INTERNAL, "a job that is none");
		return NULL;
	}
	r = check_room(k, call->keep, e);
	if (r == 0)
		r = choose_id(k, pack_get_str(p, call->job), id, e);
	j = r < 0 ? NULL : calloc(1, sizeof(*j));
	if (!j) {
		if (r == 0)
			err_oom(e);
		return NULL;
	}
	memcpy(j->facts.id, id, sizeof(id));
	describe(&j->facts, p, call->argv);
	j->out = -1;
	r = ring_open(&j->ring, call->keep);
	if (r < 0) {
		free(j);
		err_sys(e, r, "room for output");
		return NULL;
	}
	while (*at)
		at = &(*at)->next;
	*at = j;
	return j;
}

/* Fills the message as if the client had sent descriptors. */
static int make_ends(const struct keeper *k, struct job *j, struct msg *m, struct err *e)
{
	int fd[2];

	if (m->nfds)
		return err_set(e, ERR_INTERNAL, "%u descriptors for a job", m->nfds);
	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	j->out = fd[0];
	m->fds[1] = fd[1];
	m->fds[0] = keeper_null(k);
	m->fds[2] = fcntl(fd[1], F_DUPFD_CLOEXEC, 3);
	m->nfds = 3;
	(void)fchmod(fd[0], 0666); /* whoever it runs as, /dev/stdout is an open of it */
	(void)fcntl(fd[0], F_SETFL, O_NONBLOCK);
	return m->fds[0] < 0 || m->fds[2] < 0 ? err_sys(e, errno, "standard descriptors") : 0;
}

static int start(struct keeper *k, struct client *c, struct msg *m, struct err *e)
{
	struct pack p = {m->body, m->head.body};
	const struct call *call = call_open(&p, e);
	struct job *j = call ? make(k, &p, call, e) : NULL;
	int r;

	if (!j)
		return e->code;
	r = make_ends(k, j, m, e);
	if (r == 0)
		r = exec_start(k, c, m, NULL, e);
	if (r < 0) {
		close_fd(&j->out);
		job_free(k, j);
		return r;
	}
	j->pid = exec_pid(k, c, m->head.id);
	exec_assign(k, j->pid, NULL, 0); /* nobody's */
	j->facts.inside = process_inside(k, j->pid);
	j->facts.running = 1;
	j->facts.main = !!(call->flags & CALL_MAIN);
	j->facts.began_ms = job_now_ms();
	j->starting = true;
	j->starter = c;
	j->starter_id = m->head.id;
	return 0;
}

void jobs_start(struct keeper *k, struct client *c, struct msg *m)
{
	struct err e = {0};

	if (start(k, c, m, &e) < 0)
		jobs_refuse(c, m->head.id, &e);
}

static void began(struct keeper *k, struct job *j)
{
	k->for_job = false;
	j->starting = false;
	if (j->starter)
		job_answer(j, j->starter, j->starter_id, 0, 0);
	j->starter = NULL;
}

/* What it left behind while it was being stopped. */
static void end_rest(struct keeper *k, struct job *j)
{
	if (j->spared_known && k->now.pid)
		tree_kill_orphans(k, j->spared, j->nspared);
}

static void note_orphans(struct keeper *k, struct job *j)
{
	free(j->spared);
	j->spared = NULL;
	j->nspared = 0;
	j->spared_known = tree_orphans(k, &j->spared, &j->nspared);
}

/* Another command has ended while jobs are being stopped: what it left is none of theirs. */
static void spare_others(struct keeper *k)
{
	for (struct job *j = k->jobs; j; j = j->next)
		if (j->stopping && j->pid && k->now.pid && !process_is_zombie(k, j->pid))
			note_orphans(k, j);
}

void jobs_ended(struct keeper *k, pid_t pid, const struct exited *x)
{
	struct job *j = k->jobs;

	while (j && j->pid != pid)
		j = j->next;
	if (!j || !j->stopping)
		spare_others(k);
	if (!j)
		return;
	j->pid = 0;
	if (x->how == EXITED_FAULT) { /* it never was one */
		job_refuse_askers(j, &x->e);
		job_free(k, j);
		return;
	}
	if (j->stopping)
		end_rest(k, j);
	job_take_rest(j);
	j->facts.running = 0;
	j->facts.ended_ms = job_now_ms();
	j->facts.end = *x;
	if (j->starting)
		began(k, j);
	job_answer_askers(j);
	if (j->stopping)
		job_free(k, j);
}

void jobs_reset(struct keeper *k)
{
	struct err e;

	while (k->jobs) {
		/* Its end was told, unless the whole generation had come to one that is not reaped yet. */
		(void)err_set(&e, ERR_NOT_FOUND, "job '%s' ended with a reset", k->jobs->facts.id);
		job_refuse_askers(k->jobs, &e);
		close_fd(&k->jobs->out); /* all who could write have ended */
		job_free(k, k->jobs);
	}
}

void jobs_forget(struct keeper *k, const struct client *c)
{
	for (struct job *j = k->jobs; j; j = j->next) {
		job_drop_askers(j, c, 0);
		if (j->starter == c)
			j->starter = NULL;
	}
}

/* ---- what clients ask ------------------------------------------------------------------------- */

static void kill_all(struct keeper *k, struct job *j)
{
	j->kill_by_ns = 0;
	tree_kill(k, j->pid);
	exec_signal_pid(k, j->pid, SIGKILL);
}

static void begin_stop(struct keeper *k, struct job *j, const struct job_ask *a)
{
	if (!j->stopping)
		note_orphans(k, j);
	j->stopping = true;
	if (a->signal == SIGKILL || !a->grace_ms) {
		kill_all(k, j);
		return;
	}
	exec_signal_pid(k, j->pid, (int)a->signal);
	j->kill_by_ns = sys_now_ns() + a->grace_ms * 1000000u;
}

static int ask_one(struct keeper *k, struct client *c, uint32_t id, const struct job_ask *a, struct err *e)
{
	struct job *j = by_id(k, a->id);
	int r = 0;

	if (!j)
		return err_set(e, ERR_NOT_FOUND, "no job has the name '%s'", a->id);
	if (a->signal > 64 || a->grace_ms > UINT64_MAX / 4000000u)
		return err_set(e, ERR_INTERNAL, "a question that is none");
	(void)take(j); /* as of now */
	c->follows |= a->what == JOB_MORE;
	if (a->what == JOB_SIGNAL && j->pid && a->signal == SIGKILL)
		kill_all(k, j);
	else if (a->what == JOB_SIGNAL && j->pid)
		exec_signal_pid(k, j->pid, (int)a->signal);
	if (j->pid && (a->what == JOB_END || a->what == JOB_STOP ||
		       (a->what == JOB_MORE && j->ring.total <= a->from)))
		r = job_wait_for(j, c, id, a, e);
	else
		job_answer(j, c, id, a->from, a->room);
	if (r == 0 && a->what == JOB_STOP && j->pid)
		begin_stop(k, j, a);
	else if (r == 0 && a->what == JOB_STOP)
		job_free(k, j);
	return r;
}

void jobs_ask(struct keeper *k, struct client *c, const struct msg *m)
{
	struct job_ask a = *(const struct job_ask *)m->body;
	struct err e = {0};

	a.id[JOB_ID - 1] = '\0';
	if (a.what == JOB_LIST)
		job_answer_list(k, c, m->head.id);
	else if (ask_one(k, c, m->head.id, &a, &e) < 0)
		jobs_refuse(c, m->head.id, &e);
}

/* ---- the end of the sandbox with its main job ------------------------------------------------- */

static void hear(struct keeper *k, struct client *c)
{
	static struct msg_buf buf;
	struct msg m;
	int r = msg_recv(c->fd, &m, buf.bytes, sizeof(buf.bytes), MSG_DONTWAIT);

	if (r == 0)
		c->follows = false;
	if (r <= 0)
		return;
	if (m.head.op == OP_JOB && m.head.body == sizeof(struct job_ask))
		jobs_ask(k, c, &m);
	msg_done(&m);
}

/* Who was told a part of the output may be about to ask for the next, which is the last. */
void jobs_last_words(struct keeper *k)
{
	uint64_t until = sys_now_ns() + LAST_WORDS_NS;
	struct pollfd p = {.events = POLLIN};

	for (struct client *c = k->clients; c; c = c->next) {
		while (c->follows && !c->unsent && sys_now_ns() < until) {
			p.fd = c->fd;
			if (poll(&p, 1, 100) > 0)
				hear(k, c);
		}
		client_finish(c);
	}
}

/* ---- when there is something ------------------------------------------------------------------ */

unsigned jobs_watch(const struct keeper *k, int *fds)
{
	unsigned n = 0;

	for (const struct job *j = k->jobs; j; j = j->next) {
		if (j->out >= 0)
			fds[n++] = j->out;
		if (j->starting && exec_news(k, j->pid) >= 0)
			fds[n++] = exec_news(k, j->pid);
	}
	return n;
}

void jobs_some(struct keeper *k, int fd)
{
	for (struct job *j = k->jobs; j; j = j->next) {
		int is = j->starting && exec_news(k, j->pid) == fd ? exec_began(k, j->pid) : 0;

		if (is > 0)
			began(k, j);
		else if (is < 0)
			j->starting = false; /* its end comes, and says why */
		if (j->out == fd) {
			(void)take(j);
			job_answer_askers(j);
		}
	}
}

uint64_t jobs_due(struct keeper *k, uint64_t now_ns, uint64_t due)
{
	for (struct job *j = k->jobs; j; j = j->next) {
		if (j->kill_by_ns && j->kill_by_ns <= now_ns && j->pid)
			kill_all(k, j);
		if (j->kill_by_ns && j->pid && (!due || j->kill_by_ns < due))
			due = j->kill_by_ns;
	}
	return due;
}
