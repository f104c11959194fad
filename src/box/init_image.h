/* SPDX-License-Identifier: Apache-2.0
 *
 * init_image.h - the program hutch-init, carried in the library
 */
#ifndef HUTCH_BOX_INIT_IMAGE_H
#define HUTCH_BOX_INIT_IMAGE_H

#include "base/err.h"

/* A descriptor that sys_spawn_image() takes: a sealed copy in memory, or, where a policy refuses
 * executable memory files (vm.memfd_noexec=2, SELinux, fapolicyd), the installed file. */
int init_image_open(struct err *e);

#endif
