/* SPDX-License-Identifier: Apache-2.0
 *
 * fsmount.h - the mount API of Linux 5.2 and later (fsopen, move_mount, mount_setattr, openat2)
 *
 * The wrappers return -errno. Constants that a libc may lack stand here.
 */
#ifndef HUTCH_SYS_FSMOUNT_H
#define HUTCH_SYS_FSMOUNT_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/types.h>

#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x1
#define MOUNT_ATTR_NOSUID 0x2
#define MOUNT_ATTR_NODEV  0x4
#define MOUNT_ATTR_NOEXEC 0x8
#endif
#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x100000
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x4
#define MOVE_MOUNT_T_EMPTY_PATH 0x40
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* A file system that is being made (Linux 5.2). */
int sys_fsopen(const char *type);
int sys_fs_flag(int fs, const char *key);
int sys_fs_string(int fs, const char *key, const char *value);
/* Makes it and gives a mount that is attached nowhere. @attr: MOUNT_ATTR_*. @fs stays open. */
int sys_fs_mount(int fs, unsigned attr);

/* A copy of the mounts at @path, attached nowhere (Linux 5.2). @recursive: with those below. */
int sys_clone_tree(int dir, const char *path, int recursive);

/* Attaches @mount at @path below @dir (an empty path: on @dir itself). */
int sys_attach(int mount, int dir, const char *path);
/* Moves a mount that is attached. */
int sys_move(int from_dir, const char *from, int to_dir, const char *to);

/* Sets MOUNT_ATTR_* (Linux 5.12; -ENOSYS before). @path "" means @dir itself. */
int sys_set_attr(int dir, const char *path, uint64_t set, int recursive);
int sys_clear_attr(int dir, const char *path, uint64_t clear);
/* Idmaps a tree that is attached nowhere with the map of a user namespace (5.12), and makes it
 * private: a clone is a peer of what it was taken from, and mounts would pass between them. */
int sys_idmap(int mount, int userns, int recursive);

int sys_pivot_here(void); /* pivot_root(".", ".") */

/* Opens @path as if @dir were the root: absolute links and ".." stay inside (Linux 5.6).
 * Return: an fd (O_CLOEXEC), or -errno; -EAGAIN after a rename race, ask again. */
int sys_open_in_root(int dir, const char *path, int flags, mode_t mode);
/* Opens @path, without following the links of /proc that are no paths (-ELOOP). */
int sys_open_no_magic(const char *path, int flags);
/* As in_root, without following any symbolic link (-ELOOP). */
int sys_open_no_links(int dir, const char *path, int flags);

#endif
