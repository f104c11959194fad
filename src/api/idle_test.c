/* SPDX-License-Identifier: Apache-2.0
 *
 * idle_test.c - what a sandbox keeps that nobody uses, and that it is as before when somebody does
 */
#include <ctype.h>
#include <dirent.h>

#include "api/world_test.h"
#include "base/own.h"

enum { IDLE_WITHIN_MS = 30000 };

static pid_t parent_of(pid_t pid)
{
	char text[512], *end = world_proc(pid, "stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;
	int parent = 0;

	return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool is_ours(pid_t pid)
{
	while (pid > 1 && pid != getpid())
		pid = parent_of(pid);
	return pid == getpid();
}

static bool is_shell(pid_t pid)
{
	return world_proc_word(pid, world_shell);
}

/* Sub-shells of shells of ours, which have been forked ahead. */
static bool is_sub_shell(pid_t pid)
{
	return is_shell(pid) && is_shell(parent_of(pid));
}

static bool sleeps(pid_t pid)
{
	return world_proc_word(pid, "4751");
}

static int count(bool (*is)(pid_t))
{
	auto_dir DIR *d = opendir("/proc");
	struct dirent *x;
	int n = 0;

	while (d && (x = readdir(d))) {
		pid_t pid = isdigit((unsigned char)x->d_name[0]) ? atoi(x->d_name) : 0;

		n += pid && is(pid) && is_ours(pid);
	}
	return n;
}

static int sub_shells(void)
{
	return count(is_sub_shell);
}

/* One that ends may be seen beside the next. */
static bool come_to(int n)
{
	for (int ms = 0; ms < 5000; ms++, usleep(1000))
		if (sub_shells() >= n)
			return true;
	return false;
}

/* Memory that the keepers of ours have alone, in KiB; 0: it is not ours to see. */
static long of_keepers(void)
{
	auto_dir DIR *d = opendir("/proc");
	struct dirent *x;
	long kib = 0;

	while (d && (x = readdir(d))) {
		pid_t pid = isdigit((unsigned char)x->d_name[0]) ? atoi(x->d_name) : 0;
		char text[4096], *at;

		if (!pid || !world_proc(pid, "comm", text, sizeof(text)) || strcmp(text, "hutch-keeper\n") != 0 || !is_ours(pid))
			continue;
		at = world_proc(pid, "smaps_rollup", text, sizeof(text)) ? strstr(text, "Private_Dirty:") : NULL;
		kib += at ? atol(at + strlen("Private_Dirty:")) : 0;
	}
	return kib;
}

/* What @text wrote, to be freed. @timeout_ms: at which it is to end; 0: none. */
static char *text_of(struct world *w, struct hutch_box *box, const char *text, unsigned timeout_ms)
{
	struct hutch_run_options o = {.size = sizeof(o), .text = text, .timeout_ms = timeout_ms};
	struct hutch_output out = {.size = sizeof(out)};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run;
	char *said;

	if (!ok(hutch_run_start(box, &o, &run, &w->e) == 0, "%s", w->e.message))
		return strdup("");
	ok(hutch_run_wait(run, 10000, -1, &r, &w->e) == 1, "%s", w->e.message);
	is_int((int)r.end, timeout_ms ? HUTCH_END_TIMEOUT : HUTCH_END_EXIT);
	is_int(hutch_run_output(run, 1, &out, &w->e), 0);
	said = strdup(out.data ? out.data : "");
	hutch_run_free(run);
	return said;
}

static void is_said(struct world *w, struct hutch_box *box, const char *text, unsigned timeout_ms, const char *want)
{
	auto_free char *said = text_of(w, box, text, timeout_ms);

	is_str(said, want);
}

/* A sub-shell that waits for a text leaves after a while, and the keeper gives back what it does not need. Who comes then
 * finds the same shell; that a text is on its way or was told to end does not depend on it. */
static void who_comes_after_long_finds_all_as_it_was(void)
{
	enum { BOXES = 5, ORPHAN = 4 };
	struct hutch_box *box[BOXES];
	char *shell[BOXES] = {NULL};
	char *name = NULL;
	long before, rested;
	auto_world w;

	if (!world_open(&w))
		return;
	for (int i = 0; i < BOXES; i++) {
		box[i] = world_start(&w);
		if (!box[i])
			return;
		shell[i] = text_of(&w, box[i], "echo $$ >/here; echo $$", 0);
	}
	world_text(&w, box[0], "cd /tmp; A=kept", "session", "");
	world_text(&w, box[ORPHAN], "(setsid sleep 4751 >/dev/null 2>&1 &)", NULL, "");
	ok(come_to(BOXES), "no sub-shell is forked ahead");
	before = of_keepers();
	for (int ms = 0; sub_shells() > 1 && ms < IDLE_WITHIN_MS; ms += 100)
		usleep(100000);
	usleep(500000);
	is_int(sub_shells(), 1); /* beside what a text has left behind one stays: a reset can tell them apart by that alone */
	rested = of_keepers();
	if (before)
		ok(rested <= before - BOXES * 16, "keepers had %ld KiB, and have %ld", before, rested);
	for (int i = 0; i < BOXES; i++)
		is_int(world_sh(&w, box[i], ":", NULL).exit_code, 0);
	usleep(300000);
	if (before) /* not given back again while somebody comes */
		ok(of_keepers() >= rested + BOXES * 4, "keepers had %ld KiB, and with a command %ld", rested, of_keepers());

	is_said(&w, box[0], "echo $$", 0, shell[0]);
	ok(come_to(2), "the next one is not forked ahead");
	is_said(&w, box[0], "echo $$", 0, shell[0]);
	world_text(&w, box[0], "echo $PWD $A", "session", "/tmp kept\n");

	/* Its sub-shell is not the one that said that it waits; and looks as if it waited. */
	is_said(&w, box[1], "exec 7</proc/$$/fd/7; echo begun; while :; do sleep 0.01; done", 300, "begun\n");
	is_said(&w, box[1], "echo $$", 0, shell[1]);

	ok(hutch_box_snapshot(box[2], NULL, &name, &w.e) == 0, "%s", w.e.message);
	free(name);
	is_said(&w, box[2], "echo $$", 0, shell[2]);

	ok(hutch_box_reset(box[3], &w.e) == 0, "%s", w.e.message);
	is_said(&w, box[3], "ls /here 2>/dev/null", 0, "");

	is_int(count(sleeps), 1);
	ok(hutch_box_reset(box[ORPHAN], &w.e) == 0, "%s", w.e.message);
	is_int(count(sleeps), 0);

	for (int i = 0; i < BOXES; i++) {
		hutch_box_delete(box[i], &w.e);
		free(shell[i]);
	}
}

int main(void)
{
	static const struct tap_test t[] = {TAP_TEST(who_comes_after_long_finds_all_as_it_was)};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
