/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.h - the process that removes what sandboxes left
 */
#ifndef HUTCH_INSIDE_SWEEP_H
#define HUTCH_INSIDE_SWEEP_H

#include <stdbool.h>

/* The sweeper, see sweep.c: a child of the nursery of its own. @fds: directories of the store, as OP_SWEEP
 * brings them. @wait: somebody waits for the end of it; so does it for others who are at the same. */
void sweep_main(const int *fds, bool wait) __attribute__((noreturn));

/* unused.c: layers that no sandbox needs any more go to the trash. @wait: also if somebody makes one now. */
void sweep_layers(int layers, int boxes, int trash, bool wait);

#endif
