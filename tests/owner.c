/* SPDX-License-Identifier: Apache-2.0
 *
 * owner.c - a program with sandboxes, for a test that kills whatever it likes of it
 *
 * usage: owner [--detached] [--seed N] ROOTFS
 *	  owner --make NAME ROOTFS	makes a detached sandbox, as programs do (its keeper comes from a nursery), and ends
 *
 * How it works: BOXES sandboxes get work made by chance, and each step is told in a line:
 *
 *	ok WORK			the result was right
 *	killed WORK: TEXT	its command or shell was killed, and the result said so
 *	died WORK: TEXT		the call said that the sandbox is gone; there is a new one in its place
 *	wrong WORK: TEXT	anything else
 *
 * Of detached sandboxes it says before and after what is done to them: "starting", "made NAME PID" (its keeper's),
 * "ending NAME", "ended NAME".
 *
 * A letter on standard input asks for code inside that loops kill(-1, SIGSTOP) (s) or kill(-1, SIGKILL)
 * (k), as which commands, runs, sessions and then a reset or a delete are tried: every call must come
 * back within LONGEST_S (a shell that is stopped as it starts takes ten), and after the reset all must be
 * right again. The end of standard input ends this program and its sandboxes, the detached ones too.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

enum { BOXES = 3, LONGEST_S = 15, SHORT_MS = 300 };

static struct hutch *hutch;
static struct hutch_spec *spec;
static struct hutch_box *boxes[BOXES];
static unsigned flags, number;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What came of a step. Return: the sandbox can go on. */
static bool tell(const char *what, int r, const struct hutch_error *e)
{
	const char *how = r == 0 ? "ok" : r == WORK_KILLED ? "killed" : r == HUTCH_E_DIED ? "died" : "wrong";

	char text[sizeof(e->message)] = "";

	for (size_t i = 0; r && e->message[i] && i < sizeof(text) - 1; i++)
		text[i] = e->message[i] == '\n' ? ' ' : e->message[i];
	if (r == 0)
		printf("ok %s\n", what);
	else
		printf("%s %s: %d %s\n", how, what, r, text);
	return r == 0 || r == WORK_KILLED;
}

static int make(const char *name)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_box *box;
	struct hutch_error e;

	if (hutch_spec_set(spec, "name", name, &e) < 0 ||
	    hutch_box_start(hutch, spec, &o, &box, &e) < 0) {
		fprintf(stderr, "owner: %s\n", e.message);
		return 1;
	}
	hutch_box_close(box);
	return 0;
}

static int pid_of(const char *name)
{
	struct hutch_listed *v;
	struct hutch_error e;
	int pid = 0;
	size_t n;

	if (hutch_list(hutch, &v, &n, &e) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(v[i].name, name))
			pid = v[i].pid;
	free(v);
	return pid;
}

/* It is there for others from now on. */
static void made(struct hutch_box *box)
{
	struct hutch_error e;

	if (hutch_box_wait_ready(box, &e) == 0)
		printf("made %s %d\n", hutch_box_name(box), pid_of(hutch_box_name(box)));
}

static struct hutch_box *start(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = flags};
	struct hutch_box *box = NULL;
	struct hutch_error e;
	int r;

	if (flags)
		printf("starting\n");
	r = hutch_box_start(hutch, spec, &o, &box, &e);
	(void)tell("start", r < 0 ? r : 0, &e);
	if (r == 0 && flags)
		made(box);
	return r < 0 ? NULL : box;
}

static void end(struct hutch_box **box)
{
	struct hutch_error e;
	char name[256];
	int r;

	snprintf(name, sizeof(name), "%s", hutch_box_name(*box));
	if (flags)
		printf("ending %s\n", name);
	r = hutch_box_delete(*box, &e);
	*box = NULL;
	(void)tell("delete", r < 0 ? r : 0, &e);
	if (flags)
		printf("ended %s\n", name);
}

static void step(int at)
{
	enum work kind = (enum work)(rand() % WORK_KINDS);
	struct hutch_error e;

	if (!boxes[at])
		boxes[at] = start();
	if (boxes[at] && (!tell(work_name(kind), work_do(boxes[at], kind, number++, &e), &e) || rand() % 8 == 0))
		end(&boxes[at]);
}

/* ---- code inside that stops or kills everybody ---------------------------------------------------- */

static void in_time(const char *what, double since)
{
	if (now() - since > LONGEST_S)
		printf("wrong %s: it took %.1f s\n", what, now() - since);
}

static bool begin_loop(struct hutch_box *box, char letter)
{
	const char *const argv[] = {
		"bash", "-c", letter == 's' ? "while :; do kill -STOP -1; done" : "while :; do kill -KILL -1; done", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_error e;
	struct hutch_proc *p;
	int r = hutch_box_exec(box, &o, &p, &e);

	if (r < 0)
		return tell("loop", r, &e);
	hutch_proc_free(p);
	nanosleep(&(struct timespec){.tv_nsec = 5000000 + rand() % 20000000}, NULL);
	return true;
}

/* Whatever comes is fine, as long as it comes. */
static void try_command(struct hutch_box *box)
{
	static const char *const argv[] = {"true", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv, .timeout_ms = SHORT_MS};
	struct hutch_result res = {.size = sizeof(res)};
	double since = now();
	struct hutch_error e;
	struct hutch_proc *p;

	if (hutch_box_exec(box, &o, &p, &e) >= 0) {
		if (hutch_proc_wait(p, LONGEST_S * 1000, -1, &res, &e) == 0)
			printf("wrong exec: beside a loop it does not end\n");
		hutch_proc_free(p);
	}
	in_time("exec", since);
}

static void try_text(struct hutch_box *box, const char *session, unsigned how)
{
	struct hutch_run_options o = {
		.size = sizeof(o), .flags = how, .text = "echo x", .session = session, .timeout_ms = SHORT_MS};
	struct hutch_result res = {.size = sizeof(res)};
	double since = now();
	struct hutch_error e;
	struct hutch_run *run;

	if (hutch_run_start(box, &o, &run, &e) >= 0) {
		if (hutch_run_wait(run, LONGEST_S * 1000, -1, &res, &e) == 0)
			printf("wrong run: beside a loop it does not end\n");
		hutch_run_free(run);
	}
	in_time(session ? "session" : "run", since);
}

static void after_loop(struct hutch_box **box)
{
	static const enum work must[] = {WORK_RUN, WORK_EXEC, WORK_SESSION, WORK_FILE};
	struct hutch_error e;
	double since = now();
	int r = hutch_box_reset(*box, &e);

	if (tell("reset beside a loop", r, &e))
		for (int i = 0; i < 4 && r == 0; i++) {
			r = work_do(*box, must[i], number++, &e);
			(void)tell(work_name(must[i]), r == WORK_KILLED ? WORK_WRONG : r, &e);
		}
	in_time("reset", since);
	if (r)
		end(box);
}

static void loop(int at, char letter)
{
	double since;

	if (!boxes[at])
		boxes[at] = start();
	if (!boxes[at] || !begin_loop(boxes[at], letter)) { /* somebody was killed just now */
		printf("unlooped %c\n", letter);
		return;
	}
	for (int i = 0; i < 3; i++)
		switch (rand() % 4) {
		case 0: try_command(boxes[at]); break;
		case 1: try_text(boxes[at], NULL, 0); break;
		case 2: try_text(boxes[at], NULL, HUTCH_RUN_CLEAN); break;
		default: try_text(boxes[at], "s", 0); break;
		}
	if (rand() % 2) {
		after_loop(&boxes[at]);
	} else {
		since = now();
		end(&boxes[at]);
		in_time("delete", since);
	}
	printf("looped %c\n", letter);
}

/* ---- all of it ------------------------------------------------------------------------------------ */

/* What is asked for. Return: false at the end. */
static bool asked(void)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};
	char letter;

	if (poll(&p, 1, 0) <= 0)
		return true;
	if (read(0, &letter, 1) != 1)
		return false;
	loop(rand() % BOXES, letter);
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"detached", no_argument, NULL, 'd'}, {"seed", required_argument, NULL, 'r'},
		{"make", required_argument, NULL, 'm'}, {0}};
	const char *name = NULL;
	struct hutch_error e;
	int opt, r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((opt = getopt_long(argc, argv, "", options, NULL)) > 0)
		if (opt == 'd')
			flags = HUTCH_START_DETACHED;
		else if (opt == 'r')
			srand((unsigned)strtoul(optarg, NULL, 10));
		else if (opt == 'm')
			name = optarg;
		else
			return 2;
	if (!argv[optind] || hutch_open(NULL, &hutch, &e) < 0 || hutch_spec_new(&spec, &e) < 0 ||
	    hutch_spec_set(spec, "rootfs", argv[optind], &e) < 0) {
		fprintf(stderr, "owner: %s\n", argv[optind] ? e.message : "there must be a root file system");
		return 1;
	}
	r = name ? make(name) : 0;
	while (!name && asked())
		step(rand() % BOXES);
	for (int i = 0; i < BOXES; i++)
		if (boxes[i])
			end(&boxes[i]);
	hutch_spec_free(spec);
	hutch_close(hutch);
	return r;
}
