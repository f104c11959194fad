/* SPDX-License-Identifier: Apache-2.0
 *
 * mounts.c - volumes, tmpfs, devices and the host's own trees, as parts of a plan
 *
 * How it works: mounts go in order of the depth of their targets, so that /data is there before
 * /data/sub; among equals in the order asked. The keeper opens host paths itself, with the caller's
 * own rights; for a range of ids of its own it could not, so there the caller, who is root, makes
 * idmapped clones, attached nowhere.
 */
#include "ns/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/fsmount.h"

enum { TMPFS_DEFAULT = 64 << 20, IDS = 65536 };

bool ns_by_fd(const struct ns_ids *ids, const struct spec *s)
{
	return ids->persona == NS_ROOT && s->ids != SPEC_IDS_HOST;
}

static int clone_idmapped(const char *path, bool recursive, int userns, struct err *e)
{
	auto_fd int fd = sys_clone_tree(AT_FDCWD, path, recursive);
	int r;

	if (fd < 0)
		return err_sys(e, fd, "open '%s'", path);
	r = sys_idmap(fd, userns, recursive);
	if (r < 0)
		return err_sys(e, r,
			       "give '%s' the ids of the sandbox (its file system cannot be idmapped, "
			       "or Linux is older than 5.19; run as an ordinary user, or with --ids "
			       "host)",
			       path);
	return take_fd(&fd);
}

int ns_tree(struct draft *d, int userns, const char *path, bool recursive, struct plan_tree *ret,
	    struct err *e)
{
	*ret = (struct plan_tree){.fd = -1};
	if (userns >= 0) {
		int fd = clone_idmapped(path, recursive, userns, e);

		if (fd < 0)
			return fd;
		ret->fd = draft_fd(d, fd);
		return 0;
	}
	ret->path = draft_str(d, path);
	/* What a more powerful namespace mounted below is locked: it can only be taken along. */
	ret->recursive = 1;
	return 0;
}

static int depth(const char *path)
{
	int n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* Stable: qsort() is not, and the order asked decides among equals. */
static void by_depth(const struct spec_mount **v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct spec_mount *m = v[i];
		size_t at = i;

		while (at > 0 && depth(v[at - 1]->target) > depth(m->target)) {
			v[at] = v[at - 1];
			at--;
		}
		v[at] = m;
	}
}

/* Where in the volume @source lie hutch's own directories, with the storage of all sandboxes? */
static int hide_own(struct draft *d, const struct spec_mount *m, const char *const secret[2],
		    struct plan_mount *p, struct err *e)
{
	auto_free char *source = realpath(m->source, NULL);
	size_t len;

	if (!source)
		return err_sys(e, errno, "volume source '%s'", m->source);
	len = strcmp(source, "/") ? strlen(source) : 0;
	for (int i = 0; i < 2; i++) {
		auto_free char *own = realpath(secret[i], NULL);

		if (!own || strncmp(own, source, len) || (own[len] != '/' && own[len]))
			continue;
		if (!own[len] || p->kind == PLAN_COW)
			return err_set(e, ERR_INVALID,
				       "volume source '%s' %s hutch's own directory '%s', with the storage "
				       "of all sandboxes",
				       m->source, own[len] ? "contains" : "is", own);
		p->hide[i] = draft_str(d, own + len + 1);
	}
	return 0;
}

static int add_mount(struct draft *d, int userns, const struct spec_mount *m,
		     const char *const secret[2], struct err *e)
{
	struct plan_mount p = {.target = draft_str(d, m->target), .tree = {.fd = -1}};
	struct stat st;
	int r;

	if (m->kind == SPEC_TMPFS) {
		p.kind = PLAN_TMPFS;
		p.is_dir = 1;
		p.size = m->size_bytes ? m->size_bytes : TMPFS_DEFAULT;
		p.mode = m->mode ? m->mode : 01777;
		p.exec = m->exec;
		draft_mount(d, &p);
		return 0;
	}
	if (stat(m->source, &st) < 0)
		return err_sys(e, errno, "volume source '%s'", m->source);
	p.kind = m->kind == SPEC_BIND_COW ? PLAN_COW : PLAN_BIND;
	p.readonly = m->kind == SPEC_BIND_RO;
	p.is_dir = S_ISDIR(st.st_mode);
	if (p.kind == PLAN_COW && !p.is_dir && !S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID,
			       "volume source '%s' is neither a directory nor a regular file: it "
			       "cannot be copied on write",
			       m->source);
	r = hide_own(d, m, secret, &p, e);
	if (r < 0)
		return r;
	r = ns_tree(d, userns, m->source, !m->nonrecursive && p.is_dir, &p.tree, e);
	if (r < 0)
		return err_wrap(e, "volume");
	draft_mount(d, &p);
	return 0;
}

/* The first id of a range of its own, as the keeper's map has it. */
static uint32_t range_of(const struct prepare *p)
{
	return p->uid[0].outside;
}

/* For a range of ids of its own nodes are made anew, on a file system of ours, with the owner that the
 * host's node would have inside: root of the sandbox may then what Docker's may. */
static int make_nodes(struct draft *d, const struct spec *s, const struct prepare *p, struct err *e)
{
	auto_fd int fs = sys_fsopen("tmpfs"), mnt = -1;
	int r = fs;

	if (r >= 0)
		r = sys_fs_string(fs, "mode", "755");
	if (r >= 0)
		r = sys_fs_string(fs, "size", "64k");
	if (r >= 0)
		r = mnt = sys_fs_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (r < 0)
		return err_sys(e, r, "make a file system for devices");
	for (size_t i = 0; i < s->ndevices; i++) {
		char name[24];
		struct stat st;

		if (stat(s->devices[i].source, &st) < 0)
			return err_sys(e, errno, "device '%s'", s->devices[i].source);
		snprintf(name, sizeof(name), "%zu", i);
		if (mknodat(mnt, name, st.st_mode & S_IFMT, st.st_rdev) < 0 ||
		    fchownat(mnt, name, range_of(p) + (st.st_uid < IDS ? st.st_uid : 0),
			     range_of(p) + (st.st_gid < IDS ? st.st_gid : 0),
			     AT_SYMLINK_NOFOLLOW) < 0 ||
		    fchmodat(mnt, name, st.st_mode & 0777, 0) < 0)
			return err_sys(e, errno, "make a node for device '%s'",
				       s->devices[i].source);
	}
	d->plan.nodes = draft_fd(d, take_fd(&mnt));
	return 0;
}

static int add_devices(struct draft *d, const struct spec *s, const struct prepare *p, bool by_fd,
		       struct err *e)
{
	for (size_t i = 0; i < s->ndevices; i++) {
		const struct spec_device *v = &s->devices[i];
		struct plan_device pd = {.source = draft_str(d, v->source),
					 .target = draft_str(d, v->target)};
		struct stat st;

		if (stat(v->source, &st) < 0)
			return err_sys(e, errno, "device '%s'", v->source);
		if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
			return err_set(e, ERR_INVALID, "'%s' is not a device", v->source);
		if (!v->read || !v->write)
			return err_set(e, ERR_UNSUPPORTED,
				       "device '%s': access cannot be limited to a part of rw here; "
				       "leave ':%s' away",
				       v->source, v->read ? "r" : "w");
		draft_device(d, &pd);
	}
	return s->ndevices && by_fd ? make_nodes(d, s, p, e) : 0;
}

int ns_mounts_plan(struct draft *d, int userns, const struct prepare *p, const struct spec *s,
		   const char *const secret[2], struct err *e)
{
	auto_free const struct spec_mount **v = calloc(s->nmounts + 1, sizeof(*v));
	int r = 0;

	if (!v)
		return err_oom(e);
	for (size_t i = 0; i < s->nmounts; i++)
		v[i] = &s->mounts[i];
	by_depth(v, s->nmounts);
	for (size_t i = 0; i < s->nmounts && r == 0; i++)
		r = add_mount(d, userns, v[i], secret, e);
	return r < 0 ? r : add_devices(d, s, p, userns >= 0, e);
}

int ns_host_plan(struct draft *d, struct err *e)
{
	static const char *const trees[] = {"/usr",   "/opt",	"/bin",	   "/sbin",
					    "/lib",   "/lib32", "/lib64",  "/libx32"};

	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		struct plan_mount p = {.kind = PLAN_HOST_TREE, .readonly = 1, .is_dir = 1,
				       .target = draft_str(d, trees[i])};
		struct stat st;

		if (lstat(trees[i], &st) < 0) {
			if (errno == ENOENT)
				continue;
			return err_sys(e, errno, "'%s'", trees[i]);
		}
		if (!S_ISDIR(st.st_mode))
			continue; /* a link, which the skeleton has */
		p.tree = (struct plan_tree){.path = draft_str(d, trees[i]), .fd = -1,
					    .recursive = 1};
		draft_mount(d, &p);
	}
	return 0;
}
