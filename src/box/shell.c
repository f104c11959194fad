/* SPDX-License-Identifier: Apache-2.0
 *
 * shell.c - shells that wait for text, and sessions
 *
 * How it works: the keeper starts a shell on the program below and hands us its ends; from then on we
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
#include "ns/mounts.h"
#include "sys/fsmount.h"
#include "sys/proc.h"
#include "wire/draft.h"
#include "wire/msg.h"

/* Names that begin with _h are ours. Bash reads a pipe byte by byte, and asks four things of the kernel before it begins. So
 * of a session a request is the text and a NUL; else "KIND NAME TEXT" (the first two as one word) and a NUL. KIND: 1 output
 * merged, 2 apart, 3 and 4 the same with the text in a file, 5 and 6 with a text that is one program, and what comes before
 * it in a second string: the program takes the place of the sub-shell, where it is there. The record of an end: "E", which of
 * this shell's it is, status, and in a session the working directory; before it, on lines of its own, what bash says of a
 * signal. "R" comes first and when a sub-shell waits: its pid, and whether this is bash.
 *
 * A plain sh can read lines only: it takes the text from a file, line by line. All on one line: then the first line of a text is
 * line 1 in what the shell says of it. */
#define READ_IN_SH                                                                                                     \
	"_hl=$(printf '\\nx'); _hl=${_hl%x}; "                                                                         \
	"_hr() { IFS= read -r _hk <&7 || return 1; _hn=${_hk#?}; _hk=${_hk%\"$_hn\"}; _ht=; "                          \
	"while IFS= read -r _hc || [ -n \"$_hc\" ]; do _ht=$_ht$_hc$_hl; done <\"/proc/self/fd/9/$_hn.t\"; "           \
	"return 0; }; "
static const char warm_begin[] =
	"if [ -n \"$BASH_VERSION\" ]; then "
	"_hr() { IFS= read -r -d '' -u 7 _ht || return 1; "
	"_hn=${_ht%%\" \"*}; _ht=${_ht#*\" \"}; _hk=${_hn%\"${_hn#?}\"}; _hn=${_hn#?}; "
	"case $_hk in 3|4) IFS= read -r -d '' _ht <\"/proc/self/fd/9/$_hn.t\";; "
	"5|6) IFS= read -r -d '' -u 7 _he || return 1;; esac; return 0; }; "
	"_hp() { _hw=$BASHPID; }; _hb=1; "
	"_hx='eval \"$_he\"; case $_hc in */*) [[ -f $_hc && -x $_hc ]];; "
	"*) [[ ! ${BASH_ALIASES[$_hc]-} ]] && hash \"$_hc\" 2>/dev/null && _hc=${BASH_CMDS[$_hc]-} && [[ $_hc ]];; esac && "
	"{ eval \"_=\\$_hc exec $_ht\"; exit; }'; " /* where it cannot be redirected, exec does not end the shell */
	"exec 2>&8; "
	"else "
	READ_IN_SH
	"_hp() { read -r _hw _ </proc/self/stat; }; _hb=0; "
	"fi; ";
static const char warm_named[] = "IFS= read -r HOSTNAME <&7; "; /* between the two, where the keeper says it later */
static const char warm_loop[] =
	"_hi=0; "
	"while :; do "
	"(_hp; printf 'R%d %d\\0' $_hw $_hb >&8; _hr || { kill -9 $$; exit; }; "
	"case $_hk in 2|4|6) exec >\"/proc/self/fd/9/$_hn.o\" 2>\"/proc/self/fd/9/$_hn.e\" 7<&- 8>&- 9<&-;; "
	"*) exec >\"/proc/self/fd/9/$_hn.o\" 2>&1 7<&- 8>&- 9<&-;; esac || exit 125; "
	"case $_hk in 5|6) eval \"$_hx\"; :;; esac; "
	"eval \"$_ht\"); "
	"printf 'E%d %d\\0' $((_hi=_hi+1)) $? >&8; "
	"done";
/* To close the three descriptors for each text would take bash as long as all the rest. So it closes them once, around the loop,
 * and keeps them, as it does for what it will restore, at the next free numbers from 10 on, close-on-exec.
 *
 * At a timeout what the text has started is killed, and the shell is told to run no more of the text: from
 * then on its debugging trap passes over every command up to ours behind the text. */
static const char loop_session[] =
	"if [ -n \"$BASH_VERSION\" ]; then shopt -s expand_aliases; _hi=0; _hf=9; "
	"for _hn in _hq _hp _hw; do _hf=$((_hf+1)); while [ -e /proc/self/fd/$_hf ]; do _hf=$((_hf+1)); done; "
	"eval \"$_hn=$_hf\"; done; "
	"_hr() { IFS= read -r -d '' _hx <\"/proc/self/fd/$_hw/$1.t\"; }; "
	"trap 'case $_hx in ?*) _hx=; shopt -s extdebug; trap '\\''"
	"case $BASH_COMMAND in *++_hi*) trap - DEBUG; shopt -u extdebug;; *) false;; esac'\\'' DEBUG;; esac' RTMAX; "
	"printf 'R0 1\\0' >&8; "
	"eval '{ while IFS= read -r -d \"\" -u '$_hq' _hx; do eval \"$_hx\"; "
	"printf \"E%d %d %s\\0\" $((++_hi)) $? \"$PWD\" >&'$_hp'; _hx=; done; } 7<&- 8>&- 9<&-'; "
	"else "
	READ_IN_SH
	"_hi=0; printf 'R0 0\\0' >&8; "
	"while _hr; do eval \"$_ht\" 7<&- 8>&- 9<&-; printf 'E%d %d %s\\0' $((_hi=_hi+1)) $? \"$PWD\" >&8; done; "
	"fi";

enum { START_WITHIN_MS = 10000, RUNNER_NAMES = 40 };

/* ---- start ------------------------------------------------------------------------------------ */

/* Where the keeper cannot make a directory in which we can make names: his ids are not ours. Nobody inside
 * can write there either, its owner being none of theirs. */
static int make_dir(const struct box *b, int *ret, struct err *e)
{
	auto_fd int fs = -1, mnt = -1;
	int r;

	*ret = -1;
	if (!ns_by_fd(&b->home->ids, b->spec))
		return 0;
	r = fs = sys_fsopen("tmpfs");
	if (r >= 0)
		r = sys_fs_string(fs, "size", "64m");
	if (r >= 0)
		r = sys_fs_string(fs, "nr_inodes", "4096");
	if (r >= 0)
		r = sys_fs_string(fs, "mode", "0755");
	if (r >= 0)
		r = mnt = sys_fs_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (r < 0)
		return err_sys(e, r, "make a directory for output");
	*ret = take_fd(&mnt);
	return 0;
}

/* What is behind an entrypoint cannot be tried again with another name. */
#define EITHER "command -v bash >/dev/null 2>&1 && exec bash -c \"$1\"; exec sh -c \"$1\""

bool shell_behind(const struct spec *spec)
{
	return spec->shell_entrypoint && spec->entrypoint.n;
}

/* The words that run @text in a shell: behind the entrypoint, or to be tried with sh where bash is not there. The array
 * alone is new. NULL: no memory. */
static char **shell_words(const struct spec *spec, char *text, size_t *ret_n)
{
	static const char *const alone[] = {"bash", "-c"}, *const behind[] = {"sh", "-c", EITHER, "sh"};
	size_t before = shell_behind(spec) ? spec->entrypoint.n : 0, own = before ? 4 : 2;
	char **words = calloc(before + own + 2, sizeof(*words));

	if (!words)
		return NULL;
	for (size_t i = 0; i < before; i++)
		words[i] = spec->entrypoint.v[i];
	for (size_t i = 0; i < own; i++)
		words[before + i] = (char *)(uintptr_t)(before ? behind : alone)[i];
	words[before + own] = text;
	*ret_n = before + own + 1;
	return words;
}

/* What the keeper is to start. */
static int pack_words(struct buf *blob, const struct box *b, const struct shell *s, struct pack_list *ret, struct err *e)
{
	static const char *const runner[] = {"hutch-init", "runner"};
	auto_free char *text = NULL;
	char **words;
	size_t n;

	if (s->runner) {
		*ret = pack_strs(blob, (char **)(uintptr_t)runner, 2);
		return 0;
	}
	if (asprintf(&text, "%s%s%s", s->session ? loop_session : warm_begin, b->nameless ? warm_named : "",
		     s->session ? "" : warm_loop) < 0) {
		text = NULL;
		return err_oom(e);
	}
	words = shell_words(b->spec, text, &n);
	if (!words)
		return err_oom(e);
	*ret = pack_strs(blob, words, n);
	free(words);
	return 0;
}

static int pack_shell(struct buf *blob, const struct box *b, const struct shell *s, bool apart,
		      struct err *e)
{
	static const uint32_t numbers[] = {SHELL_COMMANDS, SHELL_RESULTS, SHELL_DIR};
	const struct spec *spec = b->spec;
	const struct exec_ask ask = {0};
	struct call c = {.umask = 022, .flags = (shell_behind(spec) ? 0 : CALL_OR_SH) | (b->nameless ? CALL_NAMELESS : 0) |
						(apart && s->session ? CALL_APART : 0)};
	bool home_missing;
	char **env = NULL;
	size_t nenv = 0;
	int r;

	if (s->runner)
		c.flags = CALL_RUNNER;
	buf_add(blob, &c, sizeof(c));
	r = pack_words(blob, b, s, &c.argv, e);
	if (r == 0)
		r = env_build(b, &ask, &env, &nenv, &home_missing, e);
	if (r == 0) {
		c.env = pack_strs(blob, env, nenv);
		c.flags |= home_missing ? CALL_HOME : 0;
		c.cwd = pack_str(blob, spec->working_dir ? spec->working_dir : "/");
		c.cwd_last = pack_str(blob, s->cwd);
		c.user = pack_str(blob, spec->user && strcmp(spec->user, "0") ? spec->user : NULL);
		c.groups = pack_strs(blob, spec->group_add.v, spec->group_add.n);
		c.numbers = pack_bytes(blob, numbers, sizeof(numbers));
		c.nnumbers = 3;
		c.session = pack_str(blob, s->session);
	}
	for (size_t i = 0; i < nenv; i++)
		free(env[i]);
	free(env);
	if (r == 0 && buf_bad(blob))
		r = err_oom(e);
	if (r == 0)
		memcpy(blob->data, &c, sizeof(c));
	return r;
}

static int ask_keeper(struct box *b, struct shell *s, bool apart, struct err *e)
{
	auto_buf struct buf blob = BUF_INIT(MSG_BODY_MAX);
	struct msg_head head = {.op = OP_SHELL, .id = s->id};
	auto_fd int dir = -1;
	int r = make_dir(b, &dir, e);

	if (r == 0)
		r = pack_shell(&blob, b, s, apart, e);
	if (r < 0)
		return r;
	return box_ask(b, &head, blob.data, blob.len, &dir, dir >= 0, e);
}

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
	const char *ours = memmem(text, len, SHELL_OWN_TEXT, strlen(SHELL_OWN_TEXT));

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

/* "R pid bash" or "E number status [directory]"; of a runner, too, what inside/runner.c says. Return: 1 the end of the run that is awaited. */
static int one_record(struct shell *s, const char *text)
{
	const char *last = s->session ? NULL : strrchr(text, '\n'); /* in a session the directory may have one */
	const char *record = last ? last + 1 : text;
	int status, bash, used = 0, pid;
	unsigned long long number;

	if (sscanf(record, "R%d %d", &pid, &bash) == 2) {
		if (s->inside) /* that is known, and there is no other before the next end: somebody jests */
			return 0;
		s->bash = bash;
		s->ready = true;
		s->inside = pid;
		return 0;
	}
	if (s->runner && sscanf(record, "X%llu", &number) == 1)
		return of_runner(s, number, true);
	if (s->runner && sscanf(record, "W%llu %d %" SCNu64 " %" SCNu64 " %" SCNu64, &number, &s->ran.status, &s->ran.user_us,
				&s->ran.system_us, &s->ran.maxrss_kb) == 5)
		return of_runner(s, number, false);
	if (sscanf(record, "E%llu %d%n", &number, &status, &used) != 2)
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
	s->inside = 0; /* the next one says who it is */
	s->status = status & 255;
	note_said(s, text, last ? (size_t)(last - text) : 0);
	if (record[used] == ' ' && record[used + 1] == '/') {
		free(s->cwd);
		s->cwd = strdup(record + used + 1);
	}
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
	if (r == 0 && n == 0)
		return ERR_DIED;
	return r;
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

int shell_take(struct box *b, const char *session, bool apart, struct shell **ret, struct err *e)
{
	auto_free char *cwd = NULL; /* where the one that has ended was */
	struct shell *s = b->shells;
	int r;

	*ret = NULL;
	if (b->spent)
		return err_set(e, ERR_STATE, "sandbox '%s' is there for the one command that was started", b->name);
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
		r = ask_keeper(b, s, apart, e);
		if (r < 0) {
			drop(b, s);
			return r;
		}
	}
	r = s->given ? 0 : wait_given(b, s, e);
	if (r < 0) {
		drop(b, s);
		return r;
	}
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
	if (ask_keeper(b, s, false, NULL) < 0)
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

void shell_ask_ahead(struct box *b)
{
	struct shell *s = b->shells || b->spent ? NULL : make(b, NULL);

	if (s)
		s->ahead = true;
	if (s && ask_keeper(b, s, false, NULL) < 0)
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
	struct msg_head back = {.op = OP_SHELL_BACK, .id = s->id, .arg = (s->bash ? 2u : 0) | (s->moved ? 4u : 0)};

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
	struct shell_kill what = {.inside = s->inside, .age_ns = age_ns, .sent_ns = sys_now_ns(), .shell = fate};
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

void box_drain(struct box *b, int fd)
{
	struct msg_head head = {.op = OP_DRAIN};

	(void)box_say(b, &head, NULL, 0, &fd, 1); /* or its writers get SIGPIPE */
	close(fd);
}
