/* SPDX-License-Identifier: Apache-2.0
 *
 * env.c - the environment of a command
 *
 * Nothing of the caller's comes in but TERM under a terminal: PATH, TERM, LANG, HOSTNAME, HOME (by
 * the keeper, from the image's passwd), then what the spec says, then what the call says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "box/box.h"

/* As Docker's: moby oci/defaults.go, DefaultPathEnv. */
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct env {
	char **v;
	size_t n;
};

static size_t key_len(const char *kv)
{
	return strcspn(kv, "=");
}

static int put(struct env *env, const char *kv, struct err *e)
{
	size_t n = key_len(kv), i;
	char *copy = strdup(kv);

	if (!copy)
		return err_oom(e);
	for (i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], kv, n + 1))
			break;
	if (i < env->n)
		free(env->v[i]);
	else
		env->n++;
	env->v[i] = copy;
	return 0;
}

static bool has(const struct env *env, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->v[i], key, n) && env->v[i][n] == '=')
			return true;
	return false;
}

static int defaults(struct env *env, const struct box *b, bool tty, struct err *e)
{
	const char *term = tty ? getenv("TERM") : NULL;
	char text[300];
	int r;

	r = put(env, PATH, e);
	if (r == 0)
		r = put(env, "LANG=C.UTF-8", e);
	snprintf(text, sizeof(text), "TERM=%.200s", term && *term ? term : tty ? "xterm" : "dumb");
	if (r == 0)
		r = put(env, text, e);
	snprintf(text, sizeof(text), "HOSTNAME=%.200s", b->hostname);
	return r < 0 ? r : put(env, text, e);
}

int env_build(const struct box *b, const struct exec_ask *ask, char ***ret, size_t *ret_n,
	      bool *ret_home_missing, struct err *e)
{
	struct env env = {calloc(4 + b->spec->env.n + ask->nenv + 1, sizeof(*env.v)), 0};
	int r;

	if (!env.v)
		return err_oom(e);
	r = defaults(&env, b, ask->tty, e);
	for (size_t i = 0; i < b->spec->env.n && r == 0; i++)
		r = put(&env, b->spec->env.v[i], e);
	for (size_t i = 0; i < ask->nenv && r == 0; i++)
		r = strchr(ask->env[i], '=') > ask->env[i] ? put(&env, ask->env[i], e) :
			err_set(e, ERR_INVALID, "the variable '%.60s' is not NAME=VALUE", ask->env[i]);
	*ret = env.v;
	*ret_n = env.n;
	*ret_home_missing = !has(&env, "HOME");
	return r;
}
