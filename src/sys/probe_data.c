/* SPDX-License-Identifier: Apache-2.0
 *
 * probe_data.c - what the file system of the data directory can do
 *
 * How it works: a directory of a name of its own is made where the layers of sandboxes would be,
 * with two sets of layers; a child mounts an overlay of the first, and for a root caller another
 * child idmaps the directory and mounts an overlay of the second. The directory is removed again
 * by the caller, who also gives back permissions first: overlay leaves work/work with mode 0.
 *
 * Called by: probe.c.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "sys/fsmount.h"
#include "sys/probe_child.h"

enum { DEEPEST = 8 };

struct trial {
	struct probe *p;
	const struct probe_stacks *stacks;
	char dir[1200];
	int userns; /* fd */
};

static int ask_overlay(void *arg)
{
	struct trial *t = arg;

	if (probe_map_self(t->p) < 0 || unshare(CLONE_NEWNS) < 0)
		return 0;
	/* by path: a directory opened outside is on a mount of another namespace */
	if (chdir(t->dir) < 0 || chdir("a") < 0)
		return 0;
	t->p->data.overlay = probe_overlay(false);
	return 0;
}

/* In a child of the child, with which it shares descriptors. */
static int open_userns(void *arg)
{
	struct trial *t = arg;

	if (probe_map_self(t->p) == 0)
		t->userns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int attach_idmapped(struct trial *t)
{
	auto_fd int tree = -1;
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	r = probe_mounts_private();
	if (r < 0)
		return r;
	(void)probe_in_child(t->stacks, 1, CLONE_NEWUSER | CLONE_FILES, open_userns, t);
	if (t->userns < 0)
		return -ENXIO;
	tree = sys_clone_tree(AT_FDCWD, t->dir, 0);
	if (tree < 0)
		return tree;
	r = sys_idmap(tree, t->userns, 0);
	return r < 0 ? r : sys_attach(tree, AT_FDCWD, t->dir);
}

static int ask_idmap(void *arg)
{
	struct trial *t = arg;

	t->p->data.idmap = attach_idmapped(t);
	if (t->p->data.idmap < 0)
		return 0;
	if (unshare(CLONE_NEWUSER) < 0 || probe_map_self(t->p) < 0 || unshare(CLONE_NEWNS) < 0)
		return 0;
	if (chdir(t->dir) < 0 || chdir("b") < 0)
		return 0;
	t->p->data.idmap_overlay = probe_overlay(false);
	return 0;
}

static int remove_tree(int at, const char *name, int depth)
{
	auto_fd int fd = -1;
	auto_dir DIR *d = NULL;
	const struct dirent *entry;
	struct stat st;

	(void)fchmodat(at, name, 0700, 0); /* what cannot be opened then is left */
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || depth > DEEPEST)
		return -ENOTEMPTY;
	d = fdopendir(fd);
	if (!d)
		return -ENOMEM;
	fd = -1; /* the stream owns it */
	while ((entry = readdir(d))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			(void)remove_tree(dirfd(d), entry->d_name, depth + 1);
		else
			(void)unlinkat(dirfd(d), entry->d_name, 0);
	}
	return unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int make_trial(const struct trial *t)
{
	static const char *const sets[] = {"a", "b"};
	auto_fd int dir = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
		auto_fd int set = -1;

		if (mkdirat(dir, sets[i], 0700) < 0)
			return -errno;
		set = openat(dir, sets[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (set < 0)
			return -errno;
		r = probe_layers_make(set);
		if (r < 0)
			return r;
	}
	return 0;
}

void probe_data_files(struct probe *p, const struct probe_stacks *s)
{
	const bool root = p->who.initial && (p->who.caps & (1ULL << 21)); /* CAP_SYS_ADMIN */
	struct trial t = {.p = p, .stacks = s, .userns = -1};
	int n = snprintf(t.dir, sizeof(t.dir), "%s/.hutch-doctor-XXXXXX", p->data_dir.at);

	if (n < 0 || (size_t)n >= sizeof(t.dir) || p->data_dir.writable != 0)
		return;
	if (!mkdtemp(t.dir))
		return;
	if (make_trial(&t) == 0) {
		(void)probe_in_child(s, 0, CLONE_NEWUSER, ask_overlay, &t);
		if (root)
			(void)probe_in_child(s, 0, 0, ask_idmap, &t);
	}
	(void)remove_tree(AT_FDCWD, t.dir, 0);
}
