/* SPDX-License-Identifier: Apache-2.0
 *
 * stack_test.c - lists of layers: what is one, and there and back
 */
#include "wire/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "tap.h"

#define A "s.00000000000000aa"
#define B "s.00000000000000bb"
#define C "s.00000000000000cc"

static void names_have_one_form(void)
{
	static const char *const bad[] = {"", "s.", A "0", "s.0000000000000", "s.00000000000000AA", "x.00000000000000aa",
					  "../../../../../etc", "s.0000000000000/aa"};

	ok(layer_name_ok(A, strlen(A)));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ok(!layer_name_ok(bad[i], strlen(bad[i])), "%s", bad[i]);
}

/* A name may be a piece of a file: nothing ends it, and what comes after is not its own. */
static void a_name_ends_where_it_is_said_to(void)
{
	size_t len = strlen(A);
	auto_free char *alone = malloc(len); /* a sanitizer sees who reads on */

	memcpy(alone, A, len);
	ok(layer_name_ok(alone, len));
	alone[len - 1] = '\0';
	ok(!layer_name_ok(alone, len), "a NUL is no digit");
	alone[len - 1] = '"';
	ok(!layer_name_ok(alone, len));
}

static void a_list_goes_there_and_back(void)
{
	auto_with(stack_done) struct stack s = {0}, copy = {0};
	auto_buf struct buf text = BUF_INIT(1000);
	struct err e = {0};

	is_int(stack_push(&s, B, &e), 0);
	is_int(stack_push(&s, A, &e), 0);
	stack_to_text(&s, &text);
	ok(!buf_bad(&text));
	is_str(text.data, A "\n" B);
	is_int(stack_from_text(&copy, text.data, text.len, &e), 0);
	is_int(copy.n, 2);
	is_str(copy.v[0], A);
	ok(stack_has(&copy, B) && !stack_has(&copy, C));
	is_str(copy.v[1], B);
}

static void an_empty_text_is_an_empty_list(void)
{
	auto_with(stack_done) struct stack s = {0}, copy = {0};
	struct err e = {0};

	is_int(stack_from_text(&s, "", 0, &e), 0);
	is_int(s.n, 0);
	is_int(stack_copy(&copy, &s, &e), 0);
	is_int(copy.n, 0);
}

static void what_is_no_list_is_refused(void)
{
	static const char *const bad[] = {"\n", (A "\n\n" B), (A " " B), (A "\n.."), ("/" A)};
	struct err e = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		auto_with(stack_done) struct stack s = {0};

		is_int(stack_from_text(&s, bad[i], strlen(bad[i]), &e), ERR_INVALID);
	}
}

static void no_list_is_deeper_than_the_kernel_takes(void)
{
	auto_with(stack_done) struct stack s = {0};
	struct err e = {0};
	char name[LAYER_NAME];

	for (int i = 0; i < STACK_MAX; i++) {
		snprintf(name, sizeof(name), "s.%016x", i);
		is_int(stack_push(&s, name, &e), 0);
	}
	is_int(stack_push(&s, A, &e), ERR_LIMIT);
	is_int(s.n, STACK_MAX);
}

static void what_is_common_is_counted_from_below(void)
{
	auto_with(stack_done) struct stack a = {0}, b = {0}, none = {0};
	struct err e = {0};

	is_int(stack_from_text(&a, A "\n" B "\n" C, 3 * 18 + 2, &e), 0);
	is_int(stack_from_text(&b, B "\n" C, 2 * 18 + 1, &e), 0);
	is_int(stack_common(&a, &b), 2);
	is_int(stack_common(&b, &a), 2);
	is_int(stack_common(&a, &none), 0);
	is_int(stack_push(&b, C, &e), 0);
	is_int(stack_common(&a, &b), 2);
}

static void many_of_one_kind_are_made_one(void)
{
	auto_with(stack_done) struct stack s = {0}, run = {0};
	struct err e = {0};
	char name[LAYER_NAME];
	uint32_t first = 9;

	is_int(stack_push(&s, "m.00000000000000ff", &e), 0);
	for (int i = 0; i < STACK_DEEP; i++) {
		is_int(stack_to_merge(&s, &first), 0);
		snprintf(name, sizeof(name), "s.%016x", i);
		is_int(stack_push(&s, name, &e), 0);
	}
	is_int(stack_to_merge(&s, &first), STACK_DEEP);
	is_int(first, 0);
	is_int(stack_copy(&run, &s, &e), 0);
	run.n = STACK_DEEP;
	is_int(stack_push(&s, A, &e), 0); /* meanwhile */
	ok(stack_merged(&s, &run, "m.0000000000000001"));
	is_int(s.n, 3);
	is_str(s.v[0], A);
	is_str(s.v[1], "m.0000000000000001");
	is_str(s.v[2], "m.00000000000000ff");
	ok(!stack_merged(&s, &run, "m.0000000000000002"));
	is_int(s.n, 3);
}

static void merged_ones_are_merged_too(void)
{
	auto_with(stack_done) struct stack s = {0};
	struct err e = {0};
	char name[LAYER_NAME];
	uint32_t first = 9;

	for (int i = 0; i < STACK_DEEP; i++) {
		snprintf(name, sizeof(name), "m.%016x", i);
		is_int(stack_push(&s, name, &e), 0);
	}
	is_int(stack_push(&s, A, &e), 0);
	is_int(stack_to_merge(&s, &first), STACK_DEEP);
	is_int(first, 1);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(names_have_one_form),
		TAP_TEST(a_name_ends_where_it_is_said_to),
		TAP_TEST(a_list_goes_there_and_back),
		TAP_TEST(an_empty_text_is_an_empty_list),
		TAP_TEST(what_is_no_list_is_refused),
		TAP_TEST(no_list_is_deeper_than_the_kernel_takes),
		TAP_TEST(what_is_common_is_counted_from_below),
		TAP_TEST(many_of_one_kind_are_made_one),
		TAP_TEST(merged_ones_are_merged_too),
	};

	return tap_run(tests, sizeof(tests) / sizeof(*tests));
}
