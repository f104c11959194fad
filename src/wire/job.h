/* SPDX-License-Identifier: Apache-2.0
 *
 * job.h - jobs: what is asked about them, and what is said
 *
 * A job is a command that belongs to the sandbox, not to whoever started it. It is started by OP_JOB_START,
 * with a struct call that names it; all else is OP_JOB with a struct job_ask. Each is answered once, by
 * OP_JOB_SAID with the same number.
 */
#ifndef HUTCH_WIRE_JOB_H
#define HUTCH_WIRE_JOB_H

#include <stdint.h>

#include "wire/plan.h"

enum {
	JOB_ID = 32,		/* with its NUL */
	JOB_COMMAND = 256,	/* likewise; a longer command is cut */
	JOB_PART_MAX = 4 << 20, /* bytes of output in one answer */
};

/* In the directory of a sandbox that is stopped: of each job the struct job_facts, and behind it the last `kept` bytes of output. And
 * the record by which a directory is that of a sandbox that can be started again. */
#define JOBS_FILE "jobs"
#define KEPT_FILE "kept"

enum job_what {
	JOB_CHECK = 1, /* how it stands, at once */
	JOB_MORE,      /* when there is output behind `from`, or its end */
	JOB_END,       /* when it has ended */
	JOB_LIST,      /* all of them, at once */
	JOB_SIGNAL,
	JOB_STOP, /* the signal; SIGKILL to all of it after grace_ms; answered when it has ended and is forgotten */
};

struct job_ask {
	uint32_t what; /* enum job_what */
	uint32_t signal;
	uint64_t grace_ms;
	uint64_t from, room; /* output from this offset on, at most so much */
	char id[JOB_ID];
};

struct job_facts {
	uint32_t wire; /* WIRE, for who reads it from a file */
	uint32_t main; /* the sandbox ends with it */
	char id[JOB_ID];
	char command[JOB_COMMAND]; /* its words with blanks between */
	int32_t inside;		   /* its pid, as the inside sees it */
	uint32_t running;
	uint64_t began_ms, ended_ms; /* since 1970 */
	uint64_t total, kept;	     /* bytes that it wrote; of those the last so many are there */
	struct exited end;	     /* when it does not run any more */
};

/* Followed by njobs struct job_facts, and those by len bytes of output. */
struct job_said {
	struct err e; /* code != 0: it was not done, and nothing follows */
	uint32_t njobs, unused;
	uint64_t from, len;
};

#endif
