/* SPDX-License-Identifier: Apache-2.0
 *
 * own.h - ownership in the declaration
 *
 *	auto_fd int dir = -1;           closed on every way out
 *	auto_free char *name = NULL;    freed
 *	auto_dir DIR *d = NULL;         closed
 *	auto_with(undo) struct x x;     undo(&x)
 *
 * take_fd(&dir) and take_ptr(&name) hand over: the local no longer owns.
 */
#ifndef HUTCH_BASE_OWN_H
#define HUTCH_BASE_OWN_H

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define auto_with(fn) __attribute__((cleanup(fn)))

static inline void own_close(const int *fd)
{
	int keep = errno;

	if (*fd >= 0)
		close(*fd);
	errno = keep;
}

static inline void own_free(void *p)
{
	free(*(void **)p);
}

static inline void own_closedir(DIR **d)
{
	int keep = errno;

	if (*d)
		closedir(*d);
	errno = keep;
}

#define auto_fd	  auto_with(own_close)
#define auto_free auto_with(own_free)
#define auto_dir  auto_with(own_closedir)

static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

static inline void *own_take(void *p)
{
	void **from = p, *r = *from;

	*from = NULL;
	return r;
}

#define take_ptr(p) ((__typeof__(*(p)))own_take(p))

/* Closes and forgets. */
static inline void close_fd(int *fd)
{
	own_close(fd);
	*fd = -1;
}

#endif
