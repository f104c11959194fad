/* SPDX-License-Identifier: Apache-2.0
 *
 * twin.c - the next sandbox, made before it is asked for
 *
 * How it works: who has asked for two sandboxes alike in a row will ask for a third. So that one is started, with a shell
 * if those before it were asked for one, while the program is busy with the second; it has a name that nobody can choose
 * and that no list shows. When a third one alike is asked for, it is given its name: the caller renames what is on disk
 * (place_rename()), the shell, which waits for its first text, finds the name in a file when that comes, and the keeper puts
 * right what it has made of the name (inside/twin.c).
 *
 * It must be what a start would make now. A spec that differs in anything but the names is another one. What a start takes
 * from the host is compared as it was and is: whether paths still lead to the same files, and, where something was read or
 * looked up below, whether that may have changed. A file system that has seen which names are not there goes on believing it
 * (overlayfs): in the root file system those are the directories in which the start of a shell looks.
 *
 * Whatever goes wrong here is nothing: an ordinary start follows, and says why it fails.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "net/hosts.h"
#include "sys/names.h"
#include "sys/proc.h"
#include "wire/msg.h"

enum { HOSTS_MAX = 1 << 20, FILES_MAX = 64 };

/* ---- the host, as a start sees it ------------------------------------------------------------- */

struct file_seen {
	dev_t dev, device;
	ino_t inode;
	mode_t type;
	off_t size; /* these where more counts than which file it is; else 0 */
	struct timespec modified, changed;
};

struct twin_seen {
	struct spec *spec; /* for which */
	int mounts; /* tells when the mounts of our namespace have changed since it was opened; -1: that does not matter */
	rlim_t nofile;
	size_t n;
	struct file_seen files[FILES_MAX];
};

static void seen_free(struct twin_seen *s)
{
	if (!s)
		return;
	close_fd(&s->mounts);
	spec_free(s->spec);
	free(s);
}

/* One that is not there is all 0. @whole: what is in it counts. */
static void add_file(struct twin_seen *s, int dir, const char *path, bool whole)
{
	struct file_seen *f = &s->files[s->n++];
	struct stat st;

	if (fstatat(dir, path, &st, AT_NO_AUTOMOUNT) < 0)
		return;
	f->dev = st.st_dev;
	f->device = st.st_rdev;
	f->inode = st.st_ino;
	f->type = st.st_mode & S_IFMT;
	if (!whole)
		return;
	f->size = st.st_size;
	f->modified = st.st_mtim;
	f->changed = st.st_ctim;
}

/* Where the programs, the libraries and the settings are that the start of a shell looks for. */
static void add_root(struct twin_seen *s, const char *rootfs)
{
	static const char *const paths[] = {
		".", "etc", "root", "bin", "sbin", "lib", "lib64", "usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64",
		"usr/local/bin", "usr/local/sbin", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu",
		"lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "etc/passwd", "etc/group", "etc/ld.so.cache",
	};
	auto_fd int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths) && s->n < FILES_MAX; i++)
		add_file(s, root, paths[i], true);
}

/* NULL: it is not to be had for one of these. */
static struct twin_seen *look(const struct spec *spec)
{
	struct twin_seen *s = calloc(1, sizeof(*s));
	struct rlimit files;

	if (!s)
		return NULL;
	s->mounts = -1;
	s->spec = spec_copy(spec);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		s->nofile = files.rlim_cur;
	add_root(s, spec->rootfs);
	if (spec->network == SPEC_NET_HOST && !spec->dns.n)
		add_file(s, AT_FDCWD, "/etc/resolv.conf", true);
	for (size_t i = 0; i < spec->nmounts && s->n < FILES_MAX; i++)
		if (spec->mounts[i].source)
			add_file(s, AT_FDCWD, spec->mounts[i].source, spec->mounts[i].kind == SPEC_BIND_COW); /* files are copied */
	for (size_t i = 0; i < spec->ndevices && s->n < FILES_MAX; i++)
		add_file(s, AT_FDCWD, spec->devices[i].source, false);
	return s;
}

/* Such a file says so until it is read. */
static bool mounts_changed(int fd)
{
	struct pollfd p = {fd, POLLPRI, 0};

	return fd >= 0 && poll(&p, 1, 0) != 0;
}

static bool is_unchanged(const struct twin_seen *was, const struct spec *spec)
{
	struct twin_seen *is = look(spec);
	bool same = is && !mounts_changed(was->mounts) && is->nofile == was->nofile && is->n == was->n &&
		    !memcmp(is->files, was->files, is->n * sizeof(*is->files));

	seen_free(is);
	return same;
}

/* ---- take ------------------------------------------------------------------------------------- */

static void drop(struct box *b)
{
	if (!b)
		return;
	b->shell_early = b->spare_early = false; /* it says nothing about who might have wanted one */
	(void)box_delete(b, NULL);
}

static bool lives(struct box *b)
{
	while (box_talk(b, 0, NULL) == 1)
		;
	return !b->dead && !b->why.code;
}

static int tell_keeper(struct box *b, struct err *e)
{
	auto_buf struct buf hosts = BUF_INIT(HOSTS_MAX), blob = BUF_INIT(MSG_BODY_MAX);
	struct msg_head head = {.op = OP_NAME};
	struct naming n = {0};

	net_hosts(&hosts, b->spec, b->hostname);
	buf_add(&blob, &n, sizeof(n));
	n.hostname = pack_str(&blob, b->hostname);
	n.hosts = pack_str(&blob, hosts.data);
	n.box = pack_str(&blob, b->has_upper ? b->name : NULL);
	if (buf_bad(&hosts) || buf_bad(&blob))
		return err_oom(e);
	memcpy(blob.data, &n, sizeof(n));
	return box_ask(b, &head, blob.data, blob.len, NULL, 0, e);
}

/* From here on it is that of @spec. On failure it is nameless still, or of no use any more. */
static int give_name(struct home *h, struct box *b, const struct spec *spec, struct err *e)
{
	auto_free char *name = NULL, *hostname = NULL;
	struct spec *own = spec_copy(spec);
	int r = own ? spec_check(own, e) : err_oom(e);

	if (r == 0)
		r = own->name ? ((name = strdup(own->name)) ? 0 : err_oom(e)) : start_make_name("", &name, e);
	if (r == 0 && !(hostname = start_hostname(own, name)))
		r = err_oom(e);
	if (r == 0)
		r = place_rename(h, b->name, name, b->has_upper, e);
	if (r < 0) {
		spec_free(own);
		return r;
	}
	free(b->name);
	free(b->born);
	spec_free(b->spec);
	b->born = b->hostname;
	b->name = take_ptr(&name);
	b->hostname = take_ptr(&hostname);
	b->spec = own;
	b->nameless = false;
	r = shell_name(b, e);
	if (r == 0)
		r = tell_keeper(b, e);
	b->naming = r == 0; /* who talks to the shells waits for it (shell_take()); whatever else is asked, the keeper does in turn */
	return r;
}

/* The one that waits, if it is of this kind, and (without @wait) ready; *ret_same: and the host is as it was. */
static struct box *take(struct home *h, const struct spec *spec, bool wait, bool *ret_same)
{
	struct box *b = NULL;

	pthread_mutex_lock(&h->lock);
	if (h->twin.box && spec_alike(h->twin.saw->spec, spec) && (wait || !lives(h->twin.box) || h->twin.box->ready)) {
		*ret_same = is_unchanged(h->twin.saw, spec);
		b = take_ptr(&h->twin.box);
		if (!*ret_same)
			seen_free(take_ptr(&h->twin.saw));
	}
	pthread_mutex_unlock(&h->lock);
	return b;
}

/* Its name was taken: somebody else may want it. */
static bool put_back(struct home *h, struct box *b)
{
	bool fits;

	pthread_mutex_lock(&h->lock);
	fits = lives(b) && !h->twin.box && !h->twin.busy && h->twin.saw;
	if (fits)
		h->twin.box = b;
	pthread_mutex_unlock(&h->lock);
	return fits;
}

struct box *twin_take(struct home *h, const struct spec *spec, bool wait)
{
	uint64_t now = sys_now_ns();
	bool same = false;
	struct box *b = take(h, spec, wait, &same);

	if (b && !b->ready)
		(void)sys_pidfd_signal(b->pidfd, SIGCONT); /* PLAN_LATER */
	/* Its directory of changes is there when it is ready. */
	if (b && same && lives(b) && box_wait_ready(b, NULL) == 0 && give_name(h, b, spec, NULL) == 0) {
		b->asked_ns = now;
		return b;
	}
	if (b && same && b->nameless && put_back(h, b))
		return NULL;
	drop(b);
	return NULL;
}

/* ---- make ------------------------------------------------------------------------------------- */

/* Of an image that stands in a directory; and HOSTNAME must be what it is for all. */
static bool can_wait(const struct spec *spec)
{
	for (size_t i = 0; i < spec->env.n; i++)
		if (!strncmp(spec->env.v[i], "HOSTNAME=", 9))
			return false;
	return spec->root == SPEC_ROOT_DIR && spec->nmounts + spec->ndevices < FILES_MAX / 2;
}

/* Whether there is one to be made; notes the spec for the next time. *ret_old: one of another kind, to be dropped. */
static bool is_due(struct home *h, const struct spec *spec, struct box **ret_old, struct twin_seen **ret_saw)
{
	struct twin *t = &h->twin;
	bool due, again, kept;

	pthread_mutex_lock(&h->lock);
	kept = t->saw && spec_alike(t->saw->spec, spec);
	again = (t->like && spec_alike(t->like, spec)) || (kept && !t->box); /* or the last one was of use */
	if (!again) {
		spec_free(t->like);
		t->like = spec_copy(spec);
	}
	due = again && !t->busy && (!t->box || !kept);
	if (due) {
		t->busy = true;
		*ret_old = take_ptr(&t->box);
		*ret_saw = take_ptr(&t->saw);
	}
	pthread_mutex_unlock(&h->lock);
	return due;
}

/* @saw: of the one before, when it was taken, or NULL. What was seen before is good: no change since goes unnoticed. */
static void make(struct home *h, const struct spec *spec, struct twin_seen *saw)
{
	bool later = sys_now_ns() - h->twin.made_ns >= CLOSELY_NS; /* nobody else is here: it is busy */
	struct box *b = NULL;

	h->twin.made_ns = sys_now_ns();
	if (!saw || !spec_alike(saw->spec, spec)) {
		seen_free(saw);
		saw = look(spec);
		if (saw && spec->nmounts)
			saw->mounts = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	}
	if (saw && saw->spec && (!spec->nmounts || saw->mounts >= 0))
		(void)start_twin(h, spec, later, &b, NULL);
	pthread_mutex_lock(&h->lock);
	h->twin.busy = false;
	if (b) {
		h->twin.box = b;
		h->twin.saw = take_ptr(&saw);
	} else {
		spec_free(take_ptr(&h->twin.like)); /* not at once again */
	}
	pthread_mutex_unlock(&h->lock);
	seen_free(saw);
}

void twin_next(struct home *h, const struct spec *spec)
{
	struct twin_seen *saw = NULL;
	struct box *old = NULL;

	if (!h->keep_spare || !can_wait(spec) || !is_due(h, spec, &old, &saw))
		return;
	drop(old);
	make(h, spec, saw);
}

/* ---- end -------------------------------------------------------------------------------------- */

void twin_drop(struct home *h)
{
	bool ours = h->owner == getpid(); /* in a forked child the lock may be held by a thread that it has not */
	struct box *b;

	if (ours)
		pthread_mutex_lock(&h->lock);
	b = take_ptr(&h->twin.box);
	seen_free(take_ptr(&h->twin.saw));
	spec_free(take_ptr(&h->twin.like));
	if (ours)
		pthread_mutex_unlock(&h->lock);
	drop(b);
}

bool twin_waits(struct home *h)
{
	bool yes;

	pthread_mutex_lock(&h->lock);
	yes = h->twin.box;
	pthread_mutex_unlock(&h->lock);
	return yes;
}

bool twin_any(const struct home *h)
{
	auto_fd int state = openat(h->state, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sys_names names;
	const char *x;

	sys_names_begin(&names, state);
	while ((x = sys_names_next(&names)))
		if (!strncmp(x, TWIN_PREFIX, strlen(TWIN_PREFIX)))
			return true;
	return false;
}
