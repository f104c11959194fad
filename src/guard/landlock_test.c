/* SPDX-License-Identifier: Apache-2.0
 *
 * landlock_test.c - abstract sockets of the host stay out of reach, or it is said
 */
#include "guard/landlock.h"

#include "tap.h"

static void a_network_of_its_own_needs_no_domain(void)
{
	struct guard_landlock plan = {.scoped = 99};
	struct err e = {0};

	is_int(guard_landlock_plan(0, false, false, &plan, &e), 0);
	is_int(plan.scoped, 0);
	is_int(guard_landlock_plan(7, false, false, &plan, &e), 0);
	is_int(plan.scoped, 0);
}

static void the_hosts_network_gets_the_scope_where_there_is_one(void)
{
	struct guard_landlock plan = {0};
	struct err e = {0};

	is_int(guard_landlock_plan(6, true, false, &plan, &e), 0);
	is_int(plan.scoped, GUARD_SCOPE_ABSTRACT);
	plan.scoped = 0;
	is_int(guard_landlock_plan(7, true, true, &plan, &e), 0);
	is_int(plan.scoped, GUARD_SCOPE_ABSTRACT);
}

static void without_the_scope_it_must_be_allowed(void)
{
	struct guard_landlock plan = {.scoped = 99};
	struct err e = {0};

	is_int(guard_landlock_plan(5, true, false, &plan, &e), ERR_UNSUPPORTED);
	ok(strstr(e.msg, "--allow-abstract-sockets") != NULL, "%s", e.msg);
	is_int(plan.scoped, 99);
	is_int(guard_landlock_plan(-38, true, false, &plan, &e), ERR_UNSUPPORTED);
	ok(strstr(e.msg, "ABI 0") != NULL, "%s", e.msg);
	is_int(guard_landlock_plan(5, true, true, &plan, &e), 0);
	is_int(plan.scoped, 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_network_of_its_own_needs_no_domain),
		TAP_TEST(the_hosts_network_gets_the_scope_where_there_is_one),
		TAP_TEST(without_the_scope_it_must_be_allowed),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
