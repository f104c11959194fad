/* SPDX-License-Identifier: Apache-2.0
 *
 * endure_test.c - what a program's sandbox must bear: many calls, floods of output, stopped shells, a clock that is set
 *
 * How it works: this program has clock_gettime() and time() of its own, which the library linked into it calls. With
 * `clock_jumps` the time of day is another one at each call, days before or ahead; other clocks are the kernel's.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "api/world_test.h"

#if defined(__SANITIZE_ADDRESS__)
enum { MANY = 1000, SANITIZED = 1 };
#else
enum { MANY = 10000, SANITIZED = 0 };
#endif

static bool clock_jumps;
static unsigned jumps;

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);

	if (r == 0 && id == CLOCK_REALTIME && clock_jumps)
		t->tv_sec += (jumps++ % 2 ? 3 : -3) * 86400;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs it to its end. *ret_run: to be freed; NULL: nobody wants its output. */
static struct hutch_result run(struct world *w, struct hutch_box *box, struct hutch_run_options *o, struct hutch_run **ret_run)
{
	struct hutch_result r = {.size = sizeof(r), .exit_code = -1};
	struct hutch_run *x = NULL;

	o->size = sizeof(*o);
	if (ok(hutch_run_start(box, o, &x, &w->e) == 0, "%s", w->e.message))
		ok(hutch_run_wait(x, 60000, -1, &r, &w->e) == 1, "%s", w->e.message);
	if (ret_run)
		*ret_run = x;
	else
		hutch_run_free(x);
	return r;
}

static void expect(struct world *w, struct hutch_box *box, struct hutch_run_options *o, int code, const char *out)
{
	struct hutch_output is = {.size = sizeof(is)};
	struct hutch_run *x;
	struct hutch_result r = run(w, box, o, &x);

	ok(hutch_run_output(x, 1, &is, &w->e) == 0);
	ok(r.exit_code == code && !strcmp(is.data ? is.data : "", out), "'%s': %d, not %d; '%s', not '%s'", o->text, r.exit_code,
	   code, is.data ? is.data : "", out);
	hutch_run_free(x);
}

/* ---- many ------------------------------------------------------------------------------------- */

struct count {
	long resident, keeper_resident; /* KiB */
	int descriptors, keeper_descriptors, inside;
};

static long resident(int pid)
{
	char path[64], line[128];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* -1 where only root may look. */
static int descriptors(int pid)
{
	char path[64];
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int keeper_of(struct world *w)
{
	struct hutch_listed *v = NULL;
	size_t n = 0;
	int pid = 0;

	if (ok(hutch_list(w->hutch, &v, &n, &w->e) == 0 && n == 1))
		pid = v[0].pid;
	free(v);
	return pid;
}

static struct count count(struct world *w, struct hutch_box *box)
{
	int keeper = keeper_of(w);
	struct count c = {.resident = resident(getpid()), .descriptors = scratch_descriptors()};
	char *out = NULL;

	if (keeper) {
		c.keeper_resident = resident(keeper);
		c.keeper_descriptors = descriptors(keeper);
	}
	world_sh(w, box, "set -- /proc/[0-9]*; echo $#", &out);
	c.inside = atoi(out ? out : "-1");
	free(out);
	return c;
}

static void many_calls_leave_nothing(void)
{
	struct hutch_run_options say = {.session = "s"}, text = {.text = NULL};
	struct hutch_start_options detached = {.size = sizeof(detached), .flags = HUTCH_START_DETACHED};
	char script[64], want[32];
	struct count before = {0}, after;
	struct hutch_box *box = NULL;
	auto_world w;

	if (!world_open(&w) || !ok(hutch_box_start(w.hutch, w.spec, &detached, &box, &w.e) == 0, "%s", w.e.message))
		return;
	for (int i = 0; i < MANY + 200; i++) {
		for (int k = 0; k < 10 && i == 200; k++) { /* what begins commands has come with the third */
			before = count(&w, box);
			usleep(20000);
		}
		say.text = "echo $((N += 1))";
		snprintf(want, sizeof(want), "%d\n", i + 1);
		expect(&w, box, &say, 0, want);
		if (i % 2) /* these take many times as long */
			continue;
		snprintf(script, sizeof(script), "echo %d$N; exit %d", i, i % 200);
		snprintf(want, sizeof(want), "%d\n", i);
		text.text = script;
		expect(&w, box, &text, i % 200, want);
	}
	for (int i = 0; i < 100; i++) { /* what ended last is reaped */
		after = count(&w, box);
		if (after.inside == before.inside && after.keeper_descriptors <= before.keeper_descriptors)
			break;
		usleep(20000);
	}
	is_int(after.inside, before.inside);
	is_int(after.descriptors, before.descriptors);
	ok(after.keeper_descriptors <= before.keeper_descriptors, "%d, were %d", after.keeper_descriptors, before.keeper_descriptors);
	ok(after.keeper_resident <= before.keeper_resident + 128, "%ld KiB, were %ld", after.keeper_resident, before.keeper_resident);
	ok(SANITIZED || after.resident <= before.resident + 128, "%ld KiB, were %ld", after.resident, before.resident);
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* ---- much ------------------------------------------------------------------------------------- */

static const uint64_t gigabyte = 1 << 30;

static void a_flood_is_counted_and_both_ends_are_kept(void)
{
	static const char flood[] = "echo begin; head -c 1073741824 /dev/zero; echo end";
	struct hutch_output o = {.size = sizeof(o)};
	struct hutch_run_options how = {.cap = 1000, .text = flood};
	long before;
	struct hutch_box *box;
	struct hutch_run *x;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	before = resident(getpid());
	is_int(run(&w, box, &how, &x).exit_code, 0);
	ok(hutch_run_output(x, 1, &o, &w.e) == 0, "%s", w.e.message);
	ok(o.total == gigabyte + 10 && o.len == 1000 && o.cut_at == 500, "%llu %zu %zu", (unsigned long long)o.total, o.len, o.cut_at);
	ok(o.len == 1000 && !memcmp(o.data, "begin\n\0\0", 8) && !memcmp(o.data + 994, "\0\0end\n", 6));
	ok(SANITIZED || resident(getpid()) < before + 8192, "%ld KiB, were %ld", resident(getpid()), before);
	hutch_run_free(x);
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* ---- stopped ---------------------------------------------------------------------------------- */

static void a_shell_that_is_stopped_is_given_up_in_time(void)
{
	struct hutch_run_options o = {.text = "echo x", .timeout_ms = 500}, plain = {.text = "echo y"};
	struct hutch_box *box;
	struct hutch_result r;
	double since;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 2; i++) {
		expect(&w, box, &plain, 0, "y\n");
		expect(&w, box, &plain, 0, "y\n");
		is_int(world_sh(&w, box, "kill -STOP -1", NULL).exit_code, 0);
		since = now();
		r = run(&w, box, &o, NULL);
		ok(r.end == HUTCH_END_TIMEOUT || r.exit_code == 0 || r.end == HUTCH_END_SHELL_DIED, "%d %d", r.end, r.exit_code);
		ok(now() - since < 5, "%.1f s", now() - since);
		is_int(world_sh(&w, box, "exit 4", NULL).exit_code, 4);
		ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
		expect(&w, box, &plain, 0, "y\n");
	}
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* ---- the time of day -------------------------------------------------------------------------- */

/* A command that runs for 0.7 s with a timeout of 0.3 s, in each way. */
static void a_clock_that_is_set_moves_no_deadline(void)
{
	static const char *const sessions[] = {NULL, "s", NULL};
	const char *const argv[] = {"sleep", "0.7", NULL};
	struct hutch_exec_options command = {.size = sizeof(command), .argv = argv, .timeout_ms = 300};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *p = NULL;
	struct hutch_box *box;
	double since;
	auto_world w;

	if (!world_open(&w))
		return;
	clock_jumps = true;
	ok(time(NULL) + 86400 < time(NULL), "the clock does not jump");
	box = world_start(&w);
	for (int i = 0; i < 3; i++) {
		struct hutch_run_options o = {.text = "sleep 0.7", .timeout_ms = 300, .session = sessions[i],
					      .flags = i == 2 ? HUTCH_RUN_CLEAN : 0};

		since = now();
		r = run(&w, box, &o, NULL);
		ok(r.end == HUTCH_END_TIMEOUT && now() - since >= 0.29 && now() - since < 0.69, "%d: %d after %.3f s", i, r.end,
		   now() - since);
	}
	since = now();
	ok(hutch_box_exec(box, &command, &p, &w.e) == 0, "%s", w.e.message);
	is_int(hutch_proc_wait(p, 100, -1, &r, &w.e), 0);
	ok(now() - since >= 0.09 && now() - since < 0.29, "waited %.3f s", now() - since);
	is_int(hutch_proc_wait(p, 5000, -1, &r, &w.e), 1);
	ok(r.end == HUTCH_END_TIMEOUT && now() - since >= 0.29 && now() - since < 0.69, "%d after %.3f s", r.end, now() - since);
	is_int(hutch_box_reset(box, &w.e), 0);
	is_int(hutch_box_delete(box, &w.e), 0);
	since = now();
	ok(hutch_cleanup(w.hutch, 5000, &w.e) == 0, "%s", w.e.message);
	ok(now() - since < 5);
	clock_jumps = false;
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(many_calls_leave_nothing),
		TAP_TEST(a_flood_is_counted_and_both_ends_are_kept),
		TAP_TEST(a_shell_that_is_stopped_is_given_up_in_time),
		TAP_TEST(a_clock_that_is_set_moves_no_deadline),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
