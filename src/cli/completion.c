/* SPDX-License-Identifier: Apache-2.0
 *
 * completion.c - hutch completion SHELL: a script that completes commands and options
 *
 * The options of `hutch run` come from the table of fields, as its help does.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"

static const char *const own_flags[] = {"cidfile", "detach", "json", "keep", "preserve-fd", "preset", "quiet", "rm", "pull",
					 "without-limits", "help"};

static void flags(struct buf *b, const char *before, const char *between)
{
	const struct hutch_field *f;
	size_t n = hutch_fields(&f);

	for (size_t i = 0; i < n; i++)
		if (f[i].flag && strcmp(f[i].since, "later"))
			buf_fmt(b, "%s%s%s", before, f[i].flag, between);
	for (size_t i = 0; i < sizeof(own_flags) / sizeof(*own_flags); i++)
		buf_fmt(b, "%s%s%s", before, own_flags[i], between);
}

static void commands(struct buf *b, const char *between)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		buf_fmt(b, "%s%s", c->name, between);
}

static void bash(struct buf *b)
{
	buf_str(b, "_hutch() {\n"
		   "\tlocal word=${COMP_WORDS[COMP_CWORD]}\n"
		   "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
		   "\t\tCOMPREPLY=($(compgen -W \"");
	commands(b, " ");
	buf_str(b, "help\" -- \"$word\"))\n"
		   "\telif [ \"${COMP_WORDS[1]}\" = run ] && [ \"${word#-}\" != \"$word\" ]; then\n"
		   "\t\tCOMPREPLY=($(compgen -W \"");
	flags(b, "--", " ");
	buf_str(b, "\" -- \"$word\"))\n"
		   "\telse\n"
		   "\t\tCOMPREPLY=($(compgen -f -- \"$word\"))\n"
		   "\tfi\n"
		   "}\n"
		   "complete -F _hutch hutch\n");
}

static void zsh(struct buf *b)
{
	buf_str(b, "#compdef hutch\n_hutch() {\n\tif (( CURRENT == 2 )); then\n\t\tcompadd ");
	commands(b, " ");
	buf_str(b, "help\n\telif [[ $words[2] == run && $words[CURRENT] == -* ]]; then\n"
		   "\t\tcompadd -- ");
	flags(b, "--", " ");
	buf_str(b, "\n\telse\n\t\t_files\n\tfi\n}\ncompdef _hutch hutch\n");
}

static void fish(struct buf *b)
{
	buf_str(b, "complete -c hutch -n __fish_use_subcommand -f -a '");
	commands(b, " ");
	buf_str(b, "help'\n");
	flags(b, "complete -c hutch -n '__fish_seen_subcommand_from run' -l ", "\n");
}

int cli_completion(int argc, char **argv)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);

	if (argc == 2 && !strcmp(argv[1], "bash"))
		bash(&b);
	else if (argc == 2 && !strcmp(argv[1], "zsh"))
		zsh(&b);
	else if (argc == 2 && !strcmp(argv[1], "fish"))
		fish(&b);
	else if (argc == 2 && !strcmp(argv[1], "--help"))
		buf_str(&b, "usage: hutch completion bash|zsh|fish\n\n"
			    "  . <(hutch completion bash)          for this shell\n");
	else
		return cli_fail("completion wants one word: bash, zsh or fish");
	if (buf_bad(&b))
		return cli_fail("out of memory");
	fputs(b.data, stdout);
	return 0;
}
