/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.h - the frozen layers between the root file system and where changes go, by name
 *
 * How it works: a snapshot makes of what was written a layer of the store, under a name that was never
 * used. A stack is a list of such names, topmost first; as text, one name to a line. A name has a fixed form,
 * so that it can be no other path.
 */
#ifndef HUTCH_WIRE_STACK_H
#define HUTCH_WIRE_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	LAYER_NAME = 20, /* "s." or "m.", and 16 hexadecimal digits, with its NUL */
	LAYER_FROZEN = 's', /* what was written until a snapshot */
	LAYER_MERGED = 'm', /* made of several */
	STACK_MAX = 400, /* the kernel takes 500 layers in all (overlayfs, OVL_MAX_STACK) */
	STACK_DEEP = 30, /* so many of one kind are worth to be made one: each costs every lookup */
};

struct stack {
	uint32_t n;
	char (*v)[LAYER_NAME];
};

bool layer_name_ok(const char *name, size_t len); /* @len: without a NUL */

/* How many layers, and from which on, are to be made one now; 0: none. */
uint32_t stack_to_merge(const struct stack *s, uint32_t *ret_first);
/* Puts @name in place of @what, if that is a part of it. */
bool stack_merged(struct stack *s, const struct stack *what, const char *name);

/* @s must be empty. Return: 0, INVALID or LIMIT, or NOMEM. */
int stack_from_text(struct stack *s, const char *text, size_t len, struct err *e);
void stack_to_text(const struct stack *s, struct buf *text);

int stack_push(struct stack *s, const char *name, struct err *e); /* on top */
int stack_copy(struct stack *to, const struct stack *from, struct err *e);
bool stack_has(const struct stack *s, const char *name);
/* How many of the lowest layers both have. */
uint32_t stack_common(const struct stack *a, const struct stack *b);
void stack_done(struct stack *s);

#endif
