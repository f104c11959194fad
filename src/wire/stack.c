/* SPDX-License-Identifier: Apache-2.0
 *
 * stack.c - the frozen layers between the root file system and where changes go, by name
 */
#include "wire/stack.h"

#include <stdlib.h>
#include <string.h>

bool layer_name_ok(const char *name, size_t len)
{
	if (len != LAYER_NAME - 2 || (*name != LAYER_FROZEN && *name != LAYER_MERGED) || name[1] != '.')
		return false;
	for (size_t i = 2; i < len; i++)
		if (!name[i] || !strchr("0123456789abcdef", name[i]))
			return false;
	return true;
}

static int room(struct stack *s, uint32_t n, struct err *e)
{
	char(*more)[LAYER_NAME];

	if (n > STACK_MAX)
		return err_set(e, ERR_LIMIT, "more than %d layers of snapshots", STACK_MAX);
	more = realloc(s->v, (n + 1) * sizeof(*more));
	if (!more)
		return err_oom(e);
	s->v = more;
	return 0;
}

int stack_push(struct stack *s, const char *name, struct err *e)
{
	int r;

	if (!layer_name_ok(name, strlen(name)))
		return err_set(e, ERR_INVALID, "'%.40s' is no name of a layer", name);
	r = room(s, s->n + 1, e);
	if (r < 0)
		return r;
	memmove(s->v + 1, s->v, s->n * sizeof(*s->v));
	memset(s->v[0], 0, sizeof(s->v[0]));
	memcpy(s->v[0], name, LAYER_NAME - 2);
	s->n++;
	return 0;
}

int stack_from_text(struct stack *s, const char *text, size_t len, struct err *e)
{
	const char *end = text + len;

	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text);
		int r;

		if (!layer_name_ok(text, n))
			return err_set(e, ERR_INVALID, "a list of layers with something else in it");
		r = room(s, s->n + 1, e);
		if (r < 0)
			return r;
		memset(s->v[s->n], 0, sizeof(s->v[0]));
		memcpy(s->v[s->n++], text, n);
		text += n + 1;
	}
	return 0;
}

void stack_to_text(const struct stack *s, struct buf *text)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (i)
			buf_char(text, '\n');
		buf_str(text, s->v[i]);
	}
}

int stack_copy(struct stack *to, const struct stack *from, struct err *e)
{
	int r = room(to, from->n, e);

	if (r < 0)
		return r;
	if (from->n)
		memcpy(to->v, from->v, from->n * sizeof(*from->v));
	to->n = from->n;
	return 0;
}

bool stack_has(const struct stack *s, const char *name)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i], name))
			return true;
	return false;
}

uint32_t stack_common(const struct stack *a, const struct stack *b)
{
	uint32_t n = 0;

	while (n < a->n && n < b->n && !strcmp(a->v[a->n - 1 - n], b->v[b->n - 1 - n]))
		n++;
	return n;
}

uint32_t stack_to_merge(const struct stack *s, uint32_t *ret_first)
{
	uint32_t frozen = 0;

	while (frozen < s->n && *s->v[frozen] == LAYER_FROZEN)
		frozen++;
	if (frozen >= STACK_DEEP) {
		*ret_first = 0;
		return frozen;
	}
	*ret_first = frozen;
	return s->n - frozen >= STACK_DEEP ? s->n - frozen : 0;
}

bool stack_merged(struct stack *s, const struct stack *what, const char *name)
{
	for (uint32_t i = 0; what->n && i + what->n <= s->n; i++) {
		if (memcmp(s->v[i], what->v, what->n * sizeof(*what->v)))
			continue;
		memmove(s->v + i + 1, s->v + i + what->n, (s->n - i - what->n) * sizeof(*s->v));
		s->n -= what->n - 1;
		memset(s->v[i], 0, sizeof(s->v[i]));
		memcpy(s->v[i], name, LAYER_NAME - 2);
		return true;
	}
	return false;
}

void stack_done(struct stack *s)
{
	free(s->v);
	*s = (struct stack){0};
}
