/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel.h - the kernel, asked without a C library
 *
 * What the kernel answers, an error as -ERRNO.
 */
#ifndef HUTCH_BASH_KERNEL_H
#define HUTCH_BASH_KERNEL_H

#include <sys/syscall.h>

static inline long ask_more(long number, long a, long b, long c, long d, long e, long f)
{
#ifdef __x86_64__
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
#else
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
	     x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#endif
}

static inline long ask(long number, long a, long b, long c)
{
	return ask_more(number, a, b, c, 0, 0, 0);
}

static inline long ask_fd(long number, long fd)
{
	return ask(number, fd, 0, 0);
}

#endif
