/* SPDX-License-Identifier: Apache-2.0
 *
 * stat_test.c - what a line of /proc/PID/stat says
 */
#include "bash/stat.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define LINE(name, flags, pending, code)                                                                               \
	"4 (" name ") S 0 5 6 0 -1 " flags " 183 0 0 0 0 0 0 0 20 0 1 0 5084635 4481024 811 18446744073709551615 1 2 3 0 0 " \
	pending " 65536 4 65538 0 0 0 17 1 0 0 0 0 0 4 5 6 7 8 9 10 " code "\n"

/* What lies behind a line, where it was read to, is none of it. */
static bool killed(const char *text, char behind)
{
	char line[1024];
	size_t n = strlen(text);

	memset(line, behind, sizeof(line));
	memcpy(line, text, n);
	return stat_is_killed(line, line + n);
}

static void it_is_seen_by_any_of_three(void)
{
	static const char behind[] = {'\0', ' ', ')', '7', 'x'};

	for (size_t i = 0; i < sizeof(behind); i++) {
		ok(!killed(LINE("bash", "4194560", "0", "0"), behind[i]), "%d", behind[i]);
		ok(killed(LINE("bash", "4194564", "0", "0"), behind[i]), "%d", behind[i]);
		ok(killed(LINE("bash", "4194560", "256", "0"), behind[i]), "%d", behind[i]);
		ok(killed(LINE("bash", "4194560", "0", "9"), behind[i]), "%d", behind[i]);
		ok(killed(LINE("a) b (c 1 2", "4194560", "256", "0"), behind[i]), "%d", behind[i]);
		ok(!killed(LINE("a) b (c 1 2", "4194560", "0", "0"), behind[i]), "%d", behind[i]);
	}
}

static void other_signals_are_not_a_kill(void)
{
	ok(!killed(LINE("bash", "4194560", "255", "0"), '\0'));
	for (int sig = 19; sig <= 22; sig++) {
		char line[1024];

		snprintf(line, sizeof(line), LINE("bash", "4194560", "0", "%d"), sig);
		ok(!killed(line, '\0'), "stopped by %d", sig);
	}
}

static void what_is_not_there_says_nothing(void)
{
	static const char line[] = LINE("bash", "4194564", "256", "9");
	const char *end = line + strlen(line);

	ok(stat_field(line, end, 5) == 5 && stat_field(line, end, 52) == 9 && stat_field(line, end, 53) == 0);
	ok(!stat_is_killed(line, line) && !stat_is_killed(line, strchr(line, ')')) && !stat_is_killed(line, strchr(line, ')') + 1));
}

static void the_kernel_tells_it_from_the_kill_on(void)
{
	for (int i = 0; i < 200; i++) {
		char path[64], line[1024];
		pid_t pid = fork();
		ssize_t n;
		int fd;

		if (pid == 0)
			for (;;)
				pause();
		if (!ok(pid > 0, "fork"))
			return;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = pread(fd, line, sizeof(line), 0);
		ok(n > 0 && !stat_is_killed(line, line + n), "%.*s", (int)n, line);
		kill(pid, SIGKILL);
		n = pread(fd, line, sizeof(line), 0);
		ok(n > 0 && stat_is_killed(line, line + n), "%.*s", (int)n, line);
		close(fd);
		waitpid(pid, NULL, 0);
	}
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(it_is_seen_by_any_of_three),
		TAP_TEST(other_signals_are_not_a_kill),
		TAP_TEST(what_is_not_there_says_nothing),
		TAP_TEST(the_kernel_tells_it_from_the_kill_on),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
