/* SPDX-License-Identifier: Apache-2.0
 *
 * runner.c - starts one program after the other, where that is all there is to do
 *
 * How it works: beside the warm shell, under the same guards, lives this program. A request on descriptor 7 is one
 * program with its words; it runs in a child, and what comes back on 8 tells of its end. One that was a text runs as the
 * shell's sub-shell would run it, and what is told is what the shell would say; one that was words from the start runs as
 * the keeper starts commands. What is not as simple as that (there is no such program, or it is a script without a first
 * line) is handed back unbegun, and a shell or the keeper gets it.
 *
 * A request: "KIND NAME WORDS" and a NUL, then so many words, each with a NUL. KIND: 1 a text, its output merged, 2 apart, 3 and
 * 4 words, likewise; NAME is that of the fifos in the directory on 9. Records are those of the warm shell (box/shell.c); of
 * words "W", which request it is, status as of wait(), processor time as user and in the kernel (us), largest size (KiB); and "X",
 * which request it is: it has not begun.
 *
 * Nothing inside can look into this process or write to its descriptors, unless it has CAP_SYS_PTRACE: so what it tells of
 * words is true.
 *
 * The child is a vfork: it shares our memory until its exec, and only that is worth the speed. The program of a text is not
 * the leader of a session, as no program of a shell's is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

struct runner {
	char request[RUNNER_REQUEST_MAX];
	char *words[RUNNER_REQUEST_MAX / 2 + 1]; /* of the request; NULL behind the last */
	char out[32], err[32];			   /* names of fifos */
	char program[PATH_MAX + 2];		   /* "_=" and its path, as shells tell it their programs */
	char **env;				   /* of texts; program is the first */
	bool apart, is_text;			   /* the request */
	bool stands;				   /* we are as we were */
	unsigned long long number;		   /* of requests so far */
};

static volatile int unbegun; /* why the child could not exec: it shares our memory */

/* ---- its environment -------------------------------------------------------------------------- */

/* What bash adds to its own: where it stands, how many shells it is in, which program it is. */
static int make_env(struct runner *r)
{
	static char pwd[PATH_MAX + 8] = "PWD=", level[] = "SHLVL=1";
	size_t n = 0;

	while (environ[n])
		n++;
	r->env = calloc(n + 4, sizeof(*r->env));
	if (!r->env || !getcwd(pwd + 4, sizeof(pwd) - 4) || pwd[4] != '/')
		return -1;
	r->env[0] = r->program;
	r->env[1] = pwd;
	r->env[2] = level;
	memcpy(r->env + 3, environ, (n + 1) * sizeof(*environ));
	return 0;
}

/* Where bash would find it. What is there and cannot be executed, or is named from where we stand, is for bash. */
static const char *find(struct runner *r)
{
	const char *name = r->words[0], *path = getenv("PATH"), *end;
	struct stat st;

	if (strchr(name, '/')) {
		snprintf(r->program, sizeof(r->program), "_=%s", name);
		return strlen(name) < PATH_MAX ? name : NULL;
	}
	for (; path && *path == '/'; path = *end ? end + 1 : NULL) {
		end = strchrnul(path, ':');
		if (snprintf(r->program, sizeof(r->program), "_=%.*s/%s", (int)(end - path), path, name) >=
		    (int)sizeof(r->program))
			return NULL;
		if (stat(r->program + 2, &st) == 0)
			return S_ISREG(st.st_mode) ? r->program + 2 : NULL;
	}
	return NULL;
}

/* ---- one program ------------------------------------------------------------------------------ */

/* In the child, which has nothing of its own yet but its descriptors. */
static __attribute__((noreturn)) void become(const struct runner *r, const char *program, const sigset_t *mask)
{
	int out = openat(SHELL_DIR, r->out, O_WRONLY | O_CLOEXEC);
	int err = r->apart ? openat(SHELL_DIR, r->err, O_WRONLY | O_CLOEXEC) : out;

	if (!r->is_text) {
		(void)setsid();
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* whoever kills us shall not make it look ended while it runs */
	}
	if (out >= 0 && err >= 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execve(program, r->words, r->is_text ? r->env : environ);
	}
	unbegun = errno;
	_exit(127);
}

/* By itself, so that nothing of whoever calls it is in a register then. */
static __attribute__((noinline)) pid_t start(const struct runner *r, const char *program, const sigset_t *mask)
{
	pid_t pid = vfork();

	if (pid == 0)
		become(r, program, mask);
	return pid;
}

/* Waits for all who end, as some may be left over by programs before. Return: false, it is not there. */
static bool wait_for(pid_t pid, int *ret_status, struct rusage *ret)
{
	pid_t got;

	while ((got = wait4(-1, ret_status, 0, ret)) != pid)
		if (got < 0 && errno != EINTR)
			return false;
	return true;
}

/* As strsignal() of the C library that most have; ours has other words. */
static const char *signal_name(int sig, char *room, size_t size)
{
	static const char *const names[] = {
		[SIGHUP] = "Hangup", [SIGQUIT] = "Quit", [SIGILL] = "Illegal instruction", [SIGTRAP] = "Trace/breakpoint trap",
		[SIGABRT] = "Aborted", [SIGBUS] = "Bus error", [SIGFPE] = "Floating point exception", [SIGKILL] = "Killed",
		[SIGUSR1] = "User defined signal 1", [SIGSEGV] = "Segmentation fault", [SIGUSR2] = "User defined signal 2",
		[SIGALRM] = "Alarm clock", [SIGSTKFLT] = "Stack fault", [SIGXCPU] = "CPU time limit exceeded",
		[SIGXFSZ] = "File size limit exceeded", [SIGVTALRM] = "Virtual timer expired",
		[SIGPROF] = "Profiling timer expired", [SIGIO] = "I/O possible", [SIGPWR] = "Power failure",
		[SIGSYS] = "Bad system call",
	};

	if (sig < (int)(sizeof(names) / sizeof(*names)))
		return names[sig] ? names[sig] : "Unknown signal";
	snprintf(room, size, "Real-time signal %d", sig - 34);
	return room;
}

/* What bash says of a program that a signal ended: our own commands behind it stand for its text. */
static int say_signal(char *text, size_t room, int pid, int status)
{
	int sig = WTERMSIG(status);
	char name[40];

	if (sig == SIGINT || sig == SIGPIPE)
		return 0;
	if (sig == SIGTERM)
		return snprintf(text, room, "Terminated\n");
	return snprintf(text, room, "bash: line 1: %5d %-24s%s" SHELL_OWN_TEXT "\n", pid, signal_name(sig, name, sizeof(name)),
			WCOREDUMP(status) ? "(core dumped) " : "");
}

static int say_text(const struct runner *r, char *record, size_t room, int pid, int status)
{
	int n = WIFSIGNALED(status) ? say_signal(record, room, pid, status) : 0;

	return n + snprintf(record + n, room - (size_t)n, "E%llu %d", r->number,
			    WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static unsigned long long microseconds(const struct timeval *t)
{
	return (unsigned long long)t->tv_sec * 1000000u + (unsigned long long)t->tv_usec;
}

static void run(struct runner *r)
{
	const char *program = find(r);
	struct rusage usage;
	sigset_t child, before;
	int status = 0, n;
	char record[256];
	pid_t pid = -1;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	r->number++;
	unbegun = 0;
	r->stands = runner_stands(NULL);
	if (program && r->stands)
		pid = start(r, program, &before);
	if (pid > 0 && !wait_for(pid, &status, &usage))
		unbegun = ECHILD;
	if (pid < 0 || unbegun)
		n = snprintf(record, sizeof(record), "X%llu", r->number);
	else if (r->is_text)
		n = say_text(r, record, sizeof(record), pid, status);
	else
		n = snprintf(record, sizeof(record), "W%llu %d %llu %llu %ld", r->number, status, microseconds(&usage.ru_utime),
			     microseconds(&usage.ru_stime), usage.ru_maxrss);
	(void)!write(SHELL_RESULTS, record, (size_t)n + 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- requests --------------------------------------------------------------------------------- */

/* Return: whether all of it is there. */
static bool parse(struct runner *r, size_t n)
{
	const char *end = r->request + n;
	unsigned long long name;
	unsigned count;
	char kind, *at;

	if (!memchr(r->request, '\0', n))
		return false;
	if (sscanf(r->request, "%c%llu %u", &kind, &name, &count) != 3 || !count || count >= RUNNER_REQUEST_MAX / 2)
		_exit(1);
	r->apart = kind == '2' || kind == '4';
	r->is_text = kind < '3';
	snprintf(r->out, sizeof(r->out), "%llu.o", name);
	snprintf(r->err, sizeof(r->err), "%llu.e", name);
	at = r->request;
	for (unsigned i = 0; i < count; i++) {
		at = at + strlen(at) + 1;
		if (!memchr(at, '\0', (size_t)(end - at)))
			return false;
		r->words[i] = at;
	}
	r->words[count] = NULL;
	return true;
}

static bool next_request(struct runner *r)
{
	size_t n = 0;
	ssize_t got;

	do {
		got = read(SHELL_COMMANDS, r->request + n, sizeof(r->request) - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		n += (size_t)got;
	} while (!parse(r, n));
	return true;
}

/* While we wait for a request only what programs before have left behind can end. */
static void on_child(int sig)
{
	int before = errno;

	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = before;
}

/* What it tells shall be forged by nobody who runs beside it: an exec makes us traceable, for all who have our powers. Until
 * now there is one more of those (child_guards()), so for nobody. */
void runner_hide(const char *name)
{
	uint64_t have = 0;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || sys_capget(&have) < 0 ||
	    sys_capset(have & ~(UINT64_C(1) << RUNNER_CAP)) < 0)
		_exit(1);
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* What commands inherit of us, and others inside may change. */
struct standing {
	struct rlimit limits[RLIM_NLIMITS];
	cpu_set_t cpus;
	int nice, policy, io, oom;
};

/* The C library's asks as if for any process, which takes the kernel twice as long. */
static void limit(int which, struct rlimit *ret)
{
#ifdef SYS_getrlimit
	if (sizeof(long) == sizeof(rlim_t) && syscall(SYS_getrlimit, which, ret) == 0)
		return;
#endif
	(void)getrlimit(which, ret);
}

static void look_at(struct standing *s, int oom_fd)
{
	char text[16] = "";

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		limit(i, &s->limits[i]);
	(void)sched_getaffinity(0, sizeof(s->cpus), &s->cpus);
	s->nice = getpriority(PRIO_PROCESS, 0);
	s->policy = (int)syscall(SYS_sched_getscheduler, 0); /* the C library has none */
	s->io = (int)syscall(SYS_ioprio_get, 1, 0);
	if (oom_fd >= 0 && pread(oom_fd, text, sizeof(text) - 1, 0) > 0)
		s->oom = atoi(text);
}

bool runner_stands(const struct rlimit *limits)
{
	static struct standing first, now;
	static int oom_fd = -1;
	static bool known;

	if (!known) {
		oom_fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
		look_at(&first, oom_fd);
		known = true;
		if (limits)
			memcpy(first.limits, limits, sizeof(first.limits));
	}
	look_at(&now, oom_fd);
	return !memcmp(&now, &first, sizeof(now));
}

void runner_main(int sock)
{
	static const char waits[] = "R0 1";
	const struct sigaction sa = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
	static struct runner r;

	(void)sock;
	runner_hide("hutch-runner");
	for (int fd = SHELL_COMMANDS; fd <= SHELL_DIR; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			_exit(1);
	if (make_env(&r) < 0 || sigaction(SIGCHLD, &sa, NULL) < 0)
		_exit(1);
	(void)!write(SHELL_RESULTS, waits, sizeof(waits));
	(void)runner_stands(NULL);
	while (next_request(&r)) {
		run(&r);
		if (!r.stands)
			break; /* the next one is as it should be */
	}
	_exit(0);
}
