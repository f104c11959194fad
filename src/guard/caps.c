/* SPDX-License-Identifier: Apache-2.0
 *
 * caps.c - can the capabilities that were asked for be had?
 *
 * A box has at most what the processes that make it have: a capability that is missing from their
 * bounding set cannot come back, in no user namespace below. Asked for by name, it is an error
 * before the start rather than a weaker box after it.
 *
 * Called by: box/start.c.  The doing: inside/ (capset, bounding set).
 */
#include "guard/caps.h"

#include <stdio.h>

static const char *const names[] = {
	[CAP_CHOWN] = "CHOWN",
	[CAP_DAC_OVERRIDE] = "DAC_OVERRIDE",
	[CAP_DAC_READ_SEARCH] = "DAC_READ_SEARCH",
	[CAP_FOWNER] = "FOWNER",
	[CAP_FSETID] = "FSETID",
	[CAP_KILL] = "KILL",
	[CAP_SETGID] = "SETGID",
	[CAP_SETUID] = "SETUID",
	[CAP_SETPCAP] = "SETPCAP",
	[CAP_LINUX_IMMUTABLE] = "LINUX_IMMUTABLE",
	[CAP_NET_BIND_SERVICE] = "NET_BIND_SERVICE",
	[CAP_NET_BROADCAST] = "NET_BROADCAST",
	[CAP_NET_ADMIN] = "NET_ADMIN",
	[CAP_NET_RAW] = "NET_RAW",
	[CAP_IPC_LOCK] = "IPC_LOCK",
	[CAP_IPC_OWNER] = "IPC_OWNER",
	[CAP_SYS_MODULE] = "SYS_MODULE",
	[CAP_SYS_RAWIO] = "SYS_RAWIO",
	[CAP_SYS_CHROOT] = "SYS_CHROOT",
	[CAP_SYS_PTRACE] = "SYS_PTRACE",
	[CAP_SYS_PACCT] = "SYS_PACCT",
	[CAP_SYS_ADMIN] = "SYS_ADMIN",
	[CAP_SYS_BOOT] = "SYS_BOOT",
	[CAP_SYS_NICE] = "SYS_NICE",
	[CAP_SYS_RESOURCE] = "SYS_RESOURCE",
	[CAP_SYS_TIME] = "SYS_TIME",
	[CAP_SYS_TTY_CONFIG] = "SYS_TTY_CONFIG",
	[CAP_MKNOD] = "MKNOD",
	[CAP_LEASE] = "LEASE",
	[CAP_AUDIT_WRITE] = "AUDIT_WRITE",
	[CAP_AUDIT_CONTROL] = "AUDIT_CONTROL",
	[CAP_SETFCAP] = "SETFCAP",
	[CAP_MAC_OVERRIDE] = "MAC_OVERRIDE",
	[CAP_MAC_ADMIN] = "MAC_ADMIN",
	[CAP_SYSLOG] = "SYSLOG",
	[CAP_WAKE_ALARM] = "WAKE_ALARM",
	[CAP_BLOCK_SUSPEND] = "BLOCK_SUSPEND",
	[CAP_AUDIT_READ] = "AUDIT_READ",
	[CAP_PERFMON] = "PERFMON",
	[CAP_BPF] = "BPF",
	[CAP_CHECKPOINT_RESTORE] = "CHECKPOINT_RESTORE",
};

enum { NAMES = sizeof(names) / sizeof(*names) };

/* Appends the name of capability @i to @text, of @room bytes; what does not fit is left out. */
static size_t add_name(char *text, size_t used, size_t room, unsigned i)
{
	const char *comma = used ? ", " : "";
	int n;

	if (i < NAMES)
		n = snprintf(text + used, room - used, "%s%s", comma, names[i]);
	else
		n = snprintf(text + used, room - used, "%s%u", comma, i);
	return n < 0 || (size_t)n >= room - used ? used : used + (size_t)n;
}

int guard_caps_check(uint64_t asked, uint64_t have, struct err *e)
{
	uint64_t missing = asked & ~have;
	char text[256] = "";
	size_t used = 0;

	if (!missing)
		return 0;
	for (unsigned i = 0; i < 64; i++)
		if (missing >> i & 1) {
			used = add_name(text, used, sizeof(text), i);
			text[used] = '\0'; /* a name that did not fit was cut */
		}
	return err_set(e, ERR_UNSUPPORTED,
		       "capabilities %s: not among those that the caller of hutch may hand on",
		       text);
}
