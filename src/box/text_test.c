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

static void plain_words_are_told_as_they_are(void)
{
	static const struct {
		const char *text, *words; /* with '|' behind each */
	} t[] = {
		{"ls", "ls|"}, {"ls\n", "ls|"}, {"ls  -la\t/usr  \n\n", "ls|-la|/usr|"}, {"a 'b c' \"d  e\" ''", "a|b c|d  e||"},
		{"a b'c'\"d\"e", "a|bcde|"}, {"a 'x\"y' \"x'y\"", "a|x\"y|x'y|"}, {"a '$b `c` \\' \"* ? ~ # ; & | ( {\"", "a|$b `c` \\|* ? ~ # ; & | ( {|"},
		{"/bin/a +x -y b=c d:e f,g @h %i ./j", "/bin/a|+x|-y|b=c|d:e|f,g|@h|%i|./j|"}, {"a 'b\nc'", "a|b\nc|"},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct buf b = BUF_INIT(1000);
		unsigned n = text_words(&b, t[i].text, strlen(t[i].text)), ends = 0;

		ok(b.len == strlen(t[i].words), "'%s': %zu bytes", t[i].text, b.len);
		for (size_t j = 0; j < b.len && j < strlen(t[i].words); j++) {
			ends += !b.data[j];
			ok(b.data[j] ? b.data[j] == t[i].words[j] : t[i].words[j] == '|', "'%s' at %zu", t[i].text, j);
		}
		is_int(n, ends);
		buf_done(&b);
	}
}

static void of_what_bash_makes_more_there_are_no_words(void)
{
	static const char *const t[] = {
		"", "echo a", "let a=1", "ls; ls", "ls | ls", "ls >a", "ls <a", "ls 2>&1", "ls $HOME", "ls \"$HOME\"", "ls *", "ls a?", "ls [a]", "ls ~",
		"ls ~/a", "ls {a,b}", "ls \\a", "ls \"\\a\"", "ls 'a", "ls \"a", "ls !a", "ls ^a", "ls é", "ls a\nls", "ls \"`ls`\"", "X=1 ls", "'ls'",
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct buf b = BUF_INIT(1000);

		ok(!text_words(&b, t[i], strlen(t[i])), "'%s'", t[i]);
		buf_done(&b);
	}
}

static void what_bash_would_take_over_is_not_plain(void)
{
	static const struct {
		const char *variable;
		bool plain;
	} t[] = {
		{"A=1", true}, {"PATH=/usr/bin", true}, {"LANG=C.UTF-8", true}, {"LANG=en_US.UTF-8", true}, {"LC_ALL=POSIX", true}, {"LC_ALL=", true},
		{"HOME=", true}, {"ENVIRONMENT=x", true}, {"PWD_=/", true},
		{"BASH_ENV=/x", false}, {"BASH_FUNC_ls%%=() { :; }", false}, {"BASHOPTS=extglob", false}, {"ENV=/x", false}, {"SHELLOPTS=xtrace", false},
		{"POSIXLY_CORRECT=1", false}, {"PWD=/x", false}, {"OLDPWD=/x", false}, {"SHLVL=3", false}, {"_=x", false}, {"a.b=1", false}, {"1a=1", false},
		{"LANG=de_DE.UTF-8", false}, {"LANGUAGE=de", false}, {"LC_MESSAGES=fr_FR", false}, {"EXECIGNORE=*", false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		char *v[] = {(char *)(uintptr_t)t[i].variable};
		struct spec spec = {.env = {v, 1}};

		ok(text_env_is_plain(&spec) == t[i].plain, "'%s'", t[i].variable);
	}
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(one_program_with_its_words_is_seen),
		TAP_TEST(what_may_be_more_is_not_taken_for_one),
		TAP_TEST(plain_words_are_told_as_they_are),
		TAP_TEST(of_what_bash_makes_more_there_are_no_words),
		TAP_TEST(what_bash_would_take_over_is_not_plain),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
