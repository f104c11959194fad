/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_kernel.c - checks of what the kernel lets through: calls, namespaces, mounts, guards
 *
 * How it works: one function per check, in the order in which they are printed. Where a cause can
 * be told from the facts (a knob of /proc/sys, AppArmor, the filter of a container, masked parts
 * of /proc), the mending line is for that cause.
 *
 * Called by: doctor.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "box/doctor_list.h"

static const char no_sandbox[] = "no sandbox can start";

/* The oldest kernel with all the calls that every start makes. */
static bool kernel_is_new_enough(const struct probe *p)
{
	return p->major > 5 || (p->major == 5 && p->minor >= 11);
}

static void check_kernel(struct doctor *d)
{
	const struct probe *p = d->p;
	const bool known = p->major > 0;

	doctor_check(d, BOX_CHECK_REQUIRED, "kernel", known ? kernel_is_new_enough(p) : -1);
	doctor_found(d, "Linux %s (5.11 or later is needed)", known ? p->release : "?");
	doctor_lost(d, "%s", no_sandbox);
	doctor_mend(d, "boot a newer kernel");
}

/* ---- system calls ---------------------------------------------------------------------------- */

static void check_call(struct doctor *d, const char *name, int fact, const char *since)
{
	const bool filtered = fact < 0 && kernel_is_new_enough(d->p);
	char words[128];

	doctor_check(d, BOX_CHECK_REQUIRED, name, doctor_ok(fact));
	doctor_found(d, "%s%s", doctor_says(fact, words, sizeof(words)),
		     filtered ? " (something filters this call)" : "");
	doctor_lost(d, "%s", no_sandbox);
	if (filtered)
		doctor_mend(d, "%s", doctor_unconfine(d));
	else
		doctor_mend(d, "boot Linux %s or later", since);
}

static void check_calls(struct doctor *d)
{
	const struct probe_calls *c = &d->p->calls;

	check_call(d, "clone3", c->clone3, "5.11");
	check_call(d, "openat2", c->openat2, "5.11");
	check_call(d, "pidfd", c->pidfd, "5.11");
	check_call(d, "close_range", c->close_range, "5.11");
}

/* ---- user namespaces ------------------------------------------------------------------------- */

/* Ubuntu from 23.10 on lets the namespace be made and then refuses every power in it. */
static bool powerless(const struct probe_userns *u)
{
	return u->create == 0 && (u->map < 0 || u->ns[PROBE_NS_MNT] < 0);
}

/* A profile for the program that asks, or for the installed one. */
static void mend_apparmor(struct doctor *d)
{
	const char *exe = d->p->who.exe;

	doctor_mend(d,
		    "printf 'abi <abi/4.0>,\\nprofile hutch \"%s\" flags=(unconfined) {\\n  "
		    "userns,\\n}\\n' | %stee /etc/apparmor.d/hutch && %sapparmor_parser -r "
		    "/etc/apparmor.d/hutch",
		    *exe && !strpbrk(exe, "'\"\\%*?[]{}^@ \n") ? exe : "/usr/bin/hutch",
		    doctor_sudo(d), doctor_sudo(d));
}

/* The first cause that the facts speak for; most certain ones first. */
static void explain_userns(struct doctor *d, int refused)
{
	const struct probe_knobs *k = &d->p->knobs;
	const struct probe_who *w = &d->p->who;
	const char *sudo = doctor_sudo(d);
	char words[128];

	if (refused == -EINVAL || refused == -ENOSYS) {
		doctor_found(d, "this kernel was built without CONFIG_USER_NS");
		doctor_mend(d, "boot a kernel with CONFIG_USER_NS=y");
	} else if (refused == -ENOSPC || k->max_user_ns == 0) {
		doctor_found(d, "refused: user.max_user_namespaces is %lld", k->max_user_ns);
		doctor_mend(d, "%ssysctl -w user.max_user_namespaces=65536", sudo);
	} else if (refused == -EUSERS) {
		doctor_found(d, "refused: too many user namespaces inside each other");
		doctor_mend(d, "start hutch from an outer one (32 levels are allowed)");
	} else if (k->userns_clone == 0 && d->persona != DOCTOR_ROOT) {
		doctor_found(d, "refused: kernel.unprivileged_userns_clone is 0");
		doctor_mend(d, "%ssysctl -w kernel.unprivileged_userns_clone=1", sudo);
	} else if (w->apparmor[0] && w->container[0]) {
		doctor_found(d, "refused in a container, whose AppArmor profile is '%s'",
			     w->apparmor);
		doctor_mend(d, "%s", doctor_unconfine(d));
	} else if (k->apparmor_userns == 1 && (refused == -EACCES || refused == -EPERM)) {
		doctor_found(d, "refused by AppArmor "
				"(kernel.apparmor_restrict_unprivileged_userns)");
		mend_apparmor(d);
	} else if (w->seccomp == 2) {
		doctor_found(d, "refused by the seccomp filter that hutch was started under");
		doctor_mend(d, "%s", doctor_unconfine(d));
	} else if (refused == -EACCES && k->selinux == 1) {
		doctor_found(d, "refused by SELinux");
		doctor_mend(d, "%sausearch -m AVC -ts recent | audit2allow -M hutch && %ssemodule "
			       "-i hutch.pp",
			    sudo, sudo);
	} else if (d->p->userns.create == 0) {
		doctor_found(d, "made, but without powers: %s",
			     doctor_says(refused, words, sizeof(words)));
		doctor_mend(d, "allow it in the security policy of this host");
	} else {
		doctor_found(d, "refused, most likely since hutch runs in a chroot");
		doctor_mend(d, "start hutch outside the chroot, or enter it by pivot_root");
	}
}

static void check_userns(struct doctor *d)
{
	const struct probe_userns *u = &d->p->userns;
	int fact = u->create;

	if (powerless(u))
		fact = u->map < 0 ? u->map : u->ns[PROBE_NS_MNT];
	doctor_check(d, BOX_CHECK_REQUIRED, "user namespaces", doctor_ok(fact));
	doctor_lost(d, "%s", no_sandbox);
	if (fact < 0)
		explain_userns(d, fact);
	else
		doctor_found(d, "%s", fact == 0 ? "works" : "could not be asked");
}

/* What is asked inside of one could not be asked without. */
static const char *without_userns(const struct doctor *d, int fact, char *buf, size_t size)
{
	if (fact == PROBE_UNASKED && d->p->userns.create < 0)
		return "could not be asked without user namespaces";
	return doctor_says(fact, buf, size);
}

static void check_namespaces(struct doctor *d)
{
	static const struct {
		enum probe_ns ns;
		const char *name, *option;
	} all[] = {
		{PROBE_NS_MNT, "mnt namespace", "CONFIG_NAMESPACES"},
		{PROBE_NS_PID, "pid namespace", "CONFIG_PID_NS"},
		{PROBE_NS_NET, "net namespace", "CONFIG_NET_NS"},
		{PROBE_NS_IPC, "ipc namespace", "CONFIG_IPC_NS"},
		{PROBE_NS_UTS, "uts namespace", "CONFIG_UTS_NS"},
		{PROBE_NS_CGROUP, "cgroup namespace", "CONFIG_CGROUPS"},
		{PROBE_NS_TIME, "time namespace", "CONFIG_TIME_NS"},
	};
	char words[128];

	_Static_assert(sizeof(all) / sizeof(*all) == PROBE_NS_COUNT, "one line for each");
	for (size_t i = 0; i < PROBE_NS_COUNT; i++) {
		const int fact = d->p->userns.ns[all[i].ns];

		doctor_check(d, BOX_CHECK_REQUIRED, all[i].name, doctor_ok(fact));
		doctor_found(d, "%s", without_userns(d, fact, words, sizeof(words)));
		doctor_lost(d, "%s", no_sandbox);
		if (fact == -EINVAL)
			doctor_mend(d, "boot a kernel with %s=y", all[i].option);
		else if (fact == -ENOSPC)
			doctor_mend(d, "%ssysctl -w user.max_%.*s_namespaces=65536", doctor_sudo(d),
				    (int)strcspn(all[i].name, " "), all[i].name);
		else
			doctor_mend(d, "mend user namespaces first");
	}
}

/* ---- mounts ---------------------------------------------------------------------------------- */

static void check_mount_api(struct doctor *d)
{
	const struct probe_userns *u = &d->p->userns;
	char words[128];

	doctor_check(d, BOX_CHECK_REQUIRED, "mount API", doctor_ok(u->mount_api));
	doctor_found(d, "%s", u->mount_api == 0 ? "fsopen, fsmount, move_mount, open_tree work"
						: without_userns(d, u->mount_api, words,
								 sizeof(words)));
	doctor_lost(d, "%s", no_sandbox);
	doctor_mend(d, "%s", u->create < 0 ? "mend user namespaces first" : doctor_unconfine(d));

	doctor_check(d, BOX_CHECK_RECOMMENDED, "mount_setattr", doctor_ok(u->mount_setattr));
	doctor_found(d, "%s", without_userns(d, u->mount_setattr, words, sizeof(words)));
	doctor_lost(d, "read-only volumes with mounts below them are refused");
	doctor_mend(d, "boot Linux 5.12 or later");
}

static void check_proc(struct doctor *d)
{
	const int fact = d->p->userns.proc;
	const char *masked = d->p->knobs.proc_masked;
	char words[128];

	doctor_check(d, BOX_CHECK_REQUIRED, "proc", doctor_ok(fact));
	doctor_lost(d, "%s", no_sandbox);
	if (fact < 0 && *masked) {
		doctor_found(d, "a new /proc is refused, since this one is masked ('%s')", masked);
		if (d->p->who.container[0])
			doctor_mend(d, "%s", doctor_unconfine(d));
		else
			doctor_mend(d, "start hutch where /proc is whole, or %sumount %s",
				    doctor_sudo(d), masked);
		return;
	}
	doctor_found(d, "%s", fact == 0 ? "can be mounted in a new pid namespace"
					: without_userns(d, fact, words, sizeof(words)));
	doctor_mend(d, "mount an unmasked /proc where hutch runs; %s", doctor_unconfine(d));
}

static void check_sysfs(struct doctor *d)
{
	const int fact = d->p->userns.sysfs;
	char words[128];

	doctor_check(d, BOX_CHECK_RECOMMENDED, "sysfs", doctor_ok(fact));
	doctor_found(d, "%s", fact == 0 ? "can be mounted with a new net namespace"
					: without_userns(d, fact, words, sizeof(words)));
	doctor_lost(d, "/sys is empty inside");
	doctor_mend(d, "mount an unmasked /sys where hutch runs; %s", doctor_unconfine(d));
}

static void check_overlay_data(struct doctor *d)
{
	const struct probe_dir *dir = &d->p->data_dir;
	const int fact = d->p->data.overlay;
	char words[128];

	doctor_check(d, BOX_CHECK_REQUIRED, "overlay on disk", doctor_ok(fact));
	if (fact == 0)
		doctor_found(d, "works on %s ('%s')", dir->fs, dir->at);
	else if (fact < 0)
		doctor_found(d, "refused on %s ('%s'): %s", dir->fs, dir->at,
			     doctor_says(fact, words, sizeof(words)));
	else
		doctor_found(d, "could not be asked without user namespaces and a directory");
	doctor_lost(d, "a sandbox cannot keep what it writes on this file system");
	doctor_mend(d, "export HUTCH_HOME=DIR, a directory of yours on ext4, xfs, btrfs or tmpfs%s",
		    fact == -ENODEV ? " (here: modprobe overlay)" : "");
}

static void check_overlay_tmpfs(struct doctor *d)
{
	const struct probe_userns *u = &d->p->userns;
	char words[128];

	doctor_check(d, BOX_CHECK_RECOMMENDED, "overlay on tmpfs", doctor_ok(u->tmpfs_overlay));
	if (u->tmpfs_overlay < 0 && u->tmpfs_xattr < 0)
		doctor_found(d, "this kernel's tmpfs has no user attributes (Linux 6.6 has)");
	else
		doctor_found(d, "%s", u->tmpfs_overlay == 0
					      ? "works, with userxattr and volatile"
					      : without_userns(d, u->tmpfs_overlay, words,
							       sizeof(words)));
	doctor_lost(d, "sandboxes cannot be kept in memory; resets and starts are slower");
	doctor_mend(d, "boot Linux 6.6 or later with CONFIG_TMPFS_XATTR and CONFIG_OVERLAY_FS");

	doctor_check(d, BOX_CHECK_OPTIONAL, "overlay lowerdir+", doctor_ok(u->lowerdir_plus));
	doctor_found(d, "%s", without_userns(d, u->lowerdir_plus, words, sizeof(words)));
	doctor_lost(d, "images of many layers may be refused");
	doctor_mend(d, "boot Linux 6.7 or later");
}

/* A root caller's sandboxes have ids of their own, so every layer is idmapped. */
static void check_idmap(struct doctor *d)
{
	const struct probe_data *data = &d->p->data;
	const struct probe_dir *dir = &d->p->data_dir;
	int fact = data->idmap == 0 ? data->idmap_overlay : data->idmap;
	char words[128];

	if (d->persona != DOCTOR_ROOT)
		return;
	doctor_check(d, BOX_CHECK_REQUIRED, "idmapped mounts", doctor_ok(fact));
	if (fact < 0)
		doctor_found(d, "%s on %s ('%s'): %s",
			     data->idmap == 0 ? "overlay refuses them" : "refused", dir->fs,
			     dir->at, doctor_says(fact, words, sizeof(words)));
	else
		doctor_found(d, fact == 0 ? "work on %s ('%s'), also below an overlay"
					  : "could not be asked on %s ('%s')",
			     dir->fs, dir->at);
	doctor_lost(d, "a root caller needs --ids host, or to run as a user");
	doctor_mend(d, data->idmap == 0 ? "boot Linux 5.19 or later"
					: "export HUTCH_HOME=DIR on ext4, xfs, btrfs or tmpfs, "
					  "with Linux 5.19 or later");
}

/* ---- guards ---------------------------------------------------------------------------------- */

static void check_memfd(struct doctor *d)
{
	const int fact = d->p->calls.memfd;
	const long long knob = d->p->knobs.memfd_noexec;
	char words[128];

	doctor_check(d, BOX_CHECK_RECOMMENDED, "executable memfd", doctor_ok(fact));
	if (fact < 0 && knob == 2)
		doctor_found(d, "refused: vm.memfd_noexec is 2");
	else
		doctor_found(d, "%s", doctor_says(fact, words, sizeof(words)));
	doctor_lost(d, "hutch-init runs from its installed file, on a read-only bind");
	if (knob == 2)
		doctor_mend(d, "%ssysctl -w vm.memfd_noexec=1", doctor_sudo(d));
	else
		doctor_mend(d, "allow it in the policy (SELinux, fapolicyd, IMA) that refuses it");
}

static void check_seccomp(struct doctor *d)
{
	const struct probe_calls *c = &d->p->calls;
	char words[128];

	doctor_check(d, BOX_CHECK_REQUIRED, "seccomp", doctor_ok(c->seccomp));
	doctor_found(d, "%s%s", c->seccomp == 0 ? "filters are taken"
						: doctor_says(c->seccomp, words, sizeof(words)),
		     c->seccomp_notify == 0 ? ", with notifications" : "");
	doctor_lost(d, "no sandbox can start but with --security-opt seccomp=unconfined");
	doctor_mend(d, "boot a kernel with CONFIG_SECCOMP_FILTER=y");
}

static void check_landlock(struct doctor *d)
{
	const int abi = d->p->calls.landlock;
	char words[128];

	doctor_check(d, BOX_CHECK_RECOMMENDED, "Landlock", abi == -EINPROGRESS ? -1 : abi >= 6);
	if (abi > 0)
		doctor_found(d, "ABI %d%s", abi, abi < 6 ? " (6 can scope abstract sockets)" : "");
	else if (abi == -EOPNOTSUPP)
		doctor_found(d, "built in, but not switched on at boot");
	else
		doctor_found(d, "%s", abi == -EINPROGRESS ? "could not be asked"
							  : doctor_says(abi, words, sizeof(words)));
	doctor_lost(d, "--network host needs --allow-abstract-sockets%s",
		    abi < 1 ? "; rules for paths and ports are refused" : "");
	if (abi == -EOPNOTSUPP)
		doctor_mend(d, "add landlock to lsm= of the kernel's command line "
			       "(/sys/kernel/security/lsm has the others) and reboot");
	else
		doctor_mend(d, "boot Linux 6.12 or later with CONFIG_SECURITY_LANDLOCK=y");
}

void doctor_kernel(struct doctor *d)
{
	check_kernel(d);
	check_calls(d);
	check_userns(d);
	check_namespaces(d);
	check_mount_api(d);
	check_proc(d);
	check_sysfs(d);
	check_overlay_data(d);
	check_overlay_tmpfs(d);
	check_idmap(d);
	check_memfd(d);
	check_seccomp(d);
	check_landlock(d);
}
