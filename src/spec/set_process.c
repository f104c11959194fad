/* SPDX-License-Identifier: Apache-2.0
 *
 * set_process.c - the fields that say how the command is run
 *
 * How it works: as in Docker, variables given one by one win over those of env files, wherever
 * each stands. So the list of variables has two parts: its first nenv_from_file came from files
 * and give way.
 */
#include "spec/rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/parse.h"

/* ---- environment ----------------------------------------------------------------------------- */

/* Where the variable of @kv ("K" or "K=V") stands among [@from, @to); @to: nowhere. */
static size_t env_find(const struct spec_list *env, const char *kv, size_t from, size_t to)
{
	size_t len = strcspn(kv, "=");

	while (from < to && (strncmp(env->v[from], kv, len) != 0 || env->v[from][len] != '='))
		from++;
	return from;
}

static void env_drop(struct spec *s, const char *kv)
{
	size_t i = env_find(&s->env, kv, 0, s->env.n);

	if (i == s->env.n)
		return;
	spec_list_remove(&s->env, i, 1);
	if (i < s->nenv_from_file)
		s->nenv_from_file--;
}

static int set_env(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	char *kv = NULL;
	int n = parse_env(text, &kv, e);

	(void)r;
	if (n < 0)
		return n;
	if (!spec_list_reserve(&s->env, s->env.n + 1)) {
		free(kv);
		return err_oom(e);
	}
	env_drop(s, kv);
	if (strchr(kv, '='))
		spec_list_insert(&s->env, s->env.n, kv);
	else
		free(kv);
	return 0;
}

/* One variable of a file: the files' part takes it, unless it was given one by one. */
static void env_from_file(struct spec *s, char *taken)
{
	struct spec_list *env = &s->env;
	size_t i = env_find(env, taken, 0, env->n);

	if (i == env->n) {
		spec_list_insert(env, s->nenv_from_file++, taken);
	} else if (i < s->nenv_from_file) {
		free(env->v[i]);
		env->v[i] = taken;
	} else {
		free(taken);
	}
}

static int set_env_file(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	auto_list struct spec_list got = {0};
	int n = parse_env_file(text, &got, e);

	(void)r;
	if (n < 0)
		return n;
	if (!spec_list_reserve(&s->env, s->env.n + got.n))
		return err_oom(e);
	for (size_t i = 0; i < got.n; i++)
		env_from_file(s, take_ptr(&got.v[i]));
	return 0;
}

static bool get_env(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	for (size_t i = 0; i < s->env.n; i++)
		if (!spec_list_add_copy(to, s->env.v[i]))
			return false;
	return true;
}

static void clear_env(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	spec_list_done(&s->env);
	s->nenv_from_file = 0;
}

/* What was read is in env; there is nothing more to tell. */
static bool get_env_file(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)s, (void)r, (void)to;
	return true;
}

static void clear_env_file(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	spec_list_remove(&s->env, 0, s->nenv_from_file);
	s->nenv_from_file = 0;
}

const struct spec_rule spec_rule_env = {.set = set_env, .get = get_env, .clear = clear_env};
const struct spec_rule spec_rule_env_file = {
	.set = set_env_file,
	.get = get_env_file,
	.clear = clear_env_file,
};

/* ---- entrypoint ------------------------------------------------------------------------------ */

static int set_entrypoint(struct spec *s, const struct spec_rule *r, const char *text,
			  struct err *e)
{
	(void)r;
	if (!*text)
		spec_list_done(&s->entrypoint);
	else if (!spec_list_add_copy(&s->entrypoint, text))
		return err_oom(e);
	s->entrypoint_set = true;
	return 0;
}

static bool get_entrypoint(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	if (s->entrypoint_set && s->entrypoint.n == 0)
		return spec_list_add_copy(to, "");
	for (size_t i = 0; i < s->entrypoint.n; i++)
		if (!spec_list_add_copy(to, s->entrypoint.v[i]))
			return false;
	return true;
}

static void clear_entrypoint(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	spec_list_done(&s->entrypoint);
	s->entrypoint_set = false;
}

const struct spec_rule spec_rule_entrypoint = {
	.set = set_entrypoint,
	.get = get_entrypoint,
	.clear = clear_entrypoint,
	.empty_says = true,
};

/* ---- the stop signal ------------------------------------------------------------------------- */

static int set_signal(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	int number, n = parse_signal(text, &number, e);
	char *copy;

	(void)r;
	if (n < 0)
		return n;
	copy = strdup(text);
	if (!copy)
		return err_oom(e);
	free(s->stop_signal);
	s->stop_signal = copy;
	s->stop_signal_number = number;
	return 0;
}

static bool get_signal(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	return !s->stop_signal || spec_list_add_copy(to, s->stop_signal);
}

static void clear_signal(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	free(s->stop_signal);
	s->stop_signal = NULL;
	s->stop_signal_number = 0;
}

const struct spec_rule spec_rule_stop_signal = {
	.set = set_signal,
	.get = get_signal,
	.clear = clear_signal,
};

/* ---- limits ---------------------------------------------------------------------------------- */

static int set_ulimit(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	struct spec_rlimit got, *room;
	int n = parse_rlimit(text, &got, e);

	(void)r;
	if (n < 0)
		return n;
	for (size_t i = 0; i < s->nulimits; i++)
		if (s->ulimits[i].which == got.which) {
			s->ulimits[i] = got;
			return 0;
		}
	room = reallocarray(s->ulimits, s->nulimits + 1, sizeof(got));
	if (!room)
		return err_oom(e);
	s->ulimits = room;
	room[s->nulimits++] = got;
	return 0;
}

/* "1024", or "-1" for no limit. */
static void ulimit_number(uint64_t n, char out[24])
{
	if (n == UINT64_MAX)
		strcpy(out, "-1");
	else
		snprintf(out, 24, "%llu", (unsigned long long)n);
}

static bool get_ulimit(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	for (size_t i = 0; i < s->nulimits; i++) {
		const struct spec_rlimit *u = &s->ulimits[i];
		char soft[24], hard[24];

		ulimit_number(u->soft, soft);
		ulimit_number(u->hard, hard);
		if (!spec_list_add(to,
				   spec_text("%s=%s:%s", parse_rlimit_name(u->which), soft, hard)))
			return false;
	}
	return true;
}

static void clear_ulimit(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	s->nulimits = 0;
}

static int set_oom(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	int n = parse_int(text, -1000, 1000, &s->oom_score_adj, e);

	(void)r;
	if (n < 0)
		return n;
	s->oom_score_adj_set = true;
	return 0;
}

static bool get_oom(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	return !s->oom_score_adj_set || spec_list_add(to, spec_text("%d", s->oom_score_adj));
}

static void clear_oom(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	s->oom_score_adj = 0;
	s->oom_score_adj_set = false;
}

const struct spec_rule spec_rule_ulimits = {
	.set = set_ulimit,
	.get = get_ulimit,
	.clear = clear_ulimit,
};
const struct spec_rule spec_rule_oom_score_adj = {
	.set = set_oom,
	.get = get_oom,
	.clear = clear_oom,
};
