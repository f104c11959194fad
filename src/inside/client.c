/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - what is said to a client
 *
 * How it works: the keeper waits for no client. What one does not take now stands in a list of its own and is sent
 * when he takes more; until then nothing more is heard from him. So the list holds no more than the ends of
 * what he has started before, and answers to what he has asked: he alone makes it grow.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

#define LAST_WORDS_NS 1000000000ull

/* One message. */
struct unsent {
	struct unsent *next;
	struct msg_head head;
	int fds[MSG_FDS_MAX];
	unsigned nfds;
	size_t len;
	char body[] __attribute__((aligned(8)));
};

static void unsent_free(struct unsent *u)
{
	for (unsigned i = 0; i < u->nfds; i++)
		close_fd(&u->fds[i]);
	free(u);
}

static int keep(struct client *c, const struct msg_head *head, const void *body, size_t len, const int *fds,
		unsigned nfds)
{
	struct unsent **at = &c->unsent, *u;

	if (nfds > MSG_FDS_MAX || len > MSG_BODY_MAX)
		return -E2BIG;
	u = calloc(1, sizeof(*u) + len);
	if (!u)
		return -ENOMEM;
	u->head = *head;
	u->len = len;
	if (len)
		memcpy(u->body, body, len);
	for (; u->nfds < nfds; u->nfds++) {
		u->fds[u->nfds] = fcntl(fds[u->nfds], F_DUPFD_CLOEXEC, 3);
		if (u->fds[u->nfds] < 0) {
			int why = -errno;

			unsent_free(u);
			return why;
		}
	}
	while (*at)
		at = &(*at)->next;
	*at = u;
	return 0;
}

int client_tell(struct client *c, const struct msg_head *head, const void *body, size_t len, const int *fds,
		unsigned nfds)
{
	int r = c->unsent ? -EAGAIN : msg_try(c->fd, head, body, len, fds, nfds);

	return r == -EAGAIN ? keep(c, head, body, len, fds, nfds) : r;
}

void client_go_on(struct client *c)
{
	struct unsent *u;

	while ((u = c->unsent) && msg_try(c->fd, &u->head, u->body, u->len, u->fds, u->nfds) != -EAGAIN) {
		c->unsent = u->next;
		unsent_free(u);
	}
}

void client_drop(struct client *c)
{
	struct unsent *u;

	while ((u = c->unsent)) {
		c->unsent = u->next;
		unsent_free(u);
	}
}

void client_finish(struct client *c)
{
	uint64_t until = sys_now_ns() + LAST_WORDS_NS;
	struct pollfd p = {c->fd, POLLOUT, 0};

	while (c->unsent && sys_now_ns() < until)
		if (poll(&p, 1, 100) > 0)
			client_go_on(c);
}
