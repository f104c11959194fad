/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts.c - the network's part of a plan: namespace, /etc/hosts, /etc/resolv.conf
 */
#include "net/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

enum { TEXT_MAX = 1 << 20 };

void net_hosts(struct buf *b, const struct spec *s, const char *hostname)
{
	buf_str(b, "127.0.0.1\tlocalhost\n"
		   "::1\tlocalhost ip6-localhost ip6-loopback\n"
		   "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\n"
		   "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
	for (size_t i = 0; i < s->add_host.n; i++) {
		const char *name = s->add_host.v[i], *colon = strchr(name, ':');

		if (colon)
			buf_fmt(b, "%s\t%.*s\n", colon + 1, (int)(colon - name), name);
	}
	if (strcmp(hostname, "localhost"))
		buf_fmt(b, "127.0.0.1\t%s\n", hostname);
}

void net_resolv(struct buf *b, const struct spec *s, const char *host, size_t len)
{
	for (size_t i = 0; i < s->dns.n; i++)
		buf_fmt(b, "nameserver %s\n", s->dns.v[i]);
	if (!s->dns.n)
		buf_add(b, host, len);
}

static int read_host(struct buf *b, struct err *e)
{
	auto_fd int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open '/etc/resolv.conf'");
	while (n > 0) {
		char *p = buf_room(b, 4096);

		if (!p)
			return err_set(e, ERR_LIMIT, "/etc/resolv.conf is over 1 MiB");
		n = read(fd, p, 4096);
		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "read '/etc/resolv.conf'");
		b->len += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int net_plan(struct draft *d, const struct spec *s, const char *hostname, struct err *e)
{
	auto_buf struct buf hosts = BUF_INIT(TEXT_MAX), host = BUF_INIT(TEXT_MAX);
	auto_buf struct buf resolv = BUF_INIT(TEXT_MAX);
	int r = 0;

	if (s->network != SPEC_NET_HOST)
		d->plan.flags |= PLAN_NET;
	else if (!s->allow_abstract_sockets)
		d->plan.flags |= PLAN_SCOPE_ABSTRACT;
	net_hosts(&hosts, s, hostname);
	if (s->network == SPEC_NET_HOST && !s->dns.n)
		r = read_host(&host, e);
	if (r < 0)
		return r;
	net_resolv(&resolv, s, host.data ? host.data : "", host.len);
	if (buf_bad(&hosts) || buf_bad(&resolv))
		return err_set(e, ERR_LIMIT, "the names and addresses asked for are over 1 MiB, or memory "
					     "is short");
	d->plan.hosts = draft_str(d, hosts.data);
	d->plan.resolv_conf = draft_str(d, resolv.data ? resolv.data : "");
	return 0;
}
