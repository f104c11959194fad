/* SPDX-License-Identifier: Apache-2.0
 *
 * box_test.c - sandboxes and commands in them, through nothing but hutch.h
 */
#include "hutch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "api/world_test.h"
#include "base/own.h"

static struct hutch_result run(struct world *w, struct hutch_box *box, struct hutch_exec_options *o)
{
	struct hutch_result r = {.size = sizeof(r), .exit_code = -1};
	struct hutch_proc *p = NULL;

	if (ok(hutch_box_exec(box, o, &p, &w->e) == 0, "%s", w->e.message))
		ok(hutch_proc_wait(p, 20000, -1, &r, &w->e) == 1, "%s", w->e.message);
	hutch_proc_free(p);
	return r;
}

static struct hutch_result run_argv(struct world *w, struct hutch_box *box, const char *const *argv)
{
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};

	return run(w, box, &o);
}

/* ---- how a command ends ---------------------------------------------------------------------- */

static void the_result_is_the_commands_own(void)
{
	auto_world w;
	auto_free char *out = NULL;
	struct hutch_box *box;
	struct hutch_result r;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	r = world_sh(&w, box, "echo hello; exit 7", &out);
	ok(r.end == HUTCH_END_EXIT && r.exit_code == 7 && !r.signal, "%d", r.exit_code);
	is_str(out, "hello\n");
	is_str(r.message, "");
	ok(r.maxrss_bytes > 0);
	r = world_sh(&w, box, "kill -TERM $$", NULL);
	ok(r.end == HUTCH_END_SIGNAL && r.signal == SIGTERM && r.exit_code == 128 + SIGTERM);
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void what_cannot_run_says_why(void)
{
	auto_world w;
	struct hutch_box *box;
	struct hutch_result r;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	r = run_argv(&w, box, (const char *const[]){"no-such-program", NULL});
	ok(r.end == HUTCH_END_NOT_RUN && r.exit_code == 127, "%d", r.exit_code);
	ok(strstr(r.message, "no-such-program"), "%s", r.message);
	r = run_argv(&w, box, (const char *const[]){"/etc/passwd", NULL});
	ok(r.end == HUTCH_END_NOT_RUN && r.exit_code == 126, "%d", r.exit_code);
	r = run_argv(&w, box, (const char *const[]){"", NULL});
	ok(r.end == HUTCH_END_NOT_RUN && r.exit_code == 127, "%d", r.exit_code);
	hutch_box_delete(box, NULL);
}

static void a_command_has_its_time(void)
{
	const char *const argv[] = {"sh", "-c", "trap '' TERM; sleep 100", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv, .timeout_ms = 100};
	auto_world w;
	struct hutch_box *box;
	struct hutch_result r;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	r = run(&w, box, &o);
	ok(r.end == HUTCH_END_TIMEOUT && r.exit_code == 124, "%d", r.exit_code);
	r = world_sh(&w, box, "exit 0", NULL);
	is_int(r.exit_code, 0); /* the sandbox lives on */
	hutch_box_delete(box, NULL);
}

static void the_main_commands_end_is_the_sandboxes(void)
{
	const char *const argv[] = {"sh", "-c", "sleep 100 & exit 3", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv, .flags = HUTCH_EXEC_MAIN};
	auto_world w;
	struct hutch_proc *p = NULL;
	struct hutch_box *box;
	struct hutch_result r;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	r = run(&w, box, &o);
	is_int(r.exit_code, 3);
	o.flags = 0;
	for (int i = 0; i < 2; i++)
		if (hutch_box_exec(box, &o, &p, &w.e) == 0)
			ok(hutch_proc_wait(p, 5000, -1, &r, &w.e) == HUTCH_E_DIED, "%s",
			   w.e.message);
	is_int(w.e.code, HUTCH_E_DIED);
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* For one command, with one more field. */
static void once(const char *field, const char *value)
{
	struct hutch_start_options start = {.size = sizeof(start), .flags = HUTCH_START_ONCE};
	const char *const argv[] = {"sh", "-c", "cat; test -e /made; echo $? >/dev/shm/seen; cat /dev/shm/seen; exit 5", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv, .flags = HUTCH_EXEC_MAIN,
				       .io = {{.kind = HUTCH_STDIO_PIPE}, {.kind = HUTCH_STDIO_PIPE}}};
	struct hutch_run_options text = {.size = sizeof(text), .text = "true"};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_box *box = NULL, *fork = NULL;
	struct hutch_proc *p = NULL;
	struct hutch_run *run = NULL;
	char seen[8] = "", *name = NULL;
	int made = -1;
	auto_world w;

	if (!world_open(&w))
		return;
	if (field)
		ok(hutch_spec_set(w.spec, field, value, &w.e) == 0, "%s", w.e.message);
	if (!ok(hutch_box_start(w.hutch, w.spec, &start, &box, &w.e) == 0, "%s", w.e.message))
		return;
	/* What comes after the command is not to be had, before it was started either. */
	is_int(hutch_box_reset(box, &w.e), HUTCH_E_STATE);
	is_int(hutch_run_start(box, &text, &run, &w.e), HUTCH_E_STATE);
	is_int(hutch_box_snapshot(box, NULL, &name, &w.e), HUTCH_E_STATE);
	is_int(hutch_box_fork(box, NULL, NULL, 1, 0, &fork, &w.e), HUTCH_E_STATE);
	usleep(30000); /* what it has no use for is dropped */
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
	is_int(world_sh(&w, box, "echo >/made", NULL).exit_code, 0); /* beside it */
	ok(hutch_file_open(box, "/made", HUTCH_FILE_READ, 0, &made, &w.e) == 0, "%s", w.e.message);
	is_int(read(made, seen, sizeof(seen)), 1);
	close_fd(&made);
	close(hutch_proc_take_fd(p, 0));
	is_int(hutch_proc_wait(p, 10000, -1, &r, &w.e), 1);
	is_int(r.exit_code, 5);
	is_int(read(hutch_proc_fd(p, 1), seen, sizeof(seen) - 1), 2);
	is_str(seen, "0\n");
	hutch_proc_free(p);
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void one_for_one_command_knows_it_from_the_start(void)
{
	struct hutch_start_options both = {.size = sizeof(both), .flags = HUTCH_START_ONCE | HUTCH_START_DETACHED};
	struct hutch_box *box = NULL;
	auto_world w;

	once(NULL, NULL);
	once("security_opt", "userns");
	once("upper", "tmpfs");
	once("spare", "true");
	once("network", "host");
	if (!world_open(&w))
		return;
	is_int(hutch_box_start(w.hutch, w.spec, &both, &box, &w.e), HUTCH_E_INVALID);
	ok(strstr(w.e.message, "HUTCH_START_ONCE"), "%s", w.e.message);
}

static void a_signal_reaches_the_command(void)
{
	const char *const argv[] = {"sh", "-c",
				    "trap 'exit 9' USR1; echo; while :; do sleep 0.05; done", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv,
				       .io = {[1] = {.kind = HUTCH_STDIO_PIPE}}};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *p = NULL;
	auto_world w;
	struct hutch_box *box;
	char c;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
	is_int(read(hutch_proc_fd(p, 1), &c, 1), 1); /* its trap is set */
	is_int(hutch_proc_signal(p, SIGUSR1, &w.e), 0);
	is_int(hutch_proc_wait(p, 10000, -1, &r, &w.e), 1);
	is_int(r.exit_code, 9);
	hutch_box_delete(box, NULL);
}

/* A shell waits for its child first. */
static void a_signal_for_the_group_reaches_what_the_command_waits_for(void)
{
	const char *const argv[] = {"sh", "-c", "echo; sleep 4747; exit 4", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv, .io = {[1] = {.kind = HUTCH_STDIO_PIPE}}};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *p = NULL;
	auto_world w;
	struct hutch_box *box;
	char c;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
	is_int(read(hutch_proc_fd(p, 1), &c, 1), 1);
	is_int(hutch_proc_wait(p, 100, -1, &r, &w.e), 0); /* it sleeps */
	is_int(hutch_proc_signal(p, SIGINT, &w.e), 0);
	is_int(hutch_proc_wait(p, 200, -1, &r, &w.e), 0);
	is_int(hutch_proc_signal_group(p, SIGINT, &w.e), 0);
	is_int(hutch_proc_wait(p, 10000, -1, &r, &w.e), 1);
	is_int(r.exit_code, 128 + SIGINT);
	hutch_box_delete(box, NULL);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void pipes_are_the_callers_until_he_takes_them(void)
{
	const char *const argv[] = {"cat", NULL};
	struct hutch_exec_options o = {
		.size = sizeof(o),
		.argv = argv,
		.io = {{.kind = HUTCH_STDIO_PIPE}, {.kind = HUTCH_STDIO_PIPE}}};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *p = NULL;
	auto_world w;
	struct hutch_box *box;
	char text[8] = "";
	int in;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
	in = hutch_proc_take_fd(p, 0);
	ok(in >= 0 && hutch_proc_fd(p, 0) == -1 && hutch_proc_take_fd(p, 0) == -1);
	is_int(hutch_proc_fd(p, 2), -1);
	is_int(hutch_proc_fd(p, 3), -1);
	is_int(hutch_proc_fd(p, -1), -1);
	is_int(hutch_proc_take_fd(p, 3), -1);
	ok(write(in, "text", 4) == 4);
	close(in);
	is_int(hutch_proc_wait(p, 10000, -1, &r, &w.e), 1);
	is_int(read(hutch_proc_fd(p, 1), text, 7), 4);
	is_str(text, "text");
	hutch_box_delete(box, NULL);
}

/* Whoever starts it: the keeper does the first ones, and then the starter. */
static void what_is_not_given_is_dev_null(void)
{
	enum { TIMES = 6 };
	const char *const look[] = {"sh", "-c", "a=$(for i in 0 1 2; do [ $(stat -Lc %t:%T /proc/$$/fd/$i) = 1:3 ] || echo $i; done); "
				    "echo x; read y || echo end$a >>/root/o", NULL};
	const char *const cat[] = {"cat", "/root/o", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = cat, .io = {[1] = {.kind = HUTCH_STDIO_PIPE}}};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *p = NULL;
	struct hutch_box *box;
	char text[128] = "";
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < TIMES; i++) {
		is_int(run_argv(&w, box, look).exit_code, 0);
		usleep(10000); /* the starter begins when nothing is to do */
	}
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
	is_int(hutch_proc_wait(p, 10000, -1, &r, &w.e), 1);
	ok(read(hutch_proc_fd(p, 1), text, sizeof(text) - 1) > 0);
	is_str(text, "end\nend\nend\nend\nend\nend\n");
	hutch_proc_free(p);
	hutch_box_delete(box, NULL);
}

static void a_loop_of_events_can_wait(void)
{
	const char *const argv[] = {"true", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_result r = {.size = sizeof(r)};
	struct pollfd f = {.events = POLLIN};
	struct hutch_proc *p = NULL;
	auto_world w;
	struct hutch_box *box;
	int rc = 0;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
	f.fd = hutch_box_fd(box);
	for (int i = 0; i < 10 && rc == 0; i++) {
		is_int(poll(&f, 1, 10000), 1);
		rc = hutch_proc_wait(p, 0, -1, &r, &w.e);
	}
	is_int(rc, 1);
	is_int(r.exit_code, 0);
	hutch_box_delete(box, NULL);
}

/* ---- stop and start --------------------------------------------------------------------------- */

static int state_of(struct world *w, const char *name)
{
	struct hutch_listed *v = NULL;
	int state = -1;
	size_t n = 0;

	is_int(hutch_list(w->hutch, &v, &n, &w->e), 0);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].name, name))
			state = v[i].state;
	free(v);
	return state;
}

static void one_that_was_stopped_goes_on_with_its_files(void)
{
	const char *const put[] = {"sh", "-c", "echo kept >/file", NULL};
	const char *const get[] = {"sh", "-c", "read x </file && [ $x = kept ]", NULL};
	struct hutch_start_options so = {.size = sizeof(so), .flags = HUTCH_START_DETACHED};
	struct hutch_box *box = NULL, *own;
	char *json = NULL;
	auto_world w;

	if (!world_open(&w))
		return;
	is_int(hutch_spec_set(w.spec, "name", "stops", &w.e), 0);
	for (int round = 0; round < 2; round++) {
		if (!ok(hutch_box_start(w.hutch, w.spec, &so, &box, &w.e) == 0, "%s", w.e.message))
			return;
		is_int(state_of(&w, "stops"), HUTCH_RUNNING);
		is_int(hutch_remove(w.hutch, "stops", &w.e), HUTCH_E_STATE);
		is_int(run_argv(&w, box, put).exit_code, 0);
		ok(hutch_box_stop(box, 1000, &w.e) == 0, "%s", w.e.message);
		ok(hutch_box_stop(box, 1000, &w.e) == 0, "again: %s", w.e.message);
		is_int(hutch_box_kill(box, SIGTERM, &w.e), HUTCH_E_DIED);
		is_str(hutch_box_remark(box), "");
		hutch_box_close(box);
		is_int(state_of(&w, "stops"), HUTCH_STOPPED);
		is_int(hutch_box_attach(w.hutch, "stops", &box, &w.e), HUTCH_E_DIED);
		is_int(hutch_box_start(w.hutch, w.spec, &so, &box, &w.e), HUTCH_E_EXISTS);
		ok(hutch_box_start_stopped(w.hutch, "stops", NULL, &box, &w.e) == 0, "%s", w.e.message);
		is_int(run_argv(&w, box, get).exit_code, 0);
		ok(hutch_stopped_spec(w.hutch, "stops", &json, &w.e) == 0 && strstr(json, "\"stops\""), "%s", json);
		free(json);
		if (round == 0) {
			is_int(hutch_box_delete(box, &w.e), 0);
		} else {
			is_int(hutch_box_kill(box, SIGKILL, &w.e), 0);
			hutch_box_close(box);
			is_int(hutch_remove(w.hutch, "stops", &w.e), 0);
		}
		is_int(state_of(&w, "stops"), -1);
		is_int(hutch_box_start_stopped(w.hutch, "stops", NULL, &box, &w.e), HUTCH_E_NOT_FOUND);
		is_int(hutch_remove(w.hutch, "stops", &w.e), HUTCH_E_NOT_FOUND);
	}
	is_int(hutch_spec_clear(w.spec, "name", &w.e), 0);
	own = world_start(&w);
	is_int(hutch_box_stop(own, 0, &w.e), HUTCH_E_STATE);
	is_int(hutch_box_kill(own, SIGTERM, &w.e), HUTCH_E_STATE);
	hutch_box_delete(own, NULL);
	is_int(hutch_signal_number("TERM", &w.e), SIGTERM);
	is_int(hutch_signal_number("no such", &w.e), HUTCH_E_INVALID);
}

/* ---- options of other versions --------------------------------------------------------------- */

/* An older caller's struct ends earlier: what stands behind it is not his. */
static void members_beyond_the_size_are_not_looked_at(void)
{
	const char *const argv[] = {"sh", "-c", "pwd; id -u; [ -t 0 ] || echo notty", NULL};
	struct hutch_exec_options o;
	struct hutch_start_options so;
	auto_world w;
	struct hutch_box *box = NULL;

	if (!world_open(&w))
		return;
	memset(&so, 0xff, sizeof(so));
	so.size = offsetof(struct hutch_start_options, flags);
	ok(hutch_box_start(w.hutch, w.spec, &so, &box, &w.e) == 0, "%s", w.e.message);
	memset(&o, 0xff, sizeof(o));
	o.size = offsetof(struct hutch_exec_options, argv) + sizeof(o.argv);
	o.flags = 0;
	o.argv = argv;
	is_int(run(&w, box, &o).exit_code, 0);
	o.size = offsetof(struct hutch_exec_options, argv) + 1; /* half of it is not it */
	ok(hutch_box_exec(box, &o, &(struct hutch_proc *){NULL}, &w.e) == HUTCH_E_INVALID,
	   "the spec has no command: %s", w.e.message);
	hutch_box_delete(box, NULL);
}

static void an_older_open_does_not_ask_for_what_it_does_not_know(void)
{
	struct hutch_open_options o;
	auto_world w;

	if (!world_prepare(&w))
		return;
	memset(&o, 0xff, sizeof(o)); /* `like` is no pointer */
	o.size = offsetof(struct hutch_open_options, like);
	o.flags = 0;
	ok(hutch_open(&o, &w.hutch, &w.e) == 0, "%s", w.e.message);
	hutch_close(w.hutch);
	w.hutch = NULL;
	o.size = 0;
	o.flags = 0xffffffff;
	ok(hutch_open(&o, &w.hutch, &w.e) == 0, "%s", w.e.message);
}

static void a_shorter_result_is_filled_as_far_as_it_goes(void)
{
	static const size_t sizes[] = {sizeof(size_t), offsetof(struct hutch_result, exit_code),
				       offsetof(struct hutch_result, user_us),
				       sizeof(struct hutch_result)};
	const char *const argv[] = {"sh", "-c", "exit 5", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	auto_world w;
	struct hutch_box *box;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct hutch_proc *p = NULL;
		struct hutch_result r;

		memset(&r, 0xaa, sizeof(r));
		r.size = sizes[i];
		ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
		is_int(hutch_proc_wait(p, 10000, -1, &r, &w.e), 1);
		is_int(r.size, sizes[i]);
		for (size_t k = sizes[i]; k < sizeof(r); k++)
			if (((unsigned char *)&r)[k] != 0xaa &&
			    !ok(false, "byte %zu of %zu", k, sizes[i]))
				break;
		is_int(hutch_proc_wait(p, 0, -1, NULL, &w.e), 1); /* nobody has to want it */
	}
	hutch_box_delete(box, NULL);
}

static void nothing_is_no_handle(void)
{
	struct hutch_error e = {0};

	is_int(hutch_box_start(NULL, NULL, NULL, &(struct hutch_box *){NULL}, &e), HUTCH_E_INVALID);
	is_int(hutch_box_exec(NULL, NULL, &(struct hutch_proc *){NULL}, &e), HUTCH_E_INVALID);
	is_int(hutch_box_wait_ready(NULL, &e), HUTCH_E_INVALID);
	is_int(hutch_proc_wait(NULL, 0, -1, NULL, &e), HUTCH_E_INVALID);
	is_int(hutch_proc_signal(NULL, 9, NULL), HUTCH_E_INVALID);
	is_int(hutch_proc_signal_group(NULL, 9, NULL), HUTCH_E_INVALID);
	is_int(hutch_cleanup(NULL, 0, &e), HUTCH_E_INVALID);
	is_int(hutch_box_delete(NULL, &e), 0);
	hutch_proc_free(NULL);
	hutch_close(NULL);
}

/* ---- many at once, and too little ------------------------------------------------------------ */

static void *one_life(void *p)
{
	struct world w = *(struct world *)p;
	const char *const argv[] = {"sh", "-c", "exit 4", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_result r = {.size = sizeof(r), .exit_code = -1};
	struct hutch_box *box = NULL;
	struct hutch_proc *proc = NULL;

	for (int i = 0; i < 3; i++) {
		if (hutch_box_start(w.hutch, w.spec, NULL, &box, &w.e) < 0)
			return strdup(w.e.message);
		if (hutch_box_exec(box, &o, &proc, &w.e) < 0 ||
		    hutch_proc_wait(proc, 20000, -1, &r, &w.e) != 1 || r.exit_code != 4)
			return strdup(w.e.message);
		if (hutch_box_delete(box, &w.e) < 0)
			return strdup(w.e.message);
	}
	return NULL;
}

static void threads_may_use_one_handle(void)
{
	auto_world w;
	pthread_t t[4];
	void *said;

	if (!world_open(&w))
		return;
	for (int i = 0; i < 4; i++)
		ok(pthread_create(&t[i], NULL, one_life, &w) == 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &said);
		ok(!said, "thread %d: %s", i, (char *)said);
		free(said);
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A life with room for @more descriptors. Return: whether it went well. */
static bool life_with(struct world *w, int more)
{
	struct rlimit was, few;
	struct hutch_box *box = NULL;
	struct hutch *hutch = NULL;
	uint64_t since = now_ms();
	int r;

	getrlimit(RLIMIT_NOFILE, &was);
	few = was;
	few.rlim_cur = (rlim_t)(scratch_descriptors() + more);
	setrlimit(RLIMIT_NOFILE, &few);
	w->e = (struct hutch_error){0};
	r = hutch_open(NULL, &hutch, &w->e);
	if (r == 0)
		r = hutch_box_start(hutch, w->spec, NULL, &box, &w->e);
	if (r == 0)
		r = run_argv(w, box, (const char *const[]){"true", NULL}).exit_code ? -99 : 0;
	(void)hutch_box_delete(box, NULL);
	hutch_close(hutch);
	setrlimit(RLIMIT_NOFILE, &was);
	ok(r == 0 || w->e.code < 0, "%d more: %d without a reason", more, r);
	ok(r == 0 || w->e.message[0], "%d more: no words", more);
	ok(now_ms() - since < 4000, "%d more: it took %d ms: %s", more, (int)(now_ms() - since),
	   w->e.message);
	return r == 0;
}

static void too_few_descriptors_are_told_in_time(void)
{
	auto_world w;
	int more = 0;

	if (!world_prepare(&w))
		return;
	while (more < 60 && !life_with(&w, more))
		more++;
	ok(more > 3 && more < 60, "%d descriptors were enough: %s", more, w.e.message);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(the_result_is_the_commands_own),
		TAP_TEST(what_cannot_run_says_why),
		TAP_TEST(a_command_has_its_time),
		TAP_TEST(the_main_commands_end_is_the_sandboxes),
		TAP_TEST(one_for_one_command_knows_it_from_the_start),
		TAP_TEST(a_signal_reaches_the_command),
		TAP_TEST(a_signal_for_the_group_reaches_what_the_command_waits_for),
		TAP_TEST(pipes_are_the_callers_until_he_takes_them),
		TAP_TEST(what_is_not_given_is_dev_null),
		TAP_TEST(a_loop_of_events_can_wait),
		TAP_TEST(members_beyond_the_size_are_not_looked_at),
		TAP_TEST(an_older_open_does_not_ask_for_what_it_does_not_know),
		TAP_TEST(a_shorter_result_is_filled_as_far_as_it_goes),
		TAP_TEST(one_that_was_stopped_goes_on_with_its_files),
		TAP_TEST(nothing_is_no_handle),
		TAP_TEST(threads_may_use_one_handle),
		TAP_TEST(too_few_descriptors_are_told_in_time),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
