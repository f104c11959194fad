/* SPDX-License-Identifier: Apache-2.0
 *
 * fsmount_test.c - paths stay below their root, and mounts are what was asked
 *
 * Mounts are made in a child with a user and a mount namespace of its own, so no root is needed.
 */
#include "sys/fsmount.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>

#include "base/own.h"
#include "base/scratch.h"
#include "sys/proc.h"
#include "tap.h"

/* ---- paths ----------------------------------------------------------------------------------- */

static bool make_tree(struct scratch *s)
{
	return scratch_open(s) && scratch_file(s, "etc/passwd", 0644, "the one inside") &&
	       scratch_link(s, "/etc/passwd", "absolute") &&
	       scratch_link(s, "../../../../../etc/passwd", "out") &&
	       scratch_link(s, "/proc/self/fd/0", "magic") && scratch_link(s, "etc", "dirlink") &&
	       scratch_link(s, "loop", "loop");
}

static bool is_the_one_inside(int fd)
{
	char text[64] = "";
	bool same =
		fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && !strcmp(text, "the one inside");

	if (fd >= 0) {
		same = same && fcntl(fd, F_GETFD) == FD_CLOEXEC;
		close(fd);
	}
	return same;
}

static void links_and_dots_stay_below_the_root(void)
{
	static const char *const paths[] = {"etc/passwd", "/etc/passwd", "absolute", "out",
					    "../../etc/passwd", "dirlink/../../etc/passwd"};
	struct scratch s;

	if (ok(make_tree(&s)))
		for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
			ok(is_the_one_inside(sys_open_in_root(s.fd, paths[i], O_RDONLY, 0)), "%s",
			   paths[i]);
	scratch_close(&s);
}

static void what_is_not_there_is_said(void)
{
	struct scratch s;

	if (ok(make_tree(&s))) {
		is_int(sys_open_in_root(s.fd, "etc/shadow", O_RDONLY, 0), -ENOENT);
		is_int(sys_open_in_root(s.fd, "etc/passwd/x", O_RDONLY, 0), -ENOTDIR);
		is_int(sys_open_in_root(s.fd, "loop", O_RDONLY, 0), -ELOOP);
		is_int(sys_open_in_root(-1, "x", O_RDONLY, 0), -EBADF);
	}
	scratch_close(&s);
}

static void links_of_proc_are_not_followed(void)
{
	auto_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	is_int(sys_open_in_root(root, "proc/self/fd/0", O_RDONLY, 0), -ELOOP);
	is_int(sys_open_in_root(root, "proc/self/root/etc", O_RDONLY, 0), -ELOOP);
}

static void no_link_is_followed_where_none_may_be(void)
{
	struct scratch s;

	if (ok(make_tree(&s))) {
		ok(is_the_one_inside(sys_open_no_links(s.fd, "etc/passwd", O_RDONLY)));
		ok(is_the_one_inside(sys_open_no_links(s.fd, "../etc/passwd", O_RDONLY)));
		is_int(sys_open_no_links(s.fd, "dirlink/passwd", O_RDONLY), -ELOOP);
		is_int(sys_open_no_links(s.fd, "absolute", O_RDONLY), -ELOOP);
	}
	scratch_close(&s);
}

/* ---- mounts ---------------------------------------------------------------------------------- */

enum { CANNOT = 77 };

/* A user and a mount namespace, in which we are root. */
static int become_root_of_own(void)
{
	unsigned uid = getuid(), gid = getgid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	(void)sys_write_file(AT_FDCWD, "/proc/self/setgroups", "deny"); /* denied already is fine */
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (sys_write_file(AT_FDCWD, "/proc/self/uid_map", map) < 0)
		return -1;
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return sys_write_file(AT_FDCWD, "/proc/self/gid_map", map);
}

/* In a child with namespaces of its own: what it mounts below @s only it sees. */
static int in_child(int (*child)(int dir), struct scratch *s)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (become_root_of_own() < 0)
			_exit(CANNOT);
		/* anew: what was opened before is in the other namespace */
		_exit(child(open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void run(int (*child)(int dir))
{
	int before = scratch_descriptors(), r;
	struct scratch s;

	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "m", 0755);
	scratch_dir(&s, "n", 0755);
	r = in_child(child, &s);
	if (r == CANNOT)
		skip("needs user namespaces");
	else
		is_int(r, 0);
	is_int(scratch_names(&s, "m"), 0); /* nothing of it is seen out here */
	scratch_close(&s);
	is_int(scratch_descriptors(), before);
}

static int tmpfs(int dir, const char *path)
{
	int fs = sys_fsopen("tmpfs"), m;

	if (fs < 0 || sys_fs_string(fs, "size", "1m") < 0)
		return -1;
	m = sys_fs_mount(fs, MOUNT_ATTR_NODEV);
	if (m < 0 || sys_attach(m, dir, path) < 0)
		return -1;
	close(m);
	return fs;
}

static int make_tmpfs(int dir)
{
	int fs = tmpfs(dir, "m"), fd;

	if (fs < 0)
		return 1;
	if (fcntl(fs, F_GETFD) != FD_CLOEXEC)
		return 2;
	fd = openat(dir, "m/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return 3;
	for (int i = 0; i < 400; i++) /* over its size */
		if (write(fd, (char[4096]){0}, 4096) < 0)
			return errno == ENOSPC ? 0 : 4;
	return 5;
}

static void a_file_system_is_made_with_its_options(void)
{
	run(make_tmpfs);
}

static int read_only(int dir)
{
	int r;

	if (tmpfs(dir, "m") < 0)
		return 1;
	if (mkdirat(dir, "m/below", 0755) < 0 || tmpfs(dir, "m/below") < 0)
		return 2;
	r = sys_set_attr(dir, "m", MOUNT_ATTR_RDONLY, 1);
	if (r == -ENOSYS)
		return 0; /* before 5.12 */
	if (r < 0)
		return 3;
	if (mkdirat(dir, "m/x", 0755) == 0 || errno != EROFS)
		return 4;
	if (mkdirat(dir, "m/below/x", 0755) == 0 || errno != EROFS)
		return 5;
	return sys_set_attr(dir, "nowhere", MOUNT_ATTR_RDONLY, 0) == -ENOENT ? 0 : 6;
}

static void a_tree_is_made_read_only_with_all_below(void)
{
	run(read_only);
}

static int clone_and_move(int dir)
{
	int copy;

	if (tmpfs(dir, "m") < 0 || mkdirat(dir, "m/inside", 0755) < 0)
		return 1;
	copy = sys_clone_tree(dir, "m", 0);
	if (copy < 0 || fcntl(copy, F_GETFD) != FD_CLOEXEC)
		return 2;
	if (faccessat(copy, "inside", F_OK, 0) < 0)
		return 3;
	if (sys_attach(copy, dir, "n") < 0 || faccessat(dir, "n/inside", F_OK, 0) < 0)
		return 4;
	if (sys_move(dir, "n", dir, "m/inside") < 0 || faccessat(dir, "n/inside", F_OK, 0) == 0)
		return 5;
	if (faccessat(dir, "m/inside/inside", F_OK, 0) < 0)
		return 6;
	close(copy);
	copy = sys_clone_tree(dir, "", 0); /* of the directory itself: not of a locked mount */
	return copy >= 0 || copy == -EINVAL ? 0 : 7;
}

static void a_copy_of_a_tree_is_attached_and_moved(void)
{
	run(clone_and_move);
}

static void failures_are_told_as_errno(void)
{
	auto_fd int file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	is_int(sys_fs_flag(file, "ro"), -EINVAL); /* no file system that is being made */
	is_int(sys_fs_string(file, "size", "1m"), -EINVAL);
	is_int(sys_fs_mount(file, 0), -EINVAL);
	ok(sys_fsopen("no such type") < 0);
	ok(sys_clone_tree(AT_FDCWD, "/no such path", 0) < 0);
	ok(sys_attach(file, AT_FDCWD, "/") < 0);
	ok(sys_idmap(file, file, 0) < 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(links_and_dots_stay_below_the_root),
		TAP_TEST(what_is_not_there_is_said),
		TAP_TEST(links_of_proc_are_not_followed),
		TAP_TEST(no_link_is_followed_where_none_may_be),
		TAP_TEST(a_file_system_is_made_with_its_options),
		TAP_TEST(a_tree_is_made_read_only_with_all_below),
		TAP_TEST(a_copy_of_a_tree_is_attached_and_moved),
		TAP_TEST(failures_are_told_as_errno),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
