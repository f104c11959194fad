/* SPDX-License-Identifier: Apache-2.0
 *
 * text_test.c - which texts are one program, and which a shell might read as more
 */
#include <string.h>

#include "box/box.h"
#include "tap.h"

static void one_program_with_its_words_is_seen(void)
{
	static const struct {
		const char *text;
		size_t name;
	} t[] = {
		{"ls", 2}, {"/bin/true", 9}, {"./a.out", 7}, {"g++ -o a a.c", 3}, {"ls -la /usr  ", 2}, {"ls\n", 2}, {"ls\t-l \n\n", 2},
		{"python3 -c 'import os; print(os.getpid())'", 7}, {"cat \"$HOME/a b\" $HOME", 3}, {"cat \"a\\\"b;c\"", 3},
		{"sort <a >b", 4}, {"sort a 2>&1", 4}, {"sort >>a 2>/dev/null", 4}, {"ls \\; \\$x \\'", 2}, {"ls [a-z]* {a,b} ~ a=b %1 @ ^ !", 2},
		{"awk '{ print $1 }' \"x'y\"", 3}, {"ls $1 $", 2}, {"ls ''", 2},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		ok(text_program(t[i].text, strlen(t[i].text)) == t[i].name, "'%s'", t[i].text);
}

static void what_may_be_more_is_not_taken_for_one(void)
{
	static const char *const t[] = {
		"", " ls", "\nls", "-x", "+x", "if", "time ls", "coproc ls", "[[ a ]]", "! ls", "{ ls; }", "(ls)", "((1))", "f() ls", "X=1 ls",
		"X=1", "2>a ls", ">a", "~/a", "$a b", "\"ls\" a", "l's'", "\\ls", "ls;ls", "ls ;", "ls&&ls", "ls & ls", "ls &", "ls|ls", "ls || ls",
		"ls\nls", "ls `ls`", "ls \"`ls`\"", "ls $(ls)", "ls \"$(ls)\"", "ls ${a:=b}", "ls \"${a}\"", "ls $[1]", "ls $'\\''", "ls $\"a\"",
		"ls <<a", "ls <<<a", "ls <(ls)", "ls >(ls)", "ls &>a", "ls \\>& a", "ls '>'& a", "ls #a", "ls a#b", "ls 'a", "ls \"a", "ls \"a\\\"",
		"ls \\", "ls \\\n a", "ls a(b)", "*ls", "é",
		/* what bash does itself */
		"echo a", "cd /", "true", ". a", "exit 3", "test -e a", "kill 1",
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		ok(text_program(t[i], strlen(t[i])) == 0, "'%s'", t[i]);
	is_int(text_program("ls\0a", 4), 0);
	is_int(text_program("ls '\0'", 6), 0);
	is_int(text_program("ls; ls", 2), 2); /* not beyond its end */
	is_int(text_program("ls 'a'", 5), 0);
	is_int(text_program("ls \\a", 4), 0);
	is_int(text_program("ls $(", 4), 2);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(one_program_with_its_words_is_seen),
		TAP_TEST(what_may_be_more_is_not_taken_for_one),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
