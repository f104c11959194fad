/* SPDX-License-Identifier: Apache-2.0
 *
 * who_fuzz.c - any bytes as an image's passwd and group
 *
 * The first line of the input is "user:group" as asked, then comes a passwd up to a form feed, then
 * a group file. Ids that come out are ids, texts end, and the tables are not overrun.
 */
#include "inside/who.c"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A part of the input as a text of its own, up to @end (which is passed over). */
static char *part(const char **text, size_t *left, char end)
{
	const char *stop = memchr(*text, end, *left);
	size_t n = stop ? (size_t)(stop - *text) : *left;
	char *copy = malloc(n + 1); /* the address sanitizer sees one byte too far */

	if (!copy)
		abort();
	memcpy(copy, *text, n);
	copy[n] = '\0';
	*text += n + (stop != NULL);
	*left -= n + (stop != NULL);
	return copy;
}

static void check(const struct who *w)
{
	if (w->ngroups > sizeof(w->groups) / sizeof(*w->groups) || w->uid == UINT32_MAX ||
	    w->gid == UINT32_MAX || !memchr(w->home, 0, sizeof(w->home)))
		abort();
	for (uint32_t i = 0; i < w->ngroups; i++)
		if (w->groups[i] == UINT32_MAX)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	char *asked = part(&text, &size, '\n'), *passwd = part(&text, &size, '\f');
	char *group = part(&text, &size, '\0'), *colon = strchr(asked, ':'), name[NAME_ROOM];
	struct who w = {.home = "/"};
	bool found = false;
	uint32_t gid = 0;

	if (colon)
		*colon++ = '\0';
	if (find_user(passwd, asked, &w, name) == 0) {
		if (!memchr(name, 0, sizeof(name)))
			abort();
		scan_groups(group, *name ? name : NULL, colon, &found, &gid, &w);
		if (found && gid == UINT32_MAX)
			abort();
	} else if (w.e.code != ERR_NOT_FOUND) {
		abort();
	}
	check(&w);
	free(asked);
	free(passwd);
	free(group);
	return 0;
}
