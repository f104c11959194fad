/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.c - a caller of libhutch that runs commands beside an attack
 *
 *	driver FIELD=VALUE... -- TIMES [USER] -- ATTACK [ARG...]
 *
 * Starts a sandbox with the fields, in it the attack, and once that has printed a line, TIMES times
 * "true" (as USER; where that is "runs": three runs, then the end of the runner that has come with them, if it has;
 * where it is "starts": three commands, and that of the starter).
 * Prints what the attack prints, and then
 *	exec I END CODE MS MESSAGE	how each ended, and after how many milliseconds
 *	delete MS			how long the end of the sandbox took
 */
#include <hutch.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void check(int code, const char *step, const struct hutch_error *why)
{
	if (code >= 0)
		return;
	fprintf(stderr, "%s: %s\n", step, why->message);
	exit(125);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pass_on(int fd, int wait)
{
	char text[4096];
	ssize_t n;

	fcntl(fd, F_SETFL, wait ? 0 : O_NONBLOCK);
	while ((n = read(fd, text, sizeof(text))) > 0) {
		fwrite(text, 1, (size_t)n, stdout);
		if (wait)
			return;
	}
}

static void one(struct hutch_box *box, const char *user, int i)
{
	static const char *const words[] = {"true", NULL};
	struct hutch_exec_options exec = {
		.size = sizeof(exec), .argv = words, .user = user, .timeout_ms = 5000};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_proc *proc;
	struct hutch_error why;
	long since = now_ms();

	if (hutch_box_exec(box, &exec, &proc, &why) < 0 ||
	    hutch_proc_wait(proc, 10000, -1, &r, &why) < 0) {
		printf("exec %d failed 0 %ld %s\n", i, now_ms() - since, why.message);
		return;
	}
	printf("exec %d %d %d %ld %s\n", i, r.end, r.exit_code, now_ms() - since, r.message);
	hutch_proc_free(proc);
}

static int run(struct hutch_box *box, const char *const *argv, struct hutch_result *r, struct hutch_error *why)
{
	struct hutch_run_options o = {.size = sizeof(o), .argv = argv, .timeout_ms = 5000};
	struct hutch_run *run;
	int code = hutch_run_start(box, &o, &run, why);

	if (code >= 0) {
		code = hutch_run_wait(run, 10000, -1, r, why);
		hutch_run_free(run);
	}
	return code;
}

static void runs(struct hutch_box *box, int i)
{
	static const char *const words[] = {"true", NULL}, *const end[] = {"sh", "-c", "kill -9 $PPID", NULL};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_error why;
	long since = now_ms();
	int code = 0;

	for (int k = 0; k < 3 && code >= 0; k++)
		code = run(box, words, &r, &why);
	if (code < 0)
		printf("exec %d failed 0 %ld %s\n", i, now_ms() - since, why.message);
	else
		printf("exec %d %d %d %ld %s\n", i, r.end, r.exit_code, now_ms() - since, r.message);
	(void)run(box, end, &r, &why);
}

static void starts(struct hutch_box *box, int i)
{
	static const char *const end[] = {
		"sh", "-c", "for p in /proc/[0-9]*; do c=; read -r c <$p/comm; [ \"$c\" = hutch-starter ] && kill -9 ${p#/proc/}; done", NULL};
	struct hutch_exec_options exec = {.size = sizeof(exec), .argv = end, .timeout_ms = 5000};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_error why;
	struct hutch_proc *proc;

	exec.io[2] = (struct hutch_stdio){.kind = HUTCH_STDIO_NULL};
	for (int k = 0; k < 3; k++)
		one(box, NULL, i);
	usleep(10000); /* it begins when nothing else is to do */
	one(box, NULL, i);
	if (hutch_box_exec(box, &exec, &proc, &why) < 0)
		return;
	(void)hutch_proc_wait(proc, 10000, -1, &r, &why);
	hutch_proc_free(proc);
}

int main(int argc, char **argv)
{
	struct hutch_exec_options exec = {.size = sizeof(exec),
					  .io = {{0}, {.kind = HUTCH_STDIO_PIPE}, {2, 2}}};
	struct hutch_spec *spec;
	struct hutch_error why;
	struct hutch_proc *attack;
	struct hutch_box *box;
	struct hutch *hutch;
	const char *user = NULL;
	int i = 1, times, in_runs, in_starts;
	long since;

	exec.io[2] = (struct hutch_stdio){HUTCH_STDIO_FD, 2};
	check(hutch_spec_new(&spec, &why), "spec", &why);
	for (; i < argc && strcmp(argv[i], "--"); i++) {
		char *value = strchr(argv[i], '=');

		*value++ = '\0';
		check(hutch_spec_set(spec, argv[i], value, &why), argv[i], &why);
	}
	times = atoi(argv[++i]);
	if (strcmp(argv[++i], "--"))
		user = argv[i++];
	in_runs = user && !strcmp(user, "runs");
	in_starts = user && !strcmp(user, "starts");
	user = in_runs || in_starts ? NULL : user;
	exec.argv = (const char *const *)argv + i + 1;
	exec.user = user;
	check(hutch_open(NULL, &hutch, &why), "open", &why);
	check(hutch_box_start(hutch, spec, NULL, &box, &why), "start", &why);
	check(hutch_box_exec(box, &exec, &attack, &why), "attack", &why);
	pass_on(hutch_proc_fd(attack, 1), 1);
	for (int k = 0; k < times; k++)
		if (in_runs)
			runs(box, k);
		else if (in_starts)
			starts(box, k);
		else
			one(box, user, k);
	pass_on(hutch_proc_fd(attack, 1), 0);
	hutch_proc_free(attack);
	since = now_ms();
	check(hutch_box_delete(box, &why), "delete", &why);
	printf("delete %ld\n", now_ms() - since);
	hutch_close(hutch);
	hutch_spec_free(spec);
	return 0;
}
