/* SPDX-License-Identifier: Apache-2.0
 *
 * without.c - run a program on a kernel that lacks some system calls
 *
 * usage: without [--as UID:GID] NAME[,NAME]... -- COMMAND [ARG]...
 *
 * How it works: a seccomp filter answers ENOSYS to the calls that are named, here and in everything
 * started from here; so what hutch does on older kernels is tested on a new one. Without CAP_SYS_ADMIN
 * a filter needs no_new_privs, and with that newuidmap gains nothing: tests of users with subuids
 * start as root and become the user (--as) once the filter is loaded.
 */
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct who {
	bool set;
	uid_t uid;
	gid_t gid;
};

static void die(const char *what, const char *object)
{
	fprintf(stderr, "without: %s '%s': %s\n", what, object, strerror(errno));
	exit(125);
}

/* "1000:1000" */
static struct who parse_who(const char *text)
{
	struct who w = {.set = true};
	char *end;

	w.uid = (uid_t)strtoul(text, &end, 10);
	if (*end != ':') {
		errno = EINVAL;
		die("--as", text);
	}
	w.gid = (gid_t)strtoul(end + 1, &end, 10);
	return w;
}

static void refuse(scmp_filter_ctx filter, char *names)
{
	char *rest = NULL;

	for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		int number = seccomp_syscall_resolve_name(name);
		int r = number == __NR_SCMP_ERROR
				? -EINVAL
				: seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);

		if (r < 0) {
			errno = -r;
			die("refuse", name);
		}
	}
}

static void load(char *names)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!filter)
		die("make", "filter");
	refuse(filter, names);
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	r = seccomp_load(filter);
	if (r < 0) { /* not privileged */
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
		r = seccomp_load(filter);
	}
	if (r < 0) {
		errno = -r;
		die("load", "filter");
	}
	seccomp_release(filter);
}

static void become(const struct who *w)
{
	if (!w->set)
		return;
	if (setgroups(0, NULL) < 0 || setresgid(w->gid, w->gid, w->gid) < 0 ||
	    setresuid(w->uid, w->uid, w->uid) < 0)
		die("become", "another user");
}

int main(int argc, char **argv)
{
	struct who who = {.set = false};
	int at = 1;

	if (argc > 2 && strcmp(argv[1], "--as") == 0) {
		who = parse_who(argv[2]);
		at = 3;
	}
	if (argc < at + 3 || strcmp(argv[at + 1], "--") != 0) {
		fprintf(stderr, "usage: without [--as UID:GID] NAME[,NAME]... -- COMMAND [ARG]...\n");
		return 125;
	}
	load(argv[at]);
	become(&who);
	execvp(argv[at + 2], argv + at + 2);
	die("start", argv[at + 2]);
}
