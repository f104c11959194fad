/* SPDX-License-Identifier: Apache-2.0
 *
 * cleanup.c - remove at once what only a later run would have removed
 *
 * How it works: half-made directories of programs that were killed, and those that wait to be used again, are moved to
 * the trash; then the sweeper is asked to look for dead sandboxes and to empty the trash, and is given the writing end of
 * a pipe, which closes when it has ended.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "sys/proc.h"

enum { HALF_MADE_AFTER_S = 60, ENDING_MS = 200 };

/* Names that begin with @prefix and are older than a minute: whoever made them is not at it any
 * more. */
static void move_half_made(struct home *h, int dir, const char *prefix)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;
	struct stat st;
	char to[300];

	while (d && (x = readdir(d))) {
		if (strncmp(x->d_name, prefix, strlen(prefix)) ||
		    fstatat(dir, x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    time(NULL) - st.st_mtime < HALF_MADE_AFTER_S)
			continue;
		snprintf(to, sizeof(to), "half.%llx", (unsigned long long)sys_now_ns());
		(void)renameat(dir, x->d_name, h->trash, to); /* gone: somebody else was here */
	}
}

static int sweep(struct home *h, int timeout_ms, struct err *e)
{
	struct pollfd done = {.events = POLLIN};
	auto_fd int in = -1, out = -1;
	int pipefd[2], r;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	in = pipefd[0];
	out = pipefd[1];
	r = home_sweep(h, out, false, e);
	if (r < 0)
		return r;
	close_fd(&out);
	done.fd = in;
	do {
		r = poll(&done, 1, timeout_ms);
	} while (r < 0 && errno == EINTR);
	return r == 1 ? 0 : err_set(e, ERR_TIMEOUT, "the sweeper is still at work");
}

/* Sandboxes that belong to a program. Where that was killed just now, they are still ending. */
static bool some_attached(struct home *h)
{
	auto_free struct box_listed *v = NULL;
	size_t n = 0;

	if (twin_any(h))
		return true;
	if (box_list(h, &v, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!v[i].detached)
			return true;
	return false;
}

int home_cleanup(struct home *h, int timeout_ms, struct err *e)
{
	const struct timespec while_ending = {.tv_nsec = ENDING_MS * 1000000};
	int r = home_check_owner(h, e);

	if (r < 0)
		return r;
	move_half_made(h, h->layers, ".new-");
	move_half_made(h, h->data, ".hutch-doctor-");
	twin_drop(h);
	place_drop_unused(h);
	r = sweep(h, timeout_ms, e);
	if (r < 0 || !some_attached(h))
		return r;
	nanosleep(&while_ending, NULL);
	return sweep(h, timeout_ms, e);
}
