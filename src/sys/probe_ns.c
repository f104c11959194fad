/* SPDX-License-Identifier: Apache-2.0
 *
 * probe_ns.c - what works in namespaces of one's own
 *
 * How it works: one child in a new user namespace takes every other namespace, one call each, and
 * then mounts there what a sandbox mounts: tmpfs, sysfs, an overlay whose layers are on the tmpfs.
 * A second child, the first process of a pid namespace, mounts proc. Their mounts end with them.
 *
 * Called by: probe.c.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/own.h"
#include "sys/fsmount.h"
#include "sys/probe_child.h"
#include "sys/proc.h"

/* In the order in which they are taken. */
static const struct {
	enum probe_ns ns;
	int flag;
} namespaces[] = {
	{PROBE_NS_MNT, CLONE_NEWNS},   {PROBE_NS_IPC, CLONE_NEWIPC},
	{PROBE_NS_UTS, CLONE_NEWUTS},  {PROBE_NS_CGROUP, CLONE_NEWCGROUP},
	{PROBE_NS_NET, CLONE_NEWNET},  {PROBE_NS_PID, CLONE_NEWPID},
	{PROBE_NS_TIME, CLONE_NEWTIME},
};

_Static_assert(sizeof(namespaces) / sizeof(*namespaces) == PROBE_NS_COUNT,
	       "every namespace is asked for");

/* A mount of @type that is attached nowhere. Return: its fd, or -errno. */
static int mount_of(const char *type, const char *key, const char *value)
{
	auto_fd int fs = sys_fsopen(type);
	int r;

	if (fs < 0)
		return fs;
	if (key) {
		r = sys_fs_string(fs, key, value);
		if (r < 0)
			return r;
	}
	return sys_fs_mount(fs, 0);
}

static int can_mount(const char *type)
{
	auto_fd int fd = mount_of(type, NULL, NULL);

	return fd < 0 ? fd : 0;
}

/* A file and a directory to be covered, in two lower layers, and the empty upper and work. */
int probe_layers_make(int dir)
{
	static const char *const names[] = {"l", "m", "u", "w", "l/d"};
	auto_fd int file = -1;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (mkdirat(dir, names[i], 0700) < 0)
			return -errno;
	file = openat(dir, "l/f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return file < 0 ? -errno : 0;
}

/* What needs whiteouts and opaque directories: the things that a half-suited upper refuses. */
static int use_overlay(int mnt)
{
	auto_fd int file = -1;

	if (unlinkat(mnt, "f", 0) < 0 || unlinkat(mnt, "d", AT_REMOVEDIR) < 0 ||
	    mkdirat(mnt, "d", 0700) < 0)
		return -errno;
	file = openat(mnt, "f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return -errno;
	return write(file, "x", 1) == 1 ? 0 : -EIO;
}

static int overlay_layers(int fs, bool plus)
{
	int r;

	if (plus) {
		r = sys_fs_string(fs, "lowerdir+", "l");
		return r < 0 ? r : sys_fs_string(fs, "lowerdir+", "m");
	}
	r = sys_fs_string(fs, "lowerdir", "l");
	if (r == 0)
		r = sys_fs_string(fs, "upperdir", "u");
	if (r == 0)
		r = sys_fs_string(fs, "workdir", "w");
	if (r == 0)
		r = sys_fs_flag(fs, "volatile");
	return r;
}

int probe_overlay(bool plus)
{
	auto_fd int fs = sys_fsopen("overlay");
	auto_fd int mnt = -1;
	int r;

	if (fs < 0)
		return fs;
	r = overlay_layers(fs, plus);
	if (r == 0)
		r = sys_fs_flag(fs, "userxattr");
	if (r < 0)
		return r;
	mnt = sys_fs_mount(fs, 0);
	if (mnt < 0)
		return mnt;
	return plus ? 0 : use_overlay(mnt);
}

/* Mounts a tmpfs over a directory that every machine has, and goes there. */
static int enter_tmpfs(void)
{
	auto_fd int mnt = mount_of("tmpfs", "size", "1m");
	auto_fd int tree = -1;
	int r;

	if (mnt < 0)
		return mnt;
	/* Nothing shall reach the mount namespace that this one was copied from. */
	r = probe_mounts_private();
	if (r < 0)
		return r;
	r = sys_attach(mnt, AT_FDCWD, "/proc");
	if (r < 0)
		return r;
	if (fchdir(mnt) < 0)
		return -errno;
	tree = sys_clone_tree(mnt, "", 0);
	return tree < 0 ? tree : 0;
}

static void ask_mounts(struct probe_userns *u)
{
	u->sysfs = u->ns[PROBE_NS_NET] == 0 ? can_mount("sysfs") : PROBE_UNASKED;
	u->mount_api = enter_tmpfs();
	if (u->mount_api < 0)
		return;
	u->mount_setattr = sys_set_attr(AT_FDCWD, ".", MOUNT_ATTR_NODEV, 1);
	u->tmpfs_xattr = (int)probe_call(setxattr(".", "user.hutch", "1", 1, 0));
	u->tmpfs_overlay = probe_layers_make(AT_FDCWD);
	if (u->tmpfs_overlay < 0)
		return;
	u->tmpfs_overlay = probe_overlay(false);
	u->lowerdir_plus = probe_overlay(true);
}

static int ask_namespaces(void *arg)
{
	struct probe *p = arg;
	struct probe_userns *u = &p->userns;

	u->map = probe_map_self(p);
	for (size_t i = 0; i < PROBE_NS_COUNT; i++)
		u->ns[namespaces[i].ns] = (int)probe_call(unshare(namespaces[i].flag));
	if (u->ns[PROBE_NS_MNT] == 0)
		ask_mounts(u);
	return 0;
}

static int ask_proc(void *arg)
{
	struct probe *p = arg;

	(void)probe_map_self(p);
	p->userns.proc = can_mount("proc");
	return 0;
}

void probe_namespaces(struct probe *p, const struct probe_stacks *s)
{
	int r = probe_in_child(s, 0, CLONE_NEWUSER, ask_namespaces, p);

	p->userns.create = r;
	if (r < 0)
		return;
	(void)probe_in_child(s, 0, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, ask_proc, p);
}
