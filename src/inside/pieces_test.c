/* SPDX-License-Identifier: Apache-2.0
 *
 * pieces_test.c - memory that is used for a moment
 */
#include <stdint.h>
#include <string.h>

#include "inside/keeper.h"
#include "tap.h"

static char *one(void)
{
	PIECE(struct msg_buf, p);
	return p->bytes;
}

static char *other(void)
{
	PIECE(struct msg_buf, p);
	return p->bytes;
}

static void each_has_its_own_which_is_empty_after_a_while(void)
{
	char *a = one(), *b = other();

	ok((uintptr_t)a % 8 == 0 && (uintptr_t)b % 8 == 0, "a message does not begin there");
	ok(a + MSG_BUF <= b || b + MSG_BUF <= a, "two share memory");
	memset(a, 'a', MSG_BUF);
	memset(b, 'b', MSG_BUF);
	ok(one() == a && other() == b, "another one each time");
	ok(a[0] == 'a' && a[MSG_BUF - 1] == 'a' && b[0] == 'b', "what was written was not kept");
	pieces_drop();
	ok(one() == a && !a[0] && !a[MSG_BUF - 1] && !b[0] && !b[MSG_BUF - 1], "what was written is still there");
}

int main(void)
{
	static const struct tap_test t[] = {TAP_TEST(each_has_its_own_which_is_empty_after_a_while)};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
