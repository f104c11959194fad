/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.c - remove what sandboxes left, off everybody's path
 *
 * How it works: what a sandbox wrote is renamed into the store's trash, at once, whatever it is.
 * The sweeper, a child of the nursery (in whose user namespace the files of subordinate ids can be
 * removed) where there is one, first looks for the dead: a name whose lock is free, and directories without a name.
 * Then it empties the trash, at a low priority. It goes by directory descriptors and never
 * follows a link; directories that were closed with chmod are opened first. The directory of a sandbox itself, empty, is as
 * good as new, and cheaper: it waits in the pool for the next one.
 *
 * One per store: who does not get the lock on the trash leaves. Who has it looks once more after
 * giving it back, so nothing that came in between stays.
 */
#include "inside/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

enum { DEPTH_MAX = 100, ROUNDS = 100000 };

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

struct store {
	int trash, pool; /* pool: -1, none is kept */
};

static int inode_flags(int fd)
{
	int flags = 0;

	/* These are no child's: home.c sets the one on what it makes, the kernel the other on a large directory. */
	return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? 0 : flags & ~(FS_TOPDIR_FL | FS_INDEX_FL);
}

/* One that is as it was made, or would be made anew for the next sandbox (box/place.c). What begins with a dot is to go. */
static bool keep(const struct store *s, const char *name, int dir)
{
	struct stat pool, st;

	return name[0] != '.' && s->pool >= 0 && fstat(s->pool, &pool) == 0 && fstat(dir, &st) == 0 &&
	       st.st_uid == pool.st_uid && st.st_gid == pool.st_gid && (st.st_mode & 07777) == 0700 && st.st_nlink == 2 &&
	       pool.st_nlink >= 2 && pool.st_nlink < 2 + PLAN_UNUSED_MAX && flistxattr(dir, NULL, 0) == 0 &&
	       inode_flags(dir) == inode_flags(s->pool) && sys_rename_new(s->trash, name, s->pool, name) == 0;
}

/* Removes what is in @d, which is the trash at @depth 0. To that what lies too deep is brought up, so that a tree of any
 * depth takes a bounded number of descriptors, and no more than there are. */
static void empty(DIR *d, const struct store *s, unsigned depth)
{
	int dir = dirfd(d);
	struct dirent *x;

	(void)fchmod(dir, 0700); /* its entries go away: it must be writable; not ours: it is */
	while ((x = readdir(d))) {
		auto_dir DIR *sub = NULL;
		char up[64];
		int why;

		if (is_dots(x->d_name) || (x->d_type != DT_DIR && unlinkat(dir, x->d_name, 0) == 0))
			continue;
		errno = EMFILE;
		sub = depth < DEPTH_MAX ? open_sub(dir, x->d_name) : NULL;
		why = errno;
		if (sub) {
			empty(sub, s, depth + 1);
			if (depth > 0 || !keep(s, x->d_name, dirfd(sub)))
				(void)unlinkat(dir, x->d_name, AT_REMOVEDIR); /* not empty: the next round */
		} else if (unlinkat(dir, x->d_name, AT_REMOVEDIR) < 0 && why == EMFILE && depth > 0) {
			snprintf(up, sizeof(up), "deep.%llx", (unsigned long long)sys_now_ns());
			(void)renameat(dir, x->d_name, s->trash, up);
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
static bool empty_trash(const struct store *s)
{
	int trash = s->trash, idle = 0;

	for (int i = 0; i < ROUNDS && idle < 3 && has_entries(trash); i++) {
		auto_dir DIR *d = open_list(trash);
		struct stat before, after;

		if (!d)
			return false;
		(void)fstat(trash, &before);
		empty(d, s, 0);
		(void)fstat(trash, &after);
		idle = before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
			       before.st_mtim.tv_sec == after.st_mtim.tv_sec ? idle + 1 : 0;
	}
	return !has_entries(trash);
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
	static const char *const files[] = {"sock", "spec.json", "env", ".new-spec.json", ".new-env",
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
		if (x->d_name[0] != '.' && x->d_type != DT_REG)
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

/* What waits for later sandboxes. */
static void drop_pool(int pool, int trash)
{
	auto_dir DIR *d = open_list(pool);
	struct dirent *x;
	char to[300];

	while (d && (x = readdir(d))) {
		snprintf(to, sizeof(to), "%.255s.%llx", x->d_name, (unsigned long long)sys_now_ns());
		if (!is_dots(x->d_name))
			(void)renameat(pool, x->d_name, trash, to); /* not there: taken just now */
	}
}

/* NICE: not SCHED_IDLE. Who removes and renames holds locks of the file system that everybody needs, and beside busy loops
 * one of that class does not get to give them back for seconds. */
enum { TRIES = 10, NICE = 10 };

/* @wait: for one that is at it already; and all is to go. */
void sweep_main(const int *fds, bool wait)
{
	int trash = fds[0], state = fds[1], boxes = fds[2];
	int pool = openat(boxes, "../pool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct store s = {trash, wait ? -1 : pool};

	prctl(PR_SET_NAME, "hutch-sweeper", 0, 0, 0);
	bury_all(state, boxes, trash);
	bury_nameless(state, boxes, trash);
	sweep_layers(fds[3], boxes, trash, wait);
	sys_background(true);
	(void)setpriority(PRIO_PROCESS, 0, NICE); /* a courtesy */
	for (int failed = 0; failed < TRIES && flock(trash, LOCK_EX | (wait ? 0 : LOCK_NB)) == 0;) {
		bool all;

		if (wait)
			drop_pool(pool, trash);
		all = empty_trash(&s);

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
