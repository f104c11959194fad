/* SPDX-License-Identifier: Apache-2.0
 *
 * shell_begin.c - what the keeper is to start where a shell is wanted
 *
 * How it works: the program of a shell that waits for text, in the shell's own language, one for all texts and one
 * for a session, and the words and the surroundings with which the keeper starts it. What they say to each other
 * afterwards is in shell.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "box/box.h"
#include "ns/mounts.h"
#include "sys/fsmount.h"
#include "wire/draft.h"
#include "wire/msg.h"

/* ---- their programs --------------------------------------------------------------------------- */

/* Names that begin with _h are ours. Of a session a request is the text and a NUL; else "KIND NAME TEXT" (the first two as one
 * word) and a NUL. KIND: 1 output merged, 2 apart, 3 and 4 the same with the text in a file, 5 and 6 with a text that is
 * one program, and what comes before it in a second string: the program takes the place of the sub-shell, where it is there. The
 * record of an end: "E", which of this shell's it is, status, and in a session the working directory; before it, on lines of
 * its own, what bash says of a signal; "D" and a directory, where the shell of a session stood that ends with a text. "R" comes first and when a sub-shell waits: its pid, and what this is: 0 a plain sh, 1
 * bash, 2 from version 5 on, 3 with what it was given under 6 loaded (src/bash/), which then reads and says all that. Such a
 * sub-shell may leave when no text comes, and says nothing; with the next text comes another, and its "R".
 *
 * Else bash reads a pipe byte by byte, and asks four things of the kernel before it begins; so in place of a text there may be
 * a byte 1, its length and a NUL; then it follows, without one: that bash 5 reads in one go.
 *
 * A plain sh can read lines only: it takes the text from a file, line by line.
 *
 * Of a program a shell reads one line, runs it, and only then reads the next. So what bash needs where all is as it should be is in
 * the first one, and the rest costs it no memory. It takes the second, where it needs it, from the first: then the first line of a
 * text is line 1 in what bash says of it. To others, dash and busybox, a text has lines of its own. */
#define READ_IN_SH                                                                                                     \
	"_hl=$(printf '\\nx'); _hl=${_hl%x}; "                                                                         \
	"_hr() { IFS= read -r _hk <&7 || return 1; _hn=${_hk#?}; _hk=${_hk%\"$_hn\"}; _ht=; "                          \
	"while IFS= read -r _hc || [ -n \"$_hc\" ]; do _ht=$_ht$_hc$_hl; done <\"/proc/self/fd/9/$_hn.t\"; "           \
	"return 0; }; "
#define WHICH_BASH                                                                                                     \
	"_hm=$'\\1'; _hb=1; [ \"$BASH_VERSINFO\" -lt 5 ] || _hb=2; "                                                   \
	"enable -f /proc/self/fd/6 _hp 2>/dev/null && _hp c && _hb=3; "
#define TEXT_FROM_FILE "IFS= read -r -d '' _ht <\"/proc/self/fd/9/$_hn.t\""
#define TURN_OUTPUT                                                                                                    \
	"case $_hk in 2|4|6) exec >\"/proc/self/fd/9/$_hn.o\" 2>\"/proc/self/fd/9/$_hn.e\" 7<&- 8>&- 9<&-;; "             \
	"*) exec >\"/proc/self/fd/9/$_hn.o\" 2>&1 7<&- 8>&- 9<&-;; esac || exit 125; "
#define OR_NOBODY_IS_THERE "{ kill -9 $$; exit; }; "
/* One text, in a sub-shell; it evaluates nothing first, so that what memory that takes is its own when it waits. @name: what the
 * shell does when the text is there, and again after it. */
#define TEXT_LOADED                                                                                                    \
	"(eval :; _hp; case $?$_hk in 0) ;; 03|04) " TEXT_FROM_FILE "; " TURN_OUTPUT ";; 05|06) eval \"$_hx\"; :;; 2*) exit 125;; " \
	"*) " OR_NOBODY_IS_THERE " esac; eval -- \"$_ht\"); _hp e $?; "
#define TEXT_LOADED_NAMED(name)                                                                                        \
	"(eval :; _hp w || " OR_NOBODY_IS_THERE name "case $_hk in 3|4) " TEXT_FROM_FILE ";; esac; " TURN_OUTPUT             \
	"case $_hk in 5|6) eval \"$_hx\"; :;; esac; eval -- \"$_ht\"); _hp e $?; " name
#define TEXT(name)                                                                                                     \
	"(eval :; _hp; printf 'R%d %d\\0' $_hw $_hb >&8; _hr || " OR_NOBODY_IS_THERE name TURN_OUTPUT                     \
	"case $_hk in 5|6) eval \"$_hx\"; :;; esac; "                                                                   \
	"$_hd \"$_ht\"); "                                                                                               \
	"printf 'E%d %d\\0' $((_hi=_hi+1)) $? >&8; " name
static const char warm_bash[] =
	"if [ -n \"$BASH_VERSION\" ]; then _hk=; " WHICH_BASH
	"_hx='eval \"$_he\"; case $_hc in */*) [[ -f $_hc && -x $_hc ]];; "
	"*) [[ ! ${BASH_ALIASES[$_hc]-} ]] && hash \"$_hc\" 2>/dev/null && _hc=${BASH_CMDS[$_hc]-} && [[ $_hc ]];; esac && "
	"{ eval \"_=\\$_hc exec $_ht\"; exit; }'; " /* where it cannot be redirected, exec does not end the shell */
	"exec 2>&8 6<&-; [ $_hb = 3 ] && [ ! \"${LD_PRELOAD-}\" ] && _hp t; "; /* else there may be more to do at an end */
static const char warm_bash_loop[] =
	"[ $_hb = 3 ] && while :; do " TEXT_LOADED "done; _hl=$'\\n'; eval \"${BASH_EXECUTION_STRING#*$_hl}\"; fi\n";
static const char warm_begin[] =
	"_hi=0; if [ -n \"$BASH_VERSION\" ]; then "
	"_hr() { IFS= read -r -d '' -u 7 _ht || return 1; "
	"_hn=${_ht%%\" \"*}; _ht=${_ht#*\" \"}; _hk=${_hn%\"${_hn#?}\"}; _hn=${_hn#?}; "
	"case $_ht in $_hm*) IFS= read -r -N \"${_ht#?}\" -u 7 _ht || return 1;; esac; "
	"case $_hk in 3|4) " TEXT_FROM_FILE ";; 5|6) IFS= read -r -d '' -u 7 _he || return 1;; esac; return 0; }; "
	"_hp() { _hw=$BASHPID; }; _hd='eval --'; "
	"else exec 6<&-; " READ_IN_SH
	/* In a function, so that our loop is none that the text could leave (dash, ksh): "break" would end it without a word, where it
	 * has none itself. In that of zsh it is, and $0 is another. Of those that have no options to eval: a text may begin with a hyphen. */
	"_hp() { read -r _hw _ </proc/self/stat; }; _hb=0; _hv() { shift; eval \"$_ht\"; }; "
	"_hd=_hv; case ${ZSH_VERSION-} in ?*) _hd=eval;; esac; "
	"fi; ";
static const char warm_loop[] = "while :; do " TEXT("") "done";
/* Before the others, where the sandbox got its name only when somebody asked for it (twin.c). Also in those that are started
 * later: so the keeper can start one ahead that is as the next one will be asked for. */
#define READ_NAME "IFS= read -r HOSTNAME <\"/proc/self/fd/9/" SHELL_HOSTNAME "\"; "
static const char warm_bash_named[] = "[ $_hb = 3 ] && { " TEXT_LOADED_NAMED(READ_NAME) "}; ";
static const char warm_named[] = TEXT(READ_NAME);
/* To close the three descriptors for each text would take bash as long as all the rest. So it closes them once, around the loop,
 * and keeps them, as it does for what it will restore, at the next free numbers from 10 on, close-on-exec.
 *
 * At a timeout what the text has started is killed, and the shell is told to run no more of the text. From then on its
 * debugging trap passes over every command, and leaves every loop and function in which it is called, up to ours behind the
 * text, which ends that with one step; ours around the text, of one round, is there to be left. What is behind the text is also
 * before the first one (an end that nobody awaits), and so where even a "continue 2" leads. In a plain sh it is the same, but
 * for the first one: a "break" or "continue" of no loop of the text's own leaves out the rest of it, and "break 2" ends the shell. Told when it is about to wait
 * for the next text, it may come to the trap only with that: run_shell_settle(). */
static const char loop_session[] =
	"if [ -n \"$BASH_VERSION\" ]; then shopt -s expand_aliases; _hi=0; _hf=9; "
	"for _hn in _hq _hp _hw; do _hf=$((_hf+1)); while [ -e /proc/self/fd/$_hf ]; do _hf=$((_hf+1)); done; "
	"eval \"$_hn=$_hf\"; done; "
	"_hr() { IFS= builtin read -r -d '' _hx <\"/proc/self/fd/$_hw/$1.t\"; }; "
	WHICH_BASH "exec 6<&-; "
	"_hz() { return 2; }; "
	"trap 'case $_hx in $_hm*) ;; ?*) _hx=; shopt -s extdebug; trap '\\''"
	"case $BASH_COMMAND in _hs=*) trap - DEBUG; shopt -u extdebug;; "
	"\"case \\$_hx\"*|\"for _hg\"*) false;; *) case ${#FUNCNAME[@]} in 0) ! break 2>/dev/null;; *) _hz;; esac;; esac'\\'' DEBUG;; esac' RTMAX; "
	"printf 'R0 %d\\0' $_hb >&8; "
	"[ $_hb = 3 ] && eval '{ while _hs=$? _hx=; _hp s '$_hq' '$_hp' $_hs \"$PWD\"; do for _hg in 1; do builtin eval -- \"$_hx\"; done; done; } "
	"7<&- 8>&- 9<&-; exit'; "
	"eval '{ while _hs=$? _hx=; builtin printf \"E%d %d %s\\0\" $((_hi++)) $_hs \"$PWD\" >&'$_hp'; "
	"IFS= builtin read -r -d \"\" -u '$_hq' _hx; do "
	"case $_hx in $_hm*) IFS= builtin read -r -N \"${_hx#?}\" -u '$_hq' _hx;; esac; for _hg in 1; do builtin eval -- \"$_hx\"; done; done; } "
	"7<&- 8>&- 9<&-'; exit; fi\n"
	"exec 6<&-; " READ_IN_SH
	"_hi=0; printf 'R0 0\\0' >&8; "
	"while :; do while _hs=$?; case $_hi in 0) ;; *) printf 'E%d %d %s\\0' \"$_hi\" \"$_hs\" \"$PWD\" >&8;; esac; _hi=$((_hi+1)); "
	"_hr || exit; do eval \"$_ht\" 7<&- 8>&- 9<&-; done; done";

/* ---- what else it needs ------------------------------------------------------------------------ */

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

char *shell_name_of(const struct spec *spec)
{
	return spec->shell ? spec->shell : (char *)(uintptr_t)"bash";
}

/* The words that run @text in a shell: behind the entrypoint, or to be tried with sh where bash is not there. The array
 * alone is new. NULL: no memory. */
static char **shell_words(const struct spec *spec, char *text, size_t *ret_n)
{
	const char *const one[] = {shell_name_of(spec), "-c"}, *const either[] = {"sh", "-c", EITHER, "sh"};
	size_t before = shell_behind(spec) ? spec->entrypoint.n : 0, own = before && !spec->shell ? 4 : 2;
	char **words = calloc(before + own + 2, sizeof(*words));

	if (!words)
		return NULL;
	for (size_t i = 0; i < before; i++)
		words[i] = spec->entrypoint.v[i];
	for (size_t i = 0; i < own; i++)
		words[before + i] = (char *)(uintptr_t)(own == 4 ? either : one)[i];
	words[before + own] = text;
	*ret_n = before + own + 1;
	return words;
}

static bool was_nameless(const struct box *b, const struct shell *s)
{
	return !s->session && !s->runner && (b->nameless || b->born);
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
	if (s->session)
		text = strdup(loop_session);
	else if (asprintf(&text, "%s%s%s%s%s%s", warm_bash, was_nameless(b, s) ? warm_bash_named : "", warm_bash_loop, warm_begin,
			  was_nameless(b, s) ? warm_named : "", warm_loop) < 0)
		text = NULL;
	if (!text)
		return err_oom(e);
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
	static const uint32_t numbers[] = {SHELL_COMMANDS, SHELL_RESULTS, SHELL_DIR, SHELL_MODULE}; /* the last is no runner's */
	const struct spec *spec = b->spec;
	struct call c = {.umask = 022, .flags = apart && s->session ? CALL_APART : 0};
	char born[300], *env_born[] = {born};
	const struct exec_ask ask = {.env = env_born, .nenv = was_nameless(b, s)};
	auto_free char **env = NULL;
	bool home_missing;
	size_t nenv = 0;
	int r;

	if (s->runner)
		c.flags = CALL_RUNNER;
	else if (!spec->shell && !shell_behind(spec))
		c.flags |= CALL_OR_SH;
	snprintf(born, sizeof(born), "HOSTNAME=%.200s", b->born ? b->born : b->hostname);
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
		c.nnumbers = s->runner ? 3 : 4;
		c.numbers = pack_bytes(blob, numbers, c.nnumbers * sizeof(*numbers));
		c.session = pack_str(blob, s->session);
	}
	if (r == 0 && buf_bad(blob))
		r = err_oom(e);
	if (r == 0)
		memcpy(blob->data, &c, sizeof(c));
	return r;
}

int shell_begin(struct box *b, struct shell *s, bool apart, struct err *e)
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
