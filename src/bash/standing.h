/* SPDX-License-Identifier: Apache-2.0
 *
 * standing.h - what programs inherit of a shell, and others inside may change
 */
#ifndef HUTCH_BASH_STANDING_H
#define HUTCH_BASH_STANDING_H

#include <stdbool.h>

/* How this process stands is how all shall. */
void standing_is_first(void);

/* Whether this process, which was forked from that one, stands so. */
bool standing_is_as_first(void);

#endif
