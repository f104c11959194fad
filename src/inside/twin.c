/* SPDX-License-Identifier: Apache-2.0
 *
 * twin.c - a sandbox that was made before anybody asked for it gets its name
 *
 * How it works: all of it stands already, and nothing but a shell that waits has run in it. What its name decides is
 * put right where it is: the host name, two files of the generated layer, below which nobody has looked them up yet,
 * and the way to the directory of its changes, which the caller has renamed. Whoever has told us the name runs nothing
 * before we say that it is done. The next generation, which takes over all that, is not made ready before.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

static int write_anew(int fd, const char *text, const char *what, struct err *e)
{
	size_t len = strlen(text);

	if (fd < 0)
		return 0;
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, len, 0) != (ssize_t)len)
		return err_sys(e, errno, "write '%s'", what);
	return 0;
}

static int link_changes(const struct keeper *k, const char *box, struct err *e)
{
	char to[300];

	snprintf(to, sizeof(to), "store/boxes/%.255s", box);
	if (unlinkat(k->nameless.storage, "up", 0) < 0 || symlinkat(to, k->nameless.storage, "up") < 0)
		return err_sys(e, errno, "link the directory for changes");
	return 0;
}

static int name_it(struct keeper *k, const struct pack *p, struct err *e)
{
	const struct naming *n = naming_open(p, e);
	const char *box = n ? pack_get_str(p, n->box) : NULL;
	char line[sizeof(k->hostname) + 1];
	int r;

	if (!n)
		return e->code;
	if (k->nameless.storage < 0)
		return err_set(e, ERR_INTERNAL, "it has a name");
	snprintf(k->hostname, sizeof(k->hostname), "%s", pack_get_str(p, n->hostname));
	/* In the uts namespace of the generation, in which we stand. */
	if (sethostname(k->hostname, strlen(k->hostname)) < 0)
		return err_sys(e, errno, "set the host name '%s'", k->hostname);
	snprintf(line, sizeof(line), "%s\n", k->hostname);
	r = write_anew(k->nameless.hostname, line, "/etc/hostname", e);
	if (r == 0)
		r = write_anew(k->nameless.hosts, pack_get_str(p, n->hosts), "/etc/hosts", e);
	if (r == 0 && box && k->plan->box)
		r = link_changes(k, box, e);
	return r;
}

void twin_named(struct keeper *k, struct client *c, const struct msg *m)
{
	const struct pack p = {m->body, m->head.body};
	struct err e = {0};

	if (name_it(k, &p, &e) < 0) { /* never under the wrong name */
		(void)client_tell(c, &(struct msg_head){.op = OP_FAILED}, &e, sizeof(e), NULL, 0);
		client_finish(c);
		_exit(1);
	}
	(void)client_tell(c, &(struct msg_head){.op = OP_NAMED}, NULL, 0, NULL, 0);
	close_fd(&k->nameless.storage);
	close_fd(&k->nameless.hostname);
	close_fd(&k->nameless.hosts);
	k->want_spare = k->plan->flags & PLAN_SPARE;
	reset_begins(k, sys_now_ns());
	sys_background(0, false);
	if (k->now.pid)
		sys_background(k->now.pid, false);
	shell_named(k);
}
