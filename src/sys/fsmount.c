/* SPDX-License-Identifier: Apache-2.0
 *
 * fsmount.c - the mount API of Linux 5.2 and later
 */
#include "sys/fsmount.h"

#include <errno.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SET_FLAG = 0, SET_STRING = 1, CMD_CREATE = 6 }; /* FSCONFIG_*, which not every libc has */

struct attr { /* struct mount_attr, which not every libc has */
	uint64_t set, clr, propagation, userns_fd;
};

static int ret(long r)
{
	return r < 0 ? -errno : (int)r;
}

int sys_fsopen(const char *type)
{
	return ret(syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */));
}

int sys_fs_flag(int fs, const char *key)
{
	return ret(syscall(SYS_fsconfig, fs, SET_FLAG, key, NULL, 0));
}

int sys_fs_string(int fs, const char *key, const char *value)
{
	return ret(syscall(SYS_fsconfig, fs, SET_STRING, key, value, 0));
}

int sys_fs_mount(int fs, unsigned attr)
{
	int r = ret(syscall(SYS_fsconfig, fs, CMD_CREATE, NULL, NULL, 0));

	return r < 0 ? r : ret(syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, attr));
}

int sys_clone_tree(int dir, const char *path, int recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

	if (recursive)
		flags |= AT_RECURSIVE;
	if (!*path)
		flags |= AT_EMPTY_PATH;
	return ret(syscall(SYS_open_tree, dir, path, flags));
}

int sys_attach(int mount, int dir, const char *path)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH);

	return ret(syscall(SYS_move_mount, mount, "", dir, path, flags));
}

int sys_move(int from_dir, const char *from, int to_dir, const char *to)
{
	unsigned flags = *to ? 0 : MOVE_MOUNT_T_EMPTY_PATH;

	return ret(syscall(SYS_move_mount, from_dir, from, to_dir, to, flags));
}

static int set_attr(int dir, const char *path, const struct attr *a, int recursive)
{
	unsigned flags = (*path ? 0 : AT_EMPTY_PATH) | (recursive ? AT_RECURSIVE : 0);

	return ret(syscall(SYS_mount_setattr, dir, path, flags, a, sizeof(*a)));
}

int sys_set_attr(int dir, const char *path, uint64_t set, int recursive)
{
	struct attr a = {.set = set};

	return set_attr(dir, path, &a, recursive);
}

int sys_clear_attr(int dir, const char *path, uint64_t clear)
{
	struct attr a = {.clr = clear};

	return set_attr(dir, path, &a, 0);
}

int sys_idmap(int mount, int userns, int recursive)
{
	struct attr a = {.set = MOUNT_ATTR_IDMAP, .propagation = MS_PRIVATE,
			 .userns_fd = (uint64_t)userns};

	return set_attr(mount, "", &a, recursive);
}

int sys_pivot_here(void)
{
	return ret(syscall(SYS_pivot_root, ".", "."));
}

static int open_how(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .mode = mode,
			       .resolve = resolve};

	return ret(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

int sys_open_in_root(int dir, const char *path, int flags, mode_t mode)
{
	return open_how(dir, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int sys_open_no_magic(const char *path, int flags)
{
	return open_how(AT_FDCWD, path, flags, 0, RESOLVE_NO_MAGICLINKS);
}

int sys_open_no_links(int dir, const char *path, int flags)
{
	return open_how(dir, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}
