/* SPDX-License-Identifier: Apache-2.0
 *
 * spec.h - what a user may ask for
 *
 * One struct spec is everything that was asked of one sandbox, as plain data: no descriptors, no
 * kernel, nothing resolved. fields.def says each field once (name, type, flag, help); set.c sets
 * one from text, check.c checks the whole and fills defaults, json.c reads and writes it.
 *
 * "Not set" is 0 or NULL unless a field says otherwise. Strings and arrays are owned by the spec.
 */
#ifndef HUTCH_SPEC_SPEC_H
#define HUTCH_SPEC_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct spec_list {
	char **v; /* n strings; v itself may be NULL when n is 0. list.c ends them with a NULL */
	size_t n;
	size_t room; /* how many fit; 0: not known. Of list.c only */
};

enum spec_mount_kind { SPEC_BIND_RW, SPEC_BIND_RO, SPEC_BIND_COW, SPEC_TMPFS };

struct spec_mount {
	enum spec_mount_kind kind;
	char *source;	     /* absolute host path; NULL for tmpfs */
	char *target;	     /* absolute, normalised, not "/", not in /proc /sys /dev */
	uint64_t size_bytes; /* tmpfs: limit; 0: a default */
	uint32_t mode;	     /* tmpfs: mode of its root; default 01777 */
	bool exec;	     /* tmpfs: without noexec. As in Docker: noexec,nosuid,nodev unless asked */
	bool nonrecursive;   /* bind: without the mounts below the source */
	bool preset;	     /* of a preset: one asked for afterwards at its target takes its place */
};

struct spec_device {
	char *source;  /* host path of a character or block device */
	char *target;  /* path inside, below /dev */
	bool read, write; /* "rwm"; both unless said */
};

struct spec_rlimit {
	int which; /* RLIMIT_* */
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

struct spec_pair {
	char *key, *value;
};

enum spec_net { SPEC_NET_NONE, SPEC_NET_HOST };
enum spec_root { SPEC_ROOT_UNSET, SPEC_ROOT_HOST, SPEC_ROOT_DIR, SPEC_ROOT_IMAGE };
enum spec_upper { SPEC_UPPER_DISK, SPEC_UPPER_TMPFS };
enum spec_ids { SPEC_IDS_AUTO, SPEC_IDS_HOST };

struct spec {
	/* what */
	enum spec_root root;
	char *rootfs; /* directory (ROOT_DIR) */
	char *image;  /* reference (ROOT_IMAGE) */
	struct spec_list command;    /* argv */
	struct spec_list entrypoint; /* put before command */
	bool entrypoint_set;	     /* asked for, also when it is empty: none, not the image's */
	bool shell_entrypoint;	     /* shells that wait for text are started behind it */
	char *shell;	 /* of texts: a name or a path; NULL: bash, or sh where there is none */
	char *name;	 /* [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most 200 bytes; NULL: one is made */
	char *hostname;	 /* NULL: the name, cut to 63 bytes */
	char *working_dir; /* NULL: "/" */
	char *user;	 /* "name|uid[:group|gid]"; NULL: "0" */
	struct spec_list group_add; /* names or gids */
	struct spec_list env;	    /* "KEY=VALUE", later ones win, no duplicates */
	size_t nenv_from_file;	    /* so many at its head came from env files: others win over them */
	bool tty, interactive, init;
	char *stop_signal; /* as asked: "TERM", "SIGTERM", "15" */
	int stop_signal_number; /* 0: not set (SIGTERM) */
	uint64_t timeout_ms; /* 0: none */

	/* files */
	bool read_only;
	struct spec_mount *mounts; /* in the order asked; of two with one target the later wins */
	size_t nmounts;
	struct spec_device *devices;
	size_t ndevices;
	uint64_t shm_size_bytes; /* 0: 64 MiB, as Docker */
	enum spec_upper upper;
	uint64_t upper_size_bytes; /* tmpfs upper: limit; 0: 1 GiB */

	/* network */
	enum spec_net network;
	struct spec_list add_host; /* "name:ip"; the first ":" parts them (IPv6 without brackets) */
	struct spec_list dns;	   /* addresses */
	bool allow_abstract_sockets; /* with the host's network on kernels without Landlock scopes */

	/* security */
	uint64_t cap_add, cap_drop; /* bit sets of CAP_*; ALL is every bit */
	bool privileged;
	bool seccomp_unconfined, allow_ptrace, allow_userns, allow_i386;
	bool allow_new_privileges; /* no-new-privileges=false */
	struct spec_pair *sysctls; /* keys with dots */
	size_t nsysctls;
	enum spec_ids ids;

	/* limits of processes */
	struct spec_rlimit *ulimits;
	size_t nulimits;
	bool spare; /* the next generation stands ready from the start */
	int oom_score_adj;
	bool oom_score_adj_set;
};

/* A spec with nothing asked; NULL: no memory. spec_free(NULL) is fine. */
struct spec *spec_new(void);
void spec_free(struct spec *s);
struct spec *spec_copy(const struct spec *s);

/* Whether both ask for the same, name and host name aside. (In doubt: no.) */
bool spec_alike(const struct spec *a, const struct spec *b);

/* Sets the field @name from @text as JSON, C and flags spell it ("hostname", "env", "limits.memory").
 * A list field gets one element more; other fields are replaced. What @text means is that of the
 * flag of `hutch run`. An unknown name is ERR_INVALID and names the nearest one; a field of a later
 * version is ERR_UNSUPPORTED "not yet". On failure the spec is as before. */
int spec_set(struct spec *s, const char *name, const char *text, struct err *e);

/* Empties a field (a list, or back to not set). */
int spec_clear(struct spec *s, const char *name, struct err *e);

/* The field as text: a list as a JSON array, other fields as spec_set() takes them. *ret is the
 * caller's to free. */
int spec_get(const struct spec *s, const char *name, char **ret, struct err *e);

/* The whole as JSON (only what is set), and from JSON (an object; unknown keys are errors). */
int spec_to_json(const struct spec *s, char **ret, struct err *e);
int spec_from_json(struct spec *s, const char *json, size_t len, struct err *e);

/* What can only be said about the whole: contradictions, a root file system asked for. No look at
 * the host. Fills the defaults that do not depend on it. */
int spec_check(struct spec *s, struct err *e);

/* The set of capabilities that commands get: Docker's default ones, plus and less what was asked. */
uint64_t spec_caps(const struct spec *s);

/* More than Docker's default set plus NET_ADMIN was asked for: a nested user namespace is needed. */
bool spec_wants_nested(const struct spec *s);

#endif
