/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.h - the layers of a root file system
 */
#ifndef HUTCH_LAYERS_STACK_H
#define HUTCH_LAYERS_STACK_H

#include <sys/stat.h>

#include "base/err.h"

/* Is @path an unpacked root file system? One clear error for what it is instead. *ret: what
 * the kernel says of it, as whose it is. */
int layers_check_rootfs(const char *path, struct stat *ret, struct err *e);

#endif
