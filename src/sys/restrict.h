/* SPDX-License-Identifier: Apache-2.0
 *
 * restrict.h - take rights from mounts that are attached: mount_setattr(), and where it is missing
 *		(before Linux 5.12, or refused by the filter of a container) a remount of each
 */
#ifndef HUTCH_SYS_RESTRICT_H
#define HUTCH_SYS_RESTRICT_H

#include <stdint.h>

/* Adds MOUNT_ATTR_RDONLY, _NOSUID, _NODEV, _NOEXEC to the mount at @path and to all below it. @path: a
 * mount point, relative to the working directory, which is the top of its mount. @proc: a proc of this
 * process's pid namespace. Return: 0, or -errno. */
int sys_restrict(const char *path, uint64_t attr, const char *proc);

#endif
