/* SPDX-License-Identifier: Apache-2.0
 *
 * str_test.c - words and numbers in text
 */
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

static struct str_span span(const char *s)
{
	return (struct str_span){s, strlen(s)};
}

static void pieces_are_cut_at_each_separator(void)
{
	const char *rest = "a,,bc";
	struct str_span s;

	ok(str_next(&rest, ',', &s) && str_is(s, "a"));
	ok(str_next(&rest, ',', &s) && s.len == 0);
	ok(str_next(&rest, ',', &s) && str_is(s, "bc"));
	ok(!str_next(&rest, ',', &s));
	rest = "";
	ok(str_next(&rest, ',', &s) && s.len == 0);
	ok(!str_next(&rest, ',', &s));
}

static void words_are_compared_whole_and_without_case_where_asked(void)
{
	char *copy = str_dup((struct str_span){"abcdef", 3});

	is_str(copy, "abc");
	free(copy);
	ok(str_is(span("ro"), "ro"));
	ok(!str_is(span("ro"), "row"));
	ok(!str_is(span("Ro"), "ro"));
	ok(str_is_nocase(span("SigInt"), "SIGINT"));
	ok(!str_is_nocase(span("SigIn"), "SIGINT"));
	ok(!str_is_nocase(span("[a"), "{A"), "only letters have a case");
}

static void whole_numbers_are_digits_and_nothing_else(void)
{
	static const char *const wrong[] = {
		"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "a", "18446744073709551616"};
	uint64_t n = 7;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ok(!str_u64(span(wrong[i]), UINT64_MAX, &n), "'%s'", wrong[i]);
	is_int(n, 7);
	ok(str_u64(span("18446744073709551615"), UINT64_MAX, &n) && n == UINT64_MAX);
	ok(str_u64(span("007"), 7, &n) && n == 7);
	ok(!str_u64(span("8"), 7, &n));
}

static void signed_numbers_keep_their_limits(void)
{
	int64_t n = 0;

	ok(str_i64(span("-1000"), -1000, 1000, &n) && n == -1000);
	ok(str_i64(span("1000"), -1000, 1000, &n) && n == 1000);
	ok(!str_i64(span("-1001"), -1000, 1000, &n));
	ok(!str_i64(span("1001"), -1000, 1000, &n));
	ok(!str_i64(span("--1"), -1000, 1000, &n));
	ok(!str_i64(span("-"), -1000, 1000, &n));
	ok(!str_i64(span(""), -1000, 1000, &n));
	ok(!str_i64(span("9223372036854775808"), INT64_MIN, INT64_MAX, &n));
}

static void decimals_are_exact_and_never_cut_to_nothing(void)
{
	uint64_t n = 0;

	ok(str_decimal(span("1.5"), 1ULL << 30, UINT64_MAX, &n) && n == 1610612736);
	ok(str_decimal(span("0.123"), 1000, UINT64_MAX, &n) && n == 123);
	ok(str_decimal(span("0.0001"), 1000, UINT64_MAX, &n) && n == 1, "got %d", (int)n);
	ok(str_decimal(span("0.000"), 1000, UINT64_MAX, &n) && n == 0);
	ok(str_decimal(span("1.99999999999999999999999999999"), 1000, UINT64_MAX, &n));
	is_int(n, 1999);
	ok(!str_decimal(span("1."), 1, UINT64_MAX, &n));
	ok(!str_decimal(span(".5"), 1, UINT64_MAX, &n));
	ok(!str_decimal(span("1.2.3"), 1, UINT64_MAX, &n));
	ok(!str_decimal(span(""), 1, UINT64_MAX, &n));
	ok(!str_decimal(span("1.5x"), 1, UINT64_MAX, &n));
	ok(!str_decimal(span("18446744073709551615"), 1024, UINT64_MAX, &n), "too large");
	ok(!str_decimal(span("11"), 1, 10, &n));
	ok(!str_decimal(span("1"), UINT64_MAX, UINT64_MAX, &n),
	   "a scale that cannot be multiplied");
}

static void utf8_is_told_from_what_only_looks_like_it(void)
{
	static const char *const wrong[] = {
		"\x80",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc3",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xe2\x82",
		"a\xff",
		"\xe2\x28\xa1",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ok(!str_utf8(wrong[i], strlen(wrong[i])), "case %zu", i);
	ok(str_utf8("", 0));
	ok(str_utf8("grün \xe2\x82\xac \xf0\x9f\x90\xb0",
		    strlen("grün \xe2\x82\xac \xf0\x9f\x90\xb0")));
	ok(str_utf8("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10));
}

static void a_message_is_one_line(void)
{
	char s[] = "a\nb\tc\x7f"
		   "d\x1b[0m";

	str_one_line(s);
	is_str(s, "a?b?c?d?[0m");
}

static void distance_counts_changes_and_swaps(void)
{
	is_int(str_distance("", ""), 0);
	is_int(str_distance("", "abc"), 3);
	is_int(str_distance("memory", "memroy"), 1);
	is_int(str_distance("kitten", "sitting"), 3);
	is_int(str_distance("read_only", "Read-Only"), 0);
	ok(str_distance("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			"a") == SIZE_MAX);
}

static const char *nearest(const char *word)
{
	static const char *const names[] = {"hostname", "host",	  "memory", "memory-swap",
					    "rm",	"volume", "env",    "env-file"};
	struct str_near near = {.word = word};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		str_near_try(&near, names[i], names[i]);
	return str_near_best(&near);
}

static void the_nearest_name_is_found_and_nonsense_has_none(void)
{
	is_str(nearest("hostnam"), "hostname");
	is_str(nearest("hsot"), "host");
	is_str(nearest("memorry"), "memory");
	is_str(nearest("mem"), "memory");
	is_str(nearest("volumes"), "volume");
	is_str(nearest("env_file"), "env-file");
	ok(!nearest("zzz"));
	ok(!nearest("x"));
	ok(!nearest(""));
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(pieces_are_cut_at_each_separator),
		TAP_TEST(words_are_compared_whole_and_without_case_where_asked),
		TAP_TEST(whole_numbers_are_digits_and_nothing_else),
		TAP_TEST(signed_numbers_keep_their_limits),
		TAP_TEST(decimals_are_exact_and_never_cut_to_nothing),
		TAP_TEST(utf8_is_told_from_what_only_looks_like_it),
		TAP_TEST(a_message_is_one_line),
		TAP_TEST(distance_counts_changes_and_swaps),
		TAP_TEST(the_nearest_name_is_found_and_nonsense_has_none),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
