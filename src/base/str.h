/* SPDX-License-Identifier: Apache-2.0
 *
 * str.h - words and numbers in text
 *
 * Nothing here depends on the locale of the caller: letters are ASCII, the decimal point is ".".
 */
#ifndef HUTCH_BASE_STR_H
#define HUTCH_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of somebody else's text. */
struct str_span {
	const char *at;
	size_t len;
};

/* The next piece of *@rest up to @sep; *rest becomes NULL after the last one. False: no more.
 * "a,,b" has three pieces, "" has one. */
bool str_next(const char **rest, char sep, struct str_span *ret);

bool str_is(struct str_span s, const char *word);
bool str_is_nocase(struct str_span s, const char *word);

/* A copy of its own, to be freed; NULL: no memory. */
char *str_dup(struct str_span s);

/* Numbers, strictly: digits only (and one "-" for the signed), nothing before or after them, not
 * beyond the limits. False: not such a number. */
bool str_u64(struct str_span s, uint64_t max, uint64_t *ret);
bool str_i64(struct str_span s, int64_t min, int64_t max, int64_t *ret);

/* "12" or "1.5" times @scale, cut to a whole number, but never cut down to 0. */
bool str_decimal(struct str_span s, uint64_t scale, uint64_t max, uint64_t *ret);

bool str_utf8(const char *s, size_t len);

/* Makes one printable line of it: control characters become "?". */
void str_one_line(char *s);

/* "Did you mean": offer names, ask for the best.
 *
 *	struct str_near near = {.word = wrong};
 *	for (…) str_near_try(&near, names[i], names[i]);
 *	best = str_near_best(&near);
 */
struct str_near {
	const char *word;
	const char *best;
	size_t distance;
};

/* Offers @name; @answer is what str_near_best() hands back for it. Both are borrowed. */
void str_near_try(struct str_near *n, const char *name, const char *answer);

/* NULL: nothing offered is near enough to be meant. */
const char *str_near_best(const struct str_near *n);

/* How many letters must be changed, added, left out or swapped with their neighbour to make @b of
 * @a; SIZE_MAX when one is longer than 63 bytes. "-" and "_", and small and big letters, are the
 * same. */
size_t str_distance(const char *a, const char *b);

#endif
