/* SPDX-License-Identifier: Apache-2.0
 *
 * soak.c - many lives of sandboxes in one process: does anything grow?
 *
 * usage: soak [--cycles N | --seconds S] [--plain] [--seed N] [--tell N] [ROOTFS]
 *
 * How it works: a cycle starts a sandbox, does all kinds of work in it in an order made by chance,
 * resets it, works on, and deletes the one that was started BOXES cycles before; so BOXES live at
 * once, and beside them one that lives from the first cycle to the last and gets its share of the
 * work. Every result is looked at (workload.c). What this process, the kernel and the directories of
 * hutch hold is counted after WARM cycles, when caches are full, and again at the end, each time
 * after hutch_cleanup(). What grew by more than the bound in the table is a leftover: exit status 1.
 *
 * --plain: a cycle is create, run, reset, run and delete, and no other work; every eighth sandbox is one that others may attach
 * to, and another handle does.
 * --tell N: after every N cycles a line says how it stands, as it is in the middle of the work.
 *
 * HUTCH_HOME must name a directory of this run's own. Without ROOTFS: the machine's programs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

enum { BOXES = 4, WARM = 12, HARD_EVERY = 4, CLEANUP_MS = 60000, SETTLE_MS = 15000 };

#if defined(__SANITIZE_ADDRESS__)
enum { OF_MEMORY = 1 << 20 }; /* what was freed is kept back */
#else
enum { OF_MEMORY = 256 };
#endif

enum figure {
	PROCESSES, DESCRIPTORS, MOUNTS, OWN_KB, KEEPER_KB, KEEPER_FDS, IN_BOXES, IN_POOL, IN_TRASH, IN_STATE,
	DISK_KB, FIGURES,
};

/* @may_grow: memory and disk by what allocators and file systems round up; the pool keeps the emptied
 * directories of at most as many sandboxes as lived at once. */
static const struct {
	const char *name;
	long may_grow;
} figures[FIGURES] = {
	{"processes below this one", 0}, {"descriptors of this process", 0}, {"mounts in this namespace", 0},
	{"private memory of this process, kB", OF_MEMORY}, {"private memory of a keeper, kB", 64},
	{"descriptors of that keeper", 0}, {"entries in boxes/", 0}, {"entries in pool/", BOXES},
	{"entries in trash/", 0}, {"entries in the state directory", 0}, {"disk use of the data directory, kB", 1024},
};

static struct hutch *hutch;
static struct hutch_box *boxes[BOXES], *oldest;
static pid_t keeper;
static unsigned long done[WORK_KINDS], created, attached, deleted;
static const char *home, *rootfs;
static bool plain;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *form, ...)
{
	va_list args;

	fputs("soak: ", stderr);
	va_start(args, form);
	vfprintf(stderr, form, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* ---- figures -------------------------------------------------------------------------------------- */

/* The lines of a file, or of those that begin with @word its number. -1: it is not there. */
static long of_file(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	char line[4096];
	long n = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (!word)
			n++;
		else if (strncmp(line, word, strlen(word)) == 0)
			n = atol(line + strlen(word));
	fclose(f);
	return n;
}

/* The entries of a directory that are not @but. */
static long of_dir(const char *top, const char *below, const char *but)
{
	char path[4096];
	struct dirent *x;
	long n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s%s", top, below);
	d = opendir(path);
	while (d && (x = readdir(d)))
		n += x->d_name[0] != '.' && (!but || strcmp(x->d_name, but));
	if (d)
		closedir(d);
	return n;
}

static pid_t parent_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return (pid_t)of_file(path, "PPid:");
}

static bool is_below(pid_t pid)
{
	for (int i = 0; pid > 0 && i < 100; i++, pid = parent_of(pid))
		if (pid == getpid())
			return true;
	return false;
}

/* Calls @fn with each process below this one. Return: the sum of what it returned. */
static long each_process(long (*fn)(pid_t pid))
{
	DIR *d = opendir("/proc");
	struct dirent *x;
	long n = 0;

	while (d && (x = readdir(d))) {
		pid_t pid = atoi(x->d_name);

		if (pid > 0 && pid != getpid() && is_below(pid))
			n += fn(pid);
	}
	if (d)
		closedir(d);
	return n;
}

static long one_each(pid_t pid)
{
	(void)pid;
	return 1;
}

static bool comm_is(pid_t pid, const char *name)
{
	char path[64], line[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	return strncmp(line, name, strlen(name)) == 0;
}

/* The parent of our sleep is the keeper. */
static long find_keeper(pid_t pid)
{
	if (comm_is(pid, "sleep"))
		keeper = parent_of(pid);
	return 0;
}

static long disk_of(int dir)
{
	DIR *d = fdopendir(dir);
	struct dirent *x;
	long kb = 0;

	while (d && (x = readdir(d))) {
		struct stat st;
		int sub;

		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, "..") ||
		    fstatat(dir, x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		kb += st.st_blocks / 2;
		if (S_ISDIR(st.st_mode) &&
		    (sub = openat(dir, x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0)
			kb += disk_of(sub);
	}
	if (d)
		closedir(d);
	else
		close(dir);
	return kb;
}

static void count(long at[FIGURES])
{
	char path[4096];
	int fd;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		; /* orphans that came to us */
	at[PROCESSES] = each_process(one_each);
	at[DESCRIPTORS] = of_dir("/proc/self/fd", "", NULL);
	at[MOUNTS] = of_file("/proc/self/mountinfo", NULL);
	at[OWN_KB] = of_file("/proc/self/status", "RssAnon:");
	snprintf(path, sizeof(path), "/proc/%d/status", (int)keeper);
	at[KEEPER_KB] = of_file(path, "RssAnon:");
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)keeper);
	at[KEEPER_FDS] = of_dir(path, "", NULL); /* only root may look; 0 for others */
	at[IN_BOXES] = of_dir(home, "/data/boxes", NULL);
	at[IN_POOL] = of_dir(home, "/data/pool", NULL);
	at[IN_TRASH] = of_dir(home, "/data/trash", NULL);
	at[IN_STATE] = of_dir(home, "/run", NULL);
	snprintf(path, sizeof(path), "%s/data", home);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	at[DISK_KB] = fd < 0 ? 0 : disk_of(fd);
}

static int grown(const long before[FIGURES], const long after[FIGURES])
{
	int n = 0;

	for (int i = 0; i < FIGURES; i++)
		n += after[i] > before[i] + figures[i].may_grow;
	return n;
}

/* What is done in the background takes a while; @before NULL: until two looks are alike. */
static void count_settled(const long *before, long at[FIGURES])
{
	double until = now() + SETTLE_MS / 1e3;
	struct hutch_error e;
	long last[FIGURES];

	if (hutch_cleanup(hutch, CLEANUP_MS, &e) < 0)
		die("cleanup: %s", e.message);
	count(at);
	do {
		memcpy(last, at, sizeof(last));
		for (int i = 0; i < 10; i++)
			nap();
		count(at);
	} while (now() < until && (before ? grown(before, at) : memcmp(last, at, sizeof(last)) != 0));
}

/* ---- work ----------------------------------------------------------------------------------------- */

static struct hutch_box *start(unsigned number, unsigned flags)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = flags};
	struct hutch_spec *spec;
	struct hutch_error e;
	struct hutch_box *box;

	if (hutch_spec_new(&spec, &e) < 0 ||
	    hutch_spec_set(spec, rootfs ? "rootfs" : "host", rootfs ? rootfs : "true", &e) < 0 ||
	    (number % 2 && hutch_spec_set(spec, "upper", "tmpfs:16m", &e) < 0) ||
	    hutch_box_start(hutch, spec, &o, &box, &e) < 0)
		die("start: %s", e.message);
	hutch_spec_free(spec);
	created++;
	return box;
}

static void end(struct hutch_box *box)
{
	struct hutch_error e;

	if (box && hutch_box_delete(box, &e) < 0)
		die("delete: %s", e.message);
	deleted += box != NULL;
}

static void work(struct hutch_box *box, enum work kind, unsigned number)
{
	struct hutch_error e;

	if (work_do(box, kind, number, &e))
		die("cycle %u: %s: %s", number, work_name(kind), e.message);
	done[kind]++;
}

/* Another handle of a sandbox that is not ours alone. */
static void attach(struct hutch_box *box, unsigned number)
{
	struct hutch_box *other;
	struct hutch_error e;

	if (hutch_box_attach(hutch, hutch_box_name(box), &other, &e) < 0)
		die("attach: %s", e.message);
	work(other, WORK_EXEC, number);
	work(other, WORK_SESSION, number);
	hutch_box_close(other);
	attached++;
}

static void work_some(struct hutch_box *box, unsigned number)
{
	static const enum work easy[] = {WORK_RUN, WORK_CLEAN, WORK_EXEC, WORK_SESSION, WORK_FILE};
	static const enum work hard[] = {WORK_DIRTY, WORK_CLOSED, WORK_JOBS, WORK_CAP, WORK_TIMEOUT};

	if (plain) {
		work(box, WORK_RUN, number);
		return;
	}
	for (int i = 0; i < 4; i++)
		work(box, easy[rand() % 5], number);
	if (rand() % HARD_EVERY == 0)
		for (int i = 0; i < 3; i++)
			work(box, hard[rand() % 5], number);
}

static void cycle(unsigned number)
{
	bool detached = number % 8 == 7;
	int at = (int)(number % BOXES);

	end(boxes[at]);
	boxes[at] = start(number, detached ? HUTCH_START_DETACHED : 0);
	for (int i = 0; i < BOXES && !plain; i++)
		if (boxes[i])
			work(boxes[i], i == at ? WORK_FILE : WORK_RUN, number);
	work_some(boxes[at], number);
	if (detached)
		attach(boxes[at], number);
	work(boxes[at], WORK_RESET, number);
	work_some(boxes[at], number);
	work_some(oldest, number);
	if (number % 5 == 0)
		work(oldest, WORK_RESET, number);
}

/* All kinds once, whatever chance says later: a short warm-up has seen everything. */
static void begin(void)
{
	static const char *const argv[] = {"sleep", "100000", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_proc *p;
	struct hutch_error e;

	oldest = start(0, 0);
	if (hutch_box_exec(oldest, &o, &p, &e) < 0)
		die("exec: %s", e.message);
	for (int i = 0; i < 100 && !keeper; i++) {
		nap();
		each_process(find_keeper);
	}
	if (!comm_is(keeper, "hutch-keeper"))
		die("the parent of a command is no keeper but process %d", (int)keeper);
	hutch_proc_free(p);
	for (int kind = 0; kind < WORK_KINDS; kind++)
		work(oldest, (enum work)kind, 0);
}

static void empty(void)
{
	struct hutch_error e;

	for (int i = 0; i < BOXES; i++) {
		end(boxes[i]);
		boxes[i] = NULL;
	}
	if (hutch_box_reset(oldest, &e) < 0)
		die("reset: %s", e.message);
}

static void tell(unsigned long cycles, double since)
{
	static const enum figure which[] = {OWN_KB, KEEPER_KB, DESCRIPTORS, MOUNTS, PROCESSES, DISK_KB};
	long at[FIGURES];

	count(at);
	printf("%lu cycles, %.0f s:", cycles, now() - since);
	for (size_t i = 0; i < sizeof(which) / sizeof(*which); i++)
		printf("%s %s %ld", i ? "," : "", figures[which[i]].name, at[which[i]]);
	putchar('\n');
}

static int print(const long before[FIGURES], const long after[FIGURES])
{
	int n = grown(before, after);

	printf("%-36s %10s %10s %10s\n", "", "before", "after", "may grow");
	for (int i = 0; i < FIGURES; i++)
		printf("%-36s %10ld %10ld %10ld%s\n", figures[i].name, before[i], after[i], figures[i].may_grow,
		       after[i] > before[i] + figures[i].may_grow ? "  GREW" : "");
	printf("create %lu, attach %lu, delete %lu", created, attached, deleted);
	for (int kind = 0; kind < WORK_KINDS; kind++)
		printf(", %s %lu", work_name((enum work)kind), done[kind]);
	printf("\nleftovers: %d\n", n);
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"cycles", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'},
		{"plain", no_argument, NULL, 'p'}, {"seed", required_argument, NULL, 'r'},
		{"tell", required_argument, NULL, 't'}, {0}};
	long before[FIGURES], after[FIGURES], own[2];
	unsigned long cycles = 0, seconds = 20, n = 0, seed = 1, every = 0;
	struct hutch_error e;
	double until, since;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) > 0) {
		unsigned long v = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (opt == '?')
			return 2;
		if (opt == 'p')
			plain = true;
		else
			*(opt == 'c' ? &cycles : opt == 's' ? &seconds : opt == 't' ? &every : &seed) = v;
	}
	rootfs = argv[optind];
	home = getenv("HUTCH_HOME");
	if (!home || !*home)
		die("HUTCH_HOME must name a directory for this run");
	setvbuf(stdout, NULL, _IOLBF, 0);
	srand((unsigned)seed);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	own[0] = of_dir("/proc/self/fd", "", NULL);
	if (hutch_open(NULL, &hutch, &e) < 0)
		die("open: %s", e.message);
	begin();
	while (n < WARM)
		cycle((unsigned)n++);
	empty();
	count_settled(NULL, before);
	since = now();
	for (until = since + (double)seconds; cycles ? n < WARM + cycles : now() < until;) {
		cycle((unsigned)n++);
		if (every && (n - WARM) % every == 0)
			tell(n - WARM, since);
	}
	empty();
	count_settled(before, after);
	printf("cycles: %lu, seed %lu\n", n - WARM, seed);
	n = (unsigned long)print(before, after);
	end(oldest);
	hutch_close(hutch);
	own[1] = of_dir("/proc/self/fd", "", NULL);
	for (until = now() + SETTLE_MS / 1e3; each_process(one_each) && now() < until; nap())
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	printf("after the end: %ld processes, %ld descriptors more than at the beginning\n",
	       each_process(one_each), own[1] - own[0]);
	return n || own[1] != own[0] || each_process(one_each);
}
