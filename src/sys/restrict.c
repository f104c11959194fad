/* SPDX-License-Identifier: Apache-2.0
 *
 * restrict.c - take rights from mounts that are attached
 *
 * How it works: mount_setattr() does it in one call. Without it every mount is remounted by itself:
 * mountinfo says which there are, by number of mount and of parent, because a path may be that of
 * several. A remount says all flags anew, and those that a more powerful namespace has set must be
 * among them (they are locked): so what is there is kept.
 */
#include "sys/restrict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/fsmount.h"

struct below {
	int *ids;
	size_t n;
};

static bool has(const struct below *b, int id)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->ids[i] == id)
			return true;
	return false;
}

static int add(struct below *b, int id)
{
	int *more = realloc(b->ids, (b->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	b->ids = more;
	b->ids[b->n++] = id;
	return 0;
}

static unsigned long flags_of(char *options)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = {{"ro", MS_RDONLY},		{"nosuid", MS_NOSUID},
		     {"nodev", MS_NODEV},	{"noexec", MS_NOEXEC},
		     {"noatime", MS_NOATIME},	{"nodiratime", MS_NODIRATIME},
		     {"relatime", MS_RELATIME}, {"nosymfollow", 256 /* MS_NOSYMFOLLOW */}};
	unsigned long flags = 0;
	char *rest = options, *word;

	while ((word = strsep(&rest, ",")))
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (!strcmp(word, known[i].name))
				flags |= known[i].flag;
	/* Neither of the two is what strictatime is, which no word stands for. */
	return flags & (MS_NOATIME | MS_RELATIME) ? flags : flags | MS_STRICTATIME;
}

/* mountinfo writes blank, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* One line: "id parent major:minor root point options …" */
static int one_line(char *line, const char *path, struct below *b, unsigned long more)
{
	char *f[6], *rest = line;
	int id, parent;

	for (int i = 0; i < 6; i++) {
		f[i] = strsep(&rest, " ");
		if (!f[i])
			return -EINVAL;
	}
	id = atoi(f[0]);
	parent = atoi(f[1]);
	if (id != b->ids[0] && !has(b, parent))
		return 0;
	if (id == b->ids[0]) /* by the name that leads there from where we stand */
		return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | more | flags_of(f[5]), NULL) < 0 ?
			       -errno : 0;
	unescape(f[4]);
	if (mount(NULL, f[4] + 1, NULL, MS_REMOUNT | MS_BIND | more | flags_of(f[5]), NULL) < 0)
		return -errno;
	return add(b, id);
}

/* The number of the mount at @path. */
static int mount_id(const char *path, const char *proc)
{
	auto_fd int fd = open(path, O_PATH | O_CLOEXEC), info = -1;
	char name[64], text[512];
	const char *at;
	ssize_t n;

	if (fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "%s/self/fdinfo/%d", proc, fd);
	info = open(name, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	at = strstr(text, "mnt_id:");
	return at ? atoi(at + 7) : -ENOSYS;
}

static int each(const char *path, unsigned long more, const char *proc)
{
	char name[64], *line = NULL;
	struct below b = {0};
	size_t room = 0;
	int r;
	FILE *f;

	snprintf(name, sizeof(name), "%s/self/mountinfo", proc);
	r = mount_id(path, proc);
	if (r < 0)
		return r;
	f = fopen(name, "re");
	if (!f)
		return -errno;
	r = add(&b, r);
	while (r == 0 && getline(&line, &room, f) > 0)
		r = one_line(line, path, &b, more);
	fclose(f);
	free(line);
	free(b.ids);
	return r;
}

int sys_restrict(const char *path, uint64_t attr, const char *proc)
{
	int r = sys_set_attr(AT_FDCWD, path, attr, 1);

	if (r != -ENOSYS)
		return r;
	return each(path,
		    (attr & MOUNT_ATTR_RDONLY ? MS_RDONLY : 0) |
			    (attr & MOUNT_ATTR_NOSUID ? MS_NOSUID : 0) |
			    (attr & MOUNT_ATTR_NODEV ? MS_NODEV : 0) |
			    (attr & MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0),
		    proc);
}
