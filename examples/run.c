/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - a command in a sandbox of its own, fed and read through pipes
 *
 *	cc run.c -o run $(pkg-config --cflags --libs hutch)
 *	./run [ROOTFS]		on an unpacked root file system, or on this machine's programs
 */
#include <hutch.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char letter[] = "whoever reads this is in a sandbox\n";

/* Every function that can fail fills the error and returns a negative code. */
static void check(int code, const char *step, const struct hutch_error *why)
{
	if (code >= 0)
		return;
	fprintf(stderr, "%s: %s\n", step, why->message);
	exit(125);
}

/* Feeds the command, prints what it says, and waits for its end. */
static struct hutch_result talk(struct hutch_proc *proc)
{
	struct hutch_result result = {.size = sizeof(result)};
	struct hutch_error why;
	char text[4096];
	ssize_t n;
	int to = hutch_proc_take_fd(proc, 0); /* ours now: closing it is the end of its input */

	if (write(to, letter, strlen(letter)) < 0)
		perror("write");
	close(to);
	while ((n = read(hutch_proc_fd(proc, 1), text, sizeof(text))) > 0)
		printf("inside: %.*s", (int)n, text);
	check(hutch_proc_wait(proc, -1, -1, &result, &why), "wait", &why);
	return result;
}

int main(int argc, char **argv)
{
	const char *const command[] = {"sh", "-c", "tr a-z A-Z; exit $((40 + 2))", NULL};
	struct hutch_exec_options exec = {
		.size = sizeof(exec),
		.argv = command,
		.io = {{.kind = HUTCH_STDIO_PIPE}, {.kind = HUTCH_STDIO_PIPE}, {HUTCH_STDIO_FD, 2}},
		.timeout_ms = 10000,
	};
	struct hutch_error why;
	struct hutch_result result;
	struct hutch_spec *spec;
	struct hutch_proc *proc;
	struct hutch_box *box;
	struct hutch *hutch;

	check(hutch_open(NULL, &hutch, &why), "open", &why);
	check(hutch_spec_new(&spec, &why), "spec", &why);
	if (argc > 1)
		check(hutch_spec_set(spec, "rootfs", argv[1], &why), "rootfs", &why);
	else
		check(hutch_spec_set(spec, "host", "true", &why), "host", &why);
	check(hutch_spec_set(spec, "tmpfs", "/scratch:size=16m", &why), "tmpfs", &why);

	check(hutch_box_start(hutch, spec, NULL, &box, &why), "start", &why);
	check(hutch_box_exec(box, &exec, &proc, &why), "exec", &why);
	result = talk(proc);
	if (result.end == HUTCH_END_NOT_RUN)
		printf("not run: %s\n", result.message);
	else
		printf("ended with %d\n", result.exit_code);

	check(hutch_box_delete(box, &why), "delete", &why);
	hutch_spec_free(spec);
	hutch_close(hutch);
	return 0;
}
