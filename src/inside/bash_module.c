/* SPDX-License-Identifier: Apache-2.0
 *
 * bash_module.c - what a bash of the inside loads, carried in hutch-init
 *
 * How it works: the assembler takes in the object that src/bash/ made.
 */
#include "inside/bash_module.h"

#include <stddef.h>

#include "inside/bash_module_path.h"
#include "sys/spawn.h"

extern const unsigned char hutch_bash_module[], hutch_bash_module_end[];

__asm__(".pushsection .rodata.hutch_bash_module,\"a\"\n"
	".globl hutch_bash_module\n"
	".hidden hutch_bash_module\n"
	"hutch_bash_module:\n"
	".incbin \"" HUTCH_BASH_MODULE_PATH "\"\n"
	".globl hutch_bash_module_end\n"
	".hidden hutch_bash_module_end\n"
	"hutch_bash_module_end:\n"
	".popsection\n");

int bash_module_open(void)
{
	return sys_image_seal("hutch-bash", hutch_bash_module, (size_t)(hutch_bash_module_end - hutch_bash_module));
}
