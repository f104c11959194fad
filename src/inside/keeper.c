/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper.c - the process that holds a sandbox
 *
 * How it works: born from the nursery, or from its caller, with all powers over its namespaces, it
 * gets its ids and makes all that depends on no plan (storage_prepare). Then it waits for the plan: a keeper may stand ready long
 * before it is needed. With the plan it builds its storage (storage.c) and the first generation
 * (generation.c), says OP_READY, and serves (serve.c). It is pid 1 of a pid namespace around the generation's: when it
 * ends, for whatever reason, the kernel ends everything in the sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"
#include "wire/birth.h"

static int tell(int fd, uint16_t op, const void *body, size_t len)
{
	struct msg_head h = {.op = op};

	return msg_send(fd, &h, body, len, NULL, 0);
}

/* ---- becoming --------------------------------------------------------------------------------- */

/* One id needs nobody else: the kernel lets the creator of a user namespace map himself. */
static int map_self(const struct prepare *p, struct err *e)
{
	char text[64];
	int r;

	r = sys_write_file(AT_FDCWD, "/proc/self/setgroups", "deny");
	if (r < 0 && r != -EPERM && r != -ENOENT) /* EPERM: denied already further up */
		return err_sys(e, r, "deny setgroups");
	snprintf(text, sizeof(text), "0 %u 1", p->uid[0].outside);
	r = sys_write_file(AT_FDCWD, "/proc/self/uid_map", text);
	if (r < 0)
		return err_sys(e, r, "write uid_map");
	snprintf(text, sizeof(text), "0 %u 1", p->gid[0].outside);
	r = sys_write_file(AT_FDCWD, "/proc/self/gid_map", text);
	return r < 0 ? err_sys(e, r, "write gid_map") : 0;
}

/* Of the nursery, once the caller knows of us. */
static int wait_for_word(int go, struct err *e)
{
	char c;

	return read(go, &c, 1) == 1 ? 0 : err_set(e, ERR_DIED, "the nursery was killed");
}

/* Whoever made us maps them: the nursery writes to @go, a caller says it on our socket. */
static int wait_for_ids(const struct keeper *k, int go, struct err *e)
{
	char buf[64] __attribute__((aligned(8)));
	struct msg m;
	int r;

	if (go >= 0) {
		r = wait_for_word(go, e);
		if (r < 0)
			return r;
	} else if (msg_recv(k->ctl, &m, buf, sizeof(buf), 0) <= 0 || m.head.op != OP_IDS) {
		_exit(0);
	}
	return inside_root(e);
}

int inside_root(struct err *e)
{
	if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_sys(e, errno, "become uid 0 of the sandbox");
	return 0;
}

/* Over the exec they were ambient; no command may inherit them. */
static int only_own_powers(struct err *e)
{
	uint64_t caps = 0;
	int r = sys_capget(&caps);

	if (r == 0)
		r = sys_capset(caps);
	return r < 0 ? err_sys(e, r, "set capabilities") : 0;
}

/**
 * become() - Turn a fresh process into a keeper
 *
 * Should:  have uid 0 and all capabilities of the new user namespace, nothing inheritable, no
 *	    dumpability (and so no core dumps), a session keyring of its own
 * Mustn't: run anything of the sandbox before
 */
static int become(struct keeper *k, int go, struct err *e)
{
	int r;

	if (k->prep.ids == PLAN_IDS_SELF) {
		r = map_self(&k->prep, e);
		if (r == 0 && go >= 0)
			r = wait_for_word(go, e);
	} else {
		r = wait_for_ids(k, go, e);
	}
	close_fd(&go);
	if (r == 0)
		r = only_own_powers(e);
	if (r < 0)
		return r;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "hutch-keeper", 0, 0, 0);
	(void)sys_keyring_join(); /* EDQUOT where keys are full: keyctl is refused inside anyway */
	k->self = sys_pidfd_open(getpid());
	if (k->self < 0)
		return err_sys(e, k->self, "pidfd_open");
	return 0;
}

/* After the host's paths were opened with them. Refused where setgroups is denied. */
static void drop_groups(void)
{
	(void)setgroups(0, NULL);
}

static int scope_sockets(struct err *e)
{
	int r = sys_landlock_scope_abstract();

	return r < 0 ? err_sys(e, r, "keep the host's abstract sockets out of reach (Landlock ABI 6, "
				     "Linux 6.12; or --allow-abstract-sockets)") : 0;
}

/* A moment, or until somebody waits for us and says so with SIGCONT: that may have come already, so it is blocked. */
static void wait_for_hurry(const sigset_t *hurry)
{
	const struct timespec moment = {.tv_nsec = LATER_MS * 1000000};

	(void)sigtimedwait(hurry, NULL, &moment);
}

static int build(struct keeper *k, struct generation *g, struct err *e)
{
	int r = storage_build(k, e);

	k->spent = k->plan->flags & PLAN_ONCE;
	if (k->plan->generation)
		g->number = k->numbers = k->plan->generation;
	g->continued = k->plan->generation && k->plan->continued;
	drop_groups();
	if (r == 0 && k->plan->flags & PLAN_SCOPE_ABSTRACT)
		r = scope_sockets(e);
	if (r == 0)
		r = place_all(k, e);
	k->marks[MARK_PLACES] = sys_now_ns();
	if (r == 0)
		r = root_overlay(k, g, e);
	k->marks[MARK_OVERLAY] = sys_now_ns();
	if (r == 0)
		r = present_open(k, e);
	if (r == 0)
		r = storage_open(k, e);
	if (r == 0)
		r = generation_build(k, g, e);
	if (r == 0)
		r = generation_finish(k, g, e);
	if (r == 0)
		r = generation_enter(k, g, e);
	k->marks[MARK_READY] = sys_now_ns();
	return r;
}

/* The plan, or the end of everything. It stays in memory as long as we do. */
static int wait_for_plan(struct keeper *k, struct err *e)
{
	static struct msg_buf buf;
	struct pollfd p[2] = {{k->ctl, POLLIN, 0}, {k->owner, POLLIN, 0}};
	const char *stack, *base;
	int r;

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "poll");
	if (p[1].revents)
		_exit(0);
	r = msg_recv(k->ctl, &k->start, buf.bytes, sizeof(buf.bytes), 0);
	if (r == 0)
		_exit(0);
	k->marks[MARK_PLAN] = sys_now_ns();
	if (r == -EMFILE)
		return err_sys(e, r, "take the plan's descriptors");
	if (r < 0 || k->start.head.op != OP_PLAN)
		return err_set(e, ERR_INTERNAL, "no plan came");
	k->pack = (struct pack){k->start.body, k->start.head.body};
	k->plan = plan_open(&k->pack, e);
	if (!k->plan)
		return e->code;
	if (starter_prepare(k, e) < 0)
		return e->code;
	if (k->prep.ahead || k->plan->flags & PLAN_TWIN)
		sys_background(0, k->plan->flags & PLAN_TWIN);
	snprintf(k->hostname, sizeof(k->hostname), "%s", pack_get_str(&k->pack, k->plan->hostname));
	stack = pack_get_str(&k->pack, k->plan->stack);
	base = pack_get_str(&k->pack, k->plan->base);
	r = stack ? stack_from_text(&k->stack, stack, strlen(stack), e) : 0;
	if (r == 0)
		r = base ? stack_from_text(&k->base, base, strlen(base), e) : stack_copy(&k->base, &k->stack, e);
	if (r < 0)
		return r;
	if (k->plan->listen >= 0 && (unsigned)k->plan->listen < k->start.nfds) {
		k->listen = k->start.fds[k->plan->listen];
		(void)fcntl(k->listen, F_SETFL, O_NONBLOCK); /* who was there may be welcomed already, or have gone */
		close_fd(&k->owner); /* it lives on without him */
	}
	return 0;
}

/* ---- the whole --------------------------------------------------------------------------------- */

void keeper_main(const struct prepare *prep, int ctl, int owner, int go, uint64_t asked_ns)
{
	static struct keeper k __attribute__((aligned(4096))); /* in one page: the reaper has a copy */
	static struct ready ready;
	struct generation first;
	sigset_t hurry;
	struct err e = {0};
	int r;

	k.prep = *prep;
	k.ctl = ctl;
	k.owner = owner;
	k.listen = k.up = -1;
	k.fifos = k.fifos_ro = k.storage = k.callers_root = k.sysfs = -1;
	k.starter.sock = k.starter.theirs = -1;
	k.nameless.storage = k.nameless.hostname = k.nameless.hosts = -1;
	k.marks[MARK_ASKED] = asked_ns;
	k.marks[MARK_RUNS] = sys_now_ns();
	sigemptyset(&hurry);
	sigaddset(&hurry, SIGCONT);
	sigprocmask(SIG_BLOCK, &hurry, NULL);
	setsid(); /* an autogroup of its own */
	if (k.prep.ahead)
		sys_background(0, true);
	r = generation_begin(&k, &first, &e); /* what takes longest needs no ids */
	if (r == 0)
		r = become(&k, go, &e);
	k.marks[MARK_IDS] = sys_now_ns();
	if (r == 0)
		r = generation_has_ids(&k, &first, &e);
	if (r == 0)
		r = storage_prepare(&k, &e);
	if (r == 0)
		r = wait_for_plan(&k, &e);
	if (r == 0 && k.plan->flags & PLAN_LATER)
		wait_for_hurry(&hurry);
	sigprocmask(SIG_UNBLOCK, &hurry, NULL);
	if (r == 0)
		r = build(&k, &first, &e);
	if (r < 0) {
		(void)tell(k.ctl, OP_FAILED, &e, sizeof(e));
		_exit(1);
	}
	memcpy(ready.marks, k.marks, sizeof(ready.marks));
	(void)msg_send(k.ctl, &(struct msg_head){.op = OP_READY, .arg = WIRE}, &ready, sizeof(ready), NULL, 0);
	if (root_drop(&k, &e) < 0)
		_exit(1);
	k.want_spare = k.plan->flags & PLAN_SPARE && !(k.plan->flags & PLAN_TWIN);
	k.for_job = k.plan->flags & PLAN_FOR_JOB;
	reset_begins(&k, sys_now_ns());
	keeper_serve(&k);
}

void keeper_alone(int sock)
{
	static char buf[sizeof(struct alone) + 64] __attribute__((aligned(8)));
	const struct alone *a = (const void *)buf;
	struct err e = {0};
	struct msg m;
	int ctl;

	if (inside_begin("hutch-keeper", sock, &ctl, &e) == 0) {
		int r = msg_recv(ctl, &m, buf, sizeof(buf), 0);

		if (r == 0)
			_exit(0); /* the caller has gone */
		if (r > 0 && m.head.op == OP_ALONE && m.head.body == sizeof(*a) && m.nfds >= 1 && birth_fits(&a->prep)) {
			for (int i = 0; i < RLIM_NLIMITS; i++)
				callers_limits[i] = (struct rlimit){a->limits[i][0], a->limits[i][1]};
			keeper_main(&a->prep, ctl, m.fds[0], -1, a->asked_ns);
		}
		if (r < 0)
			err_sys(&e, r, "hear what keeper this shall be");
		else
			err_set(&e, ERR_INTERNAL, "nobody said what keeper this shall be");
	}
	(void)tell(ctl, OP_FAILED, &e, sizeof(e));
	_exit(1);
}
