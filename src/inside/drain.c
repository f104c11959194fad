/* SPDX-License-Identifier: Apache-2.0
 *
 * drain.c - output that nobody waits for any more
 *
 * How it works: a command has ended, but what it started holds its output. Whoever writes there must
 * not be stopped by a full pipe, nor killed by one without a reader; so the keeper reads and forgets.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"

void drain_add(struct keeper *k, int fd)
{
	if (k->ndrains == DRAINS_MAX) { /* the oldest has had its time */
		close(k->drains[0]);
		k->ndrains--;
		for (int i = 0; i < k->ndrains; i++)
			k->drains[i] = k->drains[i + 1];
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	k->drains[k->ndrains++] = fd;
}

void drain_some(struct keeper *k, int fd)
{
	static char nowhere[65536];
	ssize_t n;
	int i = 0;

	while (i < k->ndrains && k->drains[i] != fd)
		i++;
	if (i == k->ndrains) /* it was closed since, and may be another's by now */
		return;
	n = read(fd, nowhere, sizeof(nowhere));
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	close(fd);
	k->drains[i] = k->drains[--k->ndrains];
}
