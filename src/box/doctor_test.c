/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_test.c - what is said about hosts that this machine is not
 */
#include "box/doctor.h"

#include <errno.h>

#include "base/str.h"
#include "tap.h"

enum { CAP_SYS_ADMIN_BIT = 21 };

/* A user with subordinate ids on a host that has everything. */
static struct probe *good_host(void)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (!p)
		exit(1);
	*p = (struct probe){
		.release = "6.18.1", .major = 6, .minor = 18,
		.who = {.uid = 1000, .gid = 1000, .initial = true, .ids = UINT32_MAX,
			.exe = "/usr/bin/hutch"},
		.calls = {.landlock = 7},
		.ids = {.user = "alice", .uid_start = 100000, .uid_count = 65536,
			.gid_start = 100000, .gid_count = 65536, .unused = 165536},
		.data = {.idmap = PROBE_UNASKED, .idmap_overlay = PROBE_UNASKED},
		.cgroup = {.mount = "/sys/fs/cgroup", .own = "/sys/fs/cgroup/a",
			   .controllers = "cpuset cpu io memory pids"},
		.knobs = {.userns_clone = -1, .apparmor_userns = -1, .max_user_ns = 60000,
			  .memfd_noexec = 0, .selinux = -1, .maxkeys = 200,
			  .root_maxkeys = 1000000, .ping_low = 0, .ping_high = 2147483647,
			  .core_pattern = "core"},
		.nofile_soft = 1024, .nofile_hard = 1048576,
		.id_helpers = true, .criu_major = 4, .criu_minor = 1,
	};
	for (size_t i = 0; i < PROBE_NS_COUNT; i++)
		p->knobs.max_ns[i] = 60000;
	for (size_t i = PROBE_NEWUIDMAP; i <= PROBE_APT; i++)
		snprintf(p->program[i], sizeof(p->program[i]), "/usr/bin/x");
	p->data_dir = (struct probe_dir){.path = "/d", .at = "/d", .owner = 1000, .mode = 0700,
					 .free_bytes = 1ULL << 40, .free_inodes = 1000000,
					 .fs = "ext4"};
	p->state_dir = p->data_dir;
	return p;
}

/* The facts of a host where a child in a user namespace could not be had. */
static void refuse_userns(struct probe *p, int sys)
{
	struct probe_userns *u = &p->userns;

	u->create = sys;
	u->map = u->mount_api = u->mount_setattr = u->proc = u->sysfs = PROBE_UNASKED;
	u->tmpfs_xattr = u->tmpfs_overlay = u->lowerdir_plus = PROBE_UNASKED;
	for (size_t i = 0; i < PROBE_NS_COUNT; i++)
		u->ns[i] = PROBE_UNASKED;
	p->data.overlay = p->ids.map = PROBE_UNASKED;
}

static struct box_check *checks;
static size_t n_checks;

static void judge(struct probe *p)
{
	struct err e;

	free(checks);
	checks = NULL;
	n_checks = 0;
	ok(box_doctor_judge(p, &checks, &n_checks, &e) == 0, "%s", e.msg);
	free(p);
}

static const struct box_check *check(const char *name)
{
	static const struct box_check none = {.name = "", .ok = 99, .found = "", .lost = "",
					      .mend = ""};

	for (size_t i = 0; i < n_checks; i++)
		if (!strcmp(checks[i].name, name))
			return &checks[i];
	return &none;
}

static size_t refused(void)
{
	size_t n = 0;

	for (size_t i = 0; i < n_checks; i++)
		n += checks[i].ok != 1;
	return n;
}

static void a_host_that_has_everything_loses_nothing(void)
{
	judge(good_host());
	is_int(refused(), 0);
	ok(n_checks > 30);
	is_str(checks[0].name, "caller");
	for (size_t i = 0; i < n_checks; i++) {
		is_str(checks[i].lost, "");
		is_str(checks[i].mend, "");
		ok(checks[i].found[0] != '\0', "%s", checks[i].name);
	}
}

static void whatever_is_missing_says_what_is_lost_and_what_mends_it(void)
{
	struct probe *p = good_host();

	refuse_userns(p, -EPERM);
	p->major = 4;
	p->calls = (struct probe_calls){-ENOSYS, -ENOSYS, -ENOSYS, -ENOSYS,
					-EACCES, -EINVAL, -EINVAL, -ENOSYS};
	p->knobs.ping_low = 1;
	p->knobs.ping_high = 0;
	p->knobs.maxkeys = p->knobs.max_user_ns = 5;
	p->cgroup = (struct probe_cgroup){.writable = PROBE_UNASKED};
	p->psi = p->tun = -ENOENT;
	p->nofile_soft = p->nofile_hard = 100;
	p->criu_major = 3;
	p->program[PROBE_PASTA][0] = '\0';
	p->data_dir.mode = 0755;
	p->data_dir.free_bytes = 5;
	p->state_dir.there = -ENOTDIR;
	judge(p);
	ok(refused() > 25);
	for (size_t i = 0; i < n_checks; i++)
		if (checks[i].ok == 0) {
			ok(checks[i].found[0] != '\0', "%s: found", checks[i].name);
			ok(checks[i].lost[0] != '\0', "%s: lost", checks[i].name);
			ok(checks[i].mend[0] != '\0', "%s: mend", checks[i].name);
			ok(!strchr(checks[i].mend, '\n'), "%s: one line", checks[i].name);
		}
}

/* Each knob that forbids user namespaces, and what is to be typed. */
static void the_knob_that_forbids_user_namespaces_is_named(void)
{
	struct probe *p = good_host();

	refuse_userns(p, -EPERM);
	p->knobs.userns_clone = 0;
	judge(p);
	is_int(check("user namespaces")->ok, 0);
	is_str(check("user namespaces")->mend, "sudo sysctl -w kernel.unprivileged_userns_clone=1");
	is_int(check("pid namespace")->ok, -1);

	p = good_host();
	refuse_userns(p, -ENOSPC);
	p->knobs.max_user_ns = 0;
	judge(p);
	is_str(check("user namespaces")->mend, "sudo sysctl -w user.max_user_namespaces=65536");
}

static void ubuntus_namespace_without_powers_gets_a_profile_for_this_program(void)
{
	const struct box_check *c;
	struct probe *p = good_host();

	p->knobs.apparmor_userns = 1;
	p->userns.map = -EACCES;
	p->userns.ns[PROBE_NS_MNT] = -EPERM;
	judge(p);
	c = check("user namespaces");
	is_int(c->ok, 0);
	ok(strstr(c->found, "apparmor_restrict_unprivileged_userns"), "%s", c->found);
	ok(strstr(c->mend, "profile hutch \"/usr/bin/hutch\" flags=(unconfined)"), "%s", c->mend);
	ok(strstr(c->mend, "| sudo tee /etc/apparmor.d/hutch"), "%s", c->mend);
}

static void a_name_that_a_shell_would_read_stays_out_of_the_profile_line(void)
{
	struct probe *p = good_host();

	p->knobs.apparmor_userns = 1;
	p->userns.map = -EACCES;
	snprintf(p->who.exe, sizeof(p->who.exe), "/tmp/a'; rm -rf ~; '");
	judge(p);
	ok(!strstr(check("user namespaces")->mend, "rm -rf"));
	ok(strstr(check("user namespaces")->mend, "/usr/bin/hutch"));
}

static void a_container_is_opened_by_its_own_options(void)
{
	struct probe *p = good_host();

	refuse_userns(p, -EPERM);
	p->who.seccomp = 2;
	p->calls.clone3 = -ENOSYS;
	snprintf(p->who.container, sizeof(p->who.container), "docker");
	judge(p);
	ok(strstr(check("user namespaces")->mend, "--security-opt seccomp=unconfined"));
	ok(strstr(check("clone3")->mend, "--security-opt seccomp=unconfined"));
	ok(strstr(check("clone3")->found, "filters"));

	p = good_host();
	p->userns.proc = -EPERM;
	snprintf(p->knobs.proc_masked, sizeof(p->knobs.proc_masked), "/proc/kcore");
	snprintf(p->who.container, sizeof(p->who.container), "kubernetes");
	judge(p);
	is_int(check("proc")->ok, 0);
	ok(strstr(check("proc")->found, "/proc/kcore"));
	ok(strstr(check("proc")->mend, "procMount: Unmasked"));
}

static void a_user_without_subordinate_ids_is_told_how_to_get_a_free_range(void)
{
	struct probe *p = good_host();

	p->ids.uid_count = p->ids.gid_count = 0;
	p->ids.map = -ENODATA;
	judge(p);
	is_str(check("several ids")->mend,
	       "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 alice");
	is_int(check("several ids")->level, BOX_CHECK_RECOMMENDED);
	ok(strstr(checks[0].found, "a user with one id"), "%s", checks[0].found);

	p = good_host();
	p->program[PROBE_NEWUIDMAP][0] = '\0';
	p->ids.map = -ENOENT;
	judge(p);
	is_str(check("several ids")->mend, "sudo apt-get install uidmap");
}

static void the_four_kinds_of_callers_are_told_apart(void)
{
	struct probe *p = good_host();

	judge(p);
	ok(strstr(checks[0].found, "a user with subordinate ids"));

	p = good_host();
	p->who.uid = 0;
	p->who.caps = 1ULL << CAP_SYS_ADMIN_BIT;
	judge(p);
	ok(strstr(checks[0].found, "root:") == checks[0].found);
	is_int(check("idmapped mounts")->ok, -1);

	p = good_host();
	p->who.uid = 0;
	p->ids.map = -ENODATA;
	judge(p);
	ok(strstr(checks[0].found, "without CAP_SYS_ADMIN"));

	p = good_host();
	p->who.uid = 0;
	p->who.caps = UINT64_MAX;
	p->who.initial = false;
	p->who.ids = 65536;
	judge(p);
	ok(strstr(checks[0].found, "uid 0 of a nested user namespace: its 65536 ids"));
	ok(check("idmapped mounts")->ok == 99, "asked of root only");
}

static void root_needs_idmapped_layers(void)
{
	struct probe *p = good_host();

	p->who.uid = 0;
	p->who.caps = 1ULL << CAP_SYS_ADMIN_BIT;
	p->data.idmap = 0;
	p->data.idmap_overlay = -EINVAL;
	judge(p);
	is_int(check("idmapped mounts")->ok, 0);
	is_int(check("idmapped mounts")->level, BOX_CHECK_REQUIRED);
	is_str(check("idmapped mounts")->mend, "boot Linux 5.19 or later");
	ok(strstr(check("idmapped mounts")->lost, "--ids host"));
}

static void an_old_landlock_says_what_the_host_network_needs(void)
{
	struct probe *p = good_host();

	p->calls.landlock = 4;
	judge(p);
	is_int(check("Landlock")->ok, 0);
	is_str(check("Landlock")->lost, "--network host needs --allow-abstract-sockets");

	p = good_host();
	p->calls.landlock = -EOPNOTSUPP;
	judge(p);
	ok(strstr(check("Landlock")->mend, "lsm="));
}

static void memfds_that_may_not_be_executed_are_no_obstacle(void)
{
	struct probe *p = good_host();

	p->calls.memfd = -EACCES;
	p->knobs.memfd_noexec = 2;
	judge(p);
	is_int(check("executable memfd")->ok, 0);
	is_int(check("executable memfd")->level, BOX_CHECK_RECOMMENDED);
	is_str(check("executable memfd")->mend, "sudo sysctl -w vm.memfd_noexec=1");
}

static void controllers_that_are_not_delegated_are_named(void)
{
	struct probe *p = good_host();

	p->cgroup.writable = -EACCES;
	p->cgroup.manager = true;
	snprintf(p->cgroup.manager_controllers, sizeof(p->cgroup.manager_controllers),
		 "memory pids");
	judge(p);
	is_int(check("cgroup v2")->ok, 1);
	is_int(check("cgroup controllers")->ok, 0);
	is_str(check("cgroup controllers")->found, "missing: cpu io cpuset");
	ok(strstr(check("cgroup controllers")->mend, "Delegate=cpu cpuset io memory pids"));
}

static void a_directory_of_somebody_else_is_refused(void)
{
	struct probe *p = good_host();

	p->data_dir.owner = 1001;
	p->state_dir.mode = 0755;
	judge(p);
	is_int(check("data directory")->ok, 0);
	is_str(check("data directory")->found, "'/d' belongs to uid 1001");
	is_str(check("state directory")->mend, "chmod 0700 '/d'");
}

static void names_that_are_not_text_do_not_spoil_the_lines(void)
{
	struct probe *p = good_host();

	snprintf(p->data_dir.path, sizeof(p->data_dir.path), "/a\nb\xff");
	judge(p);
	is_str(check("data directory")->found, "'/a?b?' is yours alone");
}

static void this_host_can_be_asked(void)
{
	struct err e;

	free(checks);
	checks = NULL;
	if (!ok(box_doctor(&checks, &n_checks, &e) == 0, "%s", e.msg))
		return;
	for (size_t i = 0; i < n_checks; i++) {
		ok(str_utf8(checks[i].found, strlen(checks[i].found)));
		ok(checks[i].ok >= -1 && checks[i].ok <= 1);
	}
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_host_that_has_everything_loses_nothing),
		TAP_TEST(whatever_is_missing_says_what_is_lost_and_what_mends_it),
		TAP_TEST(the_knob_that_forbids_user_namespaces_is_named),
		TAP_TEST(ubuntus_namespace_without_powers_gets_a_profile_for_this_program),
		TAP_TEST(a_name_that_a_shell_would_read_stays_out_of_the_profile_line),
		TAP_TEST(a_container_is_opened_by_its_own_options),
		TAP_TEST(a_user_without_subordinate_ids_is_told_how_to_get_a_free_range),
		TAP_TEST(the_four_kinds_of_callers_are_told_apart),
		TAP_TEST(root_needs_idmapped_layers),
		TAP_TEST(an_old_landlock_says_what_the_host_network_needs),
		TAP_TEST(memfds_that_may_not_be_executed_are_no_obstacle),
		TAP_TEST(controllers_that_are_not_delegated_are_named),
		TAP_TEST(a_directory_of_somebody_else_is_refused),
		TAP_TEST(names_that_are_not_text_do_not_spoil_the_lines),
		TAP_TEST(this_host_can_be_asked),
	};
	int r = tap_run(t, sizeof(t) / sizeof(*t));

	free(checks);
	return r;
}
