/* SPDX-License-Identifier: Apache-2.0
 *
 * caps.h - capabilities, by Docker's default set
 */
#ifndef HUTCH_GUARD_CAPS_H
#define HUTCH_GUARD_CAPS_H

#include <linux/capability.h>
#include <stdint.h>

#define GUARD_CAP(name) (UINT64_C(1) << CAP_##name)

/* What commands have unless asked otherwise: Docker's default set. */
#define GUARD_CAPS_DOCKER                                                                     \
	(GUARD_CAP(CHOWN) | GUARD_CAP(DAC_OVERRIDE) | GUARD_CAP(FSETID) | GUARD_CAP(FOWNER) | \
	 GUARD_CAP(MKNOD) | GUARD_CAP(NET_RAW) | GUARD_CAP(SETGID) | GUARD_CAP(SETUID) |      \
	 GUARD_CAP(SETFCAP) | GUARD_CAP(SETPCAP) | GUARD_CAP(NET_BIND_SERVICE) |              \
	 GUARD_CAP(SYS_CHROOT) | GUARD_CAP(KILL) | GUARD_CAP(AUDIT_WRITE))

#endif
