/* SPDX-License-Identifier: Apache-2.0
 *
 * probe_calls.c - which system calls this kernel, and whoever filters them, let through
 *
 * How it works: one child makes each call once, in the form in which hutch needs it but without
 * any effect that would outlive it. A call that a kernel lacks gives ENOSYS; a seccomp filter may
 * answer the same, or EPERM. Id maps are tried on a parked child in a new user namespace.
 *
 * Called by: probe.c.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/own.h"
#include "sys/fsmount.h"
#include "sys/probe_child.h"
#include "sys/proc.h"

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC	  0x1U
#define MFD_ALLOW_SEALING 0x2U
#endif
#define MFD_EXEC_OR_OLD 0x10U /* MFD_EXEC, Linux 6.3; EINVAL before */

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* linux/seccomp.h, linux/filter.h and linux/landlock.h, which a libc may come without. */
struct filter_step {
	uint16_t code;
	uint8_t yes, no;
	uint32_t k;
};
struct filter_program {
	unsigned short len;
	const struct filter_step *steps;
};
enum {
	FILTER_RETURN = 0x06,
	FILTER_ALLOW = 0x7fff0000,
	SECCOMP_MODE_FILTER_CALL = 1,
	SECCOMP_NEW_LISTENER = 1 << 3,
	LANDLOCK_VERSION_FLAG = 1,
	CLOSE_RANGE_CLOEXEC_FLAG = 1 << 2, /* Linux 5.11 */
};

/* The arguments of clone3 cannot be seen by a filter, so an empty call asks all there is to ask. */
static int try_clone3(void)
{
	long r = probe_call(syscall(SYS_clone3, NULL, 0UL));

	return r == -EINVAL ? 0 : r < 0 ? (int)r : -EPROTO;
}

static int try_openat2(void)
{
	auto_fd int fd = sys_open_in_root(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : 0;
}

static int try_pidfd(void)
{
	auto_fd int fd = sys_pidfd_open(getpid());

	return fd < 0 ? fd : sys_pidfd_signal(fd, 0);
}

static int try_close_range(void)
{
	return (int)probe_call(syscall(SYS_close_range, UINT_MAX, UINT_MAX,
				       (unsigned int)CLOSE_RANGE_CLOEXEC_FLAG));
}

/* The file is text, so whoever may execute memfds gets ENOEXEC, after all permission checks and
 * before anything is done; the first four bytes are printable, or the kernel would go and look for
 * a module (fs/exec.c, search_binary_handler). */
static int try_memfd(void)
{
	static char *const none[] = {NULL};
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	auto_fd int fd = -1;
	long r;

	fd = (int)syscall(SYS_memfd_create, "hutch", flags | MFD_EXEC_OR_OLD);
	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_memfd_create, "hutch", flags);
	if (fd < 0)
		return -errno;
	if (write(fd, "hutch asks\n", 11) != 11)
		return -EIO;
	r = probe_call(syscall(SYS_execveat, fd, "", none, none, AT_EMPTY_PATH));
	return r == -ENOEXEC ? 0 : (int)r;
}

static int try_landlock(void)
{
	return (int)probe_call(syscall(SYS_landlock_create_ruleset, NULL, 0UL,
				       (unsigned int)LANDLOCK_VERSION_FLAG));
}

/* Last: the child stays filtered (everything is let through). */
static void try_seccomp(struct probe_calls *c)
{
	static const struct filter_step allow = {.code = FILTER_RETURN, .k = FILTER_ALLOW};
	const struct filter_program prog = {.len = 1, .steps = &allow};
	long r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0) {
		c->seccomp = -errno;
		return;
	}
	r = probe_call(syscall(SYS_seccomp, (unsigned int)SECCOMP_MODE_FILTER_CALL, 0U, &prog));
	c->seccomp = (int)r;
	r = probe_call(syscall(SYS_seccomp, (unsigned int)SECCOMP_MODE_FILTER_CALL,
			       (unsigned int)SECCOMP_NEW_LISTENER, &prog));
	c->seccomp_notify = r < 0 ? (int)r : 0;
}

static int ask_calls(void *arg)
{
	struct probe_calls *c = arg;

	c->clone3 = try_clone3();
	c->openat2 = try_openat2();
	c->pidfd = try_pidfd();
	c->close_range = try_close_range();
	c->memfd = try_memfd();
	c->landlock = try_landlock();
	try_seccomp(c);
	return 0;
}

void probe_kernel_calls(struct probe *p, const struct probe_stacks *s)
{
	(void)probe_in_child(s, 0, 0, ask_calls, &p->calls); /* what is not answered stays so */
}

/* ---- maps of several ids --------------------------------------------------------------------- */

/* The map that gives every id of an own map to a namespace below, extent by extent (the kernel
 * wants each extent inside one of the parent's). */
static int identity_map(const char *own, char *ret, size_t size)
{
	const char *at = own;
	size_t have = 0;
	unsigned long first, outside, count;
	int used, n;

	while (sscanf(at, "%lu %lu %lu\n%n", &first, &outside, &count, &used) == 3) {
		n = snprintf(ret + have, size - have, "%lu %lu %lu\n", first, first, count);
		if (n < 0 || (size_t)n >= size - have)
			return -E2BIG;
		have += (size_t)n;
		at += used;
	}
	return have ? 0 : -EINVAL;
}

static int map_directly(pid_t pid, const char *which)
{
	char own[4096], map[4096], path[64];
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "/proc/self/%s", which);
	n = probe_read(path, own, sizeof(own));
	if (n < 0)
		return (int)n;
	r = identity_map(own, map, sizeof(map));
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, which);
	return probe_write(path, map);
}

static int map_by_helper(const struct probe_stacks *s, const char *program, pid_t pid, uint32_t own,
			 uint32_t start, uint32_t count)
{
	char text[4][16], zero[] = "0", one[] = "1", name[] = "newidmap";
	char *argv[] = {name, text[0], zero, text[1], one, one, text[2], text[3], NULL};
	int r;

	snprintf(text[0], sizeof(text[0]), "%d", (int)pid);
	snprintf(text[1], sizeof(text[1]), "%u", (unsigned int)own);
	snprintf(text[2], sizeof(text[2]), "%u", (unsigned int)start);
	snprintf(text[3], sizeof(text[3]), "%u", (unsigned int)count);
	r = probe_program_run(s, program, argv, NULL, 0);
	return r < 0 ? r : r == 0 ? 0 : -EPERM;
}

static int map_with_subids(const struct probe *p, const struct probe_stacks *s, pid_t pid)
{
	const struct probe_ids *ids = &p->ids;
	int r;

	if (!ids->uid_count || !ids->gid_count)
		return -ENODATA;
	if (!p->program[PROBE_NEWUIDMAP][0] || !p->program[PROBE_NEWGIDMAP][0])
		return -ENOENT;
	r = map_by_helper(s, p->program[PROBE_NEWUIDMAP], pid, p->who.uid, ids->uid_start,
			  ids->uid_count);
	if (r < 0)
		return r;
	return map_by_helper(s, p->program[PROBE_NEWGIDMAP], pid, p->who.gid, ids->gid_start,
			     ids->gid_count);
}

void probe_id_maps(struct probe *p, const struct probe_stacks *s)
{
	const uint64_t set_ids = (1ULL << 6) | (1ULL << 7); /* CAP_SETGID, CAP_SETUID */
	bool directly = (p->who.caps & set_ids) == set_ids && p->who.ids > 1;
	pid_t pid = probe_park(s);

	if (pid < 0)
		return; /* no user namespaces: told elsewhere */
	if (directly) {
		p->ids.map = map_directly(pid, "uid_map");
		if (p->ids.map == 0)
			p->ids.map = map_directly(pid, "gid_map");
	} else {
		p->ids.map = map_with_subids(p, s, pid);
	}
	probe_unpark(pid);
}
