/* SPDX-License-Identifier: Apache-2.0
 *
 * many.c - what many sandboxes cost a program that uses libhutch, and what it gets out of them
 *
 * usage: many [--quick] [ROOTFS]		(--quick: 0.3 s and 40 sandboxes in place of 2 s and 1,000)
 *
 * How it works: three parts. At once: two callers (processes) share 16 or 64 sandboxes and start a command in
 * each of theirs before they wait for any; beside it the same with bare posix_spawn. Reset: a loop of them; and
 * one after 0, 1,000 and 10,000 files were written, with the first command after it. Idle: many sandboxes, which
 * nobody uses, what the machine's memory says of each (anonymous, slab, stacks and page tables of /proc/meminfo:
 * nothing else should run), and what a step costs beside them; and a create from a caller of 2 GiB.
 * Goals are those of the design (section 11) on the machine it was written on, which did 3,200 bare posix_spawn a second.
 */
#include <errno.h>
#include <getopt.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hutch.h"

enum { CALLERS = 2, MOST = 64 };
enum kind { BARE, EXEC, RUN, SESSION, KINDS };

static const char *const kinds[KINDS] = {"bare posix_spawn", "exec /bin/true", "run \"true\"", "session run \"true\""};

static const char *rootfs;
static double seconds = 2;
static int idle = 1000;
extern char **environ;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const struct hutch_error *e)
{
	fprintf(stderr, "many: %s: %s\n", what, e ? e->message : strerror(errno));
	exit(1);
}

static struct hutch_spec *spec_of(const char *network)
{
	struct hutch_spec *spec;
	struct hutch_error e;

	if (hutch_spec_new(&spec, &e) < 0 || hutch_spec_set(spec, "rootfs", rootfs, &e) < 0 ||
	    hutch_spec_set(spec, "network", network, &e) < 0)
		die("spec", &e);
	return spec;
}

static const char *const own = "none", *const shared = "host"; /* network */

/* What stands ready is for one kind of network. */
static struct hutch *open_hutch(const char *network)
{
	struct hutch_spec *spec = spec_of(network);
	struct hutch_error e;
	struct hutch *h;

	if (hutch_open(&(struct hutch_open_options){.size = sizeof(struct hutch_open_options), .like = spec}, &h, &e) < 0)
		die("open", &e);
	hutch_spec_free(spec);
	return h;
}

static struct hutch_box *create(struct hutch *h, const char *network)
{
	struct hutch_spec *spec = spec_of(network);
	struct hutch_error e;
	struct hutch_box *box = NULL;

	if (hutch_box_start(h, spec, NULL, &box, &e) < 0)
		die("start", &e);
	hutch_spec_free(spec);
	return box;
}

static void delete(struct hutch_box *box)
{
	struct hutch_error e;

	if (hutch_box_delete(box, &e) < 0)
		die("delete", &e);
}

/* ---- one command ---------------------------------------------------------------------------------- */

union going {
	pid_t pid;
	struct hutch_proc *proc;
	struct hutch_run *run;
};

static void begin(enum kind kind, struct hutch_box *box, const char *text, union going *g)
{
	static char name[] = "/bin/true";
	static char *argv[] = {name, NULL};
	const char *const words[] = {"sh", "-c", text, NULL};
	struct hutch_exec_options x = {.size = sizeof(x), .argv = text ? words : (const char *const *)argv};
	struct hutch_run_options o = {
		.size = sizeof(o), .text = text ? text : "true", .session = kind == SESSION ? "s" : NULL};
	struct hutch_error e;
	int r = kind == BARE ? -posix_spawn(&g->pid, name, NULL, NULL, argv, environ) :
		kind == EXEC ? hutch_box_exec(box, &x, &g->proc, &e) : hutch_run_start(box, &o, &g->run, &e);

	if (r < 0)
		die(kinds[kind], kind == BARE ? NULL : &e);
}

static void finish(enum kind kind, union going *g)
{
	struct hutch_result res = {.size = sizeof(res)};
	struct hutch_error e;
	int r = 0;

	if (kind == BARE) {
		(void)waitpid(g->pid, NULL, 0);
	} else if (kind == EXEC) {
		r = hutch_proc_wait(g->proc, -1, -1, &res, &e);
		hutch_proc_free(g->proc);
	} else {
		r = hutch_run_wait(g->run, -1, -1, &res, &e);
		hutch_run_free(g->run);
	}
	if (r < 0)
		die(kinds[kind], &e);
	if (res.exit_code) {
		fprintf(stderr, "many: %s: exit code %d %s\n", kinds[kind], res.exit_code, res.message);
		exit(1);
	}
}

static void one(enum kind kind, struct hutch_box *box, const char *text)
{
	union going g;

	begin(kind, box, text, &g);
	finish(kind, &g);
}

/* ---- at once -------------------------------------------------------------------------------------- */

/* One of the callers: commands per second, of each kind. Both begin each kind together: @ready. */
static void caller(int n, int ready, int go, double ret[KINDS])
{
	struct hutch *h = open_hutch(own);
	struct hutch_box *boxes[MOST];
	union going g[MOST];
	char c = 0;

	for (int i = 0; i < n; i++) {
		boxes[i] = create(h, own);
		one(RUN, boxes[i], NULL);
		one(SESSION, boxes[i], NULL);
	}
	for (int kind = 0; kind < KINDS; kind++) {
		double since;
		long done = 0;

		(void)!write(ready, &c, 1);
		(void)!read(go, &c, 1);
		for (since = now(); now() - since < seconds; done += n) {
			for (int i = 0; i < n; i++)
				begin((enum kind)kind, boxes[i], NULL, &g[i]);
			for (int i = 0; i < n; i++)
				finish((enum kind)kind, &g[i]);
		}
		ret[kind] = (double)done / (now() - since);
	}
	for (int i = 0; i < n; i++)
		delete(boxes[i]);
	hutch_close(h);
}

static void at_once(int n)
{
	static const char *const goals[KINDS] = {"", ">= 0.8 x bare", ">= 4,200 (1.31 x the bare of then)",
						  ">= 60,000 (18.8 x the bare of then)"};
	double *rates = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum[KINDS] = {0};
	int ready[2], go[2], status, failed = 0;
	char c[CALLERS];

	if (rates == MAP_FAILED || pipe(ready) < 0 || pipe(go) < 0)
		die("two callers", NULL);
	for (int i = 0; i < CALLERS; i++)
		if (fork() == 0) {
			caller(n / CALLERS, ready[1], go[0], rates + (ptrdiff_t)i * KINDS);
			_exit(0);
		}
	close(ready[1]);
	for (int kind = 0; kind < KINDS; kind++) {
		for (int i = 0; i < CALLERS; i++)
			failed |= read(ready[0], c, 1) != 1;
		(void)!write(go[1], c, CALLERS);
	}
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		exit(1);
	for (int i = 0; i < CALLERS * KINDS; i++)
		sum[i % KINDS] += rates[i];
	printf("%d sandboxes, two callers, commands a second\n", n);
	for (int kind = 0; kind < KINDS; kind++)
		printf("  %-42s %10.0f %8.2f x bare   %s\n", kinds[kind], sum[kind], sum[kind] / sum[BARE], goals[kind]);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

/* ---- reset ---------------------------------------------------------------------------------------- */

static double us_of_reset(struct hutch_box *box)
{
	struct hutch_error e;
	double since = now();

	if (hutch_box_reset(box, &e) < 0)
		die("reset", &e);
	return (now() - since) * 1e6;
}

static void row(const char *name, double us, double bare, const char *goal)
{
	printf("  %-42s %10.0f %8.2f x bare   %s\n", name, us, us / bare, goal);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[n / 2];
}

enum { DIRTY = 5, BARE_TIMES = 41 };

static double us_of_bare(void)
{
	double us[BARE_TIMES];

	for (int i = 0; i < BARE_TIMES; i++) {
		double since = now();

		one(BARE, NULL, NULL);
		us[i] = (now() - since) * 1e6;
	}
	return median(us, BARE_TIMES);
}

static void resets(struct hutch *h)
{
	static const int files[] = {0, 1000, 10000};
	static const char *const goals[] = {"<= 400; 850 with a command", "", "<= 600; 1,200 with a command"};
	struct hutch_box *box = create(h, own);
	double bare = us_of_bare(), since;
	char text[160], name[80];
	long n = 0;

	for (since = now(); now() - since < seconds; n++)
		us_of_reset(box);
	printf("reset: %.0f a second in a loop; below in us, medians\n", (double)n / (now() - since));
	one(RUN, box, NULL);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		double us[DIRTY], first[DIRTY];

		snprintf(text, sizeof(text), "mkdir /d; cd /d; i=0; while [ $i -lt %d ]; do : >$i; i=$((i+1)); done", files[i]);
		for (int k = 0; k < DIRTY; k++) {
			one(EXEC, box, text);
			usleep(50000); /* what is left to the background is done */
			us[k] = us_of_reset(box);
			since = now();
			one(RUN, box, NULL);
			first[k] = (now() - since) * 1e6;
			usleep(50000);
		}
		snprintf(name, sizeof(name), "reset with %d dirty files", files[i]);
		row(name, median(us, DIRTY), bare, goals[i]);
		row("  its first run", median(first, DIRTY), bare, "");
	}
	delete(box);
}

/* ---- idle ----------------------------------------------------------------------------------------- */

static long memory_kb(void)
{
	static const char *const kept[] = {"AnonPages:", "Slab:", "KernelStack:", "PageTables:"};
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
			if (strncmp(line, kept[i], strlen(kept[i])) == 0)
				kb += atol(line + strlen(kept[i]));
	if (f)
		fclose(f);
	return kb;
}

enum { STEPS = 4, TIMES = 9 };

static void one_life(struct hutch *h, double us[STEPS])
{
	struct hutch_box *box;
	double since;

	usleep(50000); /* what was left to the background is done */
	since = now();
	box = create(h, own);
	us[0] = (now() - since) * 1e6;
	one(EXEC, box, NULL);
	since = now();
	one(EXEC, box, NULL);
	us[1] = (now() - since) * 1e6;
	us_of_reset(box);
	usleep(50000);
	us[2] = us_of_reset(box);
	usleep(50000);
	since = now();
	delete(box);
	us[3] = (now() - since) * 1e6;
}

static void steps(struct hutch *h, const char *where, const char *goal)
{
	static const char *const what[STEPS] = {"create", "exec", "reset", "delete"};
	double bare = us_of_bare(), us[TIMES][STEPS], column[TIMES];
	char name[80];

	for (int i = 0; i < TIMES; i++)
		one_life(h, us[i]);
	for (int k = 0; k < STEPS; k++) {
		for (int i = 0; i < TIMES; i++)
			column[i] = us[i][k];
		snprintf(name, sizeof(name), "%s %s, us", what[k], where);
		row(name, median(column, TIMES), bare, k ? "" : goal);
	}
}

/* They give memory back when nobody has used them for 10 s. */
enum { REST_S = 12, AFTER_REST = 40 };

static void memory(const char *what, long before, const char *goal)
{
	printf("  %-42s %10ld KiB", what, (memory_kb() - before) / idle);
	fflush(stdout);
	sleep(REST_S);
	printf(", %ld after %d s          %s\n", (memory_kb() - before) / idle, REST_S, goal);
}

static void first_after_rest(struct hutch_box **boxes)
{
	double us[AFTER_REST], since;
	int n = idle < AFTER_REST ? idle : AFTER_REST;

	for (int i = 0; i < n; i++) {
		since = now();
		one(RUN, boxes[i], NULL);
		us[i] = (now() - since) * 1e6;
	}
	row("first run after that, us", median(us, (size_t)n), us_of_bare(), "");
}

/* Those of a handle of their own: @h has reset sandboxes, so some of its next ones had their next generation from the start. */
static void many_idle(struct hutch *h, const char *network)
{
	struct hutch_box **boxes = calloc((size_t)idle, sizeof(struct hutch_box *));
	struct hutch *theirs = open_hutch(network);
	bool is_own = network == own;
	long before;
	double since, took;

	if (!boxes)
		die("memory", NULL);
	for (int i = 0; i < 3; i++) /* what is made once, and the twin that is made ahead */
		delete(create(theirs, network));
	sleep(1);
	before = memory_kb();
	since = now();
	for (int i = 0; i < idle; i++) {
		boxes[i] = create(theirs, network);
		one(EXEC, boxes[i], NULL);
	}
	took = now() - since;
	printf("%d idle sandboxes, %s\n  %-42s %10.2f s, %.2f ms each          <= 2.5 s for 1,000\n", idle,
	       is_own ? "own network" : "network of the host", "created, first command run", took, took * 1e3 / idle);
	memory("memory of each", before, is_own ? "<= 465: 280, own network 185" : "<= 280");
	if (is_own)
		steps(h, "beside them", "as alone");
	for (int i = 0; i < idle; i++)
		one(RUN, boxes[i], NULL);
	memory("with a shell", before, is_own ? "<= 985: 800, own network 185" : "<= 800");
	first_after_rest(boxes);
	for (int i = 0; i < idle; i++)
		delete(boxes[i]);
	free(boxes);
	hutch_close(theirs);
}

static void large_caller(struct hutch *h, size_t bytes)
{
	char *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), name[64];

	if (all == MAP_FAILED)
		die("memory", NULL);
	memset(all, 1, bytes);
	snprintf(name, sizeof(name), "from a caller of %zu MiB", bytes >> 20);
	steps(h, name, "as from a small one");
	munmap(all, bytes);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"quick", no_argument, NULL, 'q'}, {0}};
	bool quick = false;
	struct hutch *h;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) > 0) {
		if (opt != 'q')
			return 2;
		quick = true;
	}
	if (quick) {
		seconds = 0.3;
		idle = 40;
	}
	rootfs = argv[optind] ? argv[optind] : "/";
	setvbuf(stdout, NULL, _IOLBF, 0);
	at_once(16);
	at_once(64);
	h = open_hutch(own);
	resets(h);
	steps(h, "alone", "<= 1,600");
	large_caller(h, quick ? 64u << 20 : (size_t)2 << 30);
	many_idle(h, own);
	many_idle(h, shared);
	hutch_close(h);
	printf("uid %u\n", (unsigned)geteuid());
	return 0;
}
