/* SPDX-License-Identifier: Apache-2.0
 *
 * api.h - what the files of this room share: handles, and errors on their way out
 */
#ifndef HUTCH_API_API_H
#define HUTCH_API_API_H

#include <stddef.h>

#include "base/err.h"
#include "box/box.h"
#include "hutch.h"
#include "spec/spec.h"

struct hutch {
	struct home *home;
};

/* The handles are the rooms' own structs under another name. */
static inline struct spec *to_spec(struct hutch_spec *s)
{
	return (struct spec *)s;
}

static inline const struct spec *to_const_spec(const struct hutch_spec *s)
{
	return (const struct spec *)s;
}

static inline struct box *to_box(struct hutch_box *b)
{
	return (struct box *)b;
}

static inline struct proc *to_proc(struct hutch_proc *p)
{
	return (struct proc *)p;
}

/* The member of an options struct of which the caller may have an older, shorter version. */
#define HAS(opts, member)                                                                          \
	((opts) && (opts)->size >= offsetof(__typeof__(*(opts)), member) + sizeof((opts)->member))

/* Strings up to the NULL; 0 of a NULL. */
size_t api_count(const char *const *v);

/* Of HUTCH_START_* flags. */
static inline enum box_life api_life(unsigned flags)
{
	enum box_life life = BOX_DETACHED;

	if (!(flags & HUTCH_START_DETACHED))
		return flags & HUTCH_START_ONCE ? BOX_ONCE : BOX_ATTACHED;
	if (flags & HUTCH_START_REMOVE)
		life |= BOX_UNTIL_END;
	if (flags & HUTCH_START_FOR_JOB)
		life |= BOX_FOR_JOB;
	return life;
}

/* Hands @e to the caller's struct. Return: @r. */
int api_give(int r, const struct err *e, struct hutch_error *ret);

/* How a command ended, into the caller's struct, whose size is set. */
void api_result(const struct exited *x, struct hutch_result *ret);

/* INVALID where @flags has one that is not among @known: of a later version, or of another call. */
int api_check_flags(unsigned flags, unsigned known, struct err *e);

/* For a NULL where a handle must be. */
int api_missing(const char *what, struct hutch_error *ret);

/* NOT_FOUND where there is no detached sandbox of that name, or INVALID (box.c). */
int api_check_kept(struct hutch *hutch, const char *name, struct err *e);

#endif
