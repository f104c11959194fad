/* SPDX-License-Identifier: Apache-2.0
 *
 * stop.c - the end of a detached sandbox whose files are kept, and its next start
 *
 * How it works: the keeper asks its commands to end, and ends. Then whoever asked takes the name, as every
 * change of what is on disk needs it: syncs, says that all is there (kept.c), and gives the name back. Who finds
 * the name taken leaves it: somebody has started the sandbox again meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "spec/parse.h"
#include "sys/proc.h"

enum { GRACE_MS = 1000, LONGEST_MS = 1000000000 };

static int check(struct box *b, struct err *e)
{
	int r = home_check_owner(b->home, e);

	if (r < 0)
		return r;
	if (!b->shared)
		return err_set(e, ERR_STATE, "sandbox '%s' is not detached: it ends with the program that made it",
			       b->name);
	return box_wait_ready(b, e);
}

/* A keeper that does not hear us is killed by who calls. */
static void ask(struct box *b, int sig, int timeout_ms)
{
	struct msg_head head = {.op = OP_STOP, .arg = (uint32_t)sig};
	uint64_t ms = (uint64_t)timeout_ms;
	uint64_t by = sys_now_ns() + (ms + GRACE_MS) * 1000000u, now;

	if (box_say(b, &head, &ms, sizeof(ms), NULL, 0) < 0)
		return;
	while (!b->dead && (now = sys_now_ns()) < by)
		if (box_talk(b, (int)((by - now) / 1000000u) + 1, NULL) < 0)
			return;
}

static int put_down(struct box *b, struct err *e)
{
	auto_fd int lock = -1;
	int r = place_take_kept(b->home, b->name, &lock, e);

	if (r == ERR_EXISTS || r == ERR_NOT_FOUND) { /* started again by somebody, or removed: it was stopped */
		if (e)
			e->code = 0;
		return 0;
	}
	if (r == 0)
		r = kept_set_clean(b->home, b->name, e);
	place_let_go(b->home, b->name, &lock);
	return r;
}

static int stop(struct box *b, int sig, int timeout_ms, struct err *e)
{
	int r = check(b, e);

	if (r == ERR_DIED && b->dead) /* by itself, or by somebody else's hand */
		r = 0;
	if (r < 0)
		return r;
	if (timeout_ms < 0 || timeout_ms > LONGEST_MS)
		timeout_ms = LONGEST_MS;
	if (!b->dead) /* also where there is no time: so its jobs are kept */
		ask(b, sig, timeout_ms);
	r = box_end_keeper(b, e);
	if (r == 0 && b->kept)
		r = put_down(b, e);
	else if (r == 0) /* HUTCH_START_REMOVE: it is gone */
		place_sweep(b->home);
	if (r < 0)
		return err_wrap(e, "stop '%s'", b->name);
	b->dead = true;
	if (b->kept && b->spec->upper == SPEC_UPPER_TMPFS)
		snprintf(b->remark, sizeof(b->remark), "its changes were in memory (upper=tmpfs) and are gone");
	return 0;
}

int box_stop(struct box *b, int timeout_ms, struct err *e)
{
	int sig = b->spec->stop_signal_number;

	return stop(b, sig ? sig : SIGTERM, timeout_ms, e);
}

int box_kill(struct box *b, int sig, struct err *e)
{
	struct msg_head head = {.op = OP_KILL_ALL, .arg = (uint32_t)sig};
	int r = check(b, e);

	if (r == 0 && (sig <= 0 || sig > 64))
		r = err_set(e, ERR_INVALID, "%d is not a signal", sig);
	if (r < 0)
		return r;
	if (b->dead)
		return err_set(e, ERR_DIED, "sandbox '%s' has ended", b->name);
	if (sig == SIGKILL)
		return stop(b, SIGKILL, 0, e);
	return box_ask(b, &head, NULL, 0, NULL, 0, e);
}

/* ---- again ------------------------------------------------------------------------------------ */

enum { TRIES = 100, NAP_MS = 100 };

static int start_kept(struct home *h, const char *name, bool wait, struct box **ret, struct err *e)
{
	struct spec *spec;
	int lock = -1, r = place_take_kept(h, name, &lock, e);

	if (r < 0)
		return r;
	spec = spec_new();
	r = spec ? kept_read(h, name, spec, e) : err_oom(e);
	if (r < 0) {
		spec_free(spec);
		place_let_go(h, name, &lock);
		return err_wrap(e, "start '%s'", name);
	}
	return box_start_again(h, spec, lock, kept_is_clean(h, name), wait, ret, e);
}

int box_start_stopped(struct home *h, const char *name, bool wait, struct box **ret, struct err *e)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000};
	auto_free char *valid = NULL;
	int r = home_check_owner(h, e);

	if (r == 0)
		r = parse_name(name, &valid, e);
	if (r < 0)
		return r;
	/* As long as somebody else has the name, he starts it or ends it. */
	for (int i = 0; i < TRIES; i++) {
		r = box_attach(h, name, ret, e);
		if ((r != ERR_DIED && r != ERR_STATE) || !kept_is(h, name))
			return r;
		r = start_kept(h, name, wait, ret, e);
		if (r != ERR_EXISTS)
			return r;
		nanosleep(&nap, NULL);
	}
	return err_set(e, ERR_BUSY, "sandbox '%s' is being started or ended by somebody else", name);
}

/* ---- and never again -------------------------------------------------------------------------- */

int box_remove(struct home *h, const char *name, struct err *e)
{
	auto_fd int lock = -1;
	int r = home_check_owner(h, e);

	if (r == 0)
		r = place_take_any(h, name, &lock, e);
	if (r == ERR_EXISTS)
		r = err_set(e, ERR_STATE, "it runs");
	if (r < 0)
		return err_wrap(e, "remove sandbox '%s'", name);
	kept_forget(h, name); /* from here on it is nobody's: also when we are killed */
	place_upper_give_back(h, name);
	place_let_go(h, name, &lock);
	return 0;
}
