/* SPDX-License-Identifier: Apache-2.0
 *
 * stack_test.c - what is no root file system is called by what it is
 */
#include "layers/stack.h"

#include "base/scratch.h"
#include "tap.h"

/* What is said of @name below @s. */
static int check(const struct scratch *s, const char *name, struct err *e)
{
	char path[256];
	struct stat st;

	*e = (struct err){0};
	snprintf(path, sizeof(path), "%s/%s", s->path, name);
	return layers_check_rootfs(path, &st, e);
}

static void a_directory_is_taken_also_through_a_link(void)
{
	struct scratch s;
	struct err e;

	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "root", 0755);
	scratch_link(&s, "root", "link");
	is_int(check(&s, "root", &e), 0);
	is_int(check(&s, "link", &e), 0);
	scratch_close(&s);
}

static void its_owner_and_group_are_told(void)
{
	struct stat st = {.st_uid = (uid_t)-1, .st_gid = (gid_t)-1};
	struct scratch s;
	struct err e;

	if (!ok(scratch_open(&s)))
		return;
	is_int(layers_check_rootfs(s.path, &st, &e), 0);
	is_int(st.st_uid, geteuid());
	if (fchown(s.fd, 12345, 12346) == 0) {
		is_int(layers_check_rootfs(s.path, &st, &e), 0);
		is_int(st.st_uid, 12345);
		is_int(st.st_gid, 12346);
	}
	scratch_close(&s);
}

static void anything_else_is_named(void)
{
	struct scratch s;
	struct err e;

	if (!ok(scratch_open(&s)))
		return;
	scratch_file(&s, "image.tar", 0644, "");
	scratch_link(&s, "nowhere", "dangling");
	ok(mkfifoat(s.fd, "fifo", 0600) == 0);
	is_int(check(&s, "missing", &e), ERR_NOT_FOUND);
	ok(strstr(e.msg, "missing': no such directory"), "%s", e.msg);
	is_int(check(&s, "dangling", &e), ERR_NOT_FOUND);
	is_int(check(&s, "image.tar", &e), ERR_INVALID);
	ok(strstr(e.msg, "tar -xf"), "how to unpack it: %s", e.msg);
	is_int(check(&s, "image.tar/x", &e), ERR_NOT_FOUND);
	is_int(check(&s, "fifo", &e), ERR_INVALID); /* and it does not hang */
	ok(strstr(e.msg, "is not a directory"), "%s", e.msg);
	is_int(check(&s, "", &e), 0);
	scratch_close(&s);
}

static void a_directory_that_may_not_be_read_is_refused(void)
{
	struct scratch s;
	struct err e;

	if (geteuid() == 0) {
		skip("root may read everything");
		return;
	}
	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "closed", 0);
	is_int(check(&s, "closed", &e), ERR_PERMISSION);
	ok(strstr(e.msg, "closed'"), "%s", e.msg);
	scratch_close(&s);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_directory_is_taken_also_through_a_link),
		TAP_TEST(its_owner_and_group_are_told),
		TAP_TEST(anything_else_is_named),
		TAP_TEST(a_directory_that_may_not_be_read_is_refused),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
