/* SPDX-License-Identifier: Apache-2.0
 *
 * seccomp_test.c - what the filter refuses, call by call, without loading it
 *
 * How it works: bpf_run.h evaluates the program for numbers and arguments. tests/data/syscalls.txt
 * names the calls of both architectures, tests/data/docker-seccomp.txt what Docker's profile
 * allows; the complement is made here and compared with what the filter says, for many sets of
 * capabilities.
 */
#include "guard/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/own.h"
#include "guard/baked.h"
#include "guard/bpf_run.h"
#include "guard/bpf_seccomp.h"
#include "guard/caps.h"
#include "guard/refused.h"
#include "wire/plan.h"
#include "tap.h"

#define X64	 AUDIT_ARCH_X86_64
#define I386	 AUDIT_ARCH_I386
#define HIGH	 (UINT64_C(1) << 32) /* a bit that the kernel does not look at in an int */
#define ALLOWED	 SECCOMP_RET_ALLOW
#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))
#define ALL_CAPS ((UINT64_C(1) << (CAP_LAST_CAP + 1)) - 1)
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* ---- the facts ------------------------------------------------------------------------------ */

struct named_call {
	uint32_t arch, nr;
	char name[32];
};

struct allowed {
	char name[32];
	uint64_t caps; /* 0: allowed to everybody */
};

static struct named_call calls[1200];
static struct allowed docker[600];
static size_t ncalls, ndocker;
static bool docker_family[64];
static uint32_t docker_personality[16], docker_clone_mask;
static size_t ndocker_personality;

static const char *const cap_words[] = {
	"DAC_READ_SEARCH", "SYS_ADMIN", "SYS_BOOT",   "SYS_CHROOT", "SYS_MODULE",
	"SYS_NICE",	   "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO",  "SYS_TIME",
	"SYS_TTY_CONFIG",  "SYSLOG",	"BPF",	      "PERFMON"};
static const int cap_numbers[] = {
	CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_SYS_BOOT,   CAP_SYS_CHROOT, CAP_SYS_MODULE,
	CAP_SYS_NICE,	     CAP_SYS_PACCT, CAP_SYS_PTRACE, CAP_SYS_RAWIO,  CAP_SYS_TIME,
	CAP_SYS_TTY_CONFIG,  CAP_SYSLOG,    CAP_BPF,	    CAP_PERFMON};
_Static_assert(COUNT(cap_words) == COUNT(cap_numbers), "a word for each number");

static uint64_t cap_of(const char *word)
{
	for (size_t i = 0; i < COUNT(cap_words); i++)
		if (strcmp(word, cap_words[i]) == 0)
			return UINT64_C(1) << cap_numbers[i];
	printf("Bail out! unknown capability %s in docker-seccomp.txt\n", word);
	exit(1);
}

static void read_call(const char *line)
{
	char arch[16];
	struct named_call *c = &calls[ncalls];

	if (ncalls < COUNT(calls) && sscanf(line, "%15s %u %31s", arch, &c->nr, c->name) == 3) {
		c->arch = strcmp(arch, "i386") == 0 ? I386 : X64;
		ncalls++;
	}
}

static void read_docker(const char *line)
{
	char word[32];
	struct allowed *a = &docker[ndocker];
	unsigned n;

	if (ndocker == COUNT(docker))
		return;
	if (sscanf(line, "always %31s", a->name) == 1) {
		a->caps = 0;
		ndocker++;
	} else if (sscanf(line, "cap %31s %31s", word, a->name) == 2) {
		a->caps = cap_of(word);
		ndocker++;
	} else if (sscanf(line, "family %u", &n) == 1 && n < COUNT(docker_family)) {
		docker_family[n] = true;
	} else if (sscanf(line, "personality %x", &n) == 1) {
		docker_personality[ndocker_personality++ % COUNT(docker_personality)] = n;
	} else {
		(void)sscanf(line, "clone-refused %x", &docker_clone_mask); /* else a comment */
	}
}

static void read_facts(const char *path, void (*take)(const char *line))
{
	FILE *f = fopen(path, "re");
	char line[200];

	if (!f) {
		printf("Bail out! open %s: %s (run from the top of the source)\n", path,
		       strerror(errno));
		exit(1);
	}
	while (fgets(line, sizeof(line), f))
		if (line[0] != '#')
			take(line);
	fclose(f);
}

static bool docker_allows(const char *name, uint64_t caps)
{
	for (size_t i = 0; i < ndocker; i++)
		if (strcmp(docker[i].name, name) == 0 &&
		    (!docker[i].caps || (docker[i].caps & caps)))
			return true;
	return false;
}

/* ---- asking the filter ---------------------------------------------------------------------- */

static struct sock_filter code[GUARD_SECCOMP_MAX];
static size_t ncode;

static const struct guard_ask plain = {.caps = GUARD_CAPS_DOCKER};

static bool make(const struct guard_ask *ask)
{
	struct err e = {0};

	return ok(guard_seccomp(ask, code, GUARD_SECCOMP_MAX, &ncode, &e) == 0, "%s", e.msg);
}

static bool compile(const struct guard_ask *ask)
{
	struct guard_ask relevant = refused_relevant(ask);
	struct err e = {0};

	return ok(guard_seccomp_compile(&relevant, code, GUARD_SECCOMP_MAX, &ncode, &e) == 0, "%s",
		  e.msg);
}

static struct bpf_result run(uint32_t arch, uint32_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct seccomp_data d = {.nr = (int)nr, .arch = arch, .args = {a0, a1, a2}};

	return bpf_run(code, ncode, &d);
}

static uint32_t number(uint32_t arch, const char *name)
{
	for (size_t i = 0; i < ncalls; i++)
		if (calls[i].arch == arch && strcmp(calls[i].name, name) == 0)
			return calls[i].nr;
	ok(false, "no '%s' in syscalls.txt", name);
	return UINT32_MAX;
}

static uint32_t answer(uint32_t arch, const char *name, uint64_t a0, uint64_t a1, uint64_t a2)
{
	return run(arch, number(arch, name), a0, a1, a2).answer;
}

static bool refuses(uint32_t arch, const char *name)
{
	return answer(arch, name, 0, 0, 0) != ALLOWED;
}

/* ---- Docker --------------------------------------------------------------------------------- */

static bool by_arguments(const char *name)
{
	static const char *const v[] = {"ioctl",  "clone",	"personality", "prctl",
					"socket", "socketpair", "socketcall"};

	for (size_t i = 0; i < COUNT(v); i++)
		if (strcmp(v[i], name) == 0)
			return true;
	return false;
}

/* All that is refused here and allowed by Docker; there is nothing the other way round. */
static bool known_difference(const struct named_call *c, uint64_t caps)
{
	static const char *const ptrace[] = {"ptrace", "process_vm_readv", "process_vm_writev"};

	if (c->arch == I386 && c->nr > 448)
		return true; /* newer than programs of 32 bits need */
	for (size_t i = 0; i < COUNT(ptrace); i++)
		if (strcmp(c->name, ptrace[i]) == 0)
			return !(caps & GUARD_CAP(SYS_PTRACE)); /* refused unless asked for */
	return false;
}

static void compare_with_docker(uint64_t caps)
{
	struct guard_ask ask = {.caps = caps, .allow_i386 = true};

	if (!compile(&ask))
		return;
	for (size_t i = 0; i < ncalls; i++) {
		const struct named_call *c = &calls[i];
		struct bpf_result r = run(c->arch, c->nr, 0, 0, 0);
		bool allowed = docker_allows(c->name, caps) && !known_difference(c, caps);

		if (by_arguments(c->name))
			continue;
		ok((r.answer == ALLOWED) == allowed, "%s %s (caps %llx): answer %x, Docker %s",
		   c->arch == X64 ? "x86-64" : "i386", c->name, (unsigned long long)caps, r.answer,
		   docker_allows(c->name, caps) ? "allows" : "refuses");
		ok(!r.looked, "%s: decided by its number", c->name);
	}
}

static void refused_is_what_docker_refuses_and_ptrace(void)
{
	ok(ncalls > 800 && ndocker > 300, "%zu calls, %zu facts", ncalls, ndocker);
	compare_with_docker(GUARD_CAPS_DOCKER);
}

static void rules_follow_capabilities_as_in_docker(void)
{
	compare_with_docker(0);
	compare_with_docker(ALL_CAPS);
	for (size_t i = 0; i < COUNT(cap_numbers); i++) {
		compare_with_docker(GUARD_CAPS_DOCKER | UINT64_C(1) << cap_numbers[i]);
		compare_with_docker(ALL_CAPS & ~(UINT64_C(1) << cap_numbers[i]));
	}
}

static void answers_are_as_the_table_says(void)
{
	if (!make(&plain))
		return;
	is_int(answer(X64, "swapon", 0, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "keyctl", 0, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "io_uring_setup", 0, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "ptrace", 0, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "bpf", 0, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "perf_event_open", 0, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "clone3", 0, 0, 0), ERRNO(ENOSYS));
	is_int(answer(X64, "unshare", 0, 0, 0), ERRNO(ENOSYS));
	is_int(answer(X64, "mount", 0, 0, 0), ERRNO(ENOSYS));
	is_int(answer(X64, "userfaultfd", 0, 0, 0), ERRNO(ENOSYS));
	is_int(answer(X64, "create_module", 0, 0, 0), ERRNO(ENOSYS));
}

/* ---- numbers and architectures -------------------------------------------------------------- */

static void numbers_above_the_newest_and_in_the_gap_get_enosys(void)
{
	static const uint32_t v[] = {467,	 468,	     469,	 470,
				     511,	 512,	     547,	 1000,
				     0x3fffffff, 0x40000000, 0x40000001, 0x40000000 + 520,
				     0x7fffffff, 0x80000000, 0xffffffff, 336,
				     337,	 400,	     423};
	struct guard_ask all = {.caps = ALL_CAPS, true, true, true};

	for (int round = 0; round < 2; round++) {
		if (!make(round ? &all : &plain))
			return;
		for (size_t i = 0; i < COUNT(v); i++)
			is_int(run(X64, v[i], 0, 0, 0).answer, ERRNO(ENOSYS));
	}
	is_int(run(X64, 466, 0, 0, 0).answer, ALLOWED);
	is_int(run(X64, 335, 0, 0, 0).answer, ALLOWED);
	is_int(run(X64, 424, 0, 0, 0).answer, ALLOWED);
}

static void other_architectures_get_enosys(void)
{
	struct guard_ask both = {.caps = GUARD_CAPS_DOCKER, .allow_i386 = true};

	if (!make(&plain))
		return;
	for (uint32_t nr = 0; nr < 500; nr++)
		is_int(run(I386, nr, 0, 0, 0).answer, ERRNO(ENOSYS));
	is_int(run(AUDIT_ARCH_AARCH64, 0, 0, 0, 0).answer, ERRNO(ENOSYS));
	if (!make(&both))
		return;
	is_int(answer(I386, "read", 0, 0, 0), ALLOWED);
	is_int(answer(I386, "vm86", 0, 0, 0), ERRNO(EPERM));
	is_int(run(I386, 449, 0, 0, 0).answer, ERRNO(ENOSYS));
	is_int(run(AUDIT_ARCH_AARCH64, 0, 0, 0, 0).answer, ERRNO(ENOSYS));
}

/* The kernel's checker: every jump stays inside, the last instruction returns. */
static void programs_are_valid_and_never_kill(void)
{
	for (unsigned i = 0; i < 8; i++) {
		struct guard_ask ask = {GUARD_CAPS_DOCKER, i & 1, i & 2, i & 4};

		if (!make(&ask))
			return;
		ok(ncode > 50 && code[ncode - 1].code == (BPF_RET | BPF_K), "%zu instructions",
		   ncode);
		for (size_t pc = 0; pc < ncode; pc++) {
			const struct sock_filter *f = &code[pc];

			if (BPF_CLASS(f->code) == BPF_RET)
				ok(f->k == ALLOWED ||
					   (f->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO,
				   "returns %x", f->k);
			if (BPF_CLASS(f->code) != BPF_JMP)
				continue;
			if (f->code == (BPF_JMP | BPF_JA))
				ok(f->k < ncode - pc - 1, "jump at %zu", pc);
			else
				ok(f->jt < ncode - pc - 1 && f->jf < ncode - pc - 1, "jump at %zu",
				   pc);
		}
	}
}

/* ---- arguments ------------------------------------------------------------------------------ */

static void input_cannot_be_pushed_into_terminals(void)
{
	struct guard_ask all = {.caps = ALL_CAPS, true, true, true};

	for (int round = 0; round < 2; round++) {
		if (!make(round ? &all : &plain))
			return;
		is_int(answer(X64, "ioctl", 0, TIOCSTI, 0), ERRNO(EPERM));
		is_int(answer(X64, "ioctl", 0, HIGH | TIOCSTI, 0), ERRNO(EPERM));
		is_int(answer(X64, "ioctl", 0, UINT64_C(0xffffffff00000000) | TIOCSTI, 0),
		       ERRNO(EPERM));
		is_int(answer(X64, "ioctl", 0, TIOCLINUX, 0), ERRNO(EPERM));
		is_int(answer(X64, "ioctl", 0, HIGH | TIOCLINUX, 0), ERRNO(EPERM));
		is_int(answer(X64, "ioctl", TIOCSTI, TIOCGWINSZ, TIOCSTI), ALLOWED);
		is_int(answer(X64, "ioctl", 0, HIGH | TIOCGWINSZ, 0), ALLOWED);
	}
	is_int(answer(I386, "ioctl", 0, TIOCSTI, 0), ERRNO(EPERM));
	is_int(answer(I386, "ioctl", 0, TIOCGWINSZ, 0), ALLOWED);
}

static void sockets_are_of_four_families(void)
{
	static const char *const makers[] = {"socket", "socketpair"};
	struct guard_ask all = {.caps = ALL_CAPS, true, true, true};

	if (!make(&all))
		return;
	for (size_t i = 0; i < 4; i++)
		for (uint64_t f = 0; f < 70; f++) {
			bool four =
				f == AF_UNIX || f == AF_INET || f == AF_INET6 || f == AF_NETLINK;
			uint32_t arch = i & 2 ? I386 : X64,
				 want = four ? ALLOWED : ERRNO(EAFNOSUPPORT);

			ok(!four || docker_family[f], "Docker refuses family %d", (int)f);
			is_int(answer(arch, makers[i & 1], f, SOCK_STREAM, 0), want);
			is_int(answer(arch, makers[i & 1], HIGH | f, SOCK_RAW, 0), want);
		}
	is_int(answer(X64, "socket", 0xffffffff, SOCK_STREAM, 0), ERRNO(EAFNOSUPPORT));
	is_int(answer(X64, "socket", AF_INET, SOCK_STREAM, 250), ALLOWED);
}

static void netlink_is_for_routes_unless_the_network_is_configured(void)
{
	struct guard_ask admin = {.caps = GUARD_CAPS_DOCKER | GUARD_CAP(NET_ADMIN)};

	if (!make(&plain))
		return;
	for (uint64_t p = 0; p < 40; p++) {
		uint32_t want = p == 0 ? ALLOWED : ERRNO(EPROTONOSUPPORT);

		is_int(answer(X64, "socket", AF_NETLINK, SOCK_RAW, p), want);
		is_int(answer(X64, "socket", HIGH | AF_NETLINK, SOCK_DGRAM, HIGH | p), want);
	}
	if (!make(&admin))
		return;
	for (uint64_t p = 0; p < 40; p++) {
		bool harmless = p == 0 || p == 4 || p == 6 || p == 12 || p == 16;

		is_int(answer(X64, "socket", AF_NETLINK, SOCK_RAW, p),
		       harmless ? ALLOWED : ERRNO(EPROTONOSUPPORT));
	}
}

static void socketcall_makes_no_sockets(void)
{
	struct guard_ask both = {.caps = ALL_CAPS, .allow_i386 = true};

	if (!make(&both))
		return;
	for (uint64_t call = 0; call < 25; call++)
		is_int(answer(I386, "socketcall", call, 0, 0),
		       call == 1 || call == 8 ? ERRNO(EAFNOSUPPORT) : ALLOWED);
}

static void clone_makes_threads_and_processes_but_no_namespaces_and_no_siblings(void)
{
	const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
				CLONE_CHILD_CLEARTID;
	struct guard_ask userns = {.caps = GUARD_CAPS_DOCKER, .allow_userns = true};
	struct guard_ask admin = {.caps = GUARD_CAP(SYS_ADMIN)};

	if (!make(&plain))
		return;
	is_int(answer(X64, "clone", thread, 0, 0), ALLOWED);
	is_int(answer(X64, "clone", HIGH | thread, 0, 0), ALLOWED);
	is_int(answer(X64, "clone", CLONE_VM | CLONE_VFORK | 17, 0, 0), ALLOWED);
	for (unsigned bit = 0; bit < 32; bit++) {
		uint64_t flag = UINT64_C(1) << bit;
		uint32_t want = flag & (docker_clone_mask | CLONE_PARENT) ? ERRNO(EPERM) : ALLOWED;

		is_int(answer(X64, "clone", flag | 17, 0, 0), want);
		is_int(answer(X64, "clone", HIGH | flag | 17, 0, 0), want);
	}
	if (make(&userns))
		is_int(answer(X64, "clone", CLONE_NEWUSER | 17, 0, 0), ALLOWED);
	is_int(answer(X64, "clone", CLONE_PARENT | 17, 0, 0), ERRNO(EPERM));
	if (make(&admin))
		is_int(answer(X64, "clone", CLONE_NEWNS | 17, 0, 0), ALLOWED);
}

/* With the key that the keeper puts in the place of these two, and that nobody else knows, one may make siblings, and nothing more. */
static void siblings_are_for_whoever_has_the_key(void)
{
	const uint64_t key = (uint64_t)FILTER_KEY_HIGH << 32 | FILTER_KEY_LOW, wrong[] = {0, 1, key ^ 1, key ^ HIGH, key << 32, key >> 32};
	const struct guard_ask asks[] = {plain, {.caps = 0}, {.caps = GUARD_CAP(SYS_ADMIN)}, {.caps = GUARD_CAPS_DOCKER, .allow_userns = true},
					 {.caps = ALL_CAPS, .allow_i386 = true}};
	struct seccomp_data d = {.nr = (int)number(X64, "clone"), .arch = X64};
	size_t low = 0, high = 0;

	for (size_t i = 0; i < COUNT(asks); i++) {
		if (!make(&asks[i]))
			return;
		d.args[0] = CLONE_PARENT | CLONE_VM | CLONE_VFORK | 17;
		d.args[FILTER_KEY_ARGUMENT] = key;
		is_int(bpf_run(code, ncode, &d).answer, ALLOWED);
		for (size_t k = 0; k < COUNT(wrong); k++) {
			d.args[FILTER_KEY_ARGUMENT] = wrong[k];
			is_int(bpf_run(code, ncode, &d).answer, ERRNO(EPERM));
		}
	}
	if (!make(&plain))
		return;
	d.args[FILTER_KEY_ARGUMENT] = key;
	d.args[0] = CLONE_PARENT | CLONE_NEWUSER | 17;
	is_int(bpf_run(code, ncode, &d).answer, ERRNO(EPERM));
	for (size_t i = 0; i < ncode; i++) {
		low += code[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && code[i].k == FILTER_KEY_LOW;
		high += code[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && code[i].k == FILTER_KEY_HIGH;
	}
	is_int((long long)low, 1); /* the keeper looks for them */
	is_int((long long)high, 1);
}

static void a_command_stays_who_inherits_its_orphans(void)
{
	struct guard_ask both = {.caps = ALL_CAPS, .allow_i386 = true};

	if (!make(&both))
		return;
	is_int(answer(X64, "prctl", PR_SET_CHILD_SUBREAPER, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "prctl", HIGH | PR_SET_CHILD_SUBREAPER, 0, 0), ERRNO(EPERM));
	is_int(answer(I386, "prctl", PR_SET_CHILD_SUBREAPER, 0, 0), ERRNO(EPERM));
	is_int(answer(X64, "prctl", PR_SET_CHILD_SUBREAPER, 1, 0), ALLOWED);
	is_int(answer(X64, "prctl", PR_GET_CHILD_SUBREAPER, 0, 0), ALLOWED);
	is_int(answer(X64, "prctl", PR_SET_NAME, 0, 0), ALLOWED);
}

static void personalities_are_those_of_docker(void)
{
	struct guard_ask both = {.caps = ALL_CAPS, .allow_i386 = true};

	ok(ndocker_personality == 5, "%zu personalities", ndocker_personality);
	if (!make(&both))
		return;
	for (size_t i = 0; i < ndocker_personality; i++) {
		is_int(answer(X64, "personality", docker_personality[i], 0, 0), ALLOWED);
		is_int(answer(X64, "personality", HIGH | docker_personality[i], 0, 0), ALLOWED);
		is_int(answer(I386, "personality", docker_personality[i], 0, 0), ALLOWED);
	}
	is_int(answer(X64, "personality", 0x0040000, 0, 0), ERRNO(EPERM)); /* ADDR_NO_RANDOMIZE */
	is_int(answer(X64, "personality", HIGH | 0x0400000, 0, 0),
	       ERRNO(EPERM)); /* READ_IMPLIES_EXEC */
	is_int(answer(X64, "personality", 1, 0, 0), ERRNO(EPERM));
}

/* ---- what is asked for ---------------------------------------------------------------------- */

static void each_option_frees_its_calls_and_no_others(void)
{
	static const char *const ptrace[] = {"ptrace", "process_vm_readv", "process_vm_writev",
					     "kcmp",   "pidfd_getfd",	   "process_madvise"};
	static const char *const userns[] = {
		"unshare",  "setns",   "clone3",    "sethostname",   "setdomainname",
		"mount",    "umount2", "open_tree", "move_mount",    "fsopen",
		"fsconfig", "fsmount", "fspick",    "mount_setattr", "pivot_root"};
	bool before[512];
	size_t freed[4] = {0};

	if (!make(&plain))
		return;
	for (uint32_t nr = 0; nr < 512; nr++)
		before[nr] = run(X64, nr, 0, 0, 0).answer == ALLOWED;
	for (unsigned i = 1; i < 4; i++) {
		struct guard_ask ask = {.caps = GUARD_CAPS_DOCKER, i & 1, i & 2};

		if (!make(&ask))
			return;
		for (uint32_t nr = 0; nr < 512; nr++)
			freed[i] += run(X64, nr, 0, 0, 0).answer == ALLOWED && !before[nr];
		for (size_t j = 0; j < COUNT(ptrace); j++)
			ok(refuses(X64, ptrace[j]) == !(i & 1), "%s", ptrace[j]);
		for (size_t j = 0; j < COUNT(userns); j++)
			ok(refuses(X64, userns[j]) == !(i & 2), "%s", userns[j]);
	}
	is_int(freed[1], COUNT(ptrace));
	is_int(freed[2], COUNT(userns));
	is_int(freed[3], COUNT(ptrace) + COUNT(userns));
}

static void what_was_baked_is_what_would_be_compiled(void)
{
	size_t baked = 0;

	for (unsigned i = 0; i < 32; i++) {
		struct guard_ask ask = {i & 8 ? GUARD_CAPS_DOCKER : GUARD_CAP(KILL), i & 1, i & 2,
					i & 4};
		struct sock_filter copy[GUARD_SECCOMP_MAX];
		struct guard_ask relevant;
		size_t n;

		if (i & 16)
			ask.caps |= GUARD_CAP(NET_ADMIN);
		relevant = refused_relevant(&ask);
		baked += baked_find(&relevant) != NULL;
		if (!make(&ask))
			return;
		memcpy(copy, code, sizeof(copy));
		n = ncode;
		if (!compile(&ask))
			return;
		ok(n == ncode && memcmp(copy, code, n * sizeof(*code)) == 0, "ask %u", i);
	}
	is_int(baked, 10);
	ok(baked_find(&(struct guard_ask){.caps = GUARD_CAP(SYS_CHROOT)}) != NULL, "the default");
}

static void too_little_room_is_an_error_and_nothing_is_written(void)
{
	struct guard_ask rare = {.caps = GUARD_CAP(SYS_TIME), .allow_i386 = true};
	struct sock_filter small[20] = {{.k = 7}};

	for (int round = 0; round < 2; round++) {
		struct err e = {0};
		size_t n = 99;

		is_int(guard_seccomp(round ? &rare : &plain, small, COUNT(small), &n, &e),
		       ERR_LIMIT);
		is_int(e.code, ERR_LIMIT);
		is_int(n, 99);
		is_int(small[0].k, 7);
	}
}

/* The kernel runs the program once for each number when it is loaded, and from then on only for
 * calls that look at arguments. */
static void programs_stay_short(void)
{
	struct guard_ask all = {.caps = 0, .allow_i386 = true};
	unsigned steps = 0;

	if (!make(&all))
		return;
	printf("# with 32 bits: %zu instructions\n", ncode);
	ok(ncode <= GUARD_SECCOMP_MAX * 3 / 4, "%zu instructions", ncode);
	if (!make(&plain))
		return;
	for (uint32_t nr = 0; nr < 467; nr++)
		steps += run(X64, nr, 0, 0, 0).steps;
	printf("# default: %zu instructions; %u steps for 467 numbers (%.1f each); "
	       "ioctl %u, socket %u, "
	       "clone %u, read %u\n",
	       ncode, steps, steps / 467., run(X64, 16, 0, 0, 0).steps,
	       run(X64, 41, AF_INET, 0, 0).steps, run(X64, 56, 17, 0, 0).steps,
	       run(X64, 0, 0, 0, 0).steps);
	ok(ncode <= 150, "%zu instructions", ncode);
	ok(steps <= 467 * 15, "%u steps", steps);
	ok(run(X64, 16, 0, 0, 0).steps <= 10 && run(X64, 41, AF_INET, 0, 0).steps <= 14,
	   "arguments");
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(refused_is_what_docker_refuses_and_ptrace),
		TAP_TEST(rules_follow_capabilities_as_in_docker),
		TAP_TEST(answers_are_as_the_table_says),
		TAP_TEST(numbers_above_the_newest_and_in_the_gap_get_enosys),
		TAP_TEST(other_architectures_get_enosys),
		TAP_TEST(programs_are_valid_and_never_kill),
		TAP_TEST(input_cannot_be_pushed_into_terminals),
		TAP_TEST(sockets_are_of_four_families),
		TAP_TEST(netlink_is_for_routes_unless_the_network_is_configured),
		TAP_TEST(socketcall_makes_no_sockets),
		TAP_TEST(clone_makes_threads_and_processes_but_no_namespaces_and_no_siblings),
		TAP_TEST(siblings_are_for_whoever_has_the_key),
		TAP_TEST(a_command_stays_who_inherits_its_orphans),
		TAP_TEST(personalities_are_those_of_docker),
		TAP_TEST(each_option_frees_its_calls_and_no_others),
		TAP_TEST(what_was_baked_is_what_would_be_compiled),
		TAP_TEST(too_little_room_is_an_error_and_nothing_is_written),
		TAP_TEST(programs_stay_short),
	};

	read_facts("tests/data/syscalls.txt", read_call);
	read_facts("tests/data/docker-seccomp.txt", read_docker);
	return tap_run(t, COUNT(t));
}
