/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - the directories of one sandbox: its name, and where its changes go
 *
 * How it works: a name is a directory of the state directory with a file `lock` in it. The keeper
 * holds a lock on that file (an OFD lock, which lives as long as a descriptor of it), so whoever
 * gets the lock knows that the sandbox is dead and may remove or reuse what it left. Because a
 * file can be removed between open and lock, who has the lock compares what he holds with what is
 * there now.
 *
 * Changes go to boxes/NAME/gN. A fresh ext4 directory is dear and one just emptied is dearer, so
 * unused ones wait in pool/ and are taken by rename. At the end a directory that is as it was goes
 * back to the pool, any other into trash/, by rename: no chmod of the inside can prevent that.
 *
 * Order: the name is taken first and given back last. So what is in boxes/ without a name in the
 * state directory is nobody's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "sys/proc.h"
#include "wire/msg.h"

enum { TRIES = 20 };

/* Opens and locks @name's lock file. Return: 1 with *ret_lock, 0 when somebody holds it, -EAGAIN
 * when it was removed meanwhile, or another -errno. */
static int try_lock(int dir, int *ret_lock)
{
	struct flock l = {.l_type = F_WRLCK, .l_len = 1};
	auto_fd int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat held, there;

	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno; /* the directory is being removed */
	if (fcntl(fd, F_OFD_SETLK, &l) < 0)
		return errno == EAGAIN || errno == EACCES ? 0 : -errno;
	if (fstat(fd, &held) < 0 || fstatat(dir, "lock", &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    held.st_ino != there.st_ino)
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

int place_take(struct home *h, const char *name, int *ret_lock, struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		bool fresh = mkdirat(h->state, name, 0700) == 0;
		auto_fd int dir = -1;
		int r;

		if (!fresh && errno != EEXIST)
			return err_sys(e, errno, "make '%s/%s'", h->state_path, name);
		dir = openat(h->state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0 && errno == ENOENT)
			continue;
		if (dir < 0)
			return err_sys(e, errno, "open '%s/%s'", h->state_path, name);
		r = try_lock(dir, ret_lock);
		if (r == 1) {
			if (!fresh)
				to_trash(h, name);
			return 0;
		}
		if (r == 0)
			return err_set(e, ERR_EXISTS, "the name '%s' is taken", name);
		if (r != -EAGAIN)
			return err_sys(e, r, "lock '%s/%s/lock'", h->state_path, name);
	}
	return err_set(e, ERR_BUSY, "the name '%s' is being taken by others", name);
}

void place_give_back(struct home *h, const char *name)
{
	auto_fd int dir = openat(h->state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int lock = -1;

	/* Whoever holds the lock has taken the name over already. */
	if (dir < 0 || try_lock(dir, &lock) != 1)
		return;
	(void)unlinkat(dir, "lock", 0);
	(void)unlinkat(h->state, name, AT_REMOVEDIR);
}

/* ---- where changes go ------------------------------------------------------------------------- */

static bool from_pool(struct home *h, const char *name)
{
	int again = openat(h->pool, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (x->d_name[0] != '.' && renameat(h->pool, x->d_name, h->boxes, name) == 0)
			return true;
	return false;
}

int place_upper_take(struct home *h, const char *name, struct err *e)
{
	if (from_pool(h, name))
		return 0;
	if (mkdirat(h->boxes, name, 0700) < 0)
		return err_sys(e, errno, "make '%s/boxes/%s'", h->data_path, name);
	return 0;
}

/* How many names @name below @dir has; -1: it cannot be read. */
static int names_in(int dir, const char *name)
{
	int again = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), n = 0;
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	while (d && n < 8 && (x = readdir(d)))
		n += strcmp(x->d_name, ".") && strcmp(x->d_name, "..");
	return d ? n : -1;
}

/* A work directory with the mark of a volatile mount is refused by the next: overlayfs.rst, "Volatile
 * mount". Overlayfs makes its directories with mode 0. */
static bool unmark_volatile(int box)
{
	static const char *const marks[] = {"g1/work/work", "g1/work/work/incompat",
					    "g1/work/work/incompat/volatile",
					    "g1/work/work/incompat/volatile/dirty"};

	for (int i = 0; i < 3; i++)
		(void)fchmodat(box, marks[i], 0700, 0); /* root needs none of it */
	return unlinkat(box, marks[3], 0) == 0 && unlinkat(box, marks[2], AT_REMOVEDIR) == 0 &&
	       unlinkat(box, marks[1], AT_REMOVEDIR) == 0;
}

/* As it was made: the inside has written nothing, not even to / itself. What overlayfs leaves in
 * work/ is removed. */
static bool clean(int box)
{
	auto_fd int upper = openat(box, "g1/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (upper < 0 || fstat(upper, &st) < 0 || st.st_uid != geteuid() ||
	    (st.st_mode & 07777) != 0755 || flistxattr(upper, NULL, 0) != 0 ||
	    names_in(upper, ".") != 0)
		return false;
	return unmark_volatile(box);
}

/* Only g1, and nothing but upper and work in it: no copies of files, no other generation. */
static bool only_g1(int box)
{
	return names_in(box, ".") == 1 && names_in(box, "g1") == 2;
}

void place_upper_give_back(struct home *h, const char *name)
{
	auto_fd int box = openat(h->boxes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (box < 0)
		return;
	if (only_g1(box) && clean(box) && renameat(h->boxes, name, h->pool, name) == 0)
		return;
	to_trash(h, name);
	place_sweep(h);
}

void place_sweep(struct home *h)
{
	struct msg_head head = {.op = OP_SWEEP};
	int fds[] = {h->trash, h->state, h->boxes};

	pthread_mutex_lock(&h->lock);
	if (h->nursery >= 0)
		(void)msg_send(h->nursery, &head, NULL, 0, fds, 3); /* or a later one sweeps */
	pthread_mutex_unlock(&h->lock);
}
