/* SPDX-License-Identifier: Apache-2.0
 *
 * list.c - a growing list of strings that owns them
 */
#include "spec/list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void spec_list_done(struct spec_list *l)
{
	spec_list_remove(l, 0, l->n);
	free(l->v);
	*l = (struct spec_list){0};
}

bool spec_list_reserve(struct spec_list *l, size_t n)
{
	size_t room = l->room * 2 < n ? n : l->room * 2;
	char **v;

	if (l->v && l->room >= n)
		return true;
	v = reallocarray(l->v, room + 1, sizeof(*v));
	if (!v)
		return false;
	v[l->n] = NULL;
	l->v = v;
	l->room = room;
	return true;
}

bool spec_list_add(struct spec_list *l, char *taken)
{
	if (!taken || !spec_list_reserve(l, l->n + 1)) {
		free(taken);
		return false;
	}
	spec_list_insert(l, l->n, taken);
	return true;
}

bool spec_list_add_copy(struct spec_list *l, const char *s)
{
	return spec_list_add(l, strdup(s));
}

bool spec_list_copy(struct spec_list *to, const struct spec_list *from)
{
	struct spec_list copy = {0};

	if (from->n && !spec_list_reserve(&copy, from->n))
		return false;
	for (size_t i = 0; i < from->n; i++)
		if (!spec_list_add_copy(&copy, from->v[i])) {
			spec_list_done(&copy);
			return false;
		}
	*to = copy;
	return true;
}

void spec_list_insert(struct spec_list *l, size_t at, char *taken)
{
	assert(l->n < l->room && at <= l->n);
	memmove(l->v + at + 1, l->v + at, (l->n - at + 1) * sizeof(*l->v));
	l->v[at] = taken;
	l->n++;
}

void spec_list_remove(struct spec_list *l, size_t at, size_t count)
{
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		free(l->v[at + i]);
	memmove(l->v + at, l->v + at + count, (l->n - at - count) * sizeof(*l->v));
	l->n -= count;
	if (l->n < l->room)
		l->v[l->n] = NULL;
}
