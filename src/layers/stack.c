/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.c - the layers of a root file system
 */
#include "layers/stack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

int layers_check_rootfs(const char *path, struct stat *ret, struct err *e)
{
	auto_fd int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "root file system '%s': no such directory", path);
	if (fd < 0)
		return err_sys(e, errno, "root file system '%s'", path);
	if (fstat(fd, ret) < 0)
		return err_sys(e, errno, "stat '%s'", path);
	if (S_ISREG(ret->st_mode))
		return err_set(e, ERR_INVALID,
			       "root file system '%s' is a file; unpack it first (mkdir DIR && tar "
			       "-xf '%s' -C DIR)",
			       path, path);
	if (!S_ISDIR(ret->st_mode))
		return err_set(e, ERR_INVALID, "root file system '%s' is not a directory", path);
	if (faccessat(AT_FDCWD, path, R_OK | X_OK, AT_EACCESS) < 0)
		return err_sys(e, errno, "root file system '%s'", path);
	return 0;
}
