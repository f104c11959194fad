/* SPDX-License-Identifier: Apache-2.0
 *
 * names_test.c - each name once, and how many there are
 */
#include "sys/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/scratch.h"
#include "tap.h"

static void an_empty_directory_has_none(void)
{
	auto_with(scratch_close) struct scratch s;
	auto_fd int dir = -1;
	struct sys_names n;

	ok(scratch_open(&s));
	scratch_dir(&s, "empty", 0700);
	dir = openat(s.fd, "empty", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sys_names_begin(&n, dir);
	ok(!sys_names_next(&n));
	is_int(n.failed, 0);
	ok(!sys_names_next(&n), "nor is there one later");
}

/* More than fit into its room at once. */
static void each_name_comes_once(void)
{
	enum { MANY = 300 };
	auto_with(scratch_close) struct scratch s;
	bool seen[MANY] = {0};
	auto_fd int dir = -1;
	struct sys_names n;
	const char *name;
	int count = 0;

	ok(scratch_open(&s));
	for (int i = 0; i < MANY; i++) {
		char path[64];

		snprintf(path, sizeof(path), "many/a-rather-long-name-%d", i);
		scratch_file(&s, path, 0600, "");
	}
	dir = openat(s.fd, "many", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sys_names_begin(&n, dir);
	while ((name = sys_names_next(&n))) {
		int i = atoi(name + strlen("a-rather-long-name-"));

		count += i >= 0 && i < MANY && !seen[i];
		seen[i % MANY] = true;
	}
	is_int(count, MANY);
	is_int(n.failed, 0);
}

static void they_are_counted_up_to_a_bound(void)
{
	auto_with(scratch_close) struct scratch s;
	auto_fd int dir = -1;

	ok(scratch_open(&s));
	scratch_file(&s, "d/.hidden", 0600, "");
	scratch_file(&s, "d/...", 0600, "");
	scratch_dir(&s, "d/sub", 0700);
	dir = openat(s.fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(sys_names_count(dir, 10), 3);
	is_int(lseek(dir, 0, SEEK_SET), 0);
	is_int(sys_names_count(dir, 2), 2);
}

static void what_is_no_directory_fails(void)
{
	auto_with(scratch_close) struct scratch s;
	auto_fd int file = -1;

	ok(scratch_open(&s));
	scratch_file(&s, "file", 0600, "");
	file = openat(s.fd, "file", O_RDONLY | O_CLOEXEC);
	is_int(sys_names_count(file, 10), -ENOTDIR);
	is_int(sys_names_count(-1, 10), -EBADF);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(an_empty_directory_has_none),
		TAP_TEST(each_name_comes_once),
		TAP_TEST(they_are_counted_up_to_a_bound),
		TAP_TEST(what_is_no_directory_fails),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
