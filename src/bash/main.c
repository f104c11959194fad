/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - what bash loads, so that to wait for a text and to say how it ended takes it little
 *
 * How it works: a builtin, _hp, that bash takes in with `enable -f`. To read a line from a pipe bash asks the kernel for
 * every byte of it, and printf with a redirection takes six calls more than the one that writes. So this says
 * that a shell waits, reads what it shall do, turns the output to where it goes, and says how it ended. What a
 * text means, and the program around it (box/shell_begin.c), stay bash's; where this cannot be loaded, in a bash that is
 * linked statically or of another machine, that program does all of it in the shell's own language.
 *
 * Of bash it uses what bash's own examples of such builtins do: the table at the end, the list of words, and two
 * functions. It is linked with nothing, so that it fits to every C library, and asks the kernel directly.
 * It is worth what the shell is worth, and guards nothing.
 *
 *	_hp c			whether it works here; and as this shell stands all its sub-shells shall
 *	_hp [w]			in a sub-shell: says that it waits, and takes a text: $_ht, of the kind $_hk (1 and 2 are not told),
 *				with $_he where something comes before it. Its output is turned to where it goes; not so after "w",
 *				and where the text is in a file: then $_hn names that. Status: 1 nobody is there any more,
 *				2 there is nowhere to write
 *	_hp t			before the first of those: a sub-shell that comes to its end says so itself, and leaves at once. To tear it
 *				down and to wait for that takes bash longer than most texts take. And one for which no text
 *				comes leaves after a while: it is a sixth of the memory of a sandbox
 *	_hp e STATUS		behind it: says how that sub-shell ended, where it did not; of one that left without a text it says
 *				nothing, and waits until there is one
 *	_hp s IN OUT STATUS DIR	in a session: says how the last text ended and where the shell stands, and takes the next, which
 *				is $_hx. Status: 1 nobody is there any more. Where that ends the shell, it says where it stood
 *
 * What is read and said box/shell_begin.c describes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "bash/kernel.h"
#include "bash/standing.h"
#include "bash/stat.h"

#if defined(__x86_64__) || defined(__aarch64__)

enum { COMMANDS = 7, RESULTS = 8, DIR = 9, REQUEST_MAX = 4096, RECORD_MAX = 4096 + 64, LEAVES_AFTER_S = 10 };

/* Where the shell's /proc/PID/stat is kept open; no program has it. */
enum { STAT = 60 };

/* ---- of bash ---------------------------------------------------------------------------------- */

struct word {
	char *text;
	int flags;
};

struct words {
	struct words *next;
	struct word *word;
};

struct builtin {
	const char *name;
	int (*run)(struct words *);
	int flags; /* 1: it is enabled */
	const char *const *long_doc;
	const char *short_doc;
	char *handle;
};

extern void *bind_variable(const char *name, char *value, int flags) __attribute__((weak));
extern void check_signals_and_traps(void) __attribute__((weak));
extern char *get_string_value(const char *name) __attribute__((weak));
extern int loop_level __attribute__((weak)); /* how many loops `break` could leave */
extern int on_exit(void (*f)(int status, void *arg), void *arg) __attribute__((weak)); /* of glibc */

/* ---- of the kernel ---------------------------------------------------------------------------- */

/* @end: its last byte. All of it or nothing: that much a pipe takes at once. */
static bool say(long fd, const char *record, const char *end)
{
	long n;

	do {
		n = ask(SYS_write, fd, (long)record, end - record + 1);
	} while (n == -EINTR);
	return n > 0;
}

/* Traps run while bash waits for a line, too. */
static long read_some(long fd, char *at, size_t room)
{
	long n;

	while ((n = ask(SYS_read, fd, (long)at, (long)room)) == -EINTR)
		if (check_signals_and_traps)
			check_signals_and_traps();
	return n;
}

/* Whether something is there to be read, or nobody to write it, within @seconds; less than 0: without an end. */
static bool comes(long fd, long seconds)
{
	struct pollfd p = {.fd = (int)fd, .events = POLLIN};
	long left[2] = {seconds, 0}; /* the kernel counts it down */
	long n;

	while ((n = ask_more(SYS_ppoll, (long)&p, 1, seconds < 0 ? 0 : (long)left, 0, 0, 0)) == -EINTR)
		if (check_signals_and_traps)
			check_signals_and_traps();
	return n;
}

/* ---- words ------------------------------------------------------------------------------------ */

struct line {
	char *at; /* its NUL */
	char *const end;
};

static void add(struct line *l, const char *text)
{
	while (*text && l->at < l->end - 1)
		*l->at++ = *text++;
	*l->at = '\0';
}

static void add_number(struct line *l, unsigned long n)
{
	char digits[24], *d = digits + sizeof(digits) - 1;

	*d = '\0';
	do {
		*--d = (char)('0' + n % 10);
	} while (n /= 10);
	add(l, d);
}

static long number_of(const char *text)
{
	long n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + *text++ - '0';
	return n;
}

static char *end_of(char *text)
{
	while (*text)
		text++;
	return text;
}

/* ---- what is asked ---------------------------------------------------------------------------- */

static bool has_two(const char *request)
{
	return *request == '5' || *request == '6';
}

/* All of it: whoever asks writes it at once, and nothing more before he has an answer. @ret has room for a NUL behind it. */
static bool take(long fd, char *ret, bool may_have_two)
{
	size_t have = 0;
	int missing = 1;
	long got;

	while (missing > 0) {
		got = have < REQUEST_MAX ? read_some(fd, ret + have, REQUEST_MAX - have) : 0;
		if (got <= 0)
			return false;
		if (!have && may_have_two && has_two(ret))
			missing++;
		for (; got; got--)
			missing -= !ret[have++];
	}
	ret[have] = '\0';
	return true;
}

/* ---- a text in a sub-shell -------------------------------------------------------------------- */

static bool turn(const char *name, const char *kind, int to)
{
	char text[64];
	struct line path = {text, text + sizeof(text)};
	long fd;

	add(&path, name);
	add(&path, kind);
	fd = ask(SYS_openat, DIR, (long)text, O_WRONLY); /* by way of /proc it costs more: entries there, made for this process alone */
	if (fd < 0)
		return false;
	if (fd == to)
		return true;
	if (ask(SYS_dup3, fd, to, 0) < 0)
		return false;
	ask_fd(SYS_close, fd);
	return true;
}

static bool turn_output(const char *name, bool apart)
{
	if (!turn(name, ".o", 1))
		return false;
	if (apart ? !turn(name, ".e", 2) : ask(SYS_dup3, 1, 2, 0) < 0)
		return false;
	for (int fd = COMMANDS; fd <= DIR; fd++)
		ask_fd(SYS_close, fd);
	return true;
}

static bool say_end(unsigned long number, long fd, const char *status, const char *dir)
{
	char record[RECORD_MAX];
	struct line end = {record, record + sizeof(record)};

	add(&end, "E");
	add_number(&end, number);
	add(&end, " ");
	add(&end, status);
	if (dir) {
		add(&end, " ");
		add(&end, dir);
	}
	return say(fd, record, end.at);
}

/* Memory that the shell shares with its sub-shells. */
struct shared {
	unsigned long told; /* by which of them itself its end was told last */
	long shell;	    /* its pid */
	bool left;	    /* the last has taken no text */
};

/* A session's first end is that of what started it, number 0; of the others the next is one more. */
static unsigned long ends;
static struct shared *shared;
static long sub_shell; /* the pid of this one */

static long open_of_shell(const char *name, int flags)
{
	char text[64];
	struct line path = {text, text + sizeof(text)};

	add(&path, "/proc/");
	add_number(&path, (unsigned long)shared->shell);
	add(&path, name);
	return ask(SYS_openat, AT_FDCWD, (long)text, flags);
}

static void share(void)
{
	long at = on_exit ? ask_more(SYS_mmap, 0, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) : -1;

	if (at <= 0 && at >= -4095)
		return;
	shared = (struct shared *)at;
	shared->shell = ask_fd(SYS_getpid, 0);
	at = open_of_shell("/stat", O_RDONLY);
	if (at < 0)
		return;
	(void)ask(SYS_dup3, at, STAT, O_CLOEXEC);
	ask_fd(SYS_close, at);
}

/* Somebody has killed the shell, which may not have come to its end: meanwhile a text would begin that ends with it, or tell that
 * it has ended well after it has done that itself. */
static bool shell_is_killed(void)
{
	char line[1024];
	long n;

	if (ask_fd(SYS_getppid, 0) != shared->shell)
		return true;
	n = ask_more(SYS_pread64, STAT, (long)line, sizeof(line), 0, 0, 0);
	return n == -ESRCH || (n > 0 && stat_is_killed(line, line + n));
}

/* Traps have run, and all output is written. Whatever the sub-shell forked comes here, too. The way to the caller was closed
 * before the text began, so that nothing it leaves running holds it; the shell has it still. */
static void leave(int status, void *arg)
{
	char number[8];
	struct line code = {number, number + sizeof(number)};
	long fd;

	(void)arg;
	if (ask_fd(SYS_getpid, 0) != sub_shell || shell_is_killed())
		return;
	fd = open_of_shell("/fd/8", O_WRONLY | O_NONBLOCK);
	if (fd < 0)
		return;
	add_number(&code, (unsigned long)status & 255);
	if (say_end(ends + 1, fd, number, NULL))
		shared->told = ends + 1;
	ask_fd(SYS_exit_group, status & 255);
}

/* Of the shell. What its texts have left behind are its children, too; and whoever counts these takes one for the sub-shell. */
static bool is_only_child(void)
{
	char text[64];
	struct line path = {text, text + sizeof(text)};
	unsigned long shell = (unsigned long)ask_fd(SYS_getppid, 0);
	long fd, n, children = 0;

	add(&path, "/proc/");
	add_number(&path, shell);
	add(&path, "/task/");
	add_number(&path, shell);
	add(&path, "/children");
	fd = ask(SYS_openat, AT_FDCWD, (long)text, O_RDONLY);
	n = fd < 0 ? 0 : ask(SYS_read, fd, (long)text, sizeof(text));
	ask_fd(SYS_close, fd);
	for (long i = 0; i < n; i++)
		children += text[i] == ' ';
	return children == 1;
}

static int wait_for_text(bool only_wait)
{
	char request[REQUEST_MAX + 1], kind[2], *text = request;
	struct line waits = {request, request + sizeof(request)};

	add(&waits, "R");
	sub_shell = ask_fd(SYS_getpid, 0);
	add_number(&waits, (unsigned long)sub_shell);
	add(&waits, " 3");
	(void)say(RESULTS, request, waits.at);
	if (!comes(COMMANDS, shared ? LEAVES_AFTER_S : -1)) {
		shared->left = is_only_child();
		if (shared->left)
			ask_fd(SYS_exit_group, 0);
		(void)comes(COMMANDS, -1);
	}
	if (!standing_is_as_first()) { /* with the shell goes the way that a text would come to another sub-shell of it */
		ask(SYS_kill, ask_fd(SYS_getppid, 0), 9, 0);
		ask_fd(SYS_exit_group, 1);
	}
	if (shared) {
		if (shell_is_killed()) { /* the text stays where it is: who sent it finds it there, and asks another shell */
			shared->left = true; /* or the shell lives, and is traced: then the next one takes it */
			ask_fd(SYS_exit_group, 1);
		}
		(void)on_exit(leave, NULL);
	}
	if (!take(COMMANDS, request, true))
		return 1;
	while (*text && *text != ' ')
		text++;
	if (!*text)
		return 1;
	*text++ = '\0';
	kind[0] = *request;
	kind[1] = '\0';
	if (only_wait || *kind > '2')
		bind_variable("_hk", kind, 0);
	if (has_two(kind))
		bind_variable("_he", end_of(text) + 1, 0);
	if (only_wait || *kind == '3' || *kind == '4')
		bind_variable("_hn", request + 1, 0);
	else if (!turn_output(request + 1, *kind == '2' || *kind == '6'))
		return 2;
	bind_variable("_ht", text, 0);
	return 0;
}

static int end_of_text(const char *status)
{
	if (shared && shared->left) {
		shared->left = false;
		(void)comes(COMMANDS, -1);
		return 0;
	}
	ends++;
	if (!shared || shared->told != ends)
		(void)say_end(ends, RESULTS, status, NULL);
	return 0;
}

/* ---- a text in a session ---------------------------------------------------------------------- */

static long session, session_out; /* its pid; 0: nobody listens */

/* With a text that ends the shell. What that has forked comes here, too. */
static void leave_session(int status, void *arg)
{
	char record[RECORD_MAX];
	struct line end = {record, record + sizeof(record)};
	const char *dir = get_string_value ? get_string_value("PWD") : NULL;

	(void)status;
	(void)arg;
	if (!dir || ask_fd(SYS_getpid, 0) != session)
		return;
	add(&end, "D");
	add(&end, dir);
	if (!say(session_out, record, end.at)) /* bash has put its descriptors back by then */
		(void)say(RESULTS, record, end.at);
}

static int next_of_session(long in, long out)
{
	char request[REQUEST_MAX + 1];

	if (!session && on_exit) {
		session = ask_fd(SYS_getpid, 0);
		session_out = out;
		(void)on_exit(leave_session, NULL);
	}
	if (!take(in, request, false)) {
		session = 0;
		return 1;
	}
	bind_variable("_hx", request, 0);
	if (&loop_level) /* those around the text are ours: to it they are none */
		loop_level = -1;
	return 0;
}

/* ---- what bash is given ----------------------------------------------------------------------- */

static int run(struct words *w)
{
	const char *what = w ? w->word->text : "", *word[4];

	if (!bind_variable)
		return 2;
	for (int i = 0; i < 4; i++) {
		w = w ? w->next : NULL;
		word[i] = w ? w->word->text : "";
	}
	switch (*what) {
	case '\0':
	case 'w':
		return wait_for_text(*what);
	case 't':
		share();
		return 0;
	case 'e':
		return end_of_text(word[0]);
	case 's':
		(void)say_end(ends++, number_of(word[1]), word[2], word[3]);
		return next_of_session(number_of(word[0]), number_of(word[1]));
	case 'c':
		standing_is_first();
		return 0;
	default:
		return 0;
	}
}

static const char *const help[] = {"Part of hutch: how this shell is told what to run.", NULL};

/* By this name bash looks for it. */
__attribute__((visibility("default"))) extern struct builtin _hp_struct;
struct builtin _hp_struct = {.name = "_hp", .run = run, .flags = 1, .long_doc = help, .short_doc = "_hp"};

#endif
