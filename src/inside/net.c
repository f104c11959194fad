/* SPDX-License-Identifier: Apache-2.0
 *
 * net.c - a fresh network namespace: loopback up, sysctls written
 */
#include <errno.h>
#include <linux/if.h>
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
