/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h - what the caller decided about a sandbox, for the nursery and the keeper
 *
 * How it works: everything that can be decided outside is decided there and written into one blob
 * (pack.h) which begins with struct plan. The keeper carries it out, in order and without choices
 * of its own. Descriptors that come along are named by their index in the message. What a keeper
 * can do before there is a plan (its namespaces, its ids, /dev, proc) is in struct prepare, so that
 * one can stand ready.
 */
#ifndef HUTCH_WIRE_PLAN_H
#define HUTCH_WIRE_PLAN_H

#include <linux/filter.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/pack.h"
#include "wire/stack.h"

#define PLAN_MAGIC 0x68757463u

enum plan_ids {
	PLAN_IDS_SELF,	/* one id, written by the keeper itself */
	PLAN_IDS_MAP,	/* several ids; whoever made the keeper writes the extents */
	PLAN_IDS_SUB,	/* as MAP, below the user namespace that newuidmap mapped */
};

struct plan_extent {
	uint32_t inside, outside, count;
};

enum { PLAN_EXTENTS_MAX = 16 };

/* Whether somebody waits for what is made. What is made a moment later is not in the way of what its caller does now; that is a few
 * milliseconds, or until he needs it after all: a nursery is told so by OP_HURRY (or whatever else comes), a keeper by SIGCONT. */
enum ahead_of { AHEAD_NOT, AHEAD_NOW, AHEAD_LATER };
enum { LATER_MS = 3 };

/* A keeper before there is a plan. */
struct prepare {
	uint32_t ids;	       /* enum plan_ids */
	uint32_t net, timens;  /* namespaces of its own */
	uint32_t ahead;	       /* enum ahead_of */
	int32_t oom_score_adj; /* less than 0: to be born with, as the keeper itself has not the power */
	uint32_t nuid, ngid;
	struct plan_extent uid[PLAN_EXTENTS_MAX], gid[PLAN_EXTENTS_MAX];
};

/* What a keeper that was started by its caller, without a nursery, needs first. */
struct alone {
	struct prepare prep;
	uint64_t asked_ns;	/* CLOCK_MONOTONIC, for the trace */
	uint64_t limits[16][2]; /* the caller's resource limits, soft and hard, by RLIMIT_ number */
};

/* What the nursery needs before the first keeper. */
struct hello {
	uint32_t ids; /* enum plan_ids */
	uint32_t uids, gids; /* extents for newuidmap and newgidmap (SUB) */
	struct plan_extent uid[PLAN_EXTENTS_MAX], gid[PLAN_EXTENTS_MAX];
};

/* Where a tree of the host comes from. */
struct plan_tree {
	pack_ref path; /* absolute, opened by the keeper; 0: by descriptor */
	int32_t fd;    /* index in the message: a mount that is attached nowhere; -1: by path */
	uint32_t recursive;
};

enum plan_mount_kind {
	PLAN_BIND,	/* a tree or a file of the host */
	PLAN_COW,	/* an overlay over a directory, or a private copy of a file */
	PLAN_TMPFS,
	PLAN_HOST_TREE, /* /usr and the like under --host: read-only, target made as needed */
};

struct plan_mount {
	uint32_t kind;
	uint32_t readonly;
	uint32_t is_dir;
	uint32_t mode;	    /* tmpfs */
	uint64_t size;	    /* tmpfs, bytes */
	uint32_t exec, pad; /* tmpfs */
	struct plan_tree tree;
	pack_ref target;  /* absolute */
	pack_ref hide[2]; /* directories below it, relative, that nobody inside shall see; 0: none */
	uint32_t pad2;
};

struct plan_device {
	pack_ref source, target; /* target below /dev */
};

struct plan_pair {
	pack_ref key, value;
};

struct plan_rlimit {
	uint32_t which;
	pack_ref name;
	uint64_t soft, hard;
};

struct plan_array {
	pack_ref at;
	uint32_t count;
};

enum plan_flags {
	PLAN_NET = 1 << 0,	       /* a network namespace of its own */
	PLAN_READONLY_ROOT = 1 << 1,
	PLAN_UPPER_TMPFS = 1 << 2,
	PLAN_NESTED = 1 << 3,	       /* commands live in a user namespace below the keeper's */
	PLAN_NEW_PRIVS = 1 << 4,       /* no-new-privileges=false */
	PLAN_SCOPE_ABSTRACT = 1 << 5,  /* Landlock: abstract sockets of the host out of reach */
	PLAN_UNMASKED = 1 << 6,	       /* privileged: nothing in /proc and /sys is masked */
	PLAN_SPARE = 1 << 7,	       /* the next generation is made ready from the start */
	PLAN_FOR_JOB = 1 << 8,	       /* others attach, but until a job has begun it ends with its maker */
	PLAN_ONCE = 1 << 9,	       /* for one main command: there will be no other generation, no shells */
	PLAN_TWIN = 1 << 10,	       /* nobody has asked for it yet: what it is called comes later (OP_NAME) */
	PLAN_LATER = 1 << 12,	       /* likewise, and it is built a moment later */
	PLAN_NEW_BOX = 1 << 11,	       /* the directory for changes is still to be made */
};

struct plan {
	uint32_t magic, flags;
	uint32_t nested_uid, nested_gid; /* NESTED with one id: who uid 0 of the keeper is inside */
	int32_t nodes;			 /* fd: a mount with a node 0, 1, … for each device; -1: the
					  * host's own are bound */
	int32_t lock;			 /* fd that the keeper just holds; -1: none */
	int32_t listen;			 /* fd: a socket on which others attach, and the sandbox
					  * lives on without its maker; -1: it ends with him */
	uint64_t caps;			 /* of commands */
	uint64_t shm_size, upper_size;	 /* bytes */
	int32_t oom_score_adj, oom_score_adj_set;
	uint64_t nofile_soft; /* soft limit of open files of the caller */
	pack_ref name, hostname, working_dir;
	pack_ref hosts, resolv_conf; /* content; 0: left as the image has it */
	struct plan_array lowers;    /* struct plan_tree, topmost first */
	struct plan_tree store;	     /* the data directory: boxes/ layers/ trash/; none: no snapshots */
	pack_ref box;		     /* directory below boxes/ for changes (on disk); 0: none */
	pack_ref stack;		     /* text of stack.h: layers above the lowers; 0: none */
	struct plan_array mounts;    /* struct plan_mount */
	struct plan_array devices;   /* struct plan_device */
	struct plan_array sysctls;   /* struct plan_pair: "net/ipv4/x" */
	struct plan_array rlimits;   /* struct plan_rlimit */
	struct plan_array filter;    /* struct sock_filter */
	uint32_t generation;	     /* number of the first one; 0: 1 */
	uint32_t continued;	     /* it goes on with the changes that an earlier keeper left in up/gN */
	pack_ref base;		     /* as stack: what a reset goes back to; 0: stack */
};

/* The plan at the begin of a blob, with every reference that is followed later checked.
 * Return: the plan, or NULL with @e filled (INTERNAL). */
const struct plan *plan_open(const struct pack *p, struct err *e);

/* The filter of a plan refuses CLONE_PARENT to all but the starter (inside/starter.c), which has a key in this argument of clone().
 * The keeper makes one, and puts it into the filter in the place of these two. */
enum { FILTER_KEY_ARGUMENT = 4 };
#define FILTER_KEY_LOW	0x6b657931u
#define FILTER_KEY_HIGH 0x6b657932u

/* ---- what it is called, where that was not known -------------------------------------------------- */

/* Of a name until then: one that nobody can ask for. */
#define TWIN_PREFIX ".next."

struct naming {
	pack_ref hostname, hosts; /* as in the plan */
	pack_ref box;		  /* likewise */
};

const struct naming *naming_open(const struct pack *p, struct err *e);

/* ---- one command ------------------------------------------------------------------------------ */

enum call_flags {
	CALL_TTY = 1 << 0,
	CALL_MAIN = 1 << 1,	 /* its end, and its timeout, is that of the whole generation */
	CALL_HOME = 1 << 2,	 /* HOME was not asked: from the image's passwd */
	CALL_OR_SH = 1 << 3,	 /* where argv[0] is not there: sh in its place */
	CALL_APART = 1 << 4,	 /* a session: standard error is a pipe of its own */
	CALL_RUNNER = 1 << 6,	 /* a shell that is none: hutch-init in its place, which starts programs (inside/runner.c) */
};

struct call {
	uint32_t flags, umask;
	uint64_t timeout_ms; /* 0: none */
	struct pack_list argv, env;
	pack_ref cwd;
	pack_ref cwd_last; /* where the shell before stood: stands in for cwd if it is there still; 0: none */
	pack_ref user; /* "name|uid[:group|gid]"; 0: 0:0 */
	struct pack_list groups; /* names or ids, supplementary */
	uint32_t nulls;		 /* standard descriptors that do not go along, a bit for each: /dev/null */
	uint32_t nnumbers;
	pack_ref numbers;	 /* uint32_t: what the descriptors behind the first three are called */
	uint16_t rows, cols; /* of the terminal */
	pack_ref session;    /* OP_SHELL: its name; 0: a shell of this client's own */
	pack_ref job;	     /* OP_JOB_START: what it is called; 0: the keeper chooses */
	uint64_t keep;	     /* bytes of its output that are kept */
};

const struct call *call_open(const struct pack *p, struct err *e);

enum { CALL_FDS_MAX = 64 };

/* A shell reads what to run on descriptor 7, tells on 8 how that ended, and finds under 9 the directory
 * in which the caller makes fifos for output (box/shell_begin.c has the program that it runs). Under 6 is what
 * bash may load (src/bash/); a runner has none. These ends the caller gets; the last two are those of a session, whose output is a pipe. */
enum { SHELL_SIGNAL = 64 }; /* SIGRTMAX of the kernel, and of bash */
enum shell_fd { SHELL_MODULE = 6, SHELL_COMMANDS = 7, SHELL_RESULTS = 8, SHELL_DIR = 9 };
enum shell_end { SHELL_END_COMMANDS, SHELL_END_RESULTS, SHELL_END_DIR, SHELL_END_OUT, SHELL_END_ERR, SHELL_ENDS };

enum shell_fate {
	SHELL_SPARED,
	SHELL_TOLD,   /* it gets SHELL_SIGNAL: it shall run no more of its text */
	SHELL_KILLED, /* it too */
	SHELL_CONTINUED, /* nothing is killed: somebody inside may have stopped it */
	SHELL_LEFT, /* it was killed: what it has left behind, which only what has lost its parents since then can be */
};

struct shell_kill {
	int32_t inside;	  /* a child of the shell, by its pid as the inside sees it; 0: none */
	int32_t after;	  /* likewise: who came in its place, where it left without a text; 0: nobody that is known */
	uint32_t shell;	  /* enum shell_fate */
	uint32_t unused;
	uint64_t age_ns;  /* and its children that are younger */
	uint64_t sent_ns; /* when that was said, by the caller's CLOCK_MONOTONIC: it may have waited */
};

enum { SHELL_NAME_MAX = 64, SHELL_CWD_MAX = 4096, RUNNER_REQUEST_MAX = 4096 };

/* So the commands begin that bash runs behind a text, and names when that was ended by a signal. */
#define SHELL_OWN_TEXT "( eval :; _hp"

enum exited_how {
	EXITED_STATUS = 0,  /* status is that of wait() */
	EXITED_TIMEOUT = 1, /* ended because its time was over; status as above */
	EXITED_FAULT = 2,   /* did not start: e says why */
};

struct exited {
	uint32_t how;
	int32_t status;
	uint64_t user_us, system_us, maxrss_kb;
	uint64_t wall_us; /* from its start to its end */
	struct err e; /* FAULT: codes NO_COMMAND and CANNOT_EXEC are the command's */
};

/* ---- files ------------------------------------------------------------------------------------ */

enum file_op {
	FILE_OPEN = 1, /* a regular file, or (FILE_DIR) a directory to be listed; gives a descriptor */
	FILE_STAT,
	FILE_READLINK,
	FILE_MKDIR,
	FILE_REMOVE,
	FILE_RENAME,  /* other: the new name */
	FILE_SYMLINK, /* other: what it says */
	FILE_FIFO,
	FILE_META, /* owner, mode, times */
};

enum file_flags {
	FILE_READ = 1 << 0,
	FILE_WRITE = 1 << 1,
	FILE_CREATE = 1 << 2,
	FILE_EXCL = 1 << 3,
	FILE_TRUNC = 1 << 4,
	FILE_APPEND = 1 << 5,
	FILE_DIR = 1 << 6,
	FILE_NOFOLLOW = 1 << 7,
	FILE_PARENTS = 1 << 8,	 /* MKDIR: like mkdir -p */
	FILE_RECURSIVE = 1 << 9, /* REMOVE */
	FILE_SET_OWNER = 1 << 10, /* META: which of them */
	FILE_SET_MODE = 1 << 11,
	FILE_SET_TIMES = 1 << 12,
};

struct file_time {
	int64_t s;
	uint32_t ns, unused;
};

/* Followed by two strings with their NUL: the path, taken from the root of the inside, and another one. */
struct file_ask {
	uint32_t op, flags, mode, uid, gid, unused;
	struct file_time atime, mtime;
};

/* Owners as the inside sees them. */
struct file_facts {
	uint32_t mode, uid, gid, nlink;
	uint64_t size, ino;
	struct file_time atime, mtime, ctime;
};

/* Followed by the text of a symbolic link, with its NUL. */
struct file_said {
	struct err e; /* code != 0: it was not done */
	struct file_facts facts;
};

/* ---- snapshots -------------------------------------------------------------------------------- */

/* Names that were never used before. */
struct snapshot_ask {
	char layer[LAYER_NAME];	 /* for what was written */
	char merged[LAYER_NAME]; /* should many layers be worth to be made one; "": they stay */
	uint32_t early;		 /* 1: the layers are told as soon as they are there, if it does not stand on them yet */
	uint32_t unused;
};

/* Followed by the text of both stacks. @present: the second is how it is now, whatever its text. */
struct diff_ask {
	uint32_t present, first, second; /* lengths */
};

enum { READY_MARKS = 18 };

struct ready {
	uint64_t marks[READY_MARKS]; /* CLOCK_MONOTONIC ns when each step of the keeper was done */
};

/* Names of the marks, in order. */
extern const char *const ready_names[READY_MARKS];

#endif
