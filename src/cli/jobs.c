/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs.c - hutch jobs, hutch job: the list of a sandbox's jobs, and their end
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/background.h"
#include "cli/cli.h"
#include "cli/living.h"
#include "cli/opt.h"
#include "cli/spec_words.h"

/* ---- the list --------------------------------------------------------------------------------- */

static void state_of(const struct hutch_job *j, char *ret, size_t room)
{
	if (j->running)
		snprintf(ret, room, "running");
	else if (j->result.end == HUTCH_END_TIMEOUT)
		snprintf(ret, room, "timeout");
	else
		snprintf(ret, room, "exited (%d)", j->result.exit_code);
}

static void print_size(uint64_t n)
{
	static const char units[] = "BKMGTPE";
	int i = 0;

	while (n >= 10240 && units[i + 1]) {
		n /= 1024;
		i++;
	}
	printf("%*" PRIu64 "%c ", 6, n, units[i]);
}

static void print_table(const struct hutch_job *v, size_t n)
{
	printf("%-16s %-13s %7s %6s %7s %s\n", "JOB", "STATE", "PID", "AGE", "OUTPUT", "COMMAND");
	for (size_t i = 0; i < n; i++) {
		int64_t s = (int64_t)time(NULL) - v[i].started_ms / 1000;
		char state[24], age[24], command[sizeof(v[i].command)];

		state_of(&v[i], state, sizeof(state));
		snprintf(age, sizeof(age), "%" PRId64 "%c", s < 120 ? s : s < 7200 ? s / 60 : s / 3600,
			 s < 120 ? 's' : s < 7200 ? 'm' : 'h');
		snprintf(command, sizeof(command), "%s", v[i].command);
		str_one_line(command);
		printf("%-16s %-13s %7d %6s ", v[i].id, state, v[i].pid, age);
		print_size(v[i].written);
		puts(command);
	}
}

/* Commands may have any bytes. */
static void key_text(struct js_out *o, const char *key, const char *text)
{
	char clean[600];

	snprintf(clean, sizeof(clean), "%s", text);
	if (!str_utf8(clean, strlen(clean)))
		for (char *c = clean; *c; c++)
			*c = (unsigned char)*c < 128 ? *c : '?';
	js_key(o, key);
	js_str(o, clean);
}

static void key_int(struct js_out *o, const char *key, int64_t n)
{
	js_key(o, key);
	js_int(o, n);
}

static void add_result(struct js_out *o, const struct hutch_job *j)
{
	static const char *const ends[] = {"exit", "signal", "timeout", "not_run", "shell_died"};
	const struct hutch_result *x = &j->result;

	key_text(o, "end", x->end >= 0 && x->end < 5 ? ends[x->end] : "unknown");
	key_int(o, "exit_code", x->exit_code);
	key_int(o, "signal", x->signal);
	key_int(o, "ended_ms", j->ended_ms);
	key_int(o, "user_us", (int64_t)x->user_us);
	key_int(o, "system_us", (int64_t)x->system_us);
	key_int(o, "maxrss_bytes", (int64_t)x->maxrss_bytes);
	key_int(o, "duration_us", (int64_t)x->duration_us);
}

static void print_json(const struct hutch_job *v, size_t n)
{
	auto_buf struct buf b = BUF_INIT(4 << 20);
	struct js_out o = {.b = &b};

	js_open(&o, '[');
	for (size_t i = 0; i < n; i++) {
		js_open(&o, '{');
		key_text(&o, "id", v[i].id);
		key_text(&o, "state", v[i].running ? "running" : "ended");
		key_int(&o, "pid", v[i].pid);
		key_int(&o, "started_ms", v[i].started_ms);
		key_int(&o, "written", (int64_t)v[i].written);
		key_int(&o, "kept", (int64_t)v[i].kept);
		key_text(&o, "command", v[i].command);
		if (!v[i].running)
			add_result(&o, &v[i]);
		js_close(&o, '}');
	}
	js_close(&o, ']');
	if (!buf_bad(&b))
		puts(b.data);
}

int cli_jobs(int argc, char **argv)
{
	bool help = false, json = false;
	const struct opt own[] = {{.name = "json", .on = &json, .help = "a list of objects"},
				  {.name = "help", .on = &help, .help = "this"},
				  {0}};
	struct hutch_job *v = NULL;
	struct living l = {0};
	struct hutch_error why;
	struct opt_rest rest;
	struct err e = {0};
	size_t n = 0;
	int r = opt_parse(argv + 1, own, NULL, &rest, &e);

	(void)argc;
	if (r == 0 && help)
		return spec_words_usage("usage: hutch jobs [--json] NAME\n\nList the jobs of a sandbox.\n\n", own);
	if (r == 0 && rest.n != 1)
		r = err_set(&e, ERR_INVALID, "the name of one sandbox is needed");
	if (r == 0)
		r = living_open_any(&l, rest.words[0], &e);
	if (r >= 0 && (l.box ? hutch_job_list(l.box, &v, &n, &why) :
			       hutch_stopped_job_list(l.hutch, rest.words[0], &v, &n, &why)) < 0)
		r = cli_carry(&why, &e);
	living_close(&l);
	if (r < 0)
		return cli_fail(e.msg);
	if (json)
		print_json(v, n);
	else
		print_table(v, n);
	free(v);
	return 0;
}

/* ---- their end -------------------------------------------------------------------------------- */

struct job_words {
	bool stop; /* else kill */
	int signal;
	uint64_t grace_ms;
};

static int act(const struct job_words *w, struct hutch_box *box, const char *id, struct hutch_error *why)
{
	struct hutch_job_stop_options o = {.size = sizeof(o), .signal = w->signal, .grace_ms = w->grace_ms};

	if (!w->stop)
		return hutch_job_signal(box, id, w->signal, why);
	return hutch_job_stop(box, id, &o, NULL, NULL, why);
}

/* Every job in turn; all are tried, the first failure decides. */
static int each(const struct job_words *w, char **words)
{
	struct living l = {0};
	struct hutch_error why;
	struct err e = {0};
	int status = 0;

	if (living_open(&l, words[0], &e) < 0)
		return cli_fail(e.msg);
	for (char **id = words + 1; *id; id++)
		if (act(w, l.box, *id, &why) < 0)
			status = cli_fail(why.message);
	living_close(&l);
	return status;
}

static int parse(struct job_words *w, const char *signal, const char *grace, struct err *e)
{
	struct hutch_error why;

	w->signal = signal ? hutch_signal_number(signal, &why) : w->stop ? SIGTERM : SIGKILL;
	if (w->signal < 0) {
		(void)cli_carry(&why, e);
		return err_wrap(e, "--signal '%s'", signal);
	}
	if (!grace)
		return 0;
	if (!w->stop)
		return err_set(e, ERR_INVALID, "--time is for `hutch job stop`");
	if (!strcmp(grace, "0")) {
		w->signal = SIGKILL;
		return 0;
	}
	return background_time("--time", grace, &w->grace_ms, e);
}

int cli_job(int argc, char **argv)
{
	bool help = false;
	const char *signal = NULL, *grace = NULL;
	const struct opt own[] = {
		{.name = "signal", .letter = 's', .text = &signal, .value = "SIGNAL",
		 .help = "name or number (default: stop TERM, kill KILL)"},
		{.name = "time", .letter = 't', .text = &grace, .value = "TIME",
		 .help = "stop: from the signal to the end of all that the job started (default: 10)"},
		{.name = "help", .on = &help, .help = "this"},
		{0},
	};
	const char *verb = argc > 1 ? argv[1] : "";
	struct job_words w = {.stop = !strcmp(verb, "stop")};
	struct opt_rest rest;
	struct err e = {0};
	int r;

	if (!w.stop && strcmp(verb, "kill") && strcmp(verb, "--help"))
		return cli_fail("job wants a verb: stop or kill (see `hutch job --help`)");
	r = opt_parse(argv + (*verb == '-' ? 1 : 2), own, NULL, &rest, &e);
	if (r == 0 && help)
		return spec_words_usage("usage: hutch job stop [-s SIGNAL] [-t TIME] NAME JOB...\n"
				"       hutch job kill [-s SIGNAL] NAME JOB...\n\n"
				"stop: end jobs with all that they started, and forget them.\n"
				"kill: send a signal; how they end can still be asked for.\n\n", own);
	if (r == 0 && rest.n < 2)
		r = err_set(&e, ERR_INVALID, "a sandbox and at least one job are needed (`hutch jobs NAME` lists them)");
	if (r == 0)
		r = parse(&w, signal, grace, &e);
	return r < 0 ? cli_fail(e.msg) : each(&w, rest.words);
}
