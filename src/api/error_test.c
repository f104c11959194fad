/* SPDX-License-Identifier: Apache-2.0
 *
 * error_test.c - a failure comes out as it went in, and only a failure
 */
#include "api/api.h"

#include "tap.h"

static void a_failure_is_handed_over_whole(void)
{
	struct err e = {.code = ERR_LIMIT, .sys = 28, .msg = "write 'x': No space left on device"};
	struct hutch_error out = {0};

	is_int(api_give(ERR_LIMIT, &e, &out), HUTCH_E_LIMIT);
	is_int(out.code, HUTCH_E_LIMIT);
	is_int(out.sys_errno, 28);
	is_str(out.message, "write 'x': No space left on device");
}

static void success_leaves_the_callers_struct_alone(void)
{
	struct hutch_error out = {.code = 77, .message = "old"};
	struct err e = {.code = ERR_LIMIT};

	is_int(api_give(0, &e, &out), 0);
	is_int(api_give(1, &e, &out), 1);
	is_int(out.code, 77);
	is_str(out.message, "old");
}

static void nobody_has_to_give_a_struct(void)
{
	struct err e = {.code = ERR_STATE};

	is_int(api_give(ERR_STATE, &e, NULL), HUTCH_E_STATE);
	is_int(api_missing("box", NULL), HUTCH_E_INVALID);
}

static void what_is_missing_is_named(void)
{
	struct hutch_error out = {0};

	is_int(api_missing("box", &out), HUTCH_E_INVALID);
	is_str(out.message, "no box was given");
	is_int(out.sys_errno, 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_failure_is_handed_over_whole),
		TAP_TEST(success_leaves_the_callers_struct_alone),
		TAP_TEST(nobody_has_to_give_a_struct),
		TAP_TEST(what_is_missing_is_named),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
