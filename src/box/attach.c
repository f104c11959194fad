/* SPDX-License-Identifier: Apache-2.0
 *
 * attach.c - sandboxes that live on without who made them
 *
 * How it works: such a keeper has a listening socket, bound in the sandbox's directory of the state
 * directory (by way of a descriptor of it: names may be longer than a socket's path). Beside it
 * stands the spec, from which later callers take environment, user and working directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "sys/proc.h"

enum { SPEC_MAX = 8 << 20, BACKLOG = 128 };

static int socket_in(struct home *h, const char *name, struct sockaddr_un *ret_at, int *ret_dir,
		     struct err *e)
{
	int dir = openat(h->state, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), s;

	if (dir < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "no sandbox has the name '%s'", name);
	if (dir < 0)
		return err_sys(e, errno, "open '%s/%s'", h->state_path, name);
	*ret_dir = dir;
	*ret_at = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret_at->sun_path, sizeof(ret_at->sun_path), "/proc/self/fd/%d/sock", dir);
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return s < 0 ? err_sys(e, errno, "socket") : s;
}

static int write_whole(int dir, const char *name, const char *text, struct err *e)
{
	auto_fd int fd = openat(dir, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t len = strlen(text);

	if (fd < 0)
		return err_sys(e, errno, "make '%s'", name);
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "write '%s'", name);
		text += n;
		len -= (size_t)n;
	}
	return renameat(dir, ".new", dir, name) < 0 ? err_sys(e, errno, "rename '%s'", name) : 0;
}

int attach_listen(struct home *h, const char *name, const struct spec *spec, int *ret_listen,
		  struct err *e)
{
	auto_fd int dir = -1, s = -1;
	auto_free char *json = NULL;
	struct sockaddr_un at;
	int r = spec_to_json(spec, &json, e);

	if (r < 0)
		return r;
	r = s = socket_in(h, name, &at, &dir, e);
	if (r < 0)
		return r;
	(void)unlinkat(dir, "sock", 0); /* of a dead one */
	if (bind(s, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s, BACKLOG) < 0)
		return err_sys(e, errno, "bind '%s/%s/sock'", h->state_path, name);
	r = write_whole(dir, "spec.json", json, e);
	if (r < 0)
		return r;
	*ret_listen = take_fd(&s);
	return 0;
}

static int read_spec(int dir, struct spec *spec, struct err *e)
{
	auto_fd int fd = openat(dir, "spec.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	auto_buf struct buf text = BUF_INIT(SPEC_MAX);
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(e, errno, "open its spec.json");
	while (n > 0) {
		char *p = buf_room(&text, 65536);

		if (!p)
			return err_oom(e);
		n = read(fd, p, 65536);
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "read its spec.json");
		text.len += n > 0 ? (size_t)n : 0;
	}
	return spec_from_json(spec, text.data ? text.data : "", text.len, e);
}

static int connect_to(struct box *b, struct err *e)
{
	auto_fd int dir = -1;
	struct sockaddr_un at;
	int r = b->ctl = socket_in(b->home, b->name, &at, &dir, e);

	if (r < 0)
		return r;
	if (connect(b->ctl, (struct sockaddr *)&at, sizeof(at)) < 0) {
		if (errno == ENOENT)
			return err_set(e, ERR_STATE, "it belongs to a program, which alone can use it");
		if (errno == ECONNREFUSED)
			return err_set(e, ERR_DIED, "it has ended; `hutch cleanup` removes it");
		return err_sys(e, errno, "connect");
	}
	r = read_spec(dir, b->spec, e);
	return r < 0 ? r : box_wait_ready(b, e);
}

int box_attach(struct home *h, const char *name, struct box **ret, struct err *e)
{
	struct box *b;
	int r = home_check_owner(h, e);

	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_oom(e);
	b->home = h;
	b->ctl = b->pidfd = b->userns = -1;
	b->spec = spec_new();
	b->name = strdup(name);
	r = b->spec && b->name ? connect_to(b, e) : err_oom(e);
	if (r == 0) {
		b->hostname = b->spec->hostname ? strdup(b->spec->hostname) : strndup(name, 63);
		b->has_upper = true; /* or giving it back finds none */
		if (!b->hostname)
			r = err_oom(e);
	}
	if (r < 0) {
		err_wrap(e, "sandbox '%s'", name);
		box_close(b);
		return r;
	}
	*ret = b;
	return 0;
}

int box_reset(struct box *b, struct err *e)
{
	struct msg_head head = {.op = OP_RESET, .id = ++b->next_id};
	int r = home_check_owner(b->home, e);

	if (r == 0)
		r = box_wait_ready(b, e);
	if (r < 0)
		return r;
	b->reset_id = head.id;
	r = msg_send(b->ctl, &head, NULL, 0, NULL, 0);
	if (r < 0)
		return err_sys(e, r, "ask the keeper");
	while (b->reset_id && !b->why.code) {
		r = box_talk(b, -1, e);
		if (r < 0 && !b->why.code)
			return err_wrap(e, "reset '%s'", b->name);
	}
	if (b->why.code) {
		*e = b->why;
		return err_wrap(e, "reset '%s' (it is stopped now)", b->name);
	}
	if (b->has_upper)
		place_generation_give_back(b->home, b->name, b->left_behind);
	return 0;
}

/* ---- the list --------------------------------------------------------------------------------- */

static int list_one(struct home *h, const char *name, struct box_listed *x)
{
	auto_fd int dir = openat(h->state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int lock = dir < 0 ? -1 : openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct flock l = {.l_type = F_WRLCK, .l_len = 1};
	struct stat st;

	if (lock < 0 || fstat(lock, &st) < 0)
		return -1;
	if (fcntl(lock, F_OFD_GETLK, &l) < 0)
		return -1;
	snprintf(x->name, sizeof(x->name), "%s", name);
	x->alive = l.l_type != F_UNLCK;
	x->detached = faccessat(dir, "sock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	x->since_s = fstatat(dir, x->detached ? "spec.json" : ".", &st, 0) == 0 ?
			     (int64_t)st.st_mtime : 0;
	return 0;
}

int box_list(struct home *h, struct box_listed **ret, size_t *ret_n, struct err *e)
{
	auto_free struct box_listed *v = NULL;
	int again = openat(h->state, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = again < 0 ? NULL : fdopendir(again);
	size_t n = 0, room = 0;
	struct dirent *x;

	if (!d)
		return err_sys(e, errno, "read '%s'", h->state_path);
	while ((x = readdir(d))) {
		if (x->d_name[0] == '.' || x->d_type == DT_REG)
			continue;
		if (n == room) {
			struct box_listed *more;

			room = room ? room * 2 : 64;
			more = realloc(v, room * sizeof(*v));
			if (!more)
				return err_oom(e);
			v = more;
		}
		n += list_one(h, x->d_name, &v[n]) == 0;
	}
	*ret = take_ptr(&v);
	*ret_n = n;
	return 0;
}
