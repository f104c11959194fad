/* SPDX-License-Identifier: Apache-2.0
 *
 * bpf_head.h - the hand-written part of the filter: what depends on more than the call's number
 */
#ifndef HUTCH_GUARD_BPF_HEAD_H
#define HUTCH_GUARD_BPF_HEAD_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guard/seccomp.h"

/* A program being written. Appends beyond the room are counted and not written: one check of
 * n > room at the end covers them all. */
struct bpf_code {
	struct sock_filter *v;
	size_t room, n;
};

/* What the head must know of an architecture. A call that it does not have is 0 (never the number
 * of one of these). */
struct bpf_arch {
	uint32_t audit;		     /* AUDIT_ARCH_* */
	uint32_t newest;	     /* last number that refused.def knows about; above: ENOSYS */
	uint32_t gap_first, gap_end; /* numbers that no kernel has given out, end excluded */
	uint32_t nr_ioctl, nr_clone, nr_personality, nr_socket, nr_socketpair, nr_socketcall, nr_prctl;
};

void bpf_add(struct bpf_code *c, struct sock_filter insn);

/* Writes: answer at once what unknown numbers and the arguments decide; fall through to what is
 * written next for all other calls, with their number in the accumulator. */
void bpf_head_add(struct bpf_code *c, const struct bpf_arch *arch, const struct guard_ask *ask);

#endif
