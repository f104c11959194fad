/* SPDX-License-Identifier: Apache-2.0
 *
 * tty.c - put words into the input of the terminal on descriptor 0
 *
 * Prints "NAME RESULT" on lines of their own (what gets in is echoed). TIOCSTI also with bits above
 * the 32 that the kernel looks at.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void try(const char *name, unsigned long request, void *argument)
{
	long r = syscall(SYS_ioctl, 0, request, argument);

	printf("\n%s %s\n", name, r < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

int main(void)
{
	char word = 'x', paste[16] = {3 /* TIOCL_PASTESEL */};

	try("TIOCSTI", TIOCSTI, &word);
	try("TIOCSTI with high bits", TIOCSTI | 1ul << 32, &word);
	try("TIOCLINUX", TIOCLINUX, paste);
	try("TIOCGWINSZ", TIOCGWINSZ, (char[8]){0}); /* harmless: what the filter leaves alone */
	return 0;
}
