/* SPDX-License-Identifier: Apache-2.0
 *
 * bpf_seccomp.h - compile a filter, with libseccomp
 */
#ifndef HUTCH_GUARD_BPF_SECCOMP_H
#define HUTCH_GUARD_BPF_SECCOMP_H

#include "guard/seccomp.h"

/* As guard_seccomp(), always compiling. */
int guard_seccomp_compile(const struct guard_ask *ask, struct sock_filter *ret_code, size_t room,
			  size_t *ret_n, struct err *e);

#endif
