/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_test.c - both ends of what came are there, at every length around the cap
 */
#include "box/sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "tap.h"

enum { LONGEST = 64 };

/* @len bytes "abc…", in pieces of @piece. */
static void fill(struct sink *s, size_t len, size_t piece)
{
	char text[LONGEST];

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('0' + i);
	for (size_t i = 0; i < len; i += piece)
		sink_add(s, text + i, len - i < piece ? len - i : piece);
}

static bool is_right(size_t cap, size_t len, size_t piece)
{
	auto_with(sink_done) struct sink s;
	size_t half = cap / 2 + cap % 2, kept = len < cap ? len : cap;
	struct run_output o;
	struct err e = {0};

	sink_init(&s, cap);
	fill(&s, len, piece);
	if (sink_output(&s, &o, &e) < 0 || o.total != len || o.len != kept)
		return false;
	for (size_t i = 0; i < kept; i++)
		if (o.data[i] != (char)('0' + (i < half ? i : len - kept + i)))
			return false;
	return o.cut_at == (len > kept ? half : kept);
}

static void both_ends_are_there(void)
{
	for (size_t cap = 1; cap < 20; cap++)
		for (size_t len = 0; len < LONGEST; len++)
			for (size_t piece = 1; piece < LONGEST; piece += 3)
				if (!is_right(cap, len, piece))
					ok(false, "cap %zu, %zu bytes in pieces of %zu", cap, len, piece);
	ok(is_right(10, 0, 1));
}

static void a_cap_of_none_keeps_a_byte(void)
{
	auto_with(sink_done) struct sink s;
	struct run_output o;

	sink_init(&s, 0);
	fill(&s, 9, 4);
	is_int(sink_output(&s, &o, NULL), 0);
	is_int(o.len, 1);
	ok(o.data && o.data[0] == '0' && o.cut_at == 1 && o.total == 9);
}

static void no_cap_is_too_large(void)
{
	auto_with(sink_done) struct sink s;
	struct run_output o;

	sink_init(&s, UINT64_MAX);
	fill(&s, 9, 4);
	is_int(sink_output(&s, &o, NULL), 0);
	is_int(o.len, 9);
	ok(!s.ring);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(both_ends_are_there),
		TAP_TEST(a_cap_of_none_keeps_a_byte),
		TAP_TEST(no_cap_is_too_large),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
