/* SPDX-License-Identifier: Apache-2.0
 *
 * hutch.h - sandboxes for programs nobody trusts, without root, without a daemon
 *
 * A program opens hutch once (hutch_open), says what a sandbox shall be (hutch_spec_set), starts
 * it (hutch_box_start) and starts commands in it (hutch_box_exec). Everything a handle owns ends
 * with it, and everything a process owns ends with the process, also when it is killed.
 *
 * The library starts no thread, installs no signal handler, and leaves working directory, umask,
 * environment, signal mask and dumpability of its caller alone. Its helpers are no children of the
 * caller that wait() could see (unless HUTCH_OPEN_CHILDREN asks for that).
 *
 * Conventions: a function returns 0 or more, or a negative HUTCH_E_* code and fills @err (which may
 * be NULL). Results (ret_…) are written on success only. Strings are NUL-terminated bytes of any
 * encoding. Sizes are in bytes, times in the unit their name ends with. Options structs begin with
 * `size`: set it to sizeof; members not set must be 0. Flags that a function does not have are INVALID.
 *
 * Threads: different boxes may be used from different threads at the same time; one box by one
 * thread at a time. Handles remember the process that made them: in a forked child they return
 * HUTCH_E_STATE, and closing them there only frees memory.
 */
#ifndef HUTCH_H
#define HUTCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HUTCH_PUBLIC __attribute__((visibility("default")))
#else
#define HUTCH_PUBLIC
#endif

#define HUTCH_VERSION "0.1.0"

/* Codes of failures. Numbers are never changed, new ones are appended. Since: 0.1 */
enum hutch_code {
	HUTCH_E_SYSTEM = -1,	   /* a system call failed, see sys_errno */
	HUTCH_E_NOMEM = -2,	   /* out of memory */
	HUTCH_E_INVALID = -3,	   /* bad argument or field */
	HUTCH_E_NOT_FOUND = -4,	   /* a file, image, command or sandbox that is not there */
	HUTCH_E_EXISTS = -5,	   /* a name that is taken */
	HUTCH_E_PERMISSION = -6,   /* the caller may not */
	HUTCH_E_UNSUPPORTED = -7,  /* this host or this version cannot give what was asked */
	HUTCH_E_BUSY = -8,	   /* in use by somebody else */
	HUTCH_E_TIMEOUT = -9,	   /* a deadline passed */
	HUTCH_E_DIED = -10,	   /* the sandbox is gone */
	HUTCH_E_LIMIT = -11,	   /* too many, too long, disk full */
	HUTCH_E_CANNOT_EXEC = -12, /* the command is there and cannot be executed */
	HUTCH_E_STATE = -13,	   /* not in a state in which this can be done */
	HUTCH_E_INTERNAL = -14,	   /* a mistake of hutch itself */
	HUTCH_E_NO_COMMAND = -15,  /* the command is not in the sandbox */
};

/* What went wrong. Since: 0.1 */
struct hutch_error {
	int code;	   /* enum hutch_code */
	int sys_errno;	   /* errno of the call that failed; 0: no call was involved */
	char message[480]; /* one line, outermost step first: "start 'ab': open '/x': No such file" */
};

struct hutch;	   /* what one process holds of hutch */
struct hutch_spec; /* what a sandbox shall be */
struct hutch_box;  /* a sandbox */
struct hutch_proc; /* a command in a sandbox */

/* ---- one field of a spec, as the manual and `hutch run --help` have it ------------------------ */

enum hutch_field_type {
	HUTCH_FIELD_STRING = 0,
	HUTCH_FIELD_BOOL = 1,
	HUTCH_FIELD_INT = 2,
	HUTCH_FIELD_SIZE = 3,	  /* bytes: "64", "512k", "1.5g" */
	HUTCH_FIELD_DURATION = 4, /* seconds: "10", "1.5", "200ms", "2m" */
	HUTCH_FIELD_LIST = 5,	  /* may be given several times */
};

struct hutch_field {
	const char *name;      /* "hostname", "limits.memory" */
	const char *flag;      /* long flag of `hutch run` without dashes; NULL: none */
	char short_flag;       /* 0: none */
	enum hutch_field_type type;
	const char *unit;      /* "bytes", "seconds", or "" */
	const char *value;     /* what the value looks like: "KEY=VALUE"; "" for switches */
	const char *since;     /* "0.1"; "later": known by name, not yet honoured */
	const char *help;      /* one line */
};

/**
 * hutch_fields() - All fields of a spec
 * @ret_fields: The table; belongs to the library
 *
 * Return: how many there are. Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC size_t hutch_fields(const struct hutch_field **ret_fields);

/**
 * hutch_spec_new() - A spec with nothing asked
 * @ret_spec: The caller's, to be freed with hutch_spec_free()
 *
 * Return: 0, or NOMEM. Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_new(struct hutch_spec **ret_spec, struct hutch_error *err);

/* Frees a spec. NULL is fine. Threads: one spec by one thread at a time. Since: 0.1 */
HUTCH_PUBLIC void hutch_spec_free(struct hutch_spec *spec);

/**
 * hutch_spec_set() - Ask for one thing
 * @field: Name of the field (hutch_fields(), hutch-spec(5))
 * @text:  Its value, written as for the flag of `hutch run`
 *
 * A list gets one element more; any other field is replaced.
 *
 * Return: 0, or a negative HUTCH_E_*; @spec is then as before:
 *	   INVALID	no such field (the nearest one is named), or not such a value
 *	   UNSUPPORTED	a field of a later version
 *	   NOT_FOUND	a file the value names (env-file, the source of a volume)
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_set(struct hutch_spec *spec, const char *field, const char *text,
				struct hutch_error *err);

/**
 * hutch_spec_get() - A field as text
 * @ret_text: The caller's, to be freed with free(). Lists are JSON arrays; "" is not set
 *
 * Return: 0, INVALID (no such field) or NOMEM.
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_get(const struct hutch_spec *spec, const char *field, char **ret_text,
				struct hutch_error *err);

/**
 * hutch_spec_list() - A list field as an array
 * @ret_items: Belongs to @spec and lives until the field is changed
 *
 * Return: 0, or INVALID (no such field, or none that is a list of words).
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_list(const struct hutch_spec *spec, const char *field,
				 const char *const **ret_items, size_t *ret_n,
				 struct hutch_error *err);

/**
 * hutch_spec_number() - A field that is a size (bytes) or a duration (milliseconds), as a number
 *
 * Return: 0, or INVALID (no such field, or none that is a number).
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_number(const struct hutch_spec *spec, const char *field,
				   uint64_t *ret_number, struct hutch_error *err);

/**
 * hutch_spec_clear() - Empty a field
 * @field: Its name
 *
 * Return: 0, or INVALID (no such field).
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_clear(struct hutch_spec *spec, const char *field,
				  struct hutch_error *err);

/**
 * hutch_spec_to_json() - What is set of a spec, as a JSON object
 * @ret_json: The caller's, to be freed with free()
 *
 * Return: 0, INVALID (a value that is not UTF-8; the field is named) or NOMEM.
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_to_json(const struct hutch_spec *spec, char **ret_json,
				    struct hutch_error *err);

/**
 * hutch_spec_from_json() - Ask for what a JSON object says
 * @json: UTF-8, need not end with NUL
 * @len:  In bytes
 *
 * A list takes the place of the one that was set, null empties a field.
 *
 * Return: 0, or as hutch_spec_set(); @spec is then as before.
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_from_json(struct hutch_spec *spec, const char *json, size_t len,
				      struct hutch_error *err);

/* A set of fields by one name; see PRESETS in hutch-spec(5). Since: 0.1 */
struct hutch_preset {
	const char *name;  /* "agent_executor" */
	const char *paths; /* what it takes: "DIR", "INPUT:OUTPUT" */
	unsigned npaths;   /* how many that are */
	const char *help;  /* one line */
};

/**
 * hutch_presets() - All presets
 * @ret_presets: The table; belongs to the library
 *
 * Return: how many there are. Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC size_t hutch_presets(const struct hutch_preset **ret_presets);

/**
 * hutch_preset_find() - A preset by its name
 * @name:	"agent_executor", "agent-executor" or "AgentExecutor"
 * @ret_preset: Belongs to the library
 *
 * Return: 0, or INVALID (no such preset; the nearest one is named). Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC int hutch_preset_find(const char *name, const struct hutch_preset **ret_preset,
				   struct hutch_error *err);

/* hutch_spec_preset() */
enum {
	/* Do without those limits of the preset that this version cannot enforce. */
	HUTCH_PRESET_WITHOUT_LIMITS = 1,
};

/**
 * hutch_spec_preset() - Ask for all that a preset says
 * @name:	  As for hutch_preset_find()
 * @paths:	  Of the host, as many as the preset takes, in its order; borrowed
 * @npaths:	  How many they are
 * @flags:	  0 or HUTCH_PRESET_WITHOUT_LIMITS
 * @ret_left_out: What was left out, in words for people: "limits.memory=4g, limits.cpus=4"; "" for
 *		  nothing. The caller's, to be freed with free(); may be NULL
 *
 * agent_executor(workspace), code_judge(submission), data_analysis(input, output) and
 * interactive(workspace) set mounts, a /tmp in memory, working directory, timeout, variables, host
 * name and limits; no network, and no root file system. What @spec says already stays, and what is
 * set afterwards takes the place of the preset's, so the order does not matter; but at the targets
 * of @paths nothing else can be mounted.
 *
 * Limits of a preset whose fields come later (limits.memory, limits.cpus and limits.pids in 0.1)
 * would not be enforced: that is UNSUPPORTED and names them, unless the flag says to go on without.
 * A version that can enforce them does, with the flag and without it.
 *
 * Return: 0, or a negative HUTCH_E_*; @spec is then as before:
 *	   INVALID	no such preset (the nearest one is named), not as many paths as it takes, a
 *			path that is no directory, or an unknown flag
 *	   NOT_FOUND	a path that is not there
 *	   UNSUPPORTED	limits that this version cannot enforce
 *	   PERMISSION	a path that the caller may not look at
 * Threads: one spec by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_spec_preset(struct hutch_spec *spec, const char *name, const char *const *paths,
				   size_t npaths, unsigned flags, char **ret_left_out,
				   struct hutch_error *err);

/* ---- open ------------------------------------------------------------------------------------- */

/* hutch_open_options.flags */
enum {
	/* Helper processes are children of the caller, whom it does not mind in its wait(-1). For
	 * programs that wait for nobody else, and where pid 1 does not reap orphans. With
	 * HUTCH_OPEN_NO_SPARE, too, it has the fewest of them: right for one sandbox only. */
	HUTCH_OPEN_CHILDREN = 1,
	/* Nothing stands ready for the next sandbox: neither a process without a plan (some 300 KiB),
	 * which makes a start about a millisecond shorter, nor, from the second of two sandboxes alike
	 * in a row on, the next one itself (another 500 KiB, 1,200 with a shell). */
	HUTCH_OPEN_NO_SPARE = 2,
};

struct hutch_open_options {
	size_t size;
	unsigned flags;
	const struct hutch_spec *like; /* what the first sandbox will be like: its process is made at
					* once. NULL: with the first start. Borrowed for the call */
	const char *directory; /* absolute: state and data are in its run/ and data/, whatever HUTCH_HOME says. NULL: see
				* hutch_open() */
};

/**
 * hutch_open() - What a process needs before anything else
 * @opts:  NULL for defaults
 * @ret:   To be closed with hutch_close()
 *
 * Opens (and makes, 0700) the state and data directories: HUTCH_HOME/run and HUTCH_HOME/data, or
 * /run/hutch and /var/lib/hutch for root, $XDG_RUNTIME_DIR/hutch (or /tmp/hutch-UID) and
 * $XDG_DATA_HOME/hutch (or ~/.local/share/hutch) for others. Starts one small helper process, from
 * which sandboxes are born; it ends with the handle, and with the process.
 *
 * Return: 0, or a negative HUTCH_E_*:
 *	   PERMISSION	a directory is another user's, or open to others
 *	   SYSTEM	a call failed, see @err->sys_errno
 * Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC int hutch_open(const struct hutch_open_options *opts, struct hutch **ret,
			    struct hutch_error *err);

/* Closes the handle. Its boxes must have been deleted before. NULL is fine. Threads: no other may
 * use the handle any more. Since: 0.1 */
HUTCH_PUBLIC void hutch_close(struct hutch *hutch);

/**
 * hutch_cleanup() - Remove what dead sandboxes left
 * @timeout_ms: How long to wait for the end of it; -1 for ever. That is what it takes where a snapshot, a restore, a comparison
 *		or a fork was begun (hutch_snapshot_start()) by this thread and is not over
 *
 * Sandboxes whose process was killed leave a name and a directory, which a later one's end removes
 * in the background; this does it at once. Deleted sandboxes leave empty directories (at most 1,024 of a kind), which
 * the next ones use, as making a directory is dear; this removes them, too.
 *
 * Return: 0, TIMEOUT (it goes on in the background), or SYSTEM.
 * Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC int hutch_cleanup(struct hutch *hutch, int timeout_ms, struct hutch_error *err);

/* ---- a sandbox -------------------------------------------------------------------------------- */

/* hutch_start_options.flags */
enum {
	/* Return before commands can run; what goes wrong is told by the first call on the box. Saves
	 * a round trip when a command is started right away. */
	HUTCH_START_NOWAIT = 1,
	/* The sandbox lives until it is deleted, also without its maker, and every process of the same
	 * user can attach to it by its name. */
	HUTCH_START_DETACHED = 2,
	/* With DETACHED: when it has ended, however, it cannot be started again, is not listed any more, and what it left
	 * is removed by the next operation of anybody. */
	HUTCH_START_REMOVE = 4,
	/* With DETACHED: it is there for a job. When its maker ends, or closes it, before hutch_job_start() has begun
	 * one, it ends. */
	HUTCH_START_FOR_JOB = 8,
	/* It is there for the one command that will be started with HUTCH_EXEC_MAIN: what that rules out is ruled out
	 * from the start, which is quicker then (a mount namespace less). Not with DETACHED (INVALID). */
	HUTCH_START_ONCE = 16,
};

struct hutch_start_options {
	size_t size;
	unsigned flags;
};

/**
 * hutch_box_start() - Start a sandbox
 * @spec:    What it shall be; copied
 * @opts:    NULL for defaults
 * @ret_box: To be ended with hutch_box_delete()
 *
 * Unless it is detached, the sandbox lives until it is deleted, or the handle's process ends, however
 * it ends.
 *
 * Who asks for two alike in a row (a directory as root file system; names and host names may differ) will want a third:
 * it is made meanwhile, and waits under a name that no list shows. It is taken only where it is what a start would make
 * now: the spec is the same, and the root file system, the sources of volumes and the host's mounts are seen not to have
 * changed. hutch_cleanup() and hutch_close() end it, and so does the end of the process.
 *
 * Return: 0, or a negative HUTCH_E_*; nothing is left then:
 *	   INVALID	the spec contradicts itself, or asks for no root file system
 *	   EXISTS	the name is taken
 *	   NOT_FOUND	the root file system, or the source of a volume
 *	   UNSUPPORTED	this host cannot give what was asked (never a weaker sandbox)
 *	   LIMIT	disk full, too many descriptors, all ranges of ids taken
 *	   SYSTEM	a call failed, see @err->sys_errno
 * Threads: safe on one handle. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_start(struct hutch *hutch, const struct hutch_spec *spec,
				 const struct hutch_start_options *opts, struct hutch_box **ret_box,
				 struct hutch_error *err);

/**
 * hutch_box_attach() - A handle of a detached sandbox
 * @name:    The name it was started with
 * @ret_box: To be closed with hutch_box_close(), or ended with hutch_box_delete()
 *
 * Return: 0, or a negative HUTCH_E_*:
 *	   NOT_FOUND	nobody has the name
 *	   STATE	the sandbox belongs to a program, which alone can use it
 *	   DIED		it has ended
 *	   BUSY		somebody else starts or ends it all the time
 * Threads: safe on one handle. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_attach(struct hutch *hutch, const char *name, struct hutch_box **ret_box,
				  struct hutch_error *err);

/* Closes a handle. A detached sandbox lives on (commands of this handle are killed), any other ends.
 * NULL is fine. Threads: no other may use the box any more. Since: 0.1 */
HUTCH_PUBLIC void hutch_box_close(struct hutch_box *box);

/**
 * hutch_box_reset() - Put a sandbox back to how it was right after start
 *
 * Everything in it is killed (commands still running end with SIGKILL), and what is inside next is
 * new: files, processes, /tmp and /dev/shm, System V IPC, message queues, volumes of kind cow, host
 * name. The cost does not depend on how much was written: that is moved aside and removed later, off
 * this path. From the first reset on the next state stands ready in the background; from the start with the field
 * "spare", and then the first shell, too, is started before it is asked for.
 *
 * What ran has ended. Shells that only waited, in a sandbox with a network of its own and no writable volume or device of the
 * host, have been killed: they do nothing any more, and the kernel may list them for some hundred microseconds.
 *
 * Return: 0, or a negative HUTCH_E_*; the sandbox is then stopped, never half reset:
 *	   DIED		the sandbox is gone
 *	   SYSTEM	a call failed, see @err->sys_errno
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_reset(struct hutch_box *box, struct hutch_error *err);

/**
 * hutch_box_stop() - End a detached sandbox and keep its files
 * @box:	Its handle, which is still to be closed; nothing but hutch_box_remark(), _close() and _delete()
 *		works with it afterwards
 * @timeout_ms: How long commands may take to end, in milliseconds; 0 not at all, -1 for ever
 *
 * All commands in it that were started with hutch get the signal of the spec's field stop_signal (TERM unless
 * asked otherwise); shells that wait for text do not. When they have ended, or after the timeout, everything in
 * it is killed. What was written is then on the disk, and hutch_box_start_stopped() goes on with it. Changes in
 * memory (upper=tmpfs) are gone: hutch_box_remark() says so. One with HUTCH_START_REMOVE is gone then. One that has ended already is no failure.
 *
 * Return: 0, or a negative HUTCH_E_*:
 *	   STATE	it is not detached
 *	   TIMEOUT	a process in it hangs in the kernel
 *	   SYSTEM	what was written could not be brought to the disk, see @err->sys_errno
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_stop(struct hutch_box *box, int timeout_ms, struct hutch_error *err);

/**
 * hutch_box_start_stopped() - Start a stopped sandbox again
 * @name:    The name it was made with
 * @opts:    NULL for defaults; it is detached in any case
 * @ret_box: To be closed with hutch_box_close(), or ended with hutch_box_delete()
 *
 * It is what it was made as (root file system, volumes, environment, …), with the files it had; processes,
 * sessions, what was in tmpfs mounts and private copies of single files are gone. It works too after the end of
 * the machine, or of its keeper, without a stop: what was written last may be missing then, and
 * hutch_box_remark() says so. One that runs is attached to.
 *
 * Return: 0, or a negative HUTCH_E_*; it is stopped as before then:
 *	   NOT_FOUND	nobody has the name; or a path of the host that it needs is gone
 *	   STATE	the sandbox belongs to a program
 *	   BUSY		somebody else starts or ends it all the time
 *	   others	as hutch_box_start()
 * Threads: safe on one handle. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_start_stopped(struct hutch *hutch, const char *name,
					 const struct hutch_start_options *opts, struct hutch_box **ret_box,
					 struct hutch_error *err);

/**
 * hutch_box_kill() - Send a signal to what runs in a detached sandbox
 * @signal: 1 to 64
 *
 * The main command gets it (HUTCH_EXEC_MAIN, HUTCH_JOB_MAIN, or the job called "main"); where there is none, all commands that were started with hutch, but
 * not what they started. SIGKILL is hutch_box_stop() with a timeout of 0.
 *
 * Return: 0, or a negative HUTCH_E_*: INVALID (no such signal), STATE (it is not detached), DIED, SYSTEM.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_kill(struct hutch_box *box, int signal, struct hutch_error *err);

/**
 * hutch_signal_number() - A signal by its name
 * @text: "TERM", "SIGTERM", "15", "RTMIN+3"
 *
 * Return: its number, or INVALID. Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC int hutch_signal_number(const char *text, struct hutch_error *err);

/**
 * hutch_remove() - Remove a sandbox that does not run, with all it has written
 * @name: Of a stopped one, or of one that has died
 *
 * One that runs is ended and removed with hutch_box_delete().
 *
 * Return: 0, NOT_FOUND (nobody has the name), STATE (it runs), INVALID (no name), or SYSTEM.
 * Threads: safe on one handle. Since: 0.1
 */
HUTCH_PUBLIC int hutch_remove(struct hutch *hutch, const char *name, struct hutch_error *err);

/**
 * hutch_stopped_spec() - What a detached sandbox was made with, whether it runs or not
 * @name:     Its name
 * @ret_json: The spec as a JSON object, to be freed with free()
 *
 * Paths in it need not exist any more.
 *
 * Return: 0, NOT_FOUND (no detached sandbox has the name), INVALID (a value is not UTF-8), or another HUTCH_E_*.
 * Threads: safe on one handle. Since: 0.1
 */
HUTCH_PUBLIC int hutch_stopped_spec(struct hutch *hutch, const char *name, char **ret_json,
				    struct hutch_error *err);

/**
 * hutch_box_reset_files() - Put the files of a sandbox back, and keep its processes
 *
 * As hutch_box_reset(), but of the file system only: processes, shells, sessions, shared memory, queues and what
 * is mounted stay. A process whose working directory or open file was below the root stays with what it has, which
 * is nobody else's any more; warm shells and sessions go to their directory again with their next text.
 *
 * Return: as hutch_box_reset(); also, nothing having changed:
 *	   UNSUPPORTED	with a read-only root, nested powers (such as SYS_ADMIN), or volumes of kind cow
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_reset_files(struct hutch_box *box, struct hutch_error *err);

/* ---- snapshots -------------------------------------------------------------------------------- */

/**
 * hutch_box_snapshot() - Keep how the files of a sandbox are now
 * @tag:      Its name, 1 to 200 bytes of UTF-8 without control characters and slashes, not beginning
 *	      with a dot; NULL: the next number, from "0" on
 * @ret_name: Its name; the caller frees it with free()
 *
 * Snapshots form a tree: a new one grows from the one that was restored or taken last, or from the start. All
 * that was written since then is kept, exactly: owners, modes, times, extended attributes, hard links, holes,
 * special files and what was deleted; of volumes those of kind cow, not /dev/shm and the like. They last as
 * long as the sandbox, resets included.
 *
 * When nothing runs inside but shells and sessions that wait, the cost does not depend on how much was written,
 * and nobody notices; where nothing was written since the last one, it stands for the same state, and takes no room.
 * Otherwise what runs is held while what was written is copied (blocks are shared where the file system can), and then
 * goes on.
 *
 * Return: 0, or a negative HUTCH_E_*, nothing having changed:
 *	   EXISTS	there is one of that name
 *	   INVALID	no name
 *	   UNSUPPORTED	the file system of the data directory cannot be shown to the sandbox
 *	   SYSTEM	a call failed (disk full, a process that a debugger inside holds), see @err->sys_errno
 *	   DIED, STATE	as hutch_box_reset()
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_snapshot(struct hutch_box *box, const char *tag, char **ret_name,
				    struct hutch_error *err);

/* hutch_box_restore() */
enum {
	HUTCH_RESTORE_KEEP_PROCESSES = 1, /* files only, as hutch_box_reset_files() */
};

/**
 * hutch_box_restore() - Put a sandbox back to how its files were at a snapshot
 * @name:  Of the snapshot; NULL: the one that was made last
 * @flags: HUTCH_RESTORE_*, or 0
 *
 * Everything in it is killed, as by hutch_box_reset(), unless @flags say otherwise. What was written since is gone;
 * other snapshots stay, and new ones grow from this one.
 *
 * Return: 0, or a negative HUTCH_E_*:
 *	   NOT_FOUND	no such snapshot; the message names those there are
 *	   others	as hutch_box_reset(); with @flags as hutch_box_reset_files()
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_restore(struct hutch_box *box, const char *name, unsigned flags,
				   struct hutch_error *err);

/* One line of hutch_box_snapshots(). */
struct hutch_snapshot {
	char name[256];
	char parent[256]; /* the one it grew from; "": the start */
	int64_t created;  /* seconds since 1970 */
	unsigned layers;  /* it stands on so many: each costs a lookup a microsecond or so */
	int present;	  /* the files are those, and what was written since */
};

/* The snapshots of a sandbox, in the order in which they were made; one that is under way (hutch_snapshot_start()) is none yet.
 * The caller frees *ret with free(). Return: 0, NOMEM or SYSTEM. Threads: one call at a time on the same box. Since: 0.1 */
HUTCH_PUBLIC int hutch_box_snapshots(struct hutch_box *box, struct hutch_snapshot **ret, size_t *ret_n,
				     struct hutch_error *err);

/* Forgets a snapshot. What grew from it stays, and grows from its parent then; disk space that no other needs is freed in
 * the background. Return: 0, NOT_FOUND (the message names those there are), BUSY (what was begun with the box and holds them is
 * not over: a snapshot, a restore, a comparison, a fork), or SYSTEM. Threads: one call at a time on the same box.
 * Since: 0.1 */
HUTCH_PUBLIC int hutch_box_snapshot_delete(struct hutch_box *box, const char *name, struct hutch_error *err);

/**
 * hutch_box_diff() - Which paths differ between two states of a sandbox's files
 * @from:	 Name of a snapshot; NULL: right after start
 * @to:		 Name of a snapshot; NULL: now
 * @ret_records: For each path "A /path" (added), "C /path" (changed) or "D /path" (deleted), and a NUL; a directory
 *		 comes before what is in it. The caller frees it with free()
 * @ret_len:	 Its length in bytes; 0: no difference
 *
 * As `docker diff`: of a deleted directory there is one record, of an added one also all that is in it. A file has
 * changed when its type, content, size, owner, mode or time of modification has; a directory when its owner or mode
 * has. Volumes are not compared.
 *
 * Return: 0, or a negative HUTCH_E_*: NOT_FOUND no such snapshot; LIMIT over 1 GiB of records; DIED, STATE, SYSTEM.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_diff(struct hutch_box *box, const char *from, const char *to, char **ret_records,
				size_t *ret_len, struct hutch_error *err);

/**
 * hutch_box_fork() - Make new sandboxes that begin with the files of one
 * @snapshot:  Which; NULL: as they are now
 * @names:     Of the new ones; NULL: made up
 * @n:	       How many
 * @flags:     HUTCH_START_DETACHED, with or without HUTCH_START_REMOVE; or 0
 * @ret_boxes: Room for @n handles, each to be ended with hutch_box_delete()
 *
 * The new ones are started with what @box was started with; what was written is shared, not copied, and nothing of what
 * any of them writes afterwards is seen by another. A reset takes one back to this state. @box is not
 * changed, and may end before them. Processes are not forked.
 *
 * Return: 0, or a negative HUTCH_E_*, and then none was made: as hutch_box_snapshot() and hutch_box_start().
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_fork(struct hutch_box *box, const char *snapshot, const char *const *names, size_t n,
				unsigned flags, struct hutch_box **ret_boxes, struct hutch_error *err);

/* ---- the list --------------------------------------------------------------------------------- */

/* hutch_listed.state. Since: 0.1 */
enum hutch_state {
	HUTCH_RUNNING = 0,
	HUTCH_STOPPED = 1, /* hutch_box_start_stopped() goes on with all its files */
	HUTCH_DEAD = 2,	   /* it ended without a stop. A detached one can be started too */
};

/* One line of hutch_list(). */
struct hutch_listed {
	char name[256];
	int alive;	 /* it runs */
	int detached;	 /* hutch_box_attach() works, or hutch_box_start_stopped() */
	int64_t started; /* seconds since 1970; of a detached one that does not run: when it was made */
	int state;	 /* enum hutch_state */
	int pid;	 /* of its keeper, the process above all others of it; 0: not known */
	char root[256];	 /* directory that is its root file system, or "host"; "": not known. Cut when longer */
	unsigned snapshots; /* how many it has */
};

/* The sandboxes of this user, in no order. The caller frees *ret_boxes with free(). Return: 0, NOMEM
 * or SYSTEM. Threads: safe on one handle. Since: 0.1 */
HUTCH_PUBLIC int hutch_list(struct hutch *hutch, struct hutch_listed **ret_boxes, size_t *ret_n,
			    struct hutch_error *err);

/**
 * hutch_listed_memory() - How much memory a sandbox has
 * @listed:    A line of hutch_list(), just had
 * @ret_bytes: What its processes have in memory that is no file's (RssAnon and RssShmem of proc(5)); 0 where its
 *	       pid is not known. Pages that a process shares with its parent are counted for both
 *
 * Looks at each process in it: some 20 microseconds for one.
 *
 * Return: 0, or INVALID. Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC int hutch_listed_memory(const struct hutch_listed *listed, uint64_t *ret_bytes,
				     struct hutch_error *err);

/* Waits until commands can run. Return: 0, or why the start failed. Threads: one call at a time on
 * the same box. Since: 0.1 */
HUTCH_PUBLIC int hutch_box_wait_ready(struct hutch_box *box, struct hutch_error *err);

/* Return: the sandbox's name; belongs to the box. Threads: safe. Since: 0.1 */
HUTCH_PUBLIC const char *hutch_box_name(const struct hutch_box *box);

/* Return: what it was started with; belongs to the box. Of one that was attached to: as its maker had it.
 * Threads: one call at a time on the same box. Since: 0.1 */
HUTCH_PUBLIC const struct hutch_spec *hutch_box_spec(const struct hutch_box *box);

/* A remark about the start: what was given and is less than one may think (a root file system of
 * an owner or a group whom the sandbox does not know: its directories cannot be written). Return: one line, which belongs to the box; ""
 * when there is none. Threads: one call at a time on the same box. Since: 0.1 */
HUTCH_PUBLIC const char *hutch_box_remark(const struct hutch_box *box);

/* For event loops. Return: a descriptor that is readable when hutch_proc_wait(…, 0, -1, …) may have
 * something to tell; belongs to the box. Threads: safe. Since: 0.1 */
HUTCH_PUBLIC int hutch_box_fd(const struct hutch_box *box);

/**
 * hutch_box_delete() - End a sandbox and remove what it left
 *
 * Kills everything in it, waits until nothing of it runs any more (as hutch_box_reset()), frees @box and all its commands,
 * also on failure. What it wrote is moved aside and removed by a helper, off this path; mounts and the network end in the
 * kernel a moment later. NULL is fine. In a forked child only memory is freed.
 *
 * Return: 0, TIMEOUT (a process in it hangs in the kernel), or STATE (somebody else has started it again
 *	   meanwhile).
 * Threads: no other may use the box any more. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_delete(struct hutch_box *box, struct hutch_error *err);

/* Prints the microseconds of each step of the start of @box on standard error. Threads: one call at
 * a time on the same box. Since: 0.1 */
HUTCH_PUBLIC void hutch_box_trace(const struct hutch_box *box);

/* ---- without waiting -------------------------------------------------------------------------- */

struct hutch_op; /* a reset, a snapshot, a fork and the like that was begun */

/**
 * hutch_ready_start() - Begin to wait until a sandbox is ready, as hutch_box_wait_ready() does whole
 * @ret_op: To be freed with hutch_op_free()
 *
 * This and the functions below are for event loops, and programs that have something to do meanwhile. What was begun is done,
 * with all that follows from it, when hutch_op_wait() says so. As long as one is under way no other can be begun with the same box,
 * nothing can be started in it that a reset, a restore or a deletion would end, and no text can be sent to a shell whose
 * directory a snapshot replaces: BUSY. One that was begun comes to its end: there is no way to stop it.
 *
 * Return: 0, BUSY, or as the function with a box in its name; nothing was begun then.
 * Threads: one call at a time on the same box, hutch_op_wait() and hutch_op_free() included. Since: 0.1
 */
HUTCH_PUBLIC int hutch_ready_start(struct hutch_box *box, struct hutch_op **ret_op, struct hutch_error *err);

/* Begins hutch_box_reset(), or, with HUTCH_RESTORE_KEEP_PROCESSES in @flags, hutch_box_reset_files(). Return: as
 * hutch_ready_start(). Threads: see there. Since: 0.1 */
HUTCH_PUBLIC int hutch_reset_start(struct hutch_box *box, unsigned flags, struct hutch_op **ret_op,
				   struct hutch_error *err);

/* Begins hutch_box_snapshot(); hutch_op_text() is the name. Return: as hutch_ready_start(). Threads: see there.
 * Since: 0.1 */
HUTCH_PUBLIC int hutch_snapshot_start(struct hutch_box *box, const char *tag, struct hutch_op **ret_op,
				      struct hutch_error *err);

/* Begins hutch_box_restore(). Return: as hutch_ready_start(). Threads: see there. Since: 0.1 */
HUTCH_PUBLIC int hutch_restore_start(struct hutch_box *box, const char *name, unsigned flags, struct hutch_op **ret_op,
				     struct hutch_error *err);

/* Begins hutch_box_diff(); hutch_op_text() is the records. Return: as hutch_ready_start(). Threads: see there.
 * Since: 0.1 */
HUTCH_PUBLIC int hutch_diff_start(struct hutch_box *box, const char *from, const char *to, struct hutch_op **ret_op,
				  struct hutch_error *err);

/* Begins hutch_box_fork(); hutch_op_boxes() are the new ones. Return: as hutch_ready_start(). Threads: see there.
 * Since: 0.1 */
HUTCH_PUBLIC int hutch_fork_start(struct hutch_box *box, const char *snapshot, const char *const *names, size_t n,
				  unsigned flags, struct hutch_op **ret_op, struct hutch_error *err);

/* Begins hutch_box_delete(), when it has waited for what is under way. Once it has returned 0 the handle is not the
 * caller's any more. Return: as hutch_ready_start(). Threads: see there. Since: 0.1 */
HUTCH_PUBLIC int hutch_delete_start(struct hutch_box *box, struct hutch_op **ret_op, struct hutch_error *err);

/**
 * hutch_op_wait() - Wait for the end of what was begun
 * @timeout_ms: At most so many milliseconds; 0: only look; -1: without end
 *
 * Return: 1 it is done, 0 not yet, or a negative HUTCH_E_*: it failed, as the function with a box in its name would have;
 *	   the same from then on.
 * Threads: see hutch_ready_start(). Since: 0.1
 */
HUTCH_PUBLIC int hutch_op_wait(struct hutch_op *op, int timeout_ms, struct hutch_error *err);

/* A descriptor for poll() and the like: readable when hutch_op_wait() with 0 may have something to do. It should be called
 * each tenth of a second in any case: some ends come with time alone. It belongs to @op. Return: at least 0, or SYSTEM.
 * Threads: see hutch_ready_start(). Since: 0.1 */
HUTCH_PUBLIC int hutch_op_fd(struct hutch_op *op, struct hutch_error *err);

/* What came of it. It belongs to @op. @ret_len: its length in bytes; may be NULL. Return: the name of a snapshot, or the records of a
 * comparison, with a NUL behind; NULL: nothing is told, or it is not done. Threads: see hutch_ready_start(). Since: 0.1 */
HUTCH_PUBLIC const char *hutch_op_text(const struct hutch_op *op, size_t *ret_len);

/* The new sandboxes of a fork that is done, once: they are the caller's then, who ends each with hutch_box_delete(). Those for
 * which he does not ask end with @op. @ret_boxes: room for all. Return: how many. Threads: see hutch_ready_start(). Since: 0.1 */
HUTCH_PUBLIC size_t hutch_op_boxes(struct hutch_op *op, struct hutch_box **ret_boxes);

/* Waits for its end, where it has not come. NULL is fine. Threads: see hutch_ready_start(). Since: 0.1 */
HUTCH_PUBLIC void hutch_op_free(struct hutch_op *op);

/* ---- a command in it -------------------------------------------------------------------------- */

enum hutch_stdio_kind {
	HUTCH_STDIO_NULL = 0, /* /dev/null */
	HUTCH_STDIO_FD = 1,   /* a descriptor of the caller; borrowed until the command has ended */
	HUTCH_STDIO_PIPE = 2, /* a pipe, whose other end is hutch_proc_fd() */
};

struct hutch_stdio {
	int kind; /* enum hutch_stdio_kind */
	int fd;
};

/* hutch_exec_options.flags */
enum {
	/* A terminal of its own: standard input, output and error are one, hutch_proc_fd(…, 0). */
	HUTCH_EXEC_TTY = 1,
	/* The sandbox is there for this command: its end ends everything in it. In one that is not detached
	 * neither hutch_box_reset(), nor snapshots or forks, nor a shell of hutch_run_start() can be had any more (STATE). */
	HUTCH_EXEC_MAIN = 2,
};

struct hutch_exec_options {
	size_t size;
	unsigned flags;
	const char *const *argv; /* NULL-terminated; NULL: entrypoint and command of the spec */
	const char *const *env;	 /* "KEY=VALUE", NULL-terminated, over those of the spec; NULL: none */
	const char *cwd;	 /* NULL: the spec's working directory */
	const char *user;	 /* "name|uid[:group|gid]"; NULL: the spec's */
	struct hutch_stdio io[3];
	uint64_t timeout_ms;	 /* 0: none */
	uint16_t rows, cols;	 /* of the terminal; 0: unknown */
	const int *fds;		 /* nfds descriptors of the caller, 3 or more, that the command gets */
	size_t nfds;		 /* under the same numbers; at most 64. All others stay outside */
};

/**
 * hutch_box_exec() - Start a command in a sandbox, without a shell
 * @opts:     NULL: the command of the spec, with /dev/null as standard descriptors
 * @ret_proc: Belongs to the box; hutch_proc_free() frees it earlier
 *
 * A regular file or block device as standard descriptor is replaced by a pipe, whose bytes are
 * carried while hutch_proc_wait() runs: the inside could open a file anew with more rights.
 *
 * Return: 0, or a negative HUTCH_E_*. Whether the command could be executed is told by
 *	   hutch_proc_wait().
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_box_exec(struct hutch_box *box, const struct hutch_exec_options *opts,
				struct hutch_proc **ret_proc, struct hutch_error *err);

/* How a command ended. */
enum hutch_end {
	HUTCH_END_EXIT = 0,	/* by itself; exit_code is its own */
	HUTCH_END_SIGNAL = 1,	/* by a signal; exit_code is 128 + signal */
	HUTCH_END_TIMEOUT = 2,	/* its time was over; exit_code is 124 */
	HUTCH_END_NOT_RUN = 3,	/* it could not be executed; 126 cannot, 127 not found, 125 other */
	HUTCH_END_SHELL_DIED = 4, /* its shell was killed; exit_code is 128 + signal. Since 0.1 */
};

struct hutch_result {
	size_t size;
	int end; /* enum hutch_end */
	int exit_code, signal;
	uint64_t user_us, system_us; /* CPU time of the command and what it waited for */
	uint64_t maxrss_bytes;	     /* largest resident set among them */
	uint64_t duration_us; /* from its start to its end; of a run: from hutch_run_start() on, until its end was heard. NOT_RUN: 0 */
	char message[480];	     /* NOT_RUN: why; or that output was lost, and why; else "" */
};

/**
 * hutch_proc_wait() - Wait for the end of a command
 * @timeout_ms: -1 for ever, 0 only look
 * @wake_fd:	When this becomes readable the wait is over too (a signalfd, an epoll); -1: none
 * @ret:	Filled when it has ended; set its size
 *
 * Nothing inside can forge the result: it is the kernel's wait status, told by a process that
 * nothing inside can name. But a process inside that runs as the same user as the command can write into the
 * command's memory while it runs (/proc/PID/mem), unless the host's kernel.yama.ptrace_scope is 1 or more: a check of
 * what untrusted code did runs after a reset or a restore, or as another user than that code.
 *
 * Return: 1 it has ended, 0 not yet, or a negative HUTCH_E_*: DIED (the sandbox is gone), or why
 *	   its start failed.
 * Threads: one call at a time on the same box, whose other commands it serves too. Since: 0.1
 */
HUTCH_PUBLIC int hutch_proc_wait(struct hutch_proc *proc, int timeout_ms, int wake_fd,
				 struct hutch_result *ret, struct hutch_error *err);

/**
 * hutch_proc_signal() - Send a signal to a command, not to what it started
 *
 * SIGSTOP and SIGCONT go to its process group, as a terminal's Ctrl-Z would.
 *
 * Return: 0, also when it has ended; INVALID (no such signal); SYSTEM (the sandbox is gone).
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_proc_signal(struct hutch_proc *proc, int signal, struct hutch_error *err);

/**
 * hutch_proc_signal_group() - Send a signal to a command's process group, as a terminal's keys do
 *
 * That is the command and what it started, but for what made a group of its own.
 *
 * Return: as of hutch_proc_signal().
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_proc_signal_group(struct hutch_proc *proc, int signal, struct hutch_error *err);

/**
 * hutch_proc_fd() - Our end of a command's pipe or terminal
 * @which: 0, 1 or 2; 0 for the terminal, which is there once the command has been started: wait for
 *	   hutch_box_fd() with hutch_proc_wait(…, 0, -1, …)
 *
 * Return: a descriptor that belongs to the command; -1: there is none (yet).
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_proc_fd(const struct hutch_proc *proc, int which);

/* The same, and from then on it is the caller's to close. Return: it, or -1. Threads: one call at a
 * time on the same box. Since: 0.1 */
HUTCH_PUBLIC int hutch_proc_take_fd(struct hutch_proc *proc, int which);

/* Frees a command; it goes on when it has not ended. NULL is fine. Threads: one call at a time on
 * the same box. Since: 0.1 */
HUTCH_PUBLIC void hutch_proc_free(struct hutch_proc *proc);

/* ---- runs: text for a shell, with its output -------------------------------------------------- */

struct hutch_run;

/* hutch_run_options.flags */
enum {
	/* A new shell, started for this text alone, and not behind the entrypoint. Nothing inside can forge its result
	 * (with what hutch_proc_wait() says of processes of the same user that run beside it); that of the warm
	 * shell or of a session could be by code which an earlier call left behind. */
	HUTCH_RUN_CLEAN = 1,
	/* Standard error by itself; without it both come in the order in which they were written. Of a
	 * session the call that opens it decides. */
	HUTCH_RUN_APART = 2,
};

struct hutch_run_options {
	size_t size;
	unsigned flags;
	const char *text; /* for the spec's shell, or bash, where the image has it, else sh; NULL: argv */
	size_t len;	  /* of text, in bytes; 0: it ends with a NUL. At most 8 MiB, without a NUL in it */
	const char *const *argv; /* NULL-terminated; a command without a shell */
	const char *const *env;	 /* "KEY=VALUE", NULL-terminated, over those of the spec; NULL: none */
	const char *cwd;	 /* NULL: the spec's working directory; in a session: where it is */
	/* A session: a shell of this name, in which working directory, variables, functions, options,
	 * aliases and jobs last from call to call. It is made by the first call; 1 to 63 bytes. NULL: each
	 * call is in a fresh sub-shell. */
	const char *session;
	uint64_t timeout_ms; /* 0: none */
	/* What is kept of each output, in bytes: the first and the last half of it. 0: 64 MiB; UINT64_MAX:
	 * all. */
	uint64_t cap;
	/* Called in hutch_run_wait() with each part of the output (@which: 1 or 2) in place of keeping it. It
	 * may not use the box. */
	void (*on_output)(void *arg, int which, const char *data, size_t len);
	void *arg;
	/* What can be read as standard input, copied; then text runs in a new shell, as with HUTCH_RUN_CLEAN, and not in a
	 * session. NULL: nothing. */
	const void *input;
	size_t input_len; /* in bytes */
};

/**
 * hutch_run_start() - Run text in the sandbox's warm shell, in a session or in a new shell, or a command
 * @ret_run: Belongs to the box; hutch_run_free() frees it earlier
 *
 * Standard input is /dev/null, or a pipe with @input, which is written in hutch_run_wait(). The first call starts the shell,
 * which takes about a millisecond, where none waits: once text
 * has run in a sandbox of this handle, the next ones are started with a shell, until one is deleted that was not asked for it
 * (not where it would run a file of the image: behind an entrypoint, with BASH_ENV or ENV). While
 * the warm shell is busy with another call of this handle, text runs in a new one. A text that is one program with its words and
 * redirections runs in place of bash's sub-shell, as with `bash -c`; what its shell would say of the signal that ended it is in
 * the output all the same. From the third one on of plain words (letters, digits, quotes without anything in them that a shell
 * replaces; with neither "env" nor "cwd") such programs are started by a small process of hutch's own beside the shell, in half the time;
 * what they are given and what is told is what bash makes of it. So are commands (argv) of up to 1,000 bytes: nothing inside can
 * look into that process, and where commands have CAP_SYS_PTRACE or CAP_SYS_ADMIN, and could, there is none for them. Both
 * counts begin anew with a reset. With the field "shell_entrypoint" shells
 * start behind the entrypoint, which may take up to five minutes. With "shell" they are another one than bash (any that understands
 * what POSIX says, as dash, ksh, zsh): all of this but what only bash can do, which is to run a program in place of a sub-shell,
 * and to leave a text of a session at a timeout, where another shell ends.
 *
 * A session belongs to the sandbox: other handles of it find the same one, one at a time. When its shell
 * ends (`exit`, `exec`, a signal) the next call has a new one, in the same working directory if that is there; a reset
 * ends all sessions.
 *
 * Return: 0; BUSY (the session is in use), INVALID, LIMIT, NO_COMMAND (neither bash nor sh is there, or not what "shell"
 *	   names), DIED,
 *	   or another HUTCH_E_*.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_run_start(struct hutch_box *box, const struct hutch_run_options *opts,
				 struct hutch_run **ret_run, struct hutch_error *err);

/**
 * hutch_run_wait() - Take its output, and wait for its end
 * @timeout_ms, @wake_fd: As with hutch_proc_wait()
 * @ret: Filled when it has ended; set its size. user_us, system_us and maxrss_bytes are 0 in the warm shell and
 *	 in sessions, where nobody counts them; so is signal, and a command that was killed by signal n makes
 *	 128 + n as in any shell. END_SHELL_DIED: the shell itself was killed.
 *
 * The end does not wait for who keeps the output open: what a job in the background writes later is in no
 * other call's output. But in a session, whose shell and jobs have one output as in a terminal: what comes
 * later is in that of the session's next call, or of the one that runs by then. At the timeout all that the
 * call started is killed, also what it put into sessions of their own; jobs of earlier calls are spared (those of the hundredth of a second before this
 * call began may be taken along). A session of bash passes over the rest of the
 * text and survives it, unless it is in a loop of its own: then its shell is killed half a second later; that
 * of a plain sh is killed at once.
 *
 * Return: 1 it has ended, 0 not yet, or a negative HUTCH_E_*.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_run_wait(struct hutch_run *run, int timeout_ms, int wake_fd,
				struct hutch_result *ret, struct hutch_error *err);

/**
 * hutch_run_fd() - For event loops
 *
 * The descriptor is readable when hutch_run_wait(…, 0, -1, …) may have something to do: take output, see the end, keep
 * the timeout, also when another call on the box has heard of it. It takes two descriptors until the run is freed.
 *
 * Return: it, which belongs to the run; or LIMIT, SYSTEM.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_run_fd(struct hutch_run *run, struct hutch_error *err);

/* Kills what a timeout would kill. It is to be waited for yet, and ends as by signal 9, unless it ended by itself before: END_SIGNAL,
 * exit_code 137. Return: 0, or a negative HUTCH_E_*. Threads: one call at a time on the same box. Since: 0.1 */
HUTCH_PUBLIC int hutch_run_stop(struct hutch_run *run, struct hutch_error *err);

/* The bytes that were kept. Where there were more than the cap, those between cut_at - 1 and cut_at are
 * missing. */
struct hutch_output {
	size_t size;
	const char *data; /* with a NUL behind it; NULL when there are none */
	size_t len;
	uint64_t total; /* bytes that were written, those that are missing too */
	size_t cut_at;	/* where in data; len: nothing is missing */
};

/**
 * hutch_run_output() - What came out
 * @which: 1 standard output, or both; 2 standard error, with HUTCH_RUN_APART
 * @ret:   Set its size. data belongs to the run, until the next call
 *
 * Return: 0, INVALID or NOMEM. Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_run_output(struct hutch_run *run, int which, struct hutch_output *ret,
				  struct hutch_error *err);

/* Frees a run; one that has not ended is stopped. NULL is fine. Threads: one call at a time on the same
 * box. Since: 0.1 */
HUTCH_PUBLIC void hutch_run_free(struct hutch_run *run);

/* ---- jobs: commands that belong to the sandbox ------------------------------------------------- */

/* A job goes on when the handle is closed and the program that started it has ended; every handle of its
 * sandbox knows it by its id. What it writes, standard output and error in one, is read by the sandbox's own
 * process: it is never held up because nobody reads. The last part of it is kept. A job that has ended stays
 * known until it is stopped. A reset ends and forgets all jobs. */

enum { HUTCH_JOB_ID_SIZE = 32 }; /* of an id, with its NUL */

/* hutch_job_options.flags */
enum {
	/* The (detached) sandbox is there for this job: its end ends everything in it. */
	HUTCH_JOB_MAIN = 1,
};

struct hutch_job_options {
	size_t size;
	unsigned flags;
	const char *text; /* for a new bash, where the image has it, else sh; NULL: argv */
	size_t len;	  /* of text, in bytes; 0: it ends with a NUL */
	const char *const *argv; /* NULL-terminated; NULL: entrypoint and command of the spec */
	const char *const *env;	 /* "KEY=VALUE", NULL-terminated, over those of the spec; NULL: none */
	const char *cwd;	 /* NULL: the spec's working directory */
	const char *user;	 /* "name|uid[:group|gid]"; NULL: the spec's */
	/* What it shall be called: 1 to 31 letters, digits, '.', '_' and '-'. NULL: 8 hexadecimal digits */
	const char *id;
	uint64_t timeout_ms; /* 0: none */
	/* Bytes of output that are kept, the last ones. 0: 1 MiB. All jobs of a sandbox together have 256 MiB */
	uint64_t keep;
};

/* How a job stands. */
struct hutch_job {
	size_t size;
	char id[HUTCH_JOB_ID_SIZE];
	int running;
	int pid;	       /* as the inside sees it */
	int64_t started_ms, ended_ms; /* since 1970; ended_ms 0: it runs */
	uint64_t written;      /* bytes of output in all */
	uint64_t kept;	       /* of which the last so many are there */
	char command[256];     /* its words, with blanks between; a longer one is cut */
	struct hutch_result result; /* when it does not run any more */
	int main;		    /* the sandbox ends with it: HUTCH_JOB_MAIN */
};

/* A part of the output of a job. */
struct hutch_job_output {
	size_t size;
	const char *data; /* with a NUL behind it; belongs to the box, until the next call about jobs */
	size_t len;
	uint64_t next;	  /* to be asked for next */
	uint64_t lost;	  /* bytes between what was asked for and what is there still */
};

/**
 * hutch_job_start() - Start a command in a sandbox that belongs to the sandbox
 * @opts:   NULL: the command of the spec
 * @ret_id: What it is called; HUTCH_JOB_ID_SIZE bytes; may be NULL
 *
 * Returns when the command runs. Its standard input is /dev/null.
 *
 * Return: 0, or a negative HUTCH_E_*; nothing is left then:
 *	   NO_COMMAND	it is not in the sandbox
 *	   CANNOT_EXEC	it is there and cannot be executed
 *	   EXISTS	there is a job of that id
 *	   LIMIT	there are 256 jobs, or they keep 256 MiB in all
 *	   STATE	HUTCH_JOB_MAIN in a sandbox that is not detached
 *	   INVALID, DIED, or another
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_job_start(struct hutch_box *box, const struct hutch_job_options *opts,
				 char *ret_id, struct hutch_error *err);

/**
 * hutch_job_check() - How a job stands, and its output from an offset on
 * @from:    Offset in all that it wrote, as the last call's next; 0: from the begin
 * @ret:     Set its size; may be NULL
 * @ret_out: Set its size; may be NULL: no output. At most 4 MiB at once: more is there when next is less than
 *	     what was written
 *
 * Takes one round trip to the sandbox's process.
 *
 * Return: 0, or NOT_FOUND (no such job), DIED, or another negative HUTCH_E_*.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_job_check(struct hutch_box *box, const char *id, uint64_t from, struct hutch_job *ret,
				 struct hutch_job_output *ret_out, struct hutch_error *err);

/**
 * hutch_job_wait() - Wait for the end of a job, or for more of its output
 * @from:	Over as well when it has written more bytes than this; UINT64_MAX: only its end counts
 * @timeout_ms, @wake_fd: As with hutch_proc_wait()
 * @ret:	Filled when this returns 1; set its size; may be NULL
 * @ret_out:	Likewise: the output from @from on, as with hutch_job_check(); may be NULL
 *
 * Return: 1 it has ended or written more (ret->running says which), 0 not yet, or a negative HUTCH_E_*:
 *	   NOT_FOUND (no such job), DIED.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_job_wait(struct hutch_box *box, const char *id, uint64_t from, int timeout_ms,
				int wake_fd, struct hutch_job *ret, struct hutch_job_output *ret_out,
				struct hutch_error *err);

/**
 * hutch_job_list() - All jobs of a sandbox, in the order in which they were started
 * @ret_jobs: Freed by the caller with free(); each has its size set
 * @ret_n:    How many there are
 *
 * Return: 0, or DIED, NOMEM, SYSTEM.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_job_list(struct hutch_box *box, struct hutch_job **ret_jobs, size_t *ret_n,
				struct hutch_error *err);

/**
 * hutch_stopped_job_list() - The jobs of a detached sandbox as they were when it was stopped
 * @name:     Of a sandbox that is stopped
 * @ret_jobs: As with hutch_job_list(); none runs
 *
 * They are known until the sandbox is started again or removed. A job that ran was killed (signal 9). There are none
 * where the sandbox runs, where it was killed from outside or went down with the machine, and where the disk was full.
 *
 * Return: 0, or NOT_FOUND (no detached sandbox has the name), INVALID, NOMEM, SYSTEM.
 * Threads: safe on one handle. Since: 0.1
 */
HUTCH_PUBLIC int hutch_stopped_job_list(struct hutch *hutch, const char *name, struct hutch_job **ret_jobs,
					size_t *ret_n, struct hutch_error *err);

/**
 * hutch_stopped_job() - One of them, and what it wrote
 * @ret:	Set its size; may be NULL
 * @ret_output: The last ret->kept bytes and a NUL, to be freed with free(); may be NULL
 *
 * Return: 0, or NOT_FOUND (no detached sandbox has the name, or it had no such job), INVALID, NOMEM, SYSTEM.
 * Threads: safe on one handle. Since: 0.1
 */
HUTCH_PUBLIC int hutch_stopped_job(struct hutch *hutch, const char *name, const char *id, struct hutch_job *ret,
				   char **ret_output, struct hutch_error *err);

/**
 * hutch_job_signal() - Send a signal to a job
 *
 * Not to what it started; but SIGSTOP and SIGCONT go to its process group, and SIGKILL to all of it.
 *
 * Return: 0, also when it has ended; INVALID (no such signal), NOT_FOUND (no such job), DIED.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_job_signal(struct hutch_box *box, const char *id, int signal, struct hutch_error *err);

struct hutch_job_stop_options {
	size_t size;
	int signal;	   /* 0: SIGTERM */
	uint64_t grace_ms; /* from then to SIGKILL; 0: 10,000. With SIGKILL as signal there is none */
	uint64_t from;	   /* of the output that is returned */
};

/**
 * hutch_job_stop() - End a job with all that it started, and forget it
 * @opts:    NULL for defaults
 * @ret:     How it ended; set its size; may be NULL
 * @ret_out: Its output; as with hutch_job_check()
 *
 * The signal goes to the job; what still runs of it after the time of grace, or when it has ended, is killed,
 * also what went into sessions of its own or ignores signals. That is done by the sandbox's process, also when
 * the caller does not live to see it. A job that has ended already is only forgotten; what it left running
 * then lives on, as with hutch_box_exec().
 *
 * What another command of the sandbox leaves running at the very moment at which the job ends may be taken
 * along.
 *
 * Return: 0, or INVALID (no such signal), NOT_FOUND (no such job), DIED.
 * Threads: one call at a time on the same box. Since: 0.1
 */
HUTCH_PUBLIC int hutch_job_stop(struct hutch_box *box, const char *id, const struct hutch_job_stop_options *opts,
				struct hutch_job *ret, struct hutch_job_output *ret_out, struct hutch_error *err);

/* ---- files ------------------------------------------------------------------------------------ */

/* Paths are absolute and taken from the root of the sandbox; no link leads out of it. Everything is done as
 * the sandbox's root, whoever the commands run as, by a helper process that nothing inside can name or hold
 * up. Fifos, devices and sockets are never opened, files of /proc and /sys never for writing. Owners are those
 * that the sandbox sees. After a reset or the end of the sandbox descriptors that were had before still lead to
 * the old files. Times that do not fit are the first or the last that do. */

enum {
	/* hutch_file_open() */
	HUTCH_FILE_READ = 1,
	HUTCH_FILE_WRITE = 2,
	HUTCH_FILE_CREATE = 4,	    /* make it where it is not there, with root as owner */
	HUTCH_FILE_EXCL = 8,	    /* with CREATE: it must not be there */
	HUTCH_FILE_TRUNC = 16,	    /* empty it */
	HUTCH_FILE_APPEND = 32,
	HUTCH_FILE_DIRECTORY = 64,  /* a directory, to be listed with fdopendir() and readdir() */
	/* Not what a symbolic link leads to, but the link. _open(), _stat(), _set() */
	HUTCH_FILE_NOFOLLOW = 128,
	HUTCH_FILE_PARENTS = 256,   /* _mkdir(): those above too, and none the worse if it is there */
	HUTCH_FILE_RECURSIVE = 512, /* _remove(): a directory with all that is in it */
	/* hutch_file_set(): which members count */
	HUTCH_FILE_OWNER = 1024,    /* uid and gid */
	HUTCH_FILE_MODE = 2048,
	HUTCH_FILE_TIMES = 4096,    /* atime_ns and mtime_ns */
};

struct hutch_stat {
	size_t size;
	uint32_t mode;	/* as st_mode: kind and permissions */
	uint32_t uid, gid, nlink;
	uint64_t bytes; /* of a regular file */
	uint64_t ino;
	int64_t atime_ns, mtime_ns, ctime_ns; /* since 1970 */
};

/**
 * hutch_file_open() - A descriptor of a regular file or a directory
 * @flags:  HUTCH_FILE_*; at least one of READ, WRITE and DIRECTORY
 * @mode:   Permissions of a file that is made (no umask applies)
 * @ret_fd: The caller's, close-on-exec
 *
 * Return: 0, or NOT_FOUND, EXISTS, INVALID (neither a file nor a directory), SYSTEM (sys_errno says which
 *	   call failed how), DIED, STATE.
 * Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_open(struct hutch_box *box, const char *path, unsigned flags, unsigned mode,
				 int *ret_fd, struct hutch_error *err);

/**
 * hutch_file_stat() - What is known about a file
 * @flags: 0 or HUTCH_FILE_NOFOLLOW
 * @ret:   Its size must be set
 *
 * Return: as hutch_file_open(). Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_stat(struct hutch_box *box, const char *path, unsigned flags,
				 struct hutch_stat *ret, struct hutch_error *err);

/**
 * hutch_file_set() - Set owner, mode, times
 * @flags: Which of them: HUTCH_FILE_OWNER, _MODE, _TIMES; and HUTCH_FILE_NOFOLLOW
 * @to:    Its size must be set
 *
 * Return: as hutch_file_open(). Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_set(struct hutch_box *box, const char *path, unsigned flags,
				const struct hutch_stat *to, struct hutch_error *err);

/**
 * hutch_file_readlink() - What a symbolic link says
 * @ret_text: To be freed with free()
 *
 * Return: as hutch_file_open(). Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_readlink(struct hutch_box *box, const char *path, char **ret_text,
				     struct hutch_error *err);

/**
 * hutch_file_symlink() - Make a symbolic link
 * @text: What it says; need not lead anywhere
 *
 * Return: as hutch_file_open(). Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_symlink(struct hutch_box *box, const char *text, const char *path,
				    struct hutch_error *err);

/**
 * hutch_file_mkdir() - Make a directory
 * @flags: 0 or HUTCH_FILE_PARENTS
 * @mode:  Its permissions (no umask applies), also of those above
 *
 * Return: as hutch_file_open(). Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_mkdir(struct hutch_box *box, const char *path, unsigned flags, unsigned mode,
				  struct hutch_error *err);

/**
 * hutch_file_remove() - Remove a file or a directory
 * @flags: 0: an empty directory at most; or HUTCH_FILE_RECURSIVE
 *
 * A symbolic link is removed itself.
 *
 * Return: as hutch_file_open(). Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_remove(struct hutch_box *box, const char *path, unsigned flags,
				   struct hutch_error *err);

/**
 * hutch_file_rename() - Give a file or a directory another name
 *
 * As rename(2): what has the new name is replaced.
 *
 * Return: as hutch_file_open(). Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_file_rename(struct hutch_box *box, const char *from, const char *to,
				   struct hutch_error *err);

/* hutch_copy_in(), hutch_copy_out() */
enum {
	HUTCH_COPY_EXACT = 1,	/* to be called @to, also where that is a directory: then merged into it */
	HUTCH_COPY_PARENTS = 2, /* _in(): make the directories above */
	HUTCH_COPY_FOLLOW = 4,	/* where the source is a symbolic link, what it leads to */
};

/**
 * hutch_copy_in() - Copy a file or a tree into a sandbox
 * @host_path: Of the host
 * @path:      Inside; an existing directory is gone into (with "x/." as @host_path its content is)
 *
 * Modes, times, symbolic links and holes are kept; the owner is the sandbox's root. Links in the tree are
 * copied as links. Takes constant memory.
 *
 * Return: how many sockets and devices in the tree were left out (0: none); INVALID, where what is named is one; or as
 *	   hutch_file_open().
 * Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_copy_in(struct hutch_box *box, const char *host_path, const char *path, unsigned flags,
			       struct hutch_error *err);

/**
 * hutch_copy_out() - Copy a file or a tree out of a sandbox
 * @path:      Inside
 * @host_path: Of the host; an existing directory is gone into
 *
 * As hutch_copy_in(), but the owner is the caller, and set-user-ID and set-group-ID are dropped.
 *
 * Return: how many sockets and devices were left out (0: none), or as hutch_file_open().
 * Threads: one box by one thread at a time. Since: 0.1
 */
HUTCH_PUBLIC int hutch_copy_out(struct hutch_box *box, const char *path, const char *host_path,
				unsigned flags, struct hutch_error *err);

/* ---- what this host can do ------------------------------------------------------------------------ */

enum hutch_check_level {
	HUTCH_CHECK_REQUIRED = 0,    /* without it no sandbox starts */
	HUTCH_CHECK_RECOMMENDED = 1, /* without it something that many want is missing */
	HUTCH_CHECK_OPTIONAL = 2,    /* good to know */
};

struct hutch_check {
	const char *name;  /* "user namespaces" */
	int ok;		   /* 1 yes, 0 no, -1 could not be asked */
	int level;	   /* enum hutch_check_level */
	const char *found; /* one line of UTF-8 */
	const char *lost;  /* what is lost without it; "" when ok is 1 */
	const char *mend;  /* one line to type, or what to do; "" when ok is 1 */
};

/**
 * hutch_doctor() - Ask what this host can do for sandboxes
 * @ret_checks: The checks with their strings, to be freed with hutch_doctor_free()
 * @ret_n:	How many there are
 * @err:	Filled on failure; may be NULL
 *
 * The first check is "caller": who asks, and what that means; it is always ok. Everything is tried
 * in short-lived children and nothing is left behind. A sandbox can start when no check of level
 * HUTCH_CHECK_REQUIRED has an ok of 0. Takes some ten milliseconds.
 *
 * Return: 0, or NOMEM. Threads: safe. Since: 0.1
 */
HUTCH_PUBLIC int hutch_doctor(struct hutch_check **ret_checks, size_t *ret_n,
			      struct hutch_error *err);

/* Frees what hutch_doctor() gave. NULL is fine. Threads: safe. Since: 0.1 */
HUTCH_PUBLIC void hutch_doctor_free(struct hutch_check *checks);

#ifdef __cplusplus
}
#endif
#endif
