/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.h - what this host can do for sandboxes, what is lost where it cannot, and what mends it
 */
#ifndef HUTCH_BOX_DOCTOR_H
#define HUTCH_BOX_DOCTOR_H

#include <stddef.h>

#include "base/err.h"
#include "sys/probe.h"

enum box_check_level {
	BOX_CHECK_REQUIRED = 0,	   /* without it no sandbox starts */
	BOX_CHECK_RECOMMENDED = 1, /* without it something that many want is missing */
	BOX_CHECK_OPTIONAL = 2,	   /* good to know */
};

struct box_check {
	const char *name;  /* "user namespaces" */
	int ok;		   /* 1 yes, 0 no, -1 could not be asked */
	int level;	   /* enum box_check_level */
	const char *found; /* one line */
	const char *lost;  /* one line; "" when ok is 1 */
	const char *mend;  /* one line to type or to write somewhere; "" when ok is 1 */
};

/* Asks this host. The first check is "caller": who asks, and what that means. *ret_checks is one
 * block with all its strings, to be freed with free().
 * Return: 0, or ERR_NOMEM. */
int box_doctor(struct box_check **ret_checks, size_t *ret_n, struct err *e);

/* The same from given facts, without asking anybody. */
int box_doctor_judge(const struct probe *p, struct box_check **ret_checks, size_t *ret_n,
		     struct err *e);

#endif
