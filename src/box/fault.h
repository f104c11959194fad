/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.h - points at which debug builds can be made to fail
 *
 * HUTCH_FAULT=NAME:N makes the N-th pass of point NAME fail (N from 1). In other builds a point
 * costs nothing.
 */
#ifndef HUTCH_BOX_FAULT_H
#define HUTCH_BOX_FAULT_H

#include "base/err.h"

#ifdef HUTCH_DEBUG
int fault(const char *point, struct err *e);
#else
static inline int fault(const char *point, struct err *e)
{
	(void)point;
	(void)e;
	return 0;
}
#endif

#endif
