/* SPDX-License-Identifier: Apache-2.0
 *
 * overlay.c - layers stacked to one file tree, and where what is written goes
 *
 * How it works: all is named relative to the storage (storage.c), in which whoever stacks stands. Topmost is the
 * upper directory of a generation; below it those that snapshots froze, the generated layer, and those of the
 * plan. What comes out is a mount that is attached nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "inside/layer.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

int overlay_places(const char *name, struct places *p, struct err *e)
{
	int r;

	snprintf(p->upper, sizeof(p->upper), "%s/upper", name);
	snprintf(p->work, sizeof(p->work), "%s/work", name);
	r = inside_mkdir(name, 0700, e);
	if (r == 0)
		r = inside_mkdir(p->upper, 0755, e);
	if (r == 0)
		r = inside_mkdir(p->work, 0700, e);
	return r;
}

/* Before Linux 6.5 layers cannot be given one by one: one option string, at most a page. */
static int overlay_by_string(const char *const *lowers, unsigned n, const struct places *p,
			     struct err *e)
{
	unsigned long flags = MS_NODEV | (p ? 0 : MS_RDONLY);
	char opt[4096];
	size_t len;
	int r;

	len = (size_t)snprintf(opt, sizeof(opt), "userxattr,%s%s%s%s%slowerdir=",
			       p ? "volatile,index=off,upperdir=" : "", p ? p->upper : "",
			       p ? ",workdir=" : "", p ? p->work : "", p ? "," : "");
	for (unsigned i = 0; i < n && len < sizeof(opt); i++)
		len += (size_t)snprintf(opt + len, sizeof(opt) - len, "%s%s", i ? ":" : "",
					lowers[i]);
	if (len >= sizeof(opt))
		return err_set(e, ERR_UNSUPPORTED, "%u layers need Linux 6.5", n);
	if (mount("overlay", "new", "overlay", flags, opt) < 0)
		return err_sys(e, errno, "mount an overlay");
	r = sys_clone_tree(AT_FDCWD, "new", 0);
	(void)umount2("new", MNT_DETACH); /* the clone is what counts */
	return r < 0 ? err_sys(e, r, "take the overlay") : r;
}

static int stack_up(const char *const *lowers, unsigned n, const struct places *p, struct err *e)
{
	unsigned attr = MOUNT_ATTR_NODEV | (p ? 0 : MOUNT_ATTR_RDONLY);
	auto_fd int fs = sys_fsopen("overlay");
	int r = fs;

	if (r >= 0)
		r = sys_fs_flag(fs, "userxattr");
	for (unsigned i = 0; r >= 0 && i < n; i++) {
		r = sys_fs_string(fs, "lowerdir+", lowers[i]);
		if (r == -EINVAL && i == 0)
			return overlay_by_string(lowers, n, p, e);
	}
	/* No name of its own in an xattr of the upper directory (Linux 6.6 does that, before nobody
	 * did and the option is unknown). */
	if (r >= 0 && p)
		(void)sys_fs_string(fs, "uuid", "null");
	/* Changes are continued over other layers below (the generated one is new each time), which an
	 * index, the default of some kernels, refuses with ESTALE. */
	if (r >= 0 && p)
		(void)sys_fs_string(fs, "index", "off");
	/* Without volatile the last umount syncs the whole file system below. */
	if (r >= 0 && p)
		r = sys_fs_flag(fs, "volatile");
	if (r >= 0 && p)
		r = sys_fs_string(fs, "upperdir", p->upper);
	if (r >= 0 && p)
		r = sys_fs_string(fs, "workdir", p->work);
	if (r >= 0)
		r = sys_fs_mount(fs, attr);
	if (r == -ELOOP)
		return err_set(e, ERR_INVALID,
			       "the root file system contains hutch's own data directory (--host shows "
			       "this machine's programs; HUTCH_HOME moves the directory)");
	return r < 0 ? err_sys(e, r, "mount an overlay (can the file system of the data directory "
				     "be an upper layer? `hutch doctor` tells)") : r;
}

/* Where the kernel cannot make the work directory that it needs, it says so in its log and mounts read-only. */
static int is_writable(int mnt, struct err *e)
{
	struct statvfs fs;

	if (fstatvfs(mnt, &fs) < 0)
		return err_sys(e, errno, "look at the overlay");
	return fs.f_flag & ST_RDONLY ? err_sys(e, ENOSPC, "make room for changes (has the file system of the data directory no "
							  "space or no inodes left?)") : 0;
}

int overlay_make(const char *const *lowers, unsigned n, const struct places *p, struct err *e)
{
	int mnt = stack_up(lowers, n, p, e), r = mnt;

	if (mnt >= 0 && p)
		r = is_writable(mnt, e);
	if (r < 0)
		close_fd(&mnt);
	return r < 0 ? r : mnt;
}

enum { BYTES_OF_INODE = 2048, INODES_MIN = 4096, INODES_MAX = 1000000 };

/* Changes in memory: one tmpfs per generation, so that a reset gives the room back at once. */
static int own_tmpfs(const struct keeper *k, const char *at, struct err *e)
{
	auto_fd int fd = -1;
	/* As many files as an ordinary file system of that size has; more than there is room for, for small ones. */
	uint64_t inodes = k->plan->upper_size / BYTES_OF_INODE;
	char size[32], files[32];
	int r = inside_mkdir(at, 0700, e);

	if (r < 0)
		return r;
	snprintf(size, sizeof(size), "%llu", (unsigned long long)k->plan->upper_size);
	if (inodes > INODES_MAX || !inodes)
		inodes = INODES_MAX;
	snprintf(files, sizeof(files), "%llu", (unsigned long long)(inodes < INODES_MIN ? INODES_MIN : inodes));
	fd = inside_tmpfs(size, files, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
	if (fd < 0)
		return fd;
	r = sys_attach(fd, AT_FDCWD, at);
	return r < 0 ? err_sys(e, r, "attach the tmpfs for changes") : 0;
}

/* A volatile mount leaves a mark for which the next is refused (overlayfs.rst, "Volatile mount"): after a crash of the
 * machine what was written may not be there. Here it is. */
void overlay_reopen(const char *name)
{
	static const char *const marks[] = {"/volatile/dirty", "/volatile", ""};
	char path[96];

	snprintf(path, sizeof(path), "%s/work/work", name);
	(void)chmod(path, 0700); /* made with mode 0 */
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/work/work/incompat%s", name, marks[i]);
		(void)unlinkat(AT_FDCWD, path, i ? AT_REMOVEDIR : 0); /* not there: there was no such mount */
	}
}

void root_overlay_done(struct keeper *k, const struct generation *g)
{
	char at[32];

	snprintf(at, sizeof(at), "up/g%u", g->number);
	if (k->plan->flags & PLAN_UPPER_TMPFS && umount2(at, MNT_DETACH) == 0)
		(void)rmdir(at);
}

/* The names of lower layers, topmost first. */
struct lowers {
	const char *v[STACK_MAX + MSG_FDS_MAX + 3];
	char names[STACK_MAX + MSG_FDS_MAX][48];
	unsigned n;
};

static struct lowers *lowers_room(void)
{
	PIECE(struct lowers, lowers);
	return lowers;
}

/* @top, @generated: directories above the stack, and below it; "": none. What a snapshot has of /etc/hosts is more than what
 * was generated. */
static void list_lowers(const struct keeper *k, const struct stack *stack, const char *top, const char *generated,
			struct lowers *l)
{
	unsigned n = 0;

	l->n = 0;
	if (*top)
		l->v[l->n++] = top;
	for (uint32_t i = 0; i < stack->n; i++, n++) {
		snprintf(l->names[n], sizeof(l->names[n]), "store/layers/%s/upper", stack->v[i]);
		l->v[l->n++] = l->names[n];
	}
	if (*generated)
		l->v[l->n++] = generated;
	for (uint32_t i = 0; i < k->plan->lowers.count; i++, n++) {
		snprintf(l->names[n], sizeof(l->names[n]), "lower/%u", i);
		l->v[l->n++] = l->names[n];
	}
	if (l->n < 2) /* the kernel wants two when nothing is above them */
		l->v[l->n++] = "empty";
}

/* The root of an overlay shows owner and mode of its upper directory. */
static int like_the_top(const struct stack *stack, const char *upper, struct err *e)
{
	char top[64];
	int r;

	snprintf(top, sizeof(top), "store/layers/%s/upper", stack->v[0]);
	r = layer_like(upper, top);
	return r < 0 ? err_sys(e, r, "take over what the root directory was") : 0;
}

bool overlay_unwritten(const struct keeper *k)
{
	const struct plan_mount *m = pack_at(&k->pack, k->plan->mounts.at, 0);
	char upper[48], top[64];

	for (uint32_t i = 0; i < k->plan->mounts.count; i++)
		if (m[i].kind == PLAN_COW) /* changes of its own */
			return false;
	if (!k->stack.n || k->plan->flags & (PLAN_READONLY_ROOT | PLAN_UPPER_TMPFS))
		return false;
	snprintf(upper, sizeof(upper), "up/g%u/upper", k->now.number);
	snprintf(top, sizeof(top), "store/layers/%s/upper", k->stack.v[0]);
	return layer_is_like(upper, top);
}

int root_overlay(struct keeper *k, struct generation *g, struct err *e)
{
	struct lowers *lowers = lowers_room();
	char wrapper[32];
	struct places p;
	int r = 0;

	list_lowers(k, g->on, "", k->tmpfs_lower ? "gen" : "", lowers);
	snprintf(wrapper, sizeof(wrapper), "up/g%u", g->number);
	if (k->plan->flags & PLAN_UPPER_TMPFS && g->number != k->now.number) /* or it is there still */
		r = own_tmpfs(k, wrapper, e);
	if (r == 0 && !(k->plan->flags & PLAN_READONLY_ROOT))
		r = overlay_places(wrapper, &p, e);
	if (r == 0 && g->on->n && !(k->plan->flags & PLAN_READONLY_ROOT) && !g->continued)
		r = like_the_top(g->on, p.upper, e);
	if (r == 0)
		r = overlay_make(lowers->v, lowers->n, k->plan->flags & PLAN_READONLY_ROOT ? NULL : &p, e);
	if (r < 0)
		return r;
	g->root = r;
	return 0;
}

int overlay_view(struct keeper *k, const struct stack *stack, const char *top, struct err *e)
{
	struct lowers *lowers = lowers_room();

	list_lowers(k, stack, top, "", lowers);
	return overlay_make(lowers->v, lowers->n, NULL, e);
}
