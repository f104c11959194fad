/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts.h - the network's part of a plan
 */
#ifndef HUTCH_NET_HOSTS_H
#define HUTCH_NET_HOSTS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "spec/spec.h"
#include "wire/draft.h"

/* The namespace, /etc/hosts and /etc/resolv.conf. */
int net_plan(struct draft *d, const struct spec *s, const char *hostname, struct err *e);

/* /etc/hosts of a sandbox: loopback, what was asked, its own name. */
void net_hosts(struct buf *b, const struct spec *s, const char *hostname);

/* The lines of the host's resolv.conf that mean something in a sandbox of the host's network, or
 * those asked for. */
void net_resolv(struct buf *b, const struct spec *s, const char *host, size_t len);

#endif
