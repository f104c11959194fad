/* SPDX-License-Identifier: Apache-2.0
 *
 * reset_test.c - what is over when a reset is, and what a deleted sandbox gives back
 */
#include <ctype.h>
#include <dirent.h>

#include "api/world_test.h"
#include "base/own.h"

static void reset(struct world *w, struct hutch_box *box)
{
	ok(hutch_box_reset(box, &w->e) == 0, "%s", w->e.message);
}

static void snapshot(struct world *w, struct hutch_box *box)
{
	char *name = NULL;

	ok(hutch_box_snapshot(box, NULL, &name, &w->e) == 0, "%s", w->e.message);
	free(name);
}

/* The processes with a program, and so not zombies, one of whose words begins with @begin. Return: how many, at most @room. */
static int processes_with(const char *begin, pid_t *v, int room)
{
	auto_dir DIR *d = opendir("/proc");
	struct dirent *x;
	int found = 0;

	while (d && found < room && (x = readdir(d))) {
		pid_t pid = isdigit((unsigned char)x->d_name[0]) ? atoi(x->d_name) : 0;

		if (pid && world_proc_word(pid, begin))
			v[found++] = pid;
	}
	return found;
}

static bool one_sleeps(void)
{
	return processes_with("4741", (pid_t[1]){0}, 1);
}

/* Whoever runs, in whatever way it was begun, has ended when the reset has: not a moment later. */
static void what_runs_is_over_when_a_reset_is(void)
{
	static const char *const words[] = {"sh", "-c", "sleep 4741 >/dev/null 2>&1 &", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = words};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_box *box;
	struct hutch_proc *p;
	bool runs;
	int k;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 24; i++) {
		switch (i % 6) {
		case 0: world_text(&w, box, "sleep 4741 >/dev/null 2>&1 &", NULL, ""); break;
		case 1: world_text(&w, box, "(setsid sleep 4741 >/dev/null 2>&1 &); exit", NULL, ""); break;
		case 2: world_text(&w, box, "sleep 4741 >/dev/null 2>&1 &", "s", ""); break;
		case 3: world_text(&w, box, "setsid --fork sleep 4741", NULL, ""); break; /* one program: it needs no shell */
		default:
			ok(hutch_box_exec(box, &o, &p, &w.e) == 0 && hutch_proc_wait(p, -1, -1, &r, &w.e) == 1, "%s", w.e.message);
			hutch_proc_free(p);
		}
		if (i >= 12) /* a sub-shell waits for the next text again */
			usleep(10000);
		for (runs = one_sleeps(), k = 0; !runs && k < 500; runs = one_sleeps(), k++) /* it may be in the middle of its exec */
			usleep(2000);
		ok(runs, "%d: it does not run", i);
		reset(&w, box);
		ok(!one_sleeps(), "%d: it runs yet", i);
		world_text(&w, box, "echo well", NULL, "well\n");
	}
	hutch_box_delete(box, NULL);
}

enum { SHELLS_MAX = 8 };

/* A directory that others have, too, could still be changed by who is killed in the middle of a write. */
static void shells_that_share_something_are_over_too(void)
{
	for (int shared = 0; shared < 2; shared++) {
		pid_t v[SHELLS_MAX];
		struct hutch_box *box;
		char volume[128];
		int n, left = 1;
		auto_world w;

		if (!world_open(&w))
			return;
		snprintf(volume, sizeof(volume), "%s/shared:/mnt", w.s.path);
		scratch_dir(&w.s, "shared", 0777);
		if (shared)
			ok(hutch_spec_set(w.spec, "volumes", volume, &w.e) == 0, "%s", w.e.message);
		box = world_start(&w);
		world_text(&w, box, "echo well", NULL, "well\n");
		world_text(&w, box, "echo well", "s", "well\n");
		usleep(50000);
		n = processes_with(world_shell, v, SHELLS_MAX);
		ok(n >= 3, "%d: a shell, what it has forked ahead, and a session's", n);
		reset(&w, box);
		for (int k = 0; k < 5000 && left; k++) {
			left = 0;
			for (int i = 0; i < n; i++)
				left += kill(v[i], 0) == 0;
			if (shared)
				break;
			usleep((unsigned)left * 1000);
		}
		is_int(left, 0);
		hutch_box_delete(box, NULL);
		scratch_remove(w.s.fd, "shared");
	}
}

/* One that was killed as it waited may be about to end yet; nothing of that is to be seen. */
static void one_reset_after_the_other(void)
{
	struct hutch_box *box;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 60; i++) {
		world_text(&w, box, "echo $A; A=1; ls /tmp; touch /tmp/x; exec 9<>/dev/null", i & 1 ? "s" : NULL, "\n");
		if (i % 3)
			usleep((unsigned)(i % 3) * 2000);
		reset(&w, box);
		if (i % 4 == 0)
			reset(&w, box);
		if (i % 5 == 0)
			snapshot(&w, box);
	}
	hutch_box_delete(box, NULL);
}

/* A name and a directory of changes are free when who had them is deleted, whether its shells waited or not. */
static void who_follows_finds_what_was_given_back(void)
{
	struct hutch_box *box;
	auto_world w;

	if (!world_open(&w))
		return;
	ok(hutch_spec_set(w.spec, "name", "again", &w.e) == 0, "%s", w.e.message);
	for (int i = 0; i < 40; i++) {
		if (!ok(hutch_box_start(w.hutch, w.spec, NULL, &box, &w.e) == 0, "%d: %s", i, w.e.message))
			break;
		world_text(&w, box, "ls /root /tmp", NULL, "/root:\n\n/tmp:\n");
		if (i & 1)
			world_text(&w, box, "echo x >/root/x", NULL, "");
		if (i & 2)
			usleep(5000);
		if (i & 4)
			reset(&w, box);
		ok(hutch_box_delete(box, &w.e) == 0, "%s", w.e.message);
	}
}

/* Of the keeper: what it has started, but for what the kernel leaves out while others of them end. Return: how many, at most @room. */
static int some_children(pid_t pid, pid_t *v, int room)
{
	char name[40], text[512];
	int n = 0;

	snprintf(name, sizeof(name), "task/%d/children", pid);
	(void)world_proc(pid, name, text, sizeof(text));
	for (char *at = strtok(text, " "); at && n < room; at = strtok(NULL, " "))
		v[n++] = atoi(at);
	return n;
}

/* As above, all of them: what is left out once is there the next time. */
static int children_of(pid_t pid, pid_t *v, int room)
{
	pid_t again[32];
	int n, m;

	do {
		n = some_children(pid, v, room);
		m = some_children(pid, again, room);
	} while (n != m || memcmp(v, again, (size_t)n * sizeof(*v)) != 0);
	return n;
}

static bool is_among(pid_t pid, const pid_t *v, int n)
{
	while (n && v[n - 1] != pid)
		n--;
	return n;
}

/* Who comes next, which is the first process of the next generation; 0: nobody. */
static pid_t next_child(pid_t keeper)
{
	pid_t before[32], now[32];
	int n = children_of(keeper, before, 32);

	for (int i = 0; i < 2000; i++) {
		int m = children_of(keeper, now, 32);

		for (int k = 0; k < m; k++)
			if (!is_among(now[k], before, n))
				return now[k];
	}
	return 0;
}

/* On a busy machine who is killed may live long yet, and until then is as good for the next reset as any. */
static void wait_for_end(pid_t pid)
{
	for (int i = 0; i < 20000 && kill(pid, 0) == 0; i++)
		usleep(1000);
}

/* By whomever: as it begins, while it builds, when it reports, and behind that. */
static void a_next_generation_that_is_killed_holds_nobody_up(void)
{
	static const char *const words[] = {"true", NULL};
	struct hutch_start_options detached = {.size = sizeof(detached), .flags = HUTCH_START_DETACHED};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = words};
	struct hutch_result r = {.size = sizeof(r)};
	auto_free struct hutch_listed *v = NULL;
	struct hutch_box *box = NULL;
	struct hutch_proc *p;
	int killed = 0, over;
	auto_world w;
	size_t n = 0;

	if (!world_open(&w))
		return;
	ok(hutch_box_start(w.hutch, w.spec, &detached, &box, &w.e) == 0, "%s", w.e.message);
	ok(hutch_list(w.hutch, &v, &n, &w.e) == 0 && n == 1 && v[0].pid, "%s", w.e.message); /* whose keeper's pid is told */
	for (int i = 0; n == 1 && i < 400; i++) {
		pid_t next;

		reset(&w, box);
		next = next_child(v[0].pid);
		usleep((unsigned)(i * 37 % 1500));
		killed += next && kill(next, SIGKILL) == 0;
		if (!ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message))
			break;
		over = hutch_proc_wait(p, 20000, -1, &r, &w.e);
		if (!ok(over == 1 && r.exit_code == 0, "%d: %d %d %s", i, over, r.exit_code, over < 0 ? w.e.message : r.message))
			i = 400;
		hutch_proc_free(p);
		if (next)
			wait_for_end(next);
	}
	ok(killed > 50, "%d", killed);
	hutch_box_delete(box, NULL);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_next_generation_that_is_killed_holds_nobody_up),
		TAP_TEST(what_runs_is_over_when_a_reset_is),
		TAP_TEST(shells_that_share_something_are_over_too),
		TAP_TEST(one_reset_after_the_other),
		TAP_TEST(who_follows_finds_what_was_given_back),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
