/* SPDX-License-Identifier: Apache-2.0
 *
 * run_io.c - what a run writes, and what it reads
 *
 * How it works: output is read while somebody waits: handed on as it comes, or kept (sink.c). When the run has ended, what
 * is in the pipes belongs to it; whoever holds them open longer writes to the keeper, who forgets it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "box/run.h"
#include "sys/proc.h"

enum {
	LITTLE = 4096,
	AT_END = 2 << 20, /* what fits into a pipe that root made as large as it gets */
};

/* ---- output ----------------------------------------------------------------------------------- */

static void give(struct run *r, int i, const char *data, size_t len)
{
	if (r->on_output)
		r->on_output(r->arg, i + 1, data, len);
	else
		sink_add(&r->sink[i], data, len);
}

/* Where the program took the sub-shell's place the shell around it says so. */
void run_give_said(struct run *r)
{
	size_t len = r->program && !r->kill_by_ns ? strlen(r->s->said) : 0;

	if (!len)
		return;
	give(r, r->apart, r->s->said, len);
	len = r->s->names_it ? strlen(r->program) : 0;
	while (len && strchr(" \t\n", r->program[len - 1]))
		len--;
	give(r, r->apart, r->program, len);
	give(r, r->apart, "\n", 1);
}

size_t run_take(struct run *r, int i, bool hung_up)
{
	char little[LITTLE];
	char *buf = r->buf ? r->buf : little;
	size_t room = r->buf ? READ_SIZE : sizeof(little);
	ssize_t n = read(r->out[i], buf, room);

	if (n > 0) {
		give(r, i, buf, (size_t)n);
		if ((size_t)n == room && !r->buf)
			r->buf = malloc(READ_SIZE); /* there is more; where no memory is, it comes in small parts */
		return (size_t)n;
	}
	/* A fifo that nobody has opened yet reads as if it had ended; and while somebody opens it, poll() may take him for one
	 * who is gone (fs/pipe.c counts him in two steps). The read waits for both, so that they are right together. */
	if (n == 0 && (hung_up || !(r->s && !r->s->session)) && r->own[i])
		close_fd(&r->out[i]);
	if (n == 0 && r->s && r->s->session && r->out[i] >= 0) { /* the shell has ended, and all that it left */
		run_hear_no_more(r, r->out[i]);
		r->out[i] = -1;
	}
	return 0;
}

void run_take_rest(struct run *r)
{
	for (int i = 0; i < 2; i++) {
		size_t n = 1;

		for (size_t seen = 0; r->out[i] >= 0 && seen < AT_END && n; seen += n > LITTLE ? n : LITTLE)
			n = run_take(r, i, false);
		if (r->out[i] < 0 || !r->own[i])
			continue;
		/* Where nobody holds it any more, poll() says so. */
		if (poll(&(struct pollfd){r->out[i], POLLIN, 0}, 1, 0) == 0)
			box_drain(r->b, take_fd(&r->out[i]));
		else
			close_fd(&r->out[i]);
	}
}

int run_output(struct run *r, int which, struct run_output *ret, struct err *e)
{
	if (which != 1 && which != 2)
		return err_set(e, ERR_INVALID, "%d is neither 1 nor 2", which);
	return sink_output(&r->sink[which - 1], ret, e);
}

/* ---- input ------------------------------------------------------------------------------------ */

void run_feed(struct run *r)
{
	while (r->in >= 0 && r->fed < r->ninput) {
		ssize_t n = sys_write_quiet(r->in, r->input + r->fed, r->ninput - r->fed);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0) /* nobody reads any more */
			break;
		r->fed += (size_t)n;
	}
	close_fd(&r->in);
}

int run_give_input(struct run *r, const struct run_ask *ask, struct err *e)
{
	r->in = take_fd(&r->p->io[0]);
	(void)fcntl(r->in, F_SETFL, O_NONBLOCK);
	r->input = malloc(ask->input_len + 1);
	if (!r->input)
		return err_oom(e);
	memcpy(r->input, ask->input, ask->input_len);
	r->ninput = ask->input_len;
	run_feed(r);
	return 0;
}
