/* SPDX-License-Identifier: Apache-2.0
 *
 * work.c - what takes long is done by a process beside the keeper
 *
 * How it works: a child of the keeper at home, outside of the generation's namespaces, does it and says on a pipe
 * how it went. When it has ended, the keeper goes on with what follows from it. Nothing inside can name it; so
 * where one piece of work must be over before something else begins, the keeper may wait for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/work.h"
#include "sys/proc.h"

struct working {
	struct working *next;
	struct work what;
	pid_t pid;
	int news; /* a struct err when it fails */
};

static void do_it(struct keeper *k, const struct work *w, int news)
{
	struct sched_param none = {0};
	struct rlimit files;
	struct err e = {0};

	prctl(PR_SET_NAME, "hutch-worker", 0, 0, 0);
	if (w->on_change == WORK_GOES_ON) /* nobody waits for it */
		(void)sched_setscheduler(0, SCHED_IDLE, &none);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (w->run(k, w, &e) < 0)
		(void)!write(news, &e, sizeof(e));
	_exit(0);
}

int work_start(struct keeper *k, const struct work *w, struct err *e)
{
	struct working *x = calloc(1, sizeof(*x));
	int pipefd[2], r;
	struct err back;

	if (!x)
		return err_oom(e);
	x->what = *w;
	if (pipe2(pipefd, O_CLOEXEC) < 0) {
		free(x);
		return err_sys(e, errno, "pipe");
	}
	r = reset_go_home(k, e);
	if (r == 0) {
		x->pid = sys_fork(0, NULL);
		if (x->pid == 0)
			do_it(k, w, pipefd[1]);
		if (x->pid < 0)
			r = err_sys(e, -x->pid, "make a process");
		if (generation_return(k, &back) < 0)
			_exit(1); /* nothing could be started any more */
	}
	close(pipefd[1]);
	if (r < 0) {
		close(pipefd[0]);
		free(x);
		return r;
	}
	x->news = pipefd[0];
	x->next = k->working;
	k->working = x;
	return 0;
}

bool work_is(const struct keeper *k, pid_t pid)
{
	for (const struct working *x = k->working; x; x = x->next)
		if (x->pid == pid)
			return true;
	return false;
}

bool work_ended(struct keeper *k, pid_t pid, int status)
{
	struct working **at = &k->working, *x;
	struct err e = {0};

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	x = *at;
	if (!x)
		return false;
	*at = x->next;
	if (read(x->news, &e, sizeof(e)) != (ssize_t)sizeof(e))
		e.code = 0;
	if (!e.code && (!WIFEXITED(status) || WEXITSTATUS(status)))
		err_set(&e, ERR_DIED, "it was given up: the sandbox was reset meanwhile, or the process that did it killed");
	close(x->news);
	x->what.then(k, &x->what, &e);
	stack_done(&x->what.stack);
	free(x);
	return true;
}

void work_wait(struct keeper *k)
{
	int status;

	for (const struct working *x = k->working; x;) {
		pid_t pid = x->pid;

		if (x->what.on_change == WORK_GOES_ON) {
			x = x->next;
			continue;
		}
		if (x->what.on_change == WORK_IS_KILLED)
			(void)kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) == pid)
			(void)work_ended(k, pid, status);
		else if (errno != EINTR)
			(void)work_ended(k, pid, 1);
		x = k->working;
	}
}

bool work_holds(const struct keeper *k)
{
	for (const struct working *x = k->working; x; x = x->next)
		if (x->what.on_change == WORK_IS_AWAITED)
			return true;
	return false;
}

bool work_merges(const struct keeper *k)
{
	for (const struct working *x = k->working; x; x = x->next)
		if (*x->what.merged)
			return true;
	return false;
}

void work_forget(struct keeper *k, const struct client *c)
{
	for (struct working *x = k->working; x; x = x->next)
		if (x->what.client == c)
			x->what.client = NULL;
}
