/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.c - who asks, and what the files of this machine say
 *
 * How it works: probe_who() reads /proc/self; probe_host() reads the knobs of /proc/sys, the
 * cgroup, the directories and the programs (probe_text.c understands their texts), and has
 * probe_calls.c, probe_ns.c and probe_data.c ask the kernel in children. Whatever cannot be read
 * stays "not asked", "" or -1: nothing here fails.
 *
 * Called by: box/doctor.c.  Opposite: nothing; all children and files are gone at the end.
 */
#include "sys/probe.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

#include "base/own.h"
#include "sys/probe_child.h"

enum {
	TEXT_BYTES = 64 * 1024,
	FIRST_SUBID = 100000, /* as login.defs(5) has it */
	SUBIDS = 65536,
};

/* ---- who ------------------------------------------------------------------------------------- */

/* The number after "@key" in a text of /proc/self/status. */
static uint64_t status_number(const char *status, const char *key, int base)
{
	const char *at = strstr(status, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

static void read_status(struct probe_who *w)
{
	char text[8192];

	if (probe_read("/proc/self/status", text, sizeof(text)) < 0)
		return;
	w->caps = status_number(text, "\nCapEff:\t", 16);
	w->no_new_privs = status_number(text, "\nNoNewPrivs:\t", 10) == 1;
	w->seccomp = (int)status_number(text, "\nSeccomp:\t", 10);
}

static void read_ids(struct probe_who *w)
{
	unsigned long first, outside, count;
	char text[8192];
	const char *at = text;
	int used;

	if (probe_read("/proc/self/uid_map", text, sizeof(text)) < 0)
		return;
	while (sscanf(at, "%lu %lu %lu\n%n", &first, &outside, &count, &used) == 3) {
		w->initial = first == 0 && outside == 0 && count == UINT32_MAX;
		w->ids += count;
		at += used;
	}
}

static void find_container(struct probe_who *w)
{
	static const struct {
		const char *file, *name;
	} marks[] = {
		{"/.dockerenv", "docker"},
		{"/run/.containerenv", "podman"},
		{"/run/systemd/container", "container"},
		{"/dev/lxd", "lxc"},
	};
	const char *found = "";

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks) && !*found; i++)
		if (access(marks[i].file, F_OK) == 0)
			found = marks[i].name;
	if (access("/var/run/secrets/kubernetes.io", F_OK) == 0 ||
	    getenv("KUBERNETES_SERVICE_HOST"))
		found = "kubernetes";
	snprintf(w->container, sizeof(w->container), "%s", found);
}

static void read_apparmor(struct probe_who *w)
{
	ssize_t n = probe_read("/proc/self/attr/apparmor/current", w->apparmor,
			       sizeof(w->apparmor));

	if (n < 0)
		n = probe_read("/proc/self/attr/current", w->apparmor, sizeof(w->apparmor));
	w->apparmor[strcspn(w->apparmor, "\n")] = '\0';
	/* With SELinux the same file has a label with colons. */
	if (n < 0 || !strcmp(w->apparmor, "unconfined") || strchr(w->apparmor, ':'))
		w->apparmor[0] = '\0';
}

static void set_unasked(struct probe *p)
{
	struct probe_userns *u = &p->userns;
	int *const facts[] = {
		&p->calls.clone3,    &p->calls.openat2,	    &p->calls.pidfd,
		&p->calls.memfd,     &p->calls.close_range, &p->calls.seccomp,
		&p->calls.seccomp_notify,
		&u->create,	     &u->map,		    &u->mount_api,
		&u->mount_setattr,   &u->proc,		    &u->sysfs,
		&u->tmpfs_xattr,     &u->tmpfs_overlay,	    &u->lowerdir_plus,
		&p->ids.map,	     &p->data.overlay,	    &p->data.idmap,
		&p->data.idmap_overlay,
		&p->data_dir.there,  &p->data_dir.writable, &p->state_dir.there,
		&p->state_dir.writable,
		&p->cgroup.writable, &p->psi,		    &p->tun,
	};

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++)
		*facts[i] = PROBE_UNASKED;
	for (size_t i = 0; i < PROBE_NS_COUNT; i++)
		u->ns[i] = PROBE_UNASKED;
	p->calls.landlock = -EINPROGRESS; /* not asked, where 1 would be an ABI */
}

void probe_who(struct probe *p)
{
	struct probe_who *w = &p->who;
	auto_free char *text = malloc(TEXT_BYTES);
	struct utsname uts;
	ssize_t n;

	memset(p, 0, sizeof(*p));
	set_unasked(p);
	if (uname(&uts) == 0)
		snprintf(p->release, sizeof(p->release), "%s", uts.release);
	(void)sscanf(p->release, "%u.%u", &p->major, &p->minor);
	w->uid = geteuid();
	w->gid = getegid();
	read_status(w);
	read_ids(w);
	read_apparmor(w);
	find_container(w);
	n = readlink("/proc/self/exe", w->exe, sizeof(w->exe) - 1);
	w->exe[n < 0 ? 0 : n] = '\0';
	if (text && probe_read("/proc/self/mountinfo", text, TEXT_BYTES) > 0) {
		w->chrooted = !probe_root_is_mount(text);
		probe_masked_find(text, p->knobs.proc_masked, sizeof(p->knobs.proc_masked));
	}
}

/* ---- the machine ----------------------------------------------------------------------------- */

static long long knob(const char *path)
{
	char text[64], *end;
	long long value;

	if (probe_read(path, text, sizeof(text)) <= 0)
		return -1;
	value = strtoll(text, &end, 10);
	return end == text ? -1 : value;
}

static void read_knobs(struct probe_knobs *k)
{
	static const char *const names[PROBE_NS_COUNT] = {
		[PROBE_NS_MNT] = "mnt", [PROBE_NS_PID] = "pid",	      [PROBE_NS_NET] = "net",
		[PROBE_NS_IPC] = "ipc", [PROBE_NS_UTS] = "uts",	      [PROBE_NS_CGROUP] = "cgroup",
		[PROBE_NS_TIME] = "time",
	};
	char text[128];

	k->userns_clone = knob("/proc/sys/kernel/unprivileged_userns_clone");
	k->apparmor_userns = knob("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	k->max_user_ns = knob("/proc/sys/user/max_user_namespaces");
	k->memfd_noexec = knob("/proc/sys/vm/memfd_noexec");
	k->selinux = knob("/sys/fs/selinux/enforce");
	k->maxkeys = knob("/proc/sys/kernel/keys/maxkeys");
	k->root_maxkeys = knob("/proc/sys/kernel/keys/root_maxkeys");
	for (size_t i = 0; i < PROBE_NS_COUNT; i++) {
		snprintf(text, sizeof(text), "/proc/sys/user/max_%s_namespaces", names[i]);
		k->max_ns[i] = knob(text);
	}
	k->ping_low = k->ping_high = -1;
	if (probe_read("/proc/sys/net/ipv4/ping_group_range", text, sizeof(text)) > 0)
		(void)sscanf(text, "%lld %lld", &k->ping_low, &k->ping_high);
	(void)probe_read("/proc/sys/kernel/core_pattern", k->core_pattern, sizeof(k->core_pattern));
	k->core_pattern[strcspn(k->core_pattern, "\n")] = '\0';
}

static void read_controllers(const char *dir, char *ret, size_t size)
{
	char path[1300];

	snprintf(path, sizeof(path), "%s/cgroup.controllers", dir);
	(void)probe_read(path, ret, size);
	ret[strcspn(ret, "\n")] = '\0';
}

/* The systemd that could give a cgroup: it listens on a private socket. */
static void find_manager(struct probe *p, const struct probe_ask *ask)
{
	struct probe_cgroup *c = &p->cgroup;
	unsigned int uid = (unsigned int)p->who.uid;
	char path[1200];

	if (uid == 0) {
		c->manager = access("/run/systemd/private", F_OK) == 0;
		read_controllers(c->mount, c->manager_controllers, sizeof(c->manager_controllers));
		return;
	}
	if (!ask->runtime_dir)
		return;
	snprintf(path, sizeof(path), "%s/systemd/private", ask->runtime_dir);
	c->manager = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), "%s/user.slice/user-%u.slice/user@%u.service", c->mount, uid,
		 uid);
	read_controllers(path, c->manager_controllers, sizeof(c->manager_controllers));
}

static void read_cgroup(struct probe *p, const struct probe_ask *ask)
{
	static const char *const needed[] = {"", "/cgroup.procs", "/cgroup.subtree_control"};
	struct probe_cgroup *c = &p->cgroup;
	auto_free char *mounts = malloc(TEXT_BYTES);
	char cgroup[4096], path[1200];

	if (!mounts || probe_read("/proc/self/mountinfo", mounts, TEXT_BYTES) < 0 ||
	    probe_read("/proc/self/cgroup", cgroup, sizeof(cgroup)) < 0)
		return;
	if (!probe_cgroup_find(mounts, cgroup, c))
		return;
	read_controllers(c->own, c->controllers, sizeof(c->controllers));
	c->writable = 0;
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed) && c->writable == 0; i++) {
		snprintf(path, sizeof(path), "%s%s", c->own, needed[i]);
		c->writable = (int)probe_call(faccessat(AT_FDCWD, path, W_OK, AT_EACCESS));
	}
	find_manager(p, ask);
}

static void name_fs(unsigned long magic, char *ret, size_t size)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = {
		{0xef53, "ext4"},	 {0x58465342, "xfs"},	  {0x9123683e, "btrfs"},
		{0x01021994, "tmpfs"},	 {0x794c7630, "overlay"}, {0x6969, "nfs"},
		{0x65735546, "fuse"},	 {0x2fc12fc1, "zfs"},	  {0xf2f52010, "f2fs"},
		{0xca451a4e, "bcachefs"}, {0x01021997, "9p"},	  {0xff534d42, "cifs"},
		{0xf15f, "ecryptfs"},	 {0x73717368, "squashfs"}, {0x4d44, "vfat"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (known[i].magic == magic) {
			snprintf(ret, size, "%s", known[i].name);
			return;
		}
	snprintf(ret, size, "0x%lx", magic);
}

static void ask_dir(struct probe_dir *d, const char *path)
{
	struct statvfs space;
	struct statfs kind;
	struct stat st;
	char *slash;

	if (!path || strlen(path) >= sizeof(d->path))
		return;
	snprintf(d->path, sizeof(d->path), "%s", path);
	snprintf(d->at, sizeof(d->at), "%s", path);
	d->there = (int)probe_call(lstat(path, &st));
	if (d->there == 0) {
		d->owner = st.st_uid;
		d->mode = st.st_mode & 07777;
		d->there = S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	}
	while (d->there == -ENOENT && stat(d->at, &st) < 0 && errno == ENOENT &&
	       (slash = strrchr(d->at, '/')))
		slash[slash == d->at && slash[1] ? 1 : 0] = '\0';
	d->writable = (int)probe_call(faccessat(AT_FDCWD, d->at, W_OK | X_OK, AT_EACCESS));
	if (statvfs(d->at, &space) == 0) {
		d->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
		d->free_inodes = space.f_files ? space.f_favail : UINT64_MAX;
	}
	if (statfs(d->at, &kind) == 0)
		name_fs((unsigned long)kind.f_type & 0xffffffff, d->fs, sizeof(d->fs));
}

static void read_subids(struct probe *p, const struct probe_ask *ask)
{
	struct probe_ids *ids = &p->ids;
	auto_free char *uids = calloc(1, TEXT_BYTES);
	auto_free char *gids = calloc(1, TEXT_BYTES);
	uint32_t before;

	ids->unused = FIRST_SUBID;
	snprintf(ids->user, sizeof(ids->user), "%s", ask->user ? ask->user : "");
	if (!uids || !gids)
		return;
	(void)probe_read("/etc/subuid", uids, TEXT_BYTES);
	(void)probe_read("/etc/subgid", gids, TEXT_BYTES);
	(void)probe_subid_find(uids, ask->user, p->who.uid, &ids->uid_start, &ids->uid_count);
	(void)probe_subid_find(gids, ask->user, p->who.uid, &ids->gid_start, &ids->gid_count);
	do {
		before = ids->unused;
		ids->unused = probe_subid_gap(uids, ids->unused, SUBIDS);
		ids->unused = probe_subid_gap(gids, ids->unused, SUBIDS);
	} while (ids->unused != before);
}

/* ---- programs -------------------------------------------------------------------------------- */

static bool find_in(const char *dirs, const char *name, char *ret, size_t size)
{
	while (*dirs) {
		int len = (int)strcspn(dirs, ":");
		int n = snprintf(ret, size, "%.*s/%s", len, dirs, name);

		/* a relative directory in PATH is nobody's installation */
		if (*dirs == '/' && n > 0 && (size_t)n < size && access(ret, X_OK) == 0)
			return true;
		dirs += len;
		dirs += *dirs == ':';
	}
	ret[0] = '\0';
	return false;
}

static bool raises_powers(const char *path)
{
	char caps[64];
	struct stat st;

	return (stat(path, &st) == 0 && (st.st_mode & S_ISUID) && st.st_uid == 0) ||
	       getxattr(path, "security.capability", caps, sizeof(caps)) > 0;
}

static void find_programs(struct probe *p, const struct probe_ask *ask)
{
	static const char *const names[PROBE_PROGRAM_COUNT] = {
		[PROBE_NEWUIDMAP] = "newuidmap", [PROBE_NEWGIDMAP] = "newgidmap",
		[PROBE_PASTA] = "pasta",	 [PROBE_CRIU] = "criu",
		[PROBE_APT] = "apt-get",	 [PROBE_DNF] = "dnf",
		[PROBE_PACMAN] = "pacman",	 [PROBE_ZYPPER] = "zypper",
		[PROBE_APK] = "apk",
	};
	static const char usual[] = "/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin:/bin:/sbin";

	for (size_t i = 0; i < PROBE_PROGRAM_COUNT; i++) {
		char *ret = p->program[i];

		if (ask->path && find_in(ask->path, names[i], ret, sizeof(p->program[i])))
			continue;
		(void)find_in(usual, names[i], ret, sizeof(p->program[i]));
	}
	p->id_helpers = raises_powers(p->program[PROBE_NEWUIDMAP]) &&
			raises_powers(p->program[PROBE_NEWGIDMAP]);
}

static void ask_criu(struct probe *p, const struct probe_stacks *s)
{
	char name[] = "criu", option[] = "--version", out[256];
	char *argv[] = {name, option, NULL};

	if (!p->program[PROBE_CRIU][0])
		return;
	if (probe_program_run(s, p->program[PROBE_CRIU], argv, out, sizeof(out)) >= 0)
		(void)sscanf(out, "Version: %u.%u", &p->criu_major, &p->criu_minor);
}

static int can_open(const char *path, int flags)
{
	char text[16];
	auto_fd int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if ((flags & O_ACCMODE) == O_RDONLY && read(fd, text, sizeof(text)) < 0)
		return -errno;
	return 0;
}

void probe_host(struct probe *p, const struct probe_ask *ask)
{
	struct probe_stacks stacks;
	struct rlimit files;

	read_knobs(&p->knobs);
	read_cgroup(p, ask);
	ask_dir(&p->data_dir, ask->data_dir);
	ask_dir(&p->state_dir, ask->state_dir);
	read_subids(p, ask);
	find_programs(p, ask);
	p->psi = can_open("/proc/pressure/memory", O_RDONLY);
	p->tun = can_open("/dev/net/tun", O_RDWR);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		p->nofile_soft = files.rlim_cur;
		p->nofile_hard = files.rlim_max;
	}
	if (probe_stacks_init(&stacks) < 0)
		return;
	probe_kernel_calls(p, &stacks);
	probe_namespaces(p, &stacks);
	probe_id_maps(p, &stacks);
	probe_data_files(p, &stacks);
	ask_criu(p, &stacks);
	probe_stacks_done(&stacks);
}
