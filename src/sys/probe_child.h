/* SPDX-License-Identifier: Apache-2.0
 *
 * probe_child.h - the parts of sys/probe.c that other files of it use
 */
#ifndef HUTCH_SYS_PROBE_CHILD_H
#define HUTCH_SYS_PROBE_CHILD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/probe.h"

/* Stacks for a child, a child of it, and a parked one. */
struct probe_stacks {
	char *base; /* NULL: no memory */
};

int probe_stacks_init(struct probe_stacks *s);
void probe_stacks_done(struct probe_stacks *s);

/* Runs @fn(@arg) in a child that shares the caller's memory, made with @flags (CLONE_NEW…,
 * CLONE_FILES) and stopped after some seconds; @depth is 0, or 1 when called in such a child.
 * Between start and end it makes system calls only: no malloc, no stdio, no change of ids (that
 * would make the caller's memory non-dumpable).
 * Return: what @fn returned (0 to 255), -errno of the clone, or -ETIMEDOUT when it was killed. */
int probe_in_child(const struct probe_stacks *s, int depth, int flags, int (*fn)(void *),
		   void *arg);

/* A child in a new user namespace that waits to be killed. Return: its pid, or -errno. */
pid_t probe_park(const struct probe_stacks *s);
void probe_unpark(pid_t pid);

/* Runs a program without environment, with /dev/null and the first @size - 1 bytes of its stdout
 * in @out (may be NULL). Return: exit status, or -errno. */
int probe_program_run(const struct probe_stacks *s, const char *path, char *const argv[],
		      char *out, size_t size);

/* The text of a small file, NUL-terminated. Return: its length, or -errno. */
ssize_t probe_read(const char *path, char *buf, size_t size);
int probe_write(const char *path, const char *text);

/* probe_calls.c: fills p->calls; p->ids.map. */
void probe_kernel_calls(struct probe *p, const struct probe_stacks *s);
void probe_id_maps(struct probe *p, const struct probe_stacks *s);

/* probe_ns.c: fills p->userns. */
void probe_namespaces(struct probe *p, const struct probe_stacks *s);

/* probe_data.c: fills p->data, with p->data_dir. */
void probe_data_files(struct probe *p, const struct probe_stacks *s);

/* Mounts an overlay of the layers l (and m when @plus), u, w in the working directory, attached
 * nowhere, deletes and makes files in it. probe_layers_make() makes them below @dir.
 * Return: 0 or -errno. */
int probe_overlay(bool plus);
int probe_layers_make(int dir);

/* Writes the map of the calling process, which is alone in a new user namespace: its own id as 0.
 * Return: 0 or -errno. */
int probe_map_self(const struct probe *p);

/* Mounts made below "/" from now on reach no mount namespace outside. */
int probe_mounts_private(void);

static inline long probe_call(long r)
{
	return r < 0 ? -errno : r;
}

#endif
