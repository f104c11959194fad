/* SPDX-License-Identifier: Apache-2.0
 *
 * run_shell.c - a run that is text for a shell which waits for some
 *
 * How it works: shell.c has the shell; what it runs writes into fifos that are made for this run alone, and a session's
 * into those of its shell. The text goes over the shell's pipe where it is short, else by way of a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "box/run.h"
#include "guard/caps.h"
#include "sys/proc.h"

enum {
	BYTES_BY_PIPE = 400,	 /* longer text goes by a file: a shell reads pipes byte by byte, which costs as much from there on */
	LENGTH_FROM = 16,	 /* where bash can be told how long a text is, that costs it less from there on */
	TEXT_BY_PIPE = 3500,	 /* then */
	WORDS_MAX = 1000,	 /* of one program, in a runner */
	REQUEST_MAX = 4096,	 /* room for a text and what is said about it: a pipe holds it, and takes all of it or nothing */
	START_WITHIN_MS = 10000, /* until a new shell says that it waits */
	ENTRYPOINT_WITHIN_MS = 300000, /* the same, where a program of the image prepares things first */
	WAITS_LOOK_MS = 10,	 /* how often the time is looked at meanwhile */
	CONTINUE_AFTER_NS = 1000000000,
};

/* What a run may have in the directory of its shell: output, errors, the text. */
enum { KIND_TEXT = 2, KINDS };
static const char kinds[KINDS] = {'o', 'e', 't'};

static void name_of(const struct run *r, char kind, char *ret, size_t room)
{
	snprintf(ret, room, "%llu.%c", (unsigned long long)r->s->name, kind);
}

static int make_fifo(struct run *r, int i, struct err *e)
{
	int dir = r->s->ends[SHELL_END_DIR];
	char name[40];

	name_of(r, kinds[i], name, sizeof(name));
	if (mkfifoat(dir, name, 0622) < 0)
		return err_sys(e, errno, "make a fifo for output");
	r->made |= 1u << i;
	if (fchmodat(dir, name, 0622, 0) < 0) /* whoever runs inside may be anybody */
		return err_sys(e, errno, "make a fifo for output");
	r->out[i] = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	r->own[i] = true;
	return r->out[i] < 0 ? err_sys(e, errno, "open a fifo for output") : 0;
}

void run_shell_forget(struct run *r)
{
	char name[40];

	for (size_t i = 0; i < KINDS; i++) {
		if (!(r->made >> i & 1))
			continue;
		name_of(r, kinds[i], name, sizeof(name));
		(void)unlinkat(r->s->ends[SHELL_END_DIR], name, 0);
	}
	r->made = 0;
}

/* What the entrypoint of a session has said before it became the shell, or that itself as it started, is no output of a run. */
static void drop_noise(const struct run *r)
{
	char part[4096];

	for (int i = 0; i < 2 && r->s->session; i++)
		while (r->s->ends[SHELL_END_OUT + i] >= 0 && read(r->s->ends[SHELL_END_OUT + i], part, sizeof(part)) > 0)
			;
}

/* A shell that was just started: what it is decides how it is talked to. */
static int wait_waits(struct run *r, struct err *e)
{
	struct shell *s = r->s;
	struct pollfd p[2] = {{s->ends[SHELL_END_RESULTS], POLLIN, 0}, {r->b->ctl, POLLIN, 0}};
	uint64_t within = shell_behind(r->b->spec) ? ENTRYPOINT_WITHIN_MS : START_WITHIN_MS;
	uint64_t until = sys_now_ns() + within * 1000000u;
	int code = 0;

	if (r->end_by_ns && r->end_by_ns < until)
		until = r->end_by_ns;

	while (!s->ready && !s->dead && code >= 0 && sys_now_ns() < until) {
		if (poll(p, 2, WAITS_LOOK_MS) <= 0)
			continue;
		if (p[0].revents && shell_read(s) < 0)
			p[0].fd = -1; /* its last words come by the other way */
		if (p[1].revents)
			code = box_talk(r->b, 0, e);
	}
	if (s->ready) {
		drop_noise(r);
		return 0;
	}
	s->deaf = s->dead && s->ahead; /* it may have ended before anybody asked: the next one says why, if it is more than that */
	if (s->dead && s->end.e.code) {
		if (e)
			*e = s->end.e;
		return err_wrap(e, "start a shell");
	}
	return code < 0 ? code : s->dead ? err_set(e, ERR_DIED, "the shell ended as soon as it was started") :
					   err_set(e, ERR_TIMEOUT, "the shell does not say that it waits");
}

static int to_file(struct run *r, const struct buf *before, const struct run_ask *ask, struct err *e)
{
	auto_buf struct buf all = BUF_INIT(MSG_BODY_MAX);
	char name[40];

	buf_add(&all, before->data, before->len);
	buf_add(&all, ask->text, ask->len);
	if (buf_bad(&all))
		return err_set(e, ERR_LIMIT, "a text of over %d bytes", MSG_BODY_MAX);
	name_of(r, kinds[KIND_TEXT], name, sizeof(name));
	r->made |= 1u << KIND_TEXT;
	return text_file(r->s->ends[SHELL_END_DIR], name, &all, e);
}

/* As inside/runner.c says. */
static void ask_runner(struct buf *b, struct run *r, const struct run_ask *ask)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->words.len; i++)
		n += !r->words.data[i];
	buf_fmt(b, "%d%llu %u", (ask->text ? 1 : 3) + ask->apart, (unsigned long long)r->s->name, n);
	buf_char(b, '\0');
	buf_add(b, r->words.data, r->words.len);
	free(r->program);
	r->program = ask->text ? strndup(ask->text, ask->len) : NULL;
	r->is_words = !ask->text;
}

/* Bash counts characters, of which nobody here knows how many bytes each has: so only what is ASCII goes by its length. */
static bool is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] > 127)
			return false;
	return true;
}

/* It would be taken for a length. */
static bool is_marked(const struct buf *before, const char *text, size_t len)
{
	return before->len ? *before->data == SHELL_LENGTH : len && *text == SHELL_LENGTH;
}

enum way { WAY_BYTES, WAY_LENGTH, WAY_FILE };

static enum way way_of(const struct shell *s, const struct buf *before, const char *text, size_t len)
{
	size_t all = before->len + len;
	bool marked = is_marked(before, text, len);

	if (!s->bash)
		return WAY_FILE;
	if (s->loaded)
		return all > TEXT_BY_PIPE ? WAY_FILE : WAY_BYTES;
	if (s->by_length && all <= TEXT_BY_PIPE && (all >= LENGTH_FROM || marked) && is_ascii(before->data, before->len) &&
	    is_ascii(text, len))
		return WAY_LENGTH;
	return all > BYTES_BY_PIPE || marked ? WAY_FILE : WAY_BYTES;
}

static void add_text(struct buf *b, enum way way, const struct buf *before, const char *text, size_t len)
{
	if (way == WAY_LENGTH) {
		buf_fmt(b, "%c%zu", SHELL_LENGTH, before->len + len);
		buf_char(b, '\0');
	}
	buf_add(b, before->data, before->len);
	buf_add(b, text, len);
	if (way == WAY_BYTES)
		buf_char(b, '\0');
}

/* As shell_begin.c says. */
static void make_request(struct buf *b, struct run *r, const struct buf *before, const struct run_ask *ask, enum way way)
{
	const struct buf nothing = BUF_INIT(0);
	unsigned long long name = r->s->name;
	bool session = r->s->session, by_file = way == WAY_FILE;
	size_t program = session || by_file ? 0 : text_program(ask->text, ask->len);

	if (ask->len + before->len + program > TEXT_BY_PIPE) /* it has to be told apart, too */
		program = 0;
	free(r->program);
	r->program = program ? strndup(ask->text, ask->len) : NULL;
	if (session && r->s->bash && by_file) {
		buf_fmt(b, "_hr %llu; \\builtin eval -- \"$_hx\"", name);
		buf_char(b, '\0');
	} else if (!session || !r->s->bash) {
		buf_fmt(b, "%d%llu%c", 1 + ask->apart + (by_file ? 2 : program ? 4 : 0), name, r->s->bash ? ' ' : '\n');
		if (r->s->bash && by_file)
			buf_char(b, '\0');
	}
	if (session && r->s->loaded && !by_file && is_marked(before, ask->text, ask->len))
		buf_char(b, ' '); /* or a session that is told of a timeout takes it for a length, too */
	if (!by_file)
		add_text(b, program ? way_of(r->s, &nothing, ask->text, ask->len) : way, program ? &nothing : before,
			 ask->text, ask->len);
	if (!program)
		return;
	buf_str(b, "_hc=");
	buf_add(b, ask->text, program);
	buf_str(b, "; ");
	buf_add(b, before->data, before->len);
	buf_char(b, '\0');
}

static int send_text(struct run *r, const struct buf *before, const struct run_ask *ask, struct err *e)
{
	auto_buf struct buf request = BUF_INIT(REQUEST_MAX);
	enum way way = way_of(r->s, before, ask->text, ask->len);
	int code = way == WAY_FILE && !r->s->runner ? to_file(r, before, ask, e) : 0;
	ssize_t n;

	if (r->s->runner)
		ask_runner(&request, r, ask);
	else
		make_request(&request, r, before, ask, way);
	if (code == 0 && buf_bad(&request))
		code = err_oom(e);
	if (code < 0)
		return code;
	r->s->said[0] = '\0';
	r->s->refused = false;
	r->s->ran = (struct exited){.how = EXITED_STATUS};
	r->continue_ns = r->s->session ? 0 : sys_now_ns() + CONTINUE_AFTER_NS; /* there it may be trapped */
	n = sys_write_quiet(r->s->ends[SHELL_END_COMMANDS], request.data, request.len);
	r->s->deaf = n == -EPIPE;
	r->s->confused |= n != (ssize_t)request.len; /* somebody inside has filled its pipe: there is a part now */
	if (n != (ssize_t)request.len)
		return err_sys(e, n < 0 ? (int)-n : EIO, "talk to the shell");
	r->s->begun++;
	r->s->since_ns = r->began_ns;
	return 0;
}

/* Who may look into others could make it tell what he likes. */
static bool can_be_trusted(const struct box *b)
{
	return !(spec_caps(b->spec) & (GUARD_CAP(SYS_PTRACE) | GUARD_CAP(SYS_ADMIN)));
}

bool run_shell_is_plain(struct run *r, const struct run_ask *ask)
{
	const struct spec *spec = r->b->spec;

	r->words.max = WORDS_MAX;
	if (ask->session || ask->nenv || ask->cwd || ask->input || !can_be_trusted(r->b))
		return false;
	if (ask->text)
		return !ask->clean && ask->len < WORDS_MAX && !shell_behind(spec) &&
		       text_words(&r->words, ask->text, ask->len) && text_env_is_plain(spec) && !buf_bad(&r->words);
	for (size_t i = 0; i < ask->argc; i++)
		buf_add(&r->words, ask->argv[i], strlen(ask->argv[i]) + 1);
	return *ask->argv[0] && !buf_bad(&r->words);
}

/* If the shell has been killed meanwhile there is nobody who takes it: for that it is kept. Where the shell's language does all, only
 * who has not said yet that he waits is known not to be just about to read it. */
static void keep_text(struct run *r, const struct buf *before, const struct run_ask *ask)
{
	auto_buf struct buf all = BUF_INIT(SIZE_MAX);

	if (r->s->session || r->s->runner || (r->s->inside && !r->s->loaded))
		return;
	buf_add(&all, before->data, before->len);
	buf_add(&all, ask->text, ask->len);
	free(r->again);
	r->again = buf_take(&all);
}

int run_shell_start(struct run *r, const struct run_ask *ask, struct err *e)
{
	auto_buf struct buf before = BUF_INIT(MSG_BODY_MAX);
	struct run_ask text = *ask;
	struct shell *s = r->s;
	bool whole = false;
	int code = s->ready ? 0 : wait_waits(r, e);

	if (code == ERR_TIMEOUT && r->end_by_ns && sys_now_ns() >= r->end_by_ns) {
		r->timed_out = s->dead = true; /* without having begun */
		return shell_kill(r->b, s, 0, true, e);
	}
	/* One that stood ready, and whose sub-shell somebody has killed meanwhile. */
	if (code == 0 && s->confused) {
		s->deaf = true;
		code = shell_kill(r->b, s, 0, true, e);
		return code < 0 ? code : err_set(e, ERR_DIED, "the shell has lost what it waited with");
	}
	if (code == 0)
		code = text_before(&before, ask, s->moved, s->bash, &whole, e);
	if (code < 0)
		return code;
	text.len = whole ? 0 : ask->len;
	s->name++;
	for (int i = 0; i < 2 && code == 0; i++) {
		if (s->session)
			r->out[i] = s->ends[SHELL_END_OUT + i];
		else if (i == 0 || ask->apart)
			code = make_fifo(r, i, e);
	}
	if (code == 0)
		code = send_text(r, &before, &text, e);
	if (code < 0) {
		run_shell_forget(r);
		return code;
	}
	if (s->session) /* of a warm one each sub-shell stands there */
		s->moved = false;
	keep_text(r, &before, &text);
	return 0;
}

bool run_shell_settle(struct run *r)
{
	struct shell *s = r->s;

	if (!s->session || !s->bash || !r->kill_by_ns || r->settled)
		return false;
	r->settled = true;
	r->status = s->status;
	if (sys_write_quiet(s->ends[SHELL_END_COMMANDS], ":", 2) != 2)
		return false;
	s->begun++;
	return true;
}

void run_shell_leave(struct run *r)
{
	struct shell *s = r->s;

	run_shell_forget(r);
	for (int i = 0; i < 2; i++) {
		if (r->own[i])
			close_fd(&r->out[i]);
		r->out[i] = -1;
		r->own[i] = false;
	}
	r->s = NULL;
	shell_give(r->b, s);
}

/* The shell ended since its last run, and nobody has said so yet: in a new one, as if that had been known. */
int run_shell_start_next(struct run *r, const struct run_ask *ask, struct err *e)
{
	struct shell *s = r->s;
	int code = 1;

	while (!s->dead && code > 0)
		code = box_talk(r->b, START_WITHIN_MS, e);
	if (!s->dead)
		return code < 0 ? code : err_set(e, ERR_TIMEOUT, "the keeper does not say that the shell has ended");
	run_shell_leave(r);
	code = shell_take(r->b, ask->session, ask->apart, &r->s, e);
	if (code < 0)
		return code;
	return r->s ? run_shell_start(r, ask, e) : err_set(e, ERR_BUSY, "the shell is in use by another call");
}
