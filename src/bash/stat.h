/* SPDX-License-Identifier: Apache-2.0
 *
 * stat.h - what a line of /proc/PID/stat says of a process, as proc(5) describes it
 */
#ifndef HUTCH_BASH_STAT_H
#define HUTCH_BASH_STAT_H

#include <stdbool.h>

/* Field @number, from 3 on, of the line that ends before @end: the number there, 0 where there is none. */
static inline unsigned long stat_field(const char *line, const char *end, int number)
{
	const char *at = end;
	unsigned long n = 0;

	while (at > line && at[-1] != ')') /* the name before it may have spaces */
		at--;
	for (int i = 2; i < number && at < end; i++) {
		while (at < end && *at != ' ')
			at++;
		at++;
	}
	while (at < end && *at >= '0' && *at <= '9')
		n = n * 10 + (unsigned long)(*at++ - '0');
	return n;
}

/* Whether it has been killed. It may take a while until it ends of that: with that signal pending it has not come to it, with the flag
 * it has; for what is between there is the code, which Linux 6.18 tells from the kill on. Of one that is stopped that is the signal. */
static inline bool stat_is_killed(const char *line, const char *end)
{
	enum { FLAGS = 9, PENDING = 31, CODE = 52, EXITING = 4, KILLED = 1 << (9 - 1), FIRST_STOP = 19, LAST_STOP = 22 };
	unsigned long code = stat_field(line, end, CODE) & 127;

	return stat_field(line, end, FLAGS) & EXITING || stat_field(line, end, PENDING) & KILLED ||
	       (code && (code < FIRST_STOP || code > LAST_STOP));
}

#endif
