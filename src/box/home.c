/* SPDX-License-Identifier: Apache-2.0
 *
 * home.c - where hutch keeps things
 */
#include "box/home.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "sys/proc.h"

/* ---- directories ------------------------------------------------------------------------------ */

/* Absolute: the keeper, which opens it again, stands elsewhere. */
static int path_of(char **ret, struct err *e, const char *dir, const char *below)
{
	auto_free char *cwd = NULL;

	if (*dir != '/') {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_sys(e, errno, "current directory");
	}
	if (asprintf(ret, "%s%s%s%s", cwd ? cwd : "", cwd ? "/" : "", dir, below) < 0) {
		*ret = NULL;
		return err_oom(e);
	}
	return 0;
}

/* A directory of ours, in which nobody else may do anything. */
static bool ours(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & 077);
}

/* One directory for both, or NULL. @asked: by the caller himself, NULL: he leaves it to the environment. */
static const char *one_home(const char *asked)
{
	return asked && *asked ? asked : getenv("HUTCH_HOME");
}

static int find_state(const char *asked, const struct ns_ids *ids, char **ret, struct err *e)
{
	const char *home = one_home(asked), *xdg = getenv("XDG_RUNTIME_DIR");
	char tmp[64];

	if (home && *home)
		return path_of(ret, e, home, "/run");
	if (ids->persona == NS_ROOT)
		return path_of(ret, e, "/run/hutch", "");
	if (xdg && *xdg == '/' && ours(xdg))
		return path_of(ret, e, xdg, "/hutch");
	snprintf(tmp, sizeof(tmp), "/tmp/hutch-%u", (unsigned)geteuid());
	return path_of(ret, e, tmp, "");
}

static int find_data(const char *asked, const struct ns_ids *ids, char **ret, struct err *e)
{
	const char *home = one_home(asked), *xdg = getenv("XDG_DATA_HOME"), *user;

	if (home && *home)
		return path_of(ret, e, home, "/data");
	if (ids->persona == NS_ROOT)
		return path_of(ret, e, "/var/lib/hutch", "");
	if (xdg && *xdg == '/')
		return path_of(ret, e, xdg, "/hutch");
	user = getenv("HOME");
	if (!user || *user != '/')
		return err_set(e, ERR_INVALID,
			       "neither HUTCH_HOME nor XDG_DATA_HOME nor HOME says where data goes");
	return path_of(ret, e, user, "/.local/share/hutch");
}

/* mkdir -p, without following what others may have put there: the last component is checked. */
static int make_path(const char *path, struct err *e)
{
	char copy[4096];
	int r;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return err_sys(e, ENAMETOOLONG, "'%s'", path);
	for (char *s = strchr(copy + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		r = sys_mkdir(AT_FDCWD, copy, 0755);
		if (r < 0 && r != -EEXIST)
			return err_sys(e, r, "make '%s'", copy);
		*s = '/';
	}
	r = sys_mkdir(AT_FDCWD, copy, 0700);
	return r < 0 && r != -EEXIST ? err_sys(e, r, "make '%s'", copy) : 0;
}

static int open_own(const char *path, struct err *e)
{
	auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 && errno == ENOENT) {
		r = make_path(path, e);
		if (r < 0)
			return r;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return err_sys(e, errno, "open '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "stat '%s'", path);
	if (st.st_uid != geteuid())
		return err_set(e, ERR_PERMISSION,
			       "'%s' belongs to uid %u, not to you (HUTCH_HOME=DIR chooses another)",
			       path, (unsigned)st.st_uid);
	if (st.st_mode & 077)
		return err_set(e, ERR_PERMISSION,
			       "'%s' has mode %04o: others could reach sandboxes in it (chmod 700)",
			       path, st.st_mode & 07777);
	return take_fd(&fd);
}

/* ext4 passes over inodes that were freed in the last minutes, one by one, whenever it makes one: a
 * millisecond each where much is made and removed. With this flag it puts every directory below into
 * a block group of its own choice, where that is not so (ext4, find_group_orlov()). */
static void spread(int dir)
{
	int flags;

	if (ioctl(dir, FS_IOC_GETFLAGS, &flags) < 0)
		return; /* another file system */
	flags |= FS_TOPDIR_FL;
	(void)ioctl(dir, FS_IOC_SETFLAGS, &flags); /* only a help */
}

static int open_below(int dir, const char *name, struct err *e)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		int r = sys_mkdir(dir, name, 0700);

		if (r < 0 && r != -EEXIST)
			return err_sys(e, r, "make '%s' in the data directory", name);
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			spread(fd);
	}
	return fd < 0 ? err_sys(e, errno, "open '%s' of the data directory", name) : fd;
}

static int open_state(struct home *h, const char *asked, struct err *e)
{
	int r = find_state(asked, &h->ids, &h->state_path, e);

	if (r < 0)
		return r;
	h->state = open_own(h->state_path, e);
	return h->state < 0 ? err_wrap(e, "state directory") : 0;
}

static int open_data(struct home *h, const char *asked, struct err *e)
{
	struct {
		int *fd;
		const char *name;
	} below[] = {{&h->boxes, "boxes"}, {&h->layers, "layers"}, {&h->pool, "pool"},
		     {&h->trash, "trash"}};
	int r = find_data(asked, &h->ids, &h->data_path, e);

	if (r < 0)
		return r;
	h->data = open_own(h->data_path, e);
	if (h->data < 0)
		return err_wrap(e, "data directory");
	for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
		*below[i].fd = open_below(h->data, below[i].name, e);
		if (*below[i].fd < 0)
			return *below[i].fd;
	}
	return 0;
}

int home_check_owner(const struct home *h, struct err *e)
{
	if (h->owner != getpid())
		return err_set(e, ERR_STATE,
			       "this handle belongs to process %d; a forked child opens its own",
			       (int)h->owner);
	return 0;
}

/* ---- the whole -------------------------------------------------------------------------------- */

static void close_all(struct home *h)
{
	int *fds[] = {&h->state, &h->data, &h->boxes, &h->layers, &h->pool, &h->trash, &h->image,
		      &h->self};

	keepers_close(h);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		close_fd(fds[i]);
	pthread_mutex_destroy(&h->lock);
	free(h->state_path);
	free(h->data_path);
	free(h);
}

/* In this order: what takes longest goes first, and gets ready while we go on. */
static int open_all(struct home *h, const struct home_ask *ask, struct err *e)
{
	int r;

	h->self = sys_pidfd_open(h->owner);
	if (h->self < 0)
		return err_sys(e, h->self, "pidfd_open");
	r = ns_ids_find(&h->ids, h->self, e);
	if (r == 0)
		r = ns_window_find(&h->window, e);
	if (r < 0)
		return r;
	h->range_hint = (uint32_t)h->owner % h->window.ranges;
	r = keepers_open(h, e);
	if (r == 0)
		r = open_state(h, ask->directory, e);
	if (r == 0 && ask->prepare)
		r = keepers_first(h, ask->net, ask->host_ids, e);
	if (r == 0)
		r = open_data(h, ask->directory, e);
	if (r == 0)
		keepers_store(h);
	return r;
}

int home_open(const struct home_ask *ask, struct home **ret, struct err *e)
{
	struct home *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_oom(e);
	h->owner = getpid();
	h->children = ask->children;
	h->keep_spare = ask->keep_spare;
	h->nurseless = ask->children && !ask->keep_spare;
	h->state = h->data = h->boxes = h->layers = h->pool = h->trash = -1;
	h->image = h->nursery = h->self = -1;
	h->spare = SPARE_NONE;
	pthread_mutex_init(&h->lock, NULL);
	r = open_all(h, ask, e);
	if (r < 0) {
		close_all(h);
		return r;
	}
	*ret = h;
	return 0;
}

void home_close(struct home *h)
{
	if (!h)
		return;
	twin_drop(h);
	close_all(h);
}
