/* SPDX-License-Identifier: Apache-2.0
 *
 * run_test.c - runs in the warm shell, in sessions, clean and without a shell, as a caller sees them
 */
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/world_test.h"

struct ran {
	struct hutch_result r;
	char out[2048], err[64];
	uint64_t total;
	double seconds;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void take(struct hutch_run *run, int which, char *to, size_t room, uint64_t *total)
{
	struct hutch_output o = {.size = sizeof(o)};

	ok(hutch_run_output(run, which, &o, NULL) == 0);
	snprintf(to, room, "%s", o.data ? o.data : "");
	if (total)
		*total = o.total;
}

static struct ran run_with(struct world *w, struct hutch_box *box, struct hutch_run_options *o)
{
	struct ran x = {.r = {.size = sizeof(x.r), .exit_code = -1}};
	struct hutch_run *run = NULL;
	double since = now();

	o->size = sizeof(*o);
	if (!ok(hutch_run_start(box, o, &run, &w->e) == 0, "%s", w->e.message))
		return x;
	ok(hutch_run_wait(run, 20000, -1, &x.r, &w->e) == 1, "%s", w->e.message);
	x.seconds = now() - since;
	if (x.r.end == HUTCH_END_NOT_RUN)
		is_int((int)x.r.duration_us, 0);
	else
		ok(x.r.duration_us > 0 && (double)x.r.duration_us <= x.seconds * 1e6, "%llu us, of %f s",
		   (unsigned long long)x.r.duration_us, x.seconds);
	take(run, 1, x.out, sizeof(x.out), &x.total);
	take(run, 2, x.err, sizeof(x.err), NULL);
	hutch_run_free(run);
	return x;
}

static struct ran text(struct world *w, struct hutch_box *box, const char *script, const char *session)
{
	struct hutch_run_options o = {.text = script, .session = session};

	return run_with(w, box, &o);
}

/* Runs @script and looks at what it wrote and how it ended. */
static void expect(struct world *w, struct hutch_box *box, const char *session, const char *script, int code,
		   const char *out)
{
	struct ran x = text(w, box, script, session);

	ok(x.r.exit_code == code && !strcmp(x.out, out), "'%s': %d, not %d; '%s', not '%s'", script,
	   x.r.exit_code, code, x.out, out);
}

static void how_long_it_took_is_told_of_each_way(void)
{
	const char *const words[] = {"sleep", "0.05", NULL};
	struct hutch_run_options asks[] = {{.text = "sleep 0.05; :"}, {.text = "sleep 0.05", .session = "s"},
					   {.text = "sleep 0.05", .flags = HUTCH_RUN_CLEAN}, {.text = "sleep 0.05"}, {.argv = words}};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int round = 0; round < 4; round++) /* from the third one on without a shell */
		for (size_t i = 0; i < sizeof(asks) / sizeof(*asks); i++) {
			struct ran x = run_with(&w, box, &asks[i]);

			ok(x.r.exit_code == 0 && x.r.duration_us >= 50000, "%d %zu: %llu us", round, i,
			   (unsigned long long)x.r.duration_us);
		}
	hutch_box_delete(box, NULL);
}

static void how_long_a_command_took_is_not_how_late_one_asks(void)
{
	const char *const words[] = {"sleep", "0.05", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = words, .io = {[1] = {.kind = HUTCH_STDIO_PIPE}}};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *proc = NULL;
	auto_world w;
	struct hutch_box *box;
	double since, ended;
	char c;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int round = 0; round < 3; round++) { /* from the third one on it is the starter's */
		since = now();
		if (!ok(hutch_box_exec(box, &o, &proc, &w.e) == 0, "%s", w.e.message))
			return;
		is_int((int)read(hutch_proc_fd(proc, 1), &c, 1), 0);
		ended = now() - since;
		usleep(1000000);
		is_int(hutch_proc_wait(proc, 20000, -1, &r, &w.e), 1);
		ok(r.duration_us >= 50000 && (double)r.duration_us < (ended + 0.9) * 1e6, "%llu us, of %f s",
		   (unsigned long long)r.duration_us, ended);
		hutch_proc_free(proc);
	}
	hutch_box_delete(box, NULL);
}

static void text_runs_fresh_each_time(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, NULL, "echo one; echo two >&2; exit 3", 3, "one\ntwo\n");
	expect(&w, box, NULL, "cd /usr; X=1; f() { :; }; set -u; trap 'echo x' EXIT", 0, "x\n");
	expect(&w, box, NULL, "pwd; echo \"[$X]\"; f 2>/dev/null; echo $?", 0, "/\n[]\n127\n");
	expect(&w, box, NULL, "printf 'no end'", 0, "no end");
	expect(&w, box, NULL, "", 0, "");
	expect(&w, box, NULL, "# nothing", 0, "");
	expect(&w, box, NULL, "false", 1, "");
	expect(&w, box, NULL, "cat; ls /proc/self/fd | wc -l", 0, "4\n");
	hutch_box_delete(box, NULL);
}

/* The sub-shell of a text tells its end itself, and then its shell does not; or only that does. */
static void a_text_ends_once_and_when_its_traps_have_run(void)
{
	static const struct {
		const char *script, *out;
		int code;
	} texts[] = {
		{"trap 'echo bye' EXIT; exit 3", "bye\n", 3},	   {"trap 'exit 9' EXIT; :", "", 9},
		{"trap 'sleep 0.1; echo late' EXIT", "late\n", 0}, {"(trap 'echo inner' EXIT; exit 4); echo $?", "inner\n4\n", 0},
		{"(exit 5) & wait $!; echo $?", "5\n", 0},	   {"x=$(exit 6); echo $?; exit 300", "6\n", 44},
		{"exec sh -c 'echo other; exit 7'", "other\n", 7}, {"kill -9 $BASHPID", "", 128 + SIGKILL},
		{"kill -9 $BASHPID", "", 128 + SIGKILL},	   {"echo a; exit 141", "a\n", 141},
		{"exec 8>/tmp/8; (exit 4); exec 8>&-; cat /tmp/8", "", 0}, /* it has closed what its shell tells by */
	};
	static const char *const env[] = {NULL, "LD_PRELOAD=/no-such-library", "BASH_FUNC_enable%%=() { return 1; }"};
	static const char *const waits_by[] = {"builtin\n", "builtin\n", "function\n"};

	for (size_t k = 0; k < sizeof(env) / sizeof(*env); k++) {
		auto_world w;
		struct hutch_box *box;

		if (!world_prepare(&w) || (env[k] && !ok(hutch_spec_set(w.spec, "env", env[k], &w.e) == 0)) ||
		    !ok(hutch_open(NULL, &w.hutch, &w.e) == 0))
			return;
		box = world_start(&w);
		expect(&w, box, NULL, "type -t _hp", 0, waits_by[k]);
		for (size_t i = 0; i < 3 * sizeof(texts) / sizeof(*texts) && k != 1; i++) {
			size_t at = i % (sizeof(texts) / sizeof(*texts));

			expect(&w, box, NULL, texts[at].script, texts[at].code, texts[at].out);
		}
		expect(&w, box, NULL, "trap 'echo bye' EXIT; exit 3", 3, "bye\n");
		hutch_box_delete(box, NULL);
	}
}

static void bad_text_is_reported_and_the_next_is_well(void)
{
	static const char *const bad[] = {"echo 'no end", "if true; then", "a ( b", "${x", "exit 9; (", "((("};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct ran x = text(&w, box, bad[i], NULL);

		ok(x.r.exit_code > 0 && *x.out, "'%s': %d '%s'", bad[i], x.r.exit_code, x.out);
		x = text(&w, box, bad[i], "s");
		ok(x.r.exit_code > 0, "'%s': %d", bad[i], x.r.exit_code);
		expect(&w, box, NULL, "echo well", 0, "well\n");
		expect(&w, box, "s", "echo well", 0, "well\n");
	}
	hutch_box_delete(box, NULL);
}

static void lines_are_counted_from_the_text(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 2; i++) {
		struct ran x = text(&w, box, ":\n$UNSET/no-such-command\n", i ? "s" : NULL);

		ok(x.r.exit_code == 127 && strstr(x.out, "line 2:"), "%d '%s'", x.r.exit_code, x.out);
	}
	hutch_box_delete(box, NULL);
}

/* The same text with something behind it, which then runs in a sub-shell as ever, is the measure. */
static void expect_as_in_a_shell(struct world *w, struct hutch_box *box, const char *script)
{
	char longer[300];
	struct ran x, y;

	snprintf(longer, sizeof(longer), "%s\nexit $?", script);
	x = text(w, box, script, NULL);
	y = text(w, box, longer, NULL);
	ok(x.r.exit_code == y.r.exit_code && !strcmp(x.out, y.out), "'%s': %d, not %d; '%s', not '%s'", script, x.r.exit_code,
	   y.r.exit_code, x.out, y.out);
}

/* The number of the process that is the parent of what a text runs. */
static int parent_in(struct world *w, struct hutch_box *box, const char *script)
{
	return atoi(text(w, box, script, NULL).out);
}

static void one_program_takes_the_place_of_its_shell(void)
{
	static const char *const scripts[] = {
		"sh -c 'env | sort'", "printenv SHLVL _", "cat /proc/self/status /no-such-file >/dev/null", "ls /usr >/no-such-dir/x", "ls </no-such-file",
		"no-such-program a", "/no-such-dir/program a", "/usr a", "/etc/passwd a", "sh -c 'exit 139'", "sh -c 'kill -TERM $$'",
		"sh -c 'echo a; echo b >&2' 2>&1", "ls \"$HOME\" /usr", "ls -d /us? /{usr,etc}", "bash -c 'trap' a", "time", "type ls",
		"no-such-program $?", "sh -c 'exit '$?", "no-such-program </no-such-file$?",
		"sh -c 'echo \"$@\"' a 'b  c' \"d;e\" f\\ g", "ls /proc/self/fd",
	};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++)
		expect_as_in_a_shell(&w, box, scripts[i]);
	is_int(parent_in(&w, box, "sh -c 'echo $PPID'"), parent_in(&w, box, "sh -c 'echo $PPID'"));
	ok(parent_in(&w, box, "sh -c 'echo $PPID'; :") != parent_in(&w, box, "sh -c 'echo $PPID'"));
	expect(&w, box, NULL, "sh -c 'echo a; exit 3'\n", 3, "a\n");
	hutch_box_delete(box, NULL);
}

static void a_program_is_told_what_its_shell_would_be(void)
{
	const char *env[] = {"PATH=/no-such-dir", NULL};
	struct hutch_run_options o = {.text = "ls", .env = env}, apart = {.text = "sh -c 'kill -SEGV $$'", .flags = HUTCH_RUN_APART};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	x = run_with(&w, box, &o);
	ok(x.r.exit_code == 127 && !strcmp(x.out, "bash: line 1: ls: command not found\n"), "%d '%s'", x.r.exit_code, x.out);
	env[0] = "A=b c";
	o = (struct hutch_run_options){.text = "sh -c 'echo \"$A\"; pwd'", .env = env, .cwd = "/usr"};
	is_str(run_with(&w, box, &o).out, "b c\n/usr\n");
	o.cwd = "/no-such-dir";
	x = run_with(&w, box, &o);
	ok(x.r.exit_code == 126 && strstr(x.out, "line 1: cd: /no-such-dir"), "%d '%s'", x.r.exit_code, x.out);
	/* How it died is said by who waits for it. */
	for (int i = 0; i < 2; i++) {
		x = run_with(&w, box, &apart);
		is_int(x.r.exit_code, 128 + SIGSEGV);
		is_str(x.out, "");
		ok(strstr(x.err, "Segmentation fault") && strstr(x.err, "line 1:"), "'%s'", x.err);
		x = text(&w, box, "sh -c 'echo a; kill -KILL $$'", NULL);
		is_int(x.r.exit_code, 128 + SIGKILL);
		ok(!strncmp(x.out, "a\nbash: line 1:", 15) && strstr(x.out, "Killed") && strstr(x.out, "sh -c 'echo a; kill -KILL $$'\n"), "'%s'",
		   x.out);
	}
	o = (struct hutch_run_options){.text = "sleep 4799", .timeout_ms = 300};
	x = run_with(&w, box, &o);
	ok(x.r.end == HUTCH_END_TIMEOUT && !*x.out, "%d '%s'", x.r.end, x.out);
	hutch_box_delete(box, NULL);
}

#define WHO "sh -c 'read -r a </proc/$PPID/comm; echo $a'"

/* Texts of plain words go by way of the runner now. */
static bool runner_is_there(struct world *w, struct hutch_box *box)
{
	struct ran x = {.total = 0};

	for (double since = now(); now() - since < 10 && strcmp(x.out, "hutch-runner\n");)
		x = text(w, box, WHO, NULL);
	return ok(!strcmp(x.out, "hutch-runner\n"), "'%s'", x.out);
}

static void plain_words_need_no_shell_from_the_third_time_on(void)
{
	static const char *const scripts[] = {
		"sh -c 'echo a; echo b >&2; exit 3'", "no-such-program a", "/no-such-dir/program a", "/usr a", "/etc/passwd a", "sh -c 'kill -TERM $$'",
		"sh -c 'kill -INT $$'", "sh -c 'kill -PIPE $$'", "sh -c 'exit 139'", "../usr/bin/env -i /bin/pwd", "/root/script a", "seq 1000\n",
		"sh -c 'echo \"$@\"' a 'b  c' \"d;e\" '' f=g",
	};
	struct hutch_run_options o = {.text = "sleep 4798", .timeout_ms = 300};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, NULL, WHO, 0, "bash\n");
	expect(&w, box, NULL, WHO, 0, "bash\n");
	expect(&w, box, NULL, "echo 'echo $1 by bash' >/root/script; chmod 755 /root/script", 0, "");
	(void)runner_is_there(&w, box);
	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++)
		expect_as_in_a_shell(&w, box, scripts[i]);
	x = text(&w, box, "sh -c 'echo a; kill -KILL $$'", NULL);
	ok(x.r.exit_code == 137 && !strncmp(x.out, "a\nbash: line 1:", 15) && strstr(x.out, " Killed                  sh -c 'echo a; kill -KILL $$'\n"),
	   "%d '%s'", x.r.exit_code, x.out);
	x = run_with(&w, box, &o);
	ok(x.r.end == HUTCH_END_TIMEOUT && x.seconds < 2, "%d after %.1f s", x.r.end, x.seconds);
	expect(&w, box, NULL, WHO, 0, "hutch-runner\n");
	x = text(&w, box, "sh -c 'kill -KILL $PPID; sleep 1'", NULL);
	ok(x.r.end == HUTCH_END_SHELL_DIED && x.r.exit_code == 137, "%d %d", x.r.end, x.r.exit_code);
	(void)runner_is_there(&w, box);
	ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
	expect(&w, box, NULL, WHO, 0, "bash\n");
	(void)runner_is_there(&w, box);
	hutch_box_delete(box, NULL);
}

/* What the runner hands back goes on in bash, under the same descriptor. */
static void an_event_loop_is_told_of_what_was_handed_back(void)
{
	struct hutch_run_options o = {.size = sizeof(o), .text = "/root/script a"};
	struct hutch_result r = {.size = sizeof(r)};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, NULL, "echo 'sleep 0.2; echo $1 by bash; exit 4' >/root/script; chmod 755 /root/script", 0, "");
	(void)runner_is_there(&w, box);
	for (int i = 0; i < 3; i++) {
		struct hutch_run *run = NULL;
		int code = 0, looks = 0;
		char out[64];

		o.timeout_ms = i == 1 ? 50 : 0;
		if (!ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message))
			break;
		for (int fd = hutch_run_fd(run, &w.e); code == 0 && looks++ < 50; code = hutch_run_wait(run, 0, -1, &r, &w.e))
			ok(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 5000) == 1);
		ok(code == 1, "%d: %d after %d looks", i, code, looks);
		is_int(r.exit_code, i == 1 ? 124 : 4);
		take(run, 1, out, sizeof(out), NULL);
		is_str(out, i == 1 ? "" : "a by bash\n");
		hutch_run_free(run);
	}
	expect(&w, box, NULL, WHO, 0, "hutch-runner\n");
	hutch_box_delete(box, NULL);
}

/* Where nobody can write any more a descriptor is ready for ever. */
static void an_event_loop_sleeps_until_the_end_of_a_shell_is_told(void)
{
	static const char *const texts[] = {"exec sleep 0.1", "kill -9 $$", "exec >/dev/null 2>&1; kill -9 $$", "exit 3"};
	struct hutch_result r = {.size = sizeof(r)};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 24; i++) {
		struct hutch_run_options o = {.size = sizeof(o), .text = texts[i % 4], .session = i % 3 ? "s" : NULL};
		struct hutch_run *run = NULL;
		int code = 0, looks = 0;

		if (!ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message))
			break;
		for (int fd = hutch_run_fd(run, &w.e); code == 0 && looks++ < 50; code = hutch_run_wait(run, 0, -1, &r, &w.e))
			ok(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 5000) == 1);
		ok(code == 1, "'%s' in %s: %d after %d looks", o.text, o.session, code, looks);
		hutch_run_free(run);
	}
	hutch_box_delete(box, NULL);
}

static void what_the_environment_defines_is_no_program(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_prepare(&w) || hutch_spec_set(w.spec, "env", "BASH_FUNC_ls%%=() { echo mine; }", &w.e) < 0 ||
	    !ok(hutch_open(NULL, &w.hutch, &w.e) == 0))
		return;
	box = world_start(&w);
	expect(&w, box, NULL, "ls /usr", 0, "mine\n");
	expect(&w, box, NULL, "env ls -d /usr", 0, "/usr\n");
	hutch_box_delete(box, NULL);
	ok(hutch_spec_set(w.spec, "env", "BASH_ENV=/root/env", &w.e) == 0, "%s", w.e.message);
	box = world_start(&w);
	(void)world_sh(&w, box, "echo 'set -u; shopt -s expand_aliases; alias env=\"echo alias\"; id() { echo function; }' >/root/env", NULL);
	expect(&w, box, NULL, "env a", 0, "alias a\n");
	expect(&w, box, NULL, "id a", 0, "function\n");
	expect(&w, box, NULL, "ls -d /usr", 0, "mine\n");
	expect(&w, box, NULL, "basename /usr/a", 0, "a\n");
	hutch_box_delete(box, NULL);
}

static void output_comes_merged_or_apart(void)
{
	struct hutch_run_options o = {.text = "echo out; echo err >&2; echo out", .flags = HUTCH_RUN_APART};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 3; i++) { /* in the warm shell, clean, in a session */
		x = run_with(&w, box, &o);
		is_str(x.out, "out\nout\n");
		is_str(x.err, "err\n");
		o.flags = HUTCH_RUN_APART | (i == 0 ? HUTCH_RUN_CLEAN : 0);
		o.session = i == 1 ? "apart" : NULL;
	}
	o = (struct hutch_run_options){.text = "echo out; echo err >&2; echo out"};
	for (int i = 0; i < 3; i++) {
		x = run_with(&w, box, &o);
		is_str(x.out, "out\nerr\nout\n");
		is_str(x.err, "");
		o.flags = i == 0 ? HUTCH_RUN_CLEAN : 0;
		o.session = i == 1 ? "merged" : NULL;
	}
	hutch_box_delete(box, NULL);
}

static void the_end_does_not_wait_for_who_keeps_the_output(void)
{
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 2; i++) {
		struct hutch_run_options o = {.text = "(sleep 1; echo late; sleep 30) & echo now",
					      .flags = i ? HUTCH_RUN_CLEAN : 0};

		x = run_with(&w, box, &o);
		is_str(x.out, "now\n");
		ok(x.seconds < 1, "%f", x.seconds);
		expect(&w, box, NULL, "sleep 1.2; echo me", 0, "me\n");
		expect(&w, box, NULL, "pgrep -x sleep >/dev/null; echo $?", 0, "0\n"); /* not killed by it */
	}
	hutch_box_delete(box, NULL);
}

static void a_timeout_ends_the_tree_and_keeps_the_output(void)
{
	struct hutch_run_options o = {.timeout_ms = 300,
				      .text = "echo before; (setsid sleep 61 &); setsid sh -c 'sleep 62 & sleep 63' "
					      "& (trap '' TERM; sleep 64); echo after"};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, NULL, "sleep 70 >/dev/null & sleep 0.05", 0, ""); /* of an earlier call: is spared */
	for (int i = 0; i < 3; i++) {
		x = run_with(&w, box, &o);
		is_int(x.r.end, HUTCH_END_TIMEOUT);
		is_int(x.r.exit_code, 124);
		ok(strncmp(x.out, "before\n", 7) == 0 && !strstr(x.out, "after"), "%s", x.out);
		ok(x.seconds > 0.29 && x.seconds < 1, "%f", x.seconds);
		/* Who was killed may still be on his way out. */
		expect(&w, box, NULL, "for i in 1 2 3 4 5 6 7 8 9; do n=$(pgrep -x sleep | wc -l); [ $n = 1 ] && break;"
		       " sleep 0.05; done; echo $n; pgrep -fx 'sleep 70' >/dev/null && echo 70", 0, "1\n70\n");
		o.flags = i == 0 ? HUTCH_RUN_CLEAN : 0;
		o.session = i == 1 ? "s" : NULL;
	}
	hutch_box_delete(box, NULL);
}

static void a_session_keeps_its_state(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, "a", "cd /usr; export X=1; Y=2; f() { echo \"f $1\"; }; alias g='echo alias'", 0, "");
	expect(&w, box, "a", "pwd; sh -c 'echo $X'; echo $Y; f z; g", 0, "/usr\n1\n2\nf z\nalias\n");
	expect(&w, box, "b", "pwd; echo \"[$X]\"", 0, "/\n[]\n"); /* another one */
	expect(&w, box, "a", "sleep 50 & echo $(jobs -p | wc -l)", 0, "1\n");
	expect(&w, box, "a", "jobs -r | wc -l; kill %1", 0, "1\n");
	expect(&w, box, "a", "(exit 4)", 4, "");
	expect(&w, box, "a", "echo 'a\nb'", 0, "a\nb\n");
	expect(&w, box, "a", "set -f; echo *", 0, "*\n");
	expect(&w, box, "a", "echo *", 0, "*\n");
	hutch_box_delete(box, NULL);
}

static void a_session_outlives_the_end_of_its_shell(void)
{
	static const struct {
		const char *text;
		int code, end;
		const char *out;
	} ends[] = {{"echo x; exit 7", 7, HUTCH_END_EXIT, "x\n"},
		    {"exec sh -c 'echo y; exit 8'", 8, HUTCH_END_EXIT, "y\n"},
		    {"echo z; kill -9 $$", 137, HUTCH_END_SHELL_DIED, "z\n"},
		    {"set -e; false; echo not", 1, HUTCH_END_EXIT, ""}};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		struct ran x;

		expect(&w, box, "s", "cd /etc; A=1", 0, "");
		x = text(&w, box, ends[i].text, "s");
		ok(x.r.exit_code == ends[i].code && x.r.end == ends[i].end && !strcmp(x.out, ends[i].out),
		   "'%s': %d %d '%s'", ends[i].text, x.r.exit_code, x.r.end, x.out);
		expect(&w, box, "s", "pwd; echo \"[$A]\"", 0, "/etc\n[]\n");
	}
	expect(&w, box, "s", "mkdir /tmp/d; cd /tmp/d; rmdir /tmp/d", 0, "");
	expect(&w, box, "s", "exit 3", 3, "");
	expect(&w, box, "s", "pwd", 0, "/\n"); /* that directory is gone */
	hutch_box_delete(box, NULL);
}

/* Whoever has it knows where its shell stood, and tells the keeper only after its end. */
static void a_shared_session_keeps_its_directory_when_its_shell_is_killed_between_two_texts(void)
{
	struct hutch_start_options start = {.size = sizeof(start), .flags = HUTCH_START_DETACHED};
	struct hutch_run_options o = {.size = sizeof(o), .session = "s",
				      .text = "cd /etc; sh -c \"read _ </held; kill -9 $$\" </dev/null >/dev/null 2>&1 &"};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	if (!ok(hutch_box_start(w.hutch, w.spec, &start, &box, &w.e) == 0, "%s", w.e.message))
		return;
	expect(&w, box, NULL, "mkfifo /held", 0, "");
	for (int i = 0; i < 2; i++) { /* first the keeper knows no directory of it, then an older one */
		struct hutch_run *run;
		struct ran x = {.r.size = sizeof(x.r)};

		if (i)
			expect(&w, box, "s", "cd /usr", 0, "");
		if (!ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message))
			break;
		ok(hutch_run_wait(run, 10000, -1, &x.r, &w.e) == 1 && x.r.exit_code == 0, "%s", w.e.message);
		expect(&w, box, NULL, "echo >/held; sleep 0.2", 0, "");
		hutch_run_free(run);
		expect(&w, box, "s", "pwd", 0, "/etc\n");
	}
	hutch_box_delete(box, NULL);
}

/* An event loop needs nothing but the descriptors: output, ends, timeouts, also of two runs of one box. */
static void an_event_loop_is_told_of_everything(void)
{
	struct hutch_run_options o[] = {
		{.size = sizeof(*o), .text = "echo 1; sleep 0.1; echo 2; exit 3"},
		{.size = sizeof(*o), .text = "echo 1; sleep 60", .timeout_ms = 200},
		{.size = sizeof(*o), .text = "echo 1; sleep 60", .timeout_ms = 300, .session = "s"},
		{.size = sizeof(*o), .text = "while :; do :; done", .timeout_ms = 100, .session = "loop"},
		{.size = sizeof(*o), .argv = (const char *const[]){"sh", "-c", "sleep 0.2; exit 4", NULL}},
		{.size = sizeof(*o), .text = "exit 5", .flags = HUTCH_RUN_CLEAN},
	};
	static const int codes[] = {3, 124, 124, 124, 4, 5};
	enum { N = sizeof(codes) / sizeof(*codes) };
	struct hutch_run *runs[N] = {NULL};
	struct pollfd p[N];
	double since = now();
	auto_world w;
	struct hutch_box *box;
	int left = N;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < N; i++) {
		ok(hutch_run_start(box, &o[i], &runs[i], &w.e) == 0, "%s", w.e.message);
		p[i] = (struct pollfd){hutch_run_fd(runs[i], &w.e), POLLIN, 0};
		ok(p[i].fd >= 0 && hutch_run_fd(runs[i], NULL) == p[i].fd, "%s", w.e.message);
	}
	while (left && now() - since < 20) {
		if (!ok(poll(p, N, 5000) > 0, "nothing is told, %d are left", left))
			break;
		for (int i = 0; i < N; i++) {
			struct hutch_result r = {.size = sizeof(r)};
			int code = !p[i].revents ? 0 : hutch_run_wait(runs[i], 0, -1, &r, &w.e);

			if (!ok(code >= 0, "%s", w.e.message))
				left = 0;
			if (code != 1)
				continue;
			is_int(r.exit_code, codes[i]);
			p[i].fd = -1;
			left--;
		}
	}
	is_int(left, 0);
	ok(now() - since < 5, "%.1f s", now() - since);
	hutch_box_delete(box, NULL);
}

/* What a wait for one run takes from the sandbox's process may be the end of another. Its output says nothing: a daemon
 * holds it open. */
static void an_event_loop_is_told_of_an_end_that_another_wait_has_taken(void)
{
	const char *const leaves[] = {"sh", "-c", "sleep 30 & exit 4", NULL}, *const lasts[] = {"sleep", "1", NULL};
	struct hutch_run_options one = {.size = sizeof(one), .argv = leaves}, two = {.size = sizeof(two), .argv = lasts};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *first = NULL, *other = NULL;
	struct pollfd p = {.events = POLLIN};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_run_start(box, &one, &first, &w.e) == 0 && hutch_run_start(box, &two, &other, &w.e) == 0, "%s", w.e.message);
	p.fd = hutch_run_fd(first, &w.e);
	is_int(hutch_run_wait(other, 20000, -1, &r, &w.e), 1);
	is_int(poll(&p, 1, 5000), 1);
	is_int(hutch_run_wait(first, 0, -1, &r, &w.e), 1);
	is_int(r.exit_code, 4);
	hutch_box_delete(box, NULL);
}

/* Its shell is stopped before it can say that it waits: the time is over all the same. */
static void a_timeout_holds_for_a_shell_that_does_not_come_to_it(void)
{
	static const char *const loop[] = {"sh", "-c", "echo >/loops; while :; do kill -STOP -1; done", NULL};
	struct hutch_stat st = {.size = sizeof(st)};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = loop};
	auto_world w;
	struct hutch_box *box;
	struct hutch_proc *proc;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (!ok(hutch_box_exec(box, &o, &proc, &w.e) == 0, "%s", w.e.message))
		return;
	for (int i = 0; i < 1000 && hutch_file_stat(box, "/loops", 0, &st, NULL) < 0; i++)
		usleep(10000);
	for (int i = 0; i < 3; i++) {
		struct hutch_run_options text = {.text = "echo x", .session = i == 1 ? "s" : NULL, .timeout_ms = 200};
		struct ran x = run_with(&w, box, &text);

		/* It may have come to it while the loop did not run. */
		ok((x.r.end == HUTCH_END_TIMEOUT && x.r.exit_code == 124) || !strcmp(x.out, "x\n"), "%d", x.r.end);
		ok(x.seconds < 3, "%.1f s", x.seconds);
	}
	ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
	expect(&w, box, "s", "echo well", 0, "well\n");
	hutch_box_delete(box, NULL);
}

/* Nobody was there to hear of it when the next text is sent: no SIGPIPE for us, and in a session it runs. Of the
 * warm shell there is a sub-shell that was forked ahead, which may take the text: then the result says so. */
static void a_shell_killed_between_two_calls_is_replaced(void)
{
	static const char kill_it[] = "cd /usr; (sleep 0.05; kill -9 $$) >/dev/null 2>&1 & :";
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 2; i++) {
		expect(&w, box, i ? "s" : NULL, kill_it, 0, "");
		nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
		x = text(&w, box, "pwd", i ? "s" : NULL);
		ok(!strcmp(x.out, i ? "/usr\n" : "/\n") || (i == 0 && x.r.end == HUTCH_END_SHELL_DIED),
		   "end %d, '%s'", x.r.end, x.out);
		expect(&w, box, i ? "s" : NULL, "exit 3", 3, "");
	}
	hutch_box_delete(box, NULL);
}

/* As the kernel may do without memory. What comes next must not hang, nor get the result of another. */
static void the_sub_shell_that_waits_may_be_killed(void)
{
	struct hutch_run_options o = {.flags = HUTCH_RUN_CLEAN};
	char kill_it[160];
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 3; i++) {
		x = text(&w, box, "echo $$", NULL);
		snprintf(kill_it, sizeof(kill_it), "for p in /proc/[0-9]*; do read -r a b c d e <$p/stat; "
			 "[ $d = %d ] && kill -9 $a; done 2>/dev/null; :", atoi(x.out));
		o.text = kill_it;
		is_int(run_with(&w, box, &o).r.exit_code, 0);
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		for (int k = 3; k < 6; k++) {
			char script[40], out[40];

			snprintf(script, sizeof(script), "echo %d; exit %d", k, k);
			snprintf(out, sizeof(out), "%d\n", k);
			expect(&w, box, NULL, script, k, out);
		}
	}
	hutch_box_delete(box, NULL);
}

static void a_session_survives_a_timeout(void)
{
	struct hutch_run_options o = {.text = "sleep 60; echo went on; touch /went-on", .session = "s",
				      .timeout_ms = 200};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, "s", "A=1; sleep 50 & sleep 0.05", 0, "");
	x = run_with(&w, box, &o);
	ok(x.r.end == HUTCH_END_TIMEOUT && !strstr(x.out, "went on"), "%d '%s'", x.r.end, x.out);
	expect(&w, box, "s", "echo \"[$A]\"; jobs -r | wc -l; ls /went-on 2>/dev/null; :", 0, "[1]\n1\n");
	o.text = "while :; do :; done"; /* nothing to kill: it is left */
	x = run_with(&w, box, &o);
	ok(x.r.end == HUTCH_END_TIMEOUT && x.r.exit_code == 124 && x.seconds < 2, "%d %f", x.r.end, x.seconds);
	expect(&w, box, "s", "echo \"[$A]\"", 0, "[1]\n");
	hutch_box_delete(box, NULL);
}

/* Bash has what it talks to us by on numbers that no program inherits; and below 10 all are the text's, from call to call. */
static void a_session_leaves_the_numbers_of_descriptors_to_its_texts(void)
{
	static const char inherited[] = "sh -c 'for n in 3 4 5 6 7 8 9 10 11 12 13 14; do [ ! -e /proc/self/fd/$n ] || echo $n; done'";
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	ok(hutch_spec_set(w.spec, "env", "BASH_ENV=/root/opens", &w.e) == 0, "%s", w.e.message);
	box = world_start(&w);
	expect(&w, box, "s", inherited, 0, "");
	expect(&w, box, "s", "exec 7>/tmp/seven 8</etc/passwd 9>/tmp/nine; echo x >&7", 0, "");
	expect(&w, box, "s", "echo y >&9; read -r line <&8; cat /tmp/seven /tmp/nine; echo ${line%%:*}", 0, "x\ny\nroot\n");
	expect(&w, box, "s", "exec 7>&- 8<&- 9>&-; exec {fd}>/tmp/more; echo z >&$fd; cat /tmp/more", 0, "z\n");
	/* What the shell itself reads first may have taken the first numbers. */
	expect(&w, box, NULL, "echo 'exec 10</dev/null 12</dev/null' >/root/opens", 0, "");
	expect(&w, box, "t", "echo a; cd /usr", 0, "a\n");
	expect(&w, box, "t", "pwd", 0, "/usr\n");
	hutch_box_delete(box, NULL);
}

/* It can harm itself, and nobody waits for ever. */
static void a_session_that_tells_of_an_end_itself_is_none_the_longer_waited_for(void)
{
	static const char *const jests[] = {"1", "2", "9"};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (size_t i = 0; i < sizeof(jests) / sizeof(*jests); i++) {
		char script[100];
		struct ran x;

		snprintf(script, sizeof(script), "printf 'E%s 0 /\\0' >&11; sleep 0.2; true", jests[i]);
		x = text(&w, box, script, "s");
		ok(x.seconds < 5, "%s: %f s", script, x.seconds);
		x = text(&w, box, "sleep 0.3; echo well", "s");
		ok(x.seconds < 5, "behind %s: %f s", script, x.seconds);
		(void)text(&w, box, "exit", "s");
		expect(&w, box, "s", "echo new", 0, "new\n");
	}
	hutch_box_delete(box, NULL);
}

static void long_text_and_long_output_come_whole(void)
{
	enum { LONG = 1 << 20 };
	struct hutch_run_options o = {.cap = 1000};
	char *script = malloc(LONG + 64);
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!script || !world_open(&w)) {
		free(script);
		return;
	}
	box = world_start(&w);
	for (int i = 0; i < 3; i++) {
		memset(script, '#', LONG);
		strcpy(script + LONG, "\necho end\n");
		expect(&w, box, i == 2 ? "s" : NULL, script, 0, "end\n");
	}
	o.text = "i=0; while [ $i -lt 400000 ]; do echo 1234567; i=$((i+1)); done";
	o.text = "head -c 10000000 /dev/zero | tr '\\0' x; echo end";
	for (int i = 0; i < 3; i++) {
		x = run_with(&w, box, &o);
		ok(x.total == 10000004 && strlen(x.out) == 1000 && !strcmp(x.out + 996, "end\n"), "%llu %zu",
		   (unsigned long long)x.total, strlen(x.out));
		o.flags = i == 0 ? HUTCH_RUN_CLEAN : 0;
		o.session = i == 1 ? "s" : NULL;
	}
	free(script);
	hutch_box_delete(box, NULL);
}

static void input_is_read_by_a_text_or_a_command(void)
{
	enum { MUCH = 1 << 20 };
	static const char *const cat[] = {"cat", NULL};
	struct hutch_result r = {.size = sizeof(r)};
	char *input = malloc(MUCH);
	struct hutch_run_options o = {.input = "in\n", .input_len = 3};
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;
	struct pollfd p;
	struct ran x;

	if (!input || !world_open(&w)) {
		free(input);
		return;
	}
	memset(input, 'x', MUCH);
	box = world_start(&w);
	for (int i = 0; i < 3; i++) { /* from the third on there is a runner for what has none */
		o.text = "cat; exit 3";
		x = run_with(&w, box, &o);
		ok(x.r.exit_code == 3 && !strcmp(x.out, "in\n"), "%d '%s'", x.r.exit_code, x.out);
		o.text = NULL;
		o.argv = cat;
		x = run_with(&w, box, &o);
		ok(x.r.exit_code == 0 && !strcmp(x.out, "in\n"), "%d '%s'", x.r.exit_code, x.out);
	}
	o.input_len = 0;
	x = run_with(&w, box, &o);
	ok(x.r.exit_code == 0 && !*x.out, "%d '%s'", x.r.exit_code, x.out);
	o.input = input;
	o.input_len = MUCH;
	x = run_with(&w, box, &o);
	ok(x.r.exit_code == 0 && x.total == MUCH, "%d %llu", x.r.exit_code, (unsigned long long)x.total);
	o.argv = NULL;
	o.text = "exit 4"; /* nobody reads it */
	is_int(run_with(&w, box, &o).r.exit_code, 4);
	o.text = "head -c 5";
	is_str(run_with(&w, box, &o).out, "xxxxx");
	o.text = "sleep 60";
	o.timeout_ms = 200;
	is_int(run_with(&w, box, &o).r.exit_code, 124);
	o.timeout_ms = 0;
	o.text = "sleep 0.2; wc -c"; /* an event loop is told when there is room for more */
	ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message);
	memset(input, 'y', MUCH); /* it was copied */
	p = (struct pollfd){hutch_run_fd(run, &w.e), POLLIN, 0};
	while (ok(poll(&p, 1, 5000) == 1, "nothing is told") && hutch_run_wait(run, 0, -1, &r, &w.e) == 0)
		;
	take(run, 1, x.out, sizeof(x.out), NULL);
	ok(r.exit_code == 0 && atoi(x.out) == MUCH, "%d '%s'", r.exit_code, x.out);
	hutch_run_free(run);
	o.session = "s";
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_INVALID);
	ok(strstr(w.e.message, "no input of its own"), "%s", w.e.message);
	hutch_box_delete(box, NULL);
	free(input);
}

static void count_bytes(void *arg, int which, const char *data, size_t len)
{
	uint64_t *n = arg;

	ok(which == 1 && data[0] == 'x' && data[len - 1] == 'x');
	*n += len;
}

static void output_can_be_taken_as_it_comes(void)
{
	uint64_t n = 0;
	struct hutch_run_options o = {.text = "head -c 3000000 /dev/zero | tr '\\0' x", .on_output = count_bytes,
				      .arg = &n};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	x = run_with(&w, box, &o);
	ok(n == 3000000 && !x.total, "%llu", (unsigned long long)n);
	hutch_box_delete(box, NULL);
}

static void variables_and_directory_are_of_one_call(void)
{
	static const char *const env[] = {"A=it's \"$B\" \\ `x`\n", "B=", NULL};
	struct hutch_run_options o = {.env = env, .cwd = "/usr/lib",
				      .text = "printf '%s|%s|' \"$A\" \"$B\"; sh -c 'printf \"$A\"'; pwd"};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 2; i++) {
		x = run_with(&w, box, &o);
		is_str(x.out, "it's \"$B\" \\ `x`\n||it's \"$B\" \\ `x`\n/usr/lib\n");
		o.flags = HUTCH_RUN_CLEAN;
	}
	expect(&w, box, NULL, "echo \"[$A]\"; pwd", 0, "[]\n/\n");
	o = (struct hutch_run_options){.text = "echo not", .cwd = "/no/such"};
	x = run_with(&w, box, &o);
	is_int(x.r.exit_code, 126);
	ok(!strstr(x.out, "not\n"), "%s", x.out);
	hutch_box_delete(box, NULL);
}

static void words_run_without_a_shell(void)
{
	const char *const argv[] = {"printf", "%s|", "a b", "$HOME", NULL};
	const char *const none[] = {"no-such-command", NULL};
	struct hutch_run_options o = {.argv = argv};
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	x = run_with(&w, box, &o);
	ok(x.r.exit_code == 0 && !strcmp(x.out, "a b|$HOME|"), "%s", x.out);
	ok(x.r.maxrss_bytes > 0, "the kernel counts what has no shell");
	o.argv = none;
	x = run_with(&w, box, &o);
	ok(x.r.end == HUTCH_END_NOT_RUN && x.r.exit_code == 127 && strstr(x.r.message, "no-such-command"), "%s",
	   x.r.message);
	hutch_box_delete(box, NULL);
}

static void while_the_shell_is_busy_others_run(void)
{
	struct hutch_run_options slow = {.size = sizeof(slow), .text = "sleep 0.5; echo slow"};
	struct hutch_run_options held = {.size = sizeof(held), .text = "sleep 0.5; echo held", .session = "s"};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *a = NULL, *b = NULL, *c = NULL;
	auto_world w;
	struct hutch_box *box;
	double since;
	char out[64];

	if (!world_open(&w))
		return;
	box = world_start(&w);
	since = now();
	ok(hutch_run_start(box, &slow, &a, &w.e) == 0, "%s", w.e.message);
	ok(hutch_run_start(box, &held, &b, &w.e) == 0, "%s", w.e.message);
	expect(&w, box, NULL, "echo fast", 0, "fast\n");
	ok(hutch_run_start(box, &held, &c, &w.e) == HUTCH_E_BUSY && strstr(w.e.message, "'s'"), "%s",
	   w.e.message);
	ok(hutch_run_wait(a, 0, -1, &r, &w.e) == 0);
	ok(hutch_run_wait(a, 5000, -1, &r, &w.e) == 1);
	ok(hutch_run_wait(b, 5000, -1, &r, &w.e) == 1);
	take(a, 1, out, sizeof(out), NULL);
	is_str(out, "slow\n");
	take(b, 1, out, sizeof(out), NULL);
	is_str(out, "held\n");
	ok(now() - since < 0.95, "one after the other");
	hutch_run_free(a);
	hutch_run_free(b);
	hutch_box_delete(box, NULL);
}

static void a_run_can_be_stopped_and_let_go_of(void)
{
	struct hutch_run_options o = {.size = sizeof(o), .text = "sleep 60"};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 3; i++) {
		o.flags = i == 1 ? HUTCH_RUN_CLEAN : 0;
		o.session = i == 2 ? "s" : NULL;
		ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message);
		ok(hutch_run_wait(run, 50, -1, &r, &w.e) == 0);
		ok(hutch_run_stop(run, &w.e) == 0);
		ok(hutch_run_wait(run, 5000, -1, &r, &w.e) == 1, "%s", w.e.message);
		ok(r.end == HUTCH_END_SIGNAL && r.signal == 9 && r.exit_code == 137, "%d: %d %d", i, r.end, r.exit_code);
		hutch_run_free(run);
		ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message);
		hutch_run_free(run); /* with its command */
		expect(&w, box, NULL, "for i in 1 2 3 4 5 6 7 8 9; do pgrep -x sleep >/dev/null || break; sleep 0.05;"
		       " done; pgrep -fx 'sleep 60'", 1, "");
	}
	ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message);
	hutch_box_delete(box, NULL); /* also with a run that is under way */
}

static void a_text_that_is_stopped_has_not_ended_well(void)
{
	static const char *const texts[] = {"sleep 10; echo no", "while :; do :; done", "sleep 10; exit 3"};
	struct hutch_run_options o = {.size = sizeof(o)};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 6; i++) {
		o.text = texts[i % 3];
		o.session = i < 3 ? NULL : "s";
		ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message);
		ok(hutch_run_wait(run, 50, -1, &r, &w.e) == 0);
		ok(hutch_run_stop(run, &w.e) == 0);
		ok(hutch_run_wait(run, 5000, -1, &r, &w.e) == 1, "%s", w.e.message);
		ok(r.end == HUTCH_END_SIGNAL && r.signal == 9 && r.exit_code == 137, "%d: %d %d", i, r.end, r.exit_code);
		ok(hutch_run_stop(run, &w.e) == 0, "once more");
		hutch_run_free(run);
		expect(&w, box, o.session, "echo well", 0, "well\n");
	}
	hutch_box_delete(box, NULL);
}

/* Killed by one that is told of it, or by one that had its answer: just before the next one begins. Not while the next
 * one runs, however long a busy machine takes for the kill: that would be its end, too. */
static void who_follows_a_shell_that_was_killed_is_run(void)
{
	static const char *const kills[] = {"kill -9 $$", "(sleep 0.02; kill -9 $$; : >/tmp/killed) & echo ok"};
	struct hutch_stat st = {.size = sizeof(st)};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 40; i++) {
		struct hutch_result r = text(&w, box, kills[i % 2], NULL).r;

		ok(r.end == (i % 2 ? HUTCH_END_EXIT : HUTCH_END_SHELL_DIED) && r.exit_code == (i % 2 ? 0 : 137), "%d: %d %d", i,
		   r.end, r.exit_code);
		if (i % 2) {
			for (int k = 0; k < 2000 && hutch_file_stat(box, "/tmp/killed", 0, &st, NULL) < 0; k++)
				usleep(5000);
			ok(hutch_file_remove(box, "/tmp/killed", 0, &w.e) == 0, "%s", w.e.message);
		}
		expect(&w, box, NULL, i & 2 ? "echo next" : "echo $((1 + 1)); pwd >/dev/null", 0, i & 2 ? "next\n" : "2\n");
	}
	hutch_box_delete(box, NULL);
}

static void in_a_session_no_loop_is_around_a_text(void)
{
	static const char *const how[] = {"break", "continue", "break 2", "for i in 1 2; do continue 2; done; break", "while :; do break; done; break"};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (size_t i = 0; i < sizeof(how) / sizeof(*how); i++) {
		char text[100];

		snprintf(text, sizeof(text), "%s 2>/dev/null; echo rest", how[i]);
		expect(&w, box, "s", text, 0, "rest\n");
		expect(&w, box, NULL, text, 0, "rest\n");
	}
	hutch_box_delete(box, NULL);
}

/* A text may define functions and set parameters of a session, so there it is in none; and then a loop is around it. */
static void in_a_plain_sh_no_text_leaves_the_loop_around_it(void)
{
	static const char *const how[] = {"break 2", "break", "continue", "continue 2", "for i in 1 2; do continue 2; done; break"};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	ok(hutch_spec_set(w.spec, "shell", "sh", &w.e) == 0, "%s", w.e.message);
	box = world_start(&w);
	expect(&w, box, "s", "kept=1; set -- 2 3", 0, "");
	for (size_t i = 0; i < sizeof(how) / sizeof(*how); i++) {
		char text[100];

		snprintf(text, sizeof(text), "%s; echo rest", how[i]);
		expect(&w, box, NULL, text, 0, "rest\n");
		if (!i) /* in a session it ends the shell, as exit does */
			continue;
		snprintf(text, sizeof(text), "echo begin; %s", how[i]);
		expect(&w, box, "s", text, 0, "begin\n");
		expect(&w, box, "s", "echo $kept $*", 0, "1 2 3\n");
	}
	expect(&w, box, "s", "for i in 1 2; do continue 3; done", 0, "");
	expect(&w, box, "s", "echo $kept $*", 0, "1 2 3\n");
	hutch_box_delete(box, NULL);
}

/* It may be `rm -rf *`. */
static void a_session_runs_nothing_where_it_was_not_to_be(void)
{
	struct hutch_run_options o = {.size = sizeof(o), .session = "s", .text = "echo ran; pwd"};
	static const char *const env[] = {"A=1", "FIXED=2", NULL};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, "s", "cd /tmp; readonly FIXED=1", 0, "");
	for (int i = 0; i < 2; i++) {
		struct hutch_output out = {.size = sizeof(out)};

		o.cwd = i ? NULL : "/no/such";
		o.env = i ? env : NULL;
		ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message);
		ok(hutch_run_wait(run, 5000, -1, &r, &w.e) == 1, "%s", w.e.message);
		is_int(r.exit_code, 126);
		is_int(hutch_run_output(run, 1, &out, &w.e), 0);
		ok(out.data && strstr(out.data, i ? "FIXED" : "/no/such") && !strstr(out.data, "ran"), "%s", out.data ? out.data : "");
		hutch_run_free(run);
	}
	o.cwd = "/usr";
	o.env = (const char *const[]){"A=it's", NULL};
	o.text = "echo \"$A\"; false; f() {\necho $LINENO\n}; f; (exit 7)";
	ok(hutch_run_start(box, &o, &run, &w.e) == 0, "%s", w.e.message);
	ok(hutch_run_wait(run, 5000, -1, &r, &w.e) == 1, "%s", w.e.message);
	is_int(r.exit_code, 7);
	hutch_run_free(run);
	expect(&w, box, "s", "f; pwd; echo $A $FIXED", 0, "2\n/usr\nit's 1\n");
	hutch_box_delete(box, NULL);
}

static void the_next_shell_of_a_session_stands_where_the_last_one_ended(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, "s", "cd /usr; exit 3", 3, "");
	expect(&w, box, "s", "pwd", 0, "/usr\n");
	expect(&w, box, "s", "cd /tmp; trap 'cd /usr/bin; echo bye' EXIT; exit 4", 4, "bye\n");
	expect(&w, box, "s", "pwd; cd /tmp; set -e; false", 1, "/usr/bin\n");
	expect(&w, box, "s", "pwd; (cd /usr; exit 1); (cd /usr) & wait; cd /", 0, "/tmp\n");
	expect(&w, box, "s", "pwd; cd /usr; kill -9 $$", 137, "/\n"); /* nobody can say it any more */
	expect(&w, box, "s", "pwd", 0, "/\n");
	hutch_box_delete(box, NULL);
}

static void a_text_may_begin_with_a_hyphen(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, NULL, "-f() { echo \"$1\"; }; -f a; -v 2>/dev/null", 127, "a\n");
	expect(&w, box, "s", "-f() { echo \"$1\"; }; -f a; -v 2>/dev/null", 127, "a\n");
	hutch_box_delete(box, NULL);
}

static void a_reset_begins_anew(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 4; i++) {
		expect(&w, box, "s", "pwd; echo \"[$A]\"; ls /tmp; cd /usr; A=1; touch /tmp/x", 0, "/\n[]\n");
		expect(&w, box, NULL, "ls /tmp", 0, "x\n");
		ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
		expect(&w, box, NULL, "ls /tmp", 0, "");
	}
	hutch_box_delete(box, NULL);
}

/* Code that an earlier call left can write to the shell's descriptor; not to the keeper's. */
static int count_of(struct world *w, struct hutch_box *box, const char *script)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct hutch_run_options o = {.argv = argv};

	return atoi(run_with(w, box, &o).out);
}

/* Of the second reset on: the spare is built after the first. */
static void after_a_reset_a_shell_waits_where_one_was_used(void)
{
	static const char shells[] = "grep -lx bash /proc/[0-9]*/comm | wc -l";
	auto_world w;
	struct hutch_box *box;
	double until;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
	usleep(300000);
	ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
	is_int(count_of(&w, box, shells), 0); /* nobody has used one */
	expect(&w, box, NULL, "echo x >/tmp/x; cd /usr; A=1", 0, "");
	ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
	usleep(300000);
	ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
	until = now() + 5;
	while (count_of(&w, box, shells) < 2 && now() < until)
		usleep(10000);
	is_int(count_of(&w, box, shells), 2);
	expect(&w, box, NULL, "pwd; echo [$A]; ls /tmp", 0, "/\n[]\n");
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* How many there are, once there are @n or within @seconds. */
static int shells_within(struct world *w, struct hutch_box *box, int n, double seconds)
{
	double until = now() + seconds;
	int found;

	while ((found = count_of(w, box, "grep -lx bash /proc/[0-9]*/comm | wc -l")) != n && now() < until)
		usleep(10000);
	return found;
}

static void who_runs_text_in_one_sandbox_finds_a_shell_in_the_next(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	is_int(shells_within(&w, box, 2, 0.2), 0);
	expect(&w, box, NULL, "true", 0, "");
	is_int(hutch_box_delete(box, &w.e), 0);
	for (int i = 0; i < 2; i++) {
		box = world_start(&w);
		is_int(shells_within(&w, box, 2, 5), 2);
		if (i == 0)
			expect(&w, box, NULL, "pwd; exit 3", 3, "/\n");
		is_int(hutch_box_delete(box, &w.e), 0);
	}
	box = world_start(&w); /* the last one was not asked for one */
	is_int(shells_within(&w, box, 2, 0.2), 0);
	expect(&w, box, NULL, "true", 0, "");
	is_int(hutch_box_delete(box, &w.e), 0);
	ok(hutch_spec_set(w.spec, "env", "BASH_ENV=/root/none", &w.e) == 0, "%s", w.e.message);
	box = world_start(&w); /* it would run a file of the image that nobody has asked for */
	is_int(shells_within(&w, box, 2, 0.2), 0);
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* Its sub-shell is killed before anybody asks for it: the first text runs in another. */
static void a_shell_that_waits_may_be_harmed(void)
{
	static const char harm[] = "n=0; for p in /proc/[0-9]*; do read -r a b c d e <$p/stat; case $b.$d in '(bash).0') ;; "
				   "'(bash)'.*) kill -9 $a; n=1;; esac; done 2>/dev/null; echo $n";
	auto_world w;
	struct hutch_box *box;
	double until;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	expect(&w, box, NULL, "true", 0, "");
	for (int i = 0; i < 2; i++) {
		ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
		usleep(300000);
	}
	for (until = now() + 5; !count_of(&w, box, harm) && now() < until;)
		usleep(10000);
	usleep(50000);
	for (int i = 0; i < 3; i++)
		expect(&w, box, NULL, "echo x; exit 3", 3, "x\n");
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void none_waits_that_would_run_a_file_of_the_image(void)
{
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	ok(hutch_spec_set(w.spec, "env", "BASH_ENV=/root/none", &w.e) == 0, "%s", w.e.message);
	box = world_start(&w);
	expect(&w, box, NULL, "true", 0, "");
	for (int i = 0; i < 2; i++) {
		ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
		usleep(300000);
	}
	is_int(count_of(&w, box, "grep -lx bash /proc/[0-9]*/comm | wc -l"), 0);
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void shells_start_behind_the_entrypoint(void)
{
	static const char *const entrypoint[] = {"sh", "-c", "export A=yes; echo noise; echo entered >>/entered; exec \"$@\"", "sh"};
	struct hutch_run_options slow = {.size = sizeof(slow), .text = "sleep 0.5; echo $A"};
	struct hutch_run_options clean = {.text = "echo [$A]", .flags = HUTCH_RUN_CLEAN};
	const char *const argv[] = {"sh", "-c", "echo [$A]", NULL};
	struct hutch_run_options words = {.argv = argv};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;
	char out[64];

	if (!world_open(&w))
		return;
	for (size_t i = 0; i < sizeof(entrypoint) / sizeof(*entrypoint); i++)
		ok(hutch_spec_set(w.spec, "entrypoint", entrypoint[i], &w.e) == 0, "%s", w.e.message);
	ok(hutch_spec_set(w.spec, "shell_entrypoint", "true", &w.e) == 0, "%s", w.e.message);
	box = world_start(&w);
	expect(&w, box, NULL, "echo $A; cat /entered", 0, "yes\nentered\n");
	expect(&w, box, NULL, "cat /entered", 0, "entered\n");
	expect(&w, box, "s", "echo $A; cat /entered", 0, "yes\nentered\nentered\n");
	expect(&w, box, "s", "cat /entered", 0, "entered\nentered\n");
	is_str(run_with(&w, box, &clean).out, "[]\n");
	is_str(run_with(&w, box, &words).out, "[]\n");
	/* Beside each other; of two that wait one is let go. */
	ok(hutch_run_start(box, &slow, &run, &w.e) == 0, "%s", w.e.message);
	expect(&w, box, NULL, "echo $A", 0, "yes\n");
	ok(hutch_run_wait(run, 20000, -1, &r, &w.e) == 1, "%s", w.e.message);
	take(run, 1, out, sizeof(out), NULL);
	is_str(out, "yes\n");
	hutch_run_free(run);
	for (int i = 0; i < 3; i++)
		expect(&w, box, NULL, "cat /entered", 0, "entered\nentered\nentered\n");
	/* None stands ready for a reset: that would run what the image brings, beside what runs. */
	for (int i = 0; i < 2; i++) {
		ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
		usleep(300000);
	}
	is_int(count_of(&w, box, "grep -lx bash /proc/[0-9]*/comm | wc -l"), 0);
	expect(&w, box, NULL, "echo $A; cat /entered", 0, "yes\nentered\n");
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void an_entrypoint_that_becomes_no_shell_is_told(void)
{
	struct hutch_run_options o = {.size = sizeof(o), .text = "echo never"};
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	ok(hutch_spec_set(w.spec, "shell_entrypoint", "true", &w.e) == 0, "%s", w.e.message);
	for (int missing = 0; missing < 2; missing++) {
		ok(hutch_spec_clear(w.spec, "entrypoint", &w.e) == 0, "%s", w.e.message);
		ok(hutch_spec_set(w.spec, "entrypoint", missing ? "/no/such" : "/bin/true", &w.e) == 0, "%s", w.e.message);
		box = world_start(&w);
		is_int(hutch_run_start(box, &o, &run, &w.e), missing ? HUTCH_E_NO_COMMAND : HUTCH_E_DIED);
		ok(strstr(w.e.message, missing ? "/no/such" : "as soon as it was started"), "%s", w.e.message);
		is_int(world_sh(&w, box, "exit 3", NULL).exit_code, 3);
		is_int(hutch_box_delete(box, &w.e), 0);
	}
}

static void a_result_can_be_forged_in_the_warm_shell_alone(void)
{
	static const char forger[] =
		"(sleep 0.1; for i in 1 2 3 4 5 6 7 8; do p=/proc/$$/fd/8; for n in 2 3; do printf 'E%d 0\\0' $n >$p; done; "
		"sleep 0.1; done) >/dev/null 2>&1 & :";
	static const char all[] =
		"(for i in 1 2 3 4 5 6 7 8 9; do for p in /proc/[0-9]*; do for n in 1 2 3 4 5 6 7; do "
		"printf 'E%d 0\\0W%d 0 1 1 1\\0' $n $n >$p/fd/8; done; done; sleep 0.05; done) >/dev/null 2>&1 & :";
	const char *const argv[] = {"sh", "-c", "sleep 0.3; exit 5", NULL};
	const char *const who[] = {"sh", "-c", "read -r a </proc/$PPID/comm; echo $a; exit 5", NULL};
	struct hutch_run_options o = {.text = "sleep 5; exit 5"}; /* it is over when it is forged */
	auto_world w;
	struct hutch_box *box;
	struct ran x;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	(void)text(&w, box, forger, NULL);
	x = run_with(&w, box, &o);
	is_int(x.r.exit_code, 0); /* which is why there is HUTCH_RUN_CLEAN */
	(void)text(&w, box, forger, NULL);
	o.text = "sleep 0.3; exit 5";
	o.flags = HUTCH_RUN_CLEAN;
	x = run_with(&w, box, &o);
	is_int(x.r.exit_code, 5);
	o = (struct hutch_run_options){.argv = argv};
	x = run_with(&w, box, &o);
	is_int(x.r.exit_code, 5);
	is_int(world_sh(&w, box, "sleep 0.3; exit 5", NULL).exit_code, 5);
	(void)text(&w, box, all, "s");
	for (int i = 0; i < 4; i++) {
		x = run_with(&w, box, &o);
		is_int(x.r.exit_code, 5);
	}
	o.argv = who;
	x = run_with(&w, box, &o);
	is_int(x.r.exit_code, 5);
	is_str(x.out, "hutch-runner\n");
	hutch_box_delete(box, NULL);
}

static void wrong_asks_are_refused(void)
{
	const char *const bad_env[] = {"a b=1", NULL}, *const no_value[] = {"A", NULL}, *const no_name[] = {"=1", NULL};
	const char *const words[] = {"true", NULL};
	struct hutch_run_options o = {.size = sizeof(o)};
	struct hutch_run *run = NULL;
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 2; i++) {
		o.argv = words;
		o.env = i ? no_name : no_value;
		is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_INVALID);
		ok(strstr(w.e.message, "NAME=VALUE") != NULL, "%s", w.e.message);
	}
	o = (struct hutch_run_options){.size = sizeof(o)};
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_INVALID);
	o.text = "a\0b";
	o.len = 3;
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_INVALID);
	o.len = 1;
	o.env = bad_env;
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_INVALID);
	o.env = NULL;
	o.session = "";
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_INVALID);
	o.session = "s";
	o.flags = HUTCH_RUN_CLEAN;
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_INVALID);
	is_int(hutch_run_start(NULL, &o, &run, &w.e), HUTCH_E_INVALID);
	expect(&w, box, NULL, "echo well", 0, "well\n");
	hutch_box_delete(box, NULL);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(how_long_it_took_is_told_of_each_way),
		TAP_TEST(how_long_a_command_took_is_not_how_late_one_asks),
		TAP_TEST(text_runs_fresh_each_time),
		TAP_TEST(a_text_ends_once_and_when_its_traps_have_run),
		TAP_TEST(bad_text_is_reported_and_the_next_is_well),
		TAP_TEST(lines_are_counted_from_the_text),
		TAP_TEST(one_program_takes_the_place_of_its_shell),
		TAP_TEST(a_program_is_told_what_its_shell_would_be),
		TAP_TEST(plain_words_need_no_shell_from_the_third_time_on),
		TAP_TEST(an_event_loop_is_told_of_what_was_handed_back),
		TAP_TEST(an_event_loop_sleeps_until_the_end_of_a_shell_is_told),
		TAP_TEST(what_the_environment_defines_is_no_program),
		TAP_TEST(output_comes_merged_or_apart),
		TAP_TEST(the_end_does_not_wait_for_who_keeps_the_output),
		TAP_TEST(a_timeout_ends_the_tree_and_keeps_the_output),
		TAP_TEST(a_session_keeps_its_state),
		TAP_TEST(a_session_outlives_the_end_of_its_shell),
		TAP_TEST(a_shared_session_keeps_its_directory_when_its_shell_is_killed_between_two_texts),
		TAP_TEST(a_shell_killed_between_two_calls_is_replaced),
		TAP_TEST(the_sub_shell_that_waits_may_be_killed),
		TAP_TEST(a_session_survives_a_timeout),
		TAP_TEST(a_session_leaves_the_numbers_of_descriptors_to_its_texts),
		TAP_TEST(a_session_that_tells_of_an_end_itself_is_none_the_longer_waited_for),
		TAP_TEST(an_event_loop_is_told_of_everything),
		TAP_TEST(an_event_loop_is_told_of_an_end_that_another_wait_has_taken),
		TAP_TEST(a_timeout_holds_for_a_shell_that_does_not_come_to_it),
		TAP_TEST(long_text_and_long_output_come_whole),
		TAP_TEST(input_is_read_by_a_text_or_a_command),
		TAP_TEST(output_can_be_taken_as_it_comes),
		TAP_TEST(variables_and_directory_are_of_one_call),
		TAP_TEST(words_run_without_a_shell),
		TAP_TEST(while_the_shell_is_busy_others_run),
		TAP_TEST(a_run_can_be_stopped_and_let_go_of),
		TAP_TEST(a_text_that_is_stopped_has_not_ended_well),
		TAP_TEST(who_follows_a_shell_that_was_killed_is_run),
		TAP_TEST(in_a_session_no_loop_is_around_a_text),
		TAP_TEST(in_a_plain_sh_no_text_leaves_the_loop_around_it),
		TAP_TEST(a_session_runs_nothing_where_it_was_not_to_be),
		TAP_TEST(the_next_shell_of_a_session_stands_where_the_last_one_ended),
		TAP_TEST(a_text_may_begin_with_a_hyphen),
		TAP_TEST(a_reset_begins_anew),
		TAP_TEST(after_a_reset_a_shell_waits_where_one_was_used),
		TAP_TEST(who_runs_text_in_one_sandbox_finds_a_shell_in_the_next),
		TAP_TEST(a_shell_that_waits_may_be_harmed),
		TAP_TEST(none_waits_that_would_run_a_file_of_the_image),
		TAP_TEST(shells_start_behind_the_entrypoint),
		TAP_TEST(an_entrypoint_that_becomes_no_shell_is_told),
		TAP_TEST(a_result_can_be_forged_in_the_warm_shell_alone),
		TAP_TEST(wrong_asks_are_refused),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
