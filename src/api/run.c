/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - runs, as hutch.h has them
 */
#include <string.h>

#include "api/api.h"

#define DEFAULT_CAP (64ull << 20)

static struct run *to_run(struct hutch_run *r)
{
	return (struct run *)r;
}

static int to_ask(const struct hutch_run_options *o, struct run_ask *ask, struct err *e)
{
	unsigned flags = HAS(o, flags) ? o->flags : 0;

	memset(ask, 0, sizeof(*ask));
	ask->clean = flags & HUTCH_RUN_CLEAN;
	ask->apart = flags & HUTCH_RUN_APART;
	ask->text = HAS(o, text) ? o->text : NULL;
	ask->len = HAS(o, len) ? o->len : 0;
	if (ask->text && !ask->len)
		ask->len = strlen(ask->text);
	if (HAS(o, argv) && !ask->text) {
		ask->argv = (char *const *)(uintptr_t)o->argv;
		ask->argc = api_count(o->argv);
	}
	if (HAS(o, env)) {
		ask->env = (char *const *)(uintptr_t)o->env;
		ask->nenv = api_count(o->env);
	}
	ask->cwd = HAS(o, cwd) ? o->cwd : NULL;
	ask->session = HAS(o, session) ? o->session : NULL;
	ask->timeout_ms = HAS(o, timeout_ms) ? o->timeout_ms : 0;
	ask->cap = HAS(o, cap) && o->cap ? o->cap : DEFAULT_CAP;
	ask->on_output = HAS(o, on_output) ? o->on_output : NULL;
	ask->arg = HAS(o, arg) ? o->arg : NULL;
	ask->input = HAS(o, input_len) ? o->input : NULL;
	ask->input_len = ask->input ? o->input_len : 0;
	ask->clean |= ask->input != NULL;
	return api_check_flags(flags, HUTCH_RUN_CLEAN | HUTCH_RUN_APART, e);
}

int hutch_run_start(struct hutch_box *box, const struct hutch_run_options *opts,
		    struct hutch_run **ret_run, struct hutch_error *err)
{
	struct run_ask ask;
	struct err e = {0};
	struct run *r = NULL;
	int code;

	if (!box || !opts)
		return api_missing("box or options", err);
	code = to_ask(opts, &ask, &e);
	if (code == 0)
		code = run_start(to_box(box), &ask, &r, &e);
	if (code == 0)
		*ret_run = (struct hutch_run *)r;
	return api_give(code, &e, err);
}

static void to_result(const struct run_result *x, struct hutch_result *ret)
{
	static const int ends[] = {[RUN_EXIT] = HUTCH_END_EXIT, [RUN_SIGNAL] = HUTCH_END_SIGNAL,
				   [RUN_TIMEOUT] = HUTCH_END_TIMEOUT, [RUN_FAULT] = HUTCH_END_NOT_RUN,
				   [RUN_SHELL_DIED] = HUTCH_END_SHELL_DIED};
	struct hutch_result r = {.size = ret->size, .end = ends[x->end], .exit_code = x->exit_code,
				 .signal = x->signal, .duration_us = x->ns / 1000};

	if (x->counted) {
		r.user_us = x->user_us;
		r.system_us = x->system_us;
		r.maxrss_bytes = x->maxrss_kb * 1024;
	}
	if (x->end == RUN_FAULT) {
		r.duration_us = 0;
		memcpy(r.message, x->e.msg, sizeof(r.message));
	}
	memcpy(ret, &r, ret->size < sizeof(r) ? ret->size : sizeof(r));
}

int hutch_run_wait(struct hutch_run *run, int timeout_ms, int wake_fd, struct hutch_result *ret,
		   struct hutch_error *err)
{
	struct run_result x;
	struct err e = {0};
	int code;

	if (!run)
		return api_missing("run", err);
	code = run_wait(to_run(run), timeout_ms, wake_fd, &e);
	if (code == 1 && ret) {
		run_result(to_run(run), &x);
		to_result(&x, ret);
	}
	return api_give(code, &e, err);
}

int hutch_run_fd(struct hutch_run *run, struct hutch_error *err)
{
	struct err e = {0};

	if (!run)
		return api_missing("run", err);
	return api_give(run_fd(to_run(run), &e), &e, err);
}

int hutch_run_stop(struct hutch_run *run, struct hutch_error *err)
{
	struct err e = {0};

	if (!run)
		return api_missing("run", err);
	return api_give(run_stop(to_run(run), &e), &e, err);
}

int hutch_run_output(struct hutch_run *run, int which, struct hutch_output *ret,
		     struct hutch_error *err)
{
	struct run_output x = {0};
	struct err e = {0};
	struct hutch_output out;
	int code;

	if (!run || !ret)
		return api_missing("run or output", err);
	code = run_output(to_run(run), which, &x, &e);
	if (code == 0) {
		out = (struct hutch_output){.size = ret->size, .data = x.data, .len = x.len,
					    .total = x.total, .cut_at = x.cut_at};
		memcpy(ret, &out, ret->size < sizeof(out) ? ret->size : sizeof(out));
	}
	return api_give(code, &e, err);
}

void hutch_run_free(struct hutch_run *run)
{
	run_free(to_run(run));
}
