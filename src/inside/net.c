/* SPDX-License-Identifier: Apache-2.0
 *
 * net.c - a network namespace of its own: made, loopback up, sysctls written
 *
 * How it works: to make a network namespace takes the kernel longer than all the rest of a keeper.
 * So a child of the keeper makes it, on another processor, while the keeper goes on, and hands it
 * over as a descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/proc.h"

int net_up(struct err *e)
{
	struct ifreq r = {.ifr_flags = IFF_UP | IFF_RUNNING};
	auto_fd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return err_sys(e, errno, "socket");
	strcpy(r.ifr_name, "lo");
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		return err_sys(e, errno, "bring up loopback");
	return 0;
}

static int make(int *ret, struct err *e)
{
	int r;

	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(e, errno, "make a network namespace");
	r = net_up(e);
	if (r < 0)
		return r;
	*ret = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? err_sys(e, errno, "open '/proc/self/ns/net'") : 0;
}

static void maker_main(int news)
{
	struct msg_head h = {.op = OP_READY};
	struct err e = {0};
	int ns = -1;

	if (make(&ns, &e) < 0) {
		h.op = OP_FAILED;
		(void)msg_send(news, &h, &e, sizeof(e), NULL, 0);
	} else {
		(void)msg_send(news, &h, NULL, 0, &ns, 1);
	}
	_exit(0);
}

int net_begin(struct keeper *k, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socketpair");
	k->net_maker = sys_fork(0, NULL);
	if (k->net_maker == 0)
		maker_main(pair[1]);
	close(pair[1]);
	k->net_news = pair[0];
	return k->net_maker < 0 ? err_sys(e, -k->net_maker, "make a process") : 0;
}

int net_finish(struct keeper *k, struct err *e)
{
	char buf[sizeof(struct err) + 64] __attribute__((aligned(8)));
	struct msg m;
	int r = msg_recv(k->net_news, &m, buf, sizeof(buf), 0);

	close_fd(&k->net_news);
	if (r <= 0)
		return err_set(e, ERR_DIED, "the network namespace was not made");
	if (m.head.op == OP_FAILED && m.head.body == sizeof(*e)) {
		memcpy(e, m.body, sizeof(*e));
		r = e->code;
	} else {
		r = m.nfds == 1 ? sys_setns(m.fds[0], CLONE_NEWNET) : -EBADMSG;
		if (r < 0)
			err_sys(e, r, "enter the network namespace");
	}
	msg_done(&m);
	return r; /* the maker is reaped with everybody else */
}

int net_sysctls(const struct keeper *k, struct err *e)
{
	const struct plan_pair *s = pack_at(&k->pack, k->plan->sysctls.at, 0);
	char path[256];

	for (uint32_t i = 0; i < k->plan->sysctls.count; i++) {
		const char *key = pack_get_str(&k->pack, s[i].key);
		int r;

		snprintf(path, sizeof(path), "sys/%s", key);
		r = sys_write_file(k->proc, path, pack_get_str(&k->pack, s[i].value));
		if (r < 0)
			return err_sys(e, r, "write sysctl '%s'", key);
	}
	return 0;
}
