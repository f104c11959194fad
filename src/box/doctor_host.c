/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_host.c - checks of what is around the kernel: ids, directories, cgroups, programs
 *
 * How it works: one function per check, in the order in which they are printed.
 *
 * Called by: doctor.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "box/doctor_list.h"

enum {
	IDS_WANTED = 65536,
	FILES_PER_BOX = 2,	/* descriptors that one idle sandbox costs its caller */
	FILES_WANTED = 1024,
	NAMESPACES_PER_BOX = 2, /* of one kind */
	NAMESPACES_WANTED = 1000,
	KEYS_WANTED = 200,	/* what kernels come with */
	INODES_WANTED = 10000,
	CRIU_MAJOR = 4,
};

static const uint64_t bytes_wanted = 1ULL << 30;

/* The command that installs a package; the names differ a little. */
static void mend_by_package(struct doctor *d, const char *debian, const char *fedora,
			    const char *arch, const char *suse, const char *alpine)
{
	const struct {
		enum probe_program tool;
		const char *command, *package;
	} ways[] = {
		{PROBE_APT, "apt-get install", debian}, {PROBE_DNF, "dnf install", fedora},
		{PROBE_PACMAN, "pacman -S", arch},	{PROBE_ZYPPER, "zypper install", suse},
		{PROBE_APK, "apk add", alpine},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (d->p->program[ways[i].tool][0]) {
			doctor_mend(d, "%s%s %s", doctor_sudo(d), ways[i].command, ways[i].package);
			return;
		}
	doctor_mend(d, "install the package %s", debian);
}

/* ---- ids ------------------------------------------------------------------------------------- */

static void explain_subids(struct doctor *d)
{
	const struct probe_ids *ids = &d->p->ids;
	const char *user = ids->user[0] ? ids->user : "NAME", *sudo = doctor_sudo(d);
	const unsigned int first = ids->unused, last = first + IDS_WANTED - 1;

	if (!d->p->program[PROBE_NEWUIDMAP][0] || !d->p->program[PROBE_NEWGIDMAP][0]) {
		doctor_found(d, "newuidmap and newgidmap are not installed");
		mend_by_package(d, "uidmap", "shadow-utils", "shadow", "shadow", "shadow-uidmap");
	} else if (!ids->uid_count || !ids->gid_count) {
		doctor_found(d, "no range for '%s' in /etc/%s", user,
			     ids->uid_count ? "subgid" : "subuid");
		doctor_mend(d, "%susermod --add-subuids %u-%u --add-subgids %u-%u %s", sudo, first,
			    last, first, last, user);
	} else if (d->p->who.no_new_privs) {
		doctor_found(d, "newuidmap cannot raise its powers: hutch was started with "
				"no_new_privs");
		doctor_mend(d, "start hutch without no_new_privs (NoNewPrivileges=no in a unit)");
	} else if (!d->p->id_helpers) {
		doctor_found(d, "newuidmap or newgidmap has neither the set-user-id bit nor file "
				"capabilities");
		doctor_mend(d, "%schmod u+s %s %s", sudo, d->p->program[PROBE_NEWUIDMAP],
			    d->p->program[PROBE_NEWGIDMAP]);
	} else {
		doctor_found(d, "newuidmap refused the range %u+%u, or newgidmap %u+%u",
			     (unsigned int)ids->uid_start, (unsigned int)ids->uid_count,
			     (unsigned int)ids->gid_start, (unsigned int)ids->gid_count);
		doctor_mend(d, "hutch must run on a file system mounted without nosuid, by a user "
			       "in /etc/passwd; %susermod --add-subuids %u-%u --add-subgids %u-%u "
			       "%s",
			    sudo, first, last, first, last, user);
	}
}

static void check_ids(struct doctor *d)
{
	const struct probe_ids *ids = &d->p->ids;

	doctor_check(d, BOX_CHECK_RECOMMENDED, "several ids", doctor_ok(ids->map));
	doctor_lost(d, "only uid 0 exists inside: no other users, and installing packages or "
		       "images with files of other users mostly fails");
	if (ids->map == PROBE_UNASKED) {
		doctor_found(d, "could not be asked without user namespaces");
	} else if (ids->map == 0 && ids->uid_count && d->persona == DOCTOR_SUBIDS) {
		doctor_found(d, "%u+%u in /etc/subuid, %u+%u in /etc/subgid",
			     (unsigned int)ids->uid_start, (unsigned int)ids->uid_count,
			     (unsigned int)ids->gid_start, (unsigned int)ids->gid_count);
	} else if (ids->map == 0) {
		doctor_found(d, "maps are written directly");
	} else if (d->persona == DOCTOR_NESTED && d->p->who.ids > 1) {
		doctor_found(d, "uid 0 of this namespace may not write maps");
		doctor_mend(d, "start hutch with CAP_SETUID and CAP_SETGID");
	} else if (d->persona == DOCTOR_NESTED) {
		doctor_found(d, "the namespace hutch runs in has one id");
		doctor_mend(d, "start hutch outside of it, or give it more ids (unshare "
			       "--map-auto, podman --userns=auto)");
	} else {
		explain_subids(d);
	}
}

/* ---- directories ----------------------------------------------------------------------------- */

static void check_dir(struct doctor *d, const char *name, const struct probe_dir *dir)
{
	const unsigned int uid = (unsigned int)d->p->who.uid;
	const char *sudo = doctor_sudo(d);

	doctor_check(d, BOX_CHECK_REQUIRED, name, 0);
	doctor_lost(d, "no sandbox can start");
	if (dir->there == PROBE_UNASKED) {
		doctor_found(d, "neither HUTCH_HOME nor XDG_DATA_HOME nor HOME says where");
		doctor_mend(d, "export HUTCH_HOME=DIR, a directory of yours");
	} else if (dir->there == 0 && dir->owner != d->p->who.uid) {
		doctor_found(d, "'%s' belongs to uid %u", dir->path, (unsigned int)dir->owner);
		doctor_mend(d, "%schown -R %u '%s', or export HUTCH_HOME=DIR, a directory of yours",
			    sudo, uid, dir->path);
	} else if (dir->there == 0 && (dir->mode & 0777) != 0700) {
		doctor_found(d, "'%s' has mode %04o, not 0700", dir->path, (unsigned int)dir->mode);
		doctor_mend(d, "chmod 0700 '%s'", dir->path);
	} else if (dir->there == -ENOTDIR) {
		doctor_found(d, "'%s' is not a directory", dir->path);
		doctor_mend(d, "move it away, or export HUTCH_HOME=DIR, a directory of yours");
	} else if (dir->there != 0 && dir->there != -ENOENT) {
		doctor_found(d, "'%s' cannot be looked at", dir->path);
		doctor_mend(d, "export HUTCH_HOME=DIR, a directory of yours");
	} else if (dir->writable != 0) {
		doctor_found(d, "'%s' cannot be %s: '%s' is not writable", dir->path,
			     dir->there == 0 ? "used" : "made", dir->at);
		doctor_mend(d, "export HUTCH_HOME=DIR, a directory of yours");
	} else {
		d->entries[d->n - 1].ok = 1;
		doctor_found(d, "'%s' %s", dir->path,
			     dir->there == 0 ? "is yours alone" : "will be made");
	}
}

static void check_space(struct doctor *d)
{
	const struct probe_dir *dir = &d->p->data_dir;
	const bool asked = dir->fs[0] != '\0';
	const bool enough = dir->free_bytes >= bytes_wanted && dir->free_inodes >= INODES_WANTED;

	doctor_check(d, BOX_CHECK_RECOMMENDED, "free disk space", asked ? enough : -1);
	if (asked && dir->free_bytes >= bytes_wanted && !enough)
		doctor_found(d, "%" PRIu64 " inodes on %s ('%s')", dir->free_inodes, dir->fs,
			     dir->at);
	else if (asked)
		doctor_found(d, "%" PRIu64 " MiB on %s ('%s')", dir->free_bytes >> 20, dir->fs,
			     dir->at);
	else
		doctor_found(d, "could not be asked");
	doctor_lost(d, "images and what sandboxes write may not fit");
	doctor_mend(d, "free some space there, or export HUTCH_HOME=DIR on another file system");
}

/* ---- cgroups --------------------------------------------------------------------------------- */

/* The controllers that limits need and @have (words with blanks) lacks. */
static void missing_controllers(const char *have, char *ret, size_t size)
{
	static const char *const wanted[] = {"cpu", "memory", "pids", "io", "cpuset"};
	size_t len = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		const size_t n = strlen(wanted[i]);
		bool found = false;

		for (const char *at = have; *at && !found; at += strspn(at, " ")) {
			const size_t word = strcspn(at, " ");

			found = word == n && !strncmp(at, wanted[i], n);
			at += word;
		}
		if (!found && len < size)
			len += (size_t)snprintf(ret + len, size - len, "%s%s", len ? " " : "",
						wanted[i]);
	}
}

static void mend_delegation(struct doctor *d)
{
	if (d->p->who.container[0] && !d->p->cgroup.manager)
		doctor_mend(d, "start the container with its cgroup writable (docker run "
			       "--cgroupns private --privileged, podman run --cgroups=split)");
	else if (d->persona == DOCTOR_ROOT || !d->p->cgroup.manager)
		doctor_mend(d, "%sloginctl enable-linger %s, and log in anew",
			    doctor_sudo(d), d->p->ids.user[0] ? d->p->ids.user : "NAME");
	else
		doctor_mend(d, "systemd-run --user --scope -p Delegate=yes -- hutch ...");
}

static void check_delegation(struct doctor *d)
{
	const struct probe_cgroup *c = &d->p->cgroup;
	const bool given = c->writable == 0 || c->manager;

	doctor_check(d, BOX_CHECK_RECOMMENDED, "cgroup v2", c->mount[0] && given);
	doctor_lost(d, "no limits of memory, CPU and processes, and no figures of what was used");
	if (!c->mount[0]) {
		doctor_found(d, "not mounted%s", c->v1 ? " (cgroup v1 is)" : "");
		doctor_mend(d, "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's "
			       "command line");
		return;
	}
	doctor_found(d, "%s at '%s'",
		     c->writable == 0 ? "own cgroup may be divided"
		     : c->manager     ? "systemd can be asked for a cgroup"
				      : "own cgroup may not be divided",
		     c->own);
	mend_delegation(d);
}

static void check_controllers(struct doctor *d)
{
	const struct probe_cgroup *c = &d->p->cgroup;
	const char *have = c->writable == 0 ? c->controllers
			   : c->manager	    ? c->manager_controllers
					    : "";
	char missing[64];

	missing_controllers(have, missing, sizeof(missing));
	doctor_check(d, BOX_CHECK_RECOMMENDED, "cgroup controllers", missing[0] == '\0');
	if (missing[0])
		doctor_found(d, "missing: %s%s", missing,
			     c->v1 ? " (cgroup v1 is mounted too)" : "");
	else
		doctor_found(d, "%s", have);
	doctor_lost(d, "limits of %s are refused", missing);
	if (c->v1)
		doctor_mend(d, "boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all on "
			       "the kernel's command line");
	else if (d->persona == DOCTOR_ROOT || !c->mount[0] || (c->writable != 0 && !c->manager))
		doctor_mend(d, "mend cgroup v2 first");
	else
		doctor_mend(d,
			    "%ssh -c 'mkdir -p /etc/systemd/system/user@.service.d && printf "
			    "\"[Service]\\nDelegate=cpu cpuset io memory pids\\n\" > "
			    "/etc/systemd/system/user@.service.d/delegate.conf && systemctl "
			    "daemon-reload', and log in anew",
			    doctor_sudo(d));
}

static void check_pressure(struct doctor *d)
{
	char words[128];

	doctor_check(d, BOX_CHECK_OPTIONAL, "pressure", doctor_ok(d->p->psi));
	doctor_found(d, "/proc/pressure: %s", doctor_says(d->p->psi, words, sizeof(words)));
	doctor_lost(d, "how long a sandbox waited for CPU, memory and disk is not known");
	doctor_mend(d, "boot with psi=1 on the kernel's command line (CONFIG_PSI=y)");
}

/* ---- network and programs -------------------------------------------------------------------- */

static void check_network(struct doctor *d)
{
	const struct probe *p = d->p;
	char words[128];

	doctor_check(d, BOX_CHECK_RECOMMENDED, "pasta", p->program[PROBE_PASTA][0] != '\0');
	doctor_found(d, "%s", p->program[PROBE_PASTA][0] ? p->program[PROBE_PASTA]
							 : "not installed");
	doctor_lost(d, "--network nat and published ports");
	mend_by_package(d, "passt", "passt", "passt", "passt", "passt");

	doctor_check(d, BOX_CHECK_RECOMMENDED, "/dev/net/tun", doctor_ok(p->tun));
	doctor_found(d, "%s", p->tun == 0 ? "can be opened"
					  : doctor_says(p->tun, words, sizeof(words)));
	doctor_lost(d, "--network nat and published ports");
	if (p->tun == -EACCES)
		doctor_mend(d, "%schmod 0666 /dev/net/tun", doctor_sudo(d));
	else if (p->who.container[0])
		doctor_mend(d, "start the container with --device /dev/net/tun");
	else
		doctor_mend(d, "%smodprobe tun", doctor_sudo(d));

	doctor_check(d, BOX_CHECK_OPTIONAL, "ping",
		     p->knobs.ping_low < 0 ? -1
					   : p->knobs.ping_low <= (long long)p->who.gid &&
						     (long long)p->who.gid <= p->knobs.ping_high);
	doctor_found(d, "groups %lld to %lld may (net.ipv4.ping_group_range)", p->knobs.ping_low,
		     p->knobs.ping_high);
	doctor_lost(d, "ping under --network host; other networks are not concerned");
	doctor_mend(d, "%ssysctl -w net.ipv4.ping_group_range='0 2147483647'", doctor_sudo(d));
}

static void check_criu(struct doctor *d)
{
	const struct probe *p = d->p;
	const char *path = p->program[PROBE_CRIU];
	const bool known = p->criu_major > 0;

	doctor_check(d, BOX_CHECK_OPTIONAL, "CRIU",
		     !*path ? 0 : known ? p->criu_major >= CRIU_MAJOR : -1);
	if (!*path)
		doctor_found(d, "not installed (4.0 or later is needed)");
	else if (known)
		doctor_found(d, "%u.%u at %s (4.0 or later is needed)", p->criu_major,
			     p->criu_minor, path);
	else
		doctor_found(d, "%s does not tell its version", path);
	doctor_lost(d, "checkpoints of running processes to disk");
	if (*path)
		doctor_mend(d, "install CRIU 4.0 or later, from a newer release or from source");
	else
		mend_by_package(d, "criu", "criu", "criu", "criu", "criu");
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void check_files(struct doctor *d)
{
	const uint64_t soft = d->p->nofile_soft, hard = d->p->nofile_hard;

	doctor_check(d, BOX_CHECK_RECOMMENDED, "open files", soft ? soft >= FILES_WANTED : -1);
	doctor_found(d, "%" PRIu64 " (at most %" PRIu64 "): about %" PRIu64
			" idle sandboxes in one process",
		     soft, hard, soft / FILES_PER_BOX);
	doctor_lost(d, "more sandboxes than that in one process");
	if (hard >= FILES_WANTED)
		doctor_mend(d, "ulimit -n %" PRIu64, hard < 65536 ? hard : (uint64_t)65536);
	else
		doctor_mend(d, "%ssh -c 'echo \"* - nofile 65536\" >> "
			       "/etc/security/limits.conf', and log in anew",
			    doctor_sudo(d));
}

static void check_namespace_limits(struct doctor *d)
{
	static const char *const names[PROBE_NS_COUNT] = {
		[PROBE_NS_MNT] = "mnt", [PROBE_NS_PID] = "pid",	      [PROBE_NS_NET] = "net",
		[PROBE_NS_IPC] = "ipc", [PROBE_NS_UTS] = "uts",	      [PROBE_NS_CGROUP] = "cgroup",
		[PROBE_NS_TIME] = "time",
	};
	const struct probe_knobs *k = &d->p->knobs;
	long long least = k->max_user_ns;
	const char *which = "user";

	for (size_t i = 0; i < PROBE_NS_COUNT; i++)
		if (k->max_ns[i] >= 0 && (least < 0 || k->max_ns[i] < least)) {
			least = k->max_ns[i];
			which = names[i];
		}
	doctor_check(d, BOX_CHECK_RECOMMENDED, "namespace limits",
		     least < 0 ? -1 : least >= NAMESPACES_WANTED);
	if (least < 0)
		doctor_found(d, "could not be asked");
	else
		doctor_found(d, "user.max_%s_namespaces is %lld: about %lld sandboxes at once",
			     which, least, least / NAMESPACES_PER_BOX);
	doctor_lost(d, "more sandboxes than that at once");
	doctor_mend(d, "%ssysctl -w user.max_%s_namespaces=65536", doctor_sudo(d), which);
}

static void check_keys(struct doctor *d)
{
	const bool root = d->p->who.uid == 0 && d->p->who.initial;
	const long long most = root ? d->p->knobs.root_maxkeys : d->p->knobs.maxkeys;
	const char *name = root ? "root_maxkeys" : "maxkeys";

	doctor_check(d, BOX_CHECK_OPTIONAL, "keyrings", most < 0 ? -1 : most >= KEYS_WANTED);
	if (most < 0)
		doctor_found(d, "could not be asked");
	else
		doctor_found(d, "kernel.keys.%s is %lld: so many sandboxes have a keyring of their "
				"own",
			     name, most);
	doctor_lost(d, "further ones have none (keyctl is refused inside anyway)");
	doctor_mend(d, "%ssysctl -w kernel.keys.%s=20000", doctor_sudo(d), name);
}

static void check_cores(struct doctor *d)
{
	const char *pattern = d->p->knobs.core_pattern;

	doctor_check(d, BOX_CHECK_OPTIONAL, "core dumps", *pattern ? 1 : -1);
	if (*pattern == '|')
		doctor_found(d, "piped to '%.*s'; what runs in a sandbox does not feed it",
			     (int)strcspn(pattern + 1, " "), pattern + 1);
	else
		doctor_found(d, *pattern ? "written to '%s'; none from a sandbox"
					 : "could not be asked%s",
			     pattern);
}

void doctor_host(struct doctor *d)
{
	check_ids(d);
	check_dir(d, "data directory", &d->p->data_dir);
	check_dir(d, "state directory", &d->p->state_dir);
	check_space(d);
	check_delegation(d);
	check_controllers(d);
	check_pressure(d);
	check_network(d);
	check_criu(d);
	check_files(d);
	check_namespace_limits(d);
	check_keys(d);
	check_cores(d);
}
