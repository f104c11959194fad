/* SPDX-License-Identifier: Apache-2.0
 *
 * op.c - what a keeper does for a while: begun, and waited for or not
 */
#include "box/op.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/proc.h"

int op_usable(struct box *b, struct err *e)
{
	int r = home_check_owner(b->home, e);

	if (r == 0)
		r = box_wait_ready(b, e);
	if (r == 0 && b->spent)
		r = err_set(e, ERR_STATE, "sandbox '%s' is there for the one command that was started", b->name);
	return r;
}

int op_new(struct box *b, const char *what, int (*look)(struct op *o, struct err *e), struct op **ret, struct err *e)
{
	struct op *o;
	int r = home_check_owner(b->home, e);

	if (r < 0)
		return r;
	if (b->op)
		return err_set(e, ERR_BUSY, "a %s of sandbox '%s' is under way", b->op->what, b->name);
	o = calloc(1, sizeof(*o));
	if (!o)
		return err_oom(e);
	*o = (struct op){.b = b, .talks = b, .what = what, .look = look, .pidfd = -1, .events = -1, .woken = -1, .file = -1,
			 .nodes = {.dir = -1, .layers_lock = -1}};
	*ret = b->op = o;
	return 0;
}

static int look_ready(struct op *o, struct err *e)
{
	int r = 1;

	if (!o->b->ready && !o->b->why.code && !o->b->dead)
		return 0;
	if (box_wait_ready(o->b, e) < 0)
		r = e->code;
	return r;
}

int box_ready_start(struct box *b, struct op **ret, struct err *e)
{
	int r = op_new(b, "start", look_ready, ret, e);

	if (r == 0)
		(*ret)->keeps = true;
	return r;
}

static void over(struct op *o, int code)
{
	o->over = true;
	o->code = code < 0 ? code : 0;
	if (o->b && o->b->home->owner == getpid())
		(void)flock(o->file, LOCK_UN); /* of the layers, see nodes_close() */
	if (o->b)
		o->b->op = NULL;
	o->b = o->talks = NULL;
	nodes_close(&o->nodes);
	node_done(&o->node);
	stack_done(&o->on);
	close_fd(&o->file);
}

int op_began(struct op *o, int r, struct op **ret, struct err *e)
{
	(void)e;
	if (r == 0) {
		*ret = o;
		return 0;
	}
	over(o, r);
	op_free(o);
	return r;
}

int op_check(const struct box *b, bool shell, struct err *e)
{
	const struct op *o = b->op;

	return o && (!o->keeps || (shell && o->moves)) ?
	       err_set(e, ERR_BUSY, "a %s of sandbox '%s' is under way", o->what, b->name) : 0;
}

void op_told(const struct box *b)
{
	uint64_t one = 1;

	if (b->op && b->op->woken >= 0)
		(void)!write(b->op->woken, &one, sizeof(one));
}

/* Milliseconds until it must be looked at (-1: without end); @over_ns counts where it @ends. */
static int next_look(const struct op *o, uint64_t over_ns, bool ends)
{
	uint64_t at = o->look_by_ns, now = sys_now_ns();

	if (ends && (!at || over_ns < at))
		at = over_ns;
	return !at ? -1 : at <= now ? 0 : (int)((at - now + 999999) / 1000000);
}

/* No word comes any more, and its descriptor would say for ever that it has ended. */
static void stop_listening(struct op *o)
{
	if (o->events >= 0 && o->talks->ctl >= 0)
		(void)epoll_ctl(o->events, EPOLL_CTL_DEL, o->talks->ctl, NULL);
}

static int wait_word(struct op *o, int ms, struct err *e)
{
	struct pollfd p[2] = {{o->talks->ctl, POLLIN, 0}, {o->pidfd, POLLIN, 0}};

	if (o->talks->dead) {
		stop_listening(o);
		p[0].fd = -1;
	}
	if (poll(p, 2, ms) < 0)
		return errno == EINTR ? 0 : err_sys(e, errno, "poll");
	return p[0].revents ? box_talk(o->talks, 0, e) : 0;
}

int op_wait(struct op *o, int timeout_ms, struct err *e)
{
	uint64_t over_ns = sys_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000u, told;
	bool looked = false;
	int r = 0;

	if (!o->over && (r = home_check_owner(o->b->home, e)) < 0)
		return r;
	if (o->woken >= 0)
		(void)!read(o->woken, &told, sizeof(told));
	while (!o->over) {
		r = o->look(o, &o->e);
		if (r != 0) {
			over(o, r);
			break;
		}
		if (looked && timeout_ms >= 0 && sys_now_ns() >= over_ns)
			return 0;
		looked = true;
		/* That it has ended is for look() to say. */
		(void)wait_word(o, next_look(o, over_ns, timeout_ms >= 0), NULL);
	}
	if (o->code < 0 && e)
		*e = o->e;
	return o->code < 0 ? o->code : 1;
}

void op_end(struct box *b)
{
	struct op *o = b->op;

	if (o && op_wait(o, -1, NULL) < 0 && !o->over) /* in a fork of the caller */
		over(o, ERR_STATE);
}

int op_finish(struct op *o, struct err *e)
{
	int r = op_wait(o, -1, e);

	op_free(o);
	return r < 0 ? r : 0;
}

/* Where it waits for others than before. */
static int watch(struct op *o)
{
	struct epoll_event in = {.events = EPOLLIN};
	int from[] = {o->woken, o->talks && !o->talks->dead ? o->talks->ctl : -1, o->pidfd};

	for (size_t i = 0; i < sizeof(from) / sizeof(*from); i++)
		if (from[i] >= 0 && epoll_ctl(o->events, EPOLL_CTL_ADD, from[i], &in) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

void op_talks_to(struct op *o, struct box *b)
{
	stop_listening(o);
	o->talks = b;
	if (o->events >= 0)
		(void)watch(o); /* it is looked at now and then in any case */
}

int op_fd(struct op *o, struct err *e)
{
	int r;

	if (o->events >= 0)
		return o->events;
	o->woken = eventfd(o->over, EFD_CLOEXEC | EFD_NONBLOCK);
	o->events = epoll_create1(EPOLL_CLOEXEC);
	if (o->events < 0 || o->woken < 0)
		return err_sys(e, errno, "make a descriptor for events");
	r = watch(o);
	return r < 0 ? err_sys(e, r, "wait for events") : o->events;
}

void op_free(struct op *o)
{
	if (!o)
		return;
	if (!o->over)
		(void)op_wait(o, -1, NULL); /* half of it would be worse */
	if (o->b) /* in a fork of the caller */
		o->b->op = NULL;
	for (size_t i = 0; i < o->made; i++)
		(void)box_delete(o->boxes[i], NULL); /* nobody has taken them */
	for (size_t i = 0; i < o->n && o->names; i++)
		free(o->names[i]);
	free(o->names);
	free(o->boxes);
	free(o->text);
	close_fd(&o->events);
	close_fd(&o->woken);
	free(o);
}

const char *op_text(const struct op *o, size_t *ret_len)
{
	bool told = o->over && o->code == 0;

	if (ret_len)
		*ret_len = told ? o->len : 0;
	return told ? o->text : NULL;
}

size_t op_boxes(struct op *o, struct box **ret)
{
	size_t n = o->over && o->code == 0 ? o->made : 0;

	if (n)
		memcpy(ret, o->boxes, n * sizeof(*ret));
	o->made -= n;
	return n;
}
