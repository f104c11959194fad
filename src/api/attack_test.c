/* SPDX-License-Identifier: Apache-2.0
 *
 * attack_test.c - a living sandbox whose code is hostile, and callers who do not listen
 */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "api/world_test.h"

/* Runs a text in the warm shell that is to be over after @timeout_ms, and looks that it was. */
static void over_after(struct world *w, struct hutch_box *box, const char *text, uint64_t timeout_ms)
{
	struct hutch_run_options o = {.size = sizeof(o), .text = text, .timeout_ms = timeout_ms};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run = NULL;

	if (!ok(hutch_run_start(box, &o, &run, &w->e) == 0, "%s", w->e.message))
		return;
	ok(hutch_run_wait(run, 60000, -1, &r, &w->e) == 1, "%s", w->e.message);
	ok(r.end == HUTCH_END_TIMEOUT, "'%.40s': end %d, code %d", text, r.end, r.exit_code);
	hutch_run_free(run);
}

/* How many lines @script writes. */
static int lines_of(struct world *w, struct hutch_box *box, const char *script)
{
	char *out = NULL;
	int n = 0;

	(void)world_sh(w, box, script, &out);
	for (const char *at = out; at && *at; at++)
		n += *at == '\n';
	free(out);
	return n;
}

/* Commands whose words are @words, but not those that only look. */
static int left(struct world *w, struct hutch_box *box, const char *words)
{
	char script[300];

	snprintf(script, sizeof(script),
		 "for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)\" = '%s ' ] && echo $p; done; true",
		 words);
	return lines_of(w, box, script);
}

static void a_text_that_names_another_process_as_itself_is_ended_at_the_timeout(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	over_after(&w, box, "printf 'R1 1\\0' >/proc/$$/fd/8; sleep 7101", 500);
	is_int(left(&w, box, "sleep 7101"), 0);
	hutch_box_delete(box, NULL);
}

static void who_reads_from_the_shells_pipe_is_ended_at_the_timeout(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	over_after(&w, box, "((exec 7</proc/$$/fd/7 sleep 7102) &); sleep 7102", 500);
	is_int(left(&w, box, "sleep 7102"), 0);
	hutch_box_delete(box, NULL);
}

static void any_number_of_orphans_is_ended_at_the_timeout(void)
{
	auto_world w;
	struct hutch_box *box;
	int tries = 0;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	/* As many as one read of the kernel's list does not show; on a loaded machine they take their time. */
	over_after(&w, box, "(i=0; while [ $i -lt 900 ]; do sleep 7103 >/dev/null & i=$((i+1)); done) & wait; sleep 7104",
		   10000);
	while (left(&w, box, "sleep 7103") && tries++ < 10) /* killed, and not gone yet */
		usleep(100000);
	is_int(left(&w, box, "sleep 7103"), 0);
	hutch_box_delete(box, NULL);
}

/* The keeper's pid: it is the only sandbox of @w. */
static pid_t keeper_of(struct world *w)
{
	struct hutch_listed *v = NULL;
	pid_t pid = 0;
	size_t n = 0;

	if (ok(hutch_list(w->hutch, &v, &n, &w->e) == 0 && n == 1 && v[0].pid > 1))
		pid = v[0].pid;
	free(v);
	return pid;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void a_keeper_that_hears_late_of_a_timeout_spares_none(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED}; /* or it is not listed */
	auto_world w;
	struct hutch_box *box;
	pid_t keeper, helper;
	double before;

	if (!world_open(&w) || !ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
		return;
	keeper = keeper_of(&w);
	over_after(&w, box, "sleep 7108", 100); /* now there is a shell, and the keeper is not needed for the next text */
	is_int(keeper ? kill(keeper, SIGSTOP) : -1, 0);
	helper = fork();
	if (helper == 0) {
		usleep(900000);
		_exit(keeper && kill(keeper, SIGCONT) < 0);
	}
	before = cpu_seconds();
	over_after(&w, box, "(sleep 7106 &); sleep 7107", 400);
	ok(cpu_seconds() - before < 0.2, "who waits for its answer has worked for %.3f s", cpu_seconds() - before);
	is_int(left(&w, box, "sleep 7106"), 0);
	is_int(left(&w, box, "sleep 7107"), 0);
	(void)waitpid(helper, NULL, 0);
	hutch_box_delete(box, NULL);
}

static void who_lets_its_first_thread_end_is_ended_at_the_timeout(void)
{
	static const char program[] =
		"(python3 -c 'import ctypes, threading, time\n"
		"def other():\n"
		"    while True:\n"
		"        open(\"/tmp/alive\", \"w\").close()\n"
		"        time.sleep(0.01)\n"
		"threading.Thread(target=other).start()\n"
		"ctypes.CDLL(None).syscall(60, 0)' &); sleep 7105";
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (world_sh(&w, box, "python3 -c 'import ctypes' 2>/dev/null", NULL).exit_code) {
		skip("no python3 in /usr");
	} else {
		over_after(&w, box, program, 2000);
		is_int(lines_of(&w, box, "rm /tmp/alive && sleep 0.3 && ls /tmp/alive 2>/dev/null; true"), 0);
	}
	hutch_box_delete(box, NULL);
}

enum { MANY = 600 };

static int start_many(struct world *w, struct hutch_box *box, struct hutch_proc **procs)
{
	const char *const argv[] = {"true", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	int n = 0;

	while (n < MANY && ok(hutch_box_exec(box, &o, &procs[n], &w->e) == 0, "%s", w->e.message))
		n++;
	return n;
}

static void many_commands_end_before_anybody_waits(void)
{
	static struct hutch_proc *procs[MANY];
	auto_world w;
	struct hutch_box *box;
	int n, well = 0;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	alarm(120); /* both once waited for the other, for ever */
	n = start_many(&w, box, procs);
	for (int i = 0; i < n; i++) {
		struct hutch_result r = {.size = sizeof(r), .exit_code = -1};

		well += hutch_proc_wait(procs[i], 20000, -1, &r, &w.e) == 1 && r.exit_code == 0;
	}
	alarm(0);
	is_int(well, MANY);
	hutch_box_delete(box, NULL);
}

static void who_does_not_listen_holds_up_nobody_else(void)
{
	static struct hutch_proc *procs[MANY];
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_box *box = NULL, *other = NULL;
	auto_world w;

	if (!world_open(&w))
		return;
	ok(hutch_spec_set(w.spec, "name", "one", &w.e) == 0, "%s", w.e.message);
	if (!ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
		return;
	alarm(120);
	is_int(start_many(&w, box, procs), MANY);
	if (ok(hutch_box_attach(w.hutch, "one", &other, &w.e) == 0, "%s", w.e.message))
		is_int(world_sh(&w, other, "exit 7", NULL).exit_code, 7);
	hutch_box_close(box); /* it never heard how they ended */
	is_int(world_sh(&w, other, "exit 8", NULL).exit_code, 8);
	alarm(0);
	hutch_box_delete(other, NULL);
}

/* A list of groups that makes /proc/PID/status longer than a page hides nobody. */
static void a_long_list_of_groups_hides_nobody_from_a_timeout(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (world_sh(&w, box, "perl -e '$) = \"0 1 5\"; exit($) !~ / 5/)'", NULL).exit_code) {
		skip("no perl in /usr, or one id only");
	} else {
		over_after(&w, box, "exec perl -e '$) = join(\" \", 0, 1..2000); exec \"sleep\", \"7105\"'", 500);
		is_int(left(&w, box, "sleep 7105"), 0);
	}
	hutch_box_delete(box, NULL);
}

static void a_timeout_as_long_as_can_be_is_none(void)
{
	const char *const argv[] = {"sh", "-c", "sleep 0.1; exit 3", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv, .timeout_ms = UINT64_MAX};
	struct hutch_run_options ro = {.size = sizeof(ro), .text = "sleep 0.1; exit 4", .timeout_ms = UINT64_MAX};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *p = NULL;
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0 && hutch_proc_wait(p, 20000, -1, &r, &w.e) == 1, "%s", w.e.message);
	is_int(r.exit_code, 3);
	ok(hutch_run_start(box, &ro, &run, &w.e) == 0 && hutch_run_wait(run, 20000, -1, &r, &w.e) == 1, "%s",
	   w.e.message);
	is_int(r.exit_code, 4);
	hutch_box_delete(box, NULL);
}

static void what_the_kernel_would_judge_by_the_callers_powers_is_not_written(void)
{
	const char *const argv[] = {"sh", "-c", "ln -s /proc/$$/oom_score_adj /tmp/link; exec sleep 300", NULL};
	struct hutch_job_options o = {.size = sizeof(o), .argv = argv};
	auto_world w;
	struct hutch_box *box;
	int fd = -1;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_job_start(box, &o, NULL, &w.e) == 0, "%s", w.e.message);
	for (int i = 0; i < 500 && hutch_file_open(box, "/tmp/link", HUTCH_FILE_READ, 0, &fd, &w.e) < 0; i++)
		usleep(10000);
	ok(fd >= 0, "%s", w.e.message);
	close(fd);
	is_int(hutch_file_open(box, "/tmp/link", HUTCH_FILE_WRITE, 0, &fd, &w.e), HUTCH_E_SYSTEM);
	is_int(w.e.sys_errno, EINVAL);
	hutch_box_delete(box, NULL);
}

/* What commands inherit, in four places that start some. To be freed. */
static char *standing(struct world *w, struct hutch_box *box)
{
	static const char script[] = "cat /proc/self/limits /proc/self/oom_score_adj; nice; grep Cpus_allowed_list /proc/self/status";
	static const char *const argv[] = {"sh", "-c", script, NULL};
	struct hutch_run_options o[] = {{.text = script}, {.argv = argv}, {.text = script, .flags = HUTCH_RUN_CLEAN}};
	struct hutch_result r = {.size = sizeof(r)};
	char *all = calloc(4, 8192), *one = NULL;

	if (!all)
		exit(1);
	for (size_t i = 0; i < sizeof(o) / sizeof(*o); i++) {
		struct hutch_output out = {.size = sizeof(out)};
		struct hutch_run *run = NULL;

		o[i].size = sizeof(*o);
		if (!ok(hutch_run_start(box, &o[i], &run, &w->e) == 0 && hutch_run_wait(run, 10000, -1, &r, &w->e) == 1, "%s", w->e.message))
			continue;
		ok(r.end == HUTCH_END_EXIT && r.exit_code == 0, "%zu: end %d, code %d: %s", i, r.end, r.exit_code, r.message);
		is_int(hutch_run_output(run, 1, &out, &w->e), 0);
		snprintf(all + strlen(all), 8192, "%zu: %s", i, out.data ? out.data : "");
		hutch_run_free(run);
	}
	(void)world_sh(w, box, script, &one);
	snprintf(all + strlen(all), 8192, "exec: %s", one ? one : "");
	free(one);
	return all;
}

static void nothing_inside_lowers_what_later_commands_inherit(void)
{
	static const char *const lower[] = {
		"prlimit -p $p --nofile=64:64", "prlimit -p $p --nofile=0:0", "renice -n 19 -p $p", "taskset -p 1 $p",
		"echo 1000 >/proc/$p/oom_score_adj"};
	char script[200], *before, *after;
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	free(standing(&w, box)); /* what starts commands has begun */
	before = standing(&w, box);
	for (size_t i = 0; i < sizeof(lower) / sizeof(*lower); i++) {
		snprintf(script, sizeof(script), "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = $$ ] || %s; done >/dev/null 2>&1; true", lower[i]);
		is_int(world_sh(&w, box, script, NULL).exit_code, 0);
		after = standing(&w, box);
		ok(!strcmp(before, after), "after '%s':\n%s", lower[i], after);
		free(after);
	}
	free(before);
	hutch_box_delete(box, NULL);
}

static void any_time_of_a_file_is_told(void)
{
	struct hutch_stat st = {.size = sizeof(st)};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (world_sh(&w, box, "touch -d @99999999999999 /dev/shm/a && touch -d @-99999999999999 /dev/shm/b", NULL).exit_code) {
		skip("touch cannot set such times");
	} else {
		ok(hutch_file_stat(box, "/dev/shm/a", 0, &st, &w.e) == 0 && st.mtime_ns == INT64_MAX, "%s", w.e.message);
		ok(hutch_file_stat(box, "/dev/shm/b", 0, &st, &w.e) == 0 && st.mtime_ns == INT64_MIN, "%s", w.e.message);
	}
	hutch_box_delete(box, NULL);
}

static void a_name_that_is_too_long_is_not_cut(void)
{
	auto_world w;
	struct hutch_box *box;
	char path[PATH_MAX];

	if (!world_open(&w))
		return;
	box = world_start(&w);
	snprintf(path, sizeof(path), "%s/%0300d", w.s.path, 1);
	is_int(hutch_copy_out(box, "/etc/passwd", path, 0, &w.e), HUTCH_E_SYSTEM);
	is_int(scratch_names(&w.s, "."), 2);
	hutch_box_delete(box, NULL);
}

static void a_path_is_no_name_of_a_snapshot(void)
{
	static const char *const names[] = {"../layers.json", "./0", "../snapshots/0", "..", ".", ""};
	struct hutch_snapshot *list = NULL;
	auto_world w;
	struct hutch_box *box;
	char *name = NULL;
	size_t n = 0;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_snapshot(box, NULL, &name, &w.e) == 0, "%s", w.e.message);
	free(name);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		is_int(hutch_box_snapshot_delete(box, names[i], &w.e), HUTCH_E_NOT_FOUND);
		is_int(hutch_box_restore(box, names[i], 0, &w.e), HUTCH_E_NOT_FOUND);
	}
	ok(hutch_box_snapshots(box, &list, &n, &w.e) == 0 && n == 1 && list[0].present, "%zu: %s", n, w.e.message);
	free(list);
	hutch_box_delete(box, NULL);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(a_text_that_names_another_process_as_itself_is_ended_at_the_timeout),
		TAP_TEST(who_reads_from_the_shells_pipe_is_ended_at_the_timeout),
		TAP_TEST(any_number_of_orphans_is_ended_at_the_timeout),
		TAP_TEST(a_keeper_that_hears_late_of_a_timeout_spares_none),
		TAP_TEST(who_lets_its_first_thread_end_is_ended_at_the_timeout),
		TAP_TEST(many_commands_end_before_anybody_waits),
		TAP_TEST(who_does_not_listen_holds_up_nobody_else),
		TAP_TEST(a_long_list_of_groups_hides_nobody_from_a_timeout),
		TAP_TEST(a_timeout_as_long_as_can_be_is_none),
		TAP_TEST(what_the_kernel_would_judge_by_the_callers_powers_is_not_written),
		TAP_TEST(nothing_inside_lowers_what_later_commands_inherit),
		TAP_TEST(any_time_of_a_file_is_told),
		TAP_TEST(a_name_that_is_too_long_is_not_cut),
		TAP_TEST(a_path_is_no_name_of_a_snapshot),
	};

	return tap_run(tests, sizeof(tests) / sizeof(*tests));
}
