/* SPDX-License-Identifier: Apache-2.0
 *
 * shell.c - shells that wait for text, and sessions
 *
 * How it works: the keeper starts a shell on a program of ours (shell_begin.c) and hands us its ends; from then on we
 * talk to it without him. It reads a request, runs the text that is in it, and tells with a
 * record how that ended. Of the warm shell each text runs in a sub-shell that was forked ahead, and
 * writes into fifos that we made for this call; so what a daemon of one call writes later is in no
 * other call's output. In a session the text runs in the shell itself.
 *
 * Records are read as hostile: code of an earlier call that runs as the same user can write there. A
 * result of the warm shell is worth what that user is worth; whoever must know runs clean.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "sys/proc.h"
#include "wire/msg.h"

enum { START_WITHIN_MS = 10000, RUNNER_NAMES = 40 };

/* ---- what comes back -------------------------------------------------------------------------- */

static struct shell *by_id(struct box *b, uint32_t id)
{
	struct shell *s = b->shells;

	while (s && s->id != id)
		s = s->next;
	return s;
}

void shell_given(struct box *b, struct msg *m)
{
	struct shell *s = by_id(b, m->head.id);
	unsigned n = m->nfds;

	if (!s || s->given || n < 3 || n > SHELL_ENDS)
		return;
	for (unsigned i = 0; i < n; i++)
		s->ends[i] = take_fd(&m->fds[i]);
	for (int i = 0; i < SHELL_ENDS; i++)
		if (s->ends[i] >= 0 && i != SHELL_END_DIR)
			(void)fcntl(s->ends[i], F_SETFL, O_NONBLOCK);
	s->given = true;
	if (!(m->head.arg & 1)) { /* it was there before, and has said that it waits */
		s->ready = true;
		s->bash = m->head.arg & 2;
		s->by_length = m->head.arg & 8;
		s->loaded = m->head.arg & 16;
		s->moved = m->head.arg & 4;
	}
}

void shell_killed(struct box *b, const struct msg *m)
{
	struct shell *s = by_id(b, m->head.id);

	if (s && s->kills)
		s->kills--;
}

bool shell_exited(struct box *b, const struct msg *m)
{
	struct shell *s = by_id(b, m->head.id);

	if (!s)
		return false;
	if (m->head.body == sizeof(s->end) && !s->dead) {
		memcpy(&s->end, m->body, sizeof(s->end));
		s->end.e.msg[sizeof(s->end.e.msg) - 1] = '\0';
		s->dead = true;
	}
	return true;
}

/* What bash says of how the sub-shell ended, up to the commands of that, which are ours; of a SIGTERM it says less. */
static void note_said(struct shell *s, const char *text, size_t len)
{
	const char *ours = len ? memmem(text, len, SHELL_OWN_TEXT, strlen(SHELL_OWN_TEXT)) : NULL;

	s->said[0] = '\0';
	if (len)
		snprintf(s->said, sizeof(s->said), "%.*s", (int)(ours ? (size_t)(ours - text) : len), text);
	s->names_it = ours;
}

/* Nobody jests here: a runner's records come from a program of ours that nothing inside can reach. */
static int of_runner(struct shell *s, unsigned long long number, bool refused)
{
	s->confused = s->done == s->begun || number != s->ends_heard + 1;
	if (s->confused)
		return 0;
	s->refused = refused;
	if (refused) /* of one that was stopped before it came to it */
		s->status = s->ran.status = 128 + SIGKILL;
	s->ends_heard = number;
	s->done++;
	return 1;
}

/* Who waits for the next text. When a text is on its way another may have come in his place, who had left. More than that are a jest. */
static void note_waiting(struct shell *s, int pid, int bash)
{
	if (s->inside) {
		if (s->done != s->begun && !s->after)
			s->after = pid;
		return;
	}
	s->bash = bash;
	s->by_length = bash == 2;
	s->loaded = bash == 3;
	s->ready = true;
	s->inside = pid;
}

static void note_dir(struct shell *s, const char *dir)
{
	if (*dir != '/' || (s->cwd && !strcmp(dir, s->cwd)))
		return;
	free(s->cwd);
	s->cwd = strdup(dir);
}

/* "R pid bash" or "E number status [directory]"; of a session that ends with its text "Ddirectory"; of a runner, too, what
 * inside/runner.c says. Return: 1 the end of the run that is awaited. */
static int one_record(struct shell *s, const char *text)
{
	const char *last = s->session ? NULL : strrchr(text, '\n'); /* in a session the directory may have one */
	const char *record = last ? last + 1 : text;
	int status, bash, pid;
	unsigned long long number;
	char *after;

	if (*record == 'R' && sscanf(record, "R%d %d", &pid, &bash) == 2) {
		note_waiting(s, pid, bash);
		return 0;
	}
	if (s->runner && sscanf(record, "X%llu", &number) == 1)
		return of_runner(s, number, true);
	if (s->runner && sscanf(record, "W%llu %d %" SCNu64 " %" SCNu64 " %" SCNu64, &number, &s->ran.status, &s->ran.user_us,
				&s->ran.system_us, &s->ran.maxrss_kb) == 5)
		return of_runner(s, number, false);
	if (*record == 'D' && s->session && s->done != s->begun)
		note_dir(s, record + 1);
	if (*record != 'E') /* of every run: so it is read without sscanf(), which costs a microsecond */
		return 0;
	number = strtoull(record + 1, &after, 10);
	if (after == record + 1 || *after != ' ')
		return 0;
	record = after + 1;
	status = (int)strtol(record, &after, 10);
	if (after == record)
		return 0;
	if (s->loaded && number == s->ends_heard && s->ends_heard) /* its sub-shell has told it, and was killed before its shell knew */
		return 0;
	/* Who has taken a session over does not know its count. */
	if (s->session && (s->done == s->begun || number <= s->ends_heard))
		return 0; /* somebody has jested before */
	if (s->done == s->begun || (number != s->ends_heard + 1 && (s->ends_heard || !s->session))) {
		s->confused = true; /* the sub-shell that waited was killed, or somebody jests */
		return 0;
	}
	s->ends_heard = number;
	s->done++;
	s->inside = s->after = 0; /* the next one says who it is */
	s->status = status & 255;
	note_said(s, text, last ? (size_t)(last - text) : 0);
	if (after[0] == ' ')
		note_dir(s, after + 1);
	return s->done == s->begun;
}

int shell_read(struct shell *s)
{
	char *end, *at = s->record;
	ssize_t n;
	int r = 0;

	do {
		n = read(s->ends[SHELL_END_RESULTS], s->record + s->nrecord,
			 sizeof(s->record) - 1 - s->nrecord);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		s->nrecord += (size_t)n;
	while ((end = memchr(at, '\0', (size_t)(s->record + s->nrecord - at)))) {
		r |= one_record(s, at);
		at = end + 1;
	}
	s->nrecord -= (size_t)(at - s->record);
	memmove(s->record, at, s->nrecord);
	if (s->nrecord >= sizeof(s->record) - 1) /* no record is that long */
		s->nrecord = 0;
	s->silent |= n == 0;
	return r == 0 && n == 0 ? ERR_DIED : r;
}

/* ---- take and give ---------------------------------------------------------------------------- */

static void drop(struct box *b, struct shell *s)
{
	struct shell **at = &b->shells;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	for (int i = 0; i < SHELL_ENDS; i++)
		close_fd(&s->ends[i]);
	free(s->session);
	free(s->cwd);
	free(s);
}

void shell_moved(struct box *b)
{
	for (struct shell *s = b->shells; s; s = s->next)
		s->moved = true;
}

void shell_drop_mounts(struct box *b)
{
	for (struct shell *s = b->shells; s; s = s->next)
		if (!s->busy)
			close_fd(&s->ends[SHELL_END_DIR]);
}

/* Who has run something has said that he waits again, or may not have forked who will. */
static bool waits(struct shell *s)
{
	if (s->busy || s->dead || s->kills)
		return false;
	if (!s->ready || s->session || s->runner)
		return true;
	(void)shell_read(s); /* it may have ended since then */
	return s->inside && !s->confused;
}

bool shell_all_wait(struct box *b)
{
	struct shell *s = b->shells;

	while (s && waits(s))
		s = s->next;
	return !s;
}

void shell_drop_all(struct box *b)
{
	b->plain = 0;
	for (struct shell *s = b->shells, *next; s; s = next) {
		next = s->next;
		if (s->busy)
			s->dead = true; /* the run has it still */
		else
			drop(b, s);
	}
}

static bool is_one_cpu(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1; /* else there are even more than that holds */
}

static struct shell *make(struct box *b, const char *session)
{
	struct shell *s = calloc(1, sizeof(*s));

	if (s && session && !(s->session = strdup(session))) {
		free(s);
		s = NULL;
	}
	if (!s)
		return NULL;
	for (int i = 0; i < SHELL_ENDS; i++)
		s->ends[i] = -1;
	if (getrandom(&s->name, sizeof(s->name), GRND_NONBLOCK) < 0)
		s->name = sys_now_ns();
	s->name >>= 40; /* they count from here; shells read them byte by byte */
	s->one_cpu = session && is_one_cpu();
	s->id = ++b->next_id;
	s->next = b->shells;
	b->shells = s;
	return s;
}

/* Until the keeper has given it. */
static int wait_given(struct box *b, struct shell *s, struct err *e)
{
	int r = 1;

	while (!s->given && !s->dead && !b->why.code && r > 0)
		r = box_talk(b, START_WITHIN_MS, e);
	if (b->why.code) {
		(void)box_gone(b, e);
		return err_wrap(e, "start '%s'", b->name);
	}
	if (s->dead) {
		if (e)
			*e = s->end.e;
		return s->end.e.code ? s->end.e.code : err_set(e, ERR_DIED, "the shell has ended");
	}
	return r < 0 ? r : s->given ? 0 : err_set(e, ERR_TIMEOUT, "the keeper gives no shell");
}

/* To a warm shell of a sandbox that was nameless. */
static int tell_name(const struct box *b, const struct shell *s, struct err *e)
{
	auto_buf struct buf line = BUF_INIT(4096);

	if (!b->born || s->session || s->runner || faccessat(s->ends[SHELL_END_DIR], SHELL_HOSTNAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* one before it had the same directory */
	buf_fmt(&line, "%s\n", b->hostname);
	return text_file(s->ends[SHELL_END_DIR], SHELL_HOSTNAME, &line, e);
}

/* Until nothing in the sandbox can see that it had no name. */
static int wait_named(struct box *b, struct err *e)
{
	int r = 1;

	while (b->naming && !b->dead && !b->why.code && r > 0)
		r = box_talk(b, START_WITHIN_MS, e);
	if (b->naming && (b->dead || b->why.code))
		return box_gone(b, e);
	return r < 0 ? r : b->naming ? err_set(e, ERR_TIMEOUT, "the keeper does not take the sandbox's name") : 0;
}

int shell_take(struct box *b, const char *session, bool apart, struct shell **ret, struct err *e)
{
	auto_free char *cwd = NULL; /* where the one that has ended was */
	struct shell *s;
	int r;

	*ret = NULL;
	if (b->spent)
		return err_set(e, ERR_STATE, "sandbox '%s' is there for the one command that was started", b->name);
	/* Of a warm shell that was killed a sub-shell may be left, who would take the text. */
	while (!session && box_talk(b, 0, NULL) > 0)
		;
	s = b->shells;
	while (s && (s->busy || s->runner || (session ? !s->session || strcmp(s->session, session) : !!s->session)))
		s = s->next;
	if (s && s->ready && !s->session)
		(void)shell_read(s);
	if (s && s->confused && !s->dead) {
		(void)shell_kill(b, s, 0, true, NULL);
		s->dead = true;
	}
	if (s && s->dead) {
		cwd = take_ptr(&s->cwd);
		drop(b, s);
		s = NULL;
	}
	/* A new shell behind the entrypoint is no command: what that says would be part of the output. */
	for (const struct shell *x = b->shells; x && !s && (session || !shell_behind(b->spec)); x = x->next)
		if (x->busy && !x->runner && (session ? x->session && !strcmp(x->session, session) : !x->session))
			return session ? err_set(e, ERR_BUSY, "session '%s' is in use by another call",
						 session) : 0;
	b->shell_early &= session != NULL;
	if (!s) {
		if (!session && !b->shared)
			b->home->shells = true;
		s = make(b, session);
		if (!s)
			return err_oom(e);
		s->cwd = take_ptr(&cwd);
		r = shell_begin(b, s, apart, e);
		if (r < 0) {
			drop(b, s);
			return r;
		}
	}
	r = s->given ? 0 : wait_given(b, s, e);
	if (r == 0 && !s->begun)
		r = tell_name(b, s, e);
	if (r < 0) {
		drop(b, s);
		return r;
	}
	r = wait_named(b, e);
	if (r < 0)
		return r;
	s->busy = true;
	*ret = s;
	return 0;
}

/* ---- without a shell -------------------------------------------------------------------------- */

static struct shell *runner_of(const struct box *b)
{
	struct shell *s = b->shells;

	while (s && !s->runner)
		s = s->next;
	return s;
}

/* Nobody waits for it: what comes before it is there runs as ever. */
static void ask_runner(struct box *b)
{
	struct shell *s = make(b, NULL);

	if (!s)
		return;
	s->runner = true;
	s->name |= 1ull << RUNNER_NAMES; /* in the same directory as those of shells */
	if (shell_begin(b, s, false, NULL) < 0)
		drop(b, s);
}

/* It says what bash would say: of another shell it is not known. */
static bool has_bash(const struct box *b)
{
	const struct shell *s = b->shells;

	while (s && (s->session || s->runner || !s->ready || !s->bash))
		s = s->next;
	return s;
}

bool shell_unread(const struct shell *s)
{
	int unread = 0;

	return ioctl(s->ends[SHELL_END_COMMANDS], FIONREAD, &unread) == 0 && unread;
}

struct shell *shell_take_runner(struct box *b, bool text)
{
	struct shell *s = runner_of(b);

	if (b->spent || b->no_runner || b->op)
		return NULL;
	if (s && !s->busy && s->given && !s->dead && !s->ready)
		(void)shell_read(s);
	if (s && !s->busy && (s->dead || s->moved || s->confused)) {
		b->no_runner = s->dead && !s->ready; /* as soon as it was started */
		b->plain = 0;
		drop(b, s);
		return NULL;
	}
	if (!s && b->plain++)
		ask_runner(b);
	if (!s || s->busy || !s->ready || (text && !has_bash(b)))
		return NULL;
	s->busy = true;
	return s;
}

/* ---- before anybody asks ---------------------------------------------------------------------- */

int shell_name(struct box *b, struct err *e)
{
	int r = 0;

	for (struct shell *s = b->shells; s && r == 0; s = s->next) {
		if (!s->given && !s->dead)
			r = wait_given(b, s, e);
		if (r == 0 && s->given)
			r = tell_name(b, s, e);
	}
	return r;
}

void shell_ask_ahead(struct box *b)
{
	struct shell *s = b->shells || b->spent ? NULL : make(b, NULL);

	if (s)
		s->ahead = true;
	if (s && shell_begin(b, s, false, NULL) < 0)
		drop(b, s); /* who takes one says why */
}

/* Which is code that nobody has asked for yet. */
static bool runs_a_file(const struct spec *spec)
{
	for (size_t i = 0; i < spec->env.n; i++)
		if (!strncmp(spec->env.v[i], "BASH_ENV=", 9) || !strncmp(spec->env.v[i], "ENV=", 4))
			return true;
	return shell_behind(spec);
}

/* Most of a first text is the start of its shell: who ran one in the sandbox before will in this one, too. */
void shell_ask_early(struct box *b)
{
	if (!(b->home->shells || b->spec->spare) || b->shared || b->spent || runs_a_file(b->spec))
		return;
	shell_ask_ahead(b);
	b->shell_early = true;
}

/* One waits already, of those that were needed beside each other. */
static bool one_waits(const struct box *b, const struct shell *s)
{
	for (const struct shell *x = b->shells; x && !s->session; x = x->next)
		if (x != s && x->runner == s->runner && !x->session && !x->busy && !x->dead)
			return true;
	return false;
}

void shell_give(struct box *b, struct shell *s)
{
	struct msg_head back = {.op = OP_SHELL_BACK, .id = s->id, .arg = (s->bash ? 2u : 0) | (s->by_length ? 8u : 0) |
							      (s->loaded ? 16u : 0) | (s->moved ? 4u : 0)};

	s->busy = false;
	if (!s->session && (s->dead || (s->runner && s->moved))) {
		drop(b, s);
		return;
	}
	if (!s->dead && (s->done != s->begun || s->kills)) { /* nobody knows what it does */
		(void)shell_kill(b, s, sys_now_ns() - s->since_ns, true, NULL);
		s->dead = true;
	}
	if (one_waits(b, s)) { /* it ends with its pipes */
		drop(b, s);
		return;
	}
	if (!s->session || !b->shared)
		return;
	(void)box_say(b, &back, s->cwd, s->cwd ? strlen(s->cwd) : 0, NULL, 0);
	drop(b, s);
}

static int ask_kill(struct box *b, struct shell *s, uint64_t age_ns, enum shell_fate fate, struct err *e)
{
	struct msg_head head = {.op = OP_SHELL_KILL, .id = s->id};
	struct shell_kill what = {.inside = s->inside, .after = s->after, .age_ns = age_ns, .sent_ns = sys_now_ns(), .shell = fate};
	int r = box_ask(b, &head, &what, sizeof(what), NULL, 0, e);

	s->kills += r == 0;
	return r;
}

int shell_kill(struct box *b, struct shell *s, uint64_t age_ns, bool whole, struct err *e)
{
	return ask_kill(b, s, age_ns, whole ? SHELL_KILLED : s->session && s->bash ? SHELL_TOLD : SHELL_SPARED, e);
}

int shell_continue(struct box *b, struct shell *s, struct err *e)
{
	return ask_kill(b, s, 0, SHELL_CONTINUED, e);
}

int shell_sweep(struct box *b, struct shell *s, uint64_t age_ns, struct err *e)
{
	return ask_kill(b, s, age_ns, SHELL_LEFT, e);
}

void box_drain(struct box *b, int fd)
{
	struct msg_head head = {.op = OP_DRAIN};

	(void)box_say(b, &head, NULL, 0, &fd, 1); /* or its writers get SIGPIPE */
	close(fd);
}
