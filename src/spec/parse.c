/* SPDX-License-Identifier: Apache-2.0
 *
 * parse.c - numbers, switches, and names of the kernel, from text
 */
#include "spec/parse.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* Room for sums of sizes, and what off_t can hold. */
#define SIZE_LIMIT ((uint64_t)INT64_MAX)
/* 31 years: in nanoseconds it still fits 63 bits. */
#define DURATION_LIMIT_MS 1000000000000ULL

static struct str_span whole(const char *text)
{
	return (struct str_span){text, strlen(text)};
}

/* The number at *@text; moves behind it. */
static struct str_span number(const char **text)
{
	struct str_span s = {*text, strspn(*text, "0123456789.")};

	*text += s.len;
	return s;
}

/* "k", "KB", "kib" and so on; "b" and "" are 1. False: no such unit. */
static bool size_unit(const char *text, uint64_t *ret)
{
	static const char letters[] = "kmgtp";
	static const char *const ends[] = {"", "b", "i", "ib"};
	struct str_span rest = {text, strlen(text)};
	const char *at;

	*ret = 1;
	if (rest.len == 0 || str_is_nocase(rest, "b"))
		return true;
	at = strchr(letters, rest.at[0] | 0x20);
	if (!at || !*at)
		return false;
	*ret = 1ULL << (10 * (at - letters + 1));
	rest.at++;
	rest.len--;
	for (size_t i = 0; i < COUNT(ends); i++)
		if (str_is_nocase(rest, ends[i]))
			return true;
	return false;
}

int parse_size(const char *text, uint64_t *ret, struct err *e)
{
	const char *unit = text;
	struct str_span n = number(&unit);
	uint64_t scale;

	if (*unit == ' ' && unit[1])
		unit++;
	if (!size_unit(unit, &scale) || (scale == 1 && memchr(n.at, '.', n.len)) ||
	    !str_decimal(n, scale, UINT64_MAX, &scale))
		return err_set(e, ERR_INVALID, "not a size (4096, 512k, 1.5g)");
	if (scale > SIZE_LIMIT)
		return err_set(e, ERR_INVALID, "too large a size");
	*ret = scale;
	return 0;
}

/* The unit at *@text, in milliseconds; moves behind it. 0: no such unit. */
static uint64_t time_unit(const char **text)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

	for (size_t i = 0; i < COUNT(units); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(*text, units[i].name, len) == 0) {
			*text += len;
			return units[i].ms;
		}
	}
	return 0;
}

int parse_duration(const char *text, uint64_t *ret, struct err *e)
{
	const char *at = text;
	uint64_t sum = 0;

	do {
		struct str_span n = number(&at);
		bool bare = *at == '\0' && n.at == text;
		uint64_t part, unit = bare ? 1000 : time_unit(&at);

		if (unit == 0 || !str_decimal(n, unit, UINT64_MAX, &part))
			return err_set(e, ERR_INVALID, "not a time (10, 1.5, 200ms, 2m, 1h30m)");
		if (part > DURATION_LIMIT_MS || sum + part > DURATION_LIMIT_MS)
			return err_set(e, ERR_INVALID, "too long a time");
		sum += part;
	} while (*at);
	*ret = sum;
	return 0;
}

int parse_bool(const char *text, bool *ret, struct err *e)
{
	static const struct {
		const char *word;
		bool on;
	} words[] = {{"true", true}, {"false", false}, {"1", true},  {"0", false}, {"yes", true},
		     {"no", false},  {"t", true},      {"f", false}, {"y", true},  {"n", false}};

	for (size_t i = 0; i < COUNT(words); i++)
		if (str_is_nocase(whole(text), words[i].word)) {
			*ret = words[i].on;
			return 0;
		}
	return err_set(e, ERR_INVALID, "neither true nor false");
}

int parse_int(const char *text, int min, int max, int *ret, struct err *e)
{
	int64_t n;

	if (!str_i64(whole(text), min, max, &n))
		return err_set(e, ERR_INVALID, "not a whole number from %d to %d", min, max);
	*ret = (int)n;
	return 0;
}

/* ---- capabilities ---------------------------------------------------------------------------- */

static const char *const caps[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

_Static_assert(COUNT(caps) == CAP_CHECKPOINT_RESTORE + 1, "in the kernel's order, all of them");

const char *parse_cap_name(unsigned cap)
{
	return cap < COUNT(caps) ? caps[cap] : NULL;
}

int parse_cap(const char *text, uint64_t *ret, struct err *e)
{
	struct str_span word = whole(text);
	struct str_near near = {0};
	const char *best;

	if (word.len > 4 && str_is_nocase((struct str_span){word.at, 4}, "CAP_")) {
		word.at += 4;
		word.len -= 4;
	}
	near.word = word.at;
	if (str_is_nocase(word, "ALL")) {
		*ret = UINT64_MAX;
		return 0;
	}
	for (unsigned i = 0; i < COUNT(caps); i++) {
		if (str_is_nocase(word, caps[i])) {
			*ret = 1ULL << i;
			return 0;
		}
		str_near_try(&near, caps[i], caps[i]);
	}
	best = str_near_best(&near);
	if (best)
		return err_set(e, ERR_INVALID, "no such capability; did you mean '%s'?", best);
	return err_set(e, ERR_INVALID, "no such capability");
}

/* ---- signals --------------------------------------------------------------------------------- */

/* Those the C library leaves to programs, as Docker counts them. */
enum { RTMIN = 34, RTMAX = 64 };

static const struct {
	const char *name;
	int n;
} signals[] = {
	{"HUP", SIGHUP},       {"INT", SIGINT},	  {"QUIT", SIGQUIT},	 {"ILL", SIGILL},
	{"TRAP", SIGTRAP},     {"ABRT", SIGABRT}, {"IOT", SIGABRT},	 {"BUS", SIGBUS},
	{"FPE", SIGFPE},       {"KILL", SIGKILL}, {"USR1", SIGUSR1},	 {"SEGV", SIGSEGV},
	{"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},	 {"TERM", SIGTERM},
#ifdef SIGSTKFLT
	{"STKFLT", SIGSTKFLT},
#endif
	{"CHLD", SIGCHLD},     {"CLD", SIGCHLD},  {"CONT", SIGCONT},	 {"STOP", SIGSTOP},
	{"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},	 {"URG", SIGURG},
	{"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},
	{"WINCH", SIGWINCH},   {"IO", SIGIO},	  {"POLL", SIGIO},	 {"PWR", SIGPWR},
	{"SYS", SIGSYS},       {"RTMIN", RTMIN},  {"RTMAX", RTMAX},
};

/* "RTMIN+3", "RTMAX-1". 0: not one. */
static int realtime_signal(struct str_span word)
{
	uint64_t n;
	bool up;

	if (word.len < 7)
		return 0;
	up = str_is_nocase((struct str_span){word.at, 6}, "RTMIN+");
	if (!up && !str_is_nocase((struct str_span){word.at, 6}, "RTMAX-"))
		return 0;
	if (!str_u64((struct str_span){word.at + 6, word.len - 6}, RTMAX - RTMIN, &n))
		return 0;
	return up ? RTMIN + (int)n : RTMAX - (int)n;
}

int parse_signal(const char *text, int *ret, struct err *e)
{
	struct str_span word = whole(text);
	struct str_near near = {0};
	const char *best;
	uint64_t n;

	if (str_u64(word, RTMAX, &n) && n > 0) {
		*ret = (int)n;
		return 0;
	}
	if (word.len > 3 && str_is_nocase((struct str_span){word.at, 3}, "SIG")) {
		word.at += 3;
		word.len -= 3;
	}
	near.word = word.at;
	for (size_t i = 0; i < COUNT(signals); i++) {
		if (str_is_nocase(word, signals[i].name)) {
			*ret = signals[i].n;
			return 0;
		}
		str_near_try(&near, signals[i].name, signals[i].name);
	}
	if (realtime_signal(word)) {
		*ret = realtime_signal(word);
		return 0;
	}
	best = str_near_best(&near);
	if (best)
		return err_set(e, ERR_INVALID, "no such signal; did you mean '%s'?", best);
	return err_set(e, ERR_INVALID, "no such signal (TERM, SIGINT, RTMIN+3, 1 to %d)", RTMAX);
}

/* ---- limits of processes --------------------------------------------------------------------- */

static const struct {
	const char *name;
	int which;
} rlimits[] = {
	{"as", RLIMIT_AS},
	{"core", RLIMIT_CORE},
	{"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},
	{"fsize", RLIMIT_FSIZE},
	{"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK},
	{"msgqueue", RLIMIT_MSGQUEUE},
	{"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE},
	{"nproc", RLIMIT_NPROC},
	{"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},
	{"rttime", RLIMIT_RTTIME},
	{"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};

_Static_assert(COUNT(rlimits) == RLIM_NLIMITS, "all that the kernel has");

const char *parse_rlimit_name(int which)
{
	for (size_t i = 0; i < COUNT(rlimits); i++)
		if (rlimits[i].which == which)
			return rlimits[i].name;
	return NULL;
}

static int rlimit_which(struct str_span name, int *ret, struct err *e)
{
	char word[32];
	struct str_near near = {.word = word};

	for (size_t i = 0; i < COUNT(rlimits); i++)
		if (str_is(name, rlimits[i].name)) {
			*ret = rlimits[i].which;
			return 0;
		}
	snprintf(word, sizeof(word), "%.*s", (int)(name.len < 31 ? name.len : 31), name.at);
	for (size_t i = 0; i < COUNT(rlimits); i++)
		str_near_try(&near, rlimits[i].name, rlimits[i].name);
	if (near.best)
		return err_set(e, ERR_INVALID, "no limit '%s'; did you mean '%s'?", word,
			       str_near_best(&near));
	return err_set(e, ERR_INVALID, "no limit '%s'", word);
}

static bool rlimit_value(struct str_span s, uint64_t *ret)
{
	if (str_is(s, "-1") || str_is_nocase(s, "unlimited")) {
		*ret = UINT64_MAX;
		return true;
	}
	return str_u64(s, UINT64_MAX - 1, ret);
}

int parse_rlimit(const char *text, struct spec_rlimit *ret, struct err *e)
{
	const char *equals = strchr(text, '='), *rest = equals ? equals + 1 : NULL;
	struct str_span soft, hard;
	struct spec_rlimit got;
	int r;

	if (!equals)
		return err_set(e, ERR_INVALID, "not NAME=SOFT[:HARD]");
	r = rlimit_which((struct str_span){text, (size_t)(equals - text)}, &got.which, e);
	if (r < 0)
		return r;
	str_next(&rest, ':', &soft);
	if (!str_next(&rest, ':', &hard))
		hard = soft;
	if (rest || !rlimit_value(soft, &got.soft) || !rlimit_value(hard, &got.hard))
		return err_set(e, ERR_INVALID, "not NAME=SOFT[:HARD] with numbers or 'unlimited'");
	if (got.soft > got.hard)
		return err_set(e, ERR_INVALID, "the soft limit is above the hard one");
	*ret = got;
	return 0;
}
