/* SPDX-License-Identifier: Apache-2.0
 *
 * env_test.c - a command's environment has what was asked and nothing of the caller's
 */
#include "base/own.h"
#include "box/box.h"
#include "tap.h"

struct made {
	struct box b;
	struct exec_ask ask;
	char **v;
	size_t n;
	bool home_missing;
};

static void made_done(struct made *m)
{
	free(m->v);
	spec_free(m->b.spec);
}

static void begin(struct made *m)
{
	memset(m, 0, sizeof(*m));
	m->b.hostname = (char *)(uintptr_t)"box1";
	m->b.spec = spec_new();
	if (!m->b.spec)
		exit(1);
}

static void build(struct made *m)
{
	struct err e = {0};

	ok(env_build(&m->b, &m->ask, &m->v, &m->n, &m->home_missing, &e) == 0, "%s", e.msg);
}

static void asked(struct made *m, const char *kv)
{
	struct err e = {0};

	ok(spec_set(m->b.spec, "env", kv, &e) == 0, "%s", e.msg);
}

/* The value of @key; NULL: it is not there; fails the test when it is there twice. */
static const char *value(const struct made *m, const char *key)
{
	const char *found = NULL;
	size_t len = strlen(key);

	for (size_t i = 0; i < m->n; i++) {
		if (strncmp(m->v[i], key, len) || m->v[i][len] != '=')
			continue;
		ok(!found, "%s is there twice", key);
		found = m->v[i] + len + 1;
	}
	return found;
}

static void it_begins_with_four_names_and_none_of_the_callers(void)
{
	auto_with(made_done) struct made m;

	setenv("SECRET", "token", 1);
	begin(&m);
	build(&m);
	is_int(m.n, 4);
	is_str(value(&m, "PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	is_str(value(&m, "LANG"), "C.UTF-8");
	is_str(value(&m, "HOSTNAME"), "box1");
	is_str(value(&m, "TERM"), "dumb");
	ok(m.home_missing, "the keeper adds HOME");
}

static void the_terminals_name_comes_along_on_a_terminal_only(void)
{
	auto_with(made_done) struct made m, none;

	setenv("TERM", "vt220", 1);
	begin(&m);
	m.ask.tty = true;
	build(&m);
	is_str(value(&m, "TERM"), "vt220");
	unsetenv("TERM");
	begin(&none);
	none.ask.tty = true;
	build(&none);
	is_str(value(&none, "TERM"), "xterm");
}

static void what_the_spec_says_wins_and_what_the_call_says_wins_over_it(void)
{
	auto_with(made_done) struct made m;
	char *env[] = {(char[]){"B=call"}, (char[]){"D=call"}, (char[]){"D=again"}};

	begin(&m);
	asked(&m, "A=spec");
	asked(&m, "B=spec");
	asked(&m, "PATH=/bin");
	asked(&m, "HOME=/h");
	m.ask.env = env;
	m.ask.nenv = 3;
	build(&m);
	is_str(value(&m, "A"), "spec");
	is_str(value(&m, "B"), "call");
	is_str(value(&m, "D"), "again");
	is_str(value(&m, "PATH"), "/bin");
	is_str(value(&m, "HOME"), "/h");
	ok(!m.home_missing);
	is_int(m.n, 8);
}

static void a_name_that_begins_like_another_is_another(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	asked(&m, "PATHS=x");
	asked(&m, "PA=y");
	asked(&m, "EMPTY=");
	asked(&m, "HOMER=z");
	build(&m);
	ok(!strncmp(value(&m, "PATH"), "/usr", 4));
	is_str(value(&m, "PATHS"), "x");
	is_str(value(&m, "PA"), "y");
	is_str(value(&m, "EMPTY"), "");
	ok(m.home_missing);
}

static void bytes_of_any_kind_pass(void)
{
	auto_with(made_done) struct made m;
	char *env[] = {(char[]){"X=a\nb=c\xff\xfe"}};

	begin(&m);
	m.ask.env = env;
	m.ask.nenv = 1;
	build(&m);
	is_str(value(&m, "X"), "a\nb=c\xff\xfe");
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(it_begins_with_four_names_and_none_of_the_callers),
		TAP_TEST(the_terminals_name_comes_along_on_a_terminal_only),
		TAP_TEST(what_the_spec_says_wins_and_what_the_call_says_wins_over_it),
		TAP_TEST(a_name_that_begins_like_another_is_another),
		TAP_TEST(bytes_of_any_kind_pass),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
