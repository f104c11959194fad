/* SPDX-License-Identifier: Apache-2.0
 *
 * bash_module.h - what a bash of the inside loads, carried in hutch-init
 */
#ifndef HUTCH_INSIDE_BASH_MODULE_H
#define HUTCH_INSIDE_BASH_MODULE_H

/* A new file in memory that nobody can change, close-on-exec, for one shell: what the inside does to a file (its mode, its times)
 * the shell of another sandbox, or of the next generation, must not see. Return: it, or -errno, where the host refuses programs in memory. */
int bash_module_open(void);

#endif
