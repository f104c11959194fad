/* SPDX-License-Identifier: Apache-2.0
 *
 * refused.h - the table of refused system calls, and what frees one
 */
#ifndef HUTCH_GUARD_REFUSED_H
#define HUTCH_GUARD_REFUSED_H

#include <stddef.h>
#include <stdint.h>

#include "guard/seccomp.h"

/* How a refused call is answered. */
enum refused_answer {
	REFUSED_ERRNO,	/* EPERM, as Docker answers */
	REFUSED_ENOSYS, /* as if the kernel had no such call: programs fall back */
	REFUSED_TRACE,	/* ENOSYS today; a checkpoint's tracer may once let its own calls through */
};

/* Options that free a call, beside capabilities. */
enum refused_option {
	REFUSED_ALWAYS = 0,
	REFUSED_BUT_PTRACE = 1 << 0,
	REFUSED_BUT_USERNS = 1 << 1,
};

struct refused_call {
	const char *name;
	int number; /* for calls that libseccomp 2.5 cannot name; -1: ask it */
	enum refused_answer answer;
	uint64_t caps;	  /* any one of these frees the call */
	unsigned options; /* any one of these frees it too */
};

/* The rows of refused.def. */
const struct refused_call *refused_calls(size_t *ret_n);

/* Capabilities that free clone() with flags for new namespaces, as they do unshare(). */
#define REFUSED_CAPS_NAMESPACES (UINT64_C(1) << CAP_SYS_ADMIN)

/* With these the box configures its own network: more netlink protocols than the harmless ones. */
#define REFUSED_CAPS_NETLINK (UINT64_C(1) << CAP_NET_ADMIN)

/* Is @call refused to who asked for @ask? */
bool refused_stands(const struct refused_call *call, const struct guard_ask *ask);

/* @ask without what no rule looks at: two asks with the same filter become equal. */
struct guard_ask refused_relevant(const struct guard_ask *ask);

#endif
