/* SPDX-License-Identifier: Apache-2.0
 *
 * buf_test.c - bytes that grow, up to a ceiling
 */
#include "base/buf.h"

#include <stdlib.h>

#include "tap.h"

static void text_grows_and_ends_with_a_nul(void)
{
	auto_buf struct buf b = BUF_INIT(4096);

	buf_str(&b, "one");
	buf_char(&b, ' ');
	buf_fmt(&b, "%d-%s", 2, "three");
	buf_add(&b, "\0x", 2);
	ok(!buf_bad(&b));
	is_int(b.len, 13);
	is_str(b.data, "one 2-three");
	ok(!memcmp(b.data, "one 2-three\0x", 14)); /* with the NUL after it */
}

static void room_that_was_lent_is_used_first_and_never_freed(void)
{
	struct buf b = BUF_INIT(4096), never = BUF_INIT(8);
	char room[8], small[4], *text;

	buf_lend(&b, room, sizeof(room));
	is_str(b.data, "");
	buf_str(&b, "1234567"); /* and the NUL */
	ok(b.data == room);
	buf_char(&b, '8');
	ok(b.data != room);
	is_str(b.data, "12345678");
	buf_done(&b);
	buf_lend(&b, room, sizeof(room));
	buf_str(&b, "abc");
	text = buf_take(&b);
	ok(text && text != room);
	is_str(text, "abc");
	free(text);
	buf_str(&b, "again");
	ok(b.data != room);
	buf_done(&b);
	buf_lend(&never, small, sizeof(small));
	buf_str(&never, "123456789");
	ok(buf_bad(&never));
	buf_done(&never);
	ok(!never.data && !never.lent);
}

static void the_ceiling_can_be_reached_and_not_passed(void)
{
	auto_buf struct buf b = BUF_INIT(10);

	buf_str(&b, "0123456789");
	ok(!buf_bad(&b));
	is_int(b.len, 10);
	buf_add(&b, "", 0);
	ok(!buf_bad(&b), "nothing more is not too much");
	buf_char(&b, 'x');
	ok(buf_bad(&b));
	is_str(b.data, "0123456789");
}

static void after_a_failure_nothing_is_added(void)
{
	auto_buf struct buf b = BUF_INIT(4);

	buf_str(&b, "ab");
	buf_str(&b, "cdefg");
	buf_str(&b, "c"); /* would fit */
	buf_fmt(&b, "%d", 1);
	buf_char(&b, 'x');
	ok(buf_bad(&b));
	is_int(b.len, 2);
	is_str(b.data, "ab");
	ok(!buf_room(&b, 1));
	ok(!buf_take(&b), "half a text is no text");
}

static void sizes_that_overflow_are_refused(void)
{
	auto_buf struct buf b = BUF_INIT(100);

	buf_str(&b, "ab");
	ok(!buf_room(&b, (size_t)-1));
	ok(buf_bad(&b));
	is_int(b.len, 2);
	buf_done(&b);
	buf_str(&b, "ab");
	ok(!buf_room(&b, (size_t)-1 - 2), "its sum with what is there is nothing at all");
	ok(buf_bad(&b));
}

static void the_text_can_be_taken_and_the_buffer_used_again(void)
{
	struct buf b = BUF_INIT(100);
	char *empty = buf_take(&b), *text;

	is_str(empty, "");
	buf_str(&b, "text");
	text = buf_take(&b);
	is_str(text, "text");
	ok(!b.data && !b.len);
	buf_str(&b, "again");
	is_str(b.data, "again");
	buf_done(&b);
	buf_done(&b);
	ok(!b.data);
	free(empty);
	free(text);
}

static void done_makes_a_bad_buffer_good(void)
{
	auto_buf struct buf b = BUF_INIT(2);

	buf_str(&b, "abc");
	ok(buf_bad(&b));
	buf_done(&b);
	buf_str(&b, "ab");
	ok(!buf_bad(&b));
	is_str(b.data, "ab");
}

static void room_is_given_for_what_was_asked(void)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);

	for (size_t n = 1; n < 5000; n += 37) {
		char *p = buf_room(&b, n);

		if (!ok(p == b.data + b.len, "%zu bytes", n))
			return;
		memset(p, 'r', n); /* the address sanitizer sees one too many */
		b.len += n;
		ok(b.len < b.room);
	}
	buf_char(&b, '!');
	is_str(b.data + b.len - 1, "!");
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(text_grows_and_ends_with_a_nul),
		TAP_TEST(room_that_was_lent_is_used_first_and_never_freed),
		TAP_TEST(the_ceiling_can_be_reached_and_not_passed),
		TAP_TEST(after_a_failure_nothing_is_added),
		TAP_TEST(sizes_that_overflow_are_refused),
		TAP_TEST(the_text_can_be_taken_and_the_buffer_used_again),
		TAP_TEST(done_makes_a_bad_buffer_good),
		TAP_TEST(room_is_given_for_what_was_asked),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
