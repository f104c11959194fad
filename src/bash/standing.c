/* SPDX-License-Identifier: Apache-2.0
 *
 * standing.c - what programs inherit of a shell, and others inside may change
 *
 * Whoever runs as the user of a shell may lower its limits and its share of the machine, and those of the sub-shell that waits
 * for a text. inside/runner.c looks at the same of itself.
 */
#include <fcntl.h>
#include <stddef.h>

#include "bash/kernel.h"
#include "bash/standing.h"

#if defined(__x86_64__) || defined(__aarch64__)

enum { LIMITS = 16, OF_PROCESS = 0, IO_OF_PROCESS = 1 };

static struct standing {
	unsigned long limits[LIMITS][2];
	unsigned long processors[1024 / 8 / sizeof(long)];
	char oom[8];
	long nice, policy, io;
} first;

static void look(struct standing *s)
{
	long fd;

	for (size_t i = 0; i < sizeof(*s) / sizeof(long); i++)
		((volatile long *)s)[i] = 0;
	for (int i = 0; i < LIMITS; i++)
		(void)ask_more(SYS_prlimit64, 0, i, 0, (long)s->limits[i], 0, 0);
	(void)ask(SYS_sched_getaffinity, 0, sizeof(s->processors), (long)s->processors);
	s->nice = ask(SYS_getpriority, OF_PROCESS, 0, 0);
	s->policy = ask(SYS_sched_getscheduler, 0, 0, 0);
	s->io = ask(SYS_ioprio_get, IO_OF_PROCESS, 0, 0);
	fd = ask_more(SYS_openat, AT_FDCWD, (long)"/proc/self/oom_score_adj", O_RDONLY, 0, 0, 0);
	if (fd >= 0) {
		(void)ask(SYS_read, fd, (long)s->oom, sizeof(s->oom));
		(void)ask(SYS_close, fd, 0, 0);
	} else {
		s->oom[0] = '?';
	}
}

void standing_is_first(void)
{
	look(&first);
}

bool standing_is_as_first(void)
{
	struct standing now;

	look(&now);
	for (size_t i = 0; i < sizeof(now) / sizeof(long); i++)
		if (((const long *)&now)[i] != ((const long *)&first)[i])
			return false;
	return true;
}

#endif
