/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.h - start hutch-init from a program of any size
 *
 * The only way in which libhutch makes processes. No copy of the caller lives on: the child shares
 * his memory until it has exec'ed (CLONE_VFORK), so it costs the same for a process of 2 MB and of
 * 2 GB, and he has no handler and no thread that could run in it.
 */
#ifndef HUTCH_SYS_SPAWN_H
#define HUTCH_SYS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A sealed, executable copy of a program in memory: nothing can write to it any more. @name: what /proc calls it. A
 * descriptor (3 or more), or -errno; -EACCES where a policy refuses executable memfds (vm.memfd_noexec). */
int sys_image_seal(const char *name, const void *data, size_t len);

/* Runs @image (a descriptor of a static program) with argv "hutch-init", @arg and an empty
 * environment; @sock becomes its descriptor 0 and its only one. All signals are blocked in it.
 * @orphan: it becomes no child of the caller: the kernel sets the exit signal of whoever execs to
 * SIGCHLD (fs/exec.c), so a child would be seen by the caller's wait(-1). Otherwise *ret_pid is to
 * be waited for. Return: 0 or -errno. */
int sys_spawn_image(int image, const char *arg, int sock, bool orphan, pid_t *ret_pid);

/* Likewise a child, in namespaces of its own: @spaces, CLONE_NEWUSER among them. It has all powers over
 * those (as ambient capabilities) and no id yet: who maps its ids, by *ret_pid, tells it over @sock. On
 * older kernels only its children have the new time. *ret_in_spaces: with a failure,
 * whether the namespaces were made. Return: 0 or -errno. */
int sys_spawn_apart(int image, const char *arg, int sock, uint64_t spaces, pid_t *ret_pid,
		    int *ret_pidfd, bool *ret_in_spaces);

#endif
