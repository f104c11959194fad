/* SPDX-License-Identifier: Apache-2.0
 *
 * lifecycle.c - what the steps in the life of a sandbox cost a program that uses libhutch
 *
 * usage: lifecycle [-n ROUNDS] [ROOTFS]
 *
 * How it works: the steps take turns with a bare posix_spawn of /bin/true, a bash -c true, and a bash that is
 * kept alive under bwrap (no sub-shell, no output to collect), round by round, so that all see the same machine. What
 * leaves much to be written or removed in the background comes last, for itself. Figures are medians and 90th percentiles in
 * microseconds; x bare is the median divided by that of the bare one: of the first, which like what stands beside it comes
 * after other things, or, where that is the third in a row, of the third in a row. Of the two ways to have a
 * program run bare is the faster one, posix_spawn, and not fork and exec. The last column is the goal of the design
 * on the machine it was written on (2 cores, bare 530 us), as a multiple of bare there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hutch.h"

extern char **environ;

enum {
	BARE, BARE_ROW, BARE_FORK, BASH, BWRAP, BWRAP_PROGRAM, CREATE, FIRST, EXEC, EXEC_ROW, RUN_FIRST, RUN, RUN_PROGRAM, RUN_CLEAN, SESSION, SESSION_ROW, WRITE, READ, COPY_IN,
	COPY_OUT, RESET, RESET_FIRST, RESET_DIRTY, DELETE, DELETE_SHELL, CREATE_HOST,
	SNAPSHOT, SNAPSHOT_DEEP, SNAPSHOT_RUN, SNAPSHOT_BUSY, RESTORE, FORK, FORK_DEEP, FORK_SAME, FORK_16, FORK_100, ROWS,
};

static const struct {
	const char *name;
	double goal; /* times bare; 0: none was set */
	double on_disk; /* the same where changes go to a disk, if that is another */
} rows[ROWS] = {
	{"bare posix_spawn of /bin/true", 1}, {"  the third in a row", 0}, {"bare fork and exec of it", 0}, {"bare bash -c true", 0},
	{"bash kept alive under bwrap: true", 0}, {"  /bin/true", 0},
	{"create, own network, ready", 1600.0 / 530}, {"  its first exec", 0},
	{"exec /bin/true", 1.2}, {"  the third in a row", 1.2},
	{"first run after a reset (shell starts)", 1500.0 / 530}, {"run \"true\", warm shell", 350.0 / 530},
	{"run \"/bin/true\", warm shell", 0}, {"run \"true\", clean", 0}, {"session run \"true\"", 20.0 / 530}, {"  the ninth in a row", 20.0 / 530},
	{"write a file of 1 KB", 0}, {"read it", 0}, {"copy 100 MB in", 0}, {"copy 100 MB out", 0},
	{"reset, ready", 400.0 / 530}, {"  its first exec", 0},
	{"reset with 10,000 dirty files", 600.0 / 530}, {"delete, without a shell", 250.0 / 530}, {"delete, with a shell, and a next one", 400.0 / 530},
	{"create, network of the host", 1000.0 / 530, 1400.0 / 530},
	{"snapshot, only shells that wait", 500.0 / 530, 750.0 / 530}, {"  on up to 30 layers", 0}, {"  its first run", 0},
	{"snapshot while something runs (copy)", 0}, {"restore, up to 30 layers", 1500.0 / 530},
	{"fork of files, network of the host", 1300.0 / 530}, {"  on up to 30 layers", 1300.0 / 530},
	{"  and of one that wrote nothing since", 1300.0 / 530}, {"fork x 16, each", 1300.0 / 530}, {"fork x 100, each", 1300.0 / 530},
};

struct series {
	double *v;
	int n;
};

static struct series took[ROWS];
static int rounds = 60;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void note(int row, double since)
{
	took[row].v[took[row].n++] = now_us() - since;
}

static void die(const char *what, const struct hutch_error *e)
{
	fprintf(stderr, "lifecycle: %s: %s\n", what, e->message);
	exit(1);
}

/* With a copy of all our memory, which the other way does without. */
static int fork_and_exec(pid_t *ret, const char *path, char *const argv[])
{
	*ret = fork();
	if (*ret == 0) {
		execve(path, argv, environ);
		_exit(127);
	}
	return *ret < 0;
}

static void bare(int row, const char *path, char *const argv[])
{
	double t = now_us();
	pid_t pid;
	int status;

	if ((row == BARE_FORK ? fork_and_exec(&pid, path, argv) : posix_spawn(&pid, path, NULL, NULL, argv, environ)) ||
	    waitpid(pid, &status, 0) < 0 || status) {
		fprintf(stderr, "lifecycle: %s\n", path);
		exit(1);
	}
	if (row >= 0)
		note(row, t);
}

/* ---- what one would do without hutch: a bash that waits for lines in a sandbox of bwrap --------- */

static struct kept {
	pid_t pid; /* 0: there is no bwrap here */
	int in, out;
} kept;

static void keep_bash(const char *rootfs)
{
	char bwrap[] = "bwrap", all[] = "--unshare-all", die_[] = "--die-with-parent", bind[] = "--ro-bind", root[] = "/",
	     proc[] = "--proc", proc_at[] = "/proc", dev[] = "--dev", dev_at[] = "/dev", bash[] = "/bin/bash", *from;
	posix_spawn_file_actions_t fa;
	int in[2], out[2];

	from = strdup(rootfs);
	char *argv[] = {bwrap, all, die_, bind, from, root, proc, proc_at, dev, dev_at, bash, NULL};

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		exit(1);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	kept = (struct kept){.in = in[1], .out = out[0]};
	if (posix_spawnp(&kept.pid, "bwrap", &fa, NULL, argv, environ))
		kept.pid = 0;
	posix_spawn_file_actions_destroy(&fa);
	free(from);
	close(in[0]);
	close(out[1]);
}

static void end_bash(void)
{
	close(kept.in);
	close(kept.out);
	if (kept.pid)
		waitpid(kept.pid, NULL, 0);
}

static void say_bash(const char *line, int row)
{
	double t = now_us();
	char c;

	if (!kept.pid)
		return;
	if (write(kept.in, line, strlen(line)) < 0 || read(kept.out, &c, 1) != 1) {
		fprintf(stderr, "lifecycle: bwrap: bash has ended\n");
		exit(1);
	}
	if (row >= 0)
		note(row, t);
}

/* ---- the steps --------------------------------------------------------------------------------- */

static void run(struct hutch_box *box, const char *const argv[])
{
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_error e;
	struct hutch_proc *p;

	if (hutch_box_exec(box, &o, &p, &e) < 0 || hutch_proc_wait(p, -1, -1, &r, &e) < 0)
		die(argv[0], &e);
	if (r.exit_code) {
		fprintf(stderr, "lifecycle: %s: %d %s\n", argv[0], r.exit_code, r.message);
		exit(1);
	}
	hutch_proc_free(p);
}

static const char *const true_argv[] = {"/bin/true", NULL};

static void rest(void)
{
	usleep(10000); /* what was left to the background is done */
}

/* Text, as most callers run most things. */
static void say(struct hutch_box *box, const char *text, const char *session, unsigned flags, int row)
{
	struct hutch_run_options o = {.size = sizeof(o), .text = text, .session = session, .flags = flags};
	struct hutch_result r = {.size = sizeof(r)};
	struct hutch_run *run;
	struct hutch_error e;
	double t = now_us();

	if (hutch_run_start(box, &o, &run, &e) < 0 || hutch_run_wait(run, -1, -1, &r, &e) < 0)
		die(text, &e);
	hutch_run_free(run);
	if (row >= 0)
		note(row, t);
}

static void runs(struct hutch_box *box)
{
	say(box, "true", NULL, 0, RUN_FIRST);
	rest();
	for (int i = 0; i < 4; i++) {
		say(box, "true", NULL, 0, i ? -1 : RUN);
		rest();
	}
	say(box, "/bin/true", NULL, 0, RUN_PROGRAM);
	rest();
	say(box, "true", NULL, HUTCH_RUN_CLEAN, RUN_CLEAN);
	rest();
	for (int i = 0; i < 9; i++)
		say(box, "true", "s", 0, i == 1 ? SESSION : i == 8 ? SESSION_ROW : -1);
	rest();
}

static void files(struct hutch_box *box)
{
	struct hutch_error e;
	char text[1024] = "";
	double t = now_us();
	int fd;

	if (hutch_file_open(box, "/tmp/x", HUTCH_FILE_WRITE | HUTCH_FILE_CREATE, 0644, &fd, &e) < 0)
		die("write", &e);
	(void)!write(fd, text, sizeof(text));
	close(fd);
	note(WRITE, t);
	t = now_us();
	if (hutch_file_open(box, "/tmp/x", HUTCH_FILE_READ, 0, &fd, &e) < 0)
		die("read", &e);
	(void)!read(fd, text, sizeof(text));
	close(fd);
	note(READ, t);
}

enum { LARGE = 100 << 20, LARGE_ROUNDS = 5, DIRTY_ROUNDS = 10 };

static void large_file(struct hutch_box *box, const char *large)
{
	struct hutch_error e;
	double t = now_us();

	if (hutch_copy_in(box, large, "/tmp/large", 0, &e) < 0)
		die("copy in", &e);
	note(COPY_IN, t);
	t = now_us();
	if (hutch_copy_out(box, "/tmp/large", large, 0, &e) < 0)
		die("copy out", &e);
	note(COPY_OUT, t);
}

/* Something that is no hole. */
static void make_large(char name[64])
{
	static char piece[1 << 20];
	int fd;

	strcpy(name, "/tmp/hutch-lifecycle-XXXXXX");
	fd = mkstemp(name);
	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < LARGE / (int)sizeof(piece); i++)
		if (fd < 0 || write(fd, piece, sizeof(piece)) != (ssize_t)sizeof(piece)) {
			perror("lifecycle: /tmp");
			exit(1);
		}
	close(fd);
}

static struct hutch_box *create(struct hutch *h, struct hutch_spec *spec, int row)
{
	struct hutch_box *box;
	struct hutch_error e;
	double t = now_us();

	if (hutch_box_start(h, spec, NULL, &box, &e) < 0)
		die("start", &e);
	if (row >= 0)
		note(row, t);
	return box;
}

static void delete(struct hutch_box *box, int row)
{
	struct hutch_error e;
	double t = now_us();

	if (hutch_box_delete(box, &e) < 0)
		die("delete", &e);
	if (row >= 0)
		note(row, t);
}

static void reset(struct hutch_box *box, int row)
{
	struct hutch_error e;
	double t = now_us();

	if (hutch_box_reset(box, &e) < 0)
		die("reset", &e);
	if (row >= 0)
		note(row, t);
}

static void snapshot(struct hutch_box *box, int row)
{
	struct hutch_error e;
	double t = now_us();
	char *name;

	if (hutch_box_snapshot(box, NULL, &name, &e) < 0)
		die("snapshot", &e);
	note(row, t);
	free(name);
}

static void forks(struct hutch_box *box, size_t n, int row)
{
	struct hutch_box *made[100];
	struct hutch_error e;
	double t = now_us();

	if (hutch_box_fork(box, NULL, NULL, n, 0, made, &e) < 0)
		die("fork", &e);
	t += (now_us() - t) * (double)(n - 1) / (double)n; /* each */
	note(row, t);
	for (size_t i = 0; i < n; i++)
		delete(made[i], -1);
	rest();
}

/* Of one that stands on its root file system, and has written a little. */
static void flat_states(struct hutch_box *box)
{
	for (int i = 0; i < 2; i++) {
		reset(box, -1);
		rest();
		say(box, "echo x >>/tmp/log", NULL, 0, -1);
		rest();
		if (i == 0)
			snapshot(box, SNAPSHOT);
		else
			forks(box, 1, FORK);
		rest();
	}
}

/* A tree of states: @box grows by some snapshots each round, and goes back now and then. */
static void states(struct hutch_box *box)
{
	struct hutch_error e;
	double t;

	say(box, "echo x >>/tmp/log; mkdir -p /tmp/d; echo y >/tmp/d/$RANDOM", NULL, 0, -1);
	rest();
	snapshot(box, SNAPSHOT_DEEP);
	say(box, "true", NULL, 0, SNAPSHOT_RUN);
	rest();
	if (took[RESTORE].n % 20 == 19 && hutch_box_reset(box, &e) < 0)
		die("reset", &e);
	t = now_us();
	if (hutch_box_restore(box, took[RESTORE].n % 20 == 19 ? "0" : NULL, 0, &e) < 0)
		die("restore", &e);
	note(RESTORE, t);
	rest();
	say(box, "echo x >>/tmp/log", NULL, 0, -1);
	rest();
	forks(box, 1, FORK_DEEP);
	forks(box, 1, FORK_SAME);
	if (took[FORK_16].n < 10)
		forks(box, 16, FORK_16);
	if (took[FORK_100].n < 3)
		forks(box, 100, FORK_100);
	say(box, "sleep 100 >/dev/null 2>&1 &", NULL, 0, -1);
	rest();
	snapshot(box, SNAPSHOT_BUSY);
	if (hutch_box_restore(box, NULL, 0, &e) < 0)
		die("restore", &e);
	rest();
}

/* What of each row is left to the background is more than a rest takes. */
static void heavy_rounds(struct hutch_box *living, const char *large)
{
	static const char *const dirty[] = {
		"/bin/sh", "-c", "mkdir /d; cd /d; i=0; while [ $i -lt 10000 ]; do : >$i; i=$((i+1)); done",
		NULL};

	for (int i = 0; i < rounds && i < DIRTY_ROUNDS; i++) {
		run(living, dirty);
		rest();
		reset(living, RESET_DIRTY);
		usleep(500000);
	}
	for (int i = 0; i < rounds && i < LARGE_ROUNDS; i++)
		large_file(living, large);
}

static void one_round(struct hutch *h, struct hutch *h2, struct hutch *plain, struct hutch_spec *spec, struct hutch_spec *host,
		      struct hutch_box *living, struct hutch_box *flat, struct hutch_box *tree)
{
	static char true_[] = "true", bash[] = "bash", c[] = "-c";
	char *t[] = {true_, NULL}, *b[] = {bash, c, true_, NULL};
	struct hutch_box *box;
	double at;

	for (int i = 0; i < 3; i++)
		bare(i == 0 ? BARE : i == 2 ? BARE_ROW : -1, "/bin/true", t);
	rest();
	bare(BARE_FORK, "/bin/true", t);
	bare(BASH, "/bin/bash", b);
	say_bash("true; echo\n", BWRAP);
	say_bash("/bin/true; echo\n", BWRAP_PROGRAM);
	box = create(h, spec, CREATE);
	at = now_us();
	run(box, true_argv);
	note(FIRST, at);
	rest();
	delete(box, DELETE_SHELL);
	rest();
	box = create(plain, spec, -1);
	run(box, true_argv);
	rest();
	delete(box, DELETE);
	rest();
	delete(create(h2, host, CREATE_HOST), -1);
	rest();
	for (int i = 0; i < 3; i++) { /* the first ones after a reset are a row of their own */
		at = now_us();
		run(living, true_argv);
	}
	note(EXEC_ROW, at);
	rest();
	at = now_us();
	run(living, true_argv);
	note(EXEC, at);
	rest();
	runs(living);
	files(living);
	rest();
	reset(living, RESET);
	at = now_us();
	run(living, true_argv);
	note(RESET_FIRST, at);
	rest();
	flat_states(flat);
	states(tree);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static bool is_on_disk(void)
{
	const char *home = getenv("HUTCH_HOME");
	struct statfs fs;

	return !home || statfs(home, &fs) < 0 || fs.f_type != TMPFS_MAGIC;
}

static void print(void)
{
	bool disk = is_on_disk();
	double bare_us = 0, row_us = 0;

	printf("changes go to %s\n", disk ? "a disk" : "memory");
	printf("%-36s %9s %9s %8s %8s\n", "us, uid and rounds below", "median", "p90", "x bare", "goal");
	for (int i = 0; i < ROWS; i++) {
		struct series *s = &took[i];
		double mid;

		if (!s->n)
			continue;
		qsort(s->v, (size_t)s->n, sizeof(*s->v), by_size);
		mid = s->v[s->n / 2];
		if (i == BARE)
			bare_us = mid;
		if (i == BARE_ROW)
			row_us = mid;
		printf("%-36s %9.0f %9.0f %8.2f", rows[i].name, mid, s->v[s->n * 9 / 10],
		       mid / (i == EXEC_ROW ? row_us : bare_us));
		if (rows[i].goal > 0)
			printf(" %8.2f", disk && rows[i].on_disk > 0 ? rows[i].on_disk : rows[i].goal);
		putchar('\n');
	}
	printf("uid %u, %d rounds\n", (unsigned)geteuid(), rounds);
}

int main(int argc, char **argv)
{
	struct hutch_spec *spec = NULL, *host = NULL;
	struct hutch_box *living, *flat, *tree;
	struct hutch_error e;
	struct hutch *h, *h2, *plain; /* the last makes sandboxes in which no text is run */
	char large[64];
	int opt;

	while ((opt = getopt(argc, argv, "n:")) > 0)
		if (opt == 'n')
			rounds = atoi(optarg) > 0 ? atoi(optarg) : rounds;
	for (int i = 0; i < ROWS; i++)
		took[i].v = calloc((size_t)rounds + 1, sizeof(double));
	if (hutch_open(NULL, &h, &e) < 0 || hutch_spec_new(&spec, &e) < 0 || hutch_spec_new(&host, &e) < 0)
		die("open", &e);
	if (hutch_spec_set(spec, "rootfs", optind < argc ? argv[optind] : "/", &e) < 0 ||
	    hutch_spec_set(host, "rootfs", optind < argc ? argv[optind] : "/", &e) < 0 ||
	    hutch_spec_set(host, "network", "host", &e) < 0)
		die("spec", &e);
	/* What stands ready is for one kind of network: a handle for each. */
	if (hutch_open(&(struct hutch_open_options){.size = sizeof(struct hutch_open_options), .like = host},
		       &h2, &e) < 0 || hutch_open(NULL, &plain, &e) < 0)
		die("open", &e);
	if (hutch_box_start(h, spec, NULL, &living, &e) < 0 || hutch_box_start(h2, host, NULL, &flat, &e) < 0 ||
	    hutch_box_start(h2, host, NULL, &tree, &e) < 0)
		die("start", &e);
	run(living, true_argv);
	keep_bash(optind < argc ? argv[optind] : "/");
	say_bash("true; echo\n", -1);
	for (int i = 0; i < rounds; i++)
		one_round(h, h2, plain, spec, host, living, flat, tree);
	make_large(large);
	heavy_rounds(living, large);
	unlink(large);
	end_bash();
	delete(living, -1);
	delete(flat, -1);
	delete(tree, -1);
	hutch_spec_free(spec);
	hutch_spec_free(host);
	hutch_close(plain);
	hutch_close(h2);
	hutch_close(h);
	print();
	return 0;
}
