/* SPDX-License-Identifier: Apache-2.0
 *
 * spec_test.c - a spec by its fields, as a program that knows only hutch.h sees it
 */
#include "hutch.h"

#include "base/own.h"
#include "tap.h"

static struct hutch_spec *make(void)
{
	struct hutch_spec *s = NULL;

	if (hutch_spec_new(&s, NULL) < 0)
		exit(1);
	return s;
}

static void is_field(const struct hutch_spec *s, const char *field, const char *want)
{
	auto_free char *text = NULL;
	struct hutch_error e = {0};

	ok(hutch_spec_get(s, field, &text, &e) == 0, "%s: %s", field, e.message);
	is_str(text, want);
}

static void every_field_is_said_with_its_name_type_and_help(void)
{
	const struct hutch_field *f = NULL;
	size_t n = hutch_fields(&f);
	struct hutch_spec *s = make();

	ok(n > 40 && f, "%zu fields", n);
	for (size_t i = 0; i < n; i++) {
		auto_free char *text = NULL;
		struct hutch_error e = {0};

		ok(f[i].name && *f[i].name && f[i].help && *f[i].help && f[i].unit && f[i].value &&
		   f[i].since, "field %zu", i);
		ok(f[i].type >= HUTCH_FIELD_STRING && f[i].type <= HUTCH_FIELD_LIST, "%s",
		   f[i].name);
		ok((f[i].type == HUTCH_FIELD_BOOL) == !*f[i].value, "%s", f[i].name);
		if (strcmp(f[i].since, "later"))
			ok(hutch_spec_get(s, f[i].name, &text, &e) == 0 && text, "%s: %s",
			   f[i].name, e.message);
		else
			ok(hutch_spec_set(s, f[i].name, "1", &e) == HUTCH_E_UNSUPPORTED &&
			   strstr(e.message, " yet"), "%s: %s", f[i].name, e.message);
		for (size_t k = 0; k < i; k++)
			ok(strcmp(f[k].name, f[i].name), "%s is there twice", f[i].name);
	}
	hutch_spec_free(s);
}

static void fields_are_set_read_and_emptied(void)
{
	struct hutch_spec *s = make();
	struct hutch_error e = {0};

	is_field(s, "hostname", "");
	is_int(hutch_spec_set(s, "hostname", "one", &e), 0);
	is_int(hutch_spec_set(s, "hostname", "two", &e), 0);
	is_field(s, "hostname", "two");
	is_int(hutch_spec_set(s, "env", "A=1", &e), 0);
	is_int(hutch_spec_set(s, "env", "B=2", &e), 0);
	is_field(s, "env", "[\"A=1\",\"B=2\"]");
	is_int(hutch_spec_clear(s, "env", &e), 0);
	is_field(s, "env", "[]");
	is_int(hutch_spec_clear(s, "hostname", &e), 0);
	is_field(s, "hostname", "");
	hutch_spec_free(s);
}

static void a_wrong_field_or_value_changes_nothing_and_the_nearest_is_named(void)
{
	struct hutch_spec *s = make();
	struct hutch_error e = {0};
	auto_free char *text = NULL;

	is_int(hutch_spec_set(s, "hostname", "good", &e), 0);
	is_int(hutch_spec_set(s, "hostnam", "x", &e), HUTCH_E_INVALID);
	ok(strstr(e.message, "hostname"), "%s", e.message);
	is_int(hutch_spec_set(s, "hostname", "not a name!", &e), HUTCH_E_INVALID);
	is_field(s, "hostname", "good");
	is_int(hutch_spec_get(s, "no such", &text, &e), HUTCH_E_INVALID);
	ok(!text);
	is_int(hutch_spec_clear(s, "no such", &e), HUTCH_E_INVALID);
	is_int(hutch_spec_set(s, "volumes", "/no such directory:/x", &e), HUTCH_E_NOT_FOUND);
	hutch_spec_free(s);
}

static void a_spec_goes_to_json_and_back(void)
{
	struct hutch_spec *s = make(), *again = make();
	auto_free char *one = NULL, *two = NULL;
	struct hutch_error e = {0};

	is_int(hutch_spec_set(s, "hostname", "box", &e), 0);
	is_int(hutch_spec_set(s, "timeout", "1.5", &e), 0);
	is_int(hutch_spec_set(s, "command", "sh", &e), 0);
	is_int(hutch_spec_to_json(s, &one, &e), 0);
	ok(hutch_spec_from_json(again, one, strlen(one), &e) == 0, "%s", e.message);
	is_int(hutch_spec_to_json(again, &two, &e), 0);
	is_str(two, one);
	is_int(hutch_spec_from_json(again, "[]", 2, &e), HUTCH_E_INVALID);
	is_int(hutch_spec_from_json(again, "{\"x\":1}", 7, &e), HUTCH_E_INVALID);
	is_int(hutch_spec_from_json(again, one, strlen(one) - 1, &e), HUTCH_E_INVALID);
	hutch_spec_free(s);
	hutch_spec_free(again);
}

static void nothing_is_not_a_spec(void)
{
	struct hutch_spec *s = make();
	struct hutch_error e = {0};
	char *text = NULL;

	is_int(hutch_spec_set(NULL, "env", "A=1", &e), HUTCH_E_INVALID);
	is_int(hutch_spec_set(s, NULL, "A=1", &e), HUTCH_E_INVALID);
	is_int(hutch_spec_set(s, "env", NULL, NULL), HUTCH_E_INVALID);
	is_int(hutch_spec_get(NULL, "env", &text, &e), HUTCH_E_INVALID);
	is_int(hutch_spec_clear(s, NULL, &e), HUTCH_E_INVALID);
	is_int(hutch_spec_to_json(NULL, &text, &e), HUTCH_E_INVALID);
	is_int(hutch_spec_from_json(s, NULL, 0, &e), HUTCH_E_INVALID);
	ok(!text);
	hutch_spec_free(NULL);
	hutch_spec_free(s);
}

static void a_preset_fills_in_what_is_not_said(void)
{
	static const char *const paths[] = {"/etc"};
	const struct hutch_preset *p = NULL, *found = NULL;
	struct hutch_spec *s = make();
	struct hutch_error e = {0};
	auto_free char *left = NULL;

	is_int(hutch_presets(&p), 4);
	ok(hutch_preset_find("CodeJudge", &found, &e) == 0 && !strcmp(found->name, "code_judge"));
	is_int(hutch_preset_find("x", &found, &e), HUTCH_E_INVALID);
	is_int(hutch_spec_set(s, "timeout", "1", &e), 0);
	is_int(hutch_spec_preset(s, "interactive", paths, 1, 0, &left, &e), HUTCH_E_UNSUPPORTED);
	ok(strstr(e.message, "limits.memory=8g") && strstr(e.message, "--without-limits"), "%s", e.message);
	is_int(hutch_spec_preset(s, "interactive", paths, 1, 2, &left, &e), HUTCH_E_INVALID);
	is_int(hutch_spec_preset(NULL, "interactive", paths, 1, 0, &left, &e), HUTCH_E_INVALID);
	is_field(s, "hostname", "");
	is_int(hutch_spec_preset(s, "interactive", paths, 1, HUTCH_PRESET_WITHOUT_LIMITS, &left, &e), 0);
	is_str(left, "limits.memory=8g, limits.cpus=4, limits.pids=512");
	is_field(s, "hostname", "sandbox");
	is_field(s, "timeout", "1");
	hutch_spec_clear(s, "volumes", &e);
	is_int(hutch_spec_preset(s, "interactive", paths, 1, HUTCH_PRESET_WITHOUT_LIMITS, NULL, &e), 0);
	hutch_spec_free(s);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(every_field_is_said_with_its_name_type_and_help),
		TAP_TEST(fields_are_set_read_and_emptied),
		TAP_TEST(a_wrong_field_or_value_changes_nothing_and_the_nearest_is_named),
		TAP_TEST(a_spec_goes_to_json_and_back),
		TAP_TEST(nothing_is_not_a_spec),
		TAP_TEST(a_preset_fills_in_what_is_not_said),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
