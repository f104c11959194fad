/* SPDX-License-Identifier: Apache-2.0
 *
 * whole_test.c - small files: whole, or as they were
 */
#include "base/whole.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/own.h"
#include "base/scratch.h"
#include "tap.h"

static bool says(const struct scratch *s, const char *name, const char *want)
{
	auto_buf struct buf text = BUF_INIT(1 << 20);
	struct err e = {0};

	return whole_read(s->fd, name, &text, &e) == 0 && is_str(text.data ? text.data : "", want);
}

static void what_is_written_is_read(void)
{
	auto_with(scratch_close) struct scratch s;
	struct err e = {0};

	if (!ok(scratch_open(&s), "no directory"))
		return;
	is_int(whole_write(s.fd, "a", "one", 3, &e), 0);
	ok(says(&s, "a", "one"));
	is_int(whole_write(s.fd, "a", "", 0, &e), 0);
	ok(says(&s, "a", ""));
	is_int(whole_write_quick(s.fd, "a", "quick", 5, &e), 0);
	ok(says(&s, "a", "quick"));
	is_int(scratch_names(&s, "."), 1);
	is_int(whole_write_quick(s.fd, "b", "new", 3, &e), 0);
	ok(says(&s, "b", "new"));
	is_int(scratch_names(&s, "."), 2);
}

static void a_file_that_cannot_be_written_whole_stays_as_it_was(void)
{
	auto_with(scratch_close) struct scratch s;
	struct rlimit before, small = {2, 2};
	struct err e = {0};

	if (!ok(scratch_open(&s), "no directory"))
		return;
	is_int(whole_write(s.fd, "a", "one", 3, &e), 0);
	getrlimit(RLIMIT_FSIZE, &before);
	small.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	is_int(whole_write(s.fd, "a", "three", 5, &e), ERR_SYSTEM);
	setrlimit(RLIMIT_FSIZE, &before);
	is_int(e.sys, EFBIG);
	ok(says(&s, "a", "one"));
	is_int(scratch_names(&s, "."), 1);
}

static void links_are_not_followed(void)
{
	auto_with(scratch_close) struct scratch s;
	auto_buf struct buf text = BUF_INIT(100);
	struct err e = {0};

	if (!ok(scratch_open(&s), "no directory"))
		return;
	scratch_link(&s, "/etc/passwd", "a");
	is_int(whole_read(s.fd, "a", &text, &e), ERR_SYSTEM);
	is_int(e.sys, ELOOP);
	is_int(whole_read(s.fd, "none", &text, &e), ERR_NOT_FOUND);
	is_int(e.sys, ENOENT);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(what_is_written_is_read),
		TAP_TEST(a_file_that_cannot_be_written_whole_stays_as_it_was),
		TAP_TEST(links_are_not_followed),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
