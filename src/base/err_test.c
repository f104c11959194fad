/* SPDX-License-Identifier: Apache-2.0
 *
 * err_test.c - a failure keeps its code, its errno and its words on the way up
 */
#include "base/err.h"

#include <errno.h>

#include "tap.h"

static void a_failure_is_filled_and_its_code_returned(void)
{
	struct err e = {.sys = 99};

	is_int(err_set(&e, ERR_INVALID, "no field '%s'", "x"), ERR_INVALID);
	is_int(e.code, ERR_INVALID);
	is_int(e.sys, 0);
	is_str(e.msg, "no field 'x'");
}

static void a_failed_call_says_which_and_why(void)
{
	struct err e;

	is_int(err_sys(&e, ENOENT, "open '%s'", "/x"), ERR_NOT_FOUND);
	is_int(e.sys, ENOENT);
	is_str(e.msg, "open '/x': No such file or directory");
	is_int(err_sys(&e, -EPERM, "mount"), ERR_PERMISSION);
	is_int(e.sys, EPERM);
	is_str(e.msg, "mount: Operation not permitted");
	err_sys(&e, ETOOMANYREFS, "send");
	is_str(e.msg, "send: too many descriptors of this user are on their way between processes (ulimit -n)");
}

static void an_errno_has_one_code(void)
{
	static const struct {
		int sys, code;
	} t[] = {
		{ENOMEM, ERR_NOMEM}, {ENOENT, ERR_NOT_FOUND}, {ENOTDIR, ERR_NOT_FOUND},
		{EEXIST, ERR_EXISTS}, {EACCES, ERR_PERMISSION}, {EPERM, ERR_PERMISSION},
		{EROFS, ERR_PERMISSION}, {ENOSYS, ERR_UNSUPPORTED}, {EOPNOTSUPP, ERR_UNSUPPORTED},
		{EBUSY, ERR_BUSY}, {ETIMEDOUT, ERR_TIMEOUT}, {ENOSPC, ERR_LIMIT},
		{EDQUOT, ERR_LIMIT}, {EMFILE, ERR_LIMIT}, {ENFILE, ERR_LIMIT}, {E2BIG, ERR_LIMIT}, {ETOOMANYREFS, ERR_LIMIT},
		{EIO, ERR_SYSTEM}, {EINVAL, ERR_SYSTEM}, {0, ERR_SYSTEM},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		ok(err_code_of(t[i].sys) == t[i].code, "errno %d", t[i].sys);
}

static void a_prefix_goes_in_front_and_changes_nothing_else(void)
{
	struct err e;

	err_sys(&e, EBUSY, "mount '/x'");
	is_int(err_wrap(&e, "start '%s'", "ab"), ERR_BUSY);
	is_int(e.sys, EBUSY);
	is_str(e.msg, "start 'ab': mount '/x': Device or resource busy");
}

static void nobody_has_to_want_the_words(void)
{
	is_int(err_set(NULL, ERR_STATE, "x"), ERR_STATE);
	is_int(err_sys(NULL, EACCES, "x"), ERR_PERMISSION);
	is_int(err_oom(NULL), ERR_NOMEM);
	ok(err_wrap(NULL, "x") < 0);
}

static void a_message_of_any_length_stays_a_string(void)
{
	char words[2000];
	struct err e;

	for (size_t n = 440; n < 520; n++) { /* around the size of msg */
		memset(words, 'w', n);
		words[n] = '\0';
		err_sys(&e, ENOENT, "%s", words);
		ok(memchr(e.msg, 0, sizeof(e.msg)), "err_sys, %zu bytes", n);
		err_set(&e, ERR_INVALID, "short");
		err_wrap(&e, "%s", words);
		ok(memchr(e.msg, 0, sizeof(e.msg)), "err_wrap, %zu bytes", n);
		ok(e.msg[0] == 'w' && e.msg[400] == 'w', "%zu bytes", n);
	}
	for (int i = 0; i < 200; i++)
		err_wrap(&e, "step %d", i);
	ok(memchr(e.msg, 0, sizeof(e.msg)));
	ok(!strncmp(e.msg, "step 199: step 198: ", 20), "%s", e.msg);
}

static void what_does_not_fit_is_cut_at_the_end(void)
{
	char words[600];
	struct err e;

	memset(words, 'w', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	err_set(&e, ERR_INVALID, "%s", words);
	err_wrap(&e, "start 'ab'");
	ok(!strncmp(e.msg, "start 'ab': www", 15), "%.30s", e.msg);
	is_int(strlen(e.msg), sizeof(e.msg) - 1);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_failure_is_filled_and_its_code_returned),
		TAP_TEST(a_failed_call_says_which_and_why),
		TAP_TEST(an_errno_has_one_code),
		TAP_TEST(a_prefix_goes_in_front_and_changes_nothing_else),
		TAP_TEST(nobody_has_to_want_the_words),
		TAP_TEST(a_message_of_any_length_stays_a_string),
		TAP_TEST(what_does_not_fit_is_cut_at_the_end),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
