/* SPDX-License-Identifier: Apache-2.0
 *
 * str.c - words and numbers in text
 *
 * How it works: the C library's own functions for this (strtoull, strtod, strcasecmp) take signs
 * and blanks nobody asked for, or mean something else in another locale. libhutch lives in other
 * people's programs, which may have set any locale, so text is read here byte by byte.
 */
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 };

static char small(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

bool str_next(const char **rest, char sep, struct str_span *ret)
{
	const char *end;

	if (!*rest)
		return false;
	end = strchr(*rest, sep);
	ret->at = *rest;
	ret->len = end ? (size_t)(end - *rest) : strlen(*rest);
	*rest = end ? end + 1 : NULL;
	return true;
}

bool str_is(struct str_span s, const char *word)
{
	return strlen(word) == s.len && memcmp(s.at, word, s.len) == 0;
}

bool str_is_nocase(struct str_span s, const char *word)
{
	if (strlen(word) != s.len)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (small(s.at[i]) != small(word[i]))
			return false;
	return true;
}

char *str_dup(struct str_span s)
{
	char *r = malloc(s.len + 1);

	if (!r)
		return NULL;
	memcpy(r, s.at, s.len);
	r[s.len] = '\0';
	return r;
}

bool str_u64(struct str_span s, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!digit(s.at[i]))
			return false;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s.at[i] - '0'), &n))
			return false;
	}
	if (n > max)
		return false;
	*ret = n;
	return true;
}

bool str_i64(struct str_span s, int64_t min, int64_t max, int64_t *ret)
{
	bool minus = s.len > 0 && s.at[0] == '-';
	uint64_t n;
	int64_t v;

	if (minus) {
		s.at++;
		s.len--;
	}
	if (!str_u64(s, (uint64_t)INT64_MAX, &n))
		return false;
	v = minus ? -(int64_t)n : (int64_t)n;
	if (v < min || v > max)
		return false;
	*ret = v;
	return true;
}

/* The part of @scale that the digits behind the point stand for, from the last digit up. */
static bool fraction(struct str_span s, uint64_t scale, uint64_t *ret)
{
	uint64_t part = 0;

	if (s.len == 0)
		return false;
	for (size_t i = s.len; i-- > 0;) {
		if (!digit(s.at[i]))
			return false;
		part = ((uint64_t)(s.at[i] - '0') * scale + part) / 10;
	}
	*ret = part;
	return true;
}

bool str_decimal(struct str_span s, uint64_t scale, uint64_t max, uint64_t *ret)
{
	const char *point = s.len ? memchr(s.at, '.', s.len) : NULL;
	struct str_span whole = {s.at, point ? (size_t)(point - s.at) : s.len};
	uint64_t n, part = 0;

	if (scale > UINT64_MAX / 16 || !str_u64(whole, UINT64_MAX, &n))
		return false;
	if (point) {
		struct str_span rest = {point + 1, s.len - whole.len - 1};

		if (!fraction(rest, scale, &part))
			return false;
	}
	if (__builtin_mul_overflow(n, scale, &n) || __builtin_add_overflow(n, part, &n))
		return false;
	if (n == 0 && scale)
		for (size_t i = 0; i < s.len && n == 0; i++)
			n = s.at[i] > '0';
	if (n > max)
		return false;
	*ret = n;
	return true;
}

/* Bytes of the character that starts at @s, 0 when it is none. RFC 3629, section 4. */
static size_t utf8_one(const unsigned char *s, size_t len)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (n == 0 || s[0] > 0xf4 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool str_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	while (len > 0) {
		size_t n = utf8_one(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

void str_one_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

static char plain(char c)
{
	return c == '_' ? '-' : small(c);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t str_distance(const char *a, const char *b)
{
	size_t row[3][WORD_MAX], la = strlen(a), lb = strlen(b);
	size_t *before = row[0], *last = row[1], *now = row[2];

	if (la >= WORD_MAX || lb >= WORD_MAX)
		return SIZE_MAX;
	memset(row, 0, sizeof(row));
	for (size_t j = 0; j <= lb; j++)
		last[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *free_row = before;

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			bool same = plain(a[i - 1]) == plain(b[j - 1]);

			now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + !same);
			if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) &&
			    plain(a[i - 2]) == plain(b[j - 1]))
				now[j] = least(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = free_row;
	}
	return last[lb];
}

void str_near_try(struct str_near *n, const char *name, const char *answer)
{
	size_t len = strlen(n->word), other = strlen(name), most = 1 + len / 3, d;
	bool begins = len >= 2 && strncmp(n->word, name, len) == 0;

	if (!begins && (len > other + most || other > len + most))
		return; /* the lengths alone are too far apart */
	d = str_distance(n->word, name);
	/* A word cut short ("--mem") is as good as one wrong letter. */
	if (begins && d > 1)
		d = 1;
	if (d > most || d >= other)
		return;
	if (!n->best || d < n->distance) {
		n->best = answer;
		n->distance = d;
	}
}

const char *str_near_best(const struct str_near *n)
{
	return n->best;
}
