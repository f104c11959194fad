/* SPDX-License-Identifier: Apache-2.0
 *
 * parse_word.c - names, users, hosts and kernel settings, from text
 */
#include "spec/parse.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum { NAME_MAX_LEN = 200, HOSTNAME_MAX_LEN = 63, IMAGE_MAX_LEN = 1024, DOMAIN_MAX_LEN = 253 };

static bool starts_with(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Nothing but @allowed, at least one character. */
static bool only(struct str_span s, const char *allowed)
{
	for (size_t i = 0; i < s.len; i++)
		if (!s.at[i] || !strchr(allowed, s.at[i]))
			return false;
	return s.len > 0;
}

static bool alnum(char c)
{
	return c && strchr(ALNUM, c) != NULL;
}

/* Blanks and control characters. */
static bool has_blank(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return true;
	return false;
}

static int keep(const char *text, char **ret, struct err *e)
{
	char *copy = strdup(text);

	if (!copy)
		return err_oom(e);
	*ret = copy;
	return 0;
}

int parse_name(const char *text, char **ret, struct err *e)
{
	struct str_span s = {text, strlen(text)};

	if (!alnum(text[0]) || !only(s, ALNUM "_.-"))
		return err_set(e, ERR_INVALID,
			       "a name is letters, digits and '_.-', a letter or digit first");
	if (s.len > NAME_MAX_LEN)
		return err_set(e, ERR_INVALID, "longer than %d bytes", NAME_MAX_LEN);
	return keep(text, ret, e);
}

int parse_hostname(const char *text, char **ret, struct err *e)
{
	struct str_span s = {text, strlen(text)};

	if (!alnum(text[0]) || !only(s, ALNUM "_.-") || text[s.len - 1] == '-' ||
	    text[s.len - 1] == '.')
		return err_set(e, ERR_INVALID,
			       "a host name is letters, digits and, between them, '-', '_' or '.'");
	if (s.len > HOSTNAME_MAX_LEN)
		return err_set(e, ERR_INVALID, "longer than %d bytes", HOSTNAME_MAX_LEN);
	return keep(text, ret, e);
}

int parse_image(const char *text, char **ret, struct err *e)
{
	struct str_span s = {text, strlen(text)};

	if (!alnum(text[0]) || !only(s, ALNUM "_.-/:@+") || s.len > IMAGE_MAX_LEN)
		return err_set(e, ERR_INVALID,
			       "not an image (alpine, debian:12, host/name@sha256:…)");
	return keep(text, ret, e);
}

/* A name, or a number that the kernel takes as an id. */
static bool is_id(struct str_span s)
{
	uint64_t n;

	if (s.len == 0 || s.at[0] == '-')
		return false;
	if (only(s, "0123456789"))
		return str_u64(s, UINT32_MAX - 1, &n);
	return memchr(s.at, ',', s.len) == NULL;
}

int parse_user(const char *text, char **ret, struct err *e)
{
	const char *rest = text;
	struct str_span user, group;
	bool more;

	str_next(&rest, ':', &user);
	more = str_next(&rest, ':', &group);
	if (rest || has_blank(text) || !is_id(user) || (more && !is_id(group)))
		return err_set(e, ERR_INVALID, "not USER[:GROUP], each a name or a number");
	return keep(text, ret, e);
}

int parse_group(const char *text, char **ret, struct err *e)
{
	struct str_span s = {text, strlen(text)};

	if (has_blank(text) || strchr(text, ':') || !is_id(s))
		return err_set(e, ERR_INVALID, "not a group, a name or a number");
	return keep(text, ret, e);
}

int parse_shell(const char *text, char **ret, struct err *e)
{
	if (!*text || has_blank(text) || (*text != '/' && strchr(text, '/')))
		return err_set(e, ERR_INVALID, "not a shell: a name, as zsh, or a path, as /bin/zsh, without options");
	if (strlen(text) >= 4096)
		return err_set(e, ERR_INVALID, "longer than a path can be");
	return keep(text, ret, e);
}

int parse_workdir(const char *text, char **ret, struct err *e)
{
	if (text[0] != '/')
		return err_set(e, ERR_INVALID, "not an absolute path");
	if (strlen(text) >= 4096)
		return err_set(e, ERR_INVALID, "longer than a path can be");
	return keep(text, ret, e);
}

int parse_network(const char *text, enum spec_net *ret, struct err *e)
{
	if (strcmp(text, "none") == 0)
		*ret = SPEC_NET_NONE;
	else if (strcmp(text, "host") == 0)
		*ret = SPEC_NET_HOST;
	else if (!*text)
		return err_set(e, ERR_INVALID, "not a network (none, host)");
	else
		return err_set(e, ERR_UNSUPPORTED,
			       "not in this version yet; there are none and host");
	return 0;
}

static bool is_ip(const char *text)
{
	unsigned char address[16];

	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* Takes the brackets off "[::1]". NULL: no memory. */
static char *without_brackets(const char *text)
{
	size_t len = strlen(text);

	if (len > 2 && text[0] == '[' && text[len - 1] == ']')
		return str_dup((struct str_span){text + 1, len - 2});
	return strdup(text);
}

int parse_add_host(const char *text, char **ret, struct err *e)
{
	size_t len = strcspn(text, ":=");
	auto_free char *ip = NULL;
	char *line;

	if (!text[len] || len == 0)
		return err_set(e, ERR_INVALID, "not NAME:IP");
	if (len > DOMAIN_MAX_LEN || !alnum(text[0]) ||
	    !only((struct str_span){text, len}, ALNUM "_.-"))
		return err_set(e, ERR_INVALID, "not the name of a host before the address");
	if (strcmp(text + len + 1, "host-gateway") == 0)
		return err_set(e, ERR_UNSUPPORTED, "host-gateway: not in this version yet");
	ip = without_brackets(text + len + 1);
	if (!ip)
		return err_oom(e);
	if (!is_ip(ip))
		return err_set(e, ERR_INVALID, "'%.60s' is not an IP address", ip);
	line = malloc(len + strlen(ip) + 2);
	if (!line)
		return err_oom(e);
	memcpy(line, text, len);
	line[len] = ':';
	strcpy(line + len + 1, ip);
	*ret = line;
	return 0;
}

int parse_dns(const char *text, char **ret, struct err *e)
{
	auto_free char *ip = without_brackets(text);

	if (!ip)
		return err_oom(e);
	if (!is_ip(ip))
		return err_set(e, ERR_INVALID, "not an IP address");
	*ret = take_ptr(&ip);
	return 0;
}

/* What belongs to an ipc, uts or net namespace; all else is the machine's. The list is runc's,
 * libcontainer/configs/validate. */
static bool is_namespaced(const char *key)
{
	static const char *const exact[] = {
		"kernel.msgmax",   "kernel.msgmnb",	"kernel.msgmni", "kernel.sem",
		"kernel.shmall",   "kernel.shmmax",	"kernel.shmmni", "kernel.shm_rmid_forced",
		"kernel.hostname", "kernel.domainname",
	};

	for (size_t i = 0; i < sizeof(exact) / sizeof(*exact); i++)
		if (strcmp(key, exact[i]) == 0)
			return true;
	return starts_with(key, "net.") || starts_with(key, "fs.mqueue.");
}

int parse_sysctl(const char *text, struct spec_pair *ret, struct err *e)
{
	const char *equals = strchr(text, '=');
	struct str_span name = {text, equals ? (size_t)(equals - text) : 0};
	auto_free char *key = NULL;
	auto_free char *value = NULL;

	if (!equals || name.len == 0 || !equals[1])
		return err_set(e, ERR_INVALID, "not KEY=VALUE");
	key = str_dup(name);
	value = strdup(equals + 1);
	if (!key || !value)
		return err_oom(e);
	/* The key becomes a path below /proc/sys: nothing in it may lead elsewhere. */
	if (!only(name, ALNUM "_.-") || strstr(key, "..") || key[name.len - 1] == '.')
		return err_set(e, ERR_INVALID,
			       "not the name of a kernel setting (net.core.somaxconn)");
	if (!is_namespaced(key))
		return err_set(e, ERR_INVALID,
			       "the setting is the whole machine's; kernel.{shm*,msg*,sem,hostname,"
			       "domainname}, fs.mqueue.* and net.* can be set");
	if (strlen(value) > 1024 || strpbrk(value, "\n\r"))
		return err_set(e, ERR_INVALID, "not one line of at most 1024 bytes");
	ret->key = take_ptr(&key);
	ret->value = take_ptr(&value);
	return 0;
}
