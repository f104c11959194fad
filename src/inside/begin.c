/* SPDX-License-Identifier: Apache-2.0
 *
 * begin.c - what hutch-init does first, whatever it is started as
 *
 * How it works: whoever started it may be any program: with descriptors that he forgot, signals that he
 * ignores, a directory he stands in. Of all that only the socket stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

struct rlimit callers_limits[RLIM_NLIMITS];

static void on_child(int sig)
{
	(void)sig; /* only to leave ppoll() */
}

/* The socket, and otherwise nothing of the caller's. */
static int own_descriptors(int sock, struct err *e)
{
	int r = sys_close_range(1, 2), null;

	if (r == 0)
		r = sys_close_range((unsigned)sock + 1, ~0u);
	if (r == 0 && sock > 3)
		r = sys_close_range(3, (unsigned)sock - 1);
	if (r < 0)
		return err_sys(e, r, "close descriptors of the caller (close_range)");
	null = open("/dev/null", O_RDWR | O_CLOEXEC); /* 1 */
	if (null < 0)
		return err_sys(e, errno, "open '/dev/null'");
	if (fcntl(null, F_DUPFD_CLOEXEC, 2) < 0 || dup3(null, 0, O_CLOEXEC) < 0)
		return err_sys(e, errno, "standard descriptors");
	return 0;
}

int keeper_null(const struct keeper *k)
{
	return openat(k->proc, "self/fd/0", O_RDWR | O_CLOEXEC);
}

int inside_begin(const char *name, int sock, int *ret_sock, struct err *e)
{
	struct sigaction sa = {.sa_handler = on_child};
	sigset_t block;

	sys_signals_forget();  /* a Ctrl-C that was not for us; we were in the caller's session for a moment */
	sys_signals_default(); /* ignored ones would pass to every command */
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_SETMASK, &block, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	umask(022);
	*ret_sock = fcntl(sock, F_DUPFD_CLOEXEC, 3); /* whatever comes, the caller hears of it there */
	if (*ret_sock < 0)
		_exit(1);
	if (chdir("/") < 0)
		return err_sys(e, errno, "enter '/'");
	return own_descriptors(*ret_sock, e);
}
