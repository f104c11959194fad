/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.h - the process that removes what sandboxes left
 */
#ifndef HUTCH_INSIDE_SWEEP_H
#define HUTCH_INSIDE_SWEEP_H

/* The sweeper, see sweep.c: a child of the nursery of its own. Directories of the store. */
void sweep_main(int trash, int state, int boxes) __attribute__((noreturn));

#endif
