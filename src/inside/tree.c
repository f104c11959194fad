/* SPDX-License-Identifier: Apache-2.0
 *
 * tree.c - end a command and all that it started
 *
 * How it works: every command is a child subreaper, so whatever it started, and what those started,
 * stays below it, also after double forks and setsid. The tree is stopped from the top down, again
 * and again until nothing new turns up (a stopped process makes no children), and then killed. Who
 * is in it, the kernel says in /proc/PID/task/TID/children of the keeper's own proc, with numbers
 * of the keeper's pid namespace.
 *
 * That list leaves out some while others in it end, and who is stopped in the middle of a fork has a child yet. So the
 * leader, which inherits whoever is left over, stays to the last, stopped, until all below it are dead.
 *
 * Who makes children faster than they are found is caught with all others: everything below the keeper is stopped by one
 * call, during which the kernel makes no process, and goes on afterwards.
 *
 * With its system calls unfiltered a process can make itself siblings (CLONE_PARENT), which are then
 * children of the keeper. Whoever is that and was not started by it is taken along.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

enum { TREE_MAX = 65536, ROUNDS = 1000, STORM = 400, STORM_ROUNDS = 16 };
enum { DIE_WITHIN_MS = 2000, LOOK_WITHIN_MS = 20, NAP_NS = 200000, NAP_MAX_NS = 6400000 };
#define WAITED_MAX_NS 60000000000ull /* a question; whoever's is older reads another clock */

struct tree {
	pid_t *pids;
	size_t n, room;
	pid_t *slots; /* the same, each at or behind the place of its number; twice as many as there is room for */
	const struct keeper *below_keeper; /* not NULL: its children are looked at */
	bool look_only;
};

/* A child of the keeper that it made itself, or had made by the starter: where there is one, nobody else can (bpf_head.c). */
static bool is_ours(const struct keeper *k, pid_t pid)
{
	if (k->starter.waiting)
		return true;
	if (pid == k->now.pid || pid == k->spare.pid || files_is(k, pid) || work_is(k, pid) || reset_leaves(k, pid))
		return true;
	for (const struct slot *s = k->slots; s; s = s->next)
		if (s->pid == pid)
			return true;
	return false;
}

static void tree_done(struct tree *t)
{
	free(t->pids);
	free(t->slots);
	*t = (struct tree){0};
}

/* Where it is, or would be. */
static pid_t *slot_of(const struct tree *t, pid_t pid)
{
	size_t last = 2 * t->room - 1, i = (size_t)pid & last;

	while (t->slots[i] && t->slots[i] != pid)
		i = (i + 1) & last;
	return &t->slots[i];
}

static bool make_room(struct tree *t)
{
	size_t room = t->room ? 2 * t->room : 64; /* a power of two */
	pid_t *pids = realloc(t->pids, room * sizeof(*pids)), *slots = calloc(2 * room, sizeof(*slots));

	t->pids = pids ? pids : t->pids;
	if (!pids || !slots) {
		free(slots);
		return false;
	}
	free(t->slots);
	t->slots = slots;
	t->room = room;
	for (size_t i = 0; i < t->n; i++)
		*slot_of(t, pids[i]) = pids[i];
	return true;
}

static bool has(const struct tree *t, pid_t pid)
{
	return t->room && *slot_of(t, pid) == pid;
}

static bool add(struct tree *t, pid_t pid)
{
	if (has(t, pid) || (t->below_keeper && is_ours(t->below_keeper, pid)) || t->n == TREE_MAX)
		return false;
	if (t->n == t->room && !make_room(t))
		return false;
	*slot_of(t, pid) = pid;
	t->pids[t->n++] = pid;
	if (!t->look_only)
		(void)kill(pid, SIGSTOP); /* gone already is fine */
	return true;
}

/* The children of one thread. */
static bool add_children(struct tree *t, int task, const char *tid)
{
	char path[64], text[4096], word[16];
	auto_fd int fd = -1;
	size_t kept = 0;
	bool more = false;
	ssize_t n;

	snprintf(path, sizeof(path), "%.32s/children", tid);
	fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9' && kept < sizeof(word) - 1) {
				word[kept++] = text[i];
				continue;
			}
			word[kept] = '\0';
			if (kept)
				more |= add(t, (pid_t)atoi(word));
			kept = 0;
		}
	return more;
}

static bool add_below(const struct keeper *k, struct tree *t, pid_t pid)
{
	char path[32];
	auto_dir DIR *d = NULL;
	struct dirent *x;
	bool more = false;
	int fd;

	snprintf(path, sizeof(path), "%d/task", pid);
	fd = openat(k->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (x = readdir(d)))
		if (x->d_name[0] != '.')
			more |= add_children(t, dirfd(d), x->d_name);
	return more;
}

/* Those that were added, with all below them. Return: false, they make others faster than we find them; not when @all is stopped. */
static bool stop_trees(struct keeper *k, struct tree *t, bool all)
{
	int rounds = all ? ROUNDS : STORM_ROUNDS; /* others take two or three, however busy the machine is */
	size_t most = all ? TREE_MAX : t->n + STORM;
	bool more = true;

	for (int i = 0; i < rounds && more; i++) {
		size_t j = 0;

		t->below_keeper = k;
		more = add_below(k, t, getpid());
		t->below_keeper = NULL;
		for (; j < t->n && t->n <= most; j++)
			more |= !process_is_zombie(k, t->pids[j]) && add_below(k, t, t->pids[j]); /* of those there may be many */
		if (j < t->n)
			return false;
	}
	return !more;
}

/* ---- everything at once ----------------------------------------------------------------------- */

/* Who was stopped before. */
struct world {
	struct tree stopped;
	bool is_stopped;
};

static void each_process(struct keeper *k, uint64_t until, void (*act)(struct keeper *k, struct world *w, pid_t pid), struct world *w)
{
	int fd = openat(k->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	while (d && sys_now_ns() < until && (x = readdir(d))) {
		pid_t pid = *x->d_name >= '1' && *x->d_name <= '9' ? (pid_t)atoi(x->d_name) : 0;

		if (pid && pid != getpid())
			act(k, w, pid);
	}
}

static void note_stopped(struct keeper *k, struct world *w, pid_t pid)
{
	if (process_is_stopped(k, pid))
		(void)add(&w->stopped, pid);
}

static void go_on(struct keeper *k, struct world *w, pid_t pid)
{
	(void)k;
	if (!has(&w->stopped, pid))
		(void)kill(pid, SIGCONT);
}

/* Before any of them is stopped by us. Among very many it is not looked for long. */
static struct world look_at_world(struct keeper *k)
{
	struct world w = {.stopped.look_only = true};

	each_process(k, sys_deadline_ns(sys_now_ns(), LOOK_WITHIN_MS), note_stopped, &w);
	return w;
}

static void stop_world(struct world *w)
{
	(void)kill(-1, SIGSTOP); /* the keeper is the first of its namespace: that is whoever is below it */
	w->is_stopped = true;
}

/* Those that were added, with all below them. */
static void stop_all(struct keeper *k, struct world *w, struct tree *t)
{
	if (stop_trees(k, t, w->is_stopped) || w->is_stopped || getpid() != 1)
		return;
	stop_world(w);
	(void)stop_trees(k, t, true);
}

static void world_goes_on(struct keeper *k, struct world *w)
{
	if (w->is_stopped)
		each_process(k, UINT64_MAX, go_on, w);
	tree_done(&w->stopped);
	w->is_stopped = false;
}

/* Of @children those that are to be, with all below them. Frees the list. Return: were there any? */
static bool kill_those(struct keeper *k, struct world *w, struct tree *children,
		       bool (*is_to_be)(const struct keeper *k, pid_t pid, const void *arg), const void *arg)
{
	struct tree t = {0};
	bool found;

	for (size_t j = 0; j < children->n; j++)
		if (is_to_be(k, children->pids[j], arg))
			(void)add(&t, children->pids[j]);
	tree_done(children);
	found = t.n > 0;
	if (found)
		stop_all(k, w, &t);
	for (size_t j = 0; j < t.n; j++)
		(void)kill(t.pids[j], SIGKILL);
	tree_done(&t);
	return found;
}

/* ---- what a command has started --------------------------------------------------------------- */

/* Until there is nobody left to be killed, told by @kill_some, and nobody has come meanwhile, not even such as have ended by now:
 * who makes one that makes one and ends was never seen alive. Twice nobody: the kernel's list may have left somebody out once.
 * Whoever was killed is gone as soon as the machine comes to it: the limit is for those that hang in the kernel. */
static void kill_all(struct keeper *k, struct world *w, bool (*kill_some)(struct keeper *k, struct world *w, void *arg, size_t *ret_n),
		     void *arg)
{
	uint64_t until = sys_deadline_ns(sys_now_ns(), DIE_WITHIN_MS);
	struct timespec nap = {.tv_nsec = NAP_NS};
	size_t n, before = 0, first = 0;

	for (int nobody = 0, i = 0; nobody < 2 && sys_now_ns() < until; i++, before = n) {
		bool found = kill_some(k, w, arg, &n), came = i && n > before;

		nobody = found || came ? 0 : nobody + 1;
		first = i ? first : n;
		if (came && (i >= STORM_ROUNDS || n > first + STORM) && getpid() == 1 && !w->is_stopped)
			stop_world(w);
		if (!found)
			continue;
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < NAP_MAX_NS) /* many take their time to die, for which we would be in their way */
			nap.tv_nsec *= 2;
	}
}

static bool lives(const struct keeper *k, pid_t pid, const void *arg)
{
	(void)arg;
	return !process_is_zombie(k, pid);
}

/* Something inside may have let the leader go on. */
static bool kill_below(struct keeper *k, struct world *w, void *leader, size_t *ret_n)
{
	struct tree children = {.look_only = true};
	pid_t pid = *(const pid_t *)leader;
	bool still = process_is_still(k, pid);

	if (!still)
		(void)kill(pid, SIGSTOP);
	(void)add_below(k, &children, pid);
	*ret_n = children.n;
	return kill_those(k, w, &children, lives, NULL) || !still;
}

void tree_kill(struct keeper *k, pid_t leader)
{
	struct world w = look_at_world(k);
	struct tree t = {0};

	(void)add(&t, leader);
	stop_all(k, &w, &t);
	for (size_t j = 1; j < t.n; j++)
		(void)kill(t.pids[j], SIGKILL);
	tree_done(&t);
	kill_all(k, &w, kill_below, &leader);
	(void)kill(leader, SIGKILL);
	world_goes_on(k, &w);
}

/* ---- what runs in a shell --------------------------------------------------------------------- */

void tree_foreground(const struct keeper *k, pid_t pid)
{
	struct tree children = {.look_only = true};

	sys_background(pid, false);
	(void)add_below(k, &children, pid);
	for (size_t j = 0; j < children.n; j++)
		sys_background(children.pids[j], false);
	tree_done(&children);
}

/* Does @pid read from the pipe from which the shell has its texts? So does its next sub-shell, which was
 * forked ahead and is of no run yet; whoever runs a text has closed it. */
static bool waits(const struct keeper *k, pid_t shell, pid_t pid)
{
	char path[40], a[64], b[64];
	ssize_t n, m;

	snprintf(path, sizeof(path), "%d/fd/%d", shell, SHELL_COMMANDS);
	n = readlinkat(k->proc, path, a, sizeof(a));
	snprintf(path, sizeof(path), "%d/fd/%d", pid, SHELL_COMMANDS);
	m = readlinkat(k->proc, path, b, sizeof(b));
	return n > 0 && n == m && !memcmp(a, b, (size_t)n);
}

/* Who is below a shell, and what of it is to be killed. */
struct run {
	const struct shell_kill *what;
	pid_t shell;
	unsigned long long since; /* in hundredths of a second, as the start of a process is told */
	bool next_may_wait;
};

static bool is_sub_shell(const struct keeper *k, pid_t pid, const struct shell_kill *what)
{
	int32_t inside = what->inside || what->after ? process_inside(k, pid) : 0;

	return inside > 0 && (inside == what->inside || inside == what->after);
}

static bool is_of_run(const struct keeper *k, pid_t pid, const void *arg)
{
	const struct run *r = arg;
	unsigned long long start = process_started(k, pid);

	if (process_is_zombie(k, pid))
		return false;
	if (is_sub_shell(k, pid, r->what))
		return true;
	return start >= r->since && !(r->next_may_wait && waits(k, r->shell, pid));
}

/* As long as the sub-shell that runs the text is there, also as a zombie, the shell waits for it and has made no
 * other: who else reads from the pipe is of the run, and has opened it anew. */
static bool has_sub_shell(const struct keeper *k, const struct tree *children, const struct shell_kill *what)
{
	for (size_t j = 0; j < children->n; j++)
		if (is_sub_shell(k, children->pids[j], what))
			return true;
	return false;
}

static bool kill_of_run(struct keeper *k, struct world *w, void *arg, size_t *ret_n)
{
	struct tree children = {.look_only = true};
	struct run *r = arg;

	(void)add_below(k, &children, r->shell);
	r->next_may_wait = r->what->shell == SHELL_SPARED && !has_sub_shell(k, &children, r->what);
	*ret_n = children.n;
	return kill_those(k, w, &children, is_of_run, r);
}

/* When a run began, as the start of a process is told. Its age is that when the caller asked, and the keeper may have come to
 * it later. A caller in a time namespace of its own has another clock. */
static unsigned long long start_of_run(const struct shell_kill *what)
{
	uint64_t waited = sys_now_ns() - what->sent_ns; /* from ahead of ours: more than any maximum */
	unsigned long long at, age = what->age_ns;
	struct timespec now;

	if (waited < WAITED_MAX_NS)
		age += waited;
	clock_gettime(CLOCK_BOOTTIME, &now);
	at = (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec;
	return age < at ? (at - age) / 10000000u : 0;
}

/* The shell is stopped meanwhile: it would make the next of its children. What it then inherits from
 * those that end is of the run too. */
void tree_kill_run(struct keeper *k, pid_t shell, const struct shell_kill *what)
{
	struct run r = {.what = what, .shell = shell, .since = start_of_run(what)};
	struct world w = look_at_world(k);

	(void)kill(shell, SIGSTOP);
	if (what->shell == SHELL_TOLD)
		(void)kill(shell, SHELL_SIGNAL);
	kill_all(k, &w, kill_of_run, &r);
	(void)kill(shell, what->shell == SHELL_KILLED ? SIGKILL : SIGCONT);
	world_goes_on(k, &w);
}

void tree_kill_left(struct keeper *k, const struct shell_kill *what)
{
	struct run r = {.what = what, .shell = k->now.pid, .since = start_of_run(what)};
	struct world w = look_at_world(k);

	if (r.shell)
		kill_all(k, &w, kill_of_run, &r);
	world_goes_on(k, &w);
}

/* ---- what has lost its parents ---------------------------------------------------------------- */

static bool look_at_orphans(struct keeper *k, struct tree *t)
{
	*t = (struct tree){.look_only = true};
	if (k->now.pid)
		(void)add_below(k, t, k->now.pid);
	return k->now.pid != 0;
}

bool tree_orphans(struct keeper *k, pid_t **ret, size_t *ret_n)
{
	struct tree t;

	if (!look_at_orphans(k, &t))
		return false;
	*ret = take_ptr(&t.pids);
	*ret_n = t.n;
	tree_done(&t);
	return true;
}

struct spared {
	const pid_t *v;
	size_t n;
};

static bool is_not_spared(const struct keeper *k, pid_t pid, const void *arg)
{
	const struct spared *s = arg;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i] == pid)
			return false;
	return !process_is_zombie(k, pid);
}

static bool kill_some_orphans(struct keeper *k, struct world *w, void *spared, size_t *ret_n)
{
	struct tree orphans;
	bool there = look_at_orphans(k, &orphans);

	*ret_n = orphans.n;
	return there && kill_those(k, w, &orphans, is_not_spared, spared);
}

/* Those that were killed may have been about to lose children of their own. */
void tree_kill_orphans(struct keeper *k, const pid_t *spared, size_t n)
{
	struct world w = look_at_world(k);
	struct spared but = {spared, n};

	kill_all(k, &w, kill_some_orphans, &but);
	world_goes_on(k, &w);
}
