/* SPDX-License-Identifier: Apache-2.0
 *
 * cli.h - the commands of the program, each in a file of its name
 */
#ifndef HUTCH_CLI_CLI_H
#define HUTCH_CLI_CLI_H

#include "base/err.h"
#include "hutch.h"

enum { EXIT_HUTCH = 125 }; /* hutch itself failed; 126 and 127 are the command's, as with Docker */

/* @argv[0] is the command's name. Each returns the exit status of the program. */
int cli_run(int argc, char **argv);
int cli_create(int argc, char **argv);
int cli_exec(int argc, char **argv);
int cli_shell(int argc, char **argv);
int cli_jobs(int argc, char **argv);
int cli_logs(int argc, char **argv);
int cli_wait(int argc, char **argv);
int cli_job(int argc, char **argv);
int cli_cp(int argc, char **argv);
int cli_reset(int argc, char **argv);
int cli_snapshot(int argc, char **argv);
int cli_restore(int argc, char **argv);
int cli_diff(int argc, char **argv);
int cli_fork(int argc, char **argv);
int cli_rm(int argc, char **argv);
int cli_stop(int argc, char **argv);
int cli_start(int argc, char **argv);
int cli_restart(int argc, char **argv);
int cli_kill(int argc, char **argv);
int cli_ps(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_cleanup(int argc, char **argv);
int cli_completion(int argc, char **argv);

/* "hutch: message" on standard error. Return: EXIT_HUTCH. */
int cli_fail(const char *message);

/* The library's failure as one of ours. Return: its code. */
int cli_carry(const struct hutch_error *from, struct err *e);

/* The commands, for help and completion; a NULL name ends. */
struct cli_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};
extern const struct cli_command cli_commands[];

#endif
