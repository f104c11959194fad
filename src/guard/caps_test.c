/* SPDX-License-Identifier: Apache-2.0
 *
 * caps_test.c - capabilities that cannot be had are named before the start
 */
#include "guard/caps.h"

#include "tap.h"

static void what_the_caller_has_may_be_asked_for(void)
{
	struct err e = {0};

	is_int(guard_caps_check(0, 0, &e), 0);
	is_int(guard_caps_check(GUARD_CAPS_DOCKER, GUARD_CAPS_DOCKER, &e), 0);
	is_int(guard_caps_check(GUARD_CAP(KILL), UINT64_MAX, &e), 0);
	is_int(__builtin_popcountll(GUARD_CAPS_DOCKER), 14);
}

static void what_is_missing_is_named(void)
{
	uint64_t asked =
		GUARD_CAPS_DOCKER | GUARD_CAP(SYS_TIME) | GUARD_CAP(BPF) | UINT64_C(1) << 60;
	struct err e = {0};

	is_int(guard_caps_check(asked, GUARD_CAPS_DOCKER, &e), ERR_UNSUPPORTED);
	is_str(e.msg, "capabilities SYS_TIME, BPF, 60: not among those that the caller of hutch "
		      "may hand on");
}

static void a_list_too_long_is_cut_between_names(void)
{
	struct err e = {0};

	is_int(guard_caps_check(UINT64_MAX, 0, &e), ERR_UNSUPPORTED);
	ok(strstr(e.msg, "capabilities CHOWN, ") == e.msg, "%s", e.msg);
	ok(strstr(e.msg, "may hand on") != NULL, "%s", e.msg);
	ok(strstr(e.msg, ", :") == NULL, "%s", e.msg);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(what_the_caller_has_may_be_asked_for),
		TAP_TEST(what_is_missing_is_named),
		TAP_TEST(a_list_too_long_is_cut_between_names),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
