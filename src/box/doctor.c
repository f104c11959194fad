/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor.c - from facts about the host to a list of checks
 *
 * How it works: box_doctor() finds out where data and state would be, has sys/probe.c ask, and
 * judges. Judging is pure, so tests can give it the facts of any host. Strings are collected in
 * one buffer by offset; at the end the checks and their strings become one block.
 *
 * Called by: api/.  Parts: doctor_kernel.c, doctor_host.c.
 */
#include "box/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "box/doctor_list.h"

enum { TEXT_MAX = 256 * 1024, CAP_SYS_ADMIN_BIT = 21, IDS_MAX = 65536 };

/* ---- the list -------------------------------------------------------------------------------- */

void doctor_check(struct doctor *d, enum box_check_level level, const char *name, int ok)
{
	if (d->n == DOCTOR_CHECKS_MAX) {
		d->text.bad = true;
		return;
	}
	d->entries[d->n++] = (struct doctor_entry){.name = name, .ok = ok, .level = (int)level};
}

static size_t add_text(struct doctor *d, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static size_t add_text(struct doctor *d, const char *fmt, va_list ap)
{
	char line[2048];
	size_t at = d->text.len;

	vsnprintf(line, sizeof(line), fmt, ap);
	str_one_line(line);
	if (!str_utf8(line, strlen(line))) /* a path; the rest of the line still says enough */
		for (char *c = line; *c; c++)
			if (*c & 0x80)
				*c = '?';
	buf_add(&d->text, line, strlen(line) + 1);
	return at;
}

#define ADD_TEXT(member)                                                                           \
	do {                                                                                       \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, fmt);                                                                 \
		d->entries[d->n - 1].member = add_text(d, fmt, ap);                                \
		va_end(ap);                                                                        \
	} while (0)

void doctor_found(struct doctor *d, const char *fmt, ...)
{
	ADD_TEXT(found);
}

void doctor_lost(struct doctor *d, const char *fmt, ...)
{
	ADD_TEXT(lost);
}

void doctor_mend(struct doctor *d, const char *fmt, ...)
{
	ADD_TEXT(mend);
}

static int to_block(const struct doctor *d, struct box_check **ret_checks, size_t *ret_n,
		    struct err *e)
{
	const size_t head = d->n * sizeof(struct box_check);
	struct box_check *checks;
	char *text;

	if (buf_bad(&d->text))
		return err_oom(e);
	checks = malloc(head + d->text.len);
	if (!checks)
		return err_oom(e);
	text = (char *)checks + head;
	memcpy(text, d->text.data, d->text.len);
	for (size_t i = 0; i < d->n; i++) {
		const struct doctor_entry *from = &d->entries[i];
		const bool well = from->ok == 1;

		checks[i] = (struct box_check){
			.name = from->name,
			.ok = from->ok,
			.level = from->level,
			.found = text + from->found,
			.lost = well ? "" : text + from->lost,
			.mend = well ? "" : text + from->mend,
		};
	}
	*ret_checks = checks;
	*ret_n = d->n;
	return 0;
}

/* ---- words that several checks share --------------------------------------------------------- */

int doctor_ok(int fact)
{
	return fact == PROBE_UNASKED ? -1 : fact == 0;
}

const char *doctor_says(int fact, char *buf, size_t size)
{
	if (fact == 0)
		return "works";
	if (fact > 0)
		return "could not be asked";
	snprintf(buf, size, "%s", strerror(-fact));
	return buf;
}

const char *doctor_sudo(const struct doctor *d)
{
	return d->p->who.uid == 0 ? "" : "sudo ";
}

const char *doctor_unconfine(const struct doctor *d)
{
	static const struct {
		const char *container, *line;
	} lines[] = {
		{"docker", "docker run --security-opt seccomp=unconfined --security-opt "
			   "apparmor=unconfined --security-opt systempaths=unconfined ..."},
		{"podman", "podman run --security-opt seccomp=unconfined --security-opt "
			   "label=disable --security-opt unmask=ALL ..."},
		{"kubernetes", "in the pod: hostUsers: false, and securityContext: "
			       "{seccompProfile: {type: Unconfined}, appArmorProfile: "
			       "{type: Unconfined}, procMount: Unmasked}"},
		{"lxc", "lxc config set CONTAINER security.nesting true"},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (!strcmp(d->p->who.container, lines[i].container))
			return lines[i].line;
	return "in the unit of the service: RestrictNamespaces=no and an empty SystemCallFilter=";
}

/* ---- who ------------------------------------------------------------------------------------- */

static enum doctor_persona persona_of(const struct probe *p)
{
	const struct probe_who *w = &p->who;

	if (w->initial && (w->caps >> CAP_SYS_ADMIN_BIT & 1))
		return DOCTOR_ROOT;
	if (!w->initial && w->uid == 0)
		return DOCTOR_NESTED;
	return p->ids.map == 0 ? DOCTOR_SUBIDS : DOCTOR_ONE_ID;
}

static void check_caller(struct doctor *d)
{
	const struct probe_who *w = &d->p->who;
	const unsigned int uid = (unsigned int)w->uid;

	doctor_check(d, BOX_CHECK_REQUIRED, "caller", 1);
	switch (d->persona) {
	case DOCTOR_ROOT:
		doctor_found(d, "root: every sandbox gets 65536 ids of its own; files on disk keep "
				"the ids of the image");
		break;
	case DOCTOR_SUBIDS:
		doctor_found(d, "a user with subordinate ids: uid 0 inside is your uid %u, 1 to %u "
				"are your subordinate ids, the same in all your sandboxes",
			     uid,
			     (unsigned int)(d->p->ids.uid_count < IDS_MAX ? d->p->ids.uid_count
									  : IDS_MAX - 1));
		break;
	case DOCTOR_ONE_ID:
		doctor_found(d, "a user with one id: uid 0 inside is your uid %u%s, and nobody "
				"else exists inside",
			     uid, uid ? "" : " (root of a container, without CAP_SYS_ADMIN)");
		break;
	case DOCTOR_NESTED:
		doctor_found(d, "uid 0 of a nested user namespace: its %llu id%s what sandboxes "
				"can have",
			     (unsigned long long)w->ids, w->ids == 1 ? " is" : "s are");
		break;
	}
}

int box_doctor_judge(const struct probe *p, struct box_check **ret_checks, size_t *ret_n,
		     struct err *e)
{
	struct doctor d = {.p = p, .persona = persona_of(p), .text = BUF_INIT(TEXT_MAX)};
	int r;

	buf_char(&d.text, '\0');
	check_caller(&d);
	doctor_kernel(&d);
	doctor_host(&d);
	r = to_block(&d, ret_checks, ret_n, e);
	buf_done(&d.text);
	return r;
}

/* ---- where data and state would be (as box/home.c has it) ------------------------------- */

struct places {
	char user[128];
	char data[1024], state[1024]; /* "": nothing says where */
};

/* Is @line that of @uid in /etc/passwd, "name:password:uid:..."? */
static bool is_line_of(const char *line, uid_t uid, struct str_span *ret_name)
{
	struct str_span password, number;
	uint64_t n;

	return str_next(&line, ':', ret_name) && line && str_next(&line, ':', &password) && line &&
	       str_next(&line, ':', &number) && str_u64(number, UINT32_MAX, &n) && n == uid;
}

/* From the file, not from the name service: this may run in a program without shared libraries. */
static void find_user(struct places *w, uid_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	const char *user = getenv("USER");
	struct str_span name;
	char line[4096];

	snprintf(w->user, sizeof(w->user), "%s", user ? user : "");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (is_line_of(line, uid, &name)) {
			snprintf(w->user, sizeof(w->user), "%.*s", (int)name.len, name.at);
			break;
		}
	fclose(f);
}

static const char *absolute_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value == '/' ? value : NULL;
}

static bool ours_alone(const char *dir, uid_t uid)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid &&
	       !(st.st_mode & 077);
}

/* HUTCH_HOME, which may be relative. */
static bool find_both(struct places *w)
{
	const char *home = getenv("HUTCH_HOME");
	auto_free char *cwd = NULL;

	if (!home || !*home)
		return false;
	if (*home != '/')
		cwd = getcwd(NULL, 0);
	snprintf(w->data, sizeof(w->data), "%s%s%s/data", cwd ? cwd : "", cwd ? "/" : "", home);
	snprintf(w->state, sizeof(w->state), "%s%s%s/run", cwd ? cwd : "", cwd ? "/" : "", home);
	return true;
}

static void find_places(struct places *w, const struct probe *p)
{
	const char *data = absolute_env("XDG_DATA_HOME"), *home = absolute_env("HOME");
	const char *runtime = absolute_env("XDG_RUNTIME_DIR");
	const unsigned int uid = (unsigned int)p->who.uid;

	find_user(w, p->who.uid);
	if (find_both(w))
		return;
	if (persona_of(p) == DOCTOR_ROOT) {
		snprintf(w->data, sizeof(w->data), "/var/lib/hutch");
		snprintf(w->state, sizeof(w->state), "/run/hutch");
		return;
	}
	if (data)
		snprintf(w->data, sizeof(w->data), "%s/hutch", data);
	else if (home)
		snprintf(w->data, sizeof(w->data), "%s/.local/share/hutch", home);
	if (runtime && ours_alone(runtime, p->who.uid))
		snprintf(w->state, sizeof(w->state), "%s/hutch", runtime);
	else
		snprintf(w->state, sizeof(w->state), "/tmp/hutch-%u", uid);
}

int box_doctor(struct box_check **ret_checks, size_t *ret_n, struct err *e)
{
	auto_free struct probe *p = malloc(sizeof(*p));
	auto_free struct places *w = calloc(1, sizeof(*w));
	struct probe_ask ask;

	if (!p || !w)
		return err_oom(e);
	probe_who(p);
	find_places(w, p);
	ask = (struct probe_ask){
		.user = w->user[0] ? w->user : NULL,
		.data_dir = w->data[0] ? w->data : NULL,
		.state_dir = w->state,
		.runtime_dir = absolute_env("XDG_RUNTIME_DIR"),
		.path = getenv("PATH"),
	};
	probe_host(p, &ask);
	return box_doctor_judge(p, ret_checks, ret_n, e);
}
