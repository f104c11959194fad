/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - a run: text or a command, its begin, its end, and who waits for that
 *
 * How it works: text goes to the warm shell, or to that of a session (run_shell.c); words, text that is to
 * run clean, and text while the warm shell is busy are commands of the keeper's (exec.c). What they write and
 * read is in run_io.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "box/op.h"
#include "box/run.h"
#include "sys/proc.h"

enum {
	STOP_WITHIN_MS = 1000,	  /* until what was stopped has ended */
	AGAIN_NS = 30000000,	  /* from one kill of what was stopped to the next */
	LOOK_OUT_NS = 60000,	  /* three times what bash takes for next to nothing, where nobody else is busy */
	UNLUCKY_MAX = 6,
	KILL_WITHIN_NS = 500000000, /* a session that goes on after its commands were killed is killed too */
};

/* ---- a command -------------------------------------------------------------------------------- */

static int start_command(struct run *r, const struct run_ask *ask, struct err *e)
{
	auto_free char *text = NULL;
	char *shell[] = {shell_name_of(r->b->spec), (char *)(uintptr_t)"-c", NULL, NULL};
	struct exec_ask x = {
		.argv = ask->argv, .argc = ask->argc, .env = ask->env, .nenv = ask->nenv,
		.cwd = ask->cwd, .io = {{ask->input ? STDIO_PIPE : STDIO_NULL, -1}, {STDIO_PIPE, -1},
					{ask->apart ? STDIO_PIPE : STDIO_SAME, -1}},
		.timeout_ms = ask->timeout_ms,
	};
	int code;

	if (ask->text) {
		text = strndup(ask->text, ask->len);
		if (!text)
			return err_oom(e);
		shell[2] = text;
		x.argv = shell;
		x.argc = 3;
		x.or_sh = !r->b->spec->shell;
	}
	code = box_exec(r->b, &x, &r->p, e);
	for (int i = 0; i < 2 && code == 0; i++) {
		r->out[i] = take_fd(&r->p->io[i + 1]);
		r->own[i] = true;
		if (r->out[i] >= 0)
			(void)fcntl(r->out[i], F_SETFL, O_NONBLOCK);
	}
	return code == 0 && ask->input ? run_give_input(r, ask, e) : code;
}

/* ---- start, wait, end ------------------------------------------------------------------------- */

static int check(const struct run_ask *ask, struct err *e)
{
	if (!ask->text && !ask->argc)
		return err_set(e, ERR_INVALID, "nothing to run");
	if (ask->text && memchr(ask->text, '\0', ask->len))
		return err_set(e, ERR_INVALID, "the text has a NUL in it, which no shell can read");
	if (ask->session && ask->input)
		return err_set(e, ERR_INVALID, "a text in a session has no input of its own (it can say <<, or read a file)");
	if (ask->session && (!ask->text || ask->clean))
		return err_set(e, ERR_INVALID, "in a session runs text, and not clean");
	if (ask->session && (!*ask->session || strlen(ask->session) >= SHELL_NAME_MAX))
		return err_set(e, ERR_INVALID, "a session has a name of at most %d bytes", SHELL_NAME_MAX - 1);
	return 0;
}

/* In what there is in r->s, or else where it belongs. */
static int begin(struct run *r, const struct run_ask *ask, struct err *e)
{
	int code = 0;

	if (ask->text && !ask->clean && !r->s)
		code = shell_take(r->b, ask->session, ask->apart, &r->s, e);
	r->began_ns = sys_now_ns();
	if (ask->timeout_ms)
		r->end_by_ns = sys_deadline_ns(r->began_ns, ask->timeout_ms);
	if (code == 0)
		code = r->s ? run_shell_start(r, ask, e) : start_command(r, ask, e);
	if (code >= 0 || !r->s || !r->s->deaf)
		return code;
	if (!r->s->runner)
		return run_shell_start_next(r, ask, e);
	run_shell_leave(r); /* it has ended, and nobody has said so yet */
	return begin(r, ask, e);
}

int run_start(struct box *b, const struct run_ask *ask, struct run **ret, struct err *e)
{
	struct run *r;
	int code = home_check_owner(b->home, e);

	if (code == 0)
		code = check(ask, e);
	if (code == 0)
		code = op_check(b, ask->text && !ask->clean, e);
	if (code < 0)
		return code;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_oom(e);
	r->b = b;
	r->in = r->out[0] = r->out[1] = r->events = r->timer = -1;
	sink_init(&r->sink[0], ask->cap);
	sink_init(&r->sink[1], ask->cap);
	r->apart = ask->apart;
	r->on_output = ask->on_output;
	r->arg = ask->arg;
	r->next = b->runs;
	b->runs = r;
	if (run_shell_is_plain(r, ask))
		r->s = shell_take_runner(b, ask->text);
	code = begin(r, ask, e);
	if (code < 0) {
		run_free(r);
		return code;
	}
	*ret = r;
	return 0;
}

static void end(struct run *r)
{
	r->done = true;
	r->ended_ns = sys_now_ns();
	close_fd(&r->in);
	run_take_rest(r);
	if (r->s) {
		run_give_said(r);
		run_shell_forget(r);
	}
}

/* Time is over. Of a command the keeper knows by himself. */
static int on_time(struct run *r, uint64_t now, struct err *e)
{
	if (r->end_by_ns && now >= r->end_by_ns && !r->timed_out) {
		r->timed_out = true;
		return r->s ? run_stop(r, e) : 0;
	}
	if (r->s && r->continue_ns && now >= r->continue_ns && !r->kill_by_ns) {
		r->continue_ns = now + (now - r->began_ns); /* ever rarer */
		return shell_continue(r->b, r->s, e);
	}
	if (r->kill_by_ns && now >= r->again_ns && !r->s->kills) {
		/* It had not begun the text yet. Later: a loop of builtins, or what goes on regardless. */
		bool whole = now >= r->kill_by_ns;

		r->again_ns = now + AGAIN_NS;
		if (!whole && ((!r->s->session && !r->s->runner) || r->settled)) /* its sub-shell was there before; it has ended */
			return 0;
		return shell_kill(r->b, r->s, now - r->began_ns, whole, e);
	}
	return 0;
}

/* Until the shell has taken the text: a sub-shell that were killed while it reads would leave the rest to the
 * next. And until it is known who that is: he tells it before. Return: false, it does not come to it. */
static bool wait_taken(struct run *r)
{
	const struct timespec nap = {.tv_nsec = 200000};
	uint64_t until_ns = sys_now_ns() + STOP_WITHIN_MS * 1000000ull;
	struct shell *s = r->s;

	while (s->done != s->begun && sys_now_ns() < until_ns) {
		if (shell_read(s) < 0)
			return false;
		if (!shell_unread(s) && (s->session || s->runner || s->inside))
			return true;
		nanosleep(&nap, NULL);
	}
	return s->done == s->begun;
}

int run_stop(struct run *r, struct err *e)
{
	uint64_t now = sys_now_ns();
	bool whole;

	if (r->done || r->settled)
		return 0;
	if (!r->s)
		return proc_signal(r->p, 9, false, e);
	if (!r->kill_by_ns)
		r->kill_by_ns = now + KILL_WITHIN_NS;
	r->again_ns = now + AGAIN_NS;
	/* A plain sh cannot be told to pass over the rest of its text. */
	whole = !wait_taken(r) || (r->s->session && !r->s->bash);
	if (r->s->done == r->s->begun)
		return 0;
	r->stopped = true;
	return shell_kill(r->b, r->s, sys_now_ns() - r->began_ns, whole, e);
}

/* ---- events ----------------------------------------------------------------------------------- */

static int listen_to(int events, const int *fds, int n, struct err *e)
{
	struct epoll_event in = {.events = EPOLLIN};

	for (int i = 0; i < n; i++)
		if (fds[i] >= 0 && epoll_ctl(events, EPOLL_CTL_ADD, fds[i], &in) < 0)
			return err_sys(e, errno, "wait for events");
	return 0;
}

/* At its end a descriptor is ready for ever. To close it is not enough: the keeper may hold what it is of, too. */
void run_hear_no_more(const struct run *r, int fd)
{
	if (r->events >= 0)
		(void)epoll_ctl(r->events, EPOLL_CTL_DEL, fd, NULL);
}

static int listen_to_run(const struct run *r, int events, struct err *e)
{
	return listen_to(events, (int[]){r->s ? r->s->ends[SHELL_END_RESULTS] : -1, r->out[0], r->out[1]}, 3, e);
}

/* Nobody has begun it: as if that shell, or runner, were not there. Return: 1 that could not be, and the run has ended. */
static int start_over(struct run *r)
{
	auto_free char *text = r->s->runner ? take_ptr(&r->program) : take_ptr(&r->again);
	struct run_ask ask = {.text = text, .len = text ? strlen(text) : 0, .apart = r->apart};
	uint64_t began_ns = r->began_ns, now = sys_now_ns();
	auto_free char **words = calloc(r->words.len + 1, sizeof(*words));
	int code;

	if (r->kill_by_ns)
		return 1;
	for (size_t at = 0; words && r->is_words && at < r->words.len; at += strlen(r->words.data + at) + 1)
		words[ask.argc++] = r->words.data + at;
	ask.argv = words;
	run_hear_no_more(r, r->s->ends[SHELL_END_RESULTS]);
	run_shell_leave(r);
	if (r->end_by_ns)
		ask.timeout_ms = now < r->end_by_ns ? (r->end_by_ns - now + 999999) / 1000000 : 1;
	code = text || ask.argc ? begin(r, &ask, &r->bad) : err_oom(&r->bad);
	if (code == 0 && r->events >= 0)
		code = listen_to_run(r, r->events, &r->bad);
	r->began_ns = began_ns;
	return code < 0 ? 1 : 0;
}

/* A runner that was killed just before it was given the run, or a shell: who would have taken it has left it for that, or was not forked. */
static bool was_not_read(const struct run *r)
{
	const struct shell *s = r->s;

	return s->dead && !r->kill_by_ns && s->done != s->begun && (s->runner || (r->again && (s->loaded || !s->inside))) &&
	       shell_unread(s);
}

/* What the keeper and the shell said. Return: 1 it has ended. */
static int look(struct run *r, struct err *e)
{
	int code = 0;

	if (!r->s)
		return r->p->done;
	if (r->s->done != r->s->begun || r->s->kills) /* what waits next says so, maybe before the keeper has answered */
		(void)shell_read(r->s);
	if (r->s->silent)
		run_hear_no_more(r, r->s->ends[SHELL_END_RESULTS]);
	if (r->s->confused && r->s->done != r->s->begun && !r->s->dead && !r->s->kills)
		code = shell_kill(r->b, r->s, sys_now_ns() - r->began_ns, true, e);
	if (code < 0)
		return code;
	if (r->s->refused || was_not_read(r))
		return start_over(r);
	/* Whom somebody else than us killed may not have taken all of the text. */
	if (!r->s->session && !r->s->runner && r->s->done == r->s->begun && r->s->status == 128 + SIGKILL && !r->kill_by_ns)
		r->s->confused = true;
	if (!r->s->dead && r->s->done == r->s->begun && !r->s->kills && run_shell_settle(r))
		return 0;
	if (r->s->dead && r->s->runner && r->s->done != r->s->begun && !r->swept) {
		r->swept = true;
		return shell_sweep(r->b, r->s, sys_now_ns() - r->began_ns, e);
	}
	if ((r->s->dead || r->s->done == r->s->begun) && !(r->s->kills && (!r->s->dead || r->swept))) {
		if (r->settled)
			r->s->status = r->status;
		r->shell_died = r->s->done != r->s->begun;
		return 1;
	}
	if (r->b->dead)
		return err_set(e, ERR_DIED, "sandbox '%s' has ended", r->b->name);
	return 0;
}

/* When run_wait() has something to do although nothing came. */
static uint64_t due(const struct run *r)
{
	uint64_t end_by = r->timed_out ? 0 : r->end_by_ns;

	if (!r->s || r->kill_by_ns) /* as long as the keeper has not answered there is nothing to ask for again */
		return r->s && !r->s->kills ? r->again_ns : 0;
	return end_by && (!r->continue_ns || end_by < r->continue_ns) ? end_by : r->continue_ns;
}

static void set_timer(const struct run *r)
{
	uint64_t at = due(r);
	struct itimerspec t = {.it_value = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)}};

	if (r->timer >= 0)
		(void)timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* One that is not being looked at would not hear of what its event loop waits for. */
void runs_told(struct box *b)
{
	const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};

	for (const struct run *r = b->runs; r; r = r->next)
		if (r->timer >= 0 && !r->done && r != b->looked_at)
			(void)timerfd_settime(r->timer, 0, &at_once, NULL);
}

/* Everything that wait_once() looks at, and the timer. */
int run_fd(struct run *r, struct err *e)
{
	auto_fd int fd = -1, timer = -1;
	int code = home_check_owner(r->b->home, e);

	if (code < 0 || r->events >= 0)
		return code < 0 ? code : r->events;
	fd = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd < 0 || timer < 0)
		return err_sys(e, errno, "make a descriptor for events");
	code = listen_to(fd, (int[]){timer, r->b->ctl}, 2, e);
	if (code == 0)
		code = listen_to_run(r, fd, e);
	if (code == 0 && r->in >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, r->in, &(struct epoll_event){.events = EPOLLOUT}) < 0)
		code = err_sys(e, errno, "wait for events");
	if (code < 0)
		return code;
	r->events = take_fd(&fd);
	r->timer = take_fd(&timer);
	set_timer(r);
	return r->events;
}

static int wait_once(struct run *r, int timeout_ms, int wake_fd, bool *woken, struct err *e)
{
	struct pollfd p[6] = {{r->b->ctl, POLLIN, 0},
			      {r->s && !r->s->dead && !r->s->silent ? r->s->ends[SHELL_END_RESULTS] : -1, POLLIN, 0},
			      {r->out[0], POLLIN, 0},
			      {r->out[1], POLLIN, 0},
			      {wake_fd, POLLIN, 0},
			      {r->in, POLLOUT, 0}};

	if (poll(p, 6, timeout_ms) < 0)
		return errno == EINTR ? 0 : err_sys(e, errno, "poll");
	for (int i = 0; i < 2; i++) {
		if (p[i + 2].revents)
			(void)run_take(r, i, p[i + 2].revents & POLLHUP);
	}
	*woken = p[4].revents;
	if (p[5].revents)
		run_feed(r);
	return p[0].revents ? box_talk(r->b, 0, e) : 0;
}

/* A text of a session that does little ends sooner than one falls asleep and is woken: half of such a call, and whoever wakes up finds
 * none of his own in a cache. So its end is looked out for, for a moment and where another processor may run the shell; the more
 * seldom, the more often in a row it did not come. Return: whether there may be something to look at. */
static bool look_out(struct run *r)
{
	struct shell *s = r->s;
	uint64_t until_ns;
	int code = 0;

	if (!s || !s->session || s->one_cpu || s->done == s->begun || r->kill_by_ns || r->looked_out)
		return false;
	r->looked_out = true;
	if (s->pass_over) {
		s->pass_over--;
		return false;
	}
	until_ns = sys_now_ns() + LOOK_OUT_NS;
	while (!(code = shell_read(s)) && sys_now_ns() < until_ns)
		sched_yield();
	s->unlucky = code ? 0 : s->unlucky < UNLUCKY_MAX ? s->unlucky + 1 : UNLUCKY_MAX;
	s->pass_over = (1u << s->unlucky) - 1;
	return code;
}

/* Milliseconds until @at, rounded up, at most @most (-1: no end). */
static int until(uint64_t at, uint64_t now, int most)
{
	uint64_t ms = at <= now ? 0 : (at - now + 999999) / 1000000;

	if (!at || (most >= 0 && ms > (uint64_t)most))
		return most;
	return ms > 1000000 ? 1000000 : (int)ms;
}

int run_wait(struct run *r, int timeout_ms, int wake_fd, struct err *e)
{
	uint64_t now = sys_now_ns(), over = now + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u;
	bool woken = false;
	int code = home_check_owner(r->b->home, e);

	r->b->looked_at = r;
	while (code >= 0 && !r->done) {
		int left = timeout_ms < 0 ? -1 : until(over, now, timeout_ms);

		code = look(r, e);
		if (code > 0)
			end(r);
		if (code != 0 || woken || (timeout_ms >= 0 && now >= over && timeout_ms))
			break;
		code = on_time(r, now, e);
		if (code == 0 && timeout_ms && look_out(r))
			continue;
		left = until(due(r), now, left);
		if (code == 0)
			code = wait_once(r, left, wake_fd, &woken, e);
		if (r->b->why.code) {
			(void)box_gone(r->b, e);
			code = err_wrap(e, "start '%s'", r->b->name);
		}
		if (timeout_ms == 0)
			woken = true;
		now = sys_now_ns();
	}
	r->b->looked_at = NULL;
	set_timer(r);
	return r->done ? 1 : code < 0 ? code : 0;
}

/* ---- what came of it -------------------------------------------------------------------------- */

static void of_command(const struct exited *x, struct run_result *ret)
{
	ret->counted = x->how != EXITED_FAULT;
	ret->user_us = x->user_us;
	ret->system_us = x->system_us;
	ret->maxrss_kb = x->maxrss_kb;
	ret->exit_code = proc_exit_code(x);
	ret->signal = x->how != EXITED_FAULT && WIFSIGNALED(x->status) ? WTERMSIG(x->status) : 0;
	if (x->how == EXITED_FAULT) {
		ret->end = RUN_FAULT;
		ret->e = x->e;
	} else if (x->how == EXITED_TIMEOUT) {
		ret->end = RUN_TIMEOUT;
	} else if (ret->signal) {
		ret->end = RUN_SIGNAL;
	}
}

void run_result(const struct run *r, struct run_result *ret)
{
	*ret = (struct run_result){.ns = r->ended_ns - r->began_ns};
	if (r->bad.code) {
		ret->end = RUN_FAULT;
		ret->e = r->bad;
		ret->exit_code = 125;
		return;
	}
	if (r->s && r->s->runner && r->is_words && !r->shell_died)
		of_command(&r->s->ran, ret);
	else if (r->s && !r->shell_died)
		ret->exit_code = r->s->status;
	else
		of_command(r->s ? &r->s->end : &r->p->end, ret);
	if (r->shell_died) { /* of its exit the status is known, of a kill the signal */
		ret->counted = false;
		if (ret->end == RUN_SIGNAL)
			ret->end = RUN_SHELL_DIED;
		if (r->s->runner) { /* how the program itself would have ended nobody knows: it was killed with it */
			ret->end = RUN_SHELL_DIED;
			ret->signal = 0;
			ret->exit_code = 128 + SIGKILL;
		}
	}
	if (r->stopped) {
		ret->end = RUN_SIGNAL;
		ret->signal = SIGKILL;
		ret->exit_code = 128 + SIGKILL;
	}
	if (r->timed_out && !(r->p && r->p->end.how == EXITED_FAULT)) {
		ret->end = RUN_TIMEOUT;
		ret->signal = 0;
	}
	if (ret->end == RUN_TIMEOUT)
		ret->exit_code = 124;
}

static void drop_output(void *arg, int which, const char *data, size_t len)
{
	(void)arg;
	(void)which;
	(void)data;
	(void)len;
}

void run_free(struct run *r)
{
	struct run **at;

	if (!r)
		return;
	if (!r->done && (r->s || r->p) && r->b->home->owner == getpid()) {
		r->on_output = drop_output;
		if (run_stop(r, NULL) == 0) /* of a shell it is known only then that it is free again */
			(void)run_wait(r, STOP_WITHIN_MS, -1, NULL);
	}
	for (at = &r->b->runs; *at != r;)
		at = &(*at)->next;
	*at = r->next;
	for (int i = 0; i < 2; i++) {
		if (r->own[i])
			close_fd(&r->out[i]);
		sink_done(&r->sink[i]);
	}
	if (r->s) {
		run_shell_forget(r);
		shell_give(r->b, r->s);
	}
	proc_free(r->p);
	close_fd(&r->events);
	close_fd(&r->timer);
	close_fd(&r->in);
	free(r->input);
	free(r->program);
	free(r->again);
	buf_done(&r->words);
	free(r->buf);
	free(r);
}
