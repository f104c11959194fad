/* SPDX-License-Identifier: Apache-2.0
 *
 * msg.h - one message over a seqpacket socket, with descriptors
 *
 * How it works: a message is a head of fixed form and a body of any length. Short bodies travel in
 * the packet; long ones in a memfd that goes along as the last descriptor. Who receives sees no
 * difference.
 */
#ifndef HUTCH_WIRE_MSG_H
#define HUTCH_WIRE_MSG_H

#include <stddef.h>
#include <stdint.h>

enum {
	MSG_FDS_MAX = 200,	    /* descriptors in one message (the kernel takes 253) */
	MSG_INLINE_MAX = 32 * 1024, /* bodies up to this travel in the packet */
	MSG_BODY_MAX = 8 << 20,	    /* longest body */
};

enum sweep_when {
	SWEEP_NOW,
	SWEEP_SOON,   /* in a moment, once for all who ask meanwhile */
	SWEEP_AT_END, /* when the owner has ended without closing the nursery's socket before; without fds: not any more */
};

enum { SWEEP_AFTER_MS = 20 }; /* that moment: no sweep that answers a question begins earlier after it, though one may that answers another */

/* Of which form all this is: messages, plan.h, job.h. A sandbox may outlive the library that made it; whoever comes with
 * another one is told so. One more with every change, once a version was released. */
enum { WIRE = 1 };

enum msg_op {
	/* caller to nursery */
	OP_HELLO = 1, /* body: struct hello; fd: pidfd of the owner */
	OP_PREPARE,   /* body: struct prepare; fds: keeper's socket, [what it just holds] */
	OP_HURRY,     /* somebody waits for what was to be made a moment later */
	OP_SWEEP,     /* arg: enum sweep_when; fds: trash, state, boxes, layers, and any that shall stay open meanwhile */
	/* caller to a sweeper that he started himself: OP_SWEEP; to such a keeper: */
	OP_ALONE, /* body: struct alone; fds: pidfd of the owner, [what it just holds] */
	OP_IDS,	  /* its ids are mapped (where it does not do so itself) */
	/* nursery or keeper to caller, on the keeper's socket */
	OP_STARTED, /* fds: pidfd of the keeper, its user namespace */
	OP_READY,   /* arg: WIRE; body: struct ready */
	OP_FAILED,  /* body: struct err; the keeper ends */
	OP_ENDED,   /* nothing runs any more, and name and directory of changes are free; what the keeper holds ends now */
	OP_PTY,	    /* fd: the controlling end of the terminal of call id */
	OP_NAMED,
	OP_EXITED,  /* body: struct exited */
	OP_RESET_DONE, /* arg: number of the generation that is left behind; body: uint32_t, that of the next */
	OP_SHELL_IS,   /* arg: 1 it was started just now, 2 it is bash, 8 and can be told how long a text is,
			* 16 and has loaded what we gave it, 4 the root was replaced under it;
			* fds: enum shell_end of plan.h */
	OP_SHELL_KILLED, /* OP_SHELL_KILL was done */
	/* caller to keeper */
	OP_PLAN,   /* body: plan; fds: those of the plan */
	OP_NAME,   /* body: struct naming: of a sandbox that had none. Answer: OP_NAMED or OP_FAILED */
	OP_EXEC,   /* body: struct call; fds: standard input, output, error (none with a pty, nor for call.nulls) */
	OP_SIGNAL, /* arg: signal number, and SIGNAL_GROUP; to call id */
	OP_RESET,  /* the next generation; arg: 1 files only, processes are kept, 2 in no shell of his does anything run */
	OP_END,	   /* the end of the sandbox; arg: 1 say when nothing of it runs any more, 2 as of OP_RESET */
	/* caller to keeper, about shells; id: what the caller called it by */
	OP_SHELL,      /* body: struct call; fd: directory for fifos, where the keeper cannot make one */
	OP_SHELL_BACK, /* a session is free for others; arg: as above; body: its working directory */
	OP_SHELL_KILL, /* body: struct shell_kill: what runs in it, but not the shell; is answered */
	OP_DRAIN,      /* fd: read it until its end, and forget what comes */
	/* files; the helper's socket is the client's alone */
	OP_FILES,      /* caller to keeper: a files helper */
	OP_FILES_IS,   /* keeper to caller; fd: its socket; or body: struct err */
	OP_FILE,       /* caller to helper; body: struct file_ask and two strings */
	OP_FILE_SAID,  /* helper to caller; body: struct file_said and a string; fd: where one was asked for */
	/* snapshots, caller to keeper; each is answered with OP_LAYERS, a restore and a reset with OP_RESET_DONE */
	OP_SNAPSHOT, /* arg: 2 as of OP_RESET; body: struct snapshot_ask, of which nothing is used where nothing was written */
	OP_RESTORE,  /* arg: as of OP_RESET; body: text of stack.h, the layers to stand on */
	OP_DIFF,     /* body: struct diff_ask and two such texts; fd: a file to write to */
	OP_LAYERS,   /* keeper to caller; arg: number of the present generation and whether the topmost was
		      * copied and is not under it (LAYERS_COPIED), body: such a text, of what
		      * was asked; arg 0: it was not done, body: struct err. LAYERS_EARLY: it stands on them only with
		      * OP_LAYERS_ON, and if that brings an error neither it nor anybody else can */
	OP_LAYERS_ON, /* body: nothing, or struct err: all is as it was */
	/* caller to keeper, about the whole */
	OP_STOP,       /* arg: signal for all commands; body: uint64_t, ms until it ends whatever they do */
	OP_KILL_ALL,   /* arg: signal for the main command, where there is one, else for all */
	/* jobs, see job.h */
	OP_JOB_START, /* caller to keeper; body: struct call */
	OP_JOB,	      /* caller to keeper; body: struct job_ask */
	OP_JOB_SAID,  /* keeper to caller; body: struct job_said and what follows */
};

enum { SIGNAL_GROUP = 0x100 }; /* not to the command alone, but to its process group */

struct msg_head {
	uint16_t op;
	uint16_t flags; /* MSG_BODY_IN_FD */
	uint32_t id;	/* of the call, chosen by the caller */
	uint32_t arg;
	uint32_t body; /* length */
};

#define MSG_BODY_IN_FD 1
#define LAYERS_COPIED  0x80000000u
#define LAYERS_EARLY   0x40000000u

struct msg {
	struct msg_head head;
	void *body;	 /* in the buffer given to msg_recv(), or malloc'ed (big) */
	void *big;	 /* not NULL: to be freed by msg_done() */
	int fds[MSG_FDS_MAX + 1]; /* with that of a long body, while it is taken in */
	unsigned nfds;
};

/* Sends all or nothing. Return: 0, -EPIPE (nobody there any more) or another -errno. */
int msg_send(int sock, const struct msg_head *head, const void *body, size_t len, const int *fds,
	     unsigned nfds);

/* The same without waiting: -EAGAIN, the other side does not take it now. */
int msg_try(int sock, const struct msg_head *head, const void *body, size_t len, const int *fds,
	    unsigned nfds);

/* Waits for one message (not with MSG_DONTWAIT in @flags: then -EAGAIN). The descriptors are
 * close-on-exec and belong to @m; msg_done() closes those still there (taken ones are -1).
 * Return: 1, 0 (the other side has closed), or -errno; -EBADMSG: not a message of ours;
 *	   -EMFILE: its descriptors found no room (m->head is valid). */
int msg_recv(int sock, struct msg *m, void *buf, size_t room, int flags);
void msg_done(struct msg *m);

/* The size a buffer for msg_recv() has. */
enum { MSG_BUF = MSG_INLINE_MAX + 64 };

#endif
