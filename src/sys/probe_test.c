/* SPDX-License-Identifier: Apache-2.0
 *
 * probe_test.c - what the texts of /proc and /etc say, and that asking leaves nothing behind
 */
#include "sys/probe.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tap.h"

static void the_range_of_a_user_is_found_by_name_and_by_number(void)
{
	static const char text[] = "# a comment\nalice:100000:65536\n1001:200000:1000\nbob:1:0\n"
				   "bob:300000:65536\nbob:400000:65536\n";
	uint32_t start = 0, count = 0;

	ok(probe_subid_find(text, "alice", 5, &start, &count));
	is_int(start, 100000);
	is_int(count, 65536);
	ok(probe_subid_find(text, "carol", 1001, &start, &count));
	is_int(start, 200000);
	ok(probe_subid_find(text, "bob", 7, &start, &count));
	is_int(start, 300000);
	ok(!probe_subid_find(text, "ali", 8, &start, &count));
	ok(!probe_subid_find(text, NULL, 8, &start, &count));
	ok(!probe_subid_find("", "alice", 8, &start, &count));
}

static void ranges_that_cannot_be_are_passed_over(void)
{
	uint32_t start = 0, count = 0;

	ok(!probe_subid_find("a:x:65536\na:4294967295:5\na:1:4294967295\na:5\na", "a", 1, &start,
			     &count));
}

static void a_gap_is_found_between_the_ranges_of_others(void)
{
	is_int(probe_subid_gap("", 100000, 65536), 100000);
	is_int(probe_subid_gap("a:1610612736:65536\n", 100000, 65536), 100000);
	is_int(probe_subid_gap("b:165536:65536\na:100000:65536\n", 100000, 65536), 231072);
	is_int(probe_subid_gap("b:120000:10\n", 100000, 65536), 120010);
	is_int(probe_subid_gap("b:165536:10\n", 100000, 65536), 100000);
}

static const char mounts[] =
	"22 27 0:21 / /proc rw,relatime - proc proc rw\n"
	"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
	"29 22 0:30 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n"
	"31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

static void the_own_cgroup_is_found_below_its_mount(void)
{
	struct probe_cgroup c = {.mount = ""};

	ok(probe_cgroup_find(mounts, "5:cpu:/x\n0::/user.slice/a.scope\n", &c));
	is_str(c.mount, "/sys/fs/cgroup");
	is_str(c.own, "/sys/fs/cgroup/user.slice/a.scope");
	ok(!c.v1);

	c = (struct probe_cgroup){.mount = ""};
	ok(probe_cgroup_find(mounts, "0::/\n", &c));
	is_str(c.own, "/sys/fs/cgroup");
}

static void a_container_that_sees_a_part_of_the_hierarchy_is_understood(void)
{
	struct probe_cgroup c = {.mount = ""};

	ok(probe_cgroup_find("31 23 0:28 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
			     "32 23 0:29 / /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n",
			     "0::/docker/ab/inner\n", &c));
	is_str(c.own, "/sys/fs/cgroup/inner");
	ok(c.v1);
}

static void a_host_without_cgroup_v2_is_told(void)
{
	struct probe_cgroup c = {.mount = ""};

	ok(!probe_cgroup_find("31 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw\n",
			      "0::/\n", &c));
	is_str(c.mount, "");
	ok(c.v1);
}

static void a_masked_proc_is_told_from_a_whole_one(void)
{
	char masked[64] = "x";

	probe_masked_find(mounts, masked, sizeof(masked));
	is_str(masked, "");
	probe_masked_find("40 22 0:31 / /proc/sys/fs/binfmt_misc rw - autofs a rw\n"
			  "41 22 0:32 / /proc/kcore rw - tmpfs tmpfs rw\n",
			  masked, sizeof(masked));
	is_str(masked, "/proc/kcore");
}

static void a_root_that_is_no_mount_is_seen(void)
{
	ok(probe_root_is_mount(mounts));
	ok(!probe_root_is_mount("22 27 0:21 / /proc rw,relatime - proc proc rw\n"));
	ok(!probe_root_is_mount(""));
}

/* ---- asking for real ------------------------------------------------------------------------- */

static size_t entries(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static struct probe *ask_this_host(char *dir)
{
	struct probe *p = malloc(sizeof(*p));
	struct probe_ask ask = {.data_dir = dir, .state_dir = dir};

	if (!p)
		exit(1);
	probe_who(p);
	probe_host(p, &ask);
	return p;
}

static void asking_leaves_no_child_no_descriptor_and_no_file(void)
{
	char dir[] = "/tmp/hutch-probe-XXXXXX";
	const size_t fds = entries("/proc/self/fd");
	const int dumpable = prctl(PR_GET_DUMPABLE);
	sigset_t before, after;
	struct probe *p;

	if (!ok(mkdtemp(dir)))
		return;
	sigprocmask(SIG_SETMASK, NULL, &before);
	p = ask_this_host(dir);
	sigprocmask(SIG_SETMASK, NULL, &after);
	ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD, "a child is left");
	is_int(entries("/proc/self/fd"), fds);
	is_int(prctl(PR_GET_DUMPABLE), dumpable);
	for (int sig = 1; sig < NSIG; sig++)
		is_int(sigismember(&after, sig), sigismember(&before, sig));
	ok(rmdir(dir) == 0, "something is left in %s", dir);
	is_int(p->data_dir.there, 0);
	is_int(p->data_dir.writable, 0);
	is_str(p->data_dir.at, dir);
	free(p);
}

static void a_host_that_ignores_its_children_gets_the_same_answers(void)
{
	char dir[] = "/tmp/hutch-probe-XXXXXX";
	struct probe *first, *second;

	if (!ok(mkdtemp(dir)))
		return;
	first = ask_this_host(dir);
	signal(SIGCHLD, SIG_IGN);
	second = ask_this_host(dir);
	signal(SIGCHLD, SIG_DFL);
	ok(!memcmp(&first->calls, &second->calls, sizeof(first->calls)));
	ok(!memcmp(&first->userns, &second->userns, sizeof(first->userns)));
	ok(!memcmp(&first->data, &second->data, sizeof(first->data)));
	is_int(second->ids.map, first->ids.map);
	rmdir(dir);
	free(first);
	free(second);
}

static void what_the_kernel_of_the_tests_must_have_is_found(void)
{
	char dir[] = "/tmp";
	struct probe *p = ask_this_host(dir);

	ok(p->major > 0);
	ok(p->who.ids > 0);
	ok(p->calls.clone3 != PROBE_UNASKED, "clone3 was not asked for");
	ok(p->calls.seccomp != PROBE_UNASKED, "seccomp was not asked for");
	ok(p->userns.create <= 0, "user namespaces were not asked for");
	if (p->userns.create == 0) {
		ok(p->userns.ns[PROBE_NS_TIME] != PROBE_UNASKED);
		ok(p->userns.proc != PROBE_UNASKED);
	}
	free(p);
}

static void a_directory_that_is_not_there_is_asked_where_it_would_be(void)
{
	char dir[] = "/tmp/hutch-probe-absent/a/b";
	struct probe *p = ask_this_host(dir);

	is_int(p->data_dir.there, -ENOENT);
	is_str(p->data_dir.at, "/tmp");
	is_str(p->data_dir.path, dir);
	ok(p->data_dir.fs[0] != '\0');
	free(p);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(the_range_of_a_user_is_found_by_name_and_by_number),
		TAP_TEST(ranges_that_cannot_be_are_passed_over),
		TAP_TEST(a_gap_is_found_between_the_ranges_of_others),
		TAP_TEST(the_own_cgroup_is_found_below_its_mount),
		TAP_TEST(a_container_that_sees_a_part_of_the_hierarchy_is_understood),
		TAP_TEST(a_host_without_cgroup_v2_is_told),
		TAP_TEST(a_masked_proc_is_told_from_a_whole_one),
		TAP_TEST(a_root_that_is_no_mount_is_seen),
		TAP_TEST(asking_leaves_no_child_no_descriptor_and_no_file),
		TAP_TEST(a_host_that_ignores_its_children_gets_the_same_answers),
		TAP_TEST(what_the_kernel_of_the_tests_must_have_is_found),
		TAP_TEST(a_directory_that_is_not_there_is_asked_where_it_would_be),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
