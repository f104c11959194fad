/* SPDX-License-Identifier: Apache-2.0
 *
 * seccomp.c - the filter for one box: ready-made where it can be, compiled where it must
 *
 * How it works: refused_relevant() takes from the ask all that no rule looks at, so that asks with
 * the same filter are equal. If that ask was baked at build time, its program is copied; else
 * guard_seccomp_compile() makes it with libseccomp.
 *
 * Called by: box/start.c, once per box.  Loaded by: inside/, last before exec.
 */
#include "guard/seccomp.h"

#include <string.h>

#include "guard/baked.h"
#include "guard/bpf_seccomp.h"
#include "guard/refused.h"

int guard_seccomp(const struct guard_ask *ask, struct sock_filter *ret_code, size_t room,
		  size_t *ret_n, struct err *e)
{
	struct guard_ask relevant = refused_relevant(ask);
	const struct baked_filter *b = baked_find(&relevant);

	if (!b)
		return guard_seccomp_compile(&relevant, ret_code, room, ret_n, e);
	if (b->n > room)
		return err_set(e, ERR_LIMIT, "seccomp filter: %zu instructions, room for %zu", b->n,
			       room);
	memcpy(ret_code, b->code, b->n * sizeof(*b->code));
	*ret_n = b->n;
	return 0;
}
