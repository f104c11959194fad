/* SPDX-License-Identifier: Apache-2.0
 *
 * world_test.h - real sandboxes for the tests of this room, and a look at what they leave
 *
 * A struct world is a HUTCH_HOME of the test's own, a handle, and a spec of the machine's programs.
 * world_done() takes the census: no process, no descriptor, no name and no directory may be left.
 * Only tests include it.
 */
#ifndef HUTCH_API_WORLD_TEST_H
#define HUTCH_API_WORLD_TEST_H

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/scratch.h"
#include "hutch.h"
#include "tap.h"

struct world {
	struct scratch s;
	struct hutch *hutch;
	struct hutch_spec *spec;
	struct hutch_error e;
	int descriptors; /* before */
};

/* Whether this machine can have sandboxes. */
static inline bool world_possible(void)
{
	static int known = -1;
	struct hutch_check *checks;
	size_t n;

	if (known < 0 && hutch_doctor(&checks, &n, NULL) == 0) {
		known = 1;
		for (size_t i = 0; i < n; i++)
			if (checks[i].level == HUTCH_CHECK_REQUIRED && !checks[i].ok)
				known = 0;
		hutch_doctor_free(checks);
	}
	if (known != 1)
		skip("this machine can have no sandboxes, `hutch doctor` says why");
	return known == 1;
}

/* The directory and the spec, without a handle. */
static inline bool world_prepare(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->descriptors = scratch_descriptors();
	if (!scratch_open(&w->s) || hutch_spec_new(&w->spec, NULL) < 0)
		exit(1);
	setenv("HUTCH_HOME", w->s.path, 1);
	if (!world_possible())
		return false;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* orphans are ours: they are seen */
	return ok(hutch_spec_set(w->spec, "host", "true", &w->e) == 0, "%s", w->e.message);
}

static inline bool world_open(struct world *w)
{
	return world_prepare(w) &&
	       ok(hutch_open(NULL, &w->hutch, &w->e) == 0, "%s", w->e.message);
}

static inline struct hutch_box *world_start(struct world *w)
{
	struct hutch_box *box = NULL;

	ok(hutch_box_start(w->hutch, w->spec, NULL, &box, &w->e) == 0, "%s", w->e.message);
	return box;
}

/* A file of a process in /proc, "" where there is none. Return: its length, less than @room. */
static inline size_t world_proc(pid_t pid, const char *name, char *text, size_t room)
{
	char path[64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "r");
	if (f) {
		n = fread(text, 1, room - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return n;
}

/* One of its words begins with @begin. A zombie has none. */
static inline bool world_proc_word(pid_t pid, const char *begin)
{
	char text[512];
	size_t n = world_proc(pid, "cmdline", text, sizeof(text));

	for (size_t at = 0; at < n; at += strlen(text + at) + 1)
		if (!strncmp(text + at, begin, strlen(begin)))
			return true;
	return false;
}

/* So begins the program of each warm shell (box/shell_begin.c). */
static const char world_shell[] = "if [ -n \"$BASH_VERSION\"";

/* Names in run/, boxes/ and trash/, but for the file of the ranges and what waits for its next use.
 */
static inline int world_names(const struct world *w)
{
	int n = 0;

	for (int i = 0; i < 3; i++) {
		static const char *const dirs[] = {"run", "data/boxes", "data/trash"};
		int here = scratch_names(&w->s, dirs[i]);

		n += here > 0 ? here : 0;
	}
	return n - scratch_has(&w->s, "run/ranges") - scratch_has(&w->s, "run/.free");
}

static inline void world_done(struct world *w)
{
	int names = -1, left = 1;

	hutch_close(w->hutch);
	hutch_spec_free(w->spec);
	for (int i = 0; i < 400; i++) { /* helpers end by themselves, the sweeper works on */
		while ((left = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
			;
		left = left < 0 && errno == ECHILD ? 0 : 1;
		names = world_names(w);
		if (!left && names == 0)
			break;
		usleep(10000);
	}
	ok(!left, "a process is left");
	is_int(names, 0);
	scratch_close(&w->s);
	is_int(scratch_descriptors(), w->descriptors);
}

#define auto_world __attribute__((cleanup(world_done))) struct world

/* Runs a script in @box to its end; *out (to be freed; may be NULL) is what it wrote. */
static inline struct hutch_result world_sh(struct world *w, struct hutch_box *box,
					   const char *script, char **out)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_result r = {.size = sizeof(r), .exit_code = -1};
	struct hutch_proc *p = NULL;
	char *text = calloc(1, 4096);
	size_t len = 0;
	ssize_t n;

	o.io[1].kind = HUTCH_STDIO_PIPE;
	if (!text || !ok(hutch_box_exec(box, &o, &p, &w->e) == 0, "%s", w->e.message)) {
		free(text);
		return r;
	}
	ok(hutch_proc_wait(p, 20000, -1, &r, &w->e) == 1, "%s", w->e.message);
	while (len < 4095 && (n = read(hutch_proc_fd(p, 1), text + len, 4095 - len)) > 0)
		len += (size_t)n;
	hutch_proc_free(p);
	if (out)
		*out = text;
	else
		free(text);
	return r;
}

/* Runs @text in the shell, or in a session, and looks at what it wrote. */
static inline void world_text(struct world *w, struct hutch_box *box, const char *text, const char *session, const char *want)
{
	struct hutch_run_options o = {.size = sizeof(o), .text = text, .session = session};
	struct hutch_output out = {.size = sizeof(out)};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run;

	if (!ok(hutch_run_start(box, &o, &run, &w->e) == 0, "%s", w->e.message))
		return;
	ok(hutch_run_wait(run, 10000, -1, &r, &w->e) == 1, "%s", w->e.message);
	is_int(hutch_run_output(run, 1, &out, &w->e), 0);
	is_str(out.data ? out.data : "", want);
	hutch_run_free(run);
}

#endif
