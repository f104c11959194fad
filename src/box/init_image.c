/* SPDX-License-Identifier: Apache-2.0
 *
 * init_image.c - the program hutch-init, carried in the library
 *
 * How it works: the assembler takes in the file that src/inside/meson.build made. It is handed to
 * the kernel as a sealed memfd, so a sandbox never depends on, nor can reach, a file of the host.
 * Aligned to a page: it is written with one call and its pages are shared.
 */
#include "box/init_image.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "box/init_image_path.h"
#include "sys/spawn.h"

extern const unsigned char hutch_init_image[], hutch_init_image_end[];

__asm__(".pushsection .rodata.hutch_init_image,\"a\"\n"
	".balign 4096\n"
	".globl hutch_init_image\n"
	".hidden hutch_init_image\n"
	"hutch_init_image:\n"
	".incbin \"" HUTCH_INIT_IMAGE_PATH "\"\n"
	".globl hutch_init_image_end\n"
	".hidden hutch_init_image_end\n"
	"hutch_init_image_end:\n"
	".popsection\n");

int init_image_open(struct err *e)
{
	int fd = sys_image_seal("hutch-init", hutch_init_image,
				(size_t)(hutch_init_image_end - hutch_init_image)), low, sys;

	if (fd != -EACCES && fd != -EPERM && fd != -ENOSYS)
		return fd < 0 ? err_sys(e, fd, "copy hutch-init into memory") : fd;
	low = open(HUTCH_INIT_PATH, O_PATH | O_CLOEXEC);
	if (low < 0)
		return err_sys(e, errno,
			       "this host refuses programs in memory, and '%s' is not installed",
			       HUTCH_INIT_PATH);
	fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
	sys = errno;
	close(low);
	return fd < 0 ? err_sys(e, sys, "open '%s'", HUTCH_INIT_PATH) : fd;
}
