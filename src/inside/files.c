/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - the files helper: opens what the inside has, for the caller
 *
 * How it works: neither keeper nor caller opens a path of the inside. A child of the keeper does, one for each
 * client that asks: it stands in the generation's mount namespace and (where there is one) nested user
 * namespace, but outside of its pid namespace, so nothing inside can name it; it answers on a socket of its
 * own, one question after the other, and hands out descriptors. Paths are taken from the root of the
 * inside, and no link leads out of it. What would block or do something when it is opened (a fifo, a
 * device) is looked at first and not opened; a file under a lease is tried again for a while.
 *
 * It ends with its client, and with the generation.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

enum { LEASE_TRIES = 100, LEASE_WAIT_NS = 20000000, DEPTH_MAX = 64, ROUNDS_MAX = 100000, RACES = 16 };

struct helper {
	int sock, root, proc;
	unsigned deep; /* for names of what was moved up */
};

/* One question. */
struct ask {
	struct file_ask a;
	const char *path, *other;
};

/* ---- paths ------------------------------------------------------------------------------------ */

/* The kernel asks to try again where somebody renames directories on the way. */
static int in_root(const struct helper *h, const char *path, int flags, mode_t mode)
{
	int fd = -EAGAIN;

	for (int i = 0; i < RACES && fd == -EAGAIN; i++)
		fd = sys_open_in_root(h->root, path, flags, mode);
	return fd;
}

/* The directory of @path, and what is called in it; "." for the root and the like. */
static int open_parent(const struct helper *h, const char *path, char name[NAME_MAX + 1], struct err *e)
{
	size_t end = strlen(path), start;
	char dir[PATH_MAX];
	int fd;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; start--)
		;
	if (end - start > NAME_MAX || start >= sizeof(dir))
		return err_sys(e, ENAMETOOLONG, "'%s'", path);
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), path + start);
	snprintf(dir, sizeof(dir), "%.*s", (int)start, path);
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		snprintf(dir, sizeof(dir), "%s", path);
		strcpy(name, ".");
	}
	fd = in_root(h, *dir ? dir : "/", O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? err_sys(e, fd, "'%s'", path) : fd;
}

/* Another descriptor of what @at is one of. */
static int open_again(const struct helper *h, int at, int flags)
{
	const struct timespec a_while = {.tv_nsec = LEASE_WAIT_NS};
	char name[32];

	snprintf(name, sizeof(name), "self/fd/%d", at);
	for (int i = 0; i < LEASE_TRIES; i++) {
		int fd = openat(h->proc, name, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0) {
			(void)fcntl(fd, F_SETFL, flags & O_APPEND); /* without O_NONBLOCK */
			return fd;
		}
		if (errno != EAGAIN)
			return -errno;
		nanosleep(&a_while, NULL); /* a lease; who holds it was told to let go */
	}
	return -EAGAIN;
}

static const char *kind(mode_t mode)
{
	return S_ISFIFO(mode)  ? "a fifo" :
	       S_ISSOCK(mode)  ? "a socket" :
	       S_ISLNK(mode)   ? "a symbolic link" :
	       S_ISDIR(mode)   ? "a directory" :
				 "a device";
}

/* ---- opening ---------------------------------------------------------------------------------- */

static int open_flags(uint32_t f)
{
	int flags = f & FILE_WRITE ? (f & FILE_READ ? O_RDWR : O_WRONLY) : O_RDONLY;

	return flags | (f & FILE_TRUNC ? O_TRUNC : 0) | (f & FILE_APPEND ? O_APPEND : 0);
}

/* Some of what is written into a file of /proc the kernel judges by the powers of who writes, and that is the caller. A
 * link that leads there is quickly made. */
static bool is_kernels(int at)
{
	struct statfs fs;

	return fstatfs(at, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC;
}

static int open_there(const struct helper *h, const struct ask *q, int at, struct err *e)
{
	uint32_t f = q->a.flags;
	struct stat st;
	int fd;

	if (fstat(at, &st) < 0)
		return err_sys(e, errno, "'%s'", q->path);
	if (f & FILE_EXCL)
		return err_sys(e, EEXIST, "'%s'", q->path);
	if (f & FILE_DIR ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return err_sys(e, f & FILE_DIR ? ENOTDIR : S_ISDIR(st.st_mode) ? EISDIR : EINVAL,
			       "'%s' is %s", q->path, S_ISREG(st.st_mode) ? "a file" : kind(st.st_mode));
	if (f & FILE_WRITE && is_kernels(at))
		return err_sys(e, EINVAL, "'%s' is a file of the kernel's: it is written inside only", q->path);
	fd = open_again(h, at, f & FILE_DIR ? O_RDONLY | O_DIRECTORY : open_flags(f));
	return fd < 0 ? err_sys(e, fd, "open '%s'", q->path) : fd;
}

static int open_new(const struct helper *h, const struct ask *q)
{
	int flags = open_flags(q->a.flags) | O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC;

	return in_root(h, q->path, flags, q->a.mode & 07777);
}

static int do_open(const struct helper *h, const struct ask *q, struct err *e)
{
	int nofollow = q->a.flags & FILE_NOFOLLOW ? O_NOFOLLOW : 0;

	for (int i = 0; i < RACES; i++) {
		auto_fd int at = in_root(h, q->path, O_PATH | nofollow, 0);
		int fd;

		if (at >= 0)
			return open_there(h, q, at, e);
		if (at != -ENOENT || !(q->a.flags & FILE_CREATE))
			return err_sys(e, at, "open '%s'", q->path);
		fd = open_new(h, q);
		if (fd >= 0)
			return fd;
		if (fd != -EEXIST)
			return err_sys(e, fd, "make '%s'", q->path);
	}
	return err_sys(e, EEXIST, "make '%s' (a link that leads nowhere?)", q->path);
}

/* ---- facts ------------------------------------------------------------------------------------ */

static struct file_time to_time(struct timespec t)
{
	return (struct file_time){.s = t.tv_sec, .ns = (uint32_t)t.tv_nsec};
}

static void to_facts(const struct stat *st, struct file_facts *f)
{
	*f = (struct file_facts){
		.mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid,
		.nlink = (uint32_t)st->st_nlink, .size = (uint64_t)st->st_size, .ino = st->st_ino,
		.atime = to_time(st->st_atim), .mtime = to_time(st->st_mtim), .ctime = to_time(st->st_ctim),
	};
}

static int do_stat(const struct helper *h, const struct ask *q, struct file_facts *f, struct err *e)
{
	int nofollow = q->a.flags & FILE_NOFOLLOW ? O_NOFOLLOW : 0;
	auto_fd int at = in_root(h, q->path, O_PATH | nofollow, 0);
	struct stat st;

	if (at < 0 || fstat(at, &st) < 0)
		return err_sys(e, at < 0 ? at : -errno, "'%s'", q->path);
	to_facts(&st, f);
	return 0;
}

static int do_readlink(const struct helper *h, const struct ask *q, char text[PATH_MAX], struct err *e)
{
	char name[NAME_MAX + 1];
	auto_fd int dir = open_parent(h, q->path, name, e);
	ssize_t n;

	if (dir < 0)
		return dir;
	n = readlinkat(dir, name, text, PATH_MAX - 1);
	if (n < 0)
		return err_sys(e, errno, "read the link '%s'", q->path);
	text[n] = '\0';
	return 0;
}

/* ---- changing --------------------------------------------------------------------------------- */

static int one_dir(const struct helper *h, const char *path, const struct ask *q, struct err *e)
{
	char name[NAME_MAX + 1];
	auto_fd int dir = open_parent(h, path, name, e);

	if (dir < 0)
		return dir;
	if (mkdirat(dir, name, q->a.mode & 07777) == 0)
		return 0;
	return err_sys(e, !strcmp(name, ".") ? EEXIST : errno, "make '%s'", path);
}

static int do_mkdir(const struct helper *h, const struct ask *q, struct err *e)
{
	char path[PATH_MAX];
	struct file_facts f;
	int r;

	if (!(q->a.flags & FILE_PARENTS))
		return one_dir(h, q->path, q, e);
	if ((size_t)snprintf(path, sizeof(path), "%s", q->path) >= sizeof(path))
		return err_sys(e, ENAMETOOLONG, "'%s'", q->path);
	for (char *s = path + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		r = one_dir(h, path, q, e);
		if (r < 0 && e->sys != EEXIST)
			return r;
		*s = '/';
	}
	r = one_dir(h, path, q, e);
	if (r < 0 && e->sys == EEXIST) {
		struct ask again = {.a.op = FILE_STAT, .path = path};

		if (do_stat(h, &again, &f, e) == 0 && S_ISDIR(f.mode))
			return 0;
		return err_sys(e, EEXIST, "make '%s'", path);
	}
	return r;
}

static int empty(struct helper *h, int top, int dir, int depth);

/* Removes one entry of @dir, whatever it is. What lies too deep is moved up to @top, and has its turn later. */
static int remove_one(struct helper *h, int top, int dir, const char *name, int depth)
{
	char up[32];
	int sub, r;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	if (depth >= DEPTH_MAX) {
		snprintf(up, sizeof(up), ".hutch-deep-%u", h->deep++);
		if (renameat(dir, name, top, up) == 0)
			return 0;
		if (errno != EXDEV) /* what is a layer's an overlay does not move; so deep there are few */
			return -errno;
	}
	sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return -errno;
	r = empty(h, top, sub, depth + 1); /* takes it over */
	return r < 0 ? r : unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

/* Until nothing is in it: somebody inside may go on making files, but not for ever. */
static int empty(struct helper *h, int top, int dir, int depth)
{
	auto_dir DIR *d = fdopendir(dir);
	int r = 0;

	if (!d) {
		close(dir);
		return -ENOMEM;
	}
	for (int found = 1, round = 0; found && r == 0 && round < ROUNDS_MAX; round++) {
		struct dirent *x;

		rewinddir(d);
		for (found = 0; r == 0 && (x = readdir(d));) {
			if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
				continue;
			found = 1;
			r = remove_one(h, top < 0 ? dirfd(d) : top, dirfd(d), x->d_name, depth);
		}
	}
	return r;
}

static int do_remove(struct helper *h, const struct ask *q, struct err *e)
{
	char name[NAME_MAX + 1];
	auto_fd int dir = open_parent(h, q->path, name, e);
	int sub, r = 0;

	if (dir < 0)
		return dir;
	if (!strcmp(name, "."))
		return err_sys(e, EBUSY, "remove '%s'", q->path);
	if (unlinkat(dir, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(e, errno, "remove '%s'", q->path);
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	if (!(q->a.flags & FILE_RECURSIVE) || (errno != ENOTEMPTY && errno != EEXIST))
		return err_sys(e, errno, "remove '%s'", q->path);
	for (int i = 0; i < RACES; i++) {
		sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = sub < 0 ? -errno : empty(h, -1, sub, 0);
		if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
			r = -errno;
		if (r != -ENOTEMPTY)
			break;
	}
	return r < 0 && r != -ENOENT ? err_sys(e, r, "remove '%s'", q->path) : 0;
}

static int do_rename(const struct helper *h, const struct ask *q, struct err *e)
{
	char from[NAME_MAX + 1], to[NAME_MAX + 1];
	auto_fd int a = open_parent(h, q->path, from, e), b = -1;

	if (a < 0)
		return a;
	b = open_parent(h, q->other, to, e);
	if (b < 0)
		return b;
	return renameat(a, from, b, to) < 0 ? err_sys(e, errno, "move '%s' to '%s'", q->path, q->other) : 0;
}

static int do_node(const struct helper *h, const struct ask *q, struct err *e)
{
	char name[NAME_MAX + 1];
	auto_fd int dir = open_parent(h, q->path, name, e);
	int r;

	if (dir < 0)
		return dir;
	r = q->a.op == FILE_SYMLINK ? symlinkat(q->other, dir, name) :
				      mknodat(dir, name, S_IFIFO | (q->a.mode & 07777), 0);
	return r < 0 ? err_sys(e, errno, "make '%s'", q->path) : 0;
}

static int do_meta(const struct helper *h, const struct ask *q, struct err *e)
{
	struct timespec t[2] = {{.tv_sec = q->a.atime.s, .tv_nsec = (long)q->a.atime.ns},
				{.tv_sec = q->a.mtime.s, .tv_nsec = (long)q->a.mtime.ns}};
	char name[NAME_MAX + 1], at_name[32];
	auto_fd int dir = open_parent(h, q->path, name, e), at = -1;
	struct stat st;

	if (dir < 0)
		return dir;
	if (!(q->a.flags & FILE_NOFOLLOW))
		at = in_root(h, q->path, O_PATH, 0);
	else
		at = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0 || fstat(at, &st) < 0)
		return err_sys(e, at < -1 ? at : -errno, "'%s'", q->path);
	snprintf(at_name, sizeof(at_name), "self/fd/%d", at);
	if (q->a.flags & FILE_SET_OWNER && fchownat(at, "", q->a.uid, q->a.gid, AT_EMPTY_PATH) < 0)
		return err_sys(e, errno, "give '%s' to %u:%u", q->path, q->a.uid, q->a.gid);
	/* After the owner, whose change takes set-id bits away. A link has no mode. */
	if (q->a.flags & FILE_SET_MODE && !S_ISLNK(st.st_mode) &&
	    fchmodat(h->proc, at_name, q->a.mode & 07777, 0) < 0)
		return err_sys(e, errno, "set the mode of '%s'", q->path);
	if (!(q->a.flags & FILE_SET_TIMES))
		return 0;
	if ((S_ISLNK(st.st_mode) ? utimensat(dir, name, t, AT_SYMLINK_NOFOLLOW) : utimensat(h->proc, at_name, t, 0)) < 0)
		return err_sys(e, errno, "set the times of '%s'", q->path);
	return 0;
}

/* ---- the helper ------------------------------------------------------------------------------- */

/* Two strings, each with its NUL, and nothing behind them. */
static bool ask_ok(const struct msg *m, struct ask *ret)
{
	const char *end = (const char *)m->body + m->head.body, *nul;

	if (m->head.op != OP_FILE || m->head.body < sizeof(ret->a) + 2)
		return false;
	memcpy(&ret->a, m->body, sizeof(ret->a));
	ret->path = (const char *)m->body + sizeof(ret->a);
	nul = memchr(ret->path, '\0', (size_t)(end - ret->path));
	if (!nul || nul + 1 >= end)
		return false;
	ret->other = nul + 1;
	return memchr(ret->other, '\0', (size_t)(end - ret->other)) == end - 1;
}

static int do_it(struct helper *h, const struct ask *q, struct file_said *s, char text[PATH_MAX])
{
	switch (q->a.op) {
	case FILE_OPEN:
		return do_open(h, q, &s->e);
	case FILE_STAT:
		return do_stat(h, q, &s->facts, &s->e);
	case FILE_READLINK:
		return do_readlink(h, q, text, &s->e);
	case FILE_MKDIR:
		return do_mkdir(h, q, &s->e);
	case FILE_REMOVE:
		return do_remove(h, q, &s->e);
	case FILE_RENAME:
		return do_rename(h, q, &s->e);
	case FILE_SYMLINK:
	case FILE_FIFO:
		return do_node(h, q, &s->e);
	case FILE_META:
		return do_meta(h, q, &s->e);
	}
	return err_set(&s->e, ERR_INTERNAL, "no such operation on files: %u", q->a.op);
}

static void answer(struct helper *h, struct msg *m)
{
	static struct {
		struct file_said s;
		char text[PATH_MAX];
	} said;
	struct msg_head head = {.op = OP_FILE_SAID, .id = m->head.id};
	struct stat st;
	struct ask q;
	int fd = -1;

	memset(&said, 0, sizeof(said));
	if (!ask_ok(m, &q)) {
		err_set(&said.s.e, ERR_INTERNAL, "a question of another form");
	} else if (*q.path != '/') {
		err_set(&said.s.e, ERR_INVALID, "'%s' is no absolute path", q.path);
	} else {
		int r = do_it(h, &q, &said.s, said.text);

		fd = q.a.op == FILE_OPEN && r >= 0 ? r : -1;
		if (r >= 0)
			said.s.e.code = 0; /* what was said on the way */
	}
	if (fd >= 0 && fstat(fd, &st) == 0)
		to_facts(&st, &said.s.facts);
	if (msg_send(h->sock, &head, &said, sizeof(said.s) + strlen(said.text) + 1, &fd, fd >= 0) < 0)
		_exit(0);
	if (fd >= 0)
		close(fd);
}

/* What files need, and nothing else: nobody inside can make us do something, but a bug might. */
#define FILE_CAPS                                                                                  \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID |  \
	 1ull << CAP_DAC_READ_SEARCH)

static void helper_main(const struct keeper *k, int sock)
{
	static struct msg_buf buf;
	struct helper h = {.sock = 0, .root = 1, .proc = 2}; /* and no other descriptor of the keeper's */
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t have = 0;
	struct msg m;

	prctl(PR_SET_NAME, "hutch-files", 0, 0, 0);
	signal(SIGCHLD, SIG_DFL);
	umask(0);
	if (k->plan->flags & PLAN_NESTED && sys_setns(k->now.user, CLONE_NEWUSER) < 0)
		_exit(1);
	if (root < 0 || dup2(sock, h.sock) < 0 || dup2(root, h.root) < 0 || dup2(k->proc, h.proc) < 0 ||
	    sys_close_range(3, ~0u) < 0)
		_exit(1);
	if (sys_capget(&have) < 0 || sys_capset(have & FILE_CAPS) < 0)
		_exit(1);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	while (msg_recv(h.sock, &m, buf.bytes, sizeof(buf.bytes), 0) > 0) {
		answer(&h, &m);
		msg_done(&m);
	}
	_exit(0);
}

/* ---- in the keeper ---------------------------------------------------------------------------- */

static int start(struct keeper *k, int sock, pid_t *ret_pid, struct err *e)
{
	pid_t pid = -1;
	int r = sys_setns(k->self, CLONE_NEWPID); /* out of the generation's */

	if (r == 0)
		pid = sys_fork(0, NULL);
	if (pid == 0)
		helper_main(k, sock);
	if (sys_setns(k->now.spaces[k->now.pid_space], CLONE_NEWPID) < 0)
		_exit(1); /* commands would be started where they must not be */
	*ret_pid = pid;
	return pid < 0 ? err_sys(e, r < 0 ? r : (int)pid, "start a files helper") : 0;
}

int files_open(struct keeper *k, struct client *c, uint32_t id, struct err *e)
{
	struct msg_head is = {.op = OP_FILES_IS, .id = id};
	auto_fd int ours = -1, theirs = -1;
	int pair[2], r;

	r = reset_revive(k, e);
	if (r < 0)
		return r;
	if (k->nhelpers == HELPERS_MAX)
		return err_set(e, ERR_LIMIT, "%d clients use files at once", HELPERS_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	r = start(k, ours, &k->helpers[k->nhelpers], e);
	if (r < 0)
		return r;
	k->nhelpers++;
	r = client_tell(c, &is, NULL, 0, &theirs, 1);
	return r < 0 ? err_sys(e, r, "hand the files helper over") : 0;
}

bool files_is(const struct keeper *k, pid_t pid)
{
	for (int i = 0; i < k->nhelpers; i++)
		if (k->helpers[i] == pid)
			return true;
	return false;
}

bool files_ended(struct keeper *k, pid_t pid)
{
	for (int i = 0; i < k->nhelpers; i++)
		if (k->helpers[i] == pid) {
			k->helpers[i] = k->helpers[--k->nhelpers];
			return true;
		}
	return false;
}

void files_reset(struct keeper *k)
{
	for (int i = 0; i < k->nhelpers; i++)
		(void)kill(k->helpers[i], SIGKILL);
}
