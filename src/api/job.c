/* SPDX-License-Identifier: Apache-2.0
 *
 * job.c - jobs, as hutch.h has them
 */
#include <assert.h>
#include <signal.h>
#include <string.h>

#include "api/api.h"
#include "base/own.h"

#define DEFAULT_KEEP (1ull << 20)
#define DEFAULT_GRACE_MS 10000

static_assert((int)HUTCH_JOB_ID_SIZE == (int)JOB_ID, "ids have one size");
static_assert(sizeof(((struct hutch_job *)0)->command) == JOB_COMMAND, "commands have one size");

/* ---- to the caller's structs ------------------------------------------------------------------ */

static void to_job(const struct job_facts *f, struct hutch_job *ret)
{
	struct hutch_job j = {.size = ret->size, .running = f->running != 0, .pid = f->inside,
			      .started_ms = (int64_t)f->began_ms, .ended_ms = (int64_t)f->ended_ms,
			      .written = f->total, .kept = f->kept, .result.size = sizeof(j.result),
			      .main = f->main != 0};

	memcpy(j.id, f->id, sizeof(j.id));
	memcpy(j.command, f->command, sizeof(j.command));
	if (!f->running)
		api_result(&f->end, &j.result);
	memcpy(ret, &j, ret->size < sizeof(j) ? ret->size : sizeof(j));
}

static void to_output(const struct job_output *o, uint64_t asked, struct hutch_job_output *ret)
{
	struct hutch_job_output out = {.size = ret->size, .data = o->data, .len = o->len,
				       .next = o->from + o->len,
				       .lost = o->from > asked ? o->from - asked : 0};

	memcpy(ret, &out, ret->size < sizeof(out) ? ret->size : sizeof(out));
}

/* ---- start ------------------------------------------------------------------------------------ */

static int check_id(const char *id, struct err *e)
{
	static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(id);

	if (!len || len >= JOB_ID || strspn(id, fit) != len)
		return err_set(e, ERR_INVALID,
			       "'%.60s' is no name for a job: 1 to %d letters, digits, '.', '_' and '-'", id,
			       JOB_ID - 1);
	return 0;
}

static int to_ask(const struct hutch_job_options *o, struct exec_ask *ask, struct err *e)
{
	unsigned flags = HAS(o, flags) ? o->flags : 0;

	memset(ask, 0, sizeof(*ask));
	ask->main = flags & HUTCH_JOB_MAIN;
	if (HAS(o, argv) && o->argv) {
		ask->argv = (char *const *)(uintptr_t)o->argv;
		ask->argc = api_count(o->argv);
	}
	if (HAS(o, env) && o->env) {
		ask->env = (char *const *)(uintptr_t)o->env;
		ask->nenv = api_count(o->env);
	}
	ask->cwd = HAS(o, cwd) ? o->cwd : NULL;
	ask->user = HAS(o, user) ? o->user : NULL;
	ask->job = HAS(o, id) ? o->id : NULL;
	ask->timeout_ms = HAS(o, timeout_ms) ? o->timeout_ms : 0;
	ask->keep = HAS(o, keep) && o->keep ? o->keep : DEFAULT_KEEP;
	return api_check_flags(flags, HUTCH_JOB_MAIN, e);
}

/* A new shell for the text, as with a run that is clean. *ret_text: to be freed. */
static int text_to_ask(const struct spec *spec, const struct hutch_job_options *o, struct exec_ask *ask, char *shell[3],
		       char **ret_text, struct err *e)
{
	size_t len = HAS(o, len) && o->len ? o->len : strlen(o->text);

	if (memchr(o->text, '\0', len))
		return err_set(e, ERR_INVALID, "the text has a NUL in it, which no shell can read");
	*ret_text = strndup(o->text, len);
	if (!*ret_text)
		return err_oom(e);
	shell[0] = shell_name_of(spec);
	shell[1] = (char *)(uintptr_t)"-c";
	shell[2] = *ret_text;
	ask->argv = shell;
	ask->argc = 3;
	ask->or_sh = !spec->shell;
	return 0;
}

int hutch_job_start(struct hutch_box *box, const struct hutch_job_options *opts, char *ret_id,
		    struct hutch_error *err)
{
	auto_free char *text = NULL;
	struct exec_ask ask;
	struct job_facts f;
	struct err e = {0};
	char *shell[3];
	int r;

	if (!box)
		return api_missing("box", err);
	r = to_ask(opts, &ask, &e);
	if (r == 0 && ask.job)
		r = check_id(ask.job, &e);
	if (r == 0 && HAS(opts, text) && opts->text)
		r = text_to_ask(to_box(box)->spec, opts, &ask, shell, &text, &e);
	if (r == 0)
		r = job_start(to_box(box), &ask, &f, &e);
	if (r == 0 && ret_id)
		memcpy(ret_id, f.id, sizeof(f.id));
	return api_give(r, &e, err);
}

/* ---- the rest --------------------------------------------------------------------------------- */

static int name_it(struct job_ask *ask, const char *id, struct err *e)
{
	size_t len = strlen(id);

	if (len >= sizeof(ask->id))
		return err_set(e, ERR_NOT_FOUND, "no job has the name '%.60s'", id);
	memcpy(ask->id, id, len + 1);
	return 0;
}

/* One question, and what came of it into the caller's structs. */
static int ask_one(struct hutch_box *box, const char *id, struct job_ask *ask, struct hutch_job *ret,
		   struct hutch_job_output *ret_out, struct hutch_error *err)
{
	struct job_output o = {0};
	struct job_facts f;
	struct err e = {0};
	int r;

	if (!box || !id)
		return api_missing("box or id", err);
	ask->room = ret_out ? JOB_PART_MAX : 0;
	r = name_it(ask, id, &e);
	if (r == 0)
		r = job_ask(to_box(box), ask, &f, ret_out ? &o : NULL, &e);
	if (r == 0 && ret)
		to_job(&f, ret);
	if (r == 0 && ret_out)
		to_output(&o, ask->from, ret_out);
	return api_give(r, &e, err);
}

int hutch_job_check(struct hutch_box *box, const char *id, uint64_t from, struct hutch_job *ret,
		    struct hutch_job_output *ret_out, struct hutch_error *err)
{
	struct job_ask ask = {.what = JOB_CHECK, .from = from};

	return ask_one(box, id, &ask, ret, ret_out, err);
}

static int check_signal(int signal, struct err *e)
{
	return signal < 0 || signal > 64 ? err_set(e, ERR_INVALID, "%d is not a signal", signal) : 0;
}

int hutch_job_signal(struct hutch_box *box, const char *id, int signal, struct hutch_error *err)
{
	struct job_ask ask = {.what = JOB_SIGNAL, .signal = (uint32_t)signal};
	struct err e = {0};

	if (check_signal(signal, &e) < 0)
		return api_give(e.code, &e, err);
	return ask_one(box, id, &ask, NULL, NULL, err);
}

int hutch_job_stop(struct hutch_box *box, const char *id, const struct hutch_job_stop_options *opts,
		   struct hutch_job *ret, struct hutch_job_output *ret_out, struct hutch_error *err)
{
	int signal = HAS(opts, signal) && opts->signal ? opts->signal : SIGTERM;
	struct job_ask ask = {.what = JOB_STOP, .signal = (uint32_t)signal, .grace_ms = DEFAULT_GRACE_MS};
	struct err e = {0};

	if (check_signal(signal, &e) < 0)
		return api_give(e.code, &e, err);
	if (HAS(opts, grace_ms) && opts->grace_ms)
		ask.grace_ms = opts->grace_ms < UINT32_MAX ? opts->grace_ms : UINT32_MAX;
	if (HAS(opts, from))
		ask.from = opts->from;
	return ask_one(box, id, &ask, ret, ret_out, err);
}

int hutch_job_wait(struct hutch_box *box, const char *id, uint64_t from, int timeout_ms, int wake_fd,
		   struct hutch_job *ret, struct hutch_job_output *ret_out, struct hutch_error *err)
{
	struct job_output o = {0};
	struct job_facts f;
	struct job_ask ask;
	struct err e = {0};
	int r;

	if (!box || !id)
		return api_missing("box or id", err);
	r = name_it(&ask, id, &e);
	if (r == 0)
		r = job_wait(to_box(box), ask.id, from, timeout_ms, wake_fd, &f, ret_out ? &o : NULL, &e);
	if (r == 1 && ret)
		to_job(&f, ret);
	if (r == 1 && ret_out)
		to_output(&o, from, ret_out);
	return api_give(r, &e, err);
}

/* *ret: each with its size set. */
static int to_list(const struct job_facts *f, size_t n, struct hutch_job **ret, size_t *ret_n, struct err *e)
{
	struct hutch_job *v = calloc(n + 1, sizeof(*v));

	if (!v)
		return err_oom(e);
	for (size_t i = 0; i < n; i++) {
		v[i].size = sizeof(v[i]);
		to_job(&f[i], &v[i]);
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

int hutch_job_list(struct hutch_box *box, struct hutch_job **ret_jobs, size_t *ret_n, struct hutch_error *err)
{
	auto_free struct job_facts *f = NULL;
	struct err e = {0};
	size_t n;
	int r;

	if (!box)
		return api_missing("box", err);
	r = job_list(to_box(box), &f, &n, &e);
	if (r == 0)
		r = to_list(f, n, ret_jobs, ret_n, &e);
	return api_give(r, &e, err);
}

/* ---- of a sandbox that is stopped ------------------------------------------------------------- */

int hutch_stopped_job_list(struct hutch *hutch, const char *name, struct hutch_job **ret_jobs, size_t *ret_n,
			   struct hutch_error *err)
{
	auto_free struct job_facts *f = NULL;
	struct err e = {0};
	size_t n;
	int r;

	if (!hutch || !name || !ret_jobs || !ret_n)
		return api_missing("handle, name or result", err);
	r = api_check_kept(hutch, name, &e);
	if (r == 0)
		r = jobs_kept_list(hutch->home, name, &f, &n, &e);
	if (r == 0)
		r = to_list(f, n, ret_jobs, ret_n, &e);
	return api_give(r, &e, err);
}

int hutch_stopped_job(struct hutch *hutch, const char *name, const char *id, struct hutch_job *ret, char **ret_output,
		      struct hutch_error *err)
{
	auto_free char *data = NULL;
	struct job_facts f;
	struct err e = {0};
	int r;

	if (!hutch || !name || !id)
		return api_missing("handle, name or id", err);
	r = api_check_kept(hutch, name, &e);
	if (r == 0)
		r = jobs_kept_output(hutch->home, name, id, &f, &data, &e);
	if (r == 0 && ret)
		to_job(&f, ret);
	if (r == 0 && ret_output)
		*ret_output = take_ptr(&data);
	return api_give(r, &e, err);
}
