/* SPDX-License-Identifier: Apache-2.0
 *
 * storage.c - the keeper's mount namespace
 *
 * How it works: the keeper is born with a copy of its caller's mounts. It opens the trees that the
 * plan names, and builds a small tree of its own on a tmpfs, in which it stands from then on. The rest it
 * drops when nothing else is to do (storage_close): that is to wait for all processors once. What is
 * cloned before drops it for itself.
 *
 *	/lower/N	the layers of the root file system, read-only
 *	/store		hutch's data directory: boxes/NAME, layers/, trash/
 *	/up		where changes go: gN/upper and gN/work, one gN per generation; on disk a link
 *			to boxes/NAME
 *	/gen		the generated layer (place.c)
 *	/vol/N		volumes, as they will be moved into each generation
 *	/dev, /sys	what generations get, ready made
 *	/proc		never masked: as long as it is there, the kernel lets later generations mount
 *			theirs (a fully visible proc in the mount namespace is the condition)
 *	/empty, /new	for masks, and where a generation's root is built
 *
 * The order is forced: proc can only be mounted while the caller's fully visible one is still there;
 * clones can only be taken of mounts in one's own namespace. (sysfs comes from net.c.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"
#include "sys/proc.h"
#include "sys/restrict.h"

int inside_mkdir(const char *path, mode_t mode, struct err *e)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkdir '%s'", path);
	return 0;
}

/* To mount a file on. */
static int inside_file(const char *path, struct err *e)
{
	return mknod(path, S_IFREG | 0600, 0) < 0 ? err_sys(e, errno, "make '%s'", path) : 0;
}

int inside_tmpfs(const char *size, const char *inodes, unsigned attr, struct err *e)
{
	auto_fd int fs = sys_fsopen("tmpfs");
	int r = fs;

	if (r >= 0)
		r = sys_fs_string(fs, "size", size);
	if (r >= 0)
		r = sys_fs_string(fs, "nr_inodes", inodes);
	if (r >= 0)
		r = sys_fs_string(fs, "mode", "755");
	if (r >= 0)
		r = sys_fs_mount(fs, attr);
	return r < 0 ? err_sys(e, r, "make a tmpfs of %s bytes", size) : r;
}

static int attach(int mount, const char *at, struct err *e)
{
	int r = sys_attach(mount, AT_FDCWD, at);

	return r < 0 ? err_sys(e, r, "attach '%s'", at) : 0;
}

/* ---- trees of the host ------------------------------------------------------------------------ */

/* The mount for @t: it came with the plan, or is made here by path. */
static int take_tree(struct keeper *k, const struct plan_tree *t, struct err *e)
{
	const char *path;
	int fd;

	if (t->fd >= 0) {
		if ((unsigned)t->fd >= k->start.nfds)
			return err_set(e, ERR_INTERNAL, "a tree that did not come");
		return take_fd(&k->start.fds[t->fd]);
	}
	path = pack_get_str(&k->pack, t->path);
	if (!path)
		return err_set(e, ERR_INTERNAL, "a tree without a path");
	fd = sys_clone_tree(AT_FDCWD, path, (int)t->recursive);
	return fd < 0 ? err_sys(e, fd, "open '%s'", path) : fd;
}

struct trees {
	int lower[MSG_FDS_MAX], store, vol[MSG_FDS_MAX];
};

static int open_trees(struct keeper *k, struct trees *t, struct err *e)
{
	const struct plan *pl = k->plan;
	const struct plan_tree *low = pack_at(&k->pack, pl->lowers.at, 0);
	const struct plan_mount *m = pack_at(&k->pack, pl->mounts.at, 0);

	if (pl->lowers.count > MSG_FDS_MAX || pl->mounts.count > MSG_FDS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d layers or mounts", MSG_FDS_MAX);
	for (uint32_t i = 0; i < pl->lowers.count; i++) {
		t->lower[i] = take_tree(k, &low[i], e);
		if (t->lower[i] < 0)
			return err_wrap(e, "root file system");
	}
	if (pl->store.path || pl->store.fd >= 0) {
		t->store = take_tree(k, &pl->store, e);
		if (t->store < 0)
			return err_wrap(e, "data directory");
	}
	for (uint32_t i = 0; i < pl->mounts.count; i++) {
		if (m[i].kind == PLAN_TMPFS)
			continue;
		t->vol[i] = take_tree(k, &m[i].tree, e);
		if (t->vol[i] < 0)
			return err_wrap(e, "mount at '%s'", pack_get_str(&k->pack, m[i].target));
	}
	return 0;
}

/* What a volume may do. It cannot be changed from inside later. */
static int restrict_volume(const struct plan_mount *m, const char *at, struct err *e)
{
	uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	int r;

	if (m->readonly || m->kind == PLAN_COW || m->kind == PLAN_HOST_TREE)
		attr |= MOUNT_ATTR_RDONLY;
	r = sys_restrict(at, attr, "proc");
	return r < 0 ? err_sys(e, r, "limit what can be done there") : 0;
}

/* Covers what a volume is not to show. */
static int hide(struct keeper *k, const struct plan_mount *m, const char *volume, struct err *e)
{
	char path[4200];
	int r;

	for (int i = 0; i < 2; i++) {
		const char *below = pack_get_str(&k->pack, m->hide[i]);

		if (!below)
			continue;
		snprintf(path, sizeof(path), "%s/%s", volume, below);
		if (mount("empty", path, NULL, MS_BIND, NULL) < 0)
			return err_sys(e, errno, "cover '%s'", below);
		r = sys_restrict(path, MOUNT_ATTR_RDONLY, "proc");
		if (r < 0)
			return err_sys(e, r, "cover '%s'", below);
	}
	return 0;
}

static int place_trees(struct keeper *k, struct trees *t, struct err *e)
{
	const struct plan_mount *m = pack_at(&k->pack, k->plan->mounts.at, 0);
	char path[32];
	int r;

	for (uint32_t i = 0; i < k->plan->lowers.count; i++) {
		snprintf(path, sizeof(path), "lower/%u", i);
		r = inside_mkdir(path, 0755, e);
		if (r < 0)
			return r;
		r = attach(t->lower[i], path, e);
		if (r < 0)
			return r;
		/* Nobody writes there; should somebody find the way, he does not either. */
		r = sys_restrict(path, MOUNT_ATTR_RDONLY, "proc");
		if (r < 0)
			return err_sys(e, r, "make a layer read-only");
		close(t->lower[i]);
	}
	for (uint32_t i = 0; i < k->plan->mounts.count; i++) {
		if (m[i].kind == PLAN_TMPFS)
			continue;
		snprintf(path, sizeof(path), "vol/%u", i);
		r = m[i].is_dir ? inside_mkdir(path, 0755, e) : inside_file(path, e);
		if (r == 0)
			r = attach(t->vol[i], path, e);
		if (r == 0)
			r = restrict_volume(&m[i], path, e);
		if (r == 0)
			r = hide(k, &m[i], path, e);
		if (r < 0)
			return err_wrap(e, "mount at '%s'", pack_get_str(&k->pack, m[i].target));
		close(t->vol[i]);
	}
	return 0;
}

static int place_store(const struct keeper *k, struct trees *t, struct err *e)
{
	const char *box = pack_get_str(&k->pack, k->plan->box);
	int r = t->store < 0 ? 0 : attach(t->store, "store", e);
	char to[300];

	close_fd(&t->store);
	if (r < 0 || !box) /* in memory: each generation makes a tmpfs of its own */
		return r < 0 ? r : inside_mkdir("up", 0755, e);
	snprintf(to, sizeof(to), "store/boxes/%s", box);
	/* A snapshot that came at once has made it. */
	if (k->plan->flags & PLAN_NEW_BOX && mkdir(to, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make the directory for changes");
	return symlink(to, "up") < 0 ? err_sys(e, errno, "link the directory for changes") : 0;
}

/* ---- /dev ------------------------------------------------------------------------------------- */

static int bind_device(const char *from, const char *to, struct err *e)
{
	if (mknod(to, S_IFREG | 0666, 0) < 0 && errno != EEXIST)
		return err_sys(e, errno, "make '%s'", to);
	if (mount(from, to, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, errno, "bind '%s'", from);
	return 0;
}

/* Directories of @path ("dev/a/b") down to the last slash. */
static int parents(char *path, struct err *e)
{
	int r = 0;

	for (char *s = strchr(path, '/'); s && r == 0; s = strchr(s + 1, '/')) {
		*s = '\0';
		r = inside_mkdir(path, 0755, e);
		*s = '/';
	}
	return r;
}

/* Can the sandbox's root open it at all? */
static int try_device(const char *path, const char *source, struct err *e)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_sys(e, errno, "device '%s' cannot be opened by the ids of the sandbox",
			       source);
	if (fd >= 0)
		close(fd);
	return 0; /* no such hardware, busy: that is for the command to find out */
}

static int one_device(struct keeper *k, const struct plan_device *d, const char *source,
		      struct err *e)
{
	const char *target = pack_get_str(&k->pack, d->target);
	const char *name = pack_get_str(&k->pack, d->source);
	char path[512];
	int r;

	if ((size_t)snprintf(path, sizeof(path), "%s", target + 1) >= sizeof(path))
		return err_set(e, ERR_INVALID, "device path '%s' is too long", target);
	r = parents(path, e);
	if (r == 0)
		r = bind_device(source, path, e);
	return r < 0 ? r : try_device(path, name, e);
}

static int asked_devices(struct keeper *k, struct err *e)
{
	const struct plan_device *d = pack_at(&k->pack, k->plan->devices.at, 0);
	bool nodes = k->plan->nodes >= 0 && (unsigned)k->plan->nodes < k->start.nfds;
	char source[24];
	int r = 0;

	if (nodes) {
		r = inside_mkdir("nodes", 0755, e);
		if (r == 0)
			r = attach(k->start.fds[k->plan->nodes], "nodes", e);
	}
	for (uint32_t i = 0; i < k->plan->devices.count && r == 0; i++) {
		snprintf(source, sizeof(source), "nodes/%u", i);
		r = one_device(k, &d[i], nodes ? source : pack_get_str(&k->pack, d[i].source), e);
	}
	return r;
}

static int build_dev(struct err *e)
{
	static const char *const nodes[][2] = {
		{"/dev/null", "dev/null"},     {"/dev/zero", "dev/zero"},
		{"/dev/full", "dev/full"},     {"/dev/random", "dev/random"},
		{"/dev/urandom", "dev/urandom"}, {"/dev/tty", "dev/tty"},
	};
	static const char *const links[][2] = {
		{"/proc/self/fd", "dev/fd"},	   {"/proc/self/fd/0", "dev/stdin"},
		{"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
		{"pts/ptmx", "dev/ptmx"},
	};
	static const char *const dirs[] = {"dev/pts", "dev/shm", "dev/mqueue"};
	auto_fd int fd = inside_tmpfs("65536", "256", MOUNT_ATTR_NOSUID, e);
	int r;

	if (fd < 0)
		return fd;
	r = attach(fd, "dev", e);
	for (size_t i = 0; r == 0 && i < sizeof(nodes) / sizeof(*nodes); i++)
		r = bind_device(nodes[i][0], nodes[i][1], e);
	for (size_t i = 0; r == 0 && i < sizeof(links) / sizeof(*links); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			r = err_sys(e, errno, "link '%s'", links[i][1]);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(*dirs); i++)
		r = inside_mkdir(dirs[i], 0755, e);
	return r;
}

/* The last word on /dev: what was asked for, then nothing more. */
static int close_dev(struct keeper *k, struct err *e)
{
	int r = asked_devices(k, e);

	if (r < 0)
		return r;
	/* With the devices: their times and modes are the host's. Reading and writing them is not a
	 * matter of the mount. */
	r = sys_restrict("dev", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, "proc");
	return r < 0 ? err_sys(e, r, "make /dev read-only") : 0;
}

/* ---- the whole -------------------------------------------------------------------------------- */

static int witness(struct err *e)
{
	if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(e, errno,
			       "mount proc (hidden by a container? `hutch doctor` has the remedy)");
	return 0;
}

int storage_sysfs(const struct keeper *k, int made, const char *at, struct err *e)
{
	static const char *const hidden[] = {"firmware", "devices/virtual/powercap"};
	char path[64];
	int r = attach(made, at, e);

	close(made);
	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden) && r == 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", at, hidden[i]);
		if (k->plan->flags & PLAN_UNMASKED ||
		    (mount("empty", path, NULL, MS_BIND, NULL) < 0 && errno == ENOENT))
			continue;
		r = sys_restrict(path, MOUNT_ATTR_RDONLY, "proc");
		if (r < 0)
			return err_sys(e, r, "mask '/sys/%s'", hidden[i]);
	}
	return r;
}

int storage_open(struct keeper *k, struct err *e)
{
	k->callers_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	k->proc = open("proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	k->home_mnt = openat(k->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (k->callers_root < 0 || k->home_mnt < 0)
		return err_sys(e, errno, "open the keeper's namespace");
	return 0;
}

/* It lies below the storage, which is mounted on its root: from there it is exchanged. */
static int drop_callers_tree(struct keeper *k, struct err *e)
{
	int r;

	if (fchdir(k->callers_root) < 0 || chroot(".") < 0 || fchdir(k->storage) < 0)
		return err_sys(e, errno, "enter the storage");
	r = sys_pivot_here();
	if (r < 0)
		return err_sys(e, r, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(e, errno, "drop the caller's mounts");
	return chdir("/") < 0 ? err_sys(e, errno, "chdir") : 0;
}

bool storage_is_open(const struct keeper *k)
{
	return k->storage >= 0 || (k->spent && k->home_mnt >= 0);
}

int storage_close(struct keeper *k, struct err *e)
{
	int r = 0;

	if (!k->spent && k->storage >= 0) {
		/* The first generation's sysfs is that of all: the kernel mounts none any more. */
		int sysfs = k->sysfs < 0 ? -1 :
			    k->plan->flags & PLAN_NESTED ? take_fd(&k->sysfs) : sys_clone_tree(k->sysfs, "", 0);

		if (k->sysfs >= 0 && (sysfs == -EMFILE || sysfs == -ENFILE)) /* there are too many clients: all is as it was */
			return err_sys(e, sysfs, "keep the sysfs");
		r = k->sysfs >= 0 && sysfs < 0 ? err_sys(e, sysfs, "keep the sysfs") : reset_go_home(k, e);
		if (r == 0)
			r = drop_callers_tree(k, e);
		if (r == 0 && sysfs >= 0)
			r = storage_sysfs(k, sysfs, "sys", e);
		if (r == 0)
			r = generation_return(k, e);
	}
	close_fd(&k->storage);
	close_fd(&k->callers_root);
	close_fd(&k->sysfs);
	if (k->spent)
		close_fd(&k->home_mnt);
	return r;
}

int storage_prepare(struct keeper *k, struct err *e)
{
	static const char *const dirs[] = {"new", "dev", "lower", "store", "sys",
					   "proc", "vol", "gen", "empty"};
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, errno, "make mounts private");
	k->storage = inside_tmpfs("16777216", "16384", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
	if (k->storage < 0)
		return k->storage;
	r = attach(k->storage, "/", e); /* on top of it: paths still lead into the caller's tree */
	if (r == 0 && fchdir(k->storage) < 0)
		r = err_sys(e, errno, "enter the storage");
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(*dirs); i++)
		r = inside_mkdir(dirs[i], 0755, e);
	if (r == 0)
		r = build_dev(e);
	k->marks[MARK_DEV] = sys_now_ns();
	if (r == 0)
		r = witness(e);
	k->marks[MARK_PROC] = sys_now_ns();
	return r;
}

int storage_build(struct keeper *k, struct err *e)
{
	struct trees t = {.store = -1};
	int r = open_trees(k, &t, e);

	if (r == 0)
		r = place_trees(k, &t, e);
	if (r == 0)
		r = place_store(k, &t, e);
	if (r == 0 && k->plan->flags & PLAN_TWIN && (k->nameless.storage = fcntl(k->storage, F_DUPFD_CLOEXEC, 3)) < 0)
		r = err_sys(e, errno, "keep the storage");
	if (r == 0)
		r = close_dev(k, e);
	k->marks[MARK_TREES] = sys_now_ns();
	return r;
}
