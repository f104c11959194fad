/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.h - what this kernel lets this process do
 *
 * Facts only: nothing is judged here, box/doctor.c does that. Whatever could change the caller or
 * hang is asked in short-lived children (see probe_child.c), each with a deadline; nothing is left
 * behind. Every fact is really tried, not guessed from the version of the kernel.
 */
#ifndef HUTCH_SYS_PROBE_H
#define HUTCH_SYS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An `int` fact without other words is 0: works, -errno: refused so, or PROBE_UNASKED. */
#define PROBE_UNASKED 1

enum probe_ns {
	PROBE_NS_MNT,
	PROBE_NS_PID,
	PROBE_NS_NET,
	PROBE_NS_IPC,
	PROBE_NS_UTS,
	PROBE_NS_CGROUP,
	PROBE_NS_TIME,
	PROBE_NS_COUNT,
};

/* Programs that hutch starts when they are there; the packagers follow for the mending lines. */
enum probe_program {
	PROBE_NEWUIDMAP,
	PROBE_NEWGIDMAP,
	PROBE_PASTA,
	PROBE_CRIU,
	PROBE_APT,
	PROBE_DNF,
	PROBE_PACMAN,
	PROBE_ZYPPER,
	PROBE_APK,
	PROBE_PROGRAM_COUNT,
};

/* What to ask about; all borrowed. */
struct probe_ask {
	const char *user;      /* name of the caller, for /etc/subuid; NULL: only his number */
	const char *data_dir;  /* absolute; NULL: not asked */
	const char *state_dir; /* absolute; NULL: not asked */
	const char *runtime_dir; /* $XDG_RUNTIME_DIR; NULL: none */
	const char *path;      /* $PATH; NULL: the usual places */
};

struct probe_who {
	uid_t uid;
	gid_t gid;
	uint64_t caps;	      /* effective */
	bool initial;	      /* uid_map is "0 0 4294967295": the machine's own user namespace */
	uint64_t ids;	      /* how many uids the own map has */
	bool no_new_privs;
	int seccomp;	      /* 0 none, 1 strict, 2 filter */
	bool chrooted;	      /* "/" is no mount point: a user namespace is refused then */
	char apparmor[128];   /* own label; "" none or unconfined */
	char exe[1024];	      /* /proc/self/exe; "" unknown */
	char container[16];   /* "docker", "podman", "kubernetes", "lxc", "container", "" none */
};

struct probe_calls {
	int clone3, openat2, pidfd, close_range;
	int memfd;	     /* memfd_create + execveat of it is let through */
	int seccomp;	     /* a filter is taken */
	int seccomp_notify;
	int landlock;	     /* ABI (1 or more), or -errno */
};

struct probe_userns {
	int create, map;     /* clone(CLONE_NEWUSER); uid_map and gid_map with the own id */
	int ns[PROBE_NS_COUNT];
	int mount_api;	     /* fsopen, fsconfig, fsmount, move_mount, open_tree, with a tmpfs */
	int mount_setattr;
	int proc, sysfs;     /* mounted anew, with own pid or net namespace */
	int tmpfs_xattr;     /* user.* attributes on a tmpfs */
	int tmpfs_overlay;   /* overlay, userxattr and volatile, all layers on a tmpfs */
	int lowerdir_plus;   /* layers added one by one */
};

struct probe_ids {
	char user[128];		       /* as asked */
	uint32_t uid_start, uid_count; /* first range in /etc/subuid; count 0: none */
	uint32_t gid_start, gid_count;
	uint32_t unused;	       /* 65536 ids from here on belong to nobody yet */
	int map;		       /* a map of several ids was written */
};

struct probe_dir {
	char path[1024];     /* as asked */
	char at[1024];	     /* the nearest directory that exists: path itself or above it */
	int there;	     /* 0; -ENOENT; another -errno: cannot be seen; -ENOTDIR */
	uid_t owner;	     /* of path, when there */
	mode_t mode;
	int writable;	     /* at may be written to */
	uint64_t free_bytes, free_inodes; /* free_inodes 0 of 0: the file system does not count */
	char fs[24];	     /* "ext4", or "0x…" */
};

struct probe_data {
	int overlay;	     /* as tmpfs_overlay, on the data directory's file system */
	int idmap;	     /* mount_setattr(MOUNT_ATTR_IDMAP) there; asked for root only */
	int idmap_overlay;   /* an overlay of idmapped layers there; root only */
};

struct probe_cgroup {
	char mount[256];     /* of cgroup2; "" none */
	char own[1024];	     /* directory of the own cgroup below it */
	char controllers[256]; /* of the own cgroup */
	int writable;	     /* may make cgroups below the own one */
	bool v1;	     /* a v1 hierarchy is mounted too */
	bool manager;	     /* systemd of the user (of the system, for root) can be asked */
	char manager_controllers[256]; /* what it has to give */
};

struct probe_knobs { /* values in /proc/sys; -1: not there */
	long long userns_clone, apparmor_userns, max_user_ns, memfd_noexec, selinux;
	long long max_ns[PROBE_NS_COUNT];
	long long maxkeys, root_maxkeys;
	long long ping_low, ping_high;
	char core_pattern[128];
	char proc_masked[256]; /* a mount below /proc that hides part of it; "" none */
};

struct probe {
	char release[65];
	unsigned int major, minor;
	struct probe_who who;
	struct probe_calls calls;
	struct probe_userns userns;
	struct probe_ids ids;
	struct probe_dir data_dir, state_dir;
	struct probe_data data;
	struct probe_cgroup cgroup;
	struct probe_knobs knobs;
	int psi;	     /* /proc/pressure/memory can be read */
	int tun;	     /* /dev/net/tun can be opened */
	uint64_t nofile_soft, nofile_hard;
	char program[PROBE_PROGRAM_COUNT][256]; /* path; "" not found */
	bool id_helpers;     /* newuidmap and newgidmap are set-id, or have file capabilities */
	unsigned int criu_major, criu_minor; /* 0.0: unknown */
};

/* The first question alone: release and who; the rest of @p is set to "not asked". */
void probe_who(struct probe *p);

/* Everything else, after probe_who(). Takes some ten milliseconds. */
void probe_host(struct probe *p, const struct probe_ask *ask);

/* The first range of @user or @uid in the text of /etc/subuid. Return: whether there is one. */
bool probe_subid_find(const char *text, const char *user, uid_t uid, uint32_t *ret_start,
		      uint32_t *ret_count);

/* The first of @count ids, not below @from, that no range in such a text has. */
uint32_t probe_subid_gap(const char *text, uint32_t from, uint32_t count);

/* The mount point of the first cgroup2 in a text of /proc/self/mountinfo and the directory in it
 * of the cgroup "0::…" in a text of /proc/self/cgroup. Return: whether there is one. */
bool probe_cgroup_find(const char *mountinfo, const char *cgroup, struct probe_cgroup *ret);

/* The first mount that hides part of /proc, in a text of /proc/self/mountinfo; "" when none. */
void probe_masked_find(const char *mountinfo, char *ret, size_t size);

/* Whether "/" is a mount point in a text of /proc/self/mountinfo. */
bool probe_root_is_mount(const char *mountinfo);

#endif
