/* SPDX-License-Identifier: Apache-2.0
 *
 * tap.h - unit tests that speak TAP
 *
 *	static void a_name_taken_is_reported_and_nothing_is_left(void)
 *	{
 *		ok(claim("a", &e) < 0, "claim said: %s", e.msg);
 *		is_int(e.code, ERR_EXISTS);
 *		is_str(leftovers(), "");
 *	}
 *
 *	int main(void)
 *	{
 *		static const struct tap_test t[] = {
 *			TAP_TEST(a_name_taken_is_reported_and_nothing_is_left),
 *		};
 *		return tap_run(t, sizeof(t) / sizeof(*t));
 *	}
 *
 * How it works: tests run one after the other in this process, and each is one line of TAP. A
 * check that does not hold prints a "# file:line" line with what was expected, fails its test and
 * goes on; checks return whether they held, so a test can leave when the rest makes no sense:
 * `if (!ok(p, "no memory")) return;`. skip("why") says that this machine cannot run the test.
 * TAP_ONLY=text in the environment runs just the tests whose names contain it.
 */
#ifndef HUTCH_TESTS_TAP_H
#define HUTCH_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tap_test {
	const char *name;
	void (*run)(void);
};

#define TAP_TEST(fn) {#fn, fn}

/* A check with an explanation in the words of printf; the explanation may be left out. */
#define ok(cond, ...) tap_check((cond) ? true : false, __FILE__, __LINE__, #cond, " " __VA_ARGS__)
#define is_int(got, want)                                                                          \
	tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, #got)
#define is_str(got, want) tap_is_str((got), (want), __FILE__, __LINE__, #got)
#define skip(...)	  tap_skip(" " __VA_ARGS__)

#define TAP_UNUSED __attribute__((unused))

static bool tap_failed;		/* a check of the running test did not hold */
static char tap_skipped[200];	/* why the running test does not apply; "": it does */

static TAP_UNUSED bool tap_check(bool held, const char *file, int line, const char *what,
				 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static TAP_UNUSED void tap_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static TAP_UNUSED bool tap_check(bool held, const char *file, int line, const char *what,
				 const char *fmt, ...)
{
	va_list ap;

	if (held)
		return true;
	tap_failed = true;
	printf("# %s:%d: does not hold: %s --", file, line, what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return false;
}

static TAP_UNUSED bool tap_is_int(long long got, long long want, const char *file, int line,
				  const char *what)
{
	return tap_check(got == want, file, line, what, " got %lld, want %lld", got, want);
}

static TAP_UNUSED bool tap_is_str(const char *got, const char *want, const char *file, int line,
				  const char *what)
{
	bool same = got && want ? strcmp(got, want) == 0 : got == want;

	return tap_check(same, file, line, what, "\n#  got: %s\n# want: %s", got ? got : "(NULL)",
			 want ? want : "(NULL)");
}

static TAP_UNUSED void tap_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(tap_skipped, sizeof(tap_skipped), fmt, ap);
	va_end(ap);
}

/* The name of a test as the sentence it is. */
static void tap_sentence(const char *name, char *ret, size_t size)
{
	size_t i;

	for (i = 0; name[i] && i + 1 < size; i++)
		ret[i] = name[i] == '_' ? ' ' : name[i];
	ret[i] = '\0';
}

/* Runs one test and prints its line. Return: whether it passed (or was skipped). */
static bool tap_run_one(const struct tap_test *t, size_t number)
{
	char sentence[240];

	tap_failed = false;
	tap_skipped[0] = '\0';
	t->run();
	tap_sentence(t->name, sentence, sizeof(sentence));
	printf("%s %zu - %s", tap_failed ? "not ok" : "ok", number, sentence);
	if (tap_skipped[0])
		printf(" # SKIP%s", tap_skipped);
	putchar('\n');
	fflush(stdout);
	return !tap_failed;
}

static bool tap_wanted(const struct tap_test *t)
{
	const char *only = getenv("TAP_ONLY");

	return !only || strstr(t->name, only);
}

/* Return: the exit status of the test program. A forked child must leave by _exit(). */
static TAP_UNUSED int tap_run(const struct tap_test *tests, size_t n)
{
	size_t failures = 0, number = 0, planned = 0;
	pid_t self = getpid();

	for (size_t i = 0; i < n; i++)
		planned += tap_wanted(&tests[i]);
	printf("1..%zu\n", planned);
	fflush(stdout); /* or a child that a test forks would say it again */
	for (size_t i = 0; i < n; i++) {
		if (!tap_wanted(&tests[i]))
			continue;
		failures += !tap_run_one(&tests[i], ++number);
		if (getpid() != self)
			_exit(99); /* a child that came back from its test */
	}
	return failures ? 1 : 0;
}

#endif
