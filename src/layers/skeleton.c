/* SPDX-License-Identifier: Apache-2.0
 *
 * skeleton.c - the root file system of --host without the host's programs
 *
 * How it works: of the host's files a sandbox may see /usr and the like (they are mounted) and an
 * allow-list of /etc. Copies of those, and the empty directories of a system, make up a directory
 * in layers/, named after a fingerprint of what was copied: name, size, inode and times of every
 * file and directory of the list. When the fingerprint changes a new directory is made; old ones
 * are left to sandboxes that use them, and to the sweeper.
 *
 * A directory is made under another name and renamed when it is whole.
 */
#include "layers/skeleton.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/proc.h"

/* Names in /etc; a trailing * is any ending, a slash leads into a directory. Nothing with secrets:
 * no shadow, ssh, sudoers, machine-id, hostid, fstab, cron, ssl/private. */
static const char *const allowed[] = {
	"passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf*", "alternatives", "ssl/certs",
	"ca-certificates*", "localtime", "timezone", "services", "protocols",
	"mime.types", "os-release", "debian_version", "profile*", "bash.bashrc", "locale*",
	"terminfo", "fonts", "host.conf", "gai.conf", "magic", "java*", "python*", "perl*",
};

enum { DEPTH_MAX = 12 };

struct walk {
	int to; /* directory that is being filled; -1: only the fingerprint */
	uint64_t sum;
	struct err *e;
};

static void mix(struct walk *w, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--) { /* FNV-1a */
		w->sum ^= *p++;
		w->sum *= 0x100000001b3u;
	}
}

static void mix_stat(struct walk *w, const char *name, const struct stat *st)
{
	uint64_t v[] = {st->st_ino, (uint64_t)st->st_size, st->st_mode,
			(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
			(uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec};

	mix(w, name, strlen(name) + 1);
	mix(w, v, sizeof(v));
}

/* ---- copying ---------------------------------------------------------------------------------- */

static int copy_file(int from, int to, const char *name, mode_t mode, struct err *e)
{
	auto_fd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	auto_fd int out = -1;
	char buf[8192];
	ssize_t n;

	if (in < 0) /* not for our eyes: not for theirs */
		return errno == EACCES || errno == ENOENT ? 0 : err_sys(e, errno, "open '%s'", name);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return err_sys(e, errno, "make '%s'", name);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(out, buf + done, (size_t)(n - done));

			if (w < 0)
				return err_sys(e, errno, "write '%s'", name);
			done += w;
		}
	if (n < 0)
		return err_sys(e, errno, "read '%s'", name);
	return fchmod(out, mode & 0755) < 0 ? err_sys(e, errno, "chmod '%s'", name) : 0;
}

static int copy_link(int from, int to, const char *name, struct err *e)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(e, errno, "read link '%s'", name);
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0)
		return err_sys(e, errno, "link '%s'", name);
	return 0;
}

static int visit(struct walk *w, int from, int to, const char *name, unsigned depth);

static int visit_dir(struct walk *w, int from, int to, const char *name, unsigned depth)
{
	auto_fd int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int out = -1;
	auto_dir DIR *d = NULL;
	struct dirent *x;
	int again, r = 0;

	if (in < 0 || depth > DEPTH_MAX)
		return 0;
	if (to >= 0) {
		r = sys_mkdir(to, name, 0755);
		if (r < 0 && r != -EEXIST)
			return err_sys(w->e, r, "make '%s'", name);
		r = 0;
		out = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (out < 0)
			return err_sys(w->e, errno, "open '%s'", name);
	}
	again = fcntl(in, F_DUPFD_CLOEXEC, 3);
	d = again < 0 ? NULL : fdopendir(again);
	if (!d)
		return err_sys(w->e, errno, "read '%s'", name);
	while (r == 0 && (x = readdir(d)))
		if (strcmp(x->d_name, ".") && strcmp(x->d_name, ".."))
			r = visit(w, in, out, x->d_name, depth + 1);
	return r;
}

/* One file, link or directory: into the fingerprint, or into the copy. In a fingerprint a directory
 * stands for itself: what it contains changes its times, or is taken from time to time. */
static int visit(struct walk *w, int from, int to, const char *name, unsigned depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	mix_stat(w, name, &st);
	/* What not everybody may read is nothing for a sandbox, whoever makes it. */
	if (S_ISDIR(st.st_mode))
		return (w->to < 0 && depth > 0) || (st.st_mode & 05) != 05 ?
			       0 : visit_dir(w, from, to, name, depth);
	if (w->to < 0)
		return 0;
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to, name, w->e);
	return S_ISREG(st.st_mode) && st.st_mode & S_IROTH ? copy_file(from, to, name, st.st_mode, w->e) : 0;
}

/* ---- the list --------------------------------------------------------------------------------- */

static int entry(struct walk *w, int etc, int to, const char *name)
{
	const char *slash = strchr(name, '/');
	size_t n = strlen(name);
	char dir[64];

	if (slash) {
		auto_fd int sub = -1, out = -1;
		int r;

		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - name), name);
		sub = openat(etc, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub < 0)
			return 0;
		if (to >= 0) {
			r = sys_mkdir(to, dir, 0755);
			if (r < 0 && r != -EEXIST)
				return err_sys(w->e, r, "make 'etc/%s'", dir);
			out = openat(to, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (out < 0)
				return err_sys(w->e, errno, "open 'etc/%s'", dir);
		}
		r = visit(w, sub, out, slash + 1, 0);
		return r;
	}
	if (name[n - 1] == '*') {
		int again = openat(etc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
		auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
		struct dirent *x;

		while (d && r == 0 && (x = readdir(d)))
			if (!strncmp(x->d_name, name, n - 1))
				r = visit(w, etc, to, x->d_name, 0);
		return r;
	}
	return visit(w, etc, to, name, 0);
}

static int all_entries(struct walk *w, struct err *e)
{
	auto_fd int etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = -1;
	int r = 0;

	if (etc < 0)
		return err_sys(e, errno, "open '/etc'");
	if (w->to >= 0) {
		to = openat(w->to, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (to < 0)
			return err_sys(e, errno, "open 'etc' of the skeleton");
	}
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed) && r == 0; i++)
		r = entry(w, etc, to, allowed[i]);
	return r;
}

/* /bin and the like: a link as on the host, or a directory to mount on. */
static int host_names(int root, struct err *e)
{
	static const char *const names[] = {"usr", "opt", "bin", "sbin",
					    "lib", "lib32", "lib64", "libx32"};
	auto_fd int host = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && r == 0; i++) {
		if (fstatat(host, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISLNK(st.st_mode))
			r = copy_link(host, root, names[i], e);
		else if ((r = sys_mkdir(root, names[i], 0755)) < 0)
			r = err_sys(e, r, "make '%s'", names[i]);
	}
	return r;
}

static int fill(int root, struct err *e)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = {{"etc", 0755}, {"root", 0700}, {"home", 0755}, {"tmp", 01777}, {"var", 0755},
		    {"var/tmp", 01777}, {"var/lib", 0755}, {"var/log", 0755}, {"var/cache", 0755},
		    {"run", 0755}, {"mnt", 0755}, {"srv", 0755}, {"media", 0755}, {"dev", 0755},
		    {"proc", 0755}, {"sys", 0755}};
	struct walk w = {.to = root, .e = e};
	int r;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		if ((r = sys_mkdir(root, dirs[i].name, dirs[i].mode)) < 0)
			return err_sys(e, r, "make '%s'", dirs[i].name);
	if (symlinkat("/run", root, "var/run") < 0)
		return err_sys(e, errno, "link 'var/run'");
	r = host_names(root, e);
	return r < 0 ? r : all_entries(&w, e);
}

static int make(int layers, const char *name, struct err *e)
{
	auto_fd int root = -1;
	uint64_t salt;
	char temp[96];
	int r;

	/* Other threads and processes may be at the same. */
	if (getrandom(&salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		return err_sys(e, errno, "getrandom");
	snprintf(temp, sizeof(temp), ".new-%s-%llx", name, (unsigned long long)salt);
	r = sys_mkdir(layers, temp, 0755);
	if (r < 0)
		return err_sys(e, r, "make '%s' in layers/", temp);
	root = openat(layers, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = root < 0 ? err_sys(e, errno, "open '%s'", temp) : fill(root, e);
	if (r < 0)
		return r;
	if (renameat(layers, temp, layers, name) < 0 && errno != EEXIST && errno != ENOTEMPTY)
		return err_sys(e, errno, "rename '%s'", temp);
	return 0; /* somebody else was first: his is the same; ours is swept with the next change */
}

int layers_skeleton(int layers, char **ret_name, struct err *e)
{
	struct walk w = {.to = -1, .sum = 0xcbf29ce484222325u, .e = e};
	char name[64];
	struct stat st;
	int r = all_entries(&w, e);

	if (r == 0 && stat("/", &st) == 0)
		mix(&w, &st.st_mtim, sizeof(st.st_mtim));
	snprintf(name, sizeof(name), "host-%016llx", (unsigned long long)w.sum);
	if (r == 0 && faccessat(layers, name, F_OK, 0) < 0)
		r = make(layers, name, e);
	if (r < 0)
		return err_wrap(e, "copy what a sandbox may see of /etc");
	*ret_name = strdup(name);
	return *ret_name ? 0 : err_oom(e);
}
