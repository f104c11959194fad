/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper.c - the process that holds a sandbox
 *
 * How it works: born from the nursery, or from its caller, with all powers over its namespaces, it
 * gets its ids and makes all that depends on no plan (storage_prepare). Then it waits for the plan: a keeper may stand ready long
 * before it is needed. With the plan it builds its storage (storage.c) and the first generation
 * (generation.c), says OP_READY, and answers what comes over its socket. It is pid 1 of a pid
 * namespace around the generation's: when it ends, for whatever reason, the kernel ends everything
 * in the sandbox.
 *
 * It ends when its socket closes or its owner's pidfd becomes readable, or, where it has no owner, when its name was
 * removed below it (stop.c). It waits for nothing that
 * the inside can hold back: its children are clones of its own, looked at when they end or when
 * their time to exec is over.
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
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

static void block_hurry(int how)
{
	sigset_t hurry;

	sigemptyset(&hurry);
	sigaddset(&hurry, SIGCONT);
	sigprocmask(how, &hurry, NULL);
}

/* A moment, or until somebody waits for us: he may have said so before we came here. */
static void wait_for_hurry(void)
{
	const struct timespec moment = {.tv_nsec = LATER_MS * 1000000};
	sigset_t hurry;

	sigemptyset(&hurry);
	sigaddset(&hurry, SIGCONT);
	(void)sigtimedwait(&hurry, NULL, &moment);
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
	static char buf[MSG_BUF] __attribute__((aligned(8)));
	struct pollfd p[2] = {{k->ctl, POLLIN, 0}, {k->owner, POLLIN, 0}};
	const char *stack, *base;
	int r;

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return err_sys(e, errno, "poll");
	if (p[1].revents)
		_exit(0);
	r = msg_recv(k->ctl, &k->start, buf, sizeof(buf), 0);
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

/* ---- serving ---------------------------------------------------------------------------------- */

enum { REAP_MAX = 256 };

static void reap(struct keeper *k)
{
	struct rusage ru;
	int status;
	pid_t pid;

	/* Not without end: processes inside may be made our children faster than we reap. */
	for (int i = 0; i < REAP_MAX && (pid = wait4(-1, &status, WNOHANG, &ru)) > 0; i++) {
		if (WIFSTOPPED(status)) /* PTRACE_TRACEME made us its tracer: we are nobody's */
			(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
		else if (pid == k->now.pid)
			k->now.pid = 0; /* the end of the generation; its commands follow */
		else if (k->spare.pid && pid == k->spare.pid)
			reset_spare_ended(k);
		else if (reset_left(k, pid) || files_ended(k, pid) || work_ended(k, pid, status))
			continue;
		else
			exec_ended(k, pid, status, &ru);
	}
}

static struct client *add_client(struct keeper *k, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->next = k->clients;
	k->clients = c;
	return c;
}

/* Whoever attaches is told at once what the maker was told in the course of the start. */
bool keeper_welcome(struct keeper *k)
{
	struct msg_head h = {.op = OP_STARTED, .arg = (uint32_t)getpid()};
	static struct ready ready;
	int fd = accept4(k->listen, NULL, NULL, SOCK_CLOEXEC);
	struct client *c;

	if (fd < 0 && errno == EAGAIN)
		return true; /* somebody was here, and was welcomed in the middle of a reset, or has gone */
	c = fd < 0 ? NULL : add_client(k, fd);
	if (!c)
		return false;
	(void)client_tell(c, &h, NULL, 0, &k->self, 1);
	h = (struct msg_head){.op = OP_READY};
	(void)client_tell(c, &h, &ready, sizeof(ready), NULL, 0);
	return true;
}

/* The end of a client; of the whole, when he was its owner. */
static void lose_client(struct keeper *k, struct client *c)
{
	struct client **at = &k->clients;

	if (c->fd == k->ctl && (k->listen < 0 || k->for_job))
		_exit(0);
	shell_forget(k, c);
	exec_forget(k, c);
	work_forget(k, c);
	jobs_forget(k, c);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	client_drop(c);
	close(c->fd);
	free(c);
}

static void give_files(struct keeper *k, struct client *c, uint32_t id)
{
	struct msg_head is = {.op = OP_FILES_IS, .id = id};
	struct err e = {0};

	if (files_open(k, c, id, &e) < 0)
		(void)client_tell(c, &is, &e, sizeof(e), NULL, 0);
}

/* The first process of a pid namespace ends before the others are killed, and those one in another one by one: so
 * all of them are killed now. Our own end frees the lock, which is all that some look at: so of a detached one nothing may
 * run any more then. Who ends it by our pidfd need not wait, and ends us where what was killed hangs in the kernel. */
void keeper_end(const struct keeper *k, bool by_itself)
{
	if (getpid() == 1) { /* else it would not be ours alone */
		(void)kill(-1, SIGKILL);
		while (by_itself && k->listen >= 0 && (wait(NULL) > 0 || errno == EINTR))
			;
	}
	_exit(0);
}

/* Most of a keeper's own end are waits of the kernel for its mounts. @c need not wait for those but one: that under
 * which he lays changes of others. */
static void end_before(struct keeper *k, struct client *c)
{
	const struct msg_head ended = {.op = OP_ENDED};

	if (getpid() == 1 && kill(-1, SIGKILL) == 0)
		while (wait(NULL) > 0 || errno == EINTR)
			;
	if (getpid() == 1 && reset_abandon(k)) {
		if (k->plan->lock >= 0 && (unsigned)k->plan->lock < k->start.nfds)
			close_fd(&k->start.fds[k->plan->lock]);
		(void)client_tell(c, &ended, NULL, 0, NULL, 0);
	}
	_exit(0);
}

static void one_message(struct keeper *k, struct client *c)
{
	static char buf[MSG_BUF] __attribute__((aligned(8)));
	struct msg_head failed = {.op = OP_EXITED};
	struct exited x = {.how = EXITED_FAULT};
	struct msg m;
	int r = msg_recv(c->fd, &m, buf, sizeof(buf), MSG_DONTWAIT);

	if (r == 0)
		lose_client(k, c);
	failed.id = m.head.id;
	if (r == -EMFILE && (m.head.op == OP_EXEC || m.head.op == OP_SHELL)) {
		(void)err_sys(&x.e, r, "take the command's descriptors");
		(void)client_tell(c, &failed, &x, sizeof(x), NULL, 0);
	}
	if (r == -EMFILE && m.head.op == OP_DIFF) {
		(void)err_sys(&x.e, r, "take the file for what differs");
		failed.op = OP_LAYERS;
		(void)client_tell(c, &failed, &x.e, sizeof(x.e), NULL, 0);
	}
	if (r == -EMFILE && m.head.op == OP_JOB_START) {
		(void)err_sys(&x.e, r, "take the command");
		jobs_refuse(c, m.head.id, &x.e);
	}
	if (r <= 0)
		return;
	if ((m.head.op == OP_EXEC && exec_start(k, c, &m, NULL, &x.e) < 0) ||
	    (m.head.op == OP_SHELL && shell_open(k, c, &m, &x.e) < 0))
		(void)client_tell(c, &failed, &x, sizeof(x), NULL, 0);
	else if (m.head.op == OP_SHELL_BACK)
		shell_back(k, c, &m);
	else if (m.head.op == OP_SHELL_KILL && m.head.body == sizeof(struct shell_kill))
		shell_kill(k, c, m.head.id, m.body);
	else if (m.head.op == OP_DRAIN && m.nfds == 1)
		drain_add(k, take_fd(&m.fds[0]));
	else if (m.head.op == OP_JOB_START)
		jobs_start(k, c, &m);
	else if (m.head.op == OP_JOB && m.head.body == sizeof(struct job_ask))
		jobs_ask(k, c, &m);
	else if (m.head.op == OP_FILES)
		give_files(k, c, m.head.id);
	else if (m.head.op == OP_SIGNAL)
		exec_signal(k, c, m.head.id, (int)m.head.arg);
	else if (m.head.op == OP_RESET || m.head.op == OP_RESTORE)
		reset_run(k, c, &m);
	else if (m.head.op == OP_NAME)
		twin_named(k, c, &m);
	else if (m.head.op == OP_SNAPSHOT)
		snapshot_take(k, c, &m);
	else if (m.head.op == OP_DIFF)
		diff_start(k, c, &m);
	else if (m.head.op == OP_END && m.head.arg & 1)
		end_before(k, c);
	else if (m.head.op == OP_END)
		keeper_end(k, false);
	else if (m.head.op == OP_STOP)
		stop_begin(k, &m);
	else if (m.head.op == OP_KILL_ALL)
		stop_signal(k, (int)m.head.arg);
	msg_done(&m);
}

static void hear(struct keeper *k, struct client *c, short what)
{
	if (what & (POLLHUP | POLLERR)) /* what he said before he went is heard all the same */
		client_drop(c);
	if (c->unsent)
		client_go_on(c);
	else
		one_message(k, c);
}

enum { FULL_NS = 50000000, FIXED = 5, CLIENTS_MAX = 250, WATCHED = FIXED + CLIENTS_MAX + DRAINS_MAX + 2 * JOBS_MAX };

/* What to wait for: the owner's end, somebody new, a spare that reports, the exec of the one command after which the
 * storage is of no use, every client, output that is dropped (*drains: where that begins), and jobs. */
static unsigned watch(struct keeper *k, struct pollfd *p, struct client **who, unsigned *drains, unsigned *jobs)
{
	/* Nobody is heard as long as what runs is held: what he began now would go on beside. */
	const short hears = work_holds(k) ? 0 : POLLIN;
	int fds[2 * JOBS_MAX];
	unsigned n = FIXED, njobs = jobs_watch(k, fds);

	p[0] = (struct pollfd){k->owner, POLLIN, 0};
	p[1] = (struct pollfd){k->listen, POLLIN, 0};
	p[2] = (struct pollfd){k->spare.pid ? k->spare.news : -1, POLLIN, 0};
	p[3] = (struct pollfd){storage_is_open(k) ? exec_main_news(k) : -1, POLLIN, 0};
	p[4] = (struct pollfd){k->starter.listen ? k->starter.sock : -1, POLLIN, 0};
	for (struct client *c = k->clients; c && n < FIXED + CLIENTS_MAX; c = c->next, n++) {
		p[n] = (struct pollfd){c->fd, c->unsent ? POLLOUT : hears, 0};
		who[n] = c;
	}
	if (n == FIXED + CLIENTS_MAX || k->full_until_ns)
		p[1].fd = -1; /* full: who comes now waits */
	*drains = n;
	for (int i = 0; i < k->ndrains; i++)
		p[n++] = (struct pollfd){k->drains[i], POLLIN, 0};
	*jobs = n;
	for (unsigned i = 0; i < njobs; i++)
		p[n++] = (struct pollfd){fds[i], POLLIN, 0};
	return n;
}

static int wait_until(struct pollfd *p, unsigned n, uint64_t due, const sigset_t *none)
{
	uint64_t now = sys_now_ns();
	struct timespec ts = {0};

	if (due > now) {
		ts.tv_sec = (time_t)((due - now) / 1000000000u);
		ts.tv_nsec = (long)((due - now) % 1000000000u);
	}
	return ppoll(p, n, due ? &ts : NULL, none);
}

static void drop_storage(struct keeper *k)
{
	struct err e;

	if (storage_close(k, &e) == 0)
		return;
	if (!storage_is_open(k))
		_exit(1); /* better no sandbox than one that holds on to the host's mounts */
	k->full_until_ns = sys_now_ns() + FULL_NS;
}

/* Nothing else is to do. */
static void when_idle(struct keeper *k)
{
	if (storage_is_open(k)) {
		drop_storage(k);
		return;
	}
	reset_prepare(k);
	if (k->want_ahead)
		shell_ahead(k);
	if (k->starter.want)
		starter_begin(k);
}

static void serve(struct keeper *k, const sigset_t *none)
{
	static struct pollfd p[WATCHED];
	static struct client *who[FIXED + CLIENTS_MAX];

	for (;;) {
		uint64_t now = sys_now_ns(), due = stop_due(k, jobs_due(k, now, exec_due(k, now, starter_due(k, now))));
		unsigned drains, jobs, n;
		bool later;
		int r;

		if (k->full_until_ns <= now)
			k->full_until_ns = 0;
		else if (!due || k->full_until_ns < due)
			due = k->full_until_ns;
		later = reset_is_due(k, now, &due) || k->want_ahead || k->starter.want ||
			(storage_is_open(k) && exec_main_news(k) < 0 && !k->full_until_ns);
		n = watch(k, p, who, &drains, &jobs);
		r = wait_until(p, n, later ? 1 : stop_nameless(k, now, due), none);

		reap(k);
		if (r == 0)
			when_idle(k);
		if (r <= 0)
			continue;
		if (p[0].revents)
			_exit(0);
		if (p[2].revents)
			reset_spare_reports(k);
		if (p[3].revents && storage_is_open(k))
			drop_storage(k);
		for (unsigned i = FIXED; i < drains; i++)
			if (p[i].revents)
				hear(k, who[i], p[i].revents);
		for (unsigned i = drains; i < jobs; i++)
			if (p[i].revents)
				drain_some(k, p[i].fd);
		for (unsigned i = jobs; i < n; i++)
			if (p[i].revents)
				jobs_some(k, p[i].fd);
		if (p[1].revents && !keeper_welcome(k)) /* no descriptor is free */
			k->full_until_ns = now + FULL_NS;
	}
}

void keeper_main(const struct prepare *prep, int ctl, int owner, int go, uint64_t asked_ns)
{
	static struct keeper k;
	static struct ready ready;
	struct generation first;
	sigset_t none;
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
	sigemptyset(&none);
	block_hurry(SIG_BLOCK);
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
		wait_for_hurry();
	block_hurry(SIG_UNBLOCK);
	if (r == 0)
		r = build(&k, &first, &e);
	if (r < 0) {
		(void)tell(k.ctl, OP_FAILED, &e, sizeof(e));
		_exit(1);
	}
	memcpy(ready.marks, k.marks, sizeof(ready.marks));
	(void)tell(k.ctl, OP_READY, &ready, sizeof(ready));
	k.want_spare = k.plan->flags & PLAN_SPARE && !(k.plan->flags & PLAN_TWIN);
	k.for_job = k.plan->flags & PLAN_FOR_JOB;
	reset_begins(&k, sys_now_ns());
	if (!add_client(&k, k.ctl))
		_exit(1);
	serve(&k, &none);
	_exit(0);
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
