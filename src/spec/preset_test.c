/* SPDX-License-Identifier: Apache-2.0
 *
 * preset_test.c - a whole set of fields by one name
 */
#include "spec/preset.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "spec/fields.h"
#include "tap.h"

static struct err e;

static void reads(const struct spec *s, const char *name, const char *want)
{
	auto_free char *got = NULL;

	if (ok(spec_get(s, name, &got, &e) == 0, "%s: %s", name, e.msg))
		is_str(got, want);
}

/* @name with one or two paths, without limits. Return: what was left out, to be freed. */
static char *takes(struct spec *s, const char *name, const char *path, const char *second)
{
	const char *const paths[] = {path, second};
	char *left = NULL;

	ok(spec_preset(s, name, paths, second ? 2 : 1, true, &left, &e) == 0, "%s: %s", name,
	   e.msg);
	return left;
}

static void refuses(const char *name, const char *const *paths, size_t n, bool without, int code,
		    const char *msg)
{
	struct spec *s = spec_new();
	auto_free char *before = NULL;
	auto_free char *after = NULL;
	char *left = NULL;

	is_int(spec_set(s, "env", "A=1", &e), 0);
	is_int(spec_to_json(s, &before, &e), 0);
	is_int(spec_preset(s, name, paths, n, without, &left, &e), code);
	is_str(e.msg, msg);
	ok(!left);
	is_int(spec_to_json(s, &after, &e), 0);
	is_str(after, before);
	spec_free(s);
}

static void each_preset_sets_what_it_says_and_tells_what_it_cannot(void)
{
	static const char *const want[][3] = {
		{"agent_executor", "limits.memory=4g, limits.cpus=4, limits.pids=256",
		 "{\"working_dir\":\"/workspace\",\"hostname\":\"sandbox\",\"timeout\":600,"
		 "\"env\":[\"HOME=/workspace\",\"USER=sandbox\"],"
		 "\"volumes\":[\"/etc:/workspace\"],\"tmpfs\":[\"/tmp:size=536870912,exec\"]}"},
		{"code_judge", "limits.memory=256m, limits.cpus=1, limits.pids=10",
		 "{\"working_dir\":\"/workspace\",\"hostname\":\"sandbox\",\"timeout\":10,"
		 "\"volumes\":[\"/etc:/workspace:ro\"],\"tmpfs\":[\"/tmp:size=67108864,exec\"],"
		 "\"ulimits\":[\"cpu=5:6\"],\"cap_drop\":[\"ALL\"]}"},
		{"data_analysis", "limits.memory=2g, limits.cpus=2, limits.pids=100",
		 "{\"working_dir\":\"/workspace\",\"hostname\":\"sandbox\",\"timeout\":300,"
		 "\"volumes\":[\"/etc:/input:ro\",\"/usr:/output\"],"
		 "\"tmpfs\":[\"/tmp:size=268435456,exec\"]}"},
		{"interactive", "limits.memory=8g, limits.cpus=4, limits.pids=512",
		 "{\"working_dir\":\"/workspace\",\"hostname\":\"sandbox\",\"timeout\":3600,"
		 "\"env\":[\"TERM=xterm-256color\",\"HOME=/workspace\",\"USER=sandbox\","
		 "\"SHELL=/bin/bash\"],"
		 "\"volumes\":[\"/etc:/workspace\"],\"tmpfs\":[\"/tmp:size=1073741824,exec\"]}"},
	};
	const struct hutch_preset *p;

	is_int(spec_presets(&p), 4);
	for (size_t i = 0; i < 4; i++) {
		struct spec *s = spec_new(), *t = spec_new();
		auto_free char *left =
			takes(s, want[i][0], "/etc", p[i].npaths == 2 ? "/usr" : NULL);
		auto_free char *got = NULL;
		auto_free char *wanted = NULL;

		is_str(p[i].name, want[i][0]);
		ok(p[i].help && *p[i].help && strlen(p[i].paths) > 0);
		is_str(left, want[i][1]);
		is_int(spec_from_json(t, want[i][2], strlen(want[i][2]), &e), 0);
		is_int(spec_to_json(t, &wanted, &e), 0);
		is_int(spec_to_json(s, &got, &e), 0);
		is_str(got, wanted);
		spec_free(s);
		spec_free(t);
	}
}

static void names_are_taken_in_three_spellings(void)
{
	static const char *const names[] = {"code_judge", "code-judge", "CodeJudge", "codeJudge",
					    "CODE_JUDGE"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct hutch_preset *p = NULL;

		ok(spec_preset_find(names[i], &p, &e) == 0 && !strcmp(p->name, "code_judge"), "%s",
		   names[i]);
	}
}

static void limits_that_cannot_be_enforced_are_an_error(void)
{
	refuses("interactive", (const char *const[]){"/etc"}, 1, false, ERR_UNSUPPORTED,
		"preset 'interactive': limits.memory=8g, limits.cpus=4, limits.pids=512: not in this "
		"version yet; --without-limits does without them");
}

static void bad_input_is_told_and_leaves_the_spec_as_it_was(void)
{
	static const char *const absent[] = {"/absent"}, *const file[] = {"/etc/passwd"};
	static const char *const both[] = {"/etc", "/etc/passwd"}, *const device[] = {"/dev/null"};
	static const char *const none[] = {NULL}, *const empty[] = {""};

	refuses("AgentExecuter", absent, 1, true, ERR_INVALID,
		"unknown preset 'AgentExecuter'; did you mean 'agent_executor'?");
	refuses("x\ny", absent, 1, true, ERR_INVALID,
		"unknown preset 'x?y' (agent_executor, code_judge, data_analysis, interactive)");
	refuses("agent_executor", absent, 1, true, ERR_NOT_FOUND,
		"preset 'agent_executor': workspace: '/absent': No such file or directory");
	refuses("agent-executor", file, 1, true, ERR_INVALID,
		"preset 'agent_executor': workspace: '/etc/passwd' is not a directory");
	refuses("data_analysis", both, 2, true, ERR_INVALID,
		"preset 'data_analysis': output: '/etc/passwd' is not a directory");
	refuses("data_analysis", both, 1, true, ERR_INVALID,
		"preset 'data_analysis': takes 2 paths (INPUT:OUTPUT), not 1");
	refuses("code_judge", both, 0, true, ERR_INVALID,
		"preset 'code_judge': takes 1 path (PATH), not 0");
	refuses("code_judge", device, 1, true, ERR_INVALID,
		"preset 'code_judge': submission: '/dev/null' is neither a directory nor a file");
	refuses("code_judge", none, 1, true, ERR_INVALID,
		"preset 'code_judge': submission: no path");
	refuses("code_judge", empty, 1, true, ERR_INVALID,
		"preset 'code_judge': submission: an empty path");
}

static void what_was_asked_before_stays(void)
{
	static const char *const asked[][2] = {
		{"timeout", "1"},    {"hostname", "mine"},	{"working_dir", "/w"},
		{"env", "HOME=/h"},  {"env", "USERS=2"},	{"ulimits", "cpu=1"},
		{"network", "host"}, {"tmpfs", "/tmp:size=1k"}, {"cap_add", "SYS_TIME"}};
	struct spec *s = spec_new();
	auto_free char *one = NULL;
	auto_free char *two = NULL;

	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
		is_int(spec_set(s, asked[i][0], asked[i][1], &e), 0);
	one = takes(s, "interactive", "/etc", NULL);
	two = takes(s, "code_judge", "/etc/passwd", NULL);
	reads(s, "timeout", "1");
	reads(s, "hostname", "mine");
	reads(s, "working_dir", "/w");
	reads(s, "env",
	      "[\"HOME=/h\",\"USERS=2\",\"TERM=xterm-256color\",\"USER=sandbox\",\"SHELL=/bin/bash\"]");
	reads(s, "ulimits", "[\"cpu=1:1\"]");
	reads(s, "network", "host");
	reads(s, "tmpfs", "[\"/tmp:size=1024\"]");
	reads(s, "volumes", "[\"/etc:/workspace\",\"/etc/passwd:/workspace/passwd:ro\"]");
	reads(s, "cap_drop", "[\"ALL\"]");
	spec_free(s);
}

static void what_is_asked_afterwards_takes_the_place_of_the_presets(void)
{
	struct spec *s = spec_new(), *c;
	auto_free char *left = takes(s, "agent_executor", "/etc", NULL);

	ok(left && *left, "limits are left out: %s", left ? left : "none");
	is_int(spec_set(s, "timeout", "1", &e), 0);
	is_int(spec_set(s, "env", "HOME=/h", &e), 0);
	c = spec_copy(s);
	is_int(spec_set(s, "volumes", "/usr:/tmp:ro", &e), 0);
	is_int(spec_set(s, "host", "true", &e), 0);
	reads(s, "timeout", "1");
	reads(s, "env", "[\"USER=sandbox\",\"HOME=/h\"]");
	reads(s, "tmpfs", "[]");
	reads(s, "volumes", "[\"/etc:/workspace\",\"/usr:/tmp:ro\"]");
	ok(spec_check(s, &e) == 0, "%s", e.msg);
	is_int(spec_set(c, "tmpfs", "/tmp:size=2k", &e), 0);
	is_int(spec_set(c, "volumes", "/usr:/workspace", &e), 0);
	is_int(spec_set(c, "host", "true", &e), 0);
	reads(c, "tmpfs", "[\"/tmp:size=2048\"]");
	is_int(spec_check(c, &e), ERR_INVALID);
	is_str(e.msg, "two mounts at '/workspace'");
	spec_free(c);
	spec_free(s);
}

static void paths_may_have_any_bytes_and_are_made_absolute(void)
{
	char dir[] = "/tmp/preset-test-XXXXXX", path[64];
	struct spec *s = spec_new();
	auto_free char *left = NULL;

	ok(mkdtemp(dir) && chdir(dir) == 0 && mkdir("a:b,\"c", 0700) == 0);
	left = takes(s, "agent_executor", "a:b,\"c", NULL);
	is_int(s->nmounts, 2);
	snprintf(path, sizeof(path), "%s/a:b,\"c", dir);
	is_str(s->mounts[0].source, path);
	ok(rmdir("a:b,\"c") == 0 && chdir("/") == 0 && rmdir(dir) == 0);
	spec_free(s);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(each_preset_sets_what_it_says_and_tells_what_it_cannot),
		TAP_TEST(names_are_taken_in_three_spellings),
		TAP_TEST(limits_that_cannot_be_enforced_are_an_error),
		TAP_TEST(bad_input_is_told_and_leaves_the_spec_as_it_was),
		TAP_TEST(what_was_asked_before_stays),
		TAP_TEST(what_is_asked_afterwards_takes_the_place_of_the_presets),
		TAP_TEST(paths_may_have_any_bytes_and_are_made_absolute),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
