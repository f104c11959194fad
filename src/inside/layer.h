/* SPDX-License-Identifier: Apache-2.0
 *
 * layer.h - copy what was written into a layer of its own, and make one layer of many
 */
#ifndef HUTCH_INSIDE_LAYER_H
#define HUTCH_INSIDE_LAYER_H

#include <stdbool.h>

#include "base/err.h"

/* Copies what is in directory @from into @to, as far as it is not there yet. @first: of the topmost layer, to
 * which @to itself becomes equal; then those below it may follow, in their order. */
int layer_copy(int from, int to, bool first, struct err *e);

/* An open regular file with its owner, mode, times and attributes, under a new name. Return: 0, or -errno. */
int layer_copy_open(int from, int to_dir, const char *name);

/* Gives directory @to, which is empty, owner, mode, times and attributes of directory @from, but what overlayfs has noted of what
 * is in that. Return: 0, or -errno. */
int layer_like(const char *to, const char *from);
/* Whether it is so still, and empty. Where @from has attributes nobody looks, and it is not. */
bool layer_is_like(const char *to, const char *from);

#endif
