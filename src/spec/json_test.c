/* SPDX-License-Identifier: Apache-2.0
 *
 * json_test.c - a spec as JSON, and from JSON
 */
#include "spec/spec.h"

#include "spec/fields.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

static struct err e;

static struct spec *from(const char *json)
{
	struct spec *s = spec_new();

	ok(spec_from_json(s, json, strlen(json), &e) == 0, "%s: %s", json, e.msg);
	return s;
}

static void json_is(const struct spec *s, const char *want)
{
	char *got = NULL;

	if (ok(spec_to_json(s, &got, &e) == 0, "%s", e.msg))
		is_str(got, want);
	free(got);
}

static const char whole[] =
	"{\"rootfs\":\"/\",\"command\":[\"sh\",\"-c\",\"a \\\"b\\\"\\n\"],"
	"\"entrypoint\":[\"/init\"],\"shell_entrypoint\":true,\"shell\":\"/bin/dash\","
	"\"name\":\"box\",\"hostname\":\"h\",\"working_dir\":\"/w\",\"user\":\"1:2\","
	"\"group_add\":[\"3\"],\"env\":[\"A=1\",\"B=\"],\"tty\":true,\"interactive\":true,"
	"\"init\":true,\"stop_signal\":\"INT\",\"timeout\":1.500,\"volumes\":[\"/etc:/a:ro\","
	"\"/usr:/b\"],\"mounts\":[\"type=bind,source=/etc,target=/c,cow,bind-nonrecursive\"],"
	"\"tmpfs\":[\"/t:size=1024,mode=0700,exec\"],\"read_only\":true,\"upper\":\"tmpfs:1024\","
	"\"shm_size\":4096,\"devices\":[\"/dev/null:/dev/x:r\"],\"network\":\"host\","
	"\"add_host\":[\"a:::1\"],\"dns\":[\"::1\"],\"allow_abstract_sockets\":true,"
	"\"ulimits\":[\"nofile=1:-1\"],\"spare\":true,\"oom_score_adj\":-5,\"cap_add\":[\"NET_ADMIN\"],"
	"\"cap_drop\":[\"ALL\"],\"privileged\":true,\"security_opt\":[\"seccomp=unconfined\","
	"\"no-new-privileges=false\",\"ptrace\",\"userns\",\"i386\"],"
	"\"sysctls\":[\"net.a=1\"],\"ids\":\"host\"}";

static void all_fields_go_round(void)
{
	struct spec *s = from(whole);

	json_is(s, whole);
	spec_free(s);
	s = from("{}");
	json_is(s, "{}");
	spec_free(s);
}

/* Whatever JSON shows, but the names. */
static void each_field_counts_when_two_are_compared(void)
{
	const struct hutch_field *fields;
	size_t n = spec_fields(&fields), differ = 0;
	struct spec *a = from(whole), *b;
	char *was, *is;

	is_int(spec_to_json(a, &was, &e), 0);
	for (size_t i = 0; i < n; i++) {
		bool names = !strcmp(fields[i].name, "name") || !strcmp(fields[i].name, "hostname");

		b = spec_copy(a);
		ok(spec_alike(a, b), "a copy");
		(void)spec_clear(b, fields[i].name, &e);
		is_int(spec_to_json(b, &is, &e), 0);
		if (strcmp(is, was) != 0) {
			ok(spec_alike(a, b) == names && spec_alike(b, a) == names, "%s", fields[i].name);
			differ++;
		}
		free(is);
		spec_free(b);
	}
	ok(differ > 25, "%zu", differ);
	free(was);
	spec_free(a);
	a = from("{\"env\":[\"A=1\",\"B=2\"],\"volumes\":[\"/etc:/a:ro\"],\"devices\":[\"/dev/null\"],\"sysctls\":[\"net.a=1\"]}");
	b = from("{\"env\":[\"A=1\",\"B=3\"],\"volumes\":[\"/etc:/a:ro\"],\"devices\":[\"/dev/null\"],\"sysctls\":[\"net.a=1\"]}");
	ok(!spec_alike(a, b));
	spec_free(b);
	b = from("{\"env\":[\"A=1\",\"B=2\"],\"volumes\":[\"/etc:/a\"],\"devices\":[\"/dev/null\"],\"sysctls\":[\"net.a=1\"]}");
	ok(!spec_alike(a, b));
	spec_free(b);
	b = from("{\"env\":[\"A=1\",\"B=2\"],\"volumes\":[\"/etc:/a:ro\"],\"devices\":[\"/dev/zero\"],\"sysctls\":[\"net.a=1\"]}");
	ok(!spec_alike(a, b));
	spec_free(b);
	b = from("{\"env\":[\"A=1\",\"B=2\"],\"volumes\":[\"/etc:/a:ro\"],\"devices\":[\"/dev/null\"],\"sysctls\":[\"net.a=2\"]}");
	ok(!spec_alike(a, b));
	spec_free(a);
	spec_free(b);
}

static void values_are_taken_as_the_flags_take_them(void)
{
	struct spec *s =
		from("{\"timeout\":\"1m30s\",\"shm_size\":\"1k\",\"user\":1000,"
		     "\"group_add\":[5,\"video\"],\"tty\":\"yes\",\"oom_score_adj\":\"5\"}");

	json_is(s, "{\"user\":\"1000\",\"group_add\":[\"5\",\"video\"],\"tty\":true,"
		   "\"timeout\":90,\"shm_size\":1024,\"oom_score_adj\":5}");
	spec_free(s);
	s = from("{\"timeout\":0.1,\"tty\":false,\"network\":\"none\"}");
	json_is(s, "{\"timeout\":0.100}");
	spec_free(s);
}

static void lists_are_given_anew_and_null_empties(void)
{
	static const char next[] = "{\"volumes\":[\"/usr:/v\"],\"dns\":[],\"name\":null,"
				   "\"mounts\":[\"type=bind,src=/etc,dst=/m\"],\"env\":null}";
	struct spec *s = from("{\"volumes\":[\"/etc:/old\"],\"tmpfs\":[\"/t\"],\"dns\":[\"::1\"],"
			      "\"name\":\"x\",\"env\":[\"A=1\"]}");

	is_int(spec_from_json(s, next, strlen(next), &e), 0);
	json_is(s, "{\"volumes\":[\"/usr:/v\",\"/etc:/m\"],\"tmpfs\":[\"/t\"]}");
	spec_free(s);
	s = from("{\"mounts\":[\"type=bind,src=/etc,dst=/m\"],\"volumes\":[\"/usr:/v\"]}");
	json_is(s, "{\"volumes\":[\"/etc:/m\",\"/usr:/v\"]}");
	spec_free(s);
}

static void an_empty_entrypoint_means_none(void)
{
	struct spec *s = from("{\"entrypoint\":[]}");

	ok(s->entrypoint_set && s->entrypoint.n == 0);
	json_is(s, "{\"entrypoint\":[\"\"]}");
	spec_free(s);
	s = from("{\"entrypoint\":[\"\"]}");
	ok(s->entrypoint_set && s->entrypoint.n == 0);
	spec_free(s);
	s = from("{\"entrypoint\":null}");
	ok(!s->entrypoint_set);
	spec_free(s);
}

static void what_is_wrong_is_named_and_changes_nothing(void)
{
	static const struct {
		const char *json;
		int code;
		const char *msg;
	} wrong[] = {
		{"[]", ERR_INVALID, "a spec is an object, this is a list"},
		{"5", ERR_INVALID, "a spec is an object, this is a number"},
		{"{\"name\":\"n\",\"tpy\":1}", ERR_INVALID,
		 "unknown field 'tpy'; did you mean 'tty'?"},
		{"{\"limits\":{\"memory\":\"1g\"}}", ERR_UNSUPPORTED,
		 "--memory (limits.memory): not in this version yet"},
		{"{\"limits.pids\":5}", ERR_UNSUPPORTED,
		 "--pids-limit (limits.pids): not in this version yet"},
		{"{\"limits\":{\"memry\":5}}", ERR_INVALID,
		 "unknown field 'limits.memry'; did you mean 'limits.memory'?"},
		{"{\"dns\":\"1.1.1.1\"}", ERR_INVALID,
		 "dns is a string; a list of strings is needed"},
		{"{\"name\":[\"x\"]}", ERR_INVALID, "name is a list; a single value is needed"},
		{"{\"name\":true}", ERR_INVALID, "name is true or false; a string is needed"},
		{"{\"timeout\":true}", ERR_INVALID, "timeout is true or false; a number is needed"},
		{"{\"env\":[\"A=1\",true]}", ERR_INVALID,
		 "env: element 2 is true or false, not a string"},
		{"{\"volumes\":[\"data:/x\"]}", ERR_UNSUPPORTED,
		 "--volume (volumes) 'data:/x': named volumes are not there yet; write ./name for a "
		 "directory"},
		{"{\"env\":[null]}", ERR_INVALID, "env: element 1 is null, not a string"},
		{"{\"env\":{\"A\":\"1\"}}", ERR_INVALID,
		 "env is an object; a list of strings is needed"},
		{"{\"name\":{}}", ERR_INVALID, "name is an object; a single value is needed"},
		{"{\"name\":\"a\\nb\"}", ERR_INVALID,
		 "--name 'a?b': a name is letters, digits and '_.-', a letter or digit first"},
		{"{\"timeout\":1e30}", ERR_INVALID,
		 "--timeout '1e30': not a time (10, 1.5, 200ms, 2m, 1h30m)"},
		{"{\"tty\":2}", ERR_INVALID, "--tty '2': neither true nor false"},
		{"{\"user\":\"a\",\"dns\":[\"::1\"],\"network\":\"nat\"}", ERR_UNSUPPORTED,
		 "--network 'nat': not in this version yet; there are none and host"},
	};
	struct spec *s = from("{\"name\":\"before\",\"dns\":[\"1.1.1.1\"]}");

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		is_int(spec_from_json(s, wrong[i].json, strlen(wrong[i].json), &e), wrong[i].code);
		is_str(e.msg, wrong[i].msg);
		is_int(spec_from_json(s, wrong[i].json, strlen(wrong[i].json), NULL),
		       wrong[i].code);
	}
	is_int(spec_from_json(s, "{", 1, &e), ERR_INVALID);
	ok(strncmp(e.msg, "JSON, line 1", 12) == 0, "%s", e.msg);
	json_is(s, "{\"name\":\"before\",\"dns\":[\"1.1.1.1\"]}");
	spec_free(s);
}

static void deep_and_long_names_are_refused(void)
{
	char json[2000] = "";
	struct spec *s = spec_new();

	for (int i = 0; i < 100; i++)
		strcat(json, "{\"ab\":");
	strcat(json, "1");
	for (int i = 0; i < 100; i++)
		strcat(json, "}");
	is_int(spec_from_json(s, json, strlen(json), &e), ERR_INVALID);
	ok(strncmp(e.msg, "unknown field 'ab.ab.", 21) == 0, "%s", e.msg);
	spec_free(s);
}

static void what_is_not_utf8_cannot_be_written_and_the_field_is_named(void)
{
	struct spec *s = spec_new();
	char *got = NULL;

	is_int(spec_set(s, "env", "A=\xff", &e), 0);
	is_int(spec_to_json(s, &got, &e), ERR_INVALID);
	is_str(e.msg, "env: not UTF-8, which JSON must be");
	ok(!got);
	spec_free(s);
	s = spec_new();
	is_int(spec_set(s, "working_dir", "/\xff", &e), 0);
	is_int(spec_to_json(s, &got, &e), ERR_INVALID);
	is_str(e.msg, "working_dir: not UTF-8, which JSON must be");
	spec_free(s);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(all_fields_go_round),
		TAP_TEST(each_field_counts_when_two_are_compared),
		TAP_TEST(values_are_taken_as_the_flags_take_them),
		TAP_TEST(lists_are_given_anew_and_null_empties),
		TAP_TEST(an_empty_entrypoint_means_none),
		TAP_TEST(what_is_wrong_is_named_and_changes_nothing),
		TAP_TEST(deep_and_long_names_are_refused),
		TAP_TEST(what_is_not_utf8_cannot_be_written_and_the_field_is_named),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
