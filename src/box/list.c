/* SPDX-License-Identifier: Apache-2.0
 *
 * list.c - the sandboxes of a user
 *
 * How it works: who runs has a name in the state directory, whose lock is held. A detached one has a record in
 * the data directory too (kept.c), and is listed by that when it has no name: it was stopped, or the machine
 * was. The pid of a keeper is had from itself: it hands a pidfd to whoever attaches.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "box/nodes.h"

enum { ANSWER_WITHIN_MS = 200 };

static void dead_or_stopped(struct home *h, struct box_listed *x)
{
	x->state = kept_is_clean(h, x->name) ? BOX_STOPPED : BOX_DEAD;
}

static int list_one(struct home *h, const char *name, struct box_listed *x)
{
	auto_fd int dir = openat(h->state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	*x = (struct box_listed){.state = BOX_RUNNING};
	if (dir < 0 || faccessat(dir, "lock", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->kept = kept_is(h, name);
	x->detached = x->kept || faccessat(dir, "sock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	x->since_s = fstatat(dir, x->detached ? "spec.json" : ".", &st, 0) == 0 ? (int64_t)st.st_mtime : 0;
	x->snapshots = nodes_count(h, name);
	if (!place_held(dir)) {
		if (attach_until_end(dir) || (!x->kept && place_being_removed(dir)))
			return -1; /* deleted, or gone with its end: its owner or a later call leaves the rest to a sweeper */
		dead_or_stopped(h, x);
	}
	return 0;
}

/* One that has a record only. */
static int list_kept(struct home *h, const char *name, struct box_listed *x)
{
	*x = (struct box_listed){.detached = true, .kept = true};
	snprintf(x->name, sizeof(x->name), "%s", name);
	if (!kept_is(h, name))
		return -1;
	x->since_s = kept_since(h, name);
	x->snapshots = nodes_count(h, name);
	dead_or_stopped(h, x);
	return 0;
}

struct list {
	struct box_listed *v;
	size_t n, room, sorted; /* so many are in order of their names */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct box_listed *)a)->name, ((const struct box_listed *)b)->name);
}

static bool is_listed(const struct list *l, const char *name)
{
	struct box_listed key;

	snprintf(key.name, sizeof(key.name), "%s", name);
	return l->sorted && bsearch(&key, l->v, l->sorted, sizeof(key), by_name) != NULL;
}

static int list_dir(struct home *h, int dir, const char *path, struct list *l,
		    int (*one)(struct home *h, const char *name, struct box_listed *x), struct err *e)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	if (!d)
		return err_sys(e, errno, "read '%s'", path);
	while ((x = readdir(d))) {
		if (x->d_name[0] == '.' || x->d_type == DT_REG || is_listed(l, x->d_name))
			continue;
		if (l->n == l->room) {
			struct box_listed *more;

			l->room = l->room ? l->room * 2 : 64;
			more = realloc(l->v, l->room * sizeof(*more));
			if (!more)
				return err_oom(e);
			l->v = more;
		}
		l->n += one(h, x->d_name, &l->v[l->n]) == 0;
	}
	return 0;
}

int box_list(struct home *h, struct box_listed **ret, size_t *ret_n, struct err *e)
{
	struct list l = {0};
	int r = list_dir(h, h->state, h->state_path, &l, list_one, e);

	if (r == 0 && l.n) {
		qsort(l.v, l.n, sizeof(*l.v), by_name);
		l.sorted = l.n;
	}
	if (r == 0)
		r = list_dir(h, h->boxes, h->data_path, &l, list_kept, e);
	if (r < 0) {
		free(l.v);
		return r;
	}
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

/* ---- of one that runs ------------------------------------------------------------------------- */

/* What "/proc/self/fdinfo" says. */
pid_t box_pid_of(int pidfd)
{
	char path[48], text[512], *at;
	auto_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, "\nPid:\t");
	n = at ? atoi(at + 6) : 0;
	return n > 0 ? (pid_t)n : 0; /* -1: it has ended; 0: of another pid namespace */
}

pid_t box_keeper_pid(struct home *h, const char *name)
{
	char buf[256] __attribute__((aligned(8)));
	auto_fd int s = attach_connect(h, name);
	struct pollfd p = {s, POLLIN, 0};
	pid_t pid = 0;
	struct msg m;

	if (s < 0 || poll(&p, 1, ANSWER_WITHIN_MS) != 1 || msg_recv(s, &m, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
		return 0;
	if (m.head.op == OP_STARTED && m.nfds >= 1)
		pid = box_pid_of(m.fds[0]);
	msg_done(&m);
	return pid;
}

/* ---- memory ----------------------------------------------------------------------------------- */

enum { PROCESSES_MAX = 100000 };

/* The kilobytes of a line "Key: number kB"; 0: it is of another key. */
static uint64_t kb_of(const char *line, const char *key)
{
	return strncmp(line, key, strlen(key)) ? 0 : strtoull(line + strlen(key), NULL, 10);
}

/* What a process has in memory that is no file's. Read to the end: its groups may fill pages before. */
static uint64_t bytes_of(pid_t pid)
{
	auto_free char *line = NULL;
	uint64_t kb = 0;
	size_t room = 0;
	char path[48];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &room, f) > 0)
		kb += kb_of(line, "RssAnon:") + kb_of(line, "RssShmem:");
	if (f)
		fclose(f);
	return kb * 1024;
}

struct pids {
	pid_t *v;
	size_t n, room;
};

static bool add_pid(struct pids *p, pid_t pid)
{
	pid_t *more;

	if (p->n == p->room) {
		p->room = p->room ? 2 * p->room : 64;
		more = p->room > PROCESSES_MAX ? NULL : realloc(p->v, p->room * sizeof(*more));
		if (!more)
			return false;
		p->v = more;
	}
	p->v[p->n++] = pid;
	return true;
}

static void add_children(struct pids *p, int task, const char *tid)
{
	char path[64], text[4096];
	auto_fd int fd = -1;
	long pid = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "%.32s/children", tid);
	fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + text[i] - '0';
				continue;
			}
			if (pid && !add_pid(p, (pid_t)pid))
				return;
			pid = 0;
		}
}

uint64_t box_memory(pid_t keeper)
{
	struct pids p = {0};
	uint64_t bytes = 0;

	if (keeper <= 0 || !add_pid(&p, keeper))
		return 0;
	for (size_t i = 0; i < p.n; i++) {
		char path[48];
		int fd;
		auto_dir DIR *d = NULL;
		struct dirent *x;

		bytes += bytes_of(p.v[i]);
		snprintf(path, sizeof(path), "/proc/%d/task", p.v[i]);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		d = fd < 0 ? NULL : fdopendir(fd);
		while (d && (x = readdir(d)))
			if (x->d_name[0] != '.')
				add_children(&p, dirfd(d), x->d_name);
	}
	free(p.v);
	return bytes;
}
