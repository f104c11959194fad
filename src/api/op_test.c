/* SPDX-License-Identifier: Apache-2.0
 *
 * op_test.c - resets, snapshots and the like that are begun, and waited for on a descriptor
 */
#include <poll.h>

#include "api/world_test.h"
#include "base/own.h"

enum { FORKS = 5 };

static void says(struct world *w, struct hutch_box *box, const char *script, const char *want)
{
	char *out = NULL;

	(void)world_sh(w, box, script, &out);
	is_str(out ? out : "", want);
	free(out);
}

/* As an event loop does it. Return: as hutch_op_wait(). */
static int by_descriptor(struct world *w, struct hutch_op *op)
{
	int fd = hutch_op_fd(op, &w->e), r = fd < 0 ? fd : hutch_op_wait(op, 0, &w->e);

	for (int i = 0; i < 200 && r == 0; i++) {
		struct pollfd p = {fd, POLLIN, 0};

		(void)poll(&p, 1, 100);
		r = hutch_op_wait(op, 0, &w->e);
	}
	return r;
}

#define DONE(w, begun, op)                                                                                             \
	(ok((begun) == 0, "%s", (w)->e.message) && is_int(by_descriptor(w, op), 1) && is_int(hutch_op_wait(op, -1, NULL), 1))

static void each_does_what_the_whole_one_does(void)
{
	auto_world w;
	struct hutch_box *box, *forks[FORKS];
	struct hutch_op *op = NULL;
	size_t len = 0;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	says(&w, box, "echo 1 >/root/f; cat /root/f", "1\n");
	if (DONE(&w, hutch_snapshot_start(box, NULL, &op, &w.e), op))
		is_str(hutch_op_text(op, &len), "0");
	is_int((int)len, 1);
	hutch_op_free(op);
	says(&w, box, "echo 2 >/root/f; echo n >/root/n", "");
	if (DONE(&w, hutch_diff_start(box, "0", NULL, &op, &w.e), op))
		ok((hutch_op_text(op, &len), len == strlen("C /root/f") + strlen("A /root/n") + 2) &&
		   !strcmp(hutch_op_text(op, NULL), "C /root/f"), "%zu '%s'", len, hutch_op_text(op, NULL));
	hutch_op_free(op);
	if (DONE(&w, hutch_fork_start(box, NULL, NULL, FORKS, 0, &op, &w.e), op))
		is_int((int)hutch_op_boxes(op, forks), FORKS);
	is_int((int)hutch_op_boxes(op, forks), 0);
	hutch_op_free(op);
	for (int i = 0; i < FORKS; i++)
		says(&w, forks[i], "cat /root/f", "2\n");
	if (DONE(&w, hutch_restore_start(box, "0", 0, &op, &w.e), op))
		says(&w, box, "cat /root/f", "1\n");
	hutch_op_free(op);
	if (DONE(&w, hutch_reset_start(box, 0, &op, &w.e), op))
		says(&w, box, "ls /root", "");
	hutch_op_free(op);
	for (int i = 0; i < FORKS; i++) {
		(void)DONE(&w, hutch_delete_start(forks[i], &op, &w.e), op);
		hutch_op_free(op);
	}
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void one_at_a_time_and_nothing_is_started_that_it_would_end(void)
{
	static const char *const argv[] = {"true", NULL};
	struct hutch_exec_options x = {.size = sizeof(x), .argv = argv};
	struct hutch_run_options o = {.size = sizeof(o), .text = "true"};
	auto_world w;
	struct hutch_box *box;
	struct hutch_op *op = NULL, *second = NULL;
	struct hutch_proc *p = NULL;
	struct hutch_run *run = NULL;
	char *name;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	ok(hutch_reset_start(box, 0, &op, &w.e) == 0, "%s", w.e.message);
	is_int(hutch_snapshot_start(box, NULL, &second, &w.e), HUTCH_E_BUSY);
	ok(strstr(w.e.message, "a reset of sandbox") != NULL, "%s", w.e.message);
	is_int(hutch_box_snapshot(box, NULL, &name, &w.e), HUTCH_E_BUSY);
	is_int(hutch_box_reset(box, &w.e), HUTCH_E_BUSY);
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_BUSY);
	is_int(hutch_box_exec(box, &x, &p, &w.e), HUTCH_E_BUSY);
	hutch_op_free(op); /* waits */
	says(&w, box, "echo well", "well\n");
	ok(hutch_snapshot_start(box, "a", &op, &w.e) == 0, "%s", w.e.message);
	says(&w, box, "echo beside", "beside\n"); /* that ends nothing */
	is_int(hutch_run_start(box, &o, &run, &w.e), HUTCH_E_BUSY); /* but its shells will have to go elsewhere */
	o.flags = HUTCH_RUN_CLEAN;
	if (is_int(hutch_run_start(box, &o, &run, &w.e), 0))
		is_int(hutch_run_wait(run, -1, -1, NULL, &w.e), 1);
	hutch_run_free(run);
	is_int(hutch_op_wait(op, -1, &w.e), 1);
	hutch_op_free(op);
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* Both are of the same thread: one that waited for the other would wait for ever. */
static void the_list_is_there_while_one_is_made(void)
{
	const struct hutch_start_options detached = {.size = sizeof(detached), .flags = HUTCH_START_DETACHED};
	auto_world w;
	struct hutch_box *box, *second = NULL;
	struct hutch_op *op = NULL;
	struct hutch_snapshot *v = NULL;
	char *name = NULL;
	size_t n = 9;

	if (!world_open(&w) || !ok(hutch_box_start(w.hutch, w.spec, &detached, &box, &w.e) == 0, "%s", w.e.message))
		return;
	ok(hutch_box_snapshot(box, "first", &name, &w.e) == 0, "%s", w.e.message);
	free(name);
	says(&w, box, "echo 1 >/root/f", "");
	ok(hutch_snapshot_start(box, "second", &op, &w.e) == 0, "%s", w.e.message);
	is_int(hutch_box_snapshots(box, &v, &n, &w.e), 0);
	is_int((int)n, 1);
	free(v);
	if (ok(hutch_box_attach(w.hutch, hutch_box_name(box), &second, &w.e) == 0, "%s", w.e.message)) {
		is_int(hutch_box_snapshots(second, &v, &n, &w.e), 0);
		is_int((int)n, 1);
		free(v);
	}
	hutch_box_close(second);
	is_int(hutch_box_snapshot_delete(box, "first", &w.e), HUTCH_E_BUSY);
	ok(strstr(w.e.message, "a snapshot of sandbox") != NULL, "%s", w.e.message);
	is_int(hutch_op_wait(op, -1, &w.e), 1);
	hutch_op_free(op);
	is_int(hutch_box_snapshots(box, &v, &n, &w.e), 0);
	is_int((int)n, 2);
	free(v);
	is_int(hutch_box_snapshot_delete(box, "first", &w.e), 0);
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void failures_are_those_of_the_whole_one(void)
{
	auto_world w;
	struct hutch_box *box;
	struct hutch_op *op = NULL;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	is_int(hutch_restore_start(box, "none", 0, &op, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_snapshot_start(box, "a/b", &op, &w.e), HUTCH_E_INVALID);
	is_int(hutch_fork_start(box, "none", NULL, 2, 0, &op, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_diff_start(box, "none", NULL, &op, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_op_wait(NULL, 0, &w.e), HUTCH_E_INVALID);
	is_int(hutch_box_fork(box, NULL, NULL, 0, 0, NULL, &w.e), 0); /* of none all are made */
	says(&w, box, "echo well", "well\n"); /* nothing is under way */
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* Whoever goes without having waited leaves nothing behind, and nothing half done. */
static void what_nobody_waits_for_is_done_all_the_same(void)
{
	auto_world w;
	struct hutch_box *box;
	struct hutch_op *op = NULL, *last = NULL;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	ok(hutch_fork_start(box, NULL, NULL, 3, 0, &op, &w.e) == 0, "%s", w.e.message);
	hutch_op_free(op); /* the three end with it */
	ok(hutch_delete_start(box, &op, &w.e) == 0, "%s", w.e.message);
	hutch_op_free(op);
	if (!(box = world_start(&w)))
		return;
	ok(hutch_reset_start(box, 0, &op, &w.e) == 0, "%s", w.e.message);
	is_int(hutch_box_delete(box, &w.e), 0); /* it ends with the box */
	is_int(hutch_op_wait(op, -1, &w.e), 1);
	hutch_op_free(op);
	if (!(box = world_start(&w)))
		return;
	ok(hutch_snapshot_start(box, NULL, &op, &w.e) == 0, "%s", w.e.message);
	ok(hutch_delete_start(box, &last, &w.e) == 0, "%s", w.e.message);
	is_int(hutch_op_wait(last, -1, &w.e), 1);
	hutch_op_free(last);
	hutch_op_free(op);
}

/* Stopped, it does not hear that it shall end. */
static void a_keeper_that_does_not_answer_is_killed(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_listed *v = NULL;
	auto_world w;
	struct hutch_box *box;
	struct hutch_op *op = NULL;
	size_t n = 0;

	if (!world_open(&w) || !ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
		return;
	if (ok(hutch_list(w.hutch, &v, &n, &w.e) == 0 && n == 1 && v[0].pid > 1))
		is_int(kill(v[0].pid, SIGSTOP), 0);
	free(v);
	ok(hutch_delete_start(box, &op, &w.e) == 0, "%s", w.e.message);
	is_int(by_descriptor(&w, op), 1);
	hutch_op_free(op);
}

/* Detached: the list says who its keeper is. */
static struct hutch_box *start_and_kill_keeper(struct world *w, const struct hutch_exec_options *first, struct hutch_proc **proc)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_listed *v = NULL;
	struct hutch_box *box;
	size_t n = 0;

	if (!ok(hutch_box_start(w->hutch, w->spec, &o, &box, &w->e) == 0, "%s", w->e.message))
		return NULL;
	ok(hutch_box_wait_ready(box, &w->e) == 0 && hutch_box_exec(box, first, proc, &w->e) == 0, "%s", w->e.message);
	if (ok(hutch_list(w->hutch, &v, &n, &w->e) == 0 && n == 1 && v[0].pid > 1)) {
		is_int(kill(v[0].pid, SIGKILL), 0);
		for (int i = 0; i < 5000 && kill(v[0].pid, 0) == 0; i++)
			usleep(1000);
	}
	free(v);
	return box;
}

/* Whatever is asked first after that: not that a pipe is broken. */
static void a_keeper_that_was_killed_meanwhile_is_told_of_as_the_end(void)
{
	const char *const argv[] = {"sleep", "1000", NULL};
	const struct hutch_exec_options first = {.size = sizeof(first), .argv = argv};
	auto_world w;

	if (!world_open(&w))
		return;
	for (int i = 0; i < 5; i++) {
		struct hutch_proc *proc = NULL;
		struct hutch_box *box = start_and_kill_keeper(&w, &first, &proc);
		struct hutch_error e = {0};
		auto_free char *name = NULL;
		int r;

		if (!box)
			return;
		r = i == 0 ? hutch_box_reset(box, &e) :
		    i == 1 ? hutch_proc_signal(proc, SIGTERM, &e) :
		    i == 2 ? hutch_box_snapshot(box, "a", &name, &e) :
		    i == 3 ? hutch_file_mkdir(box, "/root/d", 0, 0755, &e) :
			     hutch_box_kill(box, SIGTERM, &e);
		ok(r == HUTCH_E_DIED && strstr(e.message, "has ended"), "%d: %d %s", i, r, e.message);
		hutch_proc_free(proc);
		is_int(hutch_box_delete(box, &w.e), 0);
	}
}

static void flags_that_a_call_does_not_have_are_refused(void)
{
	enum { NONE = 1 << 20 };
	const struct hutch_open_options open = {.size = sizeof(open), .flags = NONE};
	const struct hutch_start_options start = {.size = sizeof(start), .flags = NONE};
	const struct hutch_exec_options exec = {.size = sizeof(exec), .flags = NONE};
	const struct hutch_run_options run = {.size = sizeof(run), .flags = NONE | HUTCH_RUN_APART, .text = "true"};
	const struct hutch_job_options job = {.size = sizeof(job), .flags = NONE, .text = "true"};
	struct hutch_stat st = {.size = sizeof(st)};
	struct hutch_box *box, *none = NULL;
	struct hutch_proc *proc = NULL;
	struct hutch_run *r = NULL;
	struct hutch_op *op = NULL;
	struct hutch *h = NULL;
	auto_world w;
	int fd = -1;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	is_int(hutch_open(&open, &h, &w.e), HUTCH_E_INVALID);
	is_int(hutch_box_start(w.hutch, w.spec, &start, &none, &w.e), HUTCH_E_INVALID);
	is_int(hutch_box_start_stopped(w.hutch, "x", &start, &none, &w.e), HUTCH_E_INVALID);
	is_int(hutch_box_exec(box, &exec, &proc, &w.e), HUTCH_E_INVALID);
	is_int(hutch_run_start(box, &run, &r, &w.e), HUTCH_E_INVALID);
	is_str(w.e.message, "0x100000: no flags of this call in this version");
	is_int(hutch_job_start(box, &job, NULL, &w.e), HUTCH_E_INVALID);
	is_int(hutch_box_restore(box, NULL, NONE, &w.e), HUTCH_E_INVALID);
	is_int(hutch_reset_start(box, NONE, &op, &w.e), HUTCH_E_INVALID);
	is_int(hutch_restore_start(box, NULL, NONE, &op, &w.e), HUTCH_E_INVALID);
	is_int(hutch_fork_start(box, NULL, NULL, 1, HUTCH_START_NOWAIT, &op, &w.e), HUTCH_E_INVALID);
	is_int(hutch_box_fork(box, NULL, NULL, 1, HUTCH_START_ONCE, &none, &w.e), HUTCH_E_INVALID);
	is_int(hutch_file_open(box, "/tmp", HUTCH_FILE_DIRECTORY | HUTCH_FILE_RECURSIVE, 0, &fd, &w.e), HUTCH_E_INVALID);
	is_int(hutch_file_stat(box, "/tmp", HUTCH_FILE_READ, &st, &w.e), HUTCH_E_INVALID);
	is_int(hutch_file_set(box, "/tmp", HUTCH_FILE_RECURSIVE, &st, &w.e), HUTCH_E_INVALID);
	is_int(hutch_file_mkdir(box, "/tmp/x", HUTCH_FILE_RECURSIVE, 0755, &w.e), HUTCH_E_INVALID);
	is_int(hutch_file_remove(box, "/tmp/x", HUTCH_FILE_PARENTS, &w.e), HUTCH_E_INVALID);
	is_int(hutch_copy_in(box, "/etc/passwd", "/tmp", NONE, &w.e), HUTCH_E_INVALID);
	is_int(hutch_copy_out(box, "/etc/passwd", w.s.path, NONE, &w.e), HUTCH_E_INVALID);
	hutch_box_delete(box, NULL);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(flags_that_a_call_does_not_have_are_refused),
		TAP_TEST(each_does_what_the_whole_one_does),
		TAP_TEST(one_at_a_time_and_nothing_is_started_that_it_would_end),
		TAP_TEST(the_list_is_there_while_one_is_made),
		TAP_TEST(failures_are_those_of_the_whole_one),
		TAP_TEST(what_nobody_waits_for_is_done_all_the_same),
		TAP_TEST(a_keeper_that_does_not_answer_is_killed),
		TAP_TEST(a_keeper_that_was_killed_meanwhile_is_told_of_as_the_end),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
