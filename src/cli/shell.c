/* SPDX-License-Identifier: Apache-2.0
 *
 * shell.c - hutch shell: an interactive shell in a living sandbox
 *
 * How it works: `hutch exec -it NAME` with bash, or sh where the image has none; without -t where there is no
 * terminal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/cli.h"

static const char usage[] =
	"usage: hutch shell [OPTION of exec...] NAME\n\n"
	"An interactive shell in a living sandbox: bash, or sh where there is none. On a terminal where standard\n"
	"input is one. Options, as -u, -w and -e, are those of `hutch exec`.\n";

int cli_shell(int argc, char **argv)
{
	static const char script[] = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";
	const char *const command[] = {"sh", "-c", script};
	auto_free char **v = calloc((size_t)argc + 8, sizeof(*v));
	int n = 0;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help")) {
			fputs(usage, stdout);
			return 0;
		}
	if (argc < 2 || *argv[argc - 1] == '-')
		return cli_fail("no name was given (see `hutch shell --help`)");
	if (!v)
		return cli_fail("out of memory");
	v[n++] = (char *)(uintptr_t) "exec";
	v[n++] = (char *)(uintptr_t) "-i";
	if (isatty(0))
		v[n++] = (char *)(uintptr_t) "-t";
	for (int i = 1; i < argc; i++)
		v[n++] = argv[i];
	for (size_t i = 0; i < sizeof(command) / sizeof(*command); i++)
		v[n++] = (char *)(uintptr_t)command[i];
	return cli_exec(n, v);
}
