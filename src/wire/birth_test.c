/* SPDX-License-Identifier: Apache-2.0
 *
 * birth_test.c - a new process gets its ids, and why there is none is said
 */
#include "wire/birth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/proc.h"
#include "tap.h"

static void why_there_are_no_namespaces_is_said(void)
{
	struct err e = {0};

	is_int(birth_refused(ENOSPC, &e), ERR_LIMIT);
	ok(strstr(e.msg, "user.max_user_namespaces"), "%s", e.msg);
	is_int(birth_refused(EUSERS, &e), ERR_LIMIT);
	ok(birth_refused(EPERM, &e) < 0 && strstr(e.msg, "hutch doctor"), "%s", e.msg);
	ok(birth_refused(ENOMEM, &e) < 0 && !strstr(e.msg, "hutch doctor"), "%s", e.msg);
}

static void more_extents_than_there_is_room_for_do_not_fit(void)
{
	struct prepare p = {.nuid = PLAN_EXTENTS_MAX, .ngid = 1};

	ok(birth_fits(&p));
	p.ngid = PLAN_EXTENTS_MAX + 1;
	ok(!birth_fits(&p));
	p.ngid = 1;
	p.nuid = UINT32_MAX;
	ok(!birth_fits(&p));
}

static void the_namespaces_are_those_of_a_keeper(void)
{
	struct prepare p = {.net = 1};

	is_int(birth_spaces(&p), CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID); /* the network comes later */
	p.timens = 1;
	is_int(birth_spaces(&p) & CLONE_NEWTIME, CLONE_NEWTIME);
}

/* A process in a new user namespace, which ends when the descriptor closes; 0: none can be made here. */
static pid_t newborn(int *ret_hold)
{
	int pair[2];
	pid_t pid;
	char c;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return 0;
	pid = sys_fork(CLONE_NEWUSER, NULL);
	if (pid == 0) {
		close(pair[1]);
		(void)!read(pair[0], &c, 1);
		_exit(0);
	}
	close(pair[0]);
	*ret_hold = pair[1];
	return pid < 0 ? 0 : pid;
}

static void file_of(pid_t pid, const char *name, char text[256])
{
	char path[64];
	auto_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, 255);
	text[n > 0 ? n : 0] = '\0';
}

static void ids_are_mapped_and_the_namespace_is_opened(void)
{
	struct prepare p = {.ids = PLAN_IDS_MAP, .nuid = 1, .ngid = 1};
	auto_fd int hold = -1, userns = -1, pidfd = -1;
	pid_t pid = newborn(&hold);
	struct stat st, its;
	unsigned inside, outside, count;
	struct err e = {0};
	char text[256];

	if (!pid)
		return;
	p.uid[0] = (struct plan_extent){0, geteuid(), 1};
	p.gid[0] = (struct plan_extent){0, getegid(), 1};
	pidfd = sys_pidfd_open(pid);
	ok(birth_give_ids(&p, pid, pidfd, &userns, &e) == 0, "%s", e.msg);
	ok(userns >= 0 && fcntl(userns, F_GETFD) == FD_CLOEXEC);
	snprintf(text, sizeof(text), "/proc/%d/ns/user", pid);
	ok(stat(text, &its) == 0 && fstat(userns, &st) == 0 && st.st_ino == its.st_ino);
	file_of(pid, "uid_map", text);
	is_int(sscanf(text, "%u %u %u", &inside, &outside, &count), 3);
	is_int(inside, 0);
	is_int(outside, geteuid());
	is_int(count, 1);
	file_of(pid, "gid_map", text);
	is_int(sscanf(text, "%u %u %u", &inside, &outside, &count), 3);
	is_int(outside, getegid());
	close_fd(&hold);
	waitpid(pid, NULL, 0);
}

static void who_maps_himself_is_left_alone(void)
{
	struct prepare p = {.ids = PLAN_IDS_SELF, .nuid = 1, .ngid = 1};
	auto_fd int hold = -1;
	pid_t pid = newborn(&hold);
	struct err e = {0};
	int userns = -1;
	char text[256];

	if (!pid)
		return;
	is_int(birth_give_ids(&p, pid, -1, &userns, &e), 0);
	is_int(userns, -1);
	file_of(pid, "uid_map", text);
	is_str(text, "");
	close_fd(&hold);
	waitpid(pid, NULL, 0);
}

static void nobody_there_is_an_error(void)
{
	struct prepare p = {.ids = PLAN_IDS_MAP, .nuid = 1, .ngid = 1};
	struct err e = {0};
	int userns = -1;

	ok(birth_give_ids(&p, 0x7ffffffe, -1, &userns, &e) < 0 && strstr(e.msg, "uid_map"), "%s", e.msg);
	is_int(userns, -1);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(why_there_are_no_namespaces_is_said),
		TAP_TEST(more_extents_than_there_is_room_for_do_not_fit),
		TAP_TEST(the_namespaces_are_those_of_a_keeper),
		TAP_TEST(ids_are_mapped_and_the_namespace_is_opened),
		TAP_TEST(who_maps_himself_is_left_alone),
		TAP_TEST(nobody_there_is_an_error),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
