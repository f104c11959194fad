/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal.c - our terminal and the sandbox's, joined
 *
 * How it works: the command has a terminal of its own, whose master we hold. Ours is put into raw
 * mode, so Ctrl-C, Ctrl-Z and the like are bytes that the other one's line discipline turns into
 * signals inside. An epoll descriptor of foreground.c wakes us when a side has something; the master is
 * watched for room as long as something typed has not been taken.
 */
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

void terminal_size(uint16_t *ret_rows, uint16_t *ret_cols)
{
	struct winsize ws = {0};

	for (int fd = 0; fd < 3; fd++)
		if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_row)
			break;
	*ret_rows = ws.ws_row;
	*ret_cols = ws.ws_col;
}

static int make_raw(struct terminal *t)
{
	struct termios raw;

	if (tcgetattr(0, &t->before) < 0)
		return 0; /* no terminal */
	raw = t->before;
	cfmakeraw(&raw);
	if (tcsetattr(0, TCSADRAIN, &raw) < 0)
		return -errno;
	t->raw = true;
	return 0;
}

int terminal_open(struct terminal *t, int epoll, bool reads)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = 0};
	int r;

	memset(t, 0, sizeof(*t));
	t->epoll = epoll;
	t->reads = reads;
	if (!reads)
		return 0;
	r = make_raw(t);
	if (r < 0)
		return r;
	/* A regular file cannot be watched; it can always be read. */
	t->in_set = epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &ev) == 0;
	return 0;
}

void terminal_close(struct terminal *t)
{
	if (t->raw)
		(void)tcsetattr(0, TCSADRAIN, &t->before); /* it may be gone */
	t->raw = false;
}

void terminal_again(struct terminal *t)
{
	if (t->reads && !t->raw && tcgetpgrp(0) == getpgrp())
		(void)make_raw(t); /* without, lines are read instead of keys */
}

static void watch(struct terminal *t, int master)
{
	struct epoll_event ev = {.events = EPOLLIN | (t->nheld ? EPOLLOUT : 0), .data.fd = master};

	if (epoll_ctl(t->epoll, t->master_set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, master, &ev) == 0)
		t->master_set = true;
	if (t->reads && t->in_set && t->nheld == sizeof(t->held)) {
		epoll_ctl(t->epoll, EPOLL_CTL_DEL, 0, NULL);
		t->in_set = false;
	} else if (t->reads && !t->in_set && t->nheld < sizeof(t->held)) {
		ev = (struct epoll_event){.events = EPOLLIN, .data.fd = 0};
		t->in_set = epoll_ctl(t->epoll, EPOLL_CTL_ADD, 0, &ev) == 0;
	}
}

static bool readable(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	return poll(&p, 1, 0) == 1;
}

static void take_input(struct terminal *t)
{
	ssize_t n;

	if (!t->reads || t->nheld == sizeof(t->held) || !readable(0))
		return;
	n = read(0, t->held + t->nheld, sizeof(t->held) - t->nheld);
	if (n > 0) {
		t->nheld += (size_t)n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		/* The end of input is a byte on a terminal: Ctrl-D, as its settings are at first. */
		t->held[t->nheld++] = 4;
		t->reads = false;
		if (t->in_set)
			epoll_ctl(t->epoll, EPOLL_CTL_DEL, 0, NULL);
		t->in_set = false;
	}
}

static void write_out(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(1, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {1, POLLOUT, 0};

			(void)poll(&p, 1, 1000);
		} else if (n < 0 && errno != EINTR) {
			return;
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
}

void terminal_carry(struct terminal *t, int master)
{
	char buf[8192];
	ssize_t n;

	if (!t->master_set)
		(void)fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
	take_input(t);
	if (t->nheld) {
		n = write(master, t->held, t->nheld);
		if (n > 0) {
			memmove(t->held, t->held + n, t->nheld - (size_t)n);
			t->nheld -= (size_t)n;
		}
	}
	n = read(master, buf, sizeof(buf));
	if (n > 0)
		write_out(buf, (size_t)n);
	watch(t, master);
}

void terminal_drain(int master)
{
	char buf[8192];
	ssize_t n;

	(void)fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
	for (int i = 0; i < 64 && (n = read(master, buf, sizeof(buf))) > 0; i++)
		write_out(buf, (size_t)n);
}

void terminal_resized(int master)
{
	struct winsize ws;

	for (int fd = 0; fd < 3; fd++)
		if (ioctl(fd, TIOCGWINSZ, &ws) == 0) {
			(void)ioctl(master, TIOCSWINSZ, &ws);
			return;
		}
}
