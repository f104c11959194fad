/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_list.h - the list that the parts of the doctor write their checks to
 *
 * A part calls doctor_check() and then doctor_found(), doctor_lost(), doctor_mend(), once each, in
 * any order and also when all is well: what is lost is dropped from checks that are ok.
 */
#ifndef HUTCH_BOX_DOCTOR_LIST_H
#define HUTCH_BOX_DOCTOR_LIST_H

#include <stdbool.h>

#include "base/buf.h"
#include "box/doctor.h"

enum { DOCTOR_CHECKS_MAX = 64 };

enum doctor_persona {
	DOCTOR_ROOT,   /* CAP_SYS_ADMIN in the machine's own user namespace */
	DOCTOR_SUBIDS, /* a user whose map of several ids was written */
	DOCTOR_ONE_ID, /* a user without */
	DOCTOR_NESTED, /* uid 0 of another user namespace */
};

struct doctor {
	const struct probe *p;
	enum doctor_persona persona;
	struct buf text; /* strings with their NULs; offset 0 is "" */
	size_t n;
	struct doctor_entry {
		const char *name;
		int ok, level;
		size_t found, lost, mend; /* offsets */
	} entries[DOCTOR_CHECKS_MAX];
};

void doctor_check(struct doctor *d, enum box_check_level level, const char *name, int ok);
void doctor_found(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_lost(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_mend(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* 1, 0 or -1 of a fact of struct probe. */
int doctor_ok(int fact);
/* "works", "not asked" or the words for the errno, in a buffer of the caller. */
const char *doctor_says(int fact, char *buf, size_t size);
/* "sudo " for those who need it. */
const char *doctor_sudo(const struct doctor *d);
/* Begins a line that mends: what lifts the filters of the container or service we are in. */
const char *doctor_unconfine(const struct doctor *d);

/* doctor_kernel.c: calls, namespaces, mounts. doctor_host.c: ids, directories, cgroups, programs,
 * limits. */
void doctor_kernel(struct doctor *d);
void doctor_host(struct doctor *d);

#endif
