/* SPDX-License-Identifier: Apache-2.0
 *
 * skeleton.h - the root file system of --host without the host's programs
 */
#ifndef HUTCH_LAYERS_SKELETON_H
#define HUTCH_LAYERS_SKELETON_H

#include "base/err.h"

/* A directory below @layers (an fd of the data directory's layers/) that has the empty
 * directories and the copies of the harmless part of /etc. It is made anew when that part of /etc
 * has changed. *ret_name (to free): its name below layers/. */
int layers_skeleton(int layers, char **ret_name, struct err *e);

#endif
