/* SPDX-License-Identifier: Apache-2.0
 *
 * layer_test.c - copies of what was written, and one layer of many
 *
 * The file under test is included: it works on any directories.
 */
#include "inside/layer.c"

#include "base/scratch.h"
#include "tap.h"

static int open_sub(const struct scratch *s, const char *name)
{
	int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		exit(1);
	return fd;
}

static int copy(const struct scratch *s, const char *from, const char *to, bool first)
{
	auto_fd int a = open_sub(s, from), b = open_sub(s, to);
	struct err e = {0};
	int r = layer_copy(a, b, first, &e);

	ok(r == 0 || *e.msg, "without a word");
	return r;
}

static bool has_text(const struct scratch *s, const char *path, const char *want)
{
	char text[100] = "";
	auto_fd int fd = openat(s->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0 && is_str(text, want);
}

static void one_layer_is_copied_as_it_is(void)
{
	auto_with(scratch_close) struct scratch s;
	struct timespec times[2] = {{5, 6}, {7, 8}};
	struct stat a, b;

	if (!ok(scratch_open(&s), "no directory"))
		return;
	scratch_dir(&s, "to", 0700);
	scratch_file(&s, "from/d/f", 0640, "content");
	scratch_link(&s, "../else", "from/d/l");
	ok(linkat(s.fd, "from/d/f", s.fd, "from/hard", 0) == 0 && mkfifoat(s.fd, "from/p", 0600) == 0 &&
	   utimensat(s.fd, "from/d/f", times, 0) == 0 && utimensat(s.fd, "from/d", times, 0) == 0 &&
	   fchmodat(s.fd, "from/d", 0711, 0) == 0 && fchmodat(s.fd, "from", 0751, 0) == 0);
	is_int(copy(&s, "from", "to", true), 0);
	ok(has_text(&s, "to/d/f", "content"));
	fstatat(s.fd, "to/d/f", &a, 0);
	fstatat(s.fd, "to/hard", &b, 0);
	ok(a.st_ino == b.st_ino && a.st_nlink == 2 && (a.st_mode & 07777) == 0640);
	is_int(a.st_mtim.tv_sec * 10 + a.st_mtim.tv_nsec, 78);
	fstatat(s.fd, "to/d", &a, 0);
	ok((a.st_mode & 07777) == 0711 && a.st_mtim.tv_sec == 7);
	fstatat(s.fd, "to/p", &a, 0);
	ok(S_ISFIFO(a.st_mode));
	fstatat(s.fd, "to", &a, 0);
	is_int(a.st_mode & 07777, 0751);
	ok(readlinkat(s.fd, "to/d/l", (char[10]){""}, 10) == 7);
}

static void holes_stay(void)
{
	auto_with(scratch_close) struct scratch s;
	auto_fd int fd = -1;
	struct stat st;

	if (!ok(scratch_open(&s), "no directory"))
		return;
	scratch_dir(&s, "to", 0700);
	scratch_file(&s, "from/f", 0600, "");
	fd = openat(s.fd, "from/f", O_RDWR | O_CLOEXEC);
	ok(ftruncate(fd, 1 << 30) == 0 && pwrite(fd, "x", 1, 1 << 29) == 1);
	is_int(copy(&s, "from", "to", true), 0);
	fstatat(s.fd, "to/f", &st, 0);
	ok(st.st_size == 1 << 30 && st.st_blocks < 1000, "%lld blocks", (long long)st.st_blocks);
}

static void what_is_above_wins(void)
{
	auto_with(scratch_close) struct scratch s;

	if (!ok(scratch_open(&s), "no directory"))
		return;
	scratch_dir(&s, "to", 0700);
	scratch_file(&s, "top/both", 0600, "top");
	scratch_file(&s, "top/d/of top", 0600, "");
	scratch_file(&s, "top/file", 0600, "file");
	scratch_file(&s, "low/both", 0600, "low");
	scratch_file(&s, "low/d/of low", 0600, "low");
	scratch_file(&s, "low/file/in", 0600, "");
	scratch_file(&s, "low/alone", 0600, "alone");
	is_int(copy(&s, "top", "to", true), 0);
	is_int(copy(&s, "low", "to", false), 0);
	ok(has_text(&s, "to/both", "top"));
	ok(has_text(&s, "to/d/of low", "low"));
	ok(has_text(&s, "to/file", "file"));
	ok(has_text(&s, "to/alone", "alone"));
	is_int(scratch_names(&s, "to/d"), 2);
	is_int(scratch_names(&s, "to"), 4);
}

/* More of them, and longer ones, than fit into what is tried first. */
static void attributes_are_copied_of_whatever_length(void)
{
	auto_with(scratch_close) struct scratch s;
	char long_value[FEW + 1], got[FEW + 2], name[64];
	auto_fd int a = -1, b = -1;

	if (!ok(scratch_open(&s), "no directory"))
		return;
	memset(long_value, 'v', sizeof(long_value));
	scratch_dir(&s, "to", 0700);
	scratch_file(&s, "from/f", 0640, "content");
	a = openat(s.fd, "from/f", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(a, "user.short", "x", 1, 0) < 0) {
		tap_skip("this file system has no attributes of users");
		return;
	}
	is_int(fsetxattr(a, "user.long", long_value, sizeof(long_value), 0), 0);
	is_int(fsetxattr(a, "user.empty", "", 0, 0), 0);
	is_int(copy(&s, "from", "to", true), 0);
	b = openat(s.fd, "to/f", O_RDONLY | O_CLOEXEC);
	is_int(fgetxattr(b, "user.short", got, sizeof(got)), 1);
	is_int(fgetxattr(b, "user.empty", got, sizeof(got)), 0);
	is_int(fgetxattr(b, "user.long", got, sizeof(got)), sizeof(long_value));
	ok(memcmp(got, long_value, sizeof(long_value)) == 0);
	for (int i = 0; i < 30; i++) { /* their names alone are longer than that */
		snprintf(name, sizeof(name), "user.%030d", i);
		is_int(fsetxattr(a, name, "y", 1, 0), 0);
	}
	scratch_dir(&s, "many", 0700);
	is_int(copy(&s, "from", "many", true), 0);
	close_fd(&b);
	b = openat(s.fd, "many/f", O_RDONLY | O_CLOEXEC);
	is_int(fgetxattr(b, "user.long", got, sizeof(got)), sizeof(long_value));
	is_int(fgetxattr(b, name, got, sizeof(got)), 1);
	is_int(flistxattr(b, NULL, 0), flistxattr(a, NULL, 0));
}

static void an_opaque_directory_hides_and_stays_opaque(void)
{
	auto_with(scratch_close) struct scratch s;
	auto_fd int dir = -1;

	if (!ok(scratch_open(&s), "no directory"))
		return;
	scratch_dir(&s, "to", 0700);
	scratch_file(&s, "top/a/x", 0600, "");
	scratch_dir(&s, "top/b", 0700);
	scratch_file(&s, "low/a/hidden", 0600, "");
	scratch_file(&s, "low/b/y", 0600, "");
	scratch_file(&s, "lowest/b/hidden", 0600, "");
	dir = open_sub(&s, "top/a");
	if (fsetxattr(dir, OPAQUE, "y", 1, 0) < 0) {
		skip("no user attributes on this file system");
		return;
	}
	close_fd(&dir);
	dir = open_sub(&s, "low/b");
	is_int(fsetxattr(dir, OPAQUE, "y", 1, 0), 0);
	is_int(copy(&s, "top", "to", true), 0);
	is_int(copy(&s, "low", "to", false), 0);
	is_int(copy(&s, "lowest", "to", false), 0);
	is_int(scratch_names(&s, "to/a"), 1);
	is_int(scratch_names(&s, "to/b"), 1);
	close_fd(&dir);
	dir = open_sub(&s, "to/b");
	ok(is_opaque(dir), "it would show what is below all of them");
}

/* The next directory of changes begins with the owner, mode and attributes of /, but nothing of /'s is in it. */
static void an_empty_one_has_nothing_of_overlayfs(void)
{
	auto_fd int a = -1, b = -1;
	auto_with(scratch_close) struct scratch s;
	char from[300], to[300];

	if (!ok(scratch_open(&s), "no directory"))
		return;
	scratch_dir(&s, "from", 0751);
	scratch_dir(&s, "to", 0700);
	a = open_sub(&s, "from");
	b = open_sub(&s, "to");
	if (fsetxattr(a, "user.of-them", "x", 1, 0) < 0) {
		skip("no user attributes on this file system");
		return;
	}
	is_int(fsetxattr(a, "user.overlay.impure", "y", 1, 0), 0);
	is_int(fsetxattr(a, "user.overlay.overlay.impure", "y", 1, 0), 0); /* an overlay's within the overlay */
	snprintf(from, sizeof(from), "%s/from", s.path);
	snprintf(to, sizeof(to), "%s/to", s.path);
	is_int(layer_like(to, from), 0);
	is_int(fgetxattr(b, "user.of-them", NULL, 0), 1);
	is_int(fgetxattr(b, "user.overlay.overlay.impure", NULL, 0), 1);
	ok(fgetxattr(b, "user.overlay.impure", NULL, 0) < 0 && errno == ENODATA);
	is_int(copy(&s, "from", "to", true), 0);
	is_int(fgetxattr(b, "user.overlay.impure", NULL, 0), 1); /* what was written was copied, too */
}

/* It is enough that one thing is another. */
static void one_that_was_not_written_to_is_known(void)
{
	const struct timespec times[2] = {{5, 7}, {5, 7}};
	auto_with(scratch_close) struct scratch s;
	char from[300], to[300];

	if (!ok(scratch_open(&s), "no directory"))
		return;
	scratch_dir(&s, "from", 0751);
	scratch_file(&s, "from/x", 0600, "x");
	snprintf(from, sizeof(from), "%s/from", s.path);
	for (int i = 0; i < 6; i++) {
		auto_fd int b = -1;
		char name[16];

		snprintf(name, sizeof(name), "to%d", i);
		scratch_dir(&s, name, 0700);
		snprintf(to, sizeof(to), "%s/%s", s.path, name);
		is_int(layer_like(to, from), 0);
		ok(layer_is_like(to, from), "%d", i);
		b = open_sub(&s, name);
		(void)fsetxattr(b, "user.overlay.impure", "y", 1, 0);
		ok(layer_is_like(to, from), "%d: that is overlayfs' own matter", i);
		if (i == 0)
			scratch_file(&s, "to0/x", 0600, "x");
		else if (i == 1)
			is_int(fchmod(b, 0750), 0);
		else if (i == 2)
			is_int(futimens(b, times), 0);
		else if (i == 3 && fsetxattr(b, "user.of-them", "x", 1, 0) < 0)
			continue; /* there are none on this file system */
		else if (i == 4 && fchown(b, (uid_t)-1, getegid() + 1) < 0)
			continue; /* not root */
		else if (i == 5)
			is_int(unlinkat(s.fd, name, AT_REMOVEDIR), 0);
		ok(!layer_is_like(to, from), "%d", i);
	}
	scratch_dir(&s, "to", 0700);
	snprintf(to, sizeof(to), "%s/to", s.path);
	is_int(layer_like(to, from), 0);
	ok(layer_is_like(to, from));
	if (setxattr(from, "user.of-them", "x", 1, 0) == 0)
		ok(!layer_is_like(to, from), "that has been taken away");
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(one_layer_is_copied_as_it_is),
		TAP_TEST(holes_stay),
		TAP_TEST(what_is_above_wins),
		TAP_TEST(attributes_are_copied_of_whatever_length),
		TAP_TEST(an_opaque_directory_hides_and_stays_opaque),
		TAP_TEST(an_empty_one_has_nothing_of_overlayfs),
		TAP_TEST(one_that_was_not_written_to_is_known),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
