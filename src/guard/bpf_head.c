/* SPDX-License-Identifier: Apache-2.0
 *
 * bpf_head.c - the hand-written part of the filter: what depends on more than the call's number
 *
 * How it works: libseccomp turns a list of numbers into a tree (bpf_seccomp.c). Three things it
 * cannot say, and they stand here, in front of the tree:
 *   - "a number above the newest that we know": ENOSYS, so that a call which a later kernel adds
 *     is refused, and programs that try it fall back;
 *   - "an argument that is none of these": families, protocols, personalities;
 *   - "the low half of an argument": the kernel takes int arguments from the low 32 bits of the
 *     register, so a request of 0x100005412 is TIOCSTI. Only the low half is ever loaded here.
 * As nothing but the number and the architecture is loaded on the way of other calls, the kernel
 * finds at load time that they are always allowed and never runs the filter for them (Linux 5.11).
 *
 * Order: the calls with arguments have low numbers, the unknown ones are high. One comparison
 * divides them, so each call passes one half only. All jumps go forward by less than 256.
 *
 * Called by: bpf_seccomp.c.
 */
#include "guard/bpf_head.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/personality.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "guard/refused.h"
#include "wire/plan.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define LOAD_NUMBER \
	((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)))
#define RETURN(what)   ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (what)))
#define REFUSE(number) RETURN(SECCOMP_RET_ERRNO | (number))
#define ALLOW	       RETURN(SECCOMP_RET_ALLOW)
#define IF(op, k, jt, jf) \
	((struct sock_filter)BPF_JUMP(BPF_JMP | (op) | BPF_K, (uint32_t)(k), (jt), (jf)))

/* The other families reach modules of the kernel that hardly anybody looks at (Docker allows most
 * of them, AF_PACKET too, with CAP_NET_RAW). */
static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6};

/* NETLINK_ROUTE is what getifaddrs(), if_nameindex() and `ip` need. `ss` falls back to /proc/net;
 * libaudit takes EPROTONOSUPPORT for a kernel without auditing. */
static const uint32_t protocols[] = {NETLINK_ROUTE};

/* For who configures the network of the box: iptables, nft, ipsec, wireguard, ss -K. */
static const uint32_t admin_protocols[] = {NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_XFRM,
					   NETLINK_NETFILTER, NETLINK_GENERIC};

/* As in Docker; the last one asks for the present value. */
static const uint32_t personalities[] = {PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26,
					 0xffffffff};

/* Both put words into the input of a terminal that others read. */
static const uint32_t terminal_requests[] = {TIOCSTI, TIOCLINUX};

/* Calls of socketcall() that make sockets: the family is behind a pointer, out of sight. */
static const uint32_t socket_makers[] = {1 /* SYS_SOCKET */, 8 /* SYS_SOCKETPAIR */};

#define NEW_NAMESPACES                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

void bpf_add(struct bpf_code *c, struct sock_filter insn)
{
	if (c->n < c->room)
		c->v[c->n] = insn;
	c->n++;
}

/* Sets where the instruction at @at jumps to when its comparison fails (@on = false) or holds: to
 * what is written next. */
static void jump_here(struct bpf_code *c, size_t at, bool on)
{
	uint8_t distance = (uint8_t)(c->n - at - 1);

	if (c->n > c->room)
		return; /* reported by who looks at n */
	if (on)
		c->v[at].jt = distance;
	else
		c->v[at].jf = distance;
}

static void load_half(struct bpf_code *c, unsigned i, bool high)
{
	size_t at = offsetof(struct seccomp_data, args) + i * sizeof(uint64_t);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	high = !high;
#endif
	at += high ? sizeof(uint32_t) : 0;
	bpf_add(c, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)at));
}

/* The low half of it. */
static void load_argument(struct bpf_code *c, unsigned i)
{
	load_half(c, i, false);
}

/* Ends with @found when the accumulator is one of @v, with @other when not. */
static void decide(struct bpf_code *c, const uint32_t *v, size_t n, struct sock_filter found,
		   struct sock_filter other)
{
	for (size_t i = 0; i < n; i++)
		bpf_add(c, IF(BPF_JEQ, v[i], (uint8_t)(n - i), 0));
	bpf_add(c, other);
	bpf_add(c, found);
}

static void add_ioctl(struct bpf_code *c, const struct bpf_arch *arch)
{
	size_t at = c->n;

	bpf_add(c, IF(BPF_JEQ, arch->nr_ioctl, 0, 0));
	load_argument(c, 1);
	decide(c, terminal_requests, COUNT(terminal_requests), REFUSE(EPERM), ALLOW);
	jump_here(c, at, false);
}

/* CLONE_PARENT would make a child of the keeper, outside of the command's tree. That is for the one who has the keeper's
 * key in the argument that is of no use then: the keeper puts it in the place of FILTER_KEY, before anything is under this. */
static void add_clone(struct bpf_code *c, const struct bpf_arch *arch, uint32_t refused)
{
	const bool has_key = arch->audit & __AUDIT_ARCH_64BIT;
	size_t at = c->n;

	bpf_add(c, IF(BPF_JEQ, arch->nr_clone, 0, 0));
	load_argument(c, 0);
	bpf_add(c, IF(BPF_JSET, refused | (has_key ? 0 : CLONE_PARENT), has_key ? 5 : 0, has_key ? 0 : 1));
	if (has_key) {
		bpf_add(c, IF(BPF_JSET, CLONE_PARENT, 0, 5));
		load_half(c, FILTER_KEY_ARGUMENT, false);
		bpf_add(c, IF(BPF_JEQ, FILTER_KEY_LOW, 0, 2));
		load_half(c, FILTER_KEY_ARGUMENT, true);
		bpf_add(c, IF(BPF_JEQ, FILTER_KEY_HIGH, 1, 0));
	}
	bpf_add(c, REFUSE(EPERM));
	bpf_add(c, ALLOW);
	jump_here(c, at, false);
}

/* Nor may a command cease to be who inherits its orphans: they would leave its tree. To become that is no harm. */
static void add_prctl(struct bpf_code *c, const struct bpf_arch *arch)
{
	size_t at = c->n;

	bpf_add(c, IF(BPF_JEQ, arch->nr_prctl, 0, 0));
	load_argument(c, 0);
	bpf_add(c, IF(BPF_JEQ, PR_SET_CHILD_SUBREAPER, 0, 3));
	load_argument(c, 1);
	bpf_add(c, IF(BPF_JEQ, 0, 0, 1));
	bpf_add(c, REFUSE(EPERM));
	bpf_add(c, ALLOW);
	jump_here(c, at, false);
}

static void add_personality(struct bpf_code *c, const struct bpf_arch *arch)
{
	size_t at = c->n;

	bpf_add(c, IF(BPF_JEQ, arch->nr_personality, 0, 0));
	load_argument(c, 0);
	decide(c, personalities, COUNT(personalities), ALLOW, REFUSE(EPERM));
	jump_here(c, at, false);
}

/* socket() and socketpair() have the same first and third argument. */
static void add_sockets(struct bpf_code *c, const struct bpf_arch *arch, bool admin)
{
	size_t at, netlink;

	bpf_add(c, IF(BPF_JEQ, arch->nr_socket, 1, 0));
	at = c->n;
	bpf_add(c, IF(BPF_JEQ, arch->nr_socketpair, 0, 0));
	load_argument(c, 0);
	netlink = c->n;
	bpf_add(c, IF(BPF_JEQ, AF_NETLINK, 0, 0));
	load_argument(c, 2);
	if (admin)
		decide(c, admin_protocols, COUNT(admin_protocols), ALLOW, REFUSE(EPROTONOSUPPORT));
	else
		decide(c, protocols, COUNT(protocols), ALLOW, REFUSE(EPROTONOSUPPORT));
	jump_here(c, netlink, false);
	decide(c, families, COUNT(families), ALLOW, REFUSE(EAFNOSUPPORT));
	jump_here(c, at, false);
}

static void add_socketcall(struct bpf_code *c, const struct bpf_arch *arch)
{
	size_t at = c->n;

	if (!arch->nr_socketcall)
		return;
	bpf_add(c, IF(BPF_JEQ, arch->nr_socketcall, 0, 0));
	load_argument(c, 0);
	decide(c, socket_makers, COUNT(socket_makers), REFUSE(EAFNOSUPPORT), ALLOW);
	jump_here(c, at, false);
}

/* ENOSYS for what is above the newest and for numbers never given out: a later kernel may use
 * them (x86-64 got 335 and 336 that way). On x86-64 this covers x32 too: bit 30 is set there. */
static void add_unknown(struct bpf_code *c, const struct bpf_arch *arch)
{
	bpf_add(c, IF(BPF_JGT, arch->newest, 0, 1));
	bpf_add(c, REFUSE(ENOSYS));
	if (arch->gap_first == arch->gap_end)
		return;
	bpf_add(c, IF(BPF_JGE, arch->gap_first, 0, 2));
	bpf_add(c, IF(BPF_JGE, arch->gap_end, 1, 0));
	bpf_add(c, REFUSE(ENOSYS));
}

/* The highest number that depends on arguments, and not on the table. */
static uint32_t last_with_arguments(const struct bpf_arch *a)
{
	const uint32_t v[] = {a->nr_ioctl,  a->nr_clone,      a->nr_personality,
			      a->nr_socket, a->nr_socketpair, a->nr_socketcall, a->nr_prctl};
	uint32_t last = 0;

	for (size_t i = 0; i < COUNT(v); i++)
		last = v[i] > last ? v[i] : last;
	return last;
}

void bpf_head_add(struct bpf_code *c, const struct bpf_arch *arch, const struct guard_ask *ask)
{
	bool namespaces = ask->allow_userns || (ask->caps & REFUSED_CAPS_NAMESPACES);
	size_t high, low;

	bpf_add(c, LOAD_NUMBER);
	high = c->n;
	bpf_add(c, IF(BPF_JGT, last_with_arguments(arch), 0, 0));
	add_ioctl(c, arch);
	add_clone(c, arch, namespaces ? 0 : NEW_NAMESPACES);
	add_sockets(c, arch, ask->caps & REFUSED_CAPS_NETLINK);
	add_personality(c, arch);
	add_prctl(c, arch);
	add_socketcall(c, arch);
	low = c->n;
	bpf_add(c, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
	jump_here(c, high, true);
	add_unknown(c, arch);
	if (c->n <= c->room)
		c->v[low].k = (uint32_t)(c->n - low - 1);
}
