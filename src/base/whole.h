/* SPDX-License-Identifier: Apache-2.0
 *
 * whole.h - small files that are read and written whole
 */
#ifndef HUTCH_BASE_WHOLE_H
#define HUTCH_BASE_WHOLE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Adds the content of the regular file @name below @dir to @text. */
int whole_read(int dir, const char *name, struct buf *text, struct err *e);

/* Whoever opens @name finds what was there before, or all of this. */
int whole_write(int dir, const char *name, const char *text, size_t len, struct err *e);

/* The same, for what is of no use any more when the machine has crashed: then it may be empty. */
int whole_write_quick(int dir, const char *name, const char *text, size_t len, struct err *e);

/* The same, and on the disk: also after a crash. */
int whole_write_synced(int dir, const char *name, const char *text, size_t len, struct err *e);

#endif
