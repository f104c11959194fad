/* SPDX-License-Identifier: Apache-2.0
 *
 * json_test.c - JSON written and read
 */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

static void what_is_written_has_its_commas(void)
{
	auto_buf struct buf b = BUF_INIT(1000);
	struct js_out o = {.b = &b};

	js_open(&o, '{');
	js_key(&o, "list");
	js_open(&o, '[');
	js_int(&o, -1);
	js_uint(&o, UINT64_MAX);
	js_open(&o, '[');
	js_close(&o, ']');
	js_null(&o);
	js_close(&o, ']');
	js_key(&o, "on");
	js_bool(&o, true);
	js_key(&o, "off");
	js_bool(&o, false);
	js_key(&o, "raw");
	js_raw(&o, "1.5");
	js_close(&o, '}');
	is_str(b.data, "{\"list\":[-1,18446744073709551615,[],null],\"on\":true,\"off\":false,"
		       "\"raw\":1.5}");
	ok(!o.bad && !buf_bad(&b));
}

static void text_is_escaped_and_comes_back(void)
{
	static const char text[] = "a\"b\\c\n\t\x01\x7f \xe2\x82\xac";
	auto_buf struct buf b = BUF_INIT(1000);
	struct js_out o = {.b = &b};
	struct js *v = NULL;
	struct err e;

	js_str(&o, text);
	is_str(b.data, "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f \xe2\x82\xac\"");
	if (ok(js_parse(b.data, b.len, &v, &e) == 0, "%s", e.msg))
		is_str(js_text(v), text);
	js_free(v);
}

static void text_that_is_not_utf8_marks_the_output(void)
{
	auto_buf struct buf b = BUF_INIT(1000);
	struct js_out o = {.b = &b};

	js_str(&o, "\xff");
	ok(o.bad);
}

static void a_full_buffer_is_seen_at_the_end(void)
{
	auto_buf struct buf b = BUF_INIT(10);
	struct js_out o = {.b = &b};

	js_str(&o, "longer than ten");
	js_int(&o, 1);
	ok(buf_bad(&b));
}

static void dotted_names_become_objects(void)
{
	auto_buf struct buf b = BUF_INIT(1000);
	struct js_out o = {.b = &b};
	char dotted[100];

	js_open(&o, '{');
	js_field(&o, "name");
	js_str(&o, "x");
	js_field(&o, "limits.memory");
	js_int(&o, 1);
	js_field(&o, "limits.pids");
	js_int(&o, 2);
	js_field(&o, "health.cmd");
	js_str(&o, "true");
	js_field(&o, "dns");
	js_open(&o, '[');
	js_close(&o, ']');
	js_field(&o, "limits.cpus");
	js_int(&o, 3);
	js_fields_end(&o);
	js_close(&o, '}');
	is_str(b.data, "{\"name\":\"x\",\"limits\":{\"memory\":1,\"pids\":2},"
		       "\"health\":{\"cmd\":\"true\"},\"dns\":[],\"limits\":{\"cpus\":3}}");
	memset(dotted, 'a', sizeof(dotted));
	dotted[80] = '.';
	dotted[99] = '\0';
	js_field(&o, dotted);
	ok(o.bad, "a group longer than any is not cut");
}

static void what_is_read_keeps_type_value_and_order(void)
{
	static const char text[] = "{\"s\":\"x\",\"n\":-5,\"r\":0.1,\"t\":true,\"f\":false,"
				   "\"z\":null,\"l\":[1,2],\"o\":{}}";
	static const enum js_type types[] = {JS_STR,  JS_INT,  JS_REAL, JS_BOOL,
					     JS_BOOL, JS_NULL, JS_LIST, JS_OBJECT};
	static const char *const keys[] = {"s", "n", "r", "t", "f", "z", "l", "o"};
	struct js *v = NULL;
	struct err e;

	if (!ok(js_parse(text, strlen(text), &v, &e) == 0, "%s", e.msg))
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		is_int(js_type(js_get(v, keys[i])), types[i]);
	is_str(js_text(js_get(v, "s")), "x");
	ok(!js_text(js_get(v, "n")));
	is_int(js_number(js_get(v, "n")), -5);
	is_int(js_number(js_get(v, "s")), 0);
	ok(js_is_true(js_get(v, "t")) && !js_is_true(js_get(v, "f")));
	is_int(js_len(js_get(v, "l")), 2);
	is_int(js_number(js_at(js_get(v, "l"), 1)), 2);
	ok(!js_get(v, "absent") && !js_at(js_get(v, "l"), 2));
	js_free(v);
}

static void scalars_become_text(void)
{
	static const char text[] = "[\"a b\",-5,0.1,1.5,true,false,null,[]]";
	static const char *const want[] = {"a b", "-5", "0.1", "1.5", "true", "false"};
	struct js *v = NULL;
	char *got = NULL;
	struct err e;

	if (!ok(js_parse(text, strlen(text), &v, &e) == 0, "%s", e.msg))
		return;
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		ok(js_scalar(js_at(v, i), &got, &e) == 0);
		is_str(got, want[i]);
		free(got);
	}
	is_int(js_scalar(js_at(v, 6), &got, &e), ERR_INVALID);
	is_str(e.msg, "null cannot stand here");
	is_int(js_scalar(js_at(v, 7), &got, &e), ERR_INVALID);
	is_str(e.msg, "a list cannot stand here");
	js_free(v);
}

static int stop_at_b(void *ctx, const char *key, struct js *v, struct err *e)
{
	(void)v;
	strcat(ctx, key);
	return strcmp(key, "b") == 0 ? err_set(e, ERR_LIMIT, "at b") : 0;
}

static void walking_an_object_ends_at_the_first_failure(void)
{
	static const char text[] = "{\"a\":1,\"b\":2,\"c\":3}";
	char seen[8] = "";
	struct js *v = NULL;
	struct err e;

	if (!ok(js_parse(text, strlen(text), &v, &e) == 0, "%s", e.msg))
		return;
	is_int(js_each(v, stop_at_b, seen, &e), ERR_LIMIT);
	is_str(seen, "ab");
	is_str(e.msg, "at b");
	js_free(v);
}

static void wrong_json_is_told_with_its_place_on_one_line(void)
{
	static const char *const wrong[] = {
		"",    "{",	   "{\"a\":1,\"a\":2}", "[1,]", "\"\\u0000\"",
		"1 2", "\"\xff\"", "{\"a\":1}\n}",	"nul",	"[99999999999999999999]"};
	struct js *v = NULL;
	struct err e;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		is_int(js_parse(wrong[i], strlen(wrong[i]), &v, &e), ERR_INVALID);
		ok(strncmp(e.msg, "JSON, line ", 11) == 0 && !strchr(e.msg, '\n'), "%s", e.msg);
	}
	is_int(js_parse("{", 1, &v, NULL), ERR_INVALID);
	ok(!v);
	js_free(NULL);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(what_is_written_has_its_commas),
		TAP_TEST(text_is_escaped_and_comes_back),
		TAP_TEST(text_that_is_not_utf8_marks_the_output),
		TAP_TEST(a_full_buffer_is_seen_at_the_end),
		TAP_TEST(dotted_names_become_objects),
		TAP_TEST(what_is_read_keeps_type_value_and_order),
		TAP_TEST(scalars_become_text),
		TAP_TEST(walking_an_object_ends_at_the_first_failure),
		TAP_TEST(wrong_json_is_told_with_its_place_on_one_line),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
