/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_test.c - the last bytes of a stream
 */
#include "inside/ring.h"

#include <string.h>

#include "tap.h"

/* All that is kept, as text. */
static const char *kept(const struct ring *r)
{
	static char text[64];
	uint64_t n = ring_kept(r);

	ring_copy(r, r->total - n, text, n);
	text[n] = '\0';
	return text;
}

static bool opened(struct ring *r, uint64_t room)
{
	return ok(ring_open(r, room) == 0, "no memory");
}

static void what_fits_is_kept_whole(void)
{
	struct ring r;

	if (!opened(&r, 8))
		return;
	is_str(kept(&r), "");
	ring_keep(&r, "abc", 3);
	ring_keep(&r, "", 0);
	ring_keep(&r, "defgh", 5);
	is_str(kept(&r), "abcdefgh");
	is_int((long long)r.total, 8);
	ring_close(&r);
	ring_close(&r); /* has nothing left to do */
}

static void the_last_bytes_stay_and_all_are_counted(void)
{
	struct ring r;
	char all[400] = "";

	if (!opened(&r, 7))
		return;
	for (int i = 0; i < 60; i++) { /* pieces of every length from 0 to 11, so that they end anywhere in the ring */
		char piece[12];
		size_t n = (size_t)(i % 12), had = strlen(all);

		for (size_t c = 0; c < n; c++)
			piece[c] = (char)('a' + (i + (int)c) % 26);
		memcpy(all + had, piece, n);
		ring_keep(&r, piece, n);
		had += n;
		is_int((long long)r.total, (long long)had);
		is_str(kept(&r), all + (had > 7 ? had - 7 : 0));
	}
	ring_close(&r);
}

static void a_part_can_be_had(void)
{
	struct ring r;
	char part[4] = "";

	if (!opened(&r, 5))
		return;
	ring_keep(&r, "0123456789", 10);
	ring_copy(&r, 6, part, 3);
	is_str(part, "678");
	ring_close(&r);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(what_fits_is_kept_whole),
		TAP_TEST(the_last_bytes_stay_and_all_are_counted),
		TAP_TEST(a_part_can_be_had),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
