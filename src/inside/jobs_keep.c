/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs_keep.c - what is left on disk of the jobs of a sandbox that is stopped
 *
 * How it works: a keeper that ends when it was asked to writes its jobs into the file `jobs` of the sandbox's directory: what is
 * known of each, and of its output what the ring holds. Whoever asks for them later reads that (box/jobs_kept.c).
 * Those that run are about to be killed, and are told so. Where it cannot be written (the disk is full) there is none:
 * half of it would be wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/job.h"

static const char NEW_NAME[] = ".new-" JOBS_FILE;

static bool put(int fd, const void *data, uint64_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (uint64_t)n;
	}
	return true;
}

static bool put_output(int fd, const struct ring *r, uint64_t from, uint64_t end)
{
	static char piece[65536];

	while (from < end) {
		uint64_t n = end - from < sizeof(piece) ? end - from : sizeof(piece);

		ring_copy(r, from, piece, n);
		if (!put(fd, piece, n))
			return false;
		from += n;
	}
	return true;
}

static bool put_job(int fd, struct job *j)
{
	struct job_facts f;

	job_take_rest(j);
	f = job_facts_of(j);
	if (f.running) {
		f.running = 0;
		f.ended_ms = job_now_ms();
		f.end = (struct exited){.how = EXITED_STATUS, .status = SIGKILL};
		if (f.ended_ms > f.began_ms) /* or the clock was set back */
			f.end.wall_us = (f.ended_ms - f.began_ms) * 1000;
	}
	return put(fd, &f, sizeof(f)) && put_output(fd, &j->ring, f.total - f.kept, f.total);
}

void jobs_keep(const struct keeper *k)
{
	auto_fd int fd = -1;
	bool all = true;

	if (k->up < 0 || !k->jobs || faccessat(k->up, KEPT_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0) /* it is removed with its end */
		return;
	fd = openat(k->up, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	for (struct job *j = k->jobs; j && all; j = j->next)
		all = put_job(fd, j);
	if (!all || renameat(k->up, NEW_NAME, k->up, JOBS_FILE) < 0)
		(void)unlinkat(k->up, NEW_NAME, 0);
}
