/* SPDX-License-Identifier: Apache-2.0
 *
 * env.c - the environment of a command
 *
 * Nothing of the caller's comes in but TERM under a terminal: PATH, TERM, LANG, HOSTNAME, HOME (by
 * the keeper, from the image's passwd), then what the spec says, then what the call says.
 */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "box/box.h"

/* As Docker's: moby oci/defaults.go, DefaultPathEnv. */
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { VALUE_MAX = 200, TEXT = sizeof("HOSTNAME=") + VALUE_MAX, TEXTS = 2, DEFAULTS = 4 };

/* Strings of others, but for those made here. */
struct env {
	char **v;
	size_t n;
	char *text; /* room for the next that is made */
};

static size_t key_len(const char *kv)
{
	const char *end = strchrnul(kv, '=');

	return (size_t)(end - kv);
}

static void put(struct env *env, const char *kv)
{
	size_t n = key_len(kv), i = 0;

	while (i < env->n && strncmp(env->v[i], kv, n + 1) != 0)
		i++;
	env->v[i] = (char *)(uintptr_t)kv;
	env->n += i == env->n;
}

static void make(struct env *env, const char *key, const char *value)
{
	size_t n = strlen(key), len = strnlen(value, VALUE_MAX);

	memcpy(env->text, key, n);
	memcpy(env->text + n, value, len);
	env->text[n + len] = '\0';
	put(env, env->text);
	env->text += TEXT;
}

static bool has(const struct env *env, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], key, n) && env->v[i][n] == '=')
			return true;
	return false;
}

static void defaults(struct env *env, const struct box *b, bool tty)
{
	const char *term = tty ? getenv("TERM") : NULL;

	put(env, PATH);
	put(env, "LANG=C.UTF-8");
	make(env, "TERM=", term && *term ? term : tty ? "xterm" : "dumb");
	make(env, "HOSTNAME=", b->hostname);
}

int env_build(const struct box *b, const struct exec_ask *ask, char ***ret, size_t *ret_n,
	      bool *ret_home_missing, struct err *e)
{
	size_t room = DEFAULTS + b->spec->env.n + ask->nenv;
	struct env env = {.v = malloc(room * sizeof(*env.v) + TEXTS * TEXT)};
	int r = 0;

	if (!env.v)
		return err_oom(e);
	env.text = (char *)(env.v + room);
	defaults(&env, b, ask->tty);
	for (size_t i = 0; i < b->spec->env.n; i++)
		put(&env, b->spec->env.v[i]);
	for (size_t i = 0; i < ask->nenv && r == 0; i++)
		if (strchr(ask->env[i], '=') > ask->env[i])
			put(&env, ask->env[i]);
		else
			r = err_set(e, ERR_INVALID, "the variable '%.60s' is not NAME=VALUE", ask->env[i]);
	*ret = env.v;
	*ret_n = env.n;
	*ret_home_missing = !has(&env, "HOME");
	return r;
}
