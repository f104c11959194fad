/* SPDX-License-Identifier: Apache-2.0
 *
 * attach.c - sandboxes that live on without who made them
 *
 * How it works: such a keeper has a listening socket, bound in the sandbox's directory of the state
 * directory (by way of a descriptor of it: names may be longer than a socket's path). Beside it
 * stand the environment, whose bytes are of any encoding, and what else of the spec later callers
 * need: user, working directory and the like. Paths of the host are not among it: they may be gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "base/whole.h"
#include "box/box.h"
#include "spec/parse.h"
#include "sys/proc.h"

enum { SPEC_MAX = 8 << 20, BACKLOG = 128 };

static int socket_in(struct home *h, const char *name, struct sockaddr_un *ret_at, int *ret_dir,
		     struct err *e)
{
	int dir = openat(h->state, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), s;

	if (dir < 0 && errno == ENOENT)
		return kept_is(h, name) ? kept_refuse(h, name, e) :
					  err_set(e, ERR_NOT_FOUND, "no sandbox has the name '%s'", name);
	if (dir < 0)
		return err_sys(e, errno, "open '%s/%s'", h->state_path, name);
	*ret_dir = dir;
	*ret_at = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret_at->sun_path, sizeof(ret_at->sun_path), "/proc/self/fd/%d/sock", dir);
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return s < 0 ? err_sys(e, errno, "socket") : s;
}

/* The spec without paths of the host and without the environment. */
static int spec_for_later(const struct spec *spec, char **ret, struct err *e)
{
	static const char *const without[] = {"env", "volumes", "mounts", "tmpfs", "devices", "rootfs"};
	struct spec *copy = spec_copy(spec);
	int r = copy ? 0 : err_oom(e);

	for (size_t i = 0; r == 0 && i < sizeof(without) / sizeof(*without); i++)
		r = spec_clear(copy, without[i], e);
	if (r == 0)
		r = spec_to_json(copy, ret, e);
	spec_free(copy);
	return r;
}

static int write_env(int dir, const struct spec *spec, struct err *e)
{
	auto_buf struct buf text = BUF_INIT(SPEC_MAX);

	for (size_t i = 0; i < spec->env.n; i++)
		buf_add(&text, spec->env.v[i], strlen(spec->env.v[i]) + 1);
	if (buf_bad(&text))
		return err_set(e, ERR_LIMIT, "the environment is over %d bytes", SPEC_MAX);
	return whole_write(dir, "env", text.data ? text.data : "", text.len, e);
}

#define UNTIL_END "until-end" /* a file, with nothing in it */

static int note_until_end(int dir, struct err *e)
{
	auto_fd int fd = openat(dir, UNTIL_END, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(e, errno, "write '" UNTIL_END "'") : 0;
}

bool attach_until_end(int dir)
{
	return faccessat(dir, UNTIL_END, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int attach_listen(struct home *h, const char *name, const struct spec *spec, bool until_end, int *ret_listen, struct err *e)
{
	auto_fd int dir = -1, s = -1;
	auto_free char *json = NULL;
	struct sockaddr_un at;
	int r = spec_for_later(spec, &json, e);

	if (r < 0)
		return r;
	r = s = socket_in(h, name, &at, &dir, e);
	if (r < 0)
		return r;
	if (bind(s, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s, BACKLOG) < 0)
		return err_sys(e, errno, "bind '%s/%s/sock'", h->state_path, name);
	r = write_env(dir, spec, e);
	if (r == 0)
		r = whole_write(dir, "spec.json", json, strlen(json), e);
	if (r == 0 && until_end)
		r = note_until_end(dir, e);
	if (r < 0)
		return r;
	*ret_listen = take_fd(&s);
	return 0;
}

static int read_spec(int dir, struct spec *spec, struct err *e)
{
	auto_buf struct buf json = BUF_INIT(SPEC_MAX + 65536), env = BUF_INIT(SPEC_MAX + 65536);
	int r = whole_read(dir, "spec.json", &json, e);

	if (r == 0)
		r = spec_from_json(spec, json.data ? json.data : "", json.len, e);
	if (r == 0)
		r = whole_read(dir, "env", &env, e);
	for (size_t at = 0; r == 0 && at < env.len; at += strlen(env.data + at) + 1)
		r = spec_set(spec, "env", env.data + at, e);
	return r;
}

int attach_connect(struct home *h, const char *name)
{
	auto_fd int dir = -1, s = -1;
	struct sockaddr_un at;
	struct err e;

	s = socket_in(h, name, &at, &dir, &e);
	if (s < 0 || connect(s, (struct sockaddr *)&at, sizeof(at)) < 0)
		return -1;
	return take_fd(&s);
}

static int connect_to(struct box *b, struct err *e)
{
	auto_fd int dir = -1;
	struct sockaddr_un at;
	int r = b->ctl = socket_in(b->home, b->name, &at, &dir, e);

	if (r < 0)
		return r;
	if (connect(b->ctl, (struct sockaddr *)&at, sizeof(at)) < 0) {
		int why = errno;

		if (why == ENOENT && place_held(dir) && kept_is(b->home, b->name))
			return err_set(e, ERR_BUSY, "it is being started or ended by somebody else");
		if (why == ENOENT && place_held(dir))
			return err_set(e, ERR_STATE, "it belongs to a program, which alone can use it");
		if ((why == ENOENT || why == ECONNREFUSED) && kept_is(b->home, b->name))
			return kept_refuse(b->home, b->name, e);
		if (why == ENOENT || why == ECONNREFUSED)
			return err_set(e, ERR_DIED, "it has ended; `hutch rm` removes what it left");
		return err_sys(e, why, "connect");
	}
	r = read_spec(dir, b->spec, e);
	if (r == ERR_NOT_FOUND) /* written after the socket, and removed before it */
		return err_set(e, ERR_BUSY, "it is being started or ended by somebody else: what it was made with is not there");
	return r < 0 ? r : box_wait_ready(b, e);
}

enum { NAP_MS = 20, TRIES = 500, TRIES_OF_A_PROGRAM = 6 };

/* Whoever starts it has its name before it listens; whoever removes it has it until nothing is left. Without a record
 * that looks as if it were a program's, but for a moment only. */
static int connect_in_time(struct box *b, struct err *e)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000};
	int r = connect_to(b, e);

	for (int i = 1; (r == ERR_BUSY && i < TRIES) || (r == ERR_STATE && i < TRIES_OF_A_PROGRAM); i++) {
		close_fd(&b->ctl);
		nanosleep(&nap, NULL);
		r = connect_to(b, e);
	}
	return r;
}

int box_attach(struct home *h, const char *name, struct box **ret, struct err *e)
{
	auto_free char *valid = NULL;
	struct box *b;
	int r = home_check_owner(h, e);

	if (r == 0)
		r = parse_name(name, &valid, e);
	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_oom(e);
	b->home = h;
	b->shared = true;
	b->ctl = b->pidfd = b->userns = b->files = -1;
	b->spec = spec_new();
	b->name = strdup(name);
	r = b->spec && b->name ? connect_in_time(b, e) : err_oom(e);
	if (r == 0) {
		b->hostname = b->spec->hostname ? strdup(b->spec->hostname) : strndup(name, 63);
		b->has_upper = true; /* or giving it back finds none */
		b->kept = kept_is(h, name);
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
