/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper.h - what the files of inside/ share: the keeper's state and who does what
 *
 * hutch-init is three processes in one program:
 *	nursery	one per caller; keepers are born from it (nursery.c). A caller with one sandbox
 *		has none and starts the keeper himself
 *	keeper	one per sandbox, pid 1 of an outer pid namespace; holds storage and powers,
 *		nothing inside can name it (keeper.c, storage.c, exec.c, who.c)
 *	reaper	pid 1 as seen from inside; helps to build what the inside sees, then only reaps
 *		(generation.c, root.c)
 * and a fourth, the sweeper, that removes what sandboxes left (sweep.c). Inside, as one of the commands, it may be a
 * fifth, the runner, which starts programs where no shell is needed for that (runner.c), and a sixth, the starter, which
 * begins commands in the keeper's place (starter.c).
 */
#ifndef HUTCH_INSIDE_KEEPER_H
#define HUTCH_INSIDE_KEEPER_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "wire/job.h"
#include "wire/msg.h"
#include "wire/pack.h"
#include "wire/plan.h"
#include "wire/stack.h"

enum { SPACES_MAX = 6 };

/* A generation: what a reset throws away. */
struct generation {
	pid_t pid; /* of the reaper; 0: none */
	int pidfd;
	const struct stack *on; /* the layers below its changes */
	int root;  /* its overlay, until the reaper has it */
	int pts;   /* its devpts: terminals are had from this, never by a path of the inside */
	int proc, mqueue; /* attached nowhere yet; -1: whoever builds the root makes them */
	/* Its namespaces, in the order of generation.c's list, for entering and coming back. They are
	 * held: who leaves one last tears it down, while somebody waits for him. */
	int spaces[SPACES_MAX];
	int nspaces;
	int pid_space; /* index of the pid namespace */
	int user; /* the nested user namespace; -1: none */
	int news;      /* socket on which the reaper reports; -1: it has */
	int in_use;    /* its directory of changes, locked while an old one's mounts end; -1: it is not */
	unsigned number;
	bool orphans;	/* a command of it has ended: what that has left behind is the reaper's */
	bool continued; /* its changes are there: of an earlier keeper, or of an earlier one of its number */
};

/* Somebody who may ask for things: the caller who made the sandbox, or who attached to it. */
struct client {
	struct client *next;
	int fd;
	bool follows; /* he has asked for more output of a job, and was not told its end yet */
	struct unsent *unsent; /* what he does not take yet (client.c); NULL: nothing, and he is heard */
};

/* A command that was started. */
struct slot {
	struct slot *next;
	struct client *client; /* who is told; NULL: he has gone */
	uint32_t id;
	pid_t pid;
	int pidfd;
	int news; /* closes at exec; a struct err comes when it fails. -1: looked at */
	uint64_t began_ns;
	uint64_t exec_by_ns; /* killed when it has not exec'ed by then */
	uint64_t end_by_ns;  /* 0: no timeout */
	uint32_t flags;	     /* enum call_flags */
	pid_t reaper;	     /* of its generation */
	bool timed_out, stuck;
	struct waiting *waiting; /* handed on to the starter, and not heard of yet: pid is 0; NULL: it is not */
	uint32_t number;	 /* by which it knows it; 0: it has nothing to do with it */
	struct err *why;	 /* of such a one: why it could not be executed; NULL: it was, or that is not known */
	uint64_t early;		 /* signals that came before it was there, a bit each */
	bool doomed;		 /* and to be killed with all that it started */
	bool not_begun;		 /* the starter could not */
	unsigned seconds;	 /* for which it has been waited that it execs */
};
#define EARLY(sig) ((sig) > 0 && (sig) <= 64 ? UINT64_C(1) << ((sig) - 1) : 0)

struct unsent;	/* client.c */
struct shell;	/* shell.c */
struct ahead;
struct working; /* work.c */
struct waiting; /* hand_on.c */
struct job;	/* jobs.c */

enum { DRAINS_MAX = 64, HELPERS_MAX = 250, JOBS_MAX = 256, LEAVING_MAX = 16, ENDING_MAX = 4, LATER_MAX = 64 };

struct keeper {
	struct prepare prep;
	struct msg start; /* the message that brought the plan, and owns what came with it */
	struct pack pack;
	const struct plan *plan;
	int ctl;    /* socket of who made the sandbox */
	int owner;  /* pidfd; -1: the sandbox lives on without him */
	int listen; /* where others attach; -1: nowhere */
	int up;	    /* the directory for changes of one that can be started again (present.c); -1: it cannot */
	struct client *clients;
	int proc;     /* O_PATH of the keeper's own, never masked proc: everything goes below it */
	int home_mnt; /* the keeper's own mount namespace */
	int self;     /* pidfd of the keeper: the way back to its pid namespace for children */
	cpu_set_t cpus; /* on which we may run */
	bool net_joined, net_set; /* set: its sysctls, and nobody inside could change them */
	int sysfs; /* of our network, attached nowhere; -1: it is in the storage, or there is none */
	int storage;  /* root of the storage's tmpfs, until the caller's tree below it is dropped; then -1 */
	int callers_root; /* likewise, the root of that */
	bool spent;   /* the sandbox is for one command, or that was started: no other generation, no shells */
	char hostname[256];
	struct {
		int storage, hostname, hosts; /* where that stands which its name decides; -1: it has one */
	} nameless;
	char **targets; /* where each mount of the plan goes, links resolved */
	bool tmpfs_lower; /* the generated layer is there */
	bool undropped; /* the storage lies on the root that was built from it still (root.c): nothing of the inside may run */
	struct stack base, stack; /* layers above those of the plan: right after start, and now */
	struct generation now, spare; /* spare.pid 0: none; now.pid 0: it has not begun, or has ended */
	struct generation left;	      /* the one before, as long as its namespaces are held (reset.c) */
	bool has_left;
	unsigned numbers; /* of generations so far */
	pid_t leaving[LEAVING_MAX]; /* processes that only end, with the namespaces of old ones (reset.c); 0: none */
	pid_t ending[ENDING_MAX]; /* reapers of generations whose end nobody has waited for; 0: none */
	int later[LATER_MAX], nlater; /* mounts that are closed when the old generation is (reset_close) */
	uint64_t full_until_ns; /* nobody more is welcomed until then; 0: now */
	bool for_job; /* no job has begun yet: it is its maker's still */
	bool want_spare;
	uint64_t heard_ns; /* when anybody wanted anything last */
	bool lean;	   /* no memory is kept for what comes next: serve.c */
	uint64_t began_ns, quiet_until_ns; /* when the present generation did, and what is put off till then (reset.c) */
	bool want_ahead; /* the spare is ready, and only now it is known which shell is wanted */
	struct slot *slots;
	struct shell *shells;
	struct working *working;
	struct ahead *ahead; /* how a shell was asked for last (shell.c); NULL: none was */
	struct job *jobs;
	struct {
		pid_t pid;	 /* 0: there is none */
		pid_t leaves;	 /* that of the generation before, which has been killed; 0: it has ended */
		pid_t ended;	 /* while it is heard: who has ended already; 0: nobody */
		int sock, theirs; /* both ends, made before the network is, in which they would be seen; -1: it can have none */
		unsigned plain;	 /* commands of this generation that it could have started */
		unsigned waiting; /* slots */
		struct waiting *free;	 /* for the next slot that waits; NULL: none */
		uint32_t number, before; /* the last; that before this starter */
		uint64_t key;	 /* with which the filter lets it make our children; 0: it does not */
		bool want, never, listen, hearing, lost; /* never: not in this generation */
	} starter;
	int fifos, fifos_ro; /* mounts of one small tmpfs, attached nowhere; -1 until there is a shell */
	int drains[DRAINS_MAX], ndrains;
	pid_t helpers[HELPERS_MAX]; /* files.c */
	int nhelpers;
	uint64_t marks[READY_MARKS];
	uint64_t stop_by_ns; /* when it ends at the latest; 0: it is not being stopped */
	uint64_t look_ns;    /* when to look whether it has its name still */
};

enum mark {
	MARK_ASKED, MARK_RUNS, MARK_IDS, MARK_DEV, MARK_PROC, MARK_PLAN,
	MARK_TREES, MARK_PLACES, MARK_OVERLAY, MARK_NET,
	MARK_GENERATION, MARK_MOUNTS, MARK_GPROC, MARK_PIVOT, MARK_READY,
};

/* begin.c: leave behind what comes from whoever started us; *ret_sock is what is left of it. With a failure,
 * too, there is a socket on which to tell it. */
int inside_begin(const char *name, int sock, int *ret_sock, struct err *e);
/* The caller's resource limits. Our own hard ones are higher where that could be, so that a sandbox of root
 * can be given more than root has; whoever execs gets these back first. */
extern struct rlimit callers_limits[RLIM_NLIMITS];

/* What hutch-init is started as; @sock leads to who did it. nursery.c, keeper.c, sweep.c */
void nursery_main(int sock) __attribute__((noreturn));
void keeper_alone(int sock) __attribute__((noreturn));
void sweeper_alone(int sock) __attribute__((noreturn));
void runner_main(int sock) __attribute__((noreturn)); /* runner.c: no socket */
void runner_hide(const char *name);		      /* nothing inside can look into us any more, or we end */
/* Nobody has changed what commands inherit of us, since the first call. @limits: those that we should have (NULL: had then). */
bool runner_stands(const struct rlimit *limits);
void starter_main(int sock) __attribute__((noreturn)); /* starter.c: likewise */
enum { RUNNER_CAP = 19 }; /* CAP_SYS_PTRACE: with it alone may one look into whoever has it */

/* keeper.c: in the fresh child of the nursery. @go: when it has its ids; -1: it has. */
void keeper_main(const struct prepare *prep, int ctl, int owner, int go, uint64_t asked_ns)
	__attribute__((noreturn));

void keeper_serve(struct keeper *k) __attribute__((noreturn)); /* serve.c */

/* The end of all. @by_itself: nobody has asked for it. */
void keeper_end(const struct keeper *k, bool by_itself) __attribute__((noreturn));
int keeper_null(const struct keeper *k); /* begin.c: /dev/null, of whoever gets it: what of it is locked or changed ends with him. -1: errno */
bool keeper_welcome(struct keeper *k); /* takes who wants to be a client; false: there is no room for him */
void keeper_reaped(struct keeper *k, pid_t pid, int status, const struct rusage *ru); /* of a child that was waited for, with 0 */

/* storage.c: the keeper's mount namespace: what needs no plan, what does; open: for coming back to it.
 * Close, when there is time: afterwards no path of the host is there any more, and where no generation will
 * follow, nothing; after a failure it is open still where it can be tried again. sysfs: takes its place there when it comes. */
int storage_prepare(struct keeper *k, struct err *e);
int storage_build(struct keeper *k, struct err *e);
int storage_open(struct keeper *k, struct err *e);
bool storage_is_open(const struct keeper *k);
int storage_close(struct keeper *k, struct err *e);
/* At @at, "sys" or the like. Takes @made over. */
int storage_sysfs(const struct keeper *k, int made, const char *at, struct err *e);

/* net.c: loopback up; a namespace with its sysfs, made by the first reaper, and the keeper's step into it;
 * the plan's sysctls. */
enum { NET_NAMESPACE, NET_SYSFS, NET_MADE };
int net_up(struct err *e);
int net_make(struct err *e);
int net_finish(int fds[NET_MADE], struct err *e);
int net_join(struct keeper *k, struct generation *g, struct err *e);
int net_sysctls(struct keeper *k, struct err *e); /* in a generation; those of the network only where they may have changed */

/* place.c: the generated layer, and where mounts go. */
int place_all(struct keeper *k, struct err *e);

/* twin.c: its name, which the plan did not have. */
void twin_named(struct keeper *k, struct client *c, const struct msg *m);

/* generation.c, first.c. The first: begin, has_ids, build, finish, enter; the network comes while it is built. A later
 * one gets its number from init and needs root_overlay(); then start, finish, enter. */
int generation_begin(struct keeper *k, struct generation *g, struct err *e);
int generation_has_ids(const struct keeper *k, struct generation *g, struct err *e);
int generation_build(struct keeper *k, struct generation *g, struct err *e);
int generation_begun(struct keeper *k, struct generation *g, struct err *e);
int generation_network(struct keeper *k, struct generation *g, int fds[NET_MADE], struct err *e);
void generation_init(struct keeper *k, struct generation *g, const struct stack *on);
int generation_start(struct keeper *k, struct generation *g, struct err *e);
int generation_finish(struct keeper *k, struct generation *g, struct err *e);
int generation_enter(struct keeper *k, struct generation *g, struct err *e);
int generation_stand(struct keeper *k, struct err *e); /* in the present one, from another */
int generation_return(struct keeper *k, struct err *e); /* into the present one, from home: see reset_go_home() */
void generation_kill(struct generation *g);

/* overlay.c: directories for changes below @name; an overlay of @n lower directories (topmost first), attached
 * nowhere (@p NULL: read-only); that of a generation. Paths are relative to the storage, in which we stand. */
struct places {
	char upper[64], work[64];
};
int overlay_places(const char *name, struct places *p, struct err *e);
int overlay_make(const char *const *lowers, unsigned n, const struct places *p, struct err *e);
int root_overlay(struct keeper *k, struct generation *g, struct err *e);
bool overlay_unwritten(const struct keeper *k); /* at home: the present one is as its topmost layer, where it has one */
/* Read-only, without the generated layer; @top: a directory above the stack, "": none. */
int overlay_view(struct keeper *k, const struct stack *stack, const char *top, struct err *e);
void overlay_reopen(const char *name); /* its mount is gone, and there will be another */
void root_overlay_done(struct keeper *k, const struct generation *g); /* at home; its tmpfs */

/* root.c: in a generation's mount namespace, the file tree that the inside sees. */
int root_attach(struct generation *g, struct err *e);
int root_build(struct keeper *k, struct generation *g, struct err *e);
int root_drop(struct keeper *k, struct err *e); /* the storage, from which it was built */

/* reset.c: the next generation, or the next one on other layers; a spare one, when nothing else is to do. */
int reset_go_home(struct keeper *k, struct err *e);
void reset_run(struct keeper *k, struct client *c, const struct msg *m);
int reset_outlive(struct keeper *k, struct err *e); /* until the present one, whose reaper is dying, has ended */
int reset_revive(struct keeper *k, struct err *e); /* if the present one has ended: anew on its changes */
/* The present generation begins, and somebody waits for what it will do first. */
void reset_begins(struct keeper *k, uint64_t now_ns);
/* Is there something to be made ready, or to be put away, now? *due_ns: as that of exec_due(). */
bool reset_is_due(const struct keeper *k, uint64_t now_ns, uint64_t *due_ns);
void reset_prepare(struct keeper *k);
void reset_spare_reports(struct keeper *k);
void reset_spare_ended(struct keeper *k); /* the next reset builds anew */
void reset_close(struct keeper *k, int mount); /* -1: nothing. During a reset not yet: the kernel takes its time */
/* Kills what is inside. Return: true, nobody need wait for its end: it only waited, and could change nothing that anybody else has; nor
 * can another client say that there is more. false: it may be alive. */
bool reset_end(struct keeper *k);
/* Nothing lives inside any more: its directory of changes is locked for as long as its mounts end, which is what
 * reset_let_go() waits for. *ret_lock -1: it has none. Return: false, it could not be. */
bool reset_abandon(struct keeper *k, int *ret_lock);
void reset_let_go(struct keeper *k, int *lock);
bool reset_leaves(const struct keeper *k, pid_t pid); /* is it one that only ends? */
bool reset_left(struct keeper *k, pid_t pid);	      /* likewise, or the reaper of one that was left; it has ended */
void reset_settle(struct keeper *k); /* until nothing of an earlier generation lives: what lives then is of the present one */

/* child.c: what commands may use at most. @limits: RLIM_NLIMITS of them. */
void child_limits_are(const struct keeper *k, struct rlimit *limits);

/* exec.c */
/* @cwd_last: where it starts if that is there, NULL: where the call says. */
int exec_start(struct keeper *k, struct client *c, struct msg *m, const char *cwd_last,
	       struct err *e);
pid_t exec_pid(const struct keeper *k, const struct client *c, uint32_t id); /* 0: no such command */
/* Another client is told how it ends. */
void exec_assign(struct keeper *k, pid_t pid, struct client *c, uint32_t id);
void exec_signal(struct keeper *k, const struct client *c, uint32_t id, uint32_t arg); /* of OP_SIGNAL */
void exec_forget(struct keeper *k, const struct client *c); /* he has gone; what he started is killed */
void exec_ended(struct keeper *k, pid_t pid, int status, const void *rusage);
/* Has it exec'ed? 1 yes, 0 not yet, -1 it could not: then exec_ended() says why. */
int exec_began(struct keeper *k, pid_t pid);
int exec_news(const struct keeper *k, pid_t pid); /* what tells that; -1: it is known */
/* The same of the one command of a sandbox. Before its exec it has copies of all our descriptors: what we drop by then
 * falls to it, and the end of a mount namespace is to wait for all processors. -1: it is known, or there is no such. */
int exec_main_news(const struct keeper *k);
void exec_signal_pid(struct keeper *k, pid_t pid, int sig);
void exec_signal_early(struct slot *s, uint64_t early); /* what came before it was there */
/* Does what is due; returns when to come back (CLOCK_MONOTONIC ns), 0: nothing is due. @due_ns: so far. */
uint64_t exec_due(struct keeper *k, uint64_t now_ns, uint64_t due_ns);

/* What the starter did not begin, by ourselves. @lost: it shall not be begun any more, and is told so. */
void exec_again(struct keeper *k, struct slot *s, struct msg *m, bool lost);

/* hand_on.c: the starter, and what is handed on to it. */
enum { STARTER_SOCK = 7 };
struct starter_told { /* first of all */
	uint64_t key;
	struct rlimit limits[RLIM_NLIMITS]; /* those of commands */
};
struct starter_said {
	uint32_t number;
	int32_t error; /* 0: whoever says this is the command; or why there is none */
	struct err why; /* code != 0: it has said that before, and could not be executed */
};
/* What it needs: before anything is under the plan's filter, or in its network. */
int starter_prepare(struct keeper *k, struct err *e);
void starter_begin(struct keeper *k); /* when nothing else is to do */
/* Takes the descriptors of @m over. false: it is to be started here. */
bool starter_takes(struct keeper *k, struct slot *s, const struct call *c, struct msg *m);
/* Has it exec'ed? Of one that has begun. */
bool starter_has_done(const struct keeper *k, const struct slot *s);
void starter_hear(struct keeper *k); /* what it has said by now */
void starter_hear_of(struct keeper *k, pid_t ended); /* we have waited for that one already */
void starter_reset(struct keeper *k); /* after the end of all */
void starter_ended(struct keeper *k, pid_t pid);
void starter_lean(struct keeper *k); /* gives memory back that the next command would use */
bool starter_is(const struct keeper *k, pid_t pid);
uint64_t starter_due(struct keeper *k, uint64_t now_ns); /* as exec_due(), before it */

/* process.c: what the kernel says of one process, which may be gone. */
bool process_is_zombie(const struct keeper *k, pid_t pid); /* all of its threads */
bool process_is_busy(const struct keeper *k, pid_t pid); /* it runs, or would if it could */
bool process_is_stopped(const struct keeper *k, pid_t pid);
bool process_is_still(const struct keeper *k, pid_t pid); /* it makes no children any more: neither runs nor is about to stop */
bool process_has_socket(const struct keeper *k, pid_t pid); /* or it cannot be seen */
int32_t process_inside(const struct keeper *k, pid_t pid); /* its number as the inside sees it; 0: gone */
unsigned long long process_started(const struct keeper *k, pid_t pid); /* since boot, in hundredths of a second */

/* tree.c: a command and all that it started. */
void tree_kill(struct keeper *k, pid_t leader);
/* What has lost its parents, and was made the reaper's; and those that are so now and were not then. */
bool tree_orphans(struct keeper *k, pid_t **ret, size_t *ret_n); /* *ret: to be freed */
void tree_kill_orphans(struct keeper *k, const pid_t *spared, size_t n);
void tree_foreground(const struct keeper *k, pid_t pid); /* it and its children: no longer sys_background() */
/* What runs in a shell, which lives on. */
void tree_kill_run(struct keeper *k, pid_t shell, const struct shell_kill *what);
void tree_kill_left(struct keeper *k, const struct shell_kill *what);

/* shell.c: shells, and the sessions among them. */
int shell_open(struct keeper *k, struct client *c, struct msg *m, struct err *e);
void shell_back(struct keeper *k, struct client *c, const struct msg *m);
void shell_kill(struct keeper *k, struct client *c, uint32_t id, const struct shell_kill *what);
void shell_forget(struct keeper *k, const struct client *c); /* before exec_forget() */
void shell_ended(struct keeper *k, pid_t pid);
void shell_leave(struct keeper *k); /* those of the present generation have been killed, and nobody is to hear of it */
void shell_reset(struct keeper *k); /* after the end of all: sessions begin anew */
/* In the spare generation, which stands ready: a shell like the last one, which waits there. */
void shell_ahead(struct keeper *k);
bool shell_waits_ahead(const struct keeper *k, pid_t pid); /* is it that? */
bool shell_is(const struct keeper *k, pid_t pid);
bool shell_has_socket(const struct keeper *k); /* one of a session */
/* How many children it may have where it waits; SHELL_OF_SPARE, or -1: it is no shell, or one that is being killed. */
enum { SHELL_OF_SPARE = 100 };
int shell_children(const struct keeper *k, pid_t pid);
void shell_named(struct keeper *k); /* somebody waits for what they do */
bool shell_reads(const struct keeper *k, const struct stat *pipe); /* is that what one gets its texts by? */
bool shell_program(const struct keeper *k, const struct stat *exe); /* is that what one is a process of? */
void shell_moved(struct keeper *k); /* the root is another one: they stand where they stood, in the old */

/* client.c: as msg_send(), without waiting for him; he takes more; nobody is there any more; the keeper is about to
 * end: he has a second for what is left. */
int client_tell(struct client *c, const struct msg_head *head, const void *body, size_t len, const int *fds,
		unsigned nfds);
void client_go_on(struct client *c);
void client_drop(struct client *c);
void client_finish(struct client *c);

/* stop.c: commands are asked to end; then the keeper does. */
void stop_begin(struct keeper *k, const struct msg *m);
void stop_signal(struct keeper *k, int sig); /* without any end of ours */
uint64_t stop_due(struct keeper *k, uint64_t due_ns); /* what comes first */
uint64_t stop_nameless(struct keeper *k, uint64_t now_ns, uint64_t due_ns); /* likewise; its name was removed */
/* jobs.c: commands of the sandbox's own. */
void jobs_start(struct keeper *k, struct client *c, struct msg *m);
void jobs_ask(struct keeper *k, struct client *c, const struct msg *m);
void jobs_refuse(struct client *c, uint32_t id, const struct err *e);
void jobs_forget(struct keeper *k, const struct client *c); /* nothing more is told to him */
void jobs_ended(struct keeper *k, pid_t pid, const struct exited *x);
void jobs_reset(struct keeper *k);
void jobs_keep(const struct keeper *k); /* before the end that it was asked for: for who asks later */
void jobs_last_words(struct keeper *k); /* before the end of all, to who follows the output */
pid_t jobs_pid(const struct keeper *k, const char *id); /* 0: no such job, or it has ended */
unsigned jobs_watch(const struct keeper *k, int *fds); /* what to wait for, at most 2 * JOBS_MAX */
void jobs_some(struct keeper *k, int fd);	       /* there is something */
uint64_t jobs_due(struct keeper *k, uint64_t now_ns, uint64_t due_ns); /* as exec_due() */

/* files.c: helpers that open files of the inside, one a client; they end with the generation. */
int files_open(struct keeper *k, struct client *c, uint32_t id, struct err *e);
bool files_is(const struct keeper *k, pid_t pid);
bool files_ended(struct keeper *k, pid_t pid); /* true: it was one */
void files_reset(struct keeper *k);

/* still.c: whether nothing but shells that wait is inside; to hold everything (in a process of its own, with whose
 * end all go on). */
enum still { STILL_NOT, STILL_SOON, STILL }; /* soon: only shells that may be about to wait */
enum still still_is(const struct keeper *k);
int still_hold(const struct keeper *k, struct err *e);
/* Whether only shells that wait are inside, and the starter; cheaper, where the one client has said that he has given them no text. end:
 * they are killed then. */
bool still_waits(const struct keeper *k);
bool still_end(struct keeper *k);

/* work.c (see work.h for how it is started): is it one; true: it was one; end those that read what is
 * to be replaced; nobody is told. */
bool work_is(const struct keeper *k, pid_t pid);
bool work_ended(struct keeper *k, pid_t pid, int status);
void work_wait(struct keeper *k);
bool work_holds(const struct keeper *k); /* all that runs inside, or is about to: nothing may be begun meanwhile */
bool work_merges(const struct keeper *k); /* layers are being made one */
void work_forget(struct keeper *k, const struct client *c);

/* swap.c: another root file tree under what runs, on the layers @on. @frozen: the name under which what was written becomes
 * the topmost of them; NULL: it is left behind. begin: it has that name; then ready: all that can fail, after which what was
 * written never changes again, or all is as it was; then go, which returns the number of the generation that was left
 * behind. */
enum swap_begun {
	SWAP_CANNOT = 1, /* with what runs inside or is mounted there; nothing has changed */
	SWAP_UNWRITTEN,	 /* nothing to be frozen: the layers are all there is */
};
int swap_begin(struct keeper *k, const struct stack *on, const char *frozen, struct err *e); /* 0, enum swap_begun, or an error */
const struct stack *swap_stack(uint32_t *ret_number); /* in between: on what it will stand, and the number of the generation */
int swap_ready(struct keeper *k, struct err *e);
uint32_t swap_go(struct keeper *k);
void swap_done(void); /* after the answer: what it has left open */

/* present.c: on what the sandbox stands, on disk: ready for that, while we are at home; it has changed. */
int present_open(struct keeper *k, struct err *e);
void present_note(const struct keeper *k);

/* snapshot.c, diff.c: what a client asked for is answered by itself. */
void snapshot_take(struct keeper *k, struct client *c, const struct msg *m);
void diff_start(struct keeper *k, struct client *c, struct msg *m);

/* drain.c: output that nobody waits for any more. */
void drain_add(struct keeper *k, int fd);
void drain_some(struct keeper *k, int fd); /* there is something, or its end */

/* who.c: who a command runs as, looked up in the image by a process of its own. */
enum { WHO_GROUPS = 256 };

struct who {
	uint32_t uid, gid, ngroups;
	uint32_t groups[WHO_GROUPS];
	char home[1024];
	struct err e; /* code != 0: not found */
};
int who_find(struct keeper *k, const struct pack *p, const struct call *c, struct who *ret,
	     struct err *e);

/* Small steps that several files take. */
int inside_root(struct err *e); /* become uid and gid 0 */
int inside_mkdir(const char *path, mode_t mode, struct err *e);
/* pieces.c: room for what is too large for the stack and of no use any more when the keeper waits for the next message. */
void *piece_take(size_t size);
void pieces_drop(void);
struct msg_buf {
	char bytes[MSG_BUF] __attribute__((aligned(8)));
};
/* A pointer to such a piece, in a function. */
#define PIECE(type, name)                                                                                            \
	static type *name;                                                                                             \
	name = name ? name : piece_take(sizeof(type))

/* A tmpfs that is attached nowhere, its limits as text. */
int inside_tmpfs(const char *size, const char *inodes, unsigned attr, struct err *e);

#endif
