/* SPDX-License-Identifier: Apache-2.0
 *
 * host_test.c - hosts of all kinds: nothing of theirs disturbs, and nothing of theirs is disturbed
 */
#include "hutch.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "api/world_test.h"
#include "base/own.h"

extern char **environ;

/* A sandbox from start to end, in which one command exits with 7. */
static void one_life(struct world *w)
{
	struct hutch_box *box = world_start(w);

	if (!box)
		return;
	is_int(world_sh(w, box, "exit 7", NULL).exit_code, 7);
	ok(hutch_box_delete(box, &w->e) == 0, "%s", w->e.message);
}

/* ---- children of the host -------------------------------------------------------------------- */

static void a_host_that_ignores_its_children_is_none_the_worse(void)
{
	struct sigaction ign = {.sa_handler = SIG_IGN}, old, now;
	auto_world w;

	sigaction(SIGCHLD, &ign, &old);
	if (world_open(&w)) {
		one_life(&w);
		hutch_close(w.hutch);
		w.hutch = NULL;
	}
	sigaction(SIGCHLD, NULL, &now);
	ok(now.sa_handler == SIG_IGN);
	sigaction(SIGCHLD, &old, NULL);
}

static void a_host_that_ignores_its_children_may_have_ours(void)
{
	struct hutch_open_options o = {.size = sizeof(o), .flags = HUTCH_OPEN_CHILDREN};
	struct sigaction ign = {.sa_handler = SIG_IGN}, old;
	auto_world w;

	sigaction(SIGCHLD, &ign, &old);
	if (world_prepare(&w) && ok(hutch_open(&o, &w.hutch, &w.e) == 0, "%s", w.e.message)) {
		one_life(&w);
		hutch_close(w.hutch);
		w.hutch = NULL;
	}
	sigaction(SIGCHLD, &old, NULL);
}

struct waiter {
	pid_t got[4];
	int n;
};

static void *wait_for_any(void *p)
{
	struct waiter *w = p;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, 0)) > 0 || errno == EINTR)
		if (pid > 0 && w->n < 4)
			w->got[w->n++] = pid;
	return NULL;
}

/* A thread stands in wait(-1), as in many servers. It gets its own child and nobody of ours. */
static void a_host_that_waits_for_any_child_sees_only_its_own(void)
{
	struct waiter waiter = {.n = 0};
	int before = scratch_descriptors(), go[2];
	struct hutch *hutch = NULL;
	struct world w = {0};
	pthread_t t;
	pid_t child;

	if (!world_prepare(&w) || pipe(go) < 0)
		return;
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); /* orphans go to init, as they do for others */
	child = fork();
	if (child == 0) {
		char c;

		close(go[1]);
		_exit(read(go[0], &c, 1) == 0 ? 0 : 1);
	}
	ok(pthread_create(&t, NULL, wait_for_any, &waiter) == 0);
	ok(hutch_open(NULL, &hutch, &w.e) == 0, "%s", w.e.message);
	w.hutch = hutch;
	for (int i = 0; i < 3 && hutch; i++)
		one_life(&w);
	hutch_close(hutch);
	w.hutch = NULL;
	is_int(waiter.n, 0);
	close(go[0]);
	close(go[1]);
	pthread_join(t, NULL);
	is_int(waiter.n, 1);
	is_int(waiter.got[0], child);
	world_done(&w);
	is_int(scratch_descriptors(), before);
}

/* It has ended and nobody has asked yet: the library must not. */
static void a_child_that_waits_to_be_waited_for_is_left_to_the_host(void)
{
	struct world w = {0};
	siginfo_t info;
	int status = 0;
	pid_t child;

	if (!world_open(&w))
		return;
	child = fork();
	if (child == 0)
		_exit(33);
	is_int(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	one_life(&w);
	hutch_close(w.hutch);
	w.hutch = NULL;
	is_int(waitpid(child, &status, WNOHANG), child);
	is_int(WEXITSTATUS(status), 33);
	world_done(&w);
}

/* ---- descriptors of the host ----------------------------------------------------------------- */

static void thousands_of_open_descriptors_stay_outside(void)
{
	enum { MANY = 4000 };
	static int many[MANY];
	struct rlimit was, more;
	auto_free char *out = NULL;
	struct hutch_box *box;
	auto_world w;

	getrlimit(RLIMIT_NOFILE, &was);
	more = was;
	more.rlim_cur = was.rlim_max;
	if (!world_prepare(&w))
		return;
	if (was.rlim_max < MANY + 200) {
		skip("the hard limit of open files is %llu", (unsigned long long)was.rlim_max);
		return;
	}
	setrlimit(RLIMIT_NOFILE, &more);
	for (int i = 0; i < MANY; i++)
		many[i] = open("/dev/null", O_RDONLY); /* without close-on-exec */
	ok(many[MANY - 1] > MANY - 1);
	if (ok(hutch_open(NULL, &w.hutch, &w.e) == 0, "%s", w.e.message)) {
		box = world_start(&w);
		is_int(world_sh(&w, box, "cd /proc/self/fd && echo *", &out).exit_code, 0);
		is_str(out, "0 1 2 3\n"); /* 3 is the list that is being read */
		hutch_box_delete(box, NULL);
	}
	for (int i = 0; i < MANY; i++)
		ok(close(many[i]) == 0, "descriptor %d was closed", i);
	setrlimit(RLIMIT_NOFILE, &was);
}

/* In a child of ours, which may lose them. Its exit status tells which step failed. */
static int life_without_standard_descriptors(void)
{
	const char *const argv[] = {"sh", "-c", "echo out; exit 7", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv,
				       .io = {[1] = {.kind = HUTCH_STDIO_PIPE}}};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_spec *spec = NULL;
	struct hutch *hutch = NULL;
	struct hutch_box *box = NULL;
	struct hutch_proc *p = NULL;
	char text[8] = "";

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	if (hutch_spec_new(&spec, NULL) < 0 || hutch_spec_set(spec, "host", "true", NULL) < 0)
		return 1;
	if (hutch_open(NULL, &hutch, NULL) < 0)
		return 2;
	if (hutch_box_start(hutch, spec, NULL, &box, NULL) < 0)
		return 3;
	if (hutch_box_exec(box, &o, &p, NULL) < 0)
		return 4;
	if (hutch_proc_wait(p, 20000, -1, &r, NULL) != 1 || r.exit_code != 7)
		return 5;
	if (read(hutch_proc_fd(p, 1), text, 7) != 4 || strcmp(text, "out\n"))
		return 6;
	if (hutch_box_delete(box, NULL) < 0)
		return 7;
	hutch_close(hutch);
	hutch_spec_free(spec);
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 8;
	return 0;
}

static void a_host_without_standard_descriptors_can_have_sandboxes(void)
{
	auto_world w;
	int status = 0;
	pid_t pid;

	if (!world_prepare(&w))
		return;
	pid = fork();
	if (pid == 0)
		_exit(life_without_standard_descriptors());
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status, 0);
}

/* ---- what the host is ------------------------------------------------------------------------ */

struct state {
	char cwd[256];
	mode_t mask;
	int dumpable, no_new_privs, keepcaps, securebits, threads, descriptors;
	sigset_t blocked;
	struct sigaction actions[65];
	struct rlimit limits[RLIM_NLIMITS];
	struct itimerval timer;
	char **environment; /* its array, and a copy of the texts */
	char *texts;
};

static char *all_environment(void)
{
	size_t len = 1, at = 0;
	char *text;

	for (char **v = environ; *v; v++)
		len += strlen(*v) + 1;
	text = malloc(len);
	if (!text)
		exit(1);
	for (char **v = environ; *v; v++)
		at += (size_t)sprintf(text + at, "%s\n", *v);
	text[at] = '\0';
	return text;
}

static void look(struct state *s)
{
	struct scratch task = {.fd = AT_FDCWD};

	memset(s, 0, sizeof(*s));
	ok(getcwd(s->cwd, sizeof(s->cwd)));
	s->mask = umask(0);
	umask(s->mask);
	s->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	s->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	s->keepcaps = prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
	s->securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	s->threads = scratch_names(&task, "/proc/self/task");
	pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
	for (int sig = 1; sig <= 64; sig++)
		(void)sigaction(sig, NULL, &s->actions[sig]); /* libc keeps two to itself */
	for (int i = 0; i < RLIM_NLIMITS; i++)
		getrlimit(i, &s->limits[i]);
	getitimer(ITIMER_REAL, &s->timer);
	s->environment = environ;
	s->texts = all_environment();
	s->descriptors = scratch_descriptors();
}

static void is_same(struct state *a, struct state *b)
{
	is_str(b->cwd, a->cwd);
	is_int(b->mask, a->mask);
	is_int(b->dumpable, a->dumpable);
	is_int(b->no_new_privs, a->no_new_privs);
	is_int(b->keepcaps, a->keepcaps);
	is_int(b->securebits, a->securebits);
	is_int(b->threads, a->threads);
	is_int(b->descriptors, a->descriptors);
	for (int sig = 1; sig <= 64; sig++) {
		ok(sigismember(&a->blocked, sig) == sigismember(&b->blocked, sig), "signal %d",
		   sig);
		ok(a->actions[sig].sa_handler == b->actions[sig].sa_handler &&
		   a->actions[sig].sa_flags == b->actions[sig].sa_flags, "signal %d", sig);
	}
	ok(!memcmp(a->limits, b->limits, sizeof(a->limits)));
	ok(!memcmp(&a->timer, &b->timer, sizeof(a->timer)));
	ok(a->environment == b->environment);
	is_str(b->texts, a->texts);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void the_host_stays_as_it_was(void)
{
	static struct state before, after;
	struct sigaction mine = {.sa_handler = on_signal}, old_pipe, old_usr;
	sigset_t mask, was;
	auto_world w;
	mode_t old_mask;

	if (!world_prepare(&w))
		return;
	old_mask = umask(0037);
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_SETMASK, &mask, &was);
	sigaction(SIGPIPE, &mine, &old_pipe);
	sigaction(SIGUSR1, &mine, &old_usr);
	look(&before);
	if (ok(hutch_open(NULL, &w.hutch, &w.e) == 0, "%s", w.e.message))
		one_life(&w);
	hutch_close(w.hutch);
	w.hutch = NULL;
	look(&after);
	is_same(&before, &after);
	free(before.texts);
	free(after.texts);
	umask(old_mask);
	sigaction(SIGPIPE, &old_pipe, NULL);
	sigaction(SIGUSR1, &old_usr, NULL);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

static void the_umask_of_the_host_does_not_reach_what_is_made(void)
{
	auto_free char *out = NULL;
	struct hutch_box *box;
	auto_world w;
	mode_t old;

	if (!world_prepare(&w))
		return;
	old = umask(0777);
	if (ok(hutch_open(NULL, &w.hutch, &w.e) == 0, "%s", w.e.message)) {
		box = world_start(&w);
		is_int(world_sh(&w, box, "umask; touch /tmp/a && stat -c %a /tmp /tmp/a", &out)
			       .exit_code,
		       0);
		is_str(out, "0022\n1777\n644\n");
		hutch_box_delete(box, NULL);
	}
	umask(old);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* Every call that can be interrupted is. */
static void signals_of_the_host_interrupt_nothing(void)
{
	struct itimerval often = {.it_interval = {.tv_usec = 700}, .it_value = {.tv_usec = 700}};
	struct sigaction sa = {.sa_handler = on_alarm}, old; /* without SA_RESTART */
	auto_world w;

	if (!world_prepare(&w))
		return;
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	if (ok(hutch_open(NULL, &w.hutch, &w.e) == 0, "%s", w.e.message))
		for (int i = 0; i < 5; i++)
			one_life(&w);
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0}}, NULL);
	sigaction(SIGALRM, &old, NULL);
	ok(alarms > 3, "%d", (int)alarms);
}

/* ---- a forked child -------------------------------------------------------------------------- */

struct held {
	struct world *w;
	struct hutch_box *box;
	struct hutch_proc *proc;
};

/* Which calls take the handles of the parent, as bits. */
static int use_in_child(const struct held *h)
{
	struct hutch_error e = {0};
	struct hutch_box *box = NULL;
	struct hutch_proc *proc = NULL;
	int bad = 0;

	bad |= hutch_box_start(h->w->hutch, h->w->spec, NULL, &box, &e) != HUTCH_E_STATE;
	bad |= (hutch_box_exec(h->box, NULL, &proc, &e) != HUTCH_E_STATE) << 1;
	bad |= (hutch_proc_wait(h->proc, 0, -1, NULL, &e) != HUTCH_E_STATE) << 2;
	bad |= (hutch_proc_signal(h->proc, SIGKILL, &e) != HUTCH_E_STATE) << 3;
	bad |= (hutch_box_wait_ready(h->box, &e) != HUTCH_E_STATE) << 4;
	bad |= (hutch_cleanup(h->w->hutch, 1000, &e) != HUTCH_E_STATE) << 5;
	bad |= (hutch_box_reset(h->box, &e) != HUTCH_E_STATE) << 6;
	bad |= (hutch_box_attach(h->w->hutch, "x", &box, &e) != HUTCH_E_STATE) << 7;
	(void)hutch_box_delete(h->box, &e); /* frees memory, ends nothing */
	hutch_close(h->w->hutch);
	return bad;
}

static void handles_in_a_forked_child_say_so_and_do_nothing(void)
{
	static const char *const calls[] = {
		"hutch_box_start",	"hutch_box_exec", "hutch_proc_wait", "hutch_proc_signal",
		"hutch_box_wait_ready", "hutch_cleanup",  "hutch_box_reset", "hutch_box_attach"};
	const char *const argv[] = {"sleep", "100", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_result r = {.size = sizeof(r)};
	struct held h;
	auto_world w;
	int status = 0;
	pid_t pid;

	if (!world_open(&w))
		return;
	h = (struct held){.w = &w, .box = world_start(&w)};
	ok(hutch_box_exec(h.box, &o, &h.proc, &w.e) == 0, "%s", w.e.message);
	ok(hutch_proc_wait(h.proc, 20, -1, &r, &w.e) == 0, "%s", w.e.message);
	pid = fork();
	if (pid == 0)
		_exit(use_in_child(&h));
	is_int(waitpid(pid, &status, 0), pid);
	ok(WIFEXITED(status), "status %d", status);
	for (int i = 0; i < 8; i++)
		ok(!(WEXITSTATUS(status) >> i & 1), "%s does not return HUTCH_E_STATE", calls[i]);
	ok(hutch_proc_wait(h.proc, 50, -1, &r, &w.e) == 0, "the child ended the command");
	is_int(world_sh(&w, h.box, "exit 7", NULL).exit_code, 7);
	is_int(hutch_box_delete(h.box, &w.e), 0);
}

static int own_life(void)
{
	struct hutch_spec *spec = NULL;
	struct hutch *hutch = NULL;
	struct hutch_box *box = NULL;

	if (hutch_spec_new(&spec, NULL) < 0 || hutch_spec_set(spec, "host", "true", NULL) < 0 ||
	    hutch_open(NULL, &hutch, NULL) < 0)
		return 1;
	if (hutch_box_start(hutch, spec, NULL, &box, NULL) < 0)
		return 2;
	if (hutch_box_delete(box, NULL) < 0)
		return 3;
	hutch_close(hutch);
	hutch_spec_free(spec);
	return 0;
}

static void a_forked_child_may_open_its_own(void)
{
	auto_world w;
	int status = 0;
	pid_t pid;

	if (!world_open(&w))
		return;
	pid = fork();
	if (pid == 0)
		_exit(own_life());
	is_int(waitpid(pid, &status, 0), pid);
	is_int(status, 0);
	one_life(&w);
}

/* A worker that was forked still holds the socket: the end of the owner is told by his pidfd. */
static void a_sandbox_ends_with_its_owner_although_a_fork_lives_on(void)
{
	auto_world w;
	int go[2], status = 0;
	pid_t owner, worker = -1;
	char c;

	if (!world_prepare(&w) || pipe(go) < 0)
		return;
	owner = fork();
	if (owner == 0) {
		struct hutch_box *box;

		if (hutch_open(NULL, &w.hutch, &w.e) < 0)
			_exit(1);
		box = world_start(&w);
		worker = fork();
		if (worker == 0) {
			close(go[1]);
			_exit(read(go[0], &c, 1) == 0 ? 0 : 1);
		}
		_exit(box ? 0 : 2); /* without a word to hutch */
	}
	is_int(waitpid(owner, &status, 0), owner);
	is_int(status, 0);
	for (int i = 0; i < 300; i++) { /* all but the worker end */
		pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);

		if (pid < 0)
			break;
		if (pid == 0)
			usleep(10000);
	}
	/* What it left a later run removes. */
	if (ok(hutch_open(NULL, &w.hutch, &w.e) == 0, "%s", w.e.message))
		ok(hutch_cleanup(w.hutch, 5000, &w.e) == 0, "%s", w.e.message);
	is_int(world_names(&w), 0);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_host_that_ignores_its_children_is_none_the_worse),
		TAP_TEST(a_host_that_ignores_its_children_may_have_ours),
		TAP_TEST(a_host_that_waits_for_any_child_sees_only_its_own),
		TAP_TEST(a_child_that_waits_to_be_waited_for_is_left_to_the_host),
		TAP_TEST(thousands_of_open_descriptors_stay_outside),
		TAP_TEST(a_host_without_standard_descriptors_can_have_sandboxes),
		TAP_TEST(the_host_stays_as_it_was),
		TAP_TEST(the_umask_of_the_host_does_not_reach_what_is_made),
		TAP_TEST(signals_of_the_host_interrupt_nothing),
		TAP_TEST(handles_in_a_forked_child_say_so_and_do_nothing),
		TAP_TEST(a_forked_child_may_open_its_own),
		TAP_TEST(a_sandbox_ends_with_its_owner_although_a_fork_lives_on),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
