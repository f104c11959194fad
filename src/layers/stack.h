/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.h - the layers of a root file system
 */
#ifndef HUTCH_LAYERS_STACK_H
#define HUTCH_LAYERS_STACK_H

#include <sys/types.h>

#include "base/err.h"

/* Is @path an unpacked root file system? One clear error for what it is instead. *ret_owner: whose
 * it is. */
int layers_check_rootfs(const char *path, uid_t *ret_owner, struct err *e);

#endif
