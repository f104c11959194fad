/* SPDX-License-Identifier: Apache-2.0
 *
 * bpf_run.h - run a filter without a kernel, for tests
 *
 * How it works: the instructions that a seccomp filter may contain and ours do, with the kernel's
 * meaning (Documentation/networking/filter.rst). Beside the answer it tells how many instructions
 * were executed and whether an argument was looked at: a filter that allows a call without looking
 * is not run for it by Linux 5.11 and later. What the kernel's checker would refuse gives BPF_BAD.
 */
#ifndef HUTCH_GUARD_BPF_RUN_H
#define HUTCH_GUARD_BPF_RUN_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BPF_BAD = 0xbad };

struct bpf_result {
	uint32_t answer; /* SECCOMP_RET_*, or BPF_BAD */
	unsigned steps;
	bool looked; /* at an argument */
};

/* Where a jump at @pc goes for the accumulator @a; @n or more: nowhere. */
static inline size_t bpf_jump(const struct sock_filter *f, size_t pc, uint32_t a)
{
	bool on;

	switch (f->code) {
	case BPF_JMP | BPF_JA:
		return pc + 1 + f->k;
	case BPF_JMP | BPF_JEQ | BPF_K:
		on = a == f->k;
		break;
	case BPF_JMP | BPF_JGT | BPF_K:
		on = a > f->k;
		break;
	case BPF_JMP | BPF_JGE | BPF_K:
		on = a >= f->k;
		break;
	case BPF_JMP | BPF_JSET | BPF_K:
		on = a & f->k;
		break;
	default:
		return SIZE_MAX;
	}
	return pc + 1 + (on ? f->jt : f->jf);
}

static inline struct bpf_result bpf_run(const struct sock_filter *code, size_t n,
					const struct seccomp_data *data)
{
	struct bpf_result r = {.answer = BPF_BAD};
	uint32_t a = 0;

	for (size_t pc = 0; pc < n;) {
		const struct sock_filter *f = &code[pc];

		r.steps++;
		if (f->code == (BPF_RET | BPF_K)) {
			r.answer = f->k;
			return r;
		}
		if (f->code == (BPF_LD | BPF_W | BPF_ABS)) {
			if (f->k % 4 || f->k > sizeof(*data) - 4)
				return r;
			memcpy(&a, (const char *)data + f->k, sizeof(a));
			r.looked |= f->k >= offsetof(struct seccomp_data, args);
			pc++;
		} else if (f->code == (BPF_ALU | BPF_AND | BPF_K)) {
			a &= f->k;
			pc++;
		} else {
			pc = bpf_jump(f, pc, a);
		}
	}
	return r;
}

#endif
