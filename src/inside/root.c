/* SPDX-License-Identifier: Apache-2.0
 *
 * root.c - the file tree that the inside sees
 *
 * How it works: the keeper stacks an overlay, attached nowhere yet (overlay.c). Whoever builds, the keeper
 * or a later generation's reaper, stands in a copy of the storage (storage.c): below that may still be the
 * caller's tree, so all paths are relative. He attaches the overlay to new, moves the ready-made trees into
 * it, mounts what belongs to a generation alone (proc, shm, mqueue, terminals), covers what must not be
 * seen, and makes it the root. What is dropped there is only the copy: the kernel waits for all processors then, so
 * of the first generation it is done beside the caller, who knows already that the sandbox is ready, and before
 * anything is heard of him.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/generation.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

/* ---- what is mounted into it ------------------------------------------------------------------ */

static int kernel_trees(struct keeper *k, struct generation *g, struct err *e)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char opt[80];
	int r;

	r = sys_move(AT_FDCWD, "dev", AT_FDCWD, "new/dev");
	if (r < 0)
		return err_sys(e, r, "move /dev");
	r = sys_attach(g->pts, AT_FDCWD, "new/dev/pts");
	if (r < 0)
		return err_sys(e, r, "attach /dev/pts");
	snprintf(opt, sizeof(opt), "mode=1777,size=%llu,nr_inodes=65536",
		 (unsigned long long)k->plan->shm_size);
	if (mount("shm", "new/dev/shm", "tmpfs", flags, opt) < 0)
		return err_sys(e, errno, "mount /dev/shm");
	return 0;
}

/* It shows the queues of the ipc namespace in which it is mounted: a nested one comes later. */
static int mqueue(struct keeper *k, struct generation *g, struct err *e)
{
	int r = 0;

	if (k->plan->flags & PLAN_NESTED)
		return 0;
	if (g->mqueue >= 0)
		r = sys_attach(g->mqueue, AT_FDCWD, "new/dev/mqueue");
	else if (mount("mqueue", "new/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "mount /dev/mqueue") : 0;
}

static int copy_file(const char *from, const char *to, struct err *e)
{
	auto_fd int in = open(from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), out = -1;
	struct stat st;
	char buf[8192];
	ssize_t n;

	if (in < 0 || fstat(in, &st) < 0)
		return err_sys(e, errno, "open the file to copy");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "only a regular file can be copied");
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return err_sys(e, errno, "make the copy");
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(out, buf + done, (size_t)(n - done));

			if (w < 0)
				return err_sys(e, errno, "write the copy");
			done += w;
		}
	if (n < 0)
		return err_sys(e, errno, "read the file to copy");
	(void)fchown(out, st.st_uid, st.st_gid); /* not mapped: stays ours */
	if (fchmod(out, st.st_mode & 0777) < 0 ||
	    futimens(out, (struct timespec[]){st.st_atim, st.st_mtim}) < 0)
		return err_sys(e, errno, "give the copy its mode and times");
	return 0;
}

/* Who reads may get no answer, so the keeper (which builds the first root itself, see first.c) lets a child of its own do
 * it, and goes on to look whether it is still wanted. */
static int copy_beside(struct keeper *k, const char *from, const char *to, struct err *e)
{
	auto_fd int news = -1;
	int pair[2], status = -1, r;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	pid = sys_fork(0, NULL);
	if (pid == 0) {
		if (copy_file(from, to, e) < 0)
			(void)!write(pair[1], e, sizeof(*e));
		_exit(0);
	}
	close(pair[1]);
	news = pair[0];
	if (pid < 0)
		return err_sys(e, -pid, "make a process");
	generation_await(k, news);
	r = read(news, e, sizeof(*e)) == (ssize_t)sizeof(*e) ? e->code : 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r == 0 && status ? err_set(e, ERR_DIED, "who copied '%s' was killed", from) : r;
}

#define HIDDEN_COPY "new/.hutch-cow"

/* What snapshots have of it lies between: path of the part @i of layer number @n. */
static bool in_layer(const struct generation *g, uint32_t n, unsigned i, const char *below, char ret[64])
{
	snprintf(ret, 64, "store/layers/%s/cow%u%s", g->on->v[n], i, below);
	return faccessat(AT_FDCWD, ret, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A private copy of a file. A mount shows where on its file system it comes from; so the copy is made
 * on the overlay, and its name removed once it is bound. A read-only root has no place for it. */
static int cow_file(struct keeper *k, const struct generation *g, unsigned i, const char *vol,
		    const char *wrapper, struct err *e)
{
	bool hidden = !(k->plan->flags & PLAN_READONLY_ROOT);
	const char *copy = hidden ? HIDDEN_COPY : wrapper, *from = vol;
	char last[64];
	int r = -1, fd;

	for (uint32_t l = 0; l < g->on->n && from == vol; l++)
		if (in_layer(g, l, i, "", last))
			from = last;
	if (g->continued) /* an earlier keeper's: without a name, or half made; or the one it changed */
		r = hidden ? unlink(copy) : access(copy, F_OK);
	if (r < 0 || hidden)
		r = g->news >= 0 ? copy_beside(k, from, copy, e) : copy_file(from, copy, e); /* the keeper; a reaper */
	if (r < 0)
		return r;
	fd = sys_clone_tree(AT_FDCWD, copy, 0);
	if (fd < 0)
		return err_sys(e, fd, "bind the copy");
	(void)sys_set_attr(fd, "", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0); /* Linux 5.12 */
	return fd;
}

static int cow_dir(const struct generation *g, unsigned i, const char *vol, const char *wrapper, struct err *e)
{
	static char names[STACK_MAX][64];
	static const char *lowers[STACK_MAX + 1];
	unsigned n = 0;
	struct places p;
	struct stat st;
	int r = overlay_places(wrapper, &p, e);

	for (uint32_t l = 0; l < g->on->n; l++)
		if (in_layer(g, l, i, "/upper", names[n])) {
			lowers[n] = names[n];
			n++;
		}
	lowers[n++] = vol;
	/* The root of an overlay shows the mode and owner of its upper directory. */
	if (r == 0 && !g->continued && stat(lowers[0], &st) == 0) {
		(void)lchown(p.upper, st.st_uid, st.st_gid); /* not mapped: stays ours */
		(void)chmod(p.upper, st.st_mode & 07777);
	}
	return r < 0 ? r : overlay_make(lowers, n, &p, e);
}

/* A volume that the inside may change without the host noticing. */
static int cow(struct keeper *k, struct generation *g, unsigned i, bool is_dir, int target,
	       struct err *e)
{
	char vol[32], wrapper[48];
	auto_fd int fd = -1;
	int r;

	snprintf(vol, sizeof(vol), "vol/%u", i);
	snprintf(wrapper, sizeof(wrapper), "up/g%u", g->number);
	r = inside_mkdir(wrapper, 0700, e);
	snprintf(wrapper, sizeof(wrapper), "up/g%u/cow%u", g->number, i);
	if (r == 0)
		r = fd = is_dir ? cow_dir(g, i, vol, wrapper, e) : cow_file(k, g, i, vol, wrapper, e);
	if (r < 0)
		return r;
	r = sys_attach(fd, target, "");
	(void)unlink(HIDDEN_COPY); /* only once it is attached; most have none */
	return r < 0 ? err_sys(e, r, "attach it") : 0;
}

/* What is above it may be of the inside: no link there is followed. */
static bool make_below(int root, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	char above[PATH_MAX];
	auto_fd int dir = -1;

	snprintf(above, sizeof(above), "%.*s", (int)(name - path), path);
	dir = sys_open_no_links(root, above, O_PATH | O_DIRECTORY);
	return dir >= 0 && mkdirat(dir, name, 0755) == 0;
}

static int open_target(int root, const char *path, bool is_dir, struct err *e)
{
	int fd = sys_open_no_links(root, path, O_PATH);

	if (fd == -ENOENT && is_dir && make_below(root, path)) /* in another mount, as Docker does */
		fd = sys_open_no_links(root, path, O_PATH);
	return fd < 0 ? err_sys(e, fd, "open target '%s'", path) : fd;
}

static int mount_tmpfs(const struct plan_mount *m, int target, struct err *e)
{
	unsigned attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (m->exec ? 0 : MOUNT_ATTR_NOEXEC) |
			(m->readonly ? MOUNT_ATTR_RDONLY : 0);
	auto_fd int fs = sys_fsopen("tmpfs"), mnt = -1;
	char size[32], mode[16];
	int r = fs;

	snprintf(size, sizeof(size), "%llu", (unsigned long long)m->size);
	snprintf(mode, sizeof(mode), "%o", m->mode);
	if (r >= 0)
		r = sys_fs_string(fs, "size", size);
	if (r >= 0)
		r = sys_fs_string(fs, "nr_inodes", "1000000");
	if (r >= 0)
		r = sys_fs_string(fs, "mode", mode);
	if (r >= 0)
		r = mnt = sys_fs_mount(fs, attr);
	if (r >= 0)
		r = sys_attach(mnt, target, "");
	return r < 0 ? err_sys(e, r, "mount a tmpfs") : 0;
}

static int one_mount(struct keeper *k, struct generation *g, const struct plan_mount *m,
		     unsigned i, int root, struct err *e)
{
	bool is_dir = m->kind == PLAN_TMPFS || m->is_dir;
	auto_fd int target = -1;
	char vol[32];
	int r;

	target = open_target(root, k->targets[i], is_dir, e);
	if (target < 0)
		return target;
	if (m->kind == PLAN_TMPFS)
		return mount_tmpfs(m, target, e);
	if (m->kind == PLAN_COW)
		return cow(k, g, i, m->is_dir, target, e);
	snprintf(vol, sizeof(vol), "vol/%u", i);
	r = sys_move(AT_FDCWD, vol, target, "");
	return r < 0 ? err_sys(e, r, "attach") : 0;
}

static int mounts(struct keeper *k, struct generation *g, struct err *e)
{
	const struct plan_mount *m = pack_at(&k->pack, k->plan->mounts.at, 0);
	auto_fd int root = -1;

	if (!k->plan->mounts.count)
		return 0;
	root = open("new", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "open the new root");
	for (uint32_t i = 0; i < k->plan->mounts.count; i++) {
		int r = one_mount(k, g, &m[i], i, root, e);

		if (r < 0)
			return err_wrap(e, "mount at '%s'", pack_get_str(&k->pack, m[i].target));
	}
	return 0;
}

/* ---- proc ------------------------------------------------------------------------------------- */

/* The paths are runc's defaults: opencontainers/runc libcontainer/specconv/example.go, maskedPaths
 * and readonlyPaths. */
static int mask(struct err *e)
{
	static const char *const files[] = {"interrupts", "kcore", "keys", "latency_stats",
					    "timer_list", "timer_stats", "sched_debug"};
	static const char *const dirs[] = {"asound", "acpi", "scsi"};
	static const char *const readonly[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};
	char path[64];
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "new/proc/%s", files[i]);
		if (mount("new/dev/null", path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
			return err_sys(e, errno, "mask '%s'", path + 3);
	}
	for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		snprintf(path, sizeof(path), "new/proc/%s", dirs[i]);
		if (mount("empty", path, NULL, MS_BIND, NULL) < 0) {
			if (errno == ENOENT)
				continue;
			return err_sys(e, errno, "mask '%s'", path + 3);
		}
		if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
			  NULL) < 0)
			return err_sys(e, errno, "mask '%s'", path + 3);
	}
	for (i = 0; i < sizeof(readonly) / sizeof(*readonly); i++) {
		snprintf(path, sizeof(path), "new/proc/%s", readonly[i]);
		if (mount(path, path, NULL, MS_BIND, NULL) < 0) {
			if (errno == ENOENT)
				continue;
			return err_sys(e, errno, "bind '%s'", path + 3);
		}
		if (mount(NULL, path, NULL,
			  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  NULL) < 0)
			return err_sys(e, errno, "make '%s' read-only", path + 3);
	}
	return 0;
}

static int proc(struct keeper *k, struct generation *g, struct err *e)
{
	int r = 0;

	if (g->proc >= 0)
		r = sys_attach(g->proc, AT_FDCWD, "new/proc");
	else if (mount("proc", "new/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(e, r, "mount /proc");
	return k->plan->flags & PLAN_UNMASKED ? 0 : mask(e);
}

/* Last: for the first generation it is still in the making. */
static int sysfs(struct keeper *k, struct generation *g, struct err *e)
{
	int r;

	if (!k->net_joined)
		return net_join(k, g, e);
	r = sys_move(AT_FDCWD, "sys", AT_FDCWD, "new/sys");
	return r < 0 ? err_sys(e, r, "move /sys") : 0;
}

int root_attach(struct generation *g, struct err *e)
{
	int r = sys_attach(g->root, AT_FDCWD, "new");

	return r < 0 ? err_sys(e, r, "attach the overlay") : 0;
}

/* Makes it the root of this mount namespace; on top of it lies still what was there. */
static int enter_root(const struct keeper *k, struct err *e)
{
	/* What is on top of the root falls first; so that the caller's tree falls in one, the storage leaves
	 * its top. */
	int r = k->storage < 0 ? 0 : sys_move(AT_FDCWD, ".", AT_FDCWD, "/proc");

	if (r < 0)
		return err_sys(e, r, "move the storage");
	if (chdir("new") < 0)
		return err_sys(e, errno, "enter the new root");
	r = sys_pivot_here();
	return r < 0 ? err_sys(e, r, "pivot_root") : 0;
}

int root_drop(struct keeper *k, struct err *e)
{
	if (!k->undropped)
		return 0;
	if (umount2("/", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(e, errno, "drop the storage");
	k->undropped = false;
	return 0;
}

/* What an earlier keeper's inside wrote may have covered the places where mounts go by name: those must be
 * directories, reached without a link. */
static int check_continued(struct err *e)
{
	static const char *const dirs[] = {"dev", "proc", "sys"};
	auto_fd int root = open("new", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		auto_fd int fd = sys_open_no_links(root, dirs[i], O_PATH | O_DIRECTORY);

		if (fd < 0)
			return err_sys(e, fd, "open '/%s', which was changed inside", dirs[i]);
	}
	return 0;
}

int root_build(struct keeper *k, struct generation *g, struct err *e)
{
	int r = g->continued ? check_continued(e) : 0;

	if (r == 0)
		r = kernel_trees(k, g, e);
	if (r == 0)
		r = mounts(k, g, e);
	k->marks[MARK_MOUNTS] = sys_now_ns();
	if (r == 0)
		r = generation_begun(k, g, e);
	if (r == 0)
		r = mqueue(k, g, e);
	if (r == 0)
		r = proc(k, g, e);
	k->marks[MARK_GPROC] = sys_now_ns();
	if (r == 0 && k->prep.net)
		r = sysfs(k, g, e);
	if (r == 0)
		r = enter_root(k, e);
	k->undropped = r == 0;
	k->marks[MARK_PIVOT] = sys_now_ns();
	return r;
}
