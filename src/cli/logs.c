/* SPDX-License-Identifier: Apache-2.0
 *
 * logs.c - hutch logs, hutch wait: what a job wrote, and how it ends
 *
 * How it works: the sandbox's process holds the last part of the output. All of it is fetched; --tail counts
 * lines from its end. With -f every further part is waited for, until the job has ended, or nobody reads it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/living.h"
#include "cli/opt.h"
#include "cli/spec_words.h"

enum { OUTPUT_MAX = 300 << 20, GONE_WITHIN_S = 10 };

#define MAIN_JOB "main"

/* Return: 1, 0 nobody reads any more, or less than 0. */
static int write_out(const char *data, size_t len, struct err *e)
{
	while (len) {
		ssize_t n = write(1, data, len);

		if (n < 0 && errno == EAGAIN)
			(void)poll(&(struct pollfd){1, POLLOUT, 0}, 1, 1000);
		else if (n < 0 && errno != EINTR)
			return errno == EPIPE ? 0 : err_sys(e, errno, "write to standard output");
		else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 1;
}

static void tell_lost(uint64_t lost)
{
	if (lost)
		fprintf(stderr, "hutch: %llu bytes before this are not kept any more\n", (unsigned long long)lost);
}

/* Where the last @lines lines begin. */
static size_t tail_at(const struct buf *b, uint64_t lines)
{
	size_t at = b->len;

	if (at && b->data[at - 1] == '\n')
		at--;
	for (; lines && at; at--)
		if (b->data[at - 1] == '\n' && !--lines)
			break;
	return lines ? 0 : at;
}

/* What is kept now. *ret_next: where to go on. */
static int fetch(struct hutch_box *box, const char *id, struct buf *ret, uint64_t *ret_next, uint64_t *ret_lost,
		 struct err *e)
{
	struct hutch_job_output o = {.size = sizeof(o)};
	struct hutch_job j = {.size = sizeof(j)};
	struct hutch_error why;
	uint64_t until = UINT64_MAX;

	*ret_lost = 0;
	for (*ret_next = 0; *ret_next < until; *ret_next = o.next) {
		if (hutch_job_check(box, id, *ret_next, &j, &o, &why) < 0)
			return cli_carry(&why, e);
		if (until == UINT64_MAX)
			until = j.written; /* a job may write faster than we read */
		if (o.lost) { /* it did: what we have is not what goes before this */
			ret->len = 0;
			*ret_lost = o.next - o.len;
		}
		buf_add(ret, o.data, o.len);
	}
	return buf_bad(ret) ? err_oom(e) : 0;
}

/* A descriptor that is readable when nobody reads what we write; -1: it is no pipe, socket or terminal. */
static int watch_reader(void)
{
	auto_fd int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event nothing = {0}; /* but that an end of it is gone, which is told always */

	return ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, 1, &nothing) == 0 ? take_fd(&ep) : -1;
}

/* The sandbox was stopped below us: what its keeper left of the job is what comes last. Return: 0 nothing was left. */
static int last_part(const struct living *l, const char *id, uint64_t next, struct err *e)
{
	struct hutch_job j = {.size = sizeof(j)};
	auto_free char *data = NULL;
	uint64_t first;
	int r;

	if (hutch_stopped_job(l->hutch, hutch_box_name(l->box), id, &j, &data, NULL) < 0)
		return 0;
	first = j.written - j.kept;
	if (next < first)
		tell_lost(first - next);
	next = next < first ? first : next > j.written ? j.written : next;
	r = write_out(data + (next - first), j.written - next, e);
	return r < 0 ? r : 1;
}

static int follow(const struct living *l, const char *id, uint64_t next, struct err *e)
{
	struct hutch_job_output o = {.size = sizeof(o)};
	struct hutch_job j = {.size = sizeof(j), .running = 1};
	auto_fd int gone = watch_reader();
	struct hutch_error why;

	while (j.running || next < j.written) {
		int r = hutch_job_wait(l->box, id, next, -1, gone, &j, &o, &why), left;

		if (r < 0) {
			left = r == HUTCH_E_DIED ? last_part(l, id, next, e) : 0;
			return left ? left < 0 ? left : 0 : cli_carry(&why, e);
		}
		if (r == 0)
			return 0;
		tell_lost(o.lost);
		r = write_out(o.data, o.len, e);
		if (r <= 0)
			return r;
		next = o.next;
	}
	return 0;
}

/* The same of a sandbox that is stopped. */
static int fetch_stopped(const struct living *l, const char *name, const char *id, struct buf *ret, uint64_t *ret_lost, struct err *e)
{
	struct hutch_job j = {.size = sizeof(j)};
	auto_free char *data = NULL;
	struct hutch_error why;

	if (hutch_stopped_job(l->hutch, name, id, &j, &data, &why) < 0)
		return cli_carry(&why, e);
	buf_add(ret, data, j.kept);
	*ret_lost = j.written - j.kept;
	return buf_bad(ret) ? err_oom(e) : 0;
}

static int logs(const struct living *l, const char *name, const char *id, bool wants_follow, uint64_t lines, struct err *e)
{
	auto_buf struct buf b = BUF_INIT(OUTPUT_MAX);
	struct hutch_box *box = l->box;
	uint64_t next = 0, lost = 0;
	size_t at = 0;
	int r = box ? fetch(box, id, &b, &next, &lost, e) : fetch_stopped(l, name, id, &b, &lost, e);

	if (r < 0)
		return r;
	if (lines != UINT64_MAX)
		at = lines ? tail_at(&b, lines) : b.len;
	if (lines == UINT64_MAX || at == 0)
		tell_lost(lines ? lost : 0);
	r = write_out(b.data + at, b.len - at, e);
	return r <= 0 || !wants_follow || !box ? r < 0 ? r : 0 : follow(l, id, next, e);
}

/* NAME and, where it is not the sandbox's own command, JOB. */
static int open_one(const struct opt_rest *rest, const char *command, struct living *l, const char **ret_id,
		    struct err *e)
{
	if (rest->n < 1 || rest->n > 2)
		return err_set(e, ERR_INVALID, "a name, and a job where it is not '" MAIN_JOB "', are needed (see `hutch %s "
			       "--help`)", command);
	*ret_id = rest->n == 2 ? rest->words[1] : MAIN_JOB;
	return living_open_any(l, rest->words[0], e);
}

static int fail(const struct opt_rest *rest, struct err *e)
{
	if (e->code == ERR_NOT_FOUND && rest->n == 1 && strstr(e->msg, "job"))
		err_set(e, ERR_NOT_FOUND, "sandbox '%s' has no main command; say which job (`hutch jobs %s`)",
			rest->words[0], rest->words[0]);
	return cli_fail(e->msg);
}

int cli_logs(int argc, char **argv)
{
	bool help = false, wants_follow = false;
	const char *tail = NULL, *id = MAIN_JOB;
	const struct opt own[] = {
		{.name = "follow", .letter = 'f', .on = &wants_follow, .help = "go on until the job has ended"},
		{.name = "tail", .letter = 'n', .text = &tail, .value = "N", .help = "only the last N lines of it; all"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	uint64_t lines = UINT64_MAX;
	struct living l = {0};
	struct opt_rest rest;
	struct err e = {0};
	int r = opt_parse(argv + 1, own, NULL, &rest, &e);

	(void)argc;
	if (r == 0 && help)
		return spec_words_usage("usage: hutch logs [-f] [--tail N] NAME [JOB]\n\n"
				"What a job wrote. Without JOB that of `hutch run -d`.\n\n", own);
	if (r == 0 && tail && strcmp(tail, "all") && !str_u64((struct str_span){tail, strlen(tail)}, UINT64_MAX - 1, &lines))
		r = err_set(&e, ERR_INVALID, "--tail '%s' is not a number of lines", tail);
	if (r == 0)
		r = open_one(&rest, "logs", &l, &id, &e);
	if (r >= 0)
		r = logs(&l, rest.words[0], id, wants_follow, lines, &e);
	living_close(&l);
	return r < 0 ? fail(&rest, &e) : 0;
}

/* The line of @name where it runs; else *ret is zero. */
static int find_running(const char *name, struct hutch_listed *ret, struct err *e)
{
	auto_free struct hutch_listed *v = NULL;
	size_t n = 0;
	int r = living_list(&v, &n, e);

	*ret = (struct hutch_listed){0};
	for (size_t i = 0; i < n && r == 0; i++)
		if (v[i].alive && !strcmp(v[i].name, name))
			*ret = v[i];
	return r;
}

/* A keeper that is about to end, or has no time, does not tell its pid. */
static bool is_same(const struct hutch_listed *a, const struct hutch_listed *b)
{
	return a->alive && b->alive && a->started == b->started && (!a->pid || !b->pid || a->pid == b->pid);
}

/* A sandbox that ends with its job does so a moment after it has told of it: what comes after us shall not find it. */
static int wait_gone(const struct hutch_listed *it, struct err *e)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	struct timespec since, t;
	struct hutch_listed now;

	clock_gettime(CLOCK_MONOTONIC, &since);
	do {
		int r = find_running(it->name, &now, e);

		if (r < 0 || !is_same(it, &now))
			return r;
		nanosleep(&nap, NULL);
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while (t.tv_sec - since.tv_sec < GONE_WITHIN_S);
	return err_set(e, ERR_TIMEOUT, "the command of sandbox '%s' has ended, but the sandbox does not", it->name);
}

/* Also while, or before, the sandbox is stopped. */
static int wait_for_it(const struct living *l, const char *name, const char *id, struct hutch_job *ret, struct err *e)
{
	struct hutch_error why;
	int r = l->box ? hutch_job_wait(l->box, id, UINT64_MAX, -1, -1, ret, NULL, &why) : 0;

	if (r < 0)
		(void)cli_carry(&why, e);
	if (r < 0 && r != HUTCH_E_DIED)
		return e->code;
	if ((r < 0 || !l->box) && hutch_stopped_job(l->hutch, name, id, ret, NULL, &why) < 0)
		return r < 0 ? e->code : cli_carry(&why, e);
	return 0;
}

int cli_wait(int argc, char **argv)
{
	bool help = false;
	const struct opt own[] = {{.name = "help", .on = &help, .help = "this"}, {0}};
	struct hutch_job j = {.size = sizeof(j)};
	struct living l = {0};
	struct hutch_listed it = {0};
	struct opt_rest rest;
	struct err e = {0};
	const char *id = MAIN_JOB;
	int r = opt_parse(argv + 1, own, NULL, &rest, &e);

	(void)argc;
	if (r == 0 && help)
		return spec_words_usage("usage: hutch wait NAME [JOB]\n\n"
				"Wait for the end of a job and print its exit status. Without JOB that of `hutch run -d`.\n\n",
				own);
	if (r == 0)
		r = open_one(&rest, "wait", &l, &id, &e);
	if (r == 0)
		r = find_running(rest.words[0], &it, &e);
	if (r >= 0)
		r = wait_for_it(&l, rest.words[0], id, &j, &e);
	living_close(&l);
	if (r == 0) {
		r = j.main && it.alive ? wait_gone(&it, &e) : 0;
		printf("%d\n", j.result.exit_code);
	}
	return r < 0 ? fail(&rest, &e) : 0;
}
