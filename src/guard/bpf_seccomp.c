/* SPDX-License-Identifier: Apache-2.0
 *
 * bpf_seccomp.c - compile a filter, with libseccomp; the only file that includes it
 *
 * How it works: the program is
 *
 *	load architecture
 *	the machine's own?  no: ENOSYS, or on to the part for 32 bits where that was asked for
 *	head of bpf_head.c:  unknown numbers, calls with arguments
 *	tree of libseccomp:  refused.def less what the ask frees; all else is allowed
 *	the same two for 32 bits
 *
 * libseccomp makes one program per architecture, in its binary tree form, which is written to a
 * pipe and read back (libseccomp 2.5 exports to descriptors only). Its first instructions check
 * the architecture and load the number again; where they are the ones we know, they are left out.
 *
 * Nothing ever kills: a call that is refused returns an error, of whatever architecture it is.
 *
 * Another architecture is one more pair of rows, native and compat, below.
 *
 * Called by: seccomp.c, and bake.c while hutch is built.
 */
#include "guard/bpf_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "guard/bpf_head.h"
#include "guard/refused.h"

struct arch {
	struct bpf_arch bpf;
	uint32_t scmp; /* SCMP_ARCH_* */
};

#if defined(__x86_64__)
static const struct arch native = {
	.scmp = SCMP_ARCH_X86_64,
	.bpf =
		{
			.audit = AUDIT_ARCH_X86_64,
			.newest = 466, /* removexattrat, Linux 6.13 */
			.gap_first = 336,
			.gap_end = 424,
			.nr_ioctl = 16,
			.nr_clone = 56,
			.nr_personality = 135,
			.nr_socket = 41,
			.nr_socketpair = 53,
			.nr_prctl = 157,
		},
};

/* Programs of 32 bits are old: what came after Linux 5.15 they can do without, and libseccomp 2.5.3
 * could not translate it. */
static const struct arch compat = {
	.scmp = SCMP_ARCH_X86,
	.bpf =
		{
			.audit = AUDIT_ARCH_I386,
			.newest = 448, /* process_mrelease, Linux 5.15 */
			.nr_ioctl = 54,
			.nr_clone = 120,
			.nr_personality = 136,
			.nr_socket = 359,
			.nr_socketpair = 360,
			.nr_socketcall = 102,
			.nr_prctl = 172,
		},
};
#else
#error "no row for this architecture: see struct bpf_arch"
#endif

static void release_context(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/* libseccomp returns -errno, and -EFAULT for mistakes of its own. */
static int failed(struct err *e, int r, const char *what)
{
	return r == -ENOMEM ? err_oom(e) : err_sys(e, -r, "seccomp filter: %s", what);
}

static uint32_t action_of(enum refused_answer answer)
{
	return answer == REFUSED_ERRNO ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ERRNO(ENOSYS);
}

/* The number of @call as libseccomp wants it in a rule for @arch, or < -1 for one that only another
 * architecture has: libseccomp takes numbers of the native architecture and translates. */
static int rule_number(const struct refused_call *call)
{
	return call->number >= 0 ? call->number : seccomp_syscall_resolve_name(call->name);
}

static int add_rules(scmp_filter_ctx ctx, const struct arch *arch, const struct guard_ask *ask,
		     struct err *e)
{
	size_t n;
	const struct refused_call *calls = refused_calls(&n);

	for (size_t i = 0; i < n; i++) {
		int r, nr = rule_number(&calls[i]);

		if (nr == __NR_SCMP_ERROR)
			return err_set(e, ERR_UNSUPPORTED,
				       "seccomp filter: libseccomp knows no '%s'", calls[i].name);
		if (!refused_stands(&calls[i], ask) || nr > (int)arch->bpf.newest)
			continue;
		if (nr < 0 && arch == &native)
			continue;
		r = seccomp_rule_add(ctx, action_of(calls[i].answer), nr, 0);
		if (r < 0)
			return failed(e, r, calls[i].name);
	}
	return 0;
}

/* A context for @arch alone, with nothing refused yet. */
static int new_context(const struct arch *arch, scmp_filter_ctx *ret_ctx, struct err *e)
{
	auto_with(release_context) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return err_oom(e);
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
	if (r == 0 && arch != &native) {
		r = seccomp_arch_add(ctx, arch->scmp);
		if (r == 0)
			r = seccomp_arch_remove(ctx, native.scmp);
	}
	if (r < 0)
		return failed(e, r, "prepare");
	*ret_ctx = take_ptr(&ctx);
	return 0;
}

/* Reads back what libseccomp writes. A tree is far smaller than a pipe's least capacity of a page,
 * and a write up to that size is whole or not at all; so this neither waits nor is cut short. */
static int export_tree(scmp_filter_ctx ctx, struct sock_filter *ret_tree, size_t room,
		       size_t *ret_n, struct err *e)
{
	auto_fd int from = -1;
	auto_fd int to = -1;
	int r, ends[2];
	ssize_t got;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, errno, "seccomp filter: pipe");
	from = ends[0];
	to = ends[1];
	r = seccomp_export_bpf(ctx, to);
	if (r < 0)
		return failed(e, r, "compile");
	got = read(from, ret_tree, room * sizeof(*ret_tree));
	if (got < 0)
		return err_sys(e, errno, "seccomp filter: read from libseccomp");
	if (got == 0 || (size_t)got == room * sizeof(*ret_tree) || got % sizeof(*ret_tree))
		return err_set(e, ERR_INTERNAL, "seccomp filter: %zd bytes from libseccomp", got);
	*ret_n = (size_t)got / sizeof(*ret_tree);
	return 0;
}

/* How many instructions at the start of @tree only check the architecture, once more; 0: unknown
 * form, keep all. What is left begins with a load of the number. */
static size_t preamble(const struct sock_filter *tree, size_t n, const struct arch *arch)
{
	const uint16_t load = BPF_LD | BPF_W | BPF_ABS, eq = BPF_JMP | BPF_JEQ | BPF_K;
	const uint32_t number = offsetof(struct seccomp_data, nr);
	size_t at = 2;

	if (n < 8 || tree[0].code != load || tree[0].k != offsetof(struct seccomp_data, arch))
		return 0;
	if (tree[1].code != eq || tree[1].k != arch->bpf.audit || tree[1].jt != 0)
		return 0;
	if (arch->scmp == SCMP_ARCH_X86_64) { /* it looks for the bit of x32 */
		if (tree[2].code != load || tree[2].k != number)
			return 0;
		if (tree[3].code != (BPF_JMP | BPF_JGE | BPF_K) || tree[3].jt != 0 ||
		    tree[3].jf != 1)
			return 0;
		if (tree[4].code != eq || tree[4].k != 0xffffffff || tree[4].jt != 0)
			return 0;
		at = 5;
	}
	return tree[at].code == load && tree[at].k == number ? at : 0;
}

/* The head has loaded the number: of the load that begins a known tree nothing is lost either. */
static int add_arch(struct bpf_code *c, const struct arch *arch, const struct guard_ask *ask,
		    struct err *e)
{
	auto_with(release_context) scmp_filter_ctx ctx = NULL;
	struct sock_filter tree[GUARD_SECCOMP_MAX];
	size_t n = 0, skip;
	int r;

	r = new_context(arch, &ctx, e);
	if (r == 0)
		r = add_rules(ctx, arch, ask, e);
	if (r == 0)
		r = export_tree(ctx, tree, GUARD_SECCOMP_MAX, &n, e);
	if (r < 0)
		return r;
	skip = preamble(tree, n, arch);
	bpf_head_add(c, &arch->bpf, ask);
	for (size_t i = skip ? skip + 1 : 0; i < n; i++)
		bpf_add(c, tree[i]);
	return 0;
}

/* The whole program, into room that is always enough. */
static int add_all(struct bpf_code *c, const struct guard_ask *ask, struct err *e)
{
	const struct sock_filter unknown = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	size_t other;
	int r;

	bpf_add(c, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						offsetof(struct seccomp_data, arch)));
	bpf_add(c, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, native.bpf.audit, 1, 0));
	other = c->n;
	bpf_add(c, unknown);
	r = add_arch(c, &native, ask, e);
	if (r < 0 || !ask->allow_i386)
		return r;
	if (c->n < c->room)
		c->v[other] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA,
							   (uint32_t)(c->n - other - 1));
	bpf_add(c, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, compat.bpf.audit, 1, 0));
	bpf_add(c, unknown);
	return add_arch(c, &compat, ask, e);
}

int guard_seccomp_compile(const struct guard_ask *ask, struct sock_filter *ret_code, size_t room,
			  size_t *ret_n, struct err *e)
{
	struct sock_filter code[GUARD_SECCOMP_MAX];
	struct bpf_code c = {.v = code, .room = GUARD_SECCOMP_MAX};
	int r;

	r = add_all(&c, ask, e);
	if (r < 0)
		return r;
	if (c.n > c.room)
		return err_set(e, ERR_INTERNAL, "seccomp filter: %zu instructions, at most %zu",
			       c.n, c.room);
	if (c.n > room)
		return err_set(e, ERR_LIMIT, "seccomp filter: %zu instructions, room for %zu", c.n,
			       room);
	memcpy(ret_code, code, c.n * sizeof(*code));
	*ret_n = c.n;
	return 0;
}
