/* SPDX-License-Identifier: Apache-2.0
 *
 * net.c - a network namespace of its own: made, loopback up, sysctls written
 *
 * How it works: to make a network namespace takes the kernel longer than all the rest of a keeper.
 * So a child of the keeper makes it, on another processor, and with it a sysfs, which shows the network in
 * which it is mounted. Both come as descriptors, late: when the first generation is almost built. The
 * caller's sysfs is still to be seen then: otherwise the kernel would mount none.
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
#include "sys/fsmount.h"
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

static int mount_sysfs(struct err *e)
{
	auto_fd int fs = sys_fsopen("sysfs");
	int r = fs;

	if (r >= 0)
		r = sys_fs_flag(fs, "ro");
	if (r >= 0)
		r = sys_fs_mount(fs, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					     MOUNT_ATTR_NOEXEC);
	return r < 0 ? err_sys(e, r, "mount sysfs") : r;
}

enum { MADE_NET, MADE_SYSFS, MADE };

static int make(int fds[MADE], struct err *e)
{
	int r;

	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(e, errno, "make a network namespace");
	r = net_up(e);
	if (r < 0)
		return r;
	fds[MADE_NET] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fds[MADE_NET] < 0)
		return err_sys(e, errno, "open '/proc/self/ns/net'");
	r = fds[MADE_SYSFS] = mount_sysfs(e);
	return r < 0 ? r : 0;
}

static void maker_main(int news)
{
	struct msg_head h = {.op = OP_READY};
	struct err e = {0};
	int fds[MADE];

	if (make(fds, &e) < 0) {
		h.op = OP_FAILED;
		(void)msg_send(news, &h, &e, sizeof(e), NULL, 0);
	} else {
		(void)msg_send(news, &h, NULL, 0, fds, MADE);
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

/* Takes what the maker has made. */
static int take(struct keeper *k, struct msg *m, void *buf, size_t room, struct err *e)
{
	int r = msg_recv(k->net_news, m, buf, room, 0);

	close_fd(&k->net_news); /* the maker is reaped with everybody else */
	if (r <= 0)
		return err_set(e, ERR_DIED, "the network namespace was not made");
	if (m->head.op == OP_FAILED && m->head.body == sizeof(*e)) {
		memcpy(e, m->body, sizeof(*e));
		return e->code;
	}
	if (m->nfds != MADE)
		return err_set(e, ERR_INTERNAL, "%u descriptors of a network", m->nfds);
	r = sys_setns(m->fds[MADE_NET], CLONE_NEWNET);
	return r < 0 ? err_sys(e, r, "enter the network namespace") : 0;
}

int net_join(struct keeper *k, struct generation *g, struct err *e)
{
	char buf[sizeof(struct err) + 64] __attribute__((aligned(8)));
	struct msg_head late = {.op = OP_READY};
	struct msg m = {.nfds = 0};
	int r = take(k, &m, buf, sizeof(buf), e);

	if (r == 0)
		r = storage_sysfs(k, m.fds[MADE_SYSFS], e);
	k->marks[MARK_NET] = sys_now_ns();
	if (r == 0) {
		auto_fd int copy = sys_clone_tree(AT_FDCWD, "sys", 1);

		r = copy < 0 ? copy : msg_send(g->news, &late, NULL, 0,
					       (int[]){m.fds[MADE_NET], copy}, MADE);
		if (r < 0)
			err_sys(e, r, "hand the network on");
	}
	msg_done(&m);
	k->net_joined = r == 0;
	return r < 0 ? e->code : 0;
}

int net_late(int news, struct err *e)
{
	char buf[64] __attribute__((aligned(8)));
	struct msg m = {.nfds = 0};
	int r = msg_recv(news, &m, buf, sizeof(buf), 0);

	if (r <= 0 || m.nfds != MADE)
		return err_set(e, ERR_DIED, "the keeper is gone");
	r = sys_setns(m.fds[MADE_NET], CLONE_NEWNET);
	if (r == 0)
		r = sys_attach(m.fds[MADE_SYSFS], AT_FDCWD, "new/sys");
	msg_done(&m);
	return r < 0 ? err_sys(e, r, "take the network") : 0;
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
