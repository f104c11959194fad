/* SPDX-License-Identifier: Apache-2.0
 *
 * seccomp.h - the system call filter of a box, as a program for the kernel
 *
 * The filter is plain data (classic BPF): it is planned here, travels in the plan, and hutch-init
 * loads it as the last guard before exec. refused.def says which calls it refuses and why.
 */
#ifndef HUTCH_GUARD_SECCOMP_H
#define HUTCH_GUARD_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Room that is enough for every filter. The kernel takes BPF_MAXINSNS (4096). */
enum { GUARD_SECCOMP_MAX = 512 };

/* What the filter depends on. */
struct guard_ask {
	uint64_t caps;	   /* bit set of CAP_*: what commands in the box have */
	bool allow_ptrace; /* debugging inside the box */
	bool allow_userns; /* user namespaces inside the box, and what one does in them */
	bool allow_i386;   /* programs of 32 bits */
};

/**
 * guard_seccomp() - The filter for one box
 * @ask:      What commands in the box are and may do
 * @ret_code: Room for the program
 * @room:     How many instructions fit in there; GUARD_SECCOMP_MAX is always enough
 * @ret_n:    How many were written
 *
 * The asks that nearly everybody has were compiled when hutch was built (bake.c) and cost a copy;
 * others are compiled by libseccomp in about a millisecond.
 *
 * The program is to be loaded with SECCOMP_FILTER_FLAG_SPEC_ALLOW: without it kernels below 5.16
 * switch on the mitigation of speculative store bypass, which slows interpreters down by half.
 *
 * Return: 0, or LIMIT (@room is too small), UNSUPPORTED (no such filter on this architecture),
 *	   NOMEM, SYSTEM.
 */
int guard_seccomp(const struct guard_ask *ask, struct sock_filter *ret_code, size_t room,
		  size_t *ret_n, struct err *e);

#endif
