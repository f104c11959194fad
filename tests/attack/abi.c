/* SPDX-License-Identifier: Apache-2.0
 *
 * abi.c - ways to the kernel beside those of a 64-bit program, and numbers that nobody knows
 *
 * Prints "NAME RESULT": a way round a filter is one that answers anything but ENOSYS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void say(const char *name, long r)
{
	printf("%s %s\n", name, r >= 0 ? "ok" : strerrorname_np((int)-r));
	fflush(stdout);
}

static long raw(long nr)
{
	long r = syscall(nr, -1l, 0l, 0l, 0l, 0l, 0l);

	return r < 0 ? -errno : r;
}

int main(void)
{
#if defined(__x86_64__)
	long r = 20; /* getpid of 32 bits */

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "cc", "r8", "r9", "r10", "r11");
	say("getpid by int 0x80", (int)r);
	r = 26; /* ptrace of 32 bits: PTRACE_PEEKUSER of nobody */
	__asm__ volatile("int $0x80"
			 : "+a"(r)
			 : "b"(3), "c"(0), "d"(0), "S"(0)
			 : "memory", "cc", "r8", "r9", "r10", "r11");
	say("ptrace by int 0x80", (int)r);
	say("getpid of x32", raw(39 | 0x40000000));
	say("ptrace of x32", raw(521 | 0x40000000));
#endif
	say("number 467", raw(467)); /* open_tree_attr, Linux 6.15 */
	say("number 468", raw(468)); /* file_getattr, Linux 6.17 */
	say("number 600", raw(600));
	say("number -1", raw(-1));
	return 0;
}
