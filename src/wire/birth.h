/* SPDX-License-Identifier: Apache-2.0
 *
 * birth.h - what whoever makes a keeper does for it: the nursery, or the caller himself
 */
#ifndef HUTCH_WIRE_BIRTH_H
#define HUTCH_WIRE_BIRTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "wire/plan.h"

/* No more extents than there is room for. */
bool birth_fits(const struct prepare *p);

/* The namespaces that a keeper is made in (CLONE_NEW*). A network is made beside it (inside/net.c). */
uint64_t birth_spaces(const struct prepare *p);

/* Fills @e for namespaces that could not be made; @sys: an errno. */
int birth_refused(int sys, struct err *e);

/* Writes the id maps of @pid (and @pidfd), unless it does so itself, and opens its user namespace where the caller
 * will need it (else *ret_userns stays). Before the keeper goes on: later that cannot be opened. */
int birth_give_ids(const struct prepare *p, pid_t pid, int pidfd, int *ret_userns, struct err *e);

#endif
