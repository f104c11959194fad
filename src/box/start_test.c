/* SPDX-License-Identifier: Apache-2.0
 *
 * start_test.c - a start that fails, at whichever step, says so and leaves nothing
 *
 * The file under test is included: its table says which steps there are.
 */
#include "box/start.c"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/scratch.h"
#include "tap.h"

struct made {
	struct scratch s;
	struct home *h;
	struct spec *spec;
	struct err e;
};

static void made_done(struct made *m)
{
	home_close(m->h);
	spec_free(m->spec);
	for (int i = 0; i < 300 && waitpid(-1, NULL, WNOHANG | __WALL) >= 0; i++)
		usleep(10000); /* what the nursery leaves ends by itself */
	ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD, "a process is left");
	scratch_close(&m->s);
}

static void begin(struct made *m)
{
	struct home_ask ask = {.keep_spare = false};

	memset(m, 0, sizeof(*m));
	m->spec = spec_new();
	if (!m->spec || !scratch_open(&m->s))
		exit(1);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* so that orphans are seen */
	scratch_dir(&m->s, "rootfs", 0755);
	setenv("HUTCH_HOME", m->s.path, 1);
	unsetenv("HUTCH_FAULT");
	ok(home_open(&ask, &m->h, &m->e) == 0, "%s", m->e.msg);
}

static void set(struct made *m, const char *field, const char *text)
{
	ok(spec_set(m->spec, field, text, &m->e) == 0, "%s", m->e.msg);
}

static void set_rootfs(struct made *m)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/rootfs", m->s.path);
	set(m, "rootfs", path);
}

/* Directories that still have something; "": none. */
static const char *left(struct made *m)
{
	static char text[200];

	text[0] = '\0';
	for (int tries = 0; tries < 200; tries++) { /* the sweeper works in the background */
		text[0] = '\0';
		for (int i = 0; i < 3; i++) {
			static const char *const dirs[] = {"run", "data/boxes", "data/trash"};
			int n = scratch_names(&m->s, dirs[i]);

			n -= i == 0 && scratch_has(&m->s, "run/ranges");
			n -= i == 0 && scratch_has(&m->s, "run/.free"); /* names to be used again */
			if (n)
				sprintf(text + strlen(text), "%s: %d ", dirs[i], n);
		}
		if (!*text)
			break;
		usleep(10000);
	}
	return text;
}

/* Starts, which must fail with @code and leave nothing. Return: milliseconds it took. */
static uint64_t fails(struct made *m, int code, const char *words)
{
	int before = scratch_descriptors();
	uint64_t since = sys_now_ns(), took;
	struct box *b = NULL;
	int r = box_start(m->h, m->spec, true, false, &b, &m->e);

	took = (sys_now_ns() - since) / 1000000;
	ok(r == code, "%d, not %d: %s", r, code, m->e.msg);
	ok(strstr(m->e.msg, words), "'%s' is not in: %s", words, m->e.msg);
	ok(!b);
	is_str(left(m), "");
	is_int(scratch_descriptors(), before);
	if (r == 0)
		box_delete(b, NULL);
	return took;
}

static void a_start_that_fails_at_any_step_leaves_nothing(void)
{
#ifdef HUTCH_DEBUG
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		auto_with(made_done) struct made m;
		char point[64], words[64];
		uint64_t ms;

		begin(&m);
		set_rootfs(&m);
		set(&m, "name", "ab");
		/* Passes are counted from the begin of the program, of whichever point is asked
		 * for. */
		snprintf(point, sizeof(point), "%s:%zu", steps[i].name, i + 1);
		setenv("HUTCH_FAULT", point, 1);
		snprintf(words, sizeof(words), "fault point '%s'", steps[i].name);
		ms = fails(&m, ERR_SYSTEM, words);
		ok(ms < 2000, "%s took %llu ms", steps[i].name, (unsigned long long)ms);
		ok(!strncmp(m.e.msg, i ? "start 'ab': " : "start: ", i ? 12 : 7), "%s", m.e.msg);
		unsetenv("HUTCH_FAULT");
	}
#else
	skip("not a debug build: it has no fault points");
#endif
}

static void only_the_point_that_was_named_fails(void)
{
	struct err e = {0};

	setenv("HUTCH_FAULT", "some point", 1); /* without a number */
	is_int(fault("some point", &e), 0);
	setenv("HUTCH_FAULT", "some point:100", 1);
	is_int(fault("some", &e), 0);
	is_int(fault("some point", &e), 0);
	is_int(fault("some point:100", &e), 0);
	unsetenv("HUTCH_FAULT");
	is_int(fault("some point", &e), 0);
}

static void a_name_taken_is_reported_and_nothing_is_left(void)
{
	auto_with(made_done) struct made m;
	struct box *b = NULL;
	uint64_t since;

	begin(&m);
	set_rootfs(&m);
	set(&m, "name", "ab");
	if (!ok(box_start(m.h, m.spec, true, false, &b, &m.e) == 0, "%s", m.e.msg))
		return;
	since = sys_now_ns();
	ok(box_start(m.h, m.spec, true, false, &(struct box *){NULL}, &m.e) == ERR_EXISTS);
	ok(sys_now_ns() - since < 2000000000u, "it took long to say so");
	is_str(m.e.msg, "start 'ab': the name 'ab' is taken");
	ok(scratch_has(&m.s, "run/ab/lock"), "the first one still has it");
	is_int(box_delete(b, &m.e), 0);
	is_str(left(&m), "");
}

static void what_cannot_be_started_is_told_before_anything_is_made(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	fails(&m, ERR_INVALID, "");		  /* no root file system */
	set(&m, "image", "alpine");
	fails(&m, ERR_UNSUPPORTED, "--rootfs DIR"); /* names the ways out */
}

static void a_rootfs_that_is_gone_is_reported_and_nothing_is_left(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	set_rootfs(&m);
	scratch_remove(m.s.fd, "rootfs");
	fails(&m, ERR_NOT_FOUND, "rootfs': no such directory");
	scratch_file(&m.s, "rootfs", 0644, "");
	fails(&m, ERR_INVALID, "is a file");
}

/* What the keeper finds out comes back by message. */
static void what_only_the_keeper_sees_is_reported_and_nothing_is_left(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	set_rootfs(&m);
	scratch_link(&m.s, "/tmp", "rootfs/proc");
	fails(&m, ERR_INVALID, "'/proc' of the root file system is a link");
}

static void a_start_without_waiting_tells_its_failure_later(void)
{
	auto_with(made_done) struct made m;
	struct box *b = NULL;

	begin(&m);
	set_rootfs(&m);
	scratch_link(&m.s, "/tmp", "rootfs/sys");
	if (!ok(box_start(m.h, m.spec, false, false, &b, &m.e) == 0, "%s", m.e.msg))
		return;
	is_int(box_wait_ready(b, &m.e), ERR_INVALID);
	is_int(box_wait_ready(b, &m.e), ERR_INVALID);
	ok(!strncmp(m.e.msg, "start '", 7), "%s", m.e.msg);
	is_int(box_delete(b, &m.e), 0);
	is_str(left(&m), "");
}

/* No process of the sandbox is known yet, and none may be waited for in vain. */
static void a_sandbox_that_is_deleted_at_once_leaves_nothing(void)
{
	auto_with(made_done) struct made m;
	struct box *b = NULL;
	uint64_t since;

	begin(&m);
	set_rootfs(&m);
	if (!ok(box_start(m.h, m.spec, false, false, &b, &m.e) == 0, "%s", m.e.msg))
		return;
	since = sys_now_ns();
	is_int(box_delete(b, &m.e), 0);
	ok(sys_now_ns() - since < 2000000000u);
	is_str(left(&m), "");
}

static void names_that_are_made_are_unlike(void)
{
	auto_free char *one = NULL, *two = NULL;
	struct err e = {0};

	is_int(start_make_name("", &one, &e), 0);
	is_int(start_make_name("", &two, &e), 0);
	is_int(strlen(one), 12);
	is_int(strspn(one, "0123456789abcdef"), 12);
	ok(strcmp(one, two));
}

/* gethostbyname() takes those for addresses, and finds nothing. One of 280 would be. */
static void no_name_that_is_made_is_a_number(void)
{
	struct err e = {0};

	for (int i = 0; i < 5000; i++) {
		auto_free char *name = NULL;

		if (!ok(start_make_name("", &name, &e) == 0, "%s", e.msg) || !ok(strspn(name, "0123456789") < 12, "%s", name))
			return;
	}
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_start_that_fails_at_any_step_leaves_nothing),
		TAP_TEST(only_the_point_that_was_named_fails),
		TAP_TEST(a_name_taken_is_reported_and_nothing_is_left),
		TAP_TEST(what_cannot_be_started_is_told_before_anything_is_made),
		TAP_TEST(a_rootfs_that_is_gone_is_reported_and_nothing_is_left),
		TAP_TEST(what_only_the_keeper_sees_is_reported_and_nothing_is_left),
		TAP_TEST(a_start_without_waiting_tells_its_failure_later),
		TAP_TEST(a_sandbox_that_is_deleted_at_once_leaves_nothing),
		TAP_TEST(names_that_are_made_are_unlike),
		TAP_TEST(no_name_that_is_made_is_a_number),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
