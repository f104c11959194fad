/* SPDX-License-Identifier: Apache-2.0
 *
 * whole.c - small files that are read and written whole
 */
#include "base/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

int whole_read(int dir, const char *name, struct buf *text, struct err *e)
{
	auto_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(e, errno, "open its file '%s'", name);
	while (n > 0) {
		char *p = buf_room(text, 65536 + 1);

		if (!p)
			return err_oom(e);
		n = read(fd, p, 65536);
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "read its file '%s'", name);
		text->len += n > 0 ? (size_t)n : 0;
		text->data[text->len] = '\0';
		n = n < 0 ? 1 : n;
	}
	return 0;
}

enum how { RENAMED, SWAPPED, SYNCED };

/* A rename over a file has some file systems write out what is in the new one before (ext4: auto_da_alloc), a swap of the
 * two has not. */
static int put(int dir, const char *temp, const char *name, enum how how)
{
	if (how != SWAPPED || syscall(SYS_renameat2, dir, temp, dir, name, RENAME_EXCHANGE) < 0) /* there is none yet, or it knows no such thing */
		return renameat(dir, temp, dir, name);
	(void)unlinkat(dir, temp, 0);
	return 0;
}

static int write_it(int dir, const char *name, const char *text, size_t len, enum how how, struct err *e)
{
	auto_fd int fd = -1;
	char temp[64];

	snprintf(temp, sizeof(temp), ".new-%.50s", name);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "make '%s'", name);
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int why = errno;

			(void)unlinkat(dir, temp, 0);
			return err_sys(e, why, "write '%s'", name);
		}
		text += n;
		len -= (size_t)n;
	}
	if (how == SYNCED && fsync(fd) < 0) {
		int why = errno;

		(void)unlinkat(dir, temp, 0);
		return err_sys(e, why, "sync '%s'", name);
	}
	return put(dir, temp, name, how) < 0 ? err_sys(e, errno, "rename '%s'", name) : 0;
}

int whole_write(int dir, const char *name, const char *text, size_t len, struct err *e)
{
	return write_it(dir, name, text, len, RENAMED, e);
}

int whole_write_synced(int dir, const char *name, const char *text, size_t len, struct err *e)
{
	return write_it(dir, name, text, len, SYNCED, e);
}

int whole_write_quick(int dir, const char *name, const char *text, size_t len, struct err *e)
{
	return write_it(dir, name, text, len, SWAPPED, e);
}
