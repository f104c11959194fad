/* SPDX-License-Identifier: Apache-2.0
 *
 * net.c - a network namespace of its own: made, loopback up, sysctls written
 *
 * How it works: to make a network namespace takes the kernel longer than all the rest of a keeper. So the
 * first reaper makes it, on another processor, and with it a sysfs, which shows the network in which it is
 * mounted. Both come as descriptors when the first generation is almost built. The caller's sysfs is still
 * to be seen then: otherwise the kernel would mount none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
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

int net_make(struct err *e)
{
	return unshare(CLONE_NEWNET) < 0 ? err_sys(e, errno, "make a network namespace") : 0;
}

int net_finish(int fds[NET_MADE], struct err *e)
{
	int r = net_up(e);

	if (r < 0)
		return r;
	fds[NET_NAMESPACE] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fds[NET_NAMESPACE] < 0)
		return err_sys(e, errno, "open '/proc/self/ns/net'");
	r = fds[NET_SYSFS] = mount_sysfs(e);
	return r < 0 ? r : 0;
}

int net_join(struct keeper *k, struct generation *g, struct err *e)
{
	int fds[NET_MADE], r = generation_network(k, g, fds, e);

	if (r < 0)
		return r;
	r = sys_setns(fds[NET_NAMESPACE], CLONE_NEWNET);
	close(fds[NET_NAMESPACE]);
	if (r < 0)
		return err_sys(e, r, "enter the network namespace");
	k->net_joined = true;
	/* For the storage, later. What stays a mount of ours is cheaper to let go of than a clone, but from within
	 * a nested mount namespace it could not be cloned. */
	k->sysfs = fcntl(fds[NET_SYSFS], F_DUPFD_CLOEXEC, 3);
	if (k->plan->flags & PLAN_NESTED && k->sysfs >= 0) {
		close(k->sysfs);
		k->sysfs = sys_clone_tree(fds[NET_SYSFS], "", 0);
	}
	r = k->sysfs < 0 ? err_sys(e, errno, "keep the sysfs") : storage_sysfs(k, fds[NET_SYSFS], "new/sys", e);
	k->marks[MARK_NET] = sys_now_ns();
	return r;
}

/* By who may write to /proc/sys, or make that writable, or set some of them by netlink. */
static bool may_be_changed(const struct keeper *k)
{
	const uint64_t powers = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_NET_ADMIN;

	return k->plan->flags & (PLAN_NESTED | PLAN_UNMASKED) || k->plan->caps & powers;
}

int net_sysctls(struct keeper *k, struct err *e)
{
	const struct plan_pair *s = pack_at(&k->pack, k->plan->sysctls.at, 0);
	char path[256];

	for (uint32_t i = 0; i < k->plan->sysctls.count; i++) {
		const char *key = pack_get_str(&k->pack, s[i].key);
		int r;

		if (k->net_set && !strncmp(key, "net/", 4)) /* that is one network's for all generations */
			continue;
		snprintf(path, sizeof(path), "sys/%s", key);
		r = sys_write_file(k->proc, path, pack_get_str(&k->pack, s[i].value));
		if (r < 0)
			return err_sys(e, r, "write sysctl '%s'", key);
	}
	k->net_set = !may_be_changed(k);
	return 0;
}
