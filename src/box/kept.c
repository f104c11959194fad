/* SPDX-License-Identifier: Apache-2.0
 *
 * kept.c - what is on disk of a sandbox that can be started again
 *
 * How it works: a detached sandbox has a record in its directory of the data directory, boxes/NAME/kept, from
 * before its keeper hears of the plan until it is removed: the spec as JSON, a NUL, and the environment, whose
 * bytes are of any encoding, each with a NUL behind it. A directory with a record is thrown away by nobody but
 * who removes the sandbox: not by the sweeper, nor by who wants the name.
 *
 * Beside it stands `clean` while the sandbox is stopped and what it wrote is on the disk. Overlays are mounted
 * `volatile`, which means that nothing is synced by the kernel: without `clean` (the keeper was killed, the
 * machine went down) the last writes may be missing, and who starts it again is told so.
 *
 * Where its changes are, and on what layers, the keeper itself has noted whenever it changed (`present`, see
 * inside/present.c): who asked for a reset or a snapshot may have been killed before he could. Without that file they
 * are in the gN that the file of snapshots names (nodes.h); where there is none, in that of the lowest N: a higher
 * one is a spare that nobody came to use.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/own.h"
#include "base/whole.h"
#include "box/box.h"
#include "box/nodes.h"
#include "sys/proc.h"

enum { RECORD_MAX = 24 << 20 };
#define HOLD_WAITS_NS 10000000000ull /* a keeper looks every five seconds whether its name is there, and ends */

static bool is_there(struct home *h, const char *name, const char *file)
{
	char path[300];

	snprintf(path, sizeof(path), "%.255s/%s", name, file);
	return faccessat(h->boxes, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool kept_is(struct home *h, const char *name)
{
	return is_there(h, name, KEPT_FILE);
}

bool kept_is_clean(struct home *h, const char *name)
{
	return kept_is(h, name) && is_there(h, name, "clean");
}

int64_t kept_since(struct home *h, const char *name)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%.255s/kept", name);
	return fstatat(h->boxes, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (int64_t)st.st_mtime : 0;
}

int kept_refuse(struct home *h, const char *name, struct err *e)
{
	return err_set(e, ERR_DIED, "it %s; `hutch start %s` starts it, `hutch rm %s` removes it",
		       kept_is_clean(h, name) ? "is stopped" : "has ended", name, name);
}

static int open_dir(struct home *h, const char *name, struct err *e)
{
	int dir = openat(h->boxes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dir < 0 ? err_sys(e, errno, "open '%s/boxes/%s'", h->data_path, name) : dir;
}

/* The spec by itself, with its name. */
static int to_json(const struct spec *spec, const char *name, char **ret, struct err *e)
{
	struct spec *copy = spec_copy(spec);
	int r = copy ? spec_clear(copy, "env", e) : err_oom(e);

	if (r == 0)
		r = spec_set(copy, "name", name, e);
	if (r == 0)
		r = spec_to_json(copy, ret, e);
	spec_free(copy);
	return r;
}

int kept_write(struct home *h, const char *name, const struct spec *spec, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(RECORD_MAX);
	auto_free char *json = NULL;
	auto_fd int dir = -1;
	int r = to_json(spec, name, &json, e);

	if (r < 0)
		return r;
	buf_add(&text, json, strlen(json) + 1);
	for (size_t i = 0; i < spec->env.n; i++)
		buf_add(&text, spec->env.v[i], strlen(spec->env.v[i]) + 1);
	if (buf_bad(&text))
		return err_set(e, ERR_LIMIT, "what is asked for is over %d bytes, or memory is short", RECORD_MAX);
	r = dir = open_dir(h, name, e);
	return r < 0 ? r : whole_write_synced(dir, KEPT_FILE, text.data, text.len, e);
}

int kept_hold(struct home *h, const char *name, struct err *e)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	uint64_t by = sys_now_ns() + HOLD_WAITS_NS;
	auto_fd int dir = open_dir(h, name, e), fd = -1;

	if (dir < 0)
		return dir;
	fd = openat(dir, KEPT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open '%s/boxes/%s/%s'", h->data_path, name, KEPT_FILE);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) { /* else a file system without locks, or NFS */
		if (sys_now_ns() >= by)
			return err_set(e, ERR_BUSY, "a process of it from before does not end (its state directory was removed?)");
		nanosleep(&nap, NULL);
	}
	return take_fd(&fd);
}

/* The record, of which the first part ends with a NUL. */
static int read_record(struct home *h, const char *name, struct buf *text, struct err *e)
{
	auto_fd int dir = open_dir(h, name, e);
	int r = dir < 0 ? dir : whole_read(dir, KEPT_FILE, text, e);

	if (r < 0)
		return r;
	if (!text->len || text->data[text->len - 1])
		return err_set(e, ERR_INTERNAL, "its record is damaged; `hutch rm %s` removes it", name);
	return 0;
}

int kept_read(struct home *h, const char *name, struct spec *spec, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(RECORD_MAX + (1 << 20));
	int r = read_record(h, name, &text, e);
	size_t at;

	if (r == 0)
		r = spec_from_json(spec, text.data, strlen(text.data), e);
	if (r < 0)
		return r;
	for (at = strlen(text.data) + 1; r == 0 && at < text.len; at += strlen(text.data + at) + 1)
		r = spec_set(spec, "env", text.data + at, e);
	return r;
}

int kept_json(struct home *h, const char *name, char **ret, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(RECORD_MAX + (1 << 20)), out = BUF_INIT(RECORD_MAX + (8 << 20));
	struct js_out o = {.b = &out};
	int r = read_record(h, name, &text, e);
	size_t n;

	if (r < 0)
		return r;
	n = strlen(text.data);
	if (n < 2 || text.data[n - 1] != '}')
		return err_set(e, ERR_INTERNAL, "its record is damaged; `hutch rm %s` removes it", name);
	buf_add(&out, text.data, n - 1);
	if (n + 1 < text.len) {
		buf_str(&out, n > 2 ? ",\"env\":" : "\"env\":");
		js_open(&o, '[');
		for (size_t at = n + 1; at < text.len; at += strlen(text.data + at) + 1)
			js_str(&o, text.data + at);
		js_close(&o, ']');
	}
	buf_add(&out, "}", 2);
	if (o.bad)
		return err_set(e, ERR_INVALID, "env: not UTF-8, which JSON must be");
	*ret = buf_take(&out);
	return *ret ? 0 : err_oom(e);
}

int kept_root(struct home *h, const char *name, char *ret, size_t room)
{
	auto_buf struct buf text = BUF_INIT(RECORD_MAX + (1 << 20));
	struct js *root = NULL;
	const char *dir;
	struct err e;

	*ret = '\0';
	if (read_record(h, name, &text, &e) < 0 || js_parse(text.data, strlen(text.data), &root, &e) < 0)
		return -1;
	dir = js_text(js_get(root, "rootfs"));
	if (!dir)
		dir = js_text(js_get(root, "image"));
	snprintf(ret, room, "%s", dir ? dir : "host");
	js_free(root);
	return 0;
}

/* ---- clean, or not ---------------------------------------------------------------------------- */

/* Onto the disk first: `clean` must never be there when what was written is not. */
int kept_set_clean(struct home *h, const char *name, struct err *e)
{
	auto_fd int dir = open_dir(h, name, e), fd = -1;

	if (dir < 0)
		return dir;
	if (syncfs(dir) < 0)
		return err_sys(e, errno, "write what is in '%s/boxes/%s' to the disk", h->data_path, name);
	fd = openat(dir, "clean", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_sys(e, errno, "make '%s/boxes/%s/clean'", h->data_path, name) : 0;
}

int kept_set_unclean(struct home *h, const char *name, struct err *e)
{
	auto_fd int dir = open_dir(h, name, e);

	if (dir < 0)
		return dir;
	(void)unlinkat(dir, JOBS_FILE, 0); /* those before are none of who is started now */
	(void)unlinkat(dir, ".new-" JOBS_FILE, 0); /* its keeper was killed as it wrote them */
	if (unlinkat(dir, "clean", 0) < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "remove '%s/boxes/%s/clean'", h->data_path, name);
	return fsync(dir) < 0 ? err_sys(e, errno, "sync '%s/boxes/%s'", h->data_path, name) : 0;
}

void kept_forget(struct home *h, const char *name)
{
	static const char *const files[] = {"clean", JOBS_FILE, ".new-" JOBS_FILE, ".new-" KEPT_FILE, KEPT_FILE}; /* the record last */
	char path[300];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%.255s/%s", name, files[i]);
		(void)unlinkat(h->boxes, path, 0); /* most have none */
	}
}

/* ---- the generation that is continued --------------------------------------------------------- */

static uint32_t generation_of(const char *name)
{
	char *end;
	unsigned long n;

	if (name[0] != 'g' || name[1] < '1' || name[1] > '9')
		return 0;
	n = strtoul(name + 1, &end, 10);
	return *end || n > UINT32_MAX / 2 ? 0 : (uint32_t)n;
}

static void put_in_trash(struct home *h, const char *name, int dir, const char *what)
{
	char to[300];

	snprintf(to, sizeof(to), "%.200s.%.20s.%llx", name, what, (unsigned long long)sys_now_ns());
	(void)renameat(dir, what, h->trash, to); /* not there is fine */
}

/* A work directory with the mark of a volatile mount is refused by the next. That of the changes, and those of
 * directories that are volumes of kind cow. */
static void drop_work(struct home *h, const char *name, int gen)
{
	int again = openat(gen, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	put_in_trash(h, name, gen, "work");
	while (d && (x = readdir(d))) {
		auto_fd int cow = -1;

		if (strncmp(x->d_name, "cow", 3))
			continue;
		cow = openat(gen, x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (cow >= 0)
			put_in_trash(h, name, cow, "work");
	}
}

/* *ret: the one that is wanted or, where it is not there, the lowest above it; or 0 where there is none. All
 * others go. */
static int pick_generation(struct home *h, const char *name, int dir, uint32_t want, uint32_t *ret, struct err *e)
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	uint32_t found = 0;
	struct dirent *x;

	if (!d)
		return err_sys(e, errno, "read '%s/boxes/%s'", h->data_path, name);
	while ((x = readdir(d))) {
		uint32_t n = generation_of(x->d_name);

		/* Where the wanted one has gone, the keeper was killed in the middle of a change: the next is. */
		if (n >= want && n && (!found || n < found))
			found = n;
	}
	rewinddir(d);
	while ((x = readdir(d)))
		if (generation_of(x->d_name) && generation_of(x->d_name) != found)
			put_in_trash(h, name, dir, x->d_name);
	*ret = found;
	return 0;
}

/* *ret_half: a restore was cut short; ret_next: the name of the next layer. */
static int read_nodes(struct home *h, const char *name, struct kept_state *s, bool *ret_half,
		      char ret_next[LAYER_NAME], struct err *e)
{
	auto_with(nodes_close) struct nodes n = {.dir = -1, .layers_lock = -1};
	int r;

	*ret_half = false;
	if (!nodes_exist(h, name))
		return 0;
	r = nodes_open(h, name, false, &n, e);
	if (r == 0)
		r = stack_copy(&s->now, &n.now, e);
	if (r == 0)
		r = stack_copy(&s->base, &n.base, e);
	s->generation = n.generation;
	*ret_half = n.was.n > 0;
	memcpy(ret_next, n.next_layer, LAYER_NAME);
	return r;
}

/* The keeper's own word, where there is one: "NUMBER", a newline, and the list of layers. Return: was there one? */
static bool read_present(int dir, struct kept_state *s)
{
	auto_buf struct buf text = BUF_INIT(1 << 20);
	auto_with(stack_done) struct stack now = {0};
	unsigned long number;
	struct err e;
	char *end;

	if (whole_read(dir, "present", &text, &e) < 0 || !text.len)
		return false;
	number = strtoul(text.data, &end, 10);
	if (*text.data < '1' || *text.data > '9' || *end != '\n' || number > UINT32_MAX / 2 ||
	    stack_from_text(&now, end + 1, strlen(end + 1), &e) < 0)
		return false;
	s->generation = (uint32_t)number;
	stack_done(&s->now);
	s->now = now;
	now = (struct stack){0};
	return true;
}

void kept_state_done(struct kept_state *s)
{
	stack_done(&s->now);
	stack_done(&s->base);
}

/* Where a restore was cut short by the end of all, it is done now. */
int kept_state(struct home *h, const char *name, struct kept_state *s, struct err *e)
{
	auto_fd int dir = open_dir(h, name, e), gen = -1;
	uint32_t found = 0;
	char path[16], next[LAYER_NAME] = "";
	bool half = false;
	int r = dir < 0 ? dir : read_nodes(h, name, s, &half, next, e);

	if (r == 0)
		half = !read_present(dir, s) && half;
	if (r == 0)
		r = pick_generation(h, name, dir, half ? UINT32_MAX : s->generation, &found, e);
	if (r < 0)
		return r;
	s->continued = found > 0;
	if (!half && found != (s->generation ? s->generation : 1)) /* killed before it could say so */
		r = nodes_add_frozen(&s->now, h->layers, next, e);
	if (r < 0 || !found)
		return r;
	s->generation = found;
	snprintf(path, sizeof(path), "g%u", found);
	gen = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (gen < 0)
		return err_sys(e, errno, "open '%s/boxes/%s/%s'", h->data_path, name, path);
	drop_work(h, name, gen);
	return 0;
}
