/* SPDX-License-Identifier: Apache-2.0
 *
 * pack_test.c - strings and arrays come back as they went in, and a blob that lies gives NULL
 */
#include "wire/pack.h"

#include "tap.h"

static struct pack read_of(const struct buf *b)
{
	return (struct pack){b->data, b->len};
}

/* A buffer that begins as blobs do. */
static void begin(struct buf *b)
{
	buf_add(b, "headhead", 8);
}

static void strings_come_back(void)
{
	auto_buf struct buf b = BUF_INIT(4096);
	pack_ref one, none, empty;
	struct pack p;

	begin(&b);
	one = pack_str(&b, "one");
	none = pack_str(&b, NULL);
	empty = pack_str(&b, "");
	ok(!buf_bad(&b));
	p = read_of(&b);
	is_str(pack_get_str(&p, one), "one");
	is_str(pack_get_str(&p, empty), "");
	is_int(none, 0);
	ok(!pack_get_str(&p, none));
}

static void arrays_are_aligned_to_8(void)
{
	auto_buf struct buf b = BUF_INIT(4096);

	begin(&b);
	for (int i = 0; i < 20; i++) {
		uint64_t v = (uint64_t)i << 40;
		pack_ref at;
		struct pack p;

		pack_str(&b, &"odd"[i % 3]);
		at = pack_bytes(&b, &v, sizeof(v));
		p = read_of(&b);
		is_int(at % 8, 0);
		ok(pack_at(&p, at, 8) && !memcmp(pack_at(&p, at, 8), &v, 8), "number %d", i);
	}
}

static void lists_of_strings_come_back(void)
{
	char *words[] = {(char[]){"sh"}, (char[]){""}, (char[]){"-c"}};
	auto_buf struct buf b = BUF_INIT(4096);
	struct pack_list l, none;
	struct pack p;
	char *v[4];

	begin(&b);
	pack_str(&b, "x");
	l = pack_strs(&b, words, 3);
	none = pack_strs(&b, words, 0);
	p = read_of(&b);
	is_int(l.count, 3);
	is_str(pack_get_item(&p, l, 0), "sh");
	is_str(pack_get_item(&p, l, 1), "");
	is_str(pack_get_item(&p, l, 2), "-c");
	ok(!pack_get_item(&p, l, 3));
	ok(pack_get_vector(&p, l, v) && !strcmp(v[2], "-c") && !v[3]);
	is_int(none.count, 0);
	ok(pack_get_vector(&p, none, v) && !v[0]);
}

static void a_buffer_that_is_full_gives_no_references(void)
{
	char *words[] = {(char[]){"0123456789"}, (char[]){"0123456789"}};
	auto_buf struct buf b = BUF_INIT(30);
	struct pack_list l;

	begin(&b);
	l = pack_strs(&b, words, 2);
	ok(buf_bad(&b));
	is_int(l.count, 0);
	is_int(l.at, 0);
	is_int(pack_str(&b, "x"), 0);
	is_int(pack_bytes(&b, "x", 1), 0);
}

static void what_lies_outside_is_not_read(void)
{
	char blob[32] __attribute__((aligned(8))) = "headheadstring";
	struct pack p = {blob, sizeof(blob)};
	static const pack_ref bad[] = {0,  1,  4,	   12,	       31,	  32,
				       33, 40, 0x7ffffff8, 0xfffffff8, 0xffffffff};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ok(!pack_at(&p, bad[i], 8) || (bad[i] == 8), "at %u", bad[i]);
	ok(pack_at(&p, 24, 8) == blob + 24, "the last eight bytes");
	ok(!pack_at(&p, 24, 9));
	ok(!pack_at(&p, 24, (size_t)-1));
	ok(pack_at(&p, 32, 0) == blob + 32, "nothing, at the end");
	ok(!pack_get_str(&p, 32));
	ok(!pack_get_str(&p, 0xffffffff));
}

static void a_string_without_an_end_is_none(void)
{
	char *blob = malloc(16); /* ends where it ends: the sanitizer sees one byte too far */
	struct pack p = {blob, 16};

	if (!ok(blob))
		return;
	memset(blob, 'x', 16);
	ok(!pack_get_str(&p, 8));
	blob[15] = '\0';
	is_str(pack_get_str(&p, 8), "xxxxxxx");
	is_str(pack_get_str(&p, 15), "");
	free(blob);
}

static void a_list_that_lies_is_none(void)
{
	uint32_t blob[8] __attribute__((aligned(8))) = {0, 0, 24, 0, 999, 16};
	struct pack p = {(const char *)blob, sizeof(blob)};

	strcpy((char *)&blob[6], "ok");
	is_str(pack_get_item(&p, (struct pack_list){8, 1}, 0), "ok");
	ok(!pack_get_item(&p, (struct pack_list){8, 2}, 1), "an element that is not there");
	ok(!pack_get_item(&p, (struct pack_list){16, 1}, 0), "an element that lies outside");
	ok(!pack_get_item(&p, (struct pack_list){8, 7}, 0), "longer than the blob");
	ok(!pack_get_item(&p, (struct pack_list){8, 0x40000001}, 0), "its size overflows 32 bits");
	ok(!pack_get_item(&p, (struct pack_list){8, 0xffffffff}, 0));
	ok(!pack_get_item(&p, (struct pack_list){0, 1}, 0));
	ok(!pack_get_vector(&p, (struct pack_list){8, 2}, (char *[3]){0}));
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(strings_come_back),
		TAP_TEST(arrays_are_aligned_to_8),
		TAP_TEST(lists_of_strings_come_back),
		TAP_TEST(a_buffer_that_is_full_gives_no_references),
		TAP_TEST(what_lies_outside_is_not_read),
		TAP_TEST(a_string_without_an_end_is_none),
		TAP_TEST(a_list_that_lies_is_none),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
