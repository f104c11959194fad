/* SPDX-License-Identifier: Apache-2.0
 *
 * workload.c - what programs do with a living sandbox, each step with a look at its result
 *
 * How it works: every kind of work is one function, which makes its calls one after the other and
 * compares what comes with what must come. Nothing waits longer than WAIT_MS: a call that hangs is a
 * wrong result, not a test that hangs.
 */
#include "workload.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 60000, KEPT = 256 };

/* How a text or a command ended, and the beginning of what it wrote. */
struct taken {
	struct hutch_result r;
	char text[KEPT];
	size_t len, cut_at;
	uint64_t total;
};

static const char *const names[WORK_KINDS] = {
	"run", "run clean", "exec", "session", "file", "dirty", "closed", "jobs", "timeout", "cap", "reset",
};

const char *work_name(enum work kind)
{
	return names[kind];
}

__attribute__((format(printf, 2, 3))) static int wrong(struct hutch_error *e, const char *form, ...)
{
	va_list args;

	va_start(args, form);
	vsnprintf(e->message, sizeof(e->message), form, args);
	va_end(args);
	e->code = e->sys_errno = 0;
	return WORK_WRONG;
}

/* "the sandbox has ended", "its first process was killed" */
static bool says_died(const struct hutch_result *r)
{
	return r->end == HUTCH_END_NOT_RUN && (strstr(r->message, "has ended") || strstr(r->message, "was killed"));
}

/* ---- texts and commands --------------------------------------------------------------------------- */

/* @ret_result and what was written, of a run that has ended or does so within WAIT_MS. */
static int finish(struct hutch_run *run, struct taken *t, struct hutch_error *e)
{
	struct hutch_output out = {.size = sizeof(out)};
	int r = hutch_run_wait(run, WAIT_MS, -1, &t->r, e);

	if (r == 0)
		return wrong(e, "it did not end within %d ms", WAIT_MS);
	if (r < 0 || (r = hutch_run_output(run, 1, &out, e)) < 0)
		return r;
	t->len = out.len;
	t->total = out.total;
	t->cut_at = out.cut_at;
	if (out.len)
		memcpy(t->text, out.data, out.len < KEPT ? out.len : KEPT - 1);
	return 0;
}

static int take(struct hutch_box *box, const struct hutch_run_options *o, struct taken *t, struct hutch_error *e)
{
	struct hutch_run *run;
	int r;

	*t = (struct taken){.r = {.size = sizeof(t->r)}};
	r = hutch_run_start(box, o, &run, e);
	if (r < 0)
		return r;
	r = finish(run, t, e);
	hutch_run_free(run);
	if (r == 0 && says_died(&t->r)) {
		(void)wrong(e, "%.200s", t->r.message);
		return HUTCH_E_DIED;
	}
	if (r == 0 && (t->r.end == HUTCH_END_SHELL_DIED || (t->r.end == HUTCH_END_SIGNAL && t->r.signal == SIGKILL) ||
		       (t->r.end == HUTCH_END_EXIT && t->r.exit_code == 128 + SIGKILL))) {
		(void)wrong(e, "killed, end %d", t->r.end);
		return WORK_KILLED;
	}
	return r;
}

/* The end that it must come to. */
static int ended(const struct taken *t, int end, int code, const char *text, struct hutch_error *e)
{
	if (t->r.end != end || t->r.exit_code != code)
		return wrong(e, "end %d, code %d in place of end %d, code %d: %.100s %.100s", t->r.end,
			     t->r.exit_code, end, code, t->r.message, t->text);
	if (text && strcmp(t->text, text))
		return wrong(e, "'%.100s' came in place of '%.100s'", t->text, text);
	return 0;
}

/* Text that ends with @code and writes @out (NULL: whatever). */
static int say(struct hutch_box *box, unsigned flags, const char *session, const char *text, int code,
	       const char *out, struct hutch_error *e)
{
	struct hutch_run_options o = {
		.size = sizeof(o), .flags = flags, .session = session, .text = text, .timeout_ms = WAIT_MS / 2};
	struct taken t;
	int r = take(box, &o, &t, e);

	return r ? r : ended(&t, HUTCH_END_EXIT, code, out, e);
}

static int do_text(struct hutch_box *box, unsigned flags, unsigned number, struct hutch_error *e)
{
	char text[64], out[16];

	snprintf(text, sizeof(text), "echo %u; exit 3", number);
	snprintf(out, sizeof(out), "%u\n", number);
	return say(box, flags, NULL, text, 3, out, e);
}

static int do_exec(struct hutch_box *box, struct hutch_error *e)
{
	static const char *const argv[] = {"sh", "-c", "exit 5", NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_result res = {.size = sizeof(res)};
	struct hutch_proc *p;
	int r = hutch_box_exec(box, &o, &p, e);

	if (r < 0)
		return r;
	r = hutch_proc_wait(p, WAIT_MS, -1, &res, e);
	hutch_proc_free(p);
	if (r <= 0)
		return r ? r : wrong(e, "it did not end within %d ms", WAIT_MS);
	if (says_died(&res)) {
		(void)wrong(e, "%.200s", res.message);
		return HUTCH_E_DIED;
	}
	if (res.end == HUTCH_END_SIGNAL && res.signal == SIGKILL) {
		(void)wrong(e, "killed");
		return WORK_KILLED;
	}
	if (res.end != HUTCH_END_EXIT || res.exit_code != 5)
		return wrong(e, "end %d, code %d in place of code 5: %.200s", res.end, res.exit_code, res.message);
	return 0;
}

static int do_session(struct hutch_box *box, unsigned number, struct hutch_error *e)
{
	char text[64], out[32];
	int r;

	snprintf(text, sizeof(text), "cd /var; A=%u", number);
	snprintf(out, sizeof(out), "/var %u\n", number);
	r = say(box, 0, "s", text, 0, "", e);
	return r ? r : say(box, 0, "s", "echo $PWD $A", 0, out, e);
}

static int do_timeout(struct hutch_box *box, struct hutch_error *e)
{
	struct hutch_run_options o = {
		.size = sizeof(o), .text = "setsid sleep 1000 & (sleep 1000 &); sleep 1000", .timeout_ms = 25};
	struct taken t;
	int r = take(box, &o, &t, e);

	return r ? r : ended(&t, HUTCH_END_TIMEOUT, 124, NULL, e);
}

static int do_cap(struct hutch_box *box, struct hutch_error *e)
{
	enum { CAP = 1000, WRITTEN = 300000 };
	struct hutch_run_options o = {.size = sizeof(o), .text = "head -c 300000 /dev/zero", .cap = CAP};
	struct taken t;
	int r = take(box, &o, &t, e);

	if (r == 0)
		r = ended(&t, HUTCH_END_EXIT, 0, NULL, e);
	if (r == 0 && (t.len > CAP || t.total != WRITTEN || t.cut_at >= t.len))
		return wrong(e, "%zu bytes kept of %llu, cut at %zu", t.len, (unsigned long long)t.total, t.cut_at);
	return r;
}

/* ---- files ---------------------------------------------------------------------------------------- */

static int write_file(struct hutch_box *box, const char *path, const char *text, struct hutch_error *e)
{
	int fd, r = hutch_file_open(box, path, HUTCH_FILE_WRITE | HUTCH_FILE_CREATE | HUTCH_FILE_TRUNC, 0640, &fd, e);

	if (r < 0)
		return r;
	r = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : wrong(e, "write: %s", strerror(errno));
	close(fd);
	return r;
}

static int read_file(struct hutch_box *box, const char *path, const char *text, struct hutch_error *e)
{
	char seen[KEPT] = "";
	int fd, r = hutch_file_open(box, path, HUTCH_FILE_READ, 0, &fd, e);

	if (r < 0)
		return r;
	r = read(fd, seen, sizeof(seen) - 1) >= 0 && strcmp(seen, text) == 0 ?
		0 : wrong(e, "'%.100s' stands there in place of '%.100s'", seen, text);
	close(fd);
	return r;
}

static int do_file(struct hutch_box *box, unsigned number, struct hutch_error *e)
{
	struct hutch_stat st = {.size = sizeof(st)};
	char text[32];
	int r;

	snprintf(text, sizeof(text), "number %u", number);
	if ((r = hutch_file_mkdir(box, "/srv/a/b", HUTCH_FILE_PARENTS, 0700, e)) < 0 ||
	    (r = write_file(box, "/srv/a/b/c", text, e)) ||
	    (r = hutch_file_stat(box, "/srv/a/b/c", 0, &st, e)) < 0)
		return r;
	if (st.bytes != strlen(text) || (st.mode & 07777) != 0640)
		return wrong(e, "mode %o, %llu bytes", st.mode, (unsigned long long)st.bytes);
	if ((r = hutch_file_rename(box, "/srv/a/b/c", "/srv/a/d", e)) < 0 ||
	    (r = read_file(box, "/srv/a/d", text, e)))
		return r;
	return hutch_file_remove(box, "/srv/a", HUTCH_FILE_RECURSIVE, e);
}

/* ---- what a reset has to put back ----------------------------------------------------------------- */

static int do_dirty(struct hutch_box *box, unsigned number, struct hutch_error *e)
{
	char text[200];

	snprintf(text, sizeof(text), "mkdir -p /dirty/%u /srv; i=0; while [ $i -lt 60 ]; do echo $i >/dirty/%u/$i; "
		 "i=$((i + 1)); done; rm -rf /home /etc/group; ln -sfn / /dirty/%u/root", number, number, number);
	return say(box, 0, NULL, text, 0, "", e);
}

static int do_closed(struct hutch_box *box, unsigned number, struct hutch_error *e)
{
	char text[160];

	snprintf(text, sizeof(text), "d=/closed%u; mkdir -p $d/a/b; : >$d/a/b/c; chmod 0 $d/a/b/c $d/a/b $d/a $d",
		 number);
	return say(box, 0, NULL, text, 0, "", e);
}

static int do_jobs(struct hutch_box *box, struct hutch_error *e)
{
	return say(box, 0, NULL,
		   "for i in 1 2 3; do setsid sleep 1000 >/dev/null 2>&1 & done; (sleep 1000 &); echo started", 0,
		   "started\n", e);
}

static int do_reset(struct hutch_box *box, struct hutch_error *e)
{
	struct hutch_stat st = {.size = sizeof(st)};
	int r = write_file(box, "/mark", "mark", e);

	if (r || (r = hutch_box_reset(box, e)) < 0)
		return r;
	r = hutch_file_stat(box, "/mark", 0, &st, e);
	if (r != HUTCH_E_NOT_FOUND)
		return r < 0 ? r : wrong(e, "a file is still there after a reset");
	return say(box, 0, NULL, "for p in /proc/[0-9]*; do read -r line <$p/cmdline; case $line in sleep*) echo $line;; "
		   "esac; done 2>/dev/null; ls -d /dirty /closed* 2>/dev/null; :", 0, "", e);
}

int work_do(struct hutch_box *box, enum work kind, unsigned number, struct hutch_error *e)
{
	switch (kind) {
	case WORK_RUN: return do_text(box, 0, number, e);
	case WORK_CLEAN: return do_text(box, HUTCH_RUN_CLEAN, number, e);
	case WORK_EXEC: return do_exec(box, e);
	case WORK_SESSION: return do_session(box, number, e);
	case WORK_FILE: return do_file(box, number, e);
	case WORK_DIRTY: return do_dirty(box, number, e);
	case WORK_CLOSED: return do_closed(box, number, e);
	case WORK_JOBS: return do_jobs(box, e);
	case WORK_TIMEOUT: return do_timeout(box, e);
	case WORK_CAP: return do_cap(box, e);
	case WORK_RESET: return do_reset(box, e);
	case WORK_KINDS: break;
	}
	return wrong(e, "no such work: %d", (int)kind);
}
