/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - the directories of one sandbox: its name, and where its changes go
 *
 * How it works: a name is a directory of the state directory with a file `lock` in it. The keeper
 * holds a lock on that file (an OFD lock, which lives as long as a descriptor of it), so whoever
 * gets the lock knows that the sandbox is dead and may remove or reuse what it left. Because a
 * directory can be renamed or removed between open and lock, who has the lock looks whether what he
 * holds is still what the name leads to. A keeper locks the first byte, the sweeper two: so a name that
 * is being removed is not taken for one that lives.
 *
 * Changes go to boxes/NAME/gN. Both are recycled by rename: a fresh ext4 inode is dear, and dearer
 * where many were freed just before (the kernel passes over those, one by one). Unused names wait in
 * the state directory's .free/, unused directories of changes in pool/. At the end a directory that
 * is as it was goes back there, any other into trash/, by rename: no chmod of the inside can prevent
 * that.
 *
 * Order: the name is taken first and given back last. So what is in boxes/ without a name in the
 * state directory is nobody's, unless there is a record that it is kept (kept.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "box/nodes.h"
#include "sys/names.h"
#include "sys/proc.h"

#define FREE ".free"

/* UNUSED_MAX: as many sandboxes as a program may delete and make again without a fresh inode. */
enum { TRIES = 200, TRIES_AT_ONCE = 4000, NAP_NS = 1000000, OLD_MAX = 64, UNUSED_MAX = 1024, LOOK_EVERY_NS = 1000000000 };

static bool byte_locked(int fd, off_t at)
{
	struct flock l = {.l_type = F_WRLCK, .l_start = at, .l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static bool being_removed(int fd)
{
	return byte_locked(fd, 1);
}

bool place_held(int dir)
{
	auto_fd int lock = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return lock >= 0 && byte_locked(lock, 0) && !being_removed(lock);
}

bool place_being_removed(int dir)
{
	auto_fd int lock = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return lock < 0 ? errno == ENOENT : being_removed(lock);
}

/* Opens and locks @name's lock file. Return: 1 with *ret_lock, 0 when a sandbox holds it, -EAGAIN
 * when the name leads elsewhere by now or is being removed, or another -errno. */
static int try_lock(int state, const char *name, int *ret_lock)
{
	struct flock l = {.l_type = F_WRLCK, .l_len = 1};
	auto_fd int dir = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int fd = -1;
	struct stat held, there;

	if (dir < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno; /* the directory is being removed */
	if (fcntl(fd, F_OFD_SETLK, &l) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		return being_removed(fd) ? -EAGAIN : 0;
	}
	if (fstat(dir, &held) < 0 || fstatat(state, name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    held.st_ino != there.st_ino || fstat(fd, &held) < 0 ||
	    fstatat(dir, "lock", &there, AT_SYMLINK_NOFOLLOW) < 0 || held.st_ino != there.st_ino)
		return -EAGAIN;
	*ret_lock = take_fd(&fd);
	return 1;
}

static void to_trash(struct home *h, const char *name)
{
	char to[300];

	snprintf(to, sizeof(to), "%s.%llx", name, (unsigned long long)sys_now_ns());
	(void)renameat(h->boxes, name, h->trash, to); /* not there: nothing was left */
}

/* A keeper locks its directory of changes until its mounts have ended, which is later than it says that it has. */
static bool mounts_end(int dir, const char *name)
{
	auto_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Renames one entry of the directory @from (below @dir) to @name below @to, which must be free. @mounted: it may be locked. */
static bool take_unused(int dir, const char *from, bool mounted, int to, const char *name)
{
	auto_fd int list = openat(dir, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct sys_names names;
	const char *unused;
	int r;

	sys_names_begin(&names, list);
	while ((unused = sys_names_next(&names))) {
		if (unused[0] == '.' || (mounted && mounts_end(list, unused)))
			continue;
		r = sys_rename_new(list, unused, to, name);
		if (r == 0 || r == -EEXIST)
			return r == 0;
	}
	return false;
}

/* Makes the name. Return: 1 it is new, 0 it was there, -EAGAIN when a sweeper was quicker, which removes
 * what has no lock yet, or another -errno. */
static int make_name(struct home *h, const char *name)
{
	int r = take_unused(h->state, FREE, false, h->state, name) ? 0 : sys_mkdir(h->state, name, 0700);
	struct stat st;

	if (r == -ENOENT && fstat(h->state, &st) == 0 && st.st_nlink > 0)
		return -EAGAIN;
	return r == 0 ? 1 : r == -EEXIST ? 0 : r;
}

/* What attach.c puts beside the lock. */
static void forget_files(struct home *h, const char *name)
{
	static const char *const files[] = {"sock", "spec.json", "env", "until-end", ".new-spec.json", ".new-env"};
	char path[300];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%.200s/%s", name, files[i]);
		(void)unlinkat(h->state, path, 0); /* most have none */
	}
}

/* A name that was made and could not be locked. */
static void drop_name(struct home *h, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%.200s/lock", name);
	(void)unlinkat(h->state, path, 0);
	(void)unlinkat(h->state, name, AT_REMOVEDIR);
}

/* *ret_fresh: nobody had it. Whoever had it is dead. An unused name that became ours is locked for a moment yet by whoever
 * has just given it back, or by one who was quicker: that shows in time. */
static int take_name(struct home *h, const char *name, int *ret_lock, bool *ret_fresh, struct err *e)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	int r = 0, at_once = 0;

	*ret_fresh = false;
	for (int i = 0; i < TRIES; i++) {
		int fresh = make_name(h, name);

		if (fresh < 0 && fresh != -EAGAIN)
			return err_sys(e, fresh, "make '%s/%s'", h->state_path, name);
		*ret_fresh |= fresh == 1;
		r = fresh < 0 ? fresh : try_lock(h->state, name, ret_lock);
		if (r == 1)
			return 0;
		if (r == 0 && !*ret_fresh)
			break;
		if (r < 0 && r != -EAGAIN) {
			if (fresh)
				drop_name(h, name);
			return err_sys(e, r, "lock '%s/%s/lock'", h->state_path, name);
		}
		if (r < 0 && fresh && at_once++ < TRIES_AT_ONCE)
			i--; /* what we made was gone at once: there is nobody to wait for */
		else
			nanosleep(&nap, NULL);
	}
	if (r == 0)
		return err_set(e, ERR_EXISTS, "the name '%s' is taken", name);
	return err_set(e, ERR_BUSY, "the name '%s' is being taken by others", name);
}

int place_take(struct home *h, const char *name, int *ret_lock, struct err *e)
{
	auto_fd int lock = -1;
	bool fresh;
	int r = take_name(h, name, &lock, &fresh, e);

	if (r < 0)
		return r;
	if (kept_is(h, name)) {
		bool stopped = kept_is_clean(h, name);

		place_let_go(h, name, &lock);
		return err_set(e, ERR_EXISTS, "the name '%s' is taken by a sandbox that %s; `hutch start %s` "
			       "starts it, `hutch rm %s` removes it", name, stopped ? "is stopped" : "has ended", name, name);
	}
	if (!fresh) {
		forget_files(h, name);
		to_trash(h, name);
		place_sweep(h);
	}
	*ret_lock = take_fd(&lock);
	return 0;
}

int place_take_any(struct home *h, const char *name, int *ret_lock, struct err *e)
{
	auto_fd int lock = -1;
	bool fresh;
	int r = take_name(h, name, &lock, &fresh, e);

	if (r < 0)
		return r;
	if (fresh && !kept_is(h, name)) {
		place_let_go(h, name, &lock);
		return err_set(e, ERR_NOT_FOUND, "no sandbox has the name '%s'", name);
	}
	forget_files(h, name);
	*ret_lock = take_fd(&lock);
	return 0;
}

int place_take_kept(struct home *h, const char *name, int *ret_lock, struct err *e)
{
	int r = kept_is(h, name) ? place_take_any(h, name, ret_lock, e) : ERR_NOT_FOUND;

	if (r == 0 && !kept_is(h, name)) { /* removed between the two */
		place_let_go(h, name, ret_lock);
		r = ERR_NOT_FOUND;
	}
	return r == ERR_NOT_FOUND ? err_set(e, r, "no stopped sandbox has the name '%s'", name) : r;
}

/* How many names @name below @dir has, at most @max; less than 0: it cannot be read. */
static int names_in(int dir, const char *name, int max)
{
	auto_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return sys_names_count(fd, max);
}

/* How many directories the directory @name below @dir has (at most @max, where nothing else is in it). A directory has a
 * link for each one; some file systems do not count. -errno. */
static int dirs_in(int dir, const char *name, int max)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return st.st_nlink > 1 ? (int)st.st_nlink - 2 : names_in(dir, name, max);
}

/* Whether it has enough of what waits to be used again. */
static bool is_full(int dir, const char *name)
{
	return dirs_in(dir, name, UNUSED_MAX) >= UNUSED_MAX;
}

/* What waits to be used again has none: a twin's name does. */
static const char *without_dot(const char *name)
{
	return name + (*name == '.');
}

static void let_go(struct home *h, const char *name, bool has_files)
{
	char to[300];

	if (has_files)
		forget_files(h, name);
	if (is_full(h->state, FREE)) {
		drop_name(h, name);
		return;
	}
	snprintf(to, sizeof(to), FREE "/%.200s.%llx", without_dot(name), (unsigned long long)sys_now_ns());
	if (renameat(h->state, name, h->state, to) == 0)
		return;
	if (errno == ENOENT && sys_mkdir(h->state, FREE, 0700) == 0 &&
	    renameat(h->state, name, h->state, to) == 0)
		return;
	drop_name(h, name);
}

void place_let_go(struct home *h, const char *name, int *lock)
{
	if (*lock >= 0)
		let_go(h, name, true);
	close_fd(lock);
}

void place_give_back(struct home *h, const char *name, bool has_files)
{
	int lock = -1;

	/* Whoever holds the lock has taken the name over already; or it is the keeper, of whose end nothing was heard in time. */
	if (try_lock(h->state, name, &lock) == 1)
		let_go(h, name, has_files);
	else
		place_sweep(h);
	close_fd(&lock);
}

/* ---- where changes go ------------------------------------------------------------------------- */

/* As it was made: the inside has written nothing, not even to / itself. */
static bool clean(int box)
{
	auto_fd int upper = openat(box, "g1/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int g1 = openat(box, "g1", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st, beside;

	return upper >= 0 && g1 >= 0 && sys_inode_flags(upper) == sys_inode_flags(g1) && fstat(upper, &st) == 0 && st.st_uid == geteuid() &&
	       fstat(g1, &beside) == 0 && st.st_gid == beside.st_gid && (st.st_mode & 07777) == 0755 &&
	       flistxattr(upper, NULL, 0) == 0 && sys_names_count(upper, 1) == 0;
}

/* Once more: what was killed as it was given back may have come to the end of a write after that (inside/reset.c, reset_end()). Now
 * nothing is left of it, or it would be locked. Return: 1 yes, 0 no, -1 there are too few descriptors to see. */
static int is_clean(const struct home *h, const char *name)
{
	auto_fd int box = openat(h->boxes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int more = fcntl(box, F_DUPFD_CLOEXEC, 0), last = fcntl(box, F_DUPFD_CLOEXEC, 0);

	if (box < 0 || more < 0 || last < 0)
		return -1;
	close_fd(&more);
	close_fd(&last);
	return clean(box);
}

bool place_upper_reuse(struct home *h, const char *name)
{
	int r;

	if (faccessat(h->boxes, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) /* of a sandbox whose name was lost: a reboot */
		to_trash(h, name);
	if (!take_unused(h->data, "pool", true, h->boxes, name))
		return false;
	r = is_clean(h, name);
	if (r == 1)
		return true;
	if (r < 0 && renameat(h->boxes, name, h->pool, without_dot(name)) == 0)
		return false; /* for who can see */
	to_trash(h, name);
	place_sweep(h);
	return false;
}

int place_upper_take(struct home *h, const char *name, struct err *e)
{
	int r = place_upper_reuse(h, name) ? 0 : sys_mkdir(h->boxes, name, 0700);

	return r < 0 ? err_sys(e, r, "make '%s/boxes/%s'", h->data_path, name) : 0;
}

/* A name is what the lock is in, and its keeper holds that: so two names change places. At every moment in between both
 * are taken, and the directory of changes has one of them. */
int place_rename(struct home *h, const char *from, const char *to, bool has_upper, struct err *e)
{
	auto_fd int lock = -1;
	int r = place_take(h, to, &lock, e), moved;

	if (r < 0)
		return r;
	moved = has_upper ? sys_rename_new(h->boxes, from, h->boxes, to) : 0;
	if (moved == -EEXIST) { /* as in place_upper_reuse() */
		to_trash(h, to);
		moved = sys_rename_new(h->boxes, from, h->boxes, to);
	}
	r = moved < 0 ? moved : sys_rename_swap(h->state, from, to);
	if (r < 0) {
		if (has_upper && moved == 0)
			(void)renameat(h->boxes, to, h->boxes, from);
		place_let_go(h, to, &lock);
		return err_sys(e, r, "rename '%s/%s'", h->state_path, from);
	}
	(void)utimensat(h->state, to, NULL, AT_SYMLINK_NOFOLLOW); /* its age is from now on */
	let_go(h, from, false);
	return 0;
}

/* A work directory with the mark of a volatile mount is refused by the next (overlayfs.rst, "Volatile
 * mount"). To remove it would free four inodes, which makes the next four dear; so it is put aside,
 * and a directory of changes with many of those is given up. */
static bool put_work_aside(int box)
{
	int n = dirs_in(box, "old", OLD_MAX);
	char to[32];

	if (n == -ENOENT)
		n = sys_mkdir(box, "old", 0700);
	if (n < 0 || n >= OLD_MAX)
		return false;
	(void)fchmodat(box, "g1/work/work", 0700, 0); /* made with mode 0: it could not be moved */
	snprintf(to, sizeof(to), "old/%d", n);
	return renameat(box, "g1/work/work", box, to) == 0;
}

/* When the one before was there, and when it was written to, is nobody's business. */
static bool make_new(int box)
{
	return utimensat(box, "g1/upper", NULL, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Only g1 (and old, and a fork's @layers), and nothing but upper and work in it: no copies of files, no other
 * generation. */
static bool only_g1(int box, bool layers)
{
	int n = sys_names_count(box, OLD_MAX); /* it was opened just now */

	return n == 1 + layers + (faccessat(box, "old", F_OK, AT_SYMLINK_NOFOLLOW) == 0) &&
	       names_in(box, "g1", OLD_MAX) == 2;
}

void place_upper_give_back(struct home *h, const char *name)
{
	auto_fd int box = openat(h->boxes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool layers;

	if (box < 0)
		return;
	layers = nodes_only_base(box);
	if (!only_g1(box, layers) || !clean(box) || !make_new(box) || is_full(h->pool, ".") || !put_work_aside(box) ||
	    (layers && nodes_drop_base(box) < 0) || renameat(h->boxes, name, h->pool, without_dot(name)) < 0) {
		to_trash(h, name);
		layers = true;
	}
	if (layers) /* those may be nobody's now */
		place_sweep(h);
}

void place_generation_give_back(struct home *h, const char *name, uint32_t number)
{
	char from[300], to[300];

	snprintf(from, sizeof(from), "%.200s/g%u", name, number);
	snprintf(to, sizeof(to), "%.200s.g%u.%llx", name, number, (unsigned long long)sys_now_ns());
	if (renameat(h->boxes, from, h->trash, to) == 0)
		place_sweep(h);
}

/* A name that starts with a dot is given to nobody, so that nobody has what is removed here. */
static void drop_unused_names(int unused)
{
	char name[300], path[310];
	struct sys_names names;
	const char *x;

	sys_names_begin(&names, unused);
	while ((x = sys_names_next(&names))) {
		snprintf(name, sizeof(name), "%s%.255s", x[0] == '.' ? "" : ".", x);
		if (x[0] != '.' && renameat(unused, x, unused, name) < 0)
			continue; /* taken just now */
		snprintf(path, sizeof(path), "%s/lock", name);
		(void)unlinkat(unused, path, 0);
		(void)unlinkat(unused, name, AT_REMOVEDIR);
	}
}

void place_drop_unused(struct home *h)
{
	auto_fd int unused = openat(h->state, FREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int pool = openat(h->pool, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sys_names names;
	const char *x;
	char to[300];

	sys_names_begin(&names, pool);
	while ((x = sys_names_next(&names))) {
		if (x[0] == '.')
			continue;
		snprintf(to, sizeof(to), "%.255s.%llx", x, (unsigned long long)sys_now_ns());
		(void)renameat(h->pool, x, h->trash, to); /* not there: taken just now */
	}
	if (unused >= 0)
		drop_unused_names(unused);
}

void place_sweep(struct home *h)
{
	(void)home_sweep(h, -1, true, NULL); /* or a later one sweeps */
}

void place_sweep_others(struct home *h)
{
	uint64_t now = sys_now_ns();
	struct stat st;

	/* A directory has a link for each one below; .free is one, a twin another. Some file systems do not count. */
	if (now - h->looked_ns < LOOK_EVERY_NS || fstat(h->state, &st) < 0 ||
	    (st.st_nlink > 1 && st.st_nlink <= (twin_waits(h) ? 4u : 3u)))
		return;
	h->looked_ns = now;
	(void)home_sweep(h, -1, false, NULL);
}
