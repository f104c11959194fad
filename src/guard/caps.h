/* SPDX-License-Identifier: Apache-2.0
 *
 * caps.h - what can be said about capabilities before a box starts
 */
#ifndef HUTCH_GUARD_CAPS_H
#define HUTCH_GUARD_CAPS_H

#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define GUARD_CAP(name) (UINT64_C(1) << CAP_##name)

/* What commands have unless asked otherwise: Docker's default set. */
#define GUARD_CAPS_DOCKER                                                                     \
	(GUARD_CAP(CHOWN) | GUARD_CAP(DAC_OVERRIDE) | GUARD_CAP(FSETID) | GUARD_CAP(FOWNER) | \
	 GUARD_CAP(MKNOD) | GUARD_CAP(NET_RAW) | GUARD_CAP(SETGID) | GUARD_CAP(SETUID) |      \
	 GUARD_CAP(SETFCAP) | GUARD_CAP(SETPCAP) | GUARD_CAP(NET_BIND_SERVICE) |              \
	 GUARD_CAP(SYS_CHROOT) | GUARD_CAP(KILL) | GUARD_CAP(AUDIT_WRITE))

/* Are all @asked capabilities among those that @have, the bounding set in which the box is made?
 * Return: 0, or UNSUPPORTED, naming those that this kernel does not know or that are missing. */
int guard_caps_check(uint64_t asked, uint64_t have, struct err *e);

#endif
