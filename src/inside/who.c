/* SPDX-License-Identifier: Apache-2.0
 *
 * who.c - who a command runs as, as the image's passwd and group say
 *
 * How it works: those files belong to the inside and may be anything: links, fifos, leased, huge.
 * A process of its own reads them: a child of the keeper outside of the generation's pid namespace,
 * so that nothing inside can stop it, with an O_PATH of the root as its only way in. What it found
 * comes back in a struct of fixed form; the keeper gives it two seconds.
 *
 * Rules are Docker's: "name|uid[:group|gid]"; an unknown number is taken as it is, an unknown name
 * is an error; without a group, the user's of passwd (0 when he is not there) and those he is
 * listed in; HOME from passwd, "/" when he is not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

enum { FILE_MAX = 1 << 20, FIELDS = 7, WAIT_MS = 2000, NAME_ROOM = 4096 };

/* Somebody inside may have a lease on it (EAGAIN): he is given a second to let go. */
static int open_patiently(int root, const char *path)
{
	const struct timespec nap = {.tv_nsec = 20000000};
	int fd = -EAGAIN;

	for (int i = 0; i < 50 && fd == -EAGAIN; i++) {
		fd = sys_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
		if (fd == -EAGAIN)
			nanosleep(&nap, NULL);
	}
	return fd;
}

/* The file's text; "" when it is not there. NULL: it cannot be read, is no regular file, too large,
 * or there is no memory. */
static char *slurp(int root, const char *path)
{
	auto_fd int fd = open_patiently(root, path);
	size_t len = 0;
	struct stat st;
	char *text;

	if (fd == -ENOENT)
		return strdup("");
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	if (st.st_size > FILE_MAX)
		return NULL;
	text = malloc(FILE_MAX + 1);
	while (text && len < FILE_MAX) {
		ssize_t n = read(fd, text + len, FILE_MAX - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (text)
		text[len] = '\0';
	return text;
}

/* The next line of colon-separated fields, cut up in place. */
static char *next_line(char *text, char *f[FIELDS])
{
	char *end = strchrnul(text, '\n');
	char *next = *end ? end + 1 : NULL;

	*end = '\0';
	for (int i = 0; i < FIELDS; i++) {
		f[i] = text;
		text = strchrnul(text, ':');
		if (*text)
			*text++ = '\0';
	}
	return next;
}

static bool number(const char *s, uint32_t *ret)
{
	unsigned long long v;
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (*end || errno || v > UINT32_MAX - 1)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static void add_group(struct who *w, uint32_t gid)
{
	for (uint32_t i = 0; i < w->ngroups; i++)
		if (w->groups[i] == gid)
			return;
	if (w->ngroups < WHO_GROUPS)
		w->groups[w->ngroups++] = gid;
	else
		err_set(&w->e, ERR_LIMIT, "more than %d groups", WHO_GROUPS);
}

/* Is @name one of the comma-separated @members? */
static bool member(const char *members, const char *name)
{
	size_t n = strlen(name);

	while (n && *members) {
		size_t len = strcspn(members, ",");

		if (len == n && !strncmp(members, name, n))
			return true;
		members += len + (members[len] == ',');
	}
	return false;
}

/* Finds the user. *name: his name in the file, "" when he is not there. */
static int find_user(char *passwd, const char *user, struct who *w, char name[NAME_ROOM])
{
	bool by_number = number(user, &w->uid);
	uint32_t uid, gid;
	char *f[FIELDS];

	name[0] = '\0';
	while (passwd && *passwd) {
		passwd = next_line(passwd, f);
		if (!number(f[2], &uid) || !number(f[3], &gid))
			continue;
		if (strcmp(f[0], user) && !(by_number && uid == w->uid))
			continue;
		w->uid = uid;
		w->gid = gid;
		snprintf(name, NAME_ROOM, "%s", f[0]);
		if (strlen(f[5]) >= sizeof(w->home))
			return err_set(&w->e, ERR_LIMIT, "user '%.100s': his home is over %zu bytes", user,
				       sizeof(w->home) - 1);
		strcpy(w->home, *f[5] ? f[5] : "/");
		return 0;
	}
	return by_number ? 0 : err_set(&w->e, ERR_NOT_FOUND,
				       "user '%s' is not in /etc/passwd of the sandbox", user);
}

/* Adds the groups of @name; *gid becomes that of @group when it is a name. */
static void scan_groups(char *text, const char *name, const char *group, bool *found, uint32_t *gid,
			struct who *w)
{
	char *f[FIELDS];
	uint32_t id;

	while (text && *text) {
		text = next_line(text, f);
		if (!number(f[2], &id))
			continue;
		if (group && !strcmp(f[0], group)) {
			*found = true;
			*gid = id;
		}
		if (name && member(f[3], name))
			add_group(w, id);
	}
}

static int find_group(int root, const char *group, uint32_t *gid, struct who *w)
{
	auto_free char *text = NULL;
	bool found = false;

	if (number(group, gid))
		return 0;
	text = slurp(root, "/etc/group");
	if (!text)
		return err_set(&w->e, ERR_LIMIT,
			       "group '%s': /etc/group of the sandbox is no file that can be read, of at "
			       "most 1 MiB",
			       group);
	scan_groups(text, NULL, group, &found, gid, w);
	return found ? 0 : err_set(&w->e, ERR_NOT_FOUND,
				   "group '%s' is not in /etc/group of the sandbox", group);
}

static int find(const struct pack *p, const struct call *c, int root, struct who *w)
{
	const char *asked = pack_get_str(p, c->user);
	auto_free char *passwd = slurp(root, "/etc/passwd"), *group = NULL;
	char user[NAME_ROOM], name[NAME_ROOM], *colon;
	bool unused;
	int r;

	if (!passwd)
		return err_set(&w->e, ERR_LIMIT,
			       "user '%s': /etc/passwd of the sandbox is no file that can be read, of at "
			       "most 1 MiB",
			       asked ? asked : "0");
	if ((size_t)snprintf(user, sizeof(user), "%s", asked && *asked ? asked : "0") >= sizeof(user))
		return err_set(&w->e, ERR_INVALID, "a user's name of over %d bytes", NAME_ROOM - 1);
	colon = strchr(user, ':');
	if (colon)
		*colon++ = '\0';
	r = find_user(passwd, *user ? user : "0", w, name);
	if (r < 0)
		return r;
	if (colon && *colon) {
		r = find_group(root, colon, &w->gid, w);
		if (r < 0)
			return r;
	} else if (*name) {
		group = slurp(root, "/etc/group");
		if (group)
			scan_groups(group, name, NULL, &unused, NULL, w);
	}
	for (uint32_t i = 0; i < c->groups.count; i++) {
		const char *g = pack_get_item(p, c->groups, i);
		uint32_t gid = 0;

		r = g ? find_group(root, g, &gid, w) : 0;
		if (r < 0)
			return r;
		add_group(w, gid);
	}
	return w->e.code;
}

static void helper_main(const struct pack *p, const struct call *c, int out)
{
	static struct who w;
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	strcpy(w.home, "/");
	if (root < 0)
		err_sys(&w.e, errno, "open the root");
	else
		(void)find(p, c, root, &w);
	(void)!write(out, &w, sizeof(w));
	_exit(0);
}

static int ask_helper(struct keeper *k, const struct pack *p, const struct call *c, struct who *ret,
		      struct err *e)
{
	auto_fd int in = -1, pidfd = -1;
	struct pollfd wait = {.events = POLLIN};
	int pipefd[2], r;
	ssize_t n = 0;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	in = pipefd[0];
	r = sys_setns(k->self, CLONE_NEWPID); /* out of reach of the inside */
	pid = r < 0 ? r : sys_fork(0, &pidfd);
	if (pid == 0)
		helper_main(p, c, pipefd[1]);
	close(pipefd[1]);
	r = sys_setns(k->now.spaces[k->now.pid_space], CLONE_NEWPID);
	if (pid < 0 || r < 0)
		return err_sys(e, pid < 0 ? -pid : r, "look up the user");
	wait.fd = in;
	while ((r = poll(&wait, 1, WAIT_MS)) < 0 && errno == EINTR)
		;
	if (r > 0)
		n = read(in, ret, sizeof(*ret));
	/* It may hang in the kernel, on a file system of the inside's: it is reaped with the others. */
	if (n != (ssize_t)sizeof(*ret))
		(void)sys_pidfd_signal(pidfd, SIGKILL);
	if (n != (ssize_t)sizeof(*ret))
		return err_set(e, ERR_TIMEOUT, "/etc/passwd of the sandbox cannot be read");
	if (ret->e.code)
		*e = ret->e;
	return ret->e.code;
}

int who_find(struct keeper *k, const struct pack *p, const struct call *c, struct who *ret,
	     struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	if (!pack_get_str(p, c->user) && !c->groups.count) { /* root, whom nobody needs to look up */
		strcpy(ret->home, "/root");
		return 0;
	}
	return ask_helper(k, p, c, ret, e);
}
