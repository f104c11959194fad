/* SPDX-License-Identifier: Apache-2.0
 *
 * box.h - the life of one sandbox, as the caller sees it
 *
 *	start.c	 the list of what a start does
 *	talk.c	 messages from the keeper
 *	exec.c	 commands: start, wait, signal
 *	shell.c	 shells that wait for text, and sessions
 *	run.c	 a run: text or a command, with its output
 *	job.c	 commands that belong to the sandbox
 *	files.c	 files of the inside, by way of its files helper
 *	copy.c	 files and trees, in and out
 *	snapshot.c, nodes.h  snapshots
 *	fork.c	 new sandboxes on the files of one
 *	place.c	 its directories: name, lock, where changes go
 *	attach.c sandboxes that live on without who made them; reset
 *	kept.c	 what is on disk of those
 *	twin.c	 the next one, before it is asked for
 *	stop.c	 their end, with what they wrote kept or not
 *	list.c	 which there are
 *	end.c	 the end
 */
#ifndef HUTCH_BOX_BOX_H
#define HUTCH_BOX_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "box/home.h"
#include "box/sink.h"
#include "spec/spec.h"
#include "wire/job.h"
#include "wire/msg.h"
#include "wire/plan.h"
#include "wire/stack.h"

/* What the keeper says of layers. */
struct layers_answer {
	uint32_t id; /* of the question that is open; 0: none */
	uint32_t generation; /* the present one */
	bool copied; /* the topmost is not under it */
	uint32_t early; /* OP_LAYERS_ON of that number is to come; 0: none */
	struct stack stack;
	struct err bad;
};

struct box {
	struct home *home; /* borrowed */
	struct spec *spec;
	char *name, *hostname;
	int ctl;   /* socket to the keeper */
	int pidfd; /* of the keeper; -1 until it is known */
	int userns; /* its user namespace, while the plan is made; -1: not known, or not needed */
	bool child; /* the keeper is a child of ours */
	bool has_upper; /* boxes/NAME is there */
	bool ready, dead;
	bool ended; /* nothing of it runs any more */
	bool told_ready; /* to who waited for it */
	bool shell_early; /* one was started with it, and none was asked for yet */
	bool counted; /* among the home's live ones */
	bool spare_early; /* likewise the next generation, and it was not reset yet */
	bool nameless; /* nobody has asked for it yet */
	char *born; /* its host name as long as it was nameless, which its warm shells begin with; NULL: it never was */
	bool naming;   /* the keeper was told its name, and has not answered */
	bool shared; /* others can attach too */
	bool kept; /* there is a record from which it can be started again */
	bool spent;  /* it is there for one command, which was started: no reset, no shells */
	char remark[400]; /* "": none */
	struct err why; /* code != 0: why the start failed */
	uint32_t next_id;
	uint32_t reset_id;    /* of the reset that is under way; 0: none */
	uint32_t left_behind; /* number of the generation that the last one left */
	int files; /* socket of the files helper; -1: none was needed yet */
	uint32_t files_id; /* of the request for one that is under way; 0: none */
	struct err files_bad;
	struct layers_answer layers;
	uint32_t generation; /* the present one, as the last reset told */
	struct proc *procs;
	struct shell *shells;
	unsigned plain;	/* runs since the start, or a reset, for which a runner would do, and there was none */
	bool no_runner; /* it cannot be started here */
	struct op *op; /* what the keeper does for a while; NULL: nothing */
	struct run *runs, *looked_at; /* the one that run_wait() is called for */
	struct job_question *questions; /* about jobs, not answered yet or not taken */
	char *job_output; /* of the last answer */
	char *wide; /* room for a message of any kind, MSG_BUF bytes; NULL: none but small ones was asked for */
	uint64_t asked_ns; /* when the start was asked for */
	uint64_t marks[READY_MARKS];
};

/* STDIO_SAME: as the one before it. */
enum stdio_kind { STDIO_NULL = 0, STDIO_FD = 1, STDIO_PIPE = 2, STDIO_SAME = 3 };

struct exec_ask {
	char *const *argv; /* NULL: the spec's entrypoint and command */
	size_t argc;
	char *const *env; /* "K=V", over those of the spec */
	size_t nenv;
	const char *cwd, *user; /* NULL: the spec's */
	bool tty, main;
	bool or_sh; /* where argv[0] is not there: sh in its place */
	uint16_t rows, cols;
	struct {
		enum stdio_kind kind;
		int fd; /* borrowed */
	} io[3];
	const int *fds; /* also there inside, under the same numbers; 3 or more */
	size_t nfds;
	uint64_t timeout_ms;
	const char *job; /* of a job: its name; NULL: the keeper chooses */
	uint64_t keep;	 /* likewise: bytes of output that are kept */
};

struct run;

/* One direction of bytes that the caller's process carries: a regular file given as a standard
 * descriptor would be reopened with more rights through /proc/self/fd. */
struct relay {
	int from, to; /* -1: nothing to do (any more) */
	bool own_from, own_to;
};

struct proc {
	struct proc *next;
	struct box *box;
	uint32_t id;
	bool done;
	struct exited end;
	int io[3];  /* our ends of pipes; -1 */
	int pty;    /* our end of its terminal; -1 */
	bool wants_pty;
	struct relay relays[3];
	int lost; /* errno of what was written and could not be carried on; 0: nothing */
};

enum proc_end { END_EXIT, END_SIGNAL, END_TIMEOUT, END_FAULT, END_DIED };

/* Attached: it ends with the program that made it. Detached: it lives until it is deleted, others can attach, and when it
 * has ended it can be started again. With that, bit by bit: what has ended is gone; who made it starts a job in it, or it
 * ends with him still. Once: attached, and for one main command. */
enum box_life { BOX_ATTACHED, BOX_DETACHED = 1, BOX_UNTIL_END = 2, BOX_FOR_JOB = 4, BOX_ONCE = 8 };

/* Starts a sandbox. @wait: until commands can run (otherwise a failure is told by the first call
 * that needs it). */
int box_start(struct home *h, const struct spec *s, bool wait, enum box_life life, struct box **ret,
	      struct err *e);

/* The same on layers of the store, above those of its root file system. */
int box_start_on(struct home *h, const struct spec *s, const struct stack *on, bool wait, enum box_life life,
		 struct box **ret, struct err *e);

/* A handle of a detached sandbox; and the end of a handle, not of the sandbox. */
int box_attach(struct home *h, const char *name, struct box **ret, struct err *e);
void box_close(struct box *b);

/* ---- what the keeper does for a while (op.h) -------------------------------------------------- */

/* Each has a form that begins it. *ret is to be freed, which waits for its end; whoever waits for that must not begin another
 * with the same box meanwhile: BUSY. */
struct op;
/* Return: 1 it is done, 0 not yet, or less than 0: it failed. @timeout_ms -1: never, 0: only look. */
int op_wait(struct op *o, int timeout_ms, struct err *e);
int op_fd(struct op *o, struct err *e); /* readable when there is something to look at */
void op_free(struct op *o);
const char *op_text(const struct op *o, size_t *ret_len); /* what came of it; NULL: nothing is to be told */
size_t op_boxes(struct op *o, struct box **ret);	  /* of a fork: the new ones, which are the caller's then. How many */

int box_ready_start(struct box *b, struct op **ret, struct err *e); /* done when it is ready */

/* Back to how it was right after start: files, processes, everything inside; or files only. */
int box_reset(struct box *b, bool keep_processes, struct err *e);
int box_reset_start(struct box *b, bool keep_processes, struct op **ret, struct err *e);

/* ---- snapshots -------------------------------------------------------------------------------- */

struct snapshot_listed {
	char name[256], parent[256]; /* parent "": it grew from the start */
	int64_t created_s;	     /* since 1970 */
	uint32_t layers;	     /* that it stands on */
	bool present;		     /* the present comes from it */
};

/* @tag NULL: the next number. */
int box_snapshot(struct box *b, const char *tag, char **ret_name, struct err *e);
int box_snapshot_start(struct box *b, const char *tag, struct op **ret, struct err *e); /* its text: the name */
/* @name NULL: the one that was made last. */
int box_restore(struct box *b, const char *name, bool keep_processes, struct err *e);
int box_restore_start(struct box *b, const char *name, bool keep_processes, struct op **ret, struct err *e);
int box_snapshots(struct box *b, struct snapshot_listed **ret, size_t *ret_n, struct err *e);
int box_snapshot_delete(struct box *b, const char *name, struct err *e);
/* Records "A /path" (added), "C" (changed), "D" (removed), each with its NUL. @from NULL: the start; @to NULL: how
 * it is now. */
int box_diff(struct box *b, const char *from, const char *to, char **ret, size_t *ret_len, struct err *e);
int box_diff_start(struct box *b, const char *from, const char *to, struct op **ret, struct err *e); /* its text: those */
/* @n new sandboxes on the files of @b (@snapshot NULL: as they are now), with these names (NULL: made up). All, or none. */
int box_fork(struct box *b, const char *snapshot, const char *const *names, size_t n, enum box_life life,
	     struct box **ret, struct err *e);
int box_fork_start(struct box *b, const char *snapshot, const char *const *names, size_t n, enum box_life life,
		   struct op **ret, struct err *e);

/* The one of that name, stopped or dead, goes on with its files. One that runs already is attached to. */
int box_start_stopped(struct home *h, const char *name, bool wait, struct box **ret, struct err *e);

/* For that: with its name, @lock, which it takes over as @spec. */
int box_start_again(struct home *h, struct spec *spec, int lock, bool was_clean, bool wait, struct box **ret,
		    struct err *e);

/* The stop signal to all commands in it, and the end when they have ended, or after @timeout_ms (-1: never);
 * its files are kept. The handle is still to be closed. */
int box_stop(struct box *b, int timeout_ms, struct err *e);
/* A signal to the main command, where there is one, else to all commands. SIGKILL stops it. */
int box_kill(struct box *b, int sig, struct err *e);
/* One that does not run, with all it has written. */
int box_remove(struct home *h, const char *name, struct err *e);

enum box_state { BOX_RUNNING, BOX_STOPPED, BOX_DEAD };

struct box_listed {
	char name[256];
	enum box_state state;
	bool detached, kept;
	unsigned snapshots;
	int64_t since_s; /* start, seconds since 1970; of a stopped one: when it was made */
};
int box_list(struct home *h, struct box_listed **ret, size_t *ret_n, struct err *e);
/* The keeper's pid; 0: not known. What the processes of its sandbox have in memory that is no file's. */
pid_t box_keeper_pid(struct home *h, const char *name);
pid_t box_pid_of(int pidfd); /* 0: it is of no process, or of one that cannot be seen */
uint64_t box_memory(pid_t keeper);
int box_wait_ready(struct box *b, struct err *e);

int box_exec(struct box *b, const struct exec_ask *ask, struct proc **ret, struct err *e);

/* Until the command has ended and what it wrote was carried over, or @wake_fd (-1: none) is
 * readable; @timeout_ms -1: for ever. Return: 1 ended, 0 not yet, or an error. */
int proc_wait(struct proc *p, int timeout_ms, int wake_fd, struct err *e);
int proc_signal(struct proc *p, int sig, bool group, struct err *e);
void proc_free(struct proc *p);
/* As `docker run` has it: its own; 128 + a signal; 124 timed out; 127, 126, 125 it was not run. */
int proc_exit_code(const struct exited *x);

/* ---- runs ------------------------------------------------------------------------------------- */

struct run_ask {
	const char *text; /* for a shell; NULL: argv */
	size_t len;
	char *const *argv;
	size_t argc;
	char *const *env; /* "K=V", over those of the spec */
	size_t nenv;
	const char *cwd;     /* NULL: the spec's; in a session: where it is */
	const char *session; /* NULL: none */
	uint64_t timeout_ms; /* 0: none */
	bool clean;	     /* a new shell, whose result nothing inside can forge */
	bool apart;	     /* standard error by itself */
	uint64_t cap;	     /* bytes kept of each; more is cut out of the middle */
	void (*on_output)(void *arg, int which, const char *data, size_t len); /* NULL: it is kept */
	void *arg;
	const void *input; /* what it can read; then @clean is set. NULL: nothing */
	size_t input_len;
};

enum run_end { RUN_EXIT, RUN_SIGNAL, RUN_TIMEOUT, RUN_FAULT, RUN_SHELL_DIED };

struct run_result {
	enum run_end end;
	int exit_code, signal;
	uint64_t ns;
	bool counted; /* the kernel told these */
	uint64_t user_us, system_us, maxrss_kb;
	struct err e; /* RUN_FAULT: why */
};

int run_start(struct box *b, const struct run_ask *ask, struct run **ret, struct err *e);
/* As proc_wait(). */
int run_wait(struct run *r, int timeout_ms, int wake_fd, struct err *e);
/* Return: readable when run_wait(…, 0, …) may have something to do; belongs to the run. Or an error. */
int run_fd(struct run *r, struct err *e);
void runs_told(struct box *b); /* something came for one of them */
/* Ends what runs, as a timeout would: the tree of the command, not the shell. */
int run_stop(struct run *r, struct err *e);
void run_result(const struct run *r, struct run_result *ret);
/* @which: 1 or 2. What is kept belongs to the run. Return: 0, or NOMEM. */
int run_output(struct run *r, int which, struct run_output *ret, struct err *e);
void run_free(struct run *r); /* also one that has not ended: it is stopped */

/* ---- jobs ------------------------------------------------------------------------------------- */

/* A part of a job's output, from the offset @from on; belongs to the box until the next answer. */
struct job_output {
	const char *data; /* with a NUL behind it */
	size_t len;
	uint64_t from;
};

/* @ask: without descriptors. Until it runs, or cannot be executed. */
int job_start(struct box *b, const struct exec_ask *ask, struct job_facts *ret, struct err *e);
/* Whatever struct job_ask can ask about one; ret_out may be NULL. */
int job_ask(struct box *b, const struct job_ask *ask, struct job_facts *ret, struct job_output *ret_out,
	    struct err *e);
/* Until it has ended, or (@from not UINT64_MAX) written more than that. As proc_wait(). Return: 1, 0 not yet. */
int job_wait(struct box *b, const char *id, uint64_t from, int timeout_ms, int wake_fd, struct job_facts *ret,
	     struct job_output *ret_out, struct err *e);
int job_list(struct box *b, struct job_facts **ret, size_t *ret_n, struct err *e);

/* Ends everything in it, and removes what it left. Frees @b, also on failure. */
int box_delete(struct box *b, struct err *e);
int box_delete_start(struct box *b, struct op **ret, struct err *e); /* whose the box is then, if that succeeds */

/* ---- between the files of this room ----------------------------------------------------------- */

/* Takes what the keeper says. @timeout_ms as in poll(). Return: 1 something was said, 0 nothing,
 * DIED the keeper is gone (b->dead). */
int box_talk(struct box *b, int timeout_ms, struct err *e);

/* As msg_send(), to the keeper; takes what it says as long as it hears nothing. */
int box_say(struct box *b, const struct msg_head *head, const void *body, size_t len, const int *fds,
	    unsigned nfds);

/* The keeper does not take what is sent to it: takes its last words, until it is dead. Return: why. */
int box_gone(struct box *b, struct err *e);

/* box_say(), for whom it matters. Return: 0, or an error; of a keeper that has ended, why. */
int box_ask(struct box *b, const struct msg_head *head, const void *body, size_t len, const int *fds, unsigned nfds,
	    struct err *e);

/* end.c: kills it, and waits for its end. */
int box_end_keeper(struct box *b, struct err *e);

/* start.c: a name that is made up, behind @before; the host name of a sandbox of that name (NULL: no memory). */
int start_make_name(const char *before, char **ret, struct err *e);
char *start_hostname(const struct spec *spec, const char *name);
/* A sandbox that nobody has asked for, as far as it comes by itself. */
int start_twin(struct home *h, const struct spec *spec, bool later, struct box **ret, struct err *e);

/* twin.c: one that was made like this @spec before it was asked for, or NULL; makes the next one, where this is the second
 * that is asked for in a row; the end of the one that waits. */
struct box *twin_take(struct home *h, const struct spec *spec, bool wait);
void twin_next(struct home *h, const struct spec *spec);
void twin_drop(struct home *h);
bool twin_waits(struct home *h);
bool twin_any(const struct home *h); /* whether there are some in the state directory, whosever they are */

/* place.c: *ret_lock is to be handed to the keeper. EXISTS: also by one that is kept. */
int place_take(struct home *h, const char *name, int *ret_lock, struct err *e);
/* The name of one that is kept and does not run; of any that does not run. NOT_FOUND; EXISTS: it runs. */
int place_take_kept(struct home *h, const char *name, int *ret_lock, struct err *e);
int place_take_any(struct home *h, const char *name, int *ret_lock, struct err *e);
/* Of one whose keeper has the name @from. @has_upper: boxes/NAME is there. On failure it is called as before. */
int place_rename(struct home *h, const char *from, const char *to, bool has_upper, struct err *e);
/* The end of having it. Closes @lock; -1: it was not had. */
void place_let_go(struct home *h, const char *name, int *lock);
void place_give_back(struct home *h, const char *name, bool has_files); /* @has_files: of attach.c */
/* Whether the name whose directory is @dir belongs to a sandbox that lives. */
bool place_held(int dir);
/* Whether a sweeper is removing it, or has. */
bool place_being_removed(int dir);
int place_upper_take(struct home *h, const char *name, struct err *e);
bool place_upper_reuse(struct home *h, const char *name); /* false: there is none, and nothing of that name */
void place_upper_give_back(struct home *h, const char *name);
void place_generation_give_back(struct home *h, const char *name, uint32_t number);
void place_sweep(struct home *h);
/* Names and directories that wait to be used again: moves them to the trash. */
void place_drop_unused(struct home *h);
/* Where other names than ours are taken, some may be of the dead: looks from time to time. */
void place_sweep_others(struct home *h);

/* kept.c: the record of a sandbox that can be started again. Who writes has its name. */
bool kept_is(struct home *h, const char *name);
bool kept_is_clean(struct home *h, const char *name);
int64_t kept_since(struct home *h, const char *name); /* seconds since 1970 */
int kept_write(struct home *h, const char *name, const struct spec *spec, struct err *e);
/* A descriptor of the record, for the keeper: as long as he has it nobody else gets one, also where the state directory, with the
 * lock of the name, was removed. Waits for one who is about to end. */
int kept_hold(struct home *h, const char *name, struct err *e);
int kept_read(struct home *h, const char *name, struct spec *spec, struct err *e);
int kept_json(struct home *h, const char *name, char **ret, struct err *e);
int kept_root(struct home *h, const char *name, char *ret, size_t room); /* a directory, or "host" */
int kept_set_clean(struct home *h, const char *name, struct err *e);
int kept_set_unclean(struct home *h, const char *name, struct err *e);
/* Of one that is stopped, in the order of their start; *ret: to be freed. */
int jobs_kept_list(struct home *h, const char *name, struct job_facts **ret, size_t *ret_n, struct err *e);
int jobs_kept_output(struct home *h, const char *name, const char *id, struct job_facts *ret, char **ret_data, struct err *e);
void kept_forget(struct home *h, const char *name);
/* What its next keeper goes on with: layers, those that a reset goes back to, and the generation of its changes,
 * made ready for that. */
struct kept_state {
	struct stack now, base;
	uint32_t generation; /* 0: the first */
	bool continued;	     /* it has changes */
};
int kept_state(struct home *h, const char *name, struct kept_state *ret, struct err *e);
void kept_state_done(struct kept_state *s);
int kept_refuse(struct home *h, const char *name, struct err *e); /* DIED, with the way out */

/* attach.c: a connection, or -1. */
int attach_connect(struct home *h, const char *name);

/* attach.c: the socket and the spec of a detached sandbox, which when it has ended is gone or not. */
int attach_listen(struct home *h, const char *name, const struct spec *spec, bool until_end, int *ret_listen, struct err *e);
bool attach_until_end(int dir); /* of its directory among the state: that it is */

/* env.c: the environment of a command. *ret is to be freed; most of its strings are those of @b and @ask. */
int env_build(const struct box *b, const struct exec_ask *ask, char ***ret, size_t *ret_n,
	      bool *ret_home_missing, struct err *e);

/* shell.c: a shell of this handle's, or a session, as the caller has it. */
struct shell {
	struct shell *next;
	char *session; /* NULL: the warm one */
	uint32_t id;
	bool given, ready, dead, busy;
	bool confused; /* of the warm one: nobody knows which text it has */
	bool silent; /* nobody is left who could say something: it ends, which the keeper will tell */
	bool deaf; /* takes nothing any more: the keeper will say that it has ended */
	bool ahead; /* it was started before anybody asked for one */
	bool bash;	 /* else a plain sh; known when it is ready */
	bool one_cpu;	 /* is all that the caller may use */
	unsigned unlucky, pass_over; /* run.c, look_out() */
	bool by_length;	 /* it can be told how long a text is, and reads that in one go: bash 5 */
	bool loaded;	 /* it has what src/bash/ made, and reads any request in one go */
	bool runner;	 /* no shell at all: hutch-init, which starts programs (inside/runner.c) */
	bool refused;	 /* by that: the last run has not begun */
	struct exited ran; /* by that: the last run, if it was words */
	bool moved;	 /* it stands in a file tree that was replaced: it must go there again */
	int ends[SHELL_ENDS];
	uint64_t begun, done; /* runs */
	uint64_t ends_heard;  /* by its own count; 0: none was */
	uint64_t name;	      /* of the last run, for its files */
	uint64_t since_ns;    /* when that began */
	int32_t inside;	 /* the process that waits for the next text, as the inside sees it; 0: itself */
	int32_t after;	 /* likewise: who came in its place, when it had left and there was a text; 0: nobody */
	char *cwd;	 /* of a session after its last run; NULL: not known */
	int status;	 /* of the last run */
	unsigned kills;	 /* asked for and not yet done: it may hit what runs next */
	struct exited end; /* once it is dead */
	char record[SHELL_CWD_MAX + 64];
	size_t nrecord;
	char said[200]; /* by the warm one of how what it ran ended; empty: nothing */
	bool names_it;	/* it is to be followed by what that was */
};

/* The shell, started where it is not there, that is free to run something. Not there, and busy: *ret is
 * NULL. */
int shell_take(struct box *b, const char *session, bool apart, struct shell **ret, struct err *e);
void shell_give(struct box *b, struct shell *s); /* free again */
/* For words, or a text that is one program with plain ones: what starts it without a shell or the keeper, or NULL; not for the
 * first two of those. */
struct shell *shell_take_runner(struct box *b, bool text);
bool shell_unread(const struct shell *s); /* it has not taken all that was sent */
bool shell_behind(const struct spec *spec); /* whether one starts behind the entrypoint */
char *shell_name_of(const struct spec *spec); /* what is tried first; not to be changed */
int shell_begin(struct box *b, struct shell *s, bool apart, struct err *e); /* asks the keeper for one */
/* Of a sandbox that was nameless: its warm shells find its host name in a file of this name when the first text comes. */
#define SHELL_HOSTNAME "host"
enum { SHELL_LENGTH = 1 }; /* in place of a text: its length follows, then a NUL and the text */
int shell_name(struct box *b, struct err *e); /* for all that are there */
void shell_ask_ahead(struct box *b); /* one is started, and nobody waits for it */
void shell_ask_early(struct box *b); /* the same with the sandbox, where those before it were asked for one */
/* Takes records that are there. Return: 1 the run has ended, 0 not yet, DIED. */
int shell_read(struct shell *s);
/* text.c: what a shell (@bash: is it one?) is given before the text itself, @moved: to go to its directory again. *ret_whole: and
 * with it, there is nothing more to give. And by a file. */
int text_before(struct buf *b, const struct run_ask *ask, bool moved, bool bash, bool *ret_whole, struct err *e);
/* The length of its first word, where it is a name of one program, with its words and redirections; 0: it may be more. */
size_t text_program(const char *text, size_t len);
/* The words of such a text, each with a NUL behind it, are added to @ret, and their number told; 0: a shell makes more of it
 * than that. And whether that holds with this environment. */
unsigned text_words(struct buf *ret, const char *text, size_t len);
bool text_env_is_plain(const struct spec *spec);
int text_file(int dir, const char *name, const struct buf *text, struct err *e);
/* What it runs, begun @age_ns ago; and the shell, with @whole. */
int shell_kill(struct box *b, struct shell *s, uint64_t age_ns, bool whole, struct err *e);
int shell_continue(struct box *b, struct shell *s, struct err *e); /* if somebody inside has stopped it */
int shell_sweep(struct box *b, struct shell *s, uint64_t age_ns, struct err *e); /* what it has left, where it was killed */
/* The keeper's words on shells. */
void shell_given(struct box *b, struct msg *m);
void shell_killed(struct box *b, const struct msg *m);
bool shell_exited(struct box *b, const struct msg *m);
bool shell_all_wait(struct box *b); /* no text runs in any, or is on its way */
void shell_drop_all(struct box *b);
void shell_drop_mounts(struct box *b); /* only what they hold of those; none can be used any more */

/* After the root was replaced under them they stand in the old one. */
void shell_moved(struct box *b);

/* snapshot.c: the keeper's word; after a reset. */
void layers_given(struct box *b, struct msg *m);
void layers_on(struct box *b, const struct msg *m);
int snapshots_at_start(struct box *b, struct err *e);

/* files.c: one operation on a file of the inside; see wire/plan.h. @path: absolute; @other: as the operation
 * has it, or NULL. */
struct file_answer {
	int fd; /* of FILE_OPEN */
	char *text; /* of FILE_READLINK */
	struct file_facts facts;
};
int box_file(struct box *b, const struct file_ask *a, const char *path, const char *other,
	     struct file_answer *ret, struct err *e);
void file_answer_done(struct file_answer *a);
void files_given(struct box *b, struct msg *m); /* the keeper's word */

/* copy.c: a file or a tree. *ret_left_out: how many sockets and devices were left out. */
enum copy_flags {
	COPY_EXACT = 1 << 0, /* to that very name, also where that is a directory */
	COPY_PARENTS = 1 << 1, /* in: make the directories above */
	COPY_FOLLOW = 1 << 2, /* where what is named is a link, what it leads to */
};
int box_copy_in(struct box *b, const char *host, const char *path, unsigned flags, long *ret_left_out,
		struct err *e);
int box_copy_out(struct box *b, const char *path, const char *host, unsigned flags, long *ret_left_out,
		 struct err *e);

/* job.c: the keeper's word; and the end of the handle. */
void job_answered(struct box *b, struct msg *m);
void job_drop_all(struct box *b);

/* exec.c: the message that starts a command. */
int exec_pack(struct buf *blob, const struct box *b, const struct exec_ask *ask, struct err *e);

/* Output that is not waited for any more goes to the keeper. Closes @fd. */
void box_drain(struct box *b, int fd);

/* A line on stderr for each step of a start, when HUTCH_TRACE=1. */
void box_trace(const struct box *b);

#endif
