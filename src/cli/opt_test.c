/* SPDX-License-Identifier: Apache-2.0
 *
 * opt_test.c - the words of a command line
 */
#include "cli/opt.h"

#include <string.h>

#include "tap.h"

static const struct hutch_field table[] = {
	{"host", "host", 0, HUTCH_FIELD_BOOL, "", "", "0.1", "the machine's own programs"},
	{"working_dir", "workdir", 'w', HUTCH_FIELD_STRING, "", "DIR", "0.1", "where to start"},
	{"env", "env", 'e', HUTCH_FIELD_LIST, "", "KEY[=VALUE]", "0.1", "environment variable"},
	{"tty", "tty", 't', HUTCH_FIELD_BOOL, "", "", "0.1", "a terminal"},
	{"interactive", "interactive", 'i', HUTCH_FIELD_BOOL, "", "", "0.1", "standard input"},
	{"oom_score_adj", "oom-score-adj", 0, HUTCH_FIELD_INT, "", "N", "0.1", "when to die"},
	{"limits.memory", "memory", 'm', HUTCH_FIELD_SIZE, "bytes", "SIZE", "later", "memory"},
	{"image", NULL, 0, HUTCH_FIELD_STRING, "", "IMAGE", "0.1", "has no flag"},
};

static char seen[400]; /* what set() was called with: "env=A;" */

static int set(void *ctx, const struct hutch_field *f, const char *text, struct err *e)
{
	size_t len = strlen(seen);

	if (strcmp(text, "refuse") == 0)
		return err_set(e, ERR_INVALID, "refused\nas %s", (const char *)ctx);
	if (strcmp(f->since, "later") == 0)
		return err_set(e, ERR_UNSUPPORTED, "--%s: not yet", f->flag);
	snprintf(seen + len, sizeof(seen) - len, "%s=%s;", f->name, text);
	return 0;
}

static struct own {
	bool quiet, rm;
	const char *cidfile, *json;
} got;

static const struct opt own[] = {
	{.name = "cidfile", .text = &got.cidfile, .value = "FILE", .help = "write the id to FILE"},
	{.name = "json", .maybe = &got.json, .value = "FD", .help = "say the end as JSON"},
	{.name = "dir", .letter = 'D', .same_as = "workdir"},
	{.name = "quiet", .letter = 'q', .on = &got.quiet, .help = "say nothing"},
	{.name = "rm", .on = &got.rm, .help = "remove it"},
	{.name = "pull", .value = "WHEN", .help = "accepted"},
	{.name = "sig-proxy"},
	{0},
};

static char told[] = "told";
static const struct opt_fields fields = {table, sizeof(table) / sizeof(*table), set, told};
static struct opt_rest rest;
static struct err e;

static char *words[20];

/* Literals are const, words of a command line are not. */
static int parse(const char *const *argv)
{
	size_t n = 0;

	for (; argv[n]; n++)
		words[n] = (char *)(uintptr_t)argv[n];
	words[n] = NULL;
	seen[0] = '\0';
	got = (struct own){0};
	rest = (struct opt_rest){0};
	e = (struct err){0};
	return opt_parse(words, own, &fields, &rest, &e);
}

#define PARSE(...) parse((const char *[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void long_options_take_their_value_both_ways(void)
{
	ok(PARSE("--workdir", "/a", "--env=K=V", "--cidfile", "f", "--cidfile=g") == 0);
	is_str(seen, "working_dir=/a;env=K=V;");
	is_str(got.cidfile, "g");
	is_int(rest.n, 0);
	ok(PARSE("--oom-score-adj", "-500", "--env=") == 0, "a value may begin with a dash");
	is_str(seen, "oom_score_adj=-500;env=;");
}

static void short_options_cluster_and_take_the_rest_as_value(void)
{
	ok(PARSE("-itq", "-eA=1", "-e", "B=2", "-e=C=3", "-tw/x", "-D", "/y") == 0);
	is_str(seen, "interactive=true;tty=true;env=A=1;env=B=2;env=C=3;tty=true;working_dir=/x;"
		     "working_dir=/y;");
	ok(got.quiet);
}

static void switches_can_be_said_off(void)
{
	ok(PARSE("--host=false", "-t=false", "--quiet", "--quiet=no", "--rm=TRUE", "-q=0") == 0);
	is_str(seen, "host=false;tty=false;");
	ok(!got.quiet && got.rm);
	is_int(PARSE("--rm=maybe"), ERR_INVALID);
	is_str(e.msg, "--rm 'maybe': neither true nor false");
}

static void a_switch_does_not_eat_the_next_word(void)
{
	ok(PARSE("--host", "false", "-t") == 0);
	is_str(seen, "host=true;");
	is_int(rest.n, 2);
	is_str(rest.words[0], "false");
}

static void optional_values_come_with_an_equals_sign_only(void)
{
	ok(PARSE("--json", "3") == 0);
	is_str(got.json, "");
	is_int(rest.n, 1);
	ok(PARSE("--json=3") == 0);
	is_str(got.json, "3");
}

static void options_without_a_place_are_accepted(void)
{
	ok(PARSE("--pull", "never", "--pull=x", "--sig-proxy", "--sig-proxy=false", "--dir",
		 "/d") == 0);
	is_str(seen, "working_dir=/d;");
	is_int(PARSE("--sig-proxy=x"), ERR_INVALID);
}

static void the_first_word_ends_the_options(void)
{
	ok(PARSE("-t", "alpine", "-i", "--") == 0);
	ok(!rest.dashes);
	is_int(rest.n, 3);
	is_str(rest.words[0], "alpine");
	ok(PARSE("-", "-t") == 0);
	is_str(rest.words[0], "-");
	ok(PARSE("", "-t") == 0);
	is_int(rest.n, 2);
	ok(PARSE() == 0);
	is_int(rest.n, 0);
}

static void two_dashes_end_the_options_and_are_told(void)
{
	ok(PARSE("-t", "--", "-i", "--") == 0);
	ok(rest.dashes);
	is_int(rest.n, 2);
	is_str(rest.words[0], "-i");
	ok(PARSE("--") == 0);
	ok(rest.dashes && rest.n == 0);
	ok(PARSE("--env", "--", "x") == 0, "as a value it is one");
	is_str(seen, "env=--;");
}

static void unknown_options_name_the_nearest(void)
{
	is_int(PARSE("--workdri=/x"), ERR_INVALID);
	is_str(e.msg, "unknown option '--workdri=/x'; did you mean '--workdir'?");
	is_int(PARSE("--working_dir", "/x"), ERR_INVALID);
	is_str(e.msg, "unknown option '--working_dir'; did you mean '--workdir'?");
	is_int(PARSE("--quite"), ERR_INVALID);
	is_str(e.msg, "unknown option '--quite'; did you mean '--quiet'?");
	is_int(PARSE("--zzzz\n"), ERR_INVALID);
	is_str(e.msg, "unknown option '--zzzz?'");
	is_int(PARSE("--=x"), ERR_INVALID);
	is_int(PARSE("-z"), ERR_INVALID);
	is_str(e.msg, "unknown option '-z'");
	is_int(PARSE("-itz"), ERR_INVALID);
	is_str(e.msg, "unknown option '-z' in '-itz'");
}

static void a_missing_value_is_told_with_what_it_looks_like(void)
{
	is_int(PARSE("--workdir"), ERR_INVALID);
	is_str(e.msg, "--workdir needs a value: DIR");
	is_int(PARSE("-ie"), ERR_INVALID);
	is_str(e.msg, "--env needs a value: KEY[=VALUE]");
	is_int(PARSE("--cidfile"), ERR_INVALID);
	is_str(e.msg, "--cidfile needs a value: FILE");
}

static void what_a_field_refuses_is_handed_on_as_one_line(void)
{
	is_int(PARSE("--env", "refuse", "--host"), ERR_INVALID);
	is_str(e.msg, "refused?as told");
	is_int(PARSE("-m", "1g"), ERR_UNSUPPORTED);
	is_str(e.msg, "--memory: not yet");
	words[0] = (char *)(uintptr_t) "--env";
	words[1] = NULL;
	is_int(opt_parse(words, own, NULL, &rest, NULL), ERR_INVALID);
}

static void help_has_two_columns_and_no_later_fields(void)
{
	static const struct opt few[] = {
		{.name = "json", .maybe = &got.json, .value = "FD", .help = "say the end as JSON"},
		{.name = "quiet", .letter = 'q', .on = &got.quiet, .help = "say nothing"},
		{.name = "hidden", .on = &got.rm},
		{.name = "with-a-name-so-long",
		 .text = &got.json,
		 .value = "AND-A-VALUE",
		 .help = "has a help that is longer than what is left of a line of sixty columns"},
		{0},
	};
	auto_buf struct buf b = BUF_INIT(10000);

	opt_help(&b, few, &(struct opt_fields){.v = table, .n = 2}, 60);
	is_str(b.data, "      --json[=FD]               say the end as JSON\n"
		       "  -q, --quiet                   say nothing\n"
		       "      --with-a-name-so-long AND-A-VALUE\n"
		       "                                has a help that is longer\n"
		       "                                than what is left of a line\n"
		       "                                of sixty columns\n"
		       "      --host                    the machine's own programs\n"
		       "  -w, --workdir DIR             where to start\n");
	buf_done(&b);
	opt_help(&b, own, &fields, 80);
	ok(b.data && !strstr(b.data, "--memory") && !strstr(b.data, "image"));
	buf_done(&b);
	opt_help(&b, few, NULL, 10);
	ok(b.data && strstr(b.data, "\n        has\n        a\n        help\n"), "%s", b.data);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(long_options_take_their_value_both_ways),
		TAP_TEST(short_options_cluster_and_take_the_rest_as_value),
		TAP_TEST(switches_can_be_said_off),
		TAP_TEST(a_switch_does_not_eat_the_next_word),
		TAP_TEST(optional_values_come_with_an_equals_sign_only),
		TAP_TEST(options_without_a_place_are_accepted),
		TAP_TEST(the_first_word_ends_the_options),
		TAP_TEST(two_dashes_end_the_options_and_are_told),
		TAP_TEST(unknown_options_name_the_nearest),
		TAP_TEST(a_missing_value_is_told_with_what_it_looks_like),
		TAP_TEST(what_a_field_refuses_is_handed_on_as_one_line),
		TAP_TEST(help_has_two_columns_and_no_later_fields),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
