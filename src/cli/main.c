/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the list of commands
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"

const struct cli_command cli_commands[] = {
	{"run", cli_run, "run a command in a new sandbox"},
	{"create", cli_create, "make a sandbox that lives until it is removed"},
	{"exec", cli_exec, "run a command in a living sandbox"},
	{"shell", cli_shell, "an interactive shell in a living sandbox"},
	{"jobs", cli_jobs, "list the jobs of a sandbox: what `exec -d` and `run -d` started"},
	{"logs", cli_logs, "show what a job wrote"},
	{"wait", cli_wait, "wait for the end of a job"},
	{"job", cli_job, "stop jobs, or send them a signal"},
	{"cp", cli_cp, "copy files and directories in and out"},
	{"reset", cli_reset, "put a sandbox back to how it was right after start"},
	{"snapshot", cli_snapshot, "keep how the files of a sandbox are now; list and delete those"},
	{"restore", cli_restore, "put a sandbox back to a snapshot"},
	{"diff", cli_diff, "say which paths were added, changed and deleted"},
	{"fork", cli_fork, "make new sandboxes that begin with the files of one"},
	{"stop", cli_stop, "end sandboxes and keep their files"},
	{"start", cli_start, "start stopped sandboxes again"},
	{"restart", cli_restart, "stop sandboxes and start them again"},
	{"kill", cli_kill, "send a signal to what runs in sandboxes"},
	{"rm", cli_rm, "end and remove sandboxes"},
	{"ps", cli_ps, "list sandboxes"},
	{"inspect", cli_inspect, "say all that is known of sandboxes"},
	{"doctor", cli_doctor, "say what this host can do, and how to mend what it cannot"},
	{"cleanup", cli_cleanup, "remove what killed sandboxes left, now"},
	{"completion", cli_completion, "print a completion script for bash, zsh or fish"},
	{0},
};

int cli_fail(const char *message)
{
	char line[600];

	snprintf(line, sizeof(line), "%s", message);
	str_one_line(line);
	fprintf(stderr, "hutch: %s\n", line);
	return EXIT_HUTCH;
}

static int usage(FILE *to, int status)
{
	fputs("usage: hutch COMMAND [OPTION...]\n\n"
	      "Sandboxes for programs nobody trusts: no root, no daemon, no KVM.\n\n",
	      to);
	for (const struct cli_command *c = cli_commands; c->name; c++)
		fprintf(to, "  %-12s %s\n", c->name, c->help);
	fputs("\n`hutch COMMAND --help` and hutch-COMMAND(1) say more.\n", to);
	return status;
}

/* Descriptors 0 to 2 that the caller has closed would be taken by others. */
static void standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", O_RDWR); /* becomes this one, the lowest that is free */
}

static int unknown(const char *word)
{
	struct str_near near = {.word = word};
	const char *best;
	char line[300];

	for (const struct cli_command *c = cli_commands; c->name; c++)
		str_near_try(&near, c->name, c->name);
	best = str_near_best(&near);
	snprintf(line, sizeof(line), "'%.100s' is not a command%s%s%s; see `hutch help`", word,
		 best ? " (did you mean '" : "", best ? best : "", best ? "'?)" : "");
	return cli_fail(line);
}

static int run(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr, EXIT_HUTCH);
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		char *help[] = {argv[argc > 2 ? 2 : 1], (char *)(uintptr_t) "--help", NULL};

		if (argc < 3)
			return usage(stdout, 0);
		for (const struct cli_command *c = cli_commands; c->name; c++)
			if (!strcmp(argv[2], c->name))
				return c->run(2, help);
		return unknown(argv[2]);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-v") || !strcmp(argv[1], "version")) {
		puts("hutch " HUTCH_VERSION);
		return 0;
	}
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!strcmp(argv[1], c->name))
			return c->run(argc - 1, argv + 1);
	return unknown(argv[1]);
}

/* What was to be read and could not be written is a failure, whatever else went well. Commands inside write by themselves. */
static int written(int status)
{
	char line[200];

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	snprintf(line, sizeof(line), "write to standard output: %s", strerror(errno));
	return cli_fail(line);
}

int main(int argc, char **argv)
{
	standard_descriptors();
	return written(run(argc, argv));
}
