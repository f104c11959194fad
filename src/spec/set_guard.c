/* SPDX-License-Identifier: Apache-2.0
 *
 * set_guard.c - the fields that say what a box is kept from: capabilities, options of security,
 * kernel settings, network, ids
 */
#include "spec/rule.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "spec/parse.h"

/* ---- capabilities: sets of bits -------------------------------------------------------------- */

static int set_cap(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	uint64_t bits;
	int n = parse_cap(text, &bits, e);

	if (n < 0)
		return n;
	*(r->which ? &s->cap_drop : &s->cap_add) |= bits;
	return 0;
}

static bool get_cap(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	uint64_t bits = r->which ? s->cap_drop : s->cap_add;

	if (bits == UINT64_MAX)
		return spec_list_add_copy(to, "ALL");
	for (unsigned i = 0; parse_cap_name(i); i++)
		if ((bits >> i & 1) && !spec_list_add_copy(to, parse_cap_name(i)))
			return false;
	return true;
}

static void clear_cap(struct spec *s, const struct spec_rule *r)
{
	*(r->which ? &s->cap_drop : &s->cap_add) = 0;
}

const struct spec_rule spec_rule_cap_add = {.set = set_cap, .get = get_cap, .clear = clear_cap};
const struct spec_rule spec_rule_cap_drop = {
	.set = set_cap,
	.get = get_cap,
	.clear = clear_cap,
	.which = 1,
};

/* ---- options of security: switches of their own ---------------------------------------------- */

static const struct {
	const char *name;
	size_t at;
	bool inverse; /* the option on is the member off */
} options[] = {
	{"no-new-privileges", offsetof(struct spec, allow_new_privileges), true},
	{"ptrace", offsetof(struct spec, allow_ptrace), false},
	{"userns", offsetof(struct spec, allow_userns), false},
	{"i386", offsetof(struct spec, allow_i386), false},
};

enum { NOPTIONS = sizeof(options) / sizeof(*options) };

static int set_seccomp(struct spec *s, const char *value, struct err *e)
{
	if (strcmp(value, "unconfined") == 0)
		s->seccomp_unconfined = true;
	else if (strcmp(value, "builtin") == 0)
		s->seccomp_unconfined = false;
	else
		return err_set(e, ERR_UNSUPPORTED,
			       "profiles from a file are not in this version yet (unconfined)");
	return 0;
}

/* Docker's options for other guards of the host. To ask for less of what is not there changes
 * nothing; to ask for more would not be kept. */
static int set_foreign(struct str_span name, const char *value, struct err *e)
{
	if (str_is(name, "apparmor") && strcmp(value, "unconfined") == 0)
		return 0;
	if (str_is(name, "label") && strcmp(value, "disable") == 0)
		return 0;
	if (str_is(name, "apparmor") || str_is(name, "label") || str_is(name, "systempaths"))
		return err_set(e, ERR_UNSUPPORTED, "not in this version yet");
	return err_set(e, ERR_INVALID,
		       "no such option (seccomp=unconfined, no-new-privileges[=false], ptrace, "
		       "userns, i386)");
}

static int set_option(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	struct str_span name = {text, strcspn(text, "=:")};
	const char *value = text[name.len] ? text + name.len + 1 : NULL;

	(void)r;
	for (size_t i = 0; i < NOPTIONS; i++) {
		bool on = true;
		int n = 0;

		if (!str_is(name, options[i].name))
			continue;
		if (value)
			n = parse_bool(value, &on, e);
		if (n == 0)
			*(bool *)((char *)s + options[i].at) = on != options[i].inverse;
		return n;
	}
	if (value && str_is(name, "seccomp"))
		return set_seccomp(s, value, e);
	return set_foreign(name, value ? value : "", e);
}

static bool get_option(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	if (s->seccomp_unconfined && !spec_list_add_copy(to, "seccomp=unconfined"))
		return false;
	for (size_t i = 0; i < NOPTIONS; i++) {
		const char *value = options[i].inverse ? "=false" : "";

		if (*(const bool *)((const char *)s + options[i].at) &&
		    !spec_list_add(to, spec_text("%s%s", options[i].name, value)))
			return false;
	}
	return true;
}

static void clear_option(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	s->seccomp_unconfined = false;
	for (size_t i = 0; i < NOPTIONS; i++)
		*(bool *)((char *)s + options[i].at) = false;
}

const struct spec_rule spec_rule_security_opt = {
	.set = set_option,
	.get = get_option,
	.clear = clear_option,
};

/* ---- kernel settings ------------------------------------------------------------------------- */

static int set_sysctl(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	struct spec_pair got = {0}, *room;
	int n = parse_sysctl(text, &got, e);

	(void)r;
	if (n < 0)
		return n;
	for (size_t i = 0; i < s->nsysctls; i++)
		if (strcmp(s->sysctls[i].key, got.key) == 0) {
			free(s->sysctls[i].value);
			s->sysctls[i].value = got.value;
			free(got.key);
			return 0;
		}
	room = reallocarray(s->sysctls, s->nsysctls + 1, sizeof(got));
	if (!room) {
		free(got.key);
		free(got.value);
		return err_oom(e);
	}
	s->sysctls = room;
	room[s->nsysctls++] = got;
	return 0;
}

static bool get_sysctl(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	for (size_t i = 0; i < s->nsysctls; i++)
		if (!spec_list_add(to, spec_text("%s=%s", s->sysctls[i].key, s->sysctls[i].value)))
			return false;
	return true;
}

static void clear_sysctl(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	while (s->nsysctls) {
		s->nsysctls--;
		free(s->sysctls[s->nsysctls].key);
		free(s->sysctls[s->nsysctls].value);
	}
}

const struct spec_rule spec_rule_sysctls = {
	.set = set_sysctl,
	.get = get_sysctl,
	.clear = clear_sysctl,
};

/* ---- network and ids ------------------------------------------------------------------------- */

static int set_network(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	(void)r;
	return parse_network(text, &s->network, e);
}

static bool get_network(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	return s->network == SPEC_NET_NONE || spec_list_add_copy(to, "host");
}

static void clear_network(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	s->network = SPEC_NET_NONE;
}

static int set_ids(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	(void)r;
	if (strcmp(text, "auto") == 0)
		s->ids = SPEC_IDS_AUTO;
	else if (strcmp(text, "host") == 0)
		s->ids = SPEC_IDS_HOST;
	else
		return err_set(e, ERR_INVALID, "not auto or host");
	return 0;
}

static bool get_ids(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	return s->ids == SPEC_IDS_AUTO || spec_list_add_copy(to, "host");
}

static void clear_ids(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	s->ids = SPEC_IDS_AUTO;
}

const struct spec_rule spec_rule_network = {
	.set = set_network,
	.get = get_network,
	.clear = clear_network,
	.unset = "none",
};
const struct spec_rule spec_rule_ids = {
	.set = set_ids,
	.get = get_ids,
	.clear = clear_ids,
	.unset = "auto",
};
