/* SPDX-License-Identifier: Apache-2.0
 *
 * box.c - hutch_open, hutch_box_*, hutch_proc_*: sandboxes and commands in them
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "api/api.h"
#include "base/own.h"
#include "spec/parse.h"

int hutch_open(const struct hutch_open_options *opts, struct hutch **ret, struct hutch_error *err)
{
	unsigned flags = HAS(opts, flags) ? opts->flags : 0;
	struct home_ask ask = {.children = flags & HUTCH_OPEN_CHILDREN,
			       .keep_spare = !(flags & HUTCH_OPEN_NO_SPARE)};
	struct hutch *h;
	struct err e = {0};
	int r = api_check_flags(flags, HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE, &e);

	if (r < 0)
		return api_give(r, &e, err);
	h = calloc(1, sizeof(*h));
	if (!h)
		return api_give(err_oom(&e), &e, err);
	if (HAS(opts, like) && opts->like) {
		const struct spec *s = to_const_spec(opts->like);

		ask.prepare = true;
		ask.net = s->network != SPEC_NET_HOST;
		ask.host_ids = s->ids == SPEC_IDS_HOST;
	}
	ask.directory = HAS(opts, directory) ? opts->directory : NULL;
	r = home_open(&ask, &h->home, &e);
	if (r < 0) {
		free(h);
		return api_give(r, &e, err);
	}
	*ret = h;
	return 0;
}

void hutch_close(struct hutch *hutch)
{
	if (!hutch)
		return;
	home_close(hutch->home);
	free(hutch);
}

int hutch_cleanup(struct hutch *hutch, int timeout_ms, struct hutch_error *err)
{
	struct err e = {0};

	if (!hutch)
		return api_missing("handle", err);
	return api_give(home_cleanup(hutch->home, timeout_ms, &e), &e, err);
}

#define START_FLAGS                                                                                                    \
	(HUTCH_START_NOWAIT | HUTCH_START_DETACHED | HUTCH_START_REMOVE | HUTCH_START_FOR_JOB | HUTCH_START_ONCE)

int hutch_box_start(struct hutch *hutch, const struct hutch_spec *spec,
		    const struct hutch_start_options *opts, struct hutch_box **ret_box,
		    struct hutch_error *err)
{
	unsigned flags = HAS(opts, flags) ? opts->flags : 0;
	struct err e = {0};
	struct box *b = NULL;
	int r;

	if (!hutch || !spec)
		return api_missing("handle or spec", err);
	if (flags & HUTCH_START_ONCE && flags & HUTCH_START_DETACHED)
		return api_give(err_set(&e, ERR_INVALID, "a detached sandbox (HUTCH_START_DETACHED) is for more than one command "
						   "(HUTCH_START_ONCE)"), &e, err);
	r = api_check_flags(flags, START_FLAGS, &e);
	if (r == 0)
		r = box_start(hutch->home, to_const_spec(spec), !(flags & HUTCH_START_NOWAIT), api_life(flags), &b, &e);
	if (r == 0)
		*ret_box = (struct hutch_box *)b;
	return api_give(r, &e, err);
}

int hutch_box_attach(struct hutch *hutch, const char *name, struct hutch_box **ret_box,
		     struct hutch_error *err)
{
	struct err e = {0};
	struct box *b = NULL;
	int r;

	if (!hutch || !name)
		return api_missing("handle or name", err);
	r = box_attach(hutch->home, name, &b, &e);
	if (r == 0)
		*ret_box = (struct hutch_box *)b;
	return api_give(r, &e, err);
}

int hutch_box_start_stopped(struct hutch *hutch, const char *name, const struct hutch_start_options *opts,
			    struct hutch_box **ret_box, struct hutch_error *err)
{
	unsigned flags = HAS(opts, flags) ? opts->flags : 0;
	struct err e = {0};
	struct box *b = NULL;
	int r;

	if (!hutch || !name)
		return api_missing("handle or name", err);
	r = api_check_flags(flags, START_FLAGS, &e);
	if (r == 0)
		r = box_start_stopped(hutch->home, name, !(flags & HUTCH_START_NOWAIT), &b, &e);
	if (r == 0)
		*ret_box = (struct hutch_box *)b;
	return api_give(r, &e, err);
}

int hutch_box_stop(struct hutch_box *box, int timeout_ms, struct hutch_error *err)
{
	struct err e = {0};

	if (!box)
		return api_missing("box", err);
	return api_give(box_stop(to_box(box), timeout_ms, &e), &e, err);
}

int hutch_box_kill(struct hutch_box *box, int signal, struct hutch_error *err)
{
	struct err e = {0};

	if (!box)
		return api_missing("box", err);
	return api_give(box_kill(to_box(box), signal, &e), &e, err);
}

int hutch_remove(struct hutch *hutch, const char *name, struct hutch_error *err)
{
	auto_free char *valid = NULL;
	struct err e = {0};
	int r;

	if (!hutch || !name)
		return api_missing("handle or name", err);
	r = parse_name(name, &valid, &e);
	return api_give(r < 0 ? r : box_remove(hutch->home, name, &e), &e, err);
}

int api_check_kept(struct hutch *hutch, const char *name, struct err *e)
{
	auto_free char *valid = NULL;
	int r = parse_name(name, &valid, e);

	if (r == 0 && !kept_is(hutch->home, name))
		r = err_set(e, ERR_NOT_FOUND, "sandbox '%s': nothing is kept of it", name);
	return r;
}

int hutch_stopped_spec(struct hutch *hutch, const char *name, char **ret_json, struct hutch_error *err)
{
	struct err e = {0};
	int r;

	if (!hutch || !name || !ret_json)
		return api_missing("handle, name or result", err);
	r = api_check_kept(hutch, name, &e);
	if (r == 0)
		r = kept_json(hutch->home, name, ret_json, &e);
	return api_give(r, &e, err);
}

int hutch_signal_number(const char *text, struct hutch_error *err)
{
	struct err e = {0};
	int number = 0, r;

	if (!text)
		return api_missing("signal", err);
	r = parse_signal(text, &number, &e);
	return api_give(r < 0 ? r : number, &e, err);
}

void hutch_box_close(struct hutch_box *box)
{
	box_close(to_box(box));
}

int hutch_box_reset(struct hutch_box *box, struct hutch_error *err)
{
	struct err e = {0};

	if (!box)
		return api_missing("box", err);
	return api_give(box_reset(to_box(box), false, &e), &e, err);
}

int hutch_box_reset_files(struct hutch_box *box, struct hutch_error *err)
{
	struct err e = {0};

	if (!box)
		return api_missing("box", err);
	return api_give(box_reset(to_box(box), true, &e), &e, err);
}

static_assert((int)HUTCH_RUNNING == (int)BOX_RUNNING && (int)HUTCH_STOPPED == (int)BOX_STOPPED &&
	      (int)HUTCH_DEAD == (int)BOX_DEAD, "one enum");
static_assert(sizeof(((struct hutch_listed *)0)->name) == sizeof(((struct box_listed *)0)->name),
	      "names have one size");

int hutch_list(struct hutch *hutch, struct hutch_listed **ret_boxes, size_t *ret_n,
	       struct hutch_error *err)
{
	auto_free struct box_listed *v = NULL;
	struct hutch_listed *out;
	struct err e = {0};
	size_t n = 0;
	int r;

	if (!hutch)
		return api_missing("handle", err);
	r = box_list(hutch->home, &v, &n, &e);
	if (r < 0)
		return api_give(r, &e, err);
	out = calloc(n + 1, sizeof(*out));
	if (!out)
		return api_give(err_oom(&e), &e, err);
	for (size_t i = 0; i < n; i++) {
		memcpy(out[i].name, v[i].name, sizeof(out[i].name));
		out[i].alive = v[i].state == BOX_RUNNING;
		out[i].detached = v[i].detached;
		out[i].started = v[i].since_s;
		out[i].state = (int)v[i].state;
		out[i].snapshots = v[i].snapshots;
		if (v[i].kept)
			(void)kept_root(hutch->home, v[i].name, out[i].root, sizeof(out[i].root)); /* damaged: "" */
		if (out[i].alive && v[i].detached)
			out[i].pid = (int)box_keeper_pid(hutch->home, v[i].name);
	}
	*ret_boxes = out;
	*ret_n = n;
	return 0;
}

int hutch_listed_memory(const struct hutch_listed *listed, uint64_t *ret_bytes, struct hutch_error *err)
{
	if (!listed || !ret_bytes)
		return api_missing("line of the list", err);
	*ret_bytes = box_memory(listed->pid);
	return 0;
}

int hutch_box_wait_ready(struct hutch_box *box, struct hutch_error *err)
{
	struct err e = {0};

	if (!box)
		return api_missing("box", err);
	return api_give(box_wait_ready(to_box(box), &e), &e, err);
}

const char *hutch_box_name(const struct hutch_box *box)
{
	return ((const struct box *)box)->name;
}

const struct hutch_spec *hutch_box_spec(const struct hutch_box *box)
{
	return (const struct hutch_spec *)((const struct box *)box)->spec;
}

const char *hutch_box_remark(const struct hutch_box *box)
{
	return ((const struct box *)box)->remark;
}

int hutch_box_fd(const struct hutch_box *box)
{
	return ((const struct box *)box)->ctl;
}

int hutch_box_delete(struct hutch_box *box, struct hutch_error *err)
{
	struct err e = {0};

	return api_give(box_delete(to_box(box), &e), &e, err);
}

void hutch_box_trace(const struct hutch_box *box)
{
	box_trace((const struct box *)box);
}

/* ---- commands --------------------------------------------------------------------------------- */

static int to_ask(const struct hutch_exec_options *o, struct exec_ask *ask, struct err *e)
{
	unsigned flags = HAS(o, flags) ? o->flags : 0;

	memset(ask, 0, sizeof(*ask));
	ask->tty = flags & HUTCH_EXEC_TTY;
	ask->main = flags & HUTCH_EXEC_MAIN;
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
	for (int i = 0; HAS(o, io) && i < 3; i++) {
		ask->io[i].kind = (enum stdio_kind)o->io[i].kind;
		ask->io[i].fd = o->io[i].fd;
	}
	ask->timeout_ms = HAS(o, timeout_ms) ? o->timeout_ms : 0;
	if (HAS(o, nfds)) {
		ask->fds = o->fds;
		ask->nfds = o->nfds;
	}
	ask->rows = HAS(o, rows) ? o->rows : 0;
	ask->cols = HAS(o, cols) ? o->cols : 0;
	return api_check_flags(flags, HUTCH_EXEC_TTY | HUTCH_EXEC_MAIN, e);
}

int hutch_box_exec(struct hutch_box *box, const struct hutch_exec_options *opts,
		   struct hutch_proc **ret_proc, struct hutch_error *err)
{
	struct exec_ask ask;
	struct err e = {0};
	struct proc *p = NULL;
	int r;

	if (!box)
		return api_missing("box", err);
	r = to_ask(opts, &ask, &e);
	if (r == 0)
		r = box_exec(to_box(box), &ask, &p, &e);
	if (r == 0)
		*ret_proc = (struct hutch_proc *)p;
	return api_give(r, &e, err);
}

void api_result(const struct exited *x, struct hutch_result *ret)
{
	struct hutch_result r = {.size = ret->size, .user_us = x->user_us, .system_us = x->system_us,
				 .maxrss_bytes = x->maxrss_kb * 1024, .duration_us = x->wall_us,
				 .exit_code = proc_exit_code(x), .end = HUTCH_END_EXIT};

	if (x->how == EXITED_FAULT) {
		r.end = HUTCH_END_NOT_RUN;
		r.duration_us = 0;
		memcpy(r.message, x->e.msg, sizeof(r.message));
	} else {
		r.signal = WIFSIGNALED(x->status) ? WTERMSIG(x->status) : 0;
		if (x->how == EXITED_TIMEOUT)
			r.end = HUTCH_END_TIMEOUT;
		else if (r.signal)
			r.end = HUTCH_END_SIGNAL;
	}
	memcpy(ret, &r, ret->size < sizeof(r) ? ret->size : sizeof(r));
}

/* Output that could not be written to the caller's file is no success. */
static void tell_lost(const struct proc *p, struct hutch_result *ret)
{
	if (p->lost && HAS(ret, message) && !*ret->message)
		snprintf(ret->message, sizeof(ret->message), "output was lost: %s", strerror(p->lost));
}

int hutch_proc_wait(struct hutch_proc *proc, int timeout_ms, int wake_fd,
		    struct hutch_result *ret, struct hutch_error *err)
{
	struct err e = {0};
	int r;

	if (!proc)
		return api_missing("command", err);
	r = proc_wait(to_proc(proc), timeout_ms, wake_fd, &e);
	if (r == 1 && ret) {
		api_result(&to_proc(proc)->end, ret);
		tell_lost(to_proc(proc), ret);
	}
	return api_give(r, &e, err);
}

int hutch_proc_signal(struct hutch_proc *proc, int signal, struct hutch_error *err)
{
	struct err e = {0};

	if (!proc)
		return api_missing("command", err);
	return api_give(proc_signal(to_proc(proc), signal, false, &e), &e, err);
}

int hutch_proc_signal_group(struct hutch_proc *proc, int signal, struct hutch_error *err)
{
	struct err e = {0};

	if (!proc)
		return api_missing("command", err);
	return api_give(proc_signal(to_proc(proc), signal, true, &e), &e, err);
}

int hutch_proc_fd(const struct hutch_proc *proc, int which)
{
	const struct proc *p = (const struct proc *)proc;

	if (which < 0 || which > 2)
		return -1;
	return p->wants_pty ? (which == 0 ? p->pty : -1) : p->io[which];
}

int hutch_proc_take_fd(struct hutch_proc *proc, int which)
{
	struct proc *p = to_proc(proc);

	if (which < 0 || which > 2)
		return -1;
	return take_fd(p->wants_pty ? &p->pty : &p->io[which]);
}

void hutch_proc_free(struct hutch_proc *proc)
{
	proc_free(to_proc(proc));
}
