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
#include "cli/living.h"

static const char usage[] =
	"usage: hutch shell [OPTION of exec...] NAME\n\n"
	"An interactive shell in a living sandbox: the one it was made with (--shell), or bash, or sh where there is none.\n"
	"On a terminal where standard input is one. Options, as -u, -w and -e, are those of `hutch exec`.\n";

/* The one that the sandbox was made with. NULL: none was named, or `hutch exec` says why that is not known. */
static char *shell_of(const char *name)
{
	char *ret = NULL;
	struct living l;
	struct err e;

	if (living_open(&l, name, &e) < 0)
		return NULL;
	(void)hutch_spec_get(hutch_box_spec(l.box), "shell", &ret, NULL);
	living_close(&l);
	if (ret && *ret)
		return ret;
	free(ret);
	return NULL;
}

int cli_shell(int argc, char **argv)
{
	static const char script[] = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";
	auto_free char *named = NULL;
	const char *command[] = {"sh", "-c", script, NULL};
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
	named = shell_of(argv[argc - 1]);
	if (named) {
		command[0] = named;
		command[1] = NULL;
	}
	v[n++] = (char *)(uintptr_t) "exec";
	v[n++] = (char *)(uintptr_t) "-i";
	if (isatty(0))
		v[n++] = (char *)(uintptr_t) "-t";
	for (int i = 1; i < argc; i++)
		v[n++] = argv[i];
	for (size_t i = 0; command[i]; i++)
		v[n++] = (char *)(uintptr_t)command[i];
	return cli_exec(n, v);
}
