/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.c - remove what sandboxes left, off everybody's path
 *
 * How it works: what a sandbox wrote is renamed into the store's trash, at once, whatever it is.
 * The sweeper, a child of the nursery (in whose user namespace the files of subordinate ids can be
 * removed) where there is one, first looks for the dead: a name whose lock is free, and directories without a name.
 * Then it empties the trash, at the lowest priority. It goes by directory descriptors and never
 * follows a link; directories that were closed with chmod are opened first. What is locked has mounts yet, and
 * to remove it would give no room back: it waits a moment for that, or leaves it to the next sweeper.
 *
 * One per store: who does not get the lock on the trash leaves. Who has it looks once more after
 * giving it back, so nothing that came in between stays.
 */
#include "inside/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

enum { DEPTH_MAX = 100, ROUNDS = 100000, PATIENCE_MS = 1000 };

static DIR *open_list(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* ---- emptying --------------------------------------------------------------------------------- */

/* Opens a subdirectory, with chmod where that is needed. */
static DIR *open_sub(int dir, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags);
	DIR *d;

	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, flags);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d && fd >= 0)
		close(fd);
	return d;
}

struct trash {
	int dir;
	int patience_ms; /* with all that is in use, together */
};

static bool in_use(struct trash *t, int dir)
{
	while (flock(dir, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		if (t->patience_ms <= 0)
			return true;
		t->patience_ms--;
		usleep(1000);
	}
	return false;
}

/* Removes what is in @d, a directory of the trash, or that itself. What lies too deep is brought up to it, so that a
 * tree of any depth takes a bounded number of descriptors, and no more than there are. */
static void empty(struct trash *t, DIR *d, unsigned depth)
{
	int dir = dirfd(d);
	struct dirent *x;

	(void)fchmod(dir, 0700); /* its entries go away: it must be writable; not ours: it is */
	while ((x = readdir(d))) {
		auto_dir DIR *sub = NULL;
		char up[64];

		if (is_dots(x->d_name) || unlinkat(dir, x->d_name, 0) == 0 ||
		    unlinkat(dir, x->d_name, AT_REMOVEDIR) == 0)
			continue;
		errno = EMFILE;
		sub = depth < DEPTH_MAX ? open_sub(dir, x->d_name) : NULL;
		if (sub && depth == 0 && in_use(t, dirfd(sub)))
			continue;
		if (sub) {
			empty(t, sub, depth + 1);
			(void)unlinkat(dir, x->d_name, AT_REMOVEDIR); /* not empty: the next round */
		} else if (depth > 0 && errno == EMFILE) {
			snprintf(up, sizeof(up), "deep.%llx", (unsigned long long)sys_now_ns());
			(void)renameat(dir, x->d_name, t->dir, up);
		}
	}
}

static bool has_entries(int dir)
{
	auto_dir DIR *d = open_list(dir);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (!is_dots(x->d_name))
			return true;
	return false;
}

/* Return: whether everything is gone. What cannot be removed at all (an immutable file, another
 * user's) is left. */
static bool empty_trash(struct trash *t)
{
	int idle = 0;

	for (int i = 0; i < ROUNDS && idle < 3 && has_entries(t->dir); i++) {
		auto_dir DIR *d = open_list(t->dir);
		struct stat before, after;

		if (!d)
			return false;
		(void)fstat(t->dir, &before);
		empty(t, d, 0);
		(void)fstat(t->dir, &after);
		idle = before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
			       before.st_mtim.tv_sec == after.st_mtim.tv_sec ? idle + 1 : 0;
	}
	return !has_entries(t->dir);
}

/* ---- the dead --------------------------------------------------------------------------------- */

/* A sandbox that can be started again (box/kept.c): what it wrote is nobody's but its own. */
static bool is_kept(int boxes, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%.255s/kept", name);
	return faccessat(boxes, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static void to_trash(int boxes, int trash, const char *name)
{
	char to[300];

	if (is_kept(boxes, name))
		return;

	snprintf(to, sizeof(to), "%.255s.%llx", name, (unsigned long long)sys_now_ns());
	(void)renameat(boxes, name, trash, to); /* it left nothing */
}

/* A name whose lock is free belongs to nobody any more (box/place.c has the rules). */
static void bury(int state, int boxes, int trash, const char *name)
{
	static const char *const files[] = {"sock", "spec.json", "env", "until-end", ".new-spec.json", ".new-env",
					    "lock"}; /* the lock last */
	auto_fd int dir = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int lock = -1;
	struct flock l = {.l_type = F_WRLCK, .l_len = 2}; /* two bytes: one who removes */
	struct stat held, there;

	if (dir < 0)
		return;
	lock = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (lock < 0) { /* killed between the two steps of taking it, or about to take it: rmdir */
		(void)unlinkat(state, name, AT_REMOVEDIR); /* fails when a lock is there by now */
		return;
	}
	if (fcntl(lock, F_OFD_SETLK, &l) < 0 || fstat(dir, &held) < 0 ||
	    fstatat(state, name, &there, AT_SYMLINK_NOFOLLOW) < 0 || held.st_ino != there.st_ino)
		return;
	to_trash(boxes, trash, name);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		(void)unlinkat(dir, files[i], 0);
	(void)unlinkat(state, name, AT_REMOVEDIR);
}

static void bury_all(int state, int boxes, int trash)
{
	auto_dir DIR *d = open_list(state);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if ((x->d_name[0] != '.' || !strncmp(x->d_name, TWIN_PREFIX, strlen(TWIN_PREFIX))) && x->d_type != DT_REG)
			bury(state, boxes, trash, x->d_name);
}

/* A directory of changes whose name is not taken: the state directory was lost (a reboot). */
static void bury_nameless(int state, int boxes, int trash)
{
	auto_dir DIR *d = open_list(boxes);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (!is_dots(x->d_name) && faccessat(state, x->d_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno == ENOENT)
			to_trash(boxes, trash, x->d_name);
}

enum { TRIES = 10 };

void sweep_main(const int *fds, bool wait)
{
	int trash = fds[0], state = fds[1], boxes = fds[2];
	struct trash t = {.dir = trash, .patience_ms = PATIENCE_MS};
	struct sched_param none = {0};

	prctl(PR_SET_NAME, "hutch-sweeper", 0, 0, 0);
	bury_all(state, boxes, trash);
	bury_nameless(state, boxes, trash);
	sweep_layers(fds[3], boxes, trash, wait);
	(void)sched_setscheduler(0, SCHED_IDLE, &none); /* a courtesy; not before: who holds locks must come to an end */
	for (int failed = 0; failed < TRIES && flock(trash, LOCK_EX | (wait ? 0 : LOCK_NB)) == 0;) {
		bool all = empty_trash(&t);

		flock(trash, LOCK_UN);
		if (!has_entries(trash))
			break;
		if (!all && ++failed < TRIES) /* somebody was at the same, or it is in use for a moment */
			usleep(100000);
	}
	_exit(0);
}

void sweeper_alone(int sock)
{
	char buf[64] __attribute__((aligned(8)));
	struct err e = {0};
	struct msg m;
	int from;

	if (inside_begin("hutch-sweeper", sock, &from, &e) == 0 && msg_recv(from, &m, buf, sizeof(buf), 0) > 0 &&
	    m.head.op == OP_SWEEP && m.nfds >= 4)
		sweep_main(m.fds, m.nfds > 4);
	_exit(1); /* a later one does the work */
}
