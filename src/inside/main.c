/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - hutch-init: the program that lives around and inside a sandbox
 *
 * It is started by libhutch from a sealed copy, with an empty environment and all signals blocked;
 * descriptor 0 is a socket to the caller. Only runner and starter are started by a keeper, as commands. See keeper.h for who is
 * who.
 */
#include <string.h>
#include <unistd.h>

#include "inside/keeper.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(int sock);
	} as[] = {
		{"nursery", nursery_main},
		{"keeper", keeper_alone},
		{"sweeper", sweeper_alone},
		{"runner", runner_main},
		{"starter", starter_main},
	};
	static const char usage[] =
		"hutch-init is part of hutch and is not started by hand; see hutch(1)\n";

	for (size_t i = 0; argc == 2 && i < sizeof(as) / sizeof(*as); i++)
		if (!strcmp(argv[1], as[i].name)) {
			memset(argv[1], 0, strlen(argv[1])); /* reapers have the same command line */
			as[i].run(0);
		}
	(void)!write(2, usage, sizeof(usage) - 1);
	return 2;
}
