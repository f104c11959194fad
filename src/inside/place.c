/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - the generated layer, and where mounts go
 *
 * How it works: a mount needs something to be mounted on, and /etc/hosts and the like need a
 * place, but nothing of that shall show in a diff of what the inside changed. So it all goes into
 * /gen, a layer between the root file system and the upper one.
 *
 * Links in the root file system are followed here, once, component by component, before anything
 * of the inside has run: the walk never leaves the root, and what comes out is a path without
 * links, which is later opened with RESOLVE_NO_SYMLINKS. A directory made in /gen covers the one
 * below it, so it takes over its mode and owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"

enum { LINKS_MAX = 40 };

struct walk {
	int view;	     /* O_PATH of the root file system */
	char at[PATH_MAX];   /* where we are: "" or "/a/b", no links in it */
	char rest[PATH_MAX]; /* what is still to be walked */
	bool missing;	     /* at does not exist in the root file system */
	bool is_dir;
	int links;
};

/* Cuts the first component off @w->rest into @name. Return: false when there is none. */
static bool next_component(struct walk *w, char name[NAME_MAX + 1], struct err *e, int *r)
{
	const char *p = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(p, "/");

	if (!n)
		return false;
	if (n > NAME_MAX) {
		*r = err_sys(e, ENAMETOOLONG, "'%s'", p);
		return false;
	}
	memcpy(name, p, n);
	name[n] = '\0';
	memmove(w->rest, p + n, strlen(p + n) + 1);
	return true;
}

static int follow(struct walk *w, int link, struct err *e)
{
	char to[PATH_MAX], rest[PATH_MAX];
	ssize_t n = readlinkat(link, "", to, sizeof(to) - 1);

	if (n < 0)
		return err_sys(e, errno, "read link '%s'", w->at);
	to[n] = '\0';
	if (++w->links > LINKS_MAX)
		return err_sys(e, ELOOP, "'%s'", to);
	memcpy(rest, w->rest, sizeof(rest));
	if ((size_t)snprintf(w->rest, sizeof(w->rest), "%s/%s", to, rest) >= sizeof(w->rest))
		return err_sys(e, ENAMETOOLONG, "'%s'", to);
	if (to[0] == '/')
		w->at[0] = '\0';
	return 0;
}

static int step(struct walk *w, const char *name, struct err *e)
{
	size_t len = strlen(w->at);
	auto_fd int fd = -1;
	struct stat st;

	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		if (!len)
			return err_set(e, ERR_INVALID, "it leads out of the root file system");
		*strrchr(w->at, '/') = '\0';
		if (w->missing) /* back in what is there? */
			w->missing = *w->at && faccessat(w->view, w->at + 1, F_OK,
							 AT_SYMLINK_NOFOLLOW) < 0;
		w->is_dir = true;
		return 0;
	}
	if (!w->is_dir)
		return err_sys(e, ENOTDIR, "'%s'", w->at);
	if (len + strlen(name) + 2 > sizeof(w->at))
		return err_sys(e, ENAMETOOLONG, "'%s/%s'", w->at, name);
	if (!w->missing) {
		w->at[len] = '/';
		strcpy(w->at + len + 1, name);
		fd = openat(w->view, w->at + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			return err_sys(e, errno, "'%s'", w->at);
		if (fd >= 0) {
			if (fstat(fd, &st) < 0)
				return err_sys(e, errno, "stat '%s'", w->at);
			if (S_ISLNK(st.st_mode)) {
				w->at[len] = '\0';
				return follow(w, fd, e);
			}
			w->is_dir = S_ISDIR(st.st_mode);
			return 0;
		}
		w->missing = true;
		return 0;
	}
	w->at[len] = '/';
	strcpy(w->at + len + 1, name);
	return 0;
}

static int walk(struct walk *w, const char *path, struct err *e)
{
	char name[NAME_MAX + 1];
	int r = 0;

	w->at[0] = '\0';
	w->missing = false;
	w->is_dir = true;
	w->links = 0;
	if ((size_t)snprintf(w->rest, sizeof(w->rest), "%s", path) >= sizeof(w->rest))
		return err_sys(e, ENAMETOOLONG, "'%s'", path);
	while (r == 0 && next_component(w, name, e, &r))
		r = step(w, name, e);
	return r;
}

/* ---- making ----------------------------------------------------------------------------------- */

/* A directory of the layer; where the root file system has one, with its mode and owner. */
static int make_dir(const struct walk *w, const char *path, struct err *e)
{
	char gen[PATH_MAX + 8];
	struct stat st;

	snprintf(gen, sizeof(gen), "gen%s", path);
	if (mkdir(gen, 0755) < 0) {
		if (errno == EEXIST)
			return 0;
		return err_sys(e, errno, "make '%s' in the generated layer", path);
	}
	if (fstatat(w->view, path + 1, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		(void)lchown(gen, st.st_uid, st.st_gid); /* an owner that is not mapped stays 0 */
		if (chmod(gen, st.st_mode & 07777) < 0)
			return err_sys(e, errno, "chmod '%s'", path);
	}
	return 0;
}

static int make_parents(const struct walk *w, struct err *e)
{
	char path[PATH_MAX];
	int r = 0;

	strcpy(path, w->at);
	for (char *s = strchr(path + 1, '/'); s && r == 0; s = strchr(s + 1, '/')) {
		*s = '\0';
		r = make_dir(w, path, e);
		*s = '/';
	}
	return r;
}

/* Takes over mode and owner of the root directory, which the layer covers as well. */
static int make_root(struct keeper *k, int view, struct err *e)
{
	struct stat st;

	if (k->tmpfs_lower)
		return 0;
	k->tmpfs_lower = true;
	if (fstat(view, &st) < 0)
		return err_sys(e, errno, "stat '/'");
	(void)lchown("gen", st.st_uid, st.st_gid); /* as in make_dir() */
	if (chmod("gen", st.st_mode & 07777) < 0)
		return err_sys(e, errno, "chmod '/'");
	return 0;
}

/* @ret (may be NULL): it stays open. */
static int write_all(const char *path, const char *content, int *ret, struct err *e)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(content);

	if (fd < 0)
		return err_sys(e, errno, "make '%s'", path);
	while (len) {
		ssize_t n = write(fd, content, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "write '%s'", path);
		content += n;
		len -= (size_t)n;
	}
	if (ret)
		*ret = take_fd(&fd);
	return 0;
}

/* A file of ours that covers what the root file system has there. */
static int place_file(struct keeper *k, int view, const char *path, const char *content, int *ret, struct err *e)
{
	struct walk w = {.view = view};
	char gen[PATH_MAX + 8];
	int r = walk(&w, path, e);

	if (r == 0)
		r = make_root(k, view, e);
	if (r == 0)
		r = make_parents(&w, e);
	if (r < 0)
		return err_wrap(e, "place '%s'", path);
	snprintf(gen, sizeof(gen), "gen%s", w.at);
	return write_all(gen, content, ret, e);
}

/* Something to mount on; an existing one is used as it is. *ret (may be NULL): the path without
 * links, malloc'ed. */
static int place_target(struct keeper *k, int view, const char *path, bool dir, char **ret,
			struct err *e)
{
	struct walk w = {.view = view};
	char gen[PATH_MAX + 8];
	int r = walk(&w, path, e);

	if (r == 0 && !w.missing && w.is_dir != dir)
		r = err_set(e, ERR_INVALID, "it is %s in the root file system",
			    dir ? "not a directory" : "a directory");
	if (r == 0 && w.missing) {
		r = make_root(k, view, e);
		if (r == 0)
			r = make_parents(&w, e);
		snprintf(gen, sizeof(gen), "gen%s", w.at);
		if (r == 0 && dir)
			r = make_dir(&w, w.at, e);
		else if (r == 0)
			r = write_all(gen, "", NULL, e);
	}
	if (r < 0)
		return err_wrap(e, "place '%s'", path);
	if (ret) {
		*ret = strdup(w.at);
		if (!*ret)
			return err_oom(e);
	}
	return 0;
}

static bool in_kernel_tree(const char *path)
{
	static const char *const trees[] = {"/proc", "/sys", "/dev"};

	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		size_t n = strlen(trees[i]);

		if (!strncmp(path, trees[i], n) && (path[n] == '/' || !path[n]))
			return strcmp(path, "/dev/shm") && strncmp(path, "/dev/shm/", 9);
	}
	return false;
}

static int place_mounts(struct keeper *k, int view, struct err *e)
{
	const struct plan_mount *m = pack_at(&k->pack, k->plan->mounts.at, 0);

	k->targets = calloc(k->plan->mounts.count + 1, sizeof(*k->targets));
	if (!k->targets)
		return err_oom(e);
	for (uint32_t i = 0; i < k->plan->mounts.count; i++) {
		const char *target = pack_get_str(&k->pack, m[i].target);
		bool dir = m[i].kind == PLAN_TMPFS || m[i].is_dir;
		int r = place_target(k, view, target, dir, &k->targets[i], e);

		if (r < 0)
			return err_wrap(e, "mount target");
		if (!*k->targets[i] || in_kernel_tree(k->targets[i]))
			return err_set(e, ERR_INVALID,
				       "mount target '%s' is '%s' in the root file system, which "
				       "cannot be covered",
				       target, *k->targets[i] ? k->targets[i] : "/");
	}
	return 0;
}

/* The root file system as it was given, all layers of it. */
static int open_view(struct keeper *k, struct err *e)
{
	auto_fd int fs = -1;
	char path[32];
	int r;

	if (k->plan->lowers.count == 1) {
		r = open("lower/0", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return r < 0 ? err_sys(e, errno, "open the root file system") : r;
	}
	fs = sys_fsopen("overlay");
	r = fs;
	if (r >= 0)
		r = sys_fs_flag(fs, "userxattr");
	for (uint32_t i = 0; r >= 0 && i < k->plan->lowers.count; i++) {
		snprintf(path, sizeof(path), "lower/%u", i);
		r = sys_fs_string(fs, "lowerdir+", path);
	}
	if (r >= 0)
		r = sys_fs_mount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	return r < 0 ? err_sys(e, r, "look at the layers of the root file system") : r;
}

int place_all(struct keeper *k, struct err *e)
{
	static const char *const dirs[] = {"/dev", "/proc", "/sys"};
	const struct plan *pl = k->plan;
	const char *hosts = pack_get_str(&k->pack, pl->hosts);
	const char *resolv = pack_get_str(&k->pack, pl->resolv_conf);
	bool twin = pl->flags & PLAN_TWIN;
	char name[sizeof(k->hostname) + 1];
	auto_fd int view = open_view(k, e);
	int r;

	if (view < 0)
		return view;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		auto_free char *at = NULL;

		r = place_target(k, view, dirs[i], true, &at, e);
		if (r < 0)
			return r;
		if (strcmp(at, dirs[i]))
			return err_set(e, ERR_INVALID, "'%s' of the root file system is a link",
				       dirs[i]);
	}
	snprintf(name, sizeof(name), "%s\n", k->hostname);
	r = place_file(k, view, "/etc/hostname", name, twin ? &k->nameless.hostname : NULL, e);
	if (r == 0 && hosts)
		r = place_file(k, view, "/etc/hosts", hosts, twin ? &k->nameless.hosts : NULL, e);
	if (r == 0 && resolv)
		r = place_file(k, view, "/etc/resolv.conf", resolv, NULL, e);
	if (r == 0)
		r = place_target(k, view, pack_get_str(&k->pack, pl->working_dir), true, NULL, e);
	if (r == 0)
		r = place_mounts(k, view, e);
	return r;
}
