/* SPDX-License-Identifier: Apache-2.0
 *
 * ids.c - which ids a sandbox can have
 */
#include "ns/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/proc.h"

enum { IDS = 65536, FILE_ROOM = 1 << 20 };

static ssize_t slurp(const char *path, char *buf, size_t room)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < room - 1) {
		ssize_t n = read(fd, buf + len, room - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return (ssize_t)len;
}

/* ---- /etc/subuid ------------------------------------------------------------------------------ */

static uint32_t total(const struct plan_extent *x, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += x[i].count;
	return sum;
}

void ns_ids_parse(const char *text, size_t len, const char *name, uint32_t id,
		  struct plan_extent *x, uint32_t *n)
{
	const char *end = text + len;

	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		char who[256];
		unsigned long first, count;
		uint32_t have = total(x, *n);
		size_t line = (size_t)((eol ? eol : end) - text);
		char copy[320];

		snprintf(copy, sizeof(copy), "%.*s", (int)(line < 300 ? line : 0), text);
		text += line + 1;
		if (sscanf(copy, "%255[^:]:%lu:%lu", who, &first, &count) != 3 || !count ||
		    first > UINT32_MAX || count > UINT32_MAX || first + count > UINT32_MAX || *n == PLAN_EXTENTS_MAX || have >= IDS)
			continue;
		if (strcmp(who, name)) { /* also by number, as newuidmap allows */
			char *stop;
			unsigned long number = strtoul(who, &stop, 10);

			if (*stop || number != id)
				continue;
		}
		if (count > IDS - have)
			count = IDS - have;
		x[(*n)++] = (struct plan_extent){have, (uint32_t)first, (uint32_t)count};
	}
}

static bool installed(const char *program)
{
	static const char *const dirs[] = {"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"};
	char path[64];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], program);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* A file of /etc, at most its first megabyte. NULL: it cannot be read, or is empty. */
static char *read_etc(const char *path, size_t *ret_len)
{
	auto_free char *text = NULL;
	struct stat st;
	ssize_t len;

	if (stat(path, &st) < 0 || !st.st_size)
		return NULL;
	text = malloc(st.st_size < FILE_ROOM ? (size_t)st.st_size + 1 : FILE_ROOM);
	len = text ? slurp(path, text, st.st_size < FILE_ROOM ? (size_t)st.st_size + 1 : FILE_ROOM) : 0;
	*ret_len = len > 0 ? (size_t)len : 0;
	return len > 0 ? take_ptr(&text) : NULL;
}

/* The login name, which is what /etc/subuid speaks of. Not by getpwuid(): NSS cannot be linked
 * statically, and users of a directory service are listed in /etc/subuid by number. */
static void user_name(uint32_t uid, char name[256])
{
	size_t len;
	auto_free char *text = read_etc("/etc/passwd", &len);

	name[0] = '\0';
	for (char *line = text, *eol; line && *line; line = *eol ? eol + 1 : eol) {
		const char *word, *id;
		char *end;

		eol = strchrnul(line, '\n');
		word = memchr(line, ':', (size_t)(eol - line));
		id = word ? memchr(word + 1, ':', (size_t)(eol - word - 1)) : NULL;
		if (!id || word - line > 255 || id[1] < '0' || id[1] > '9' || strtoul(id + 1, &end, 10) != uid || *end != ':')
			continue;
		memcpy(name, line, (size_t)(word - line));
		name[word - line] = '\0';
		return;
	}
}

/* A user: himself, and what /etc/subuid gives him. */
static void find_subids(struct ns_ids *ids)
{
	auto_free char *uids = NULL, *gids = NULL;
	size_t nuids, ngids;
	char name[256];

	ids->persona = NS_ONE_ID;
	ids->uids[0] = (struct plan_extent){0, ids->uid, 1};
	ids->gids[0] = (struct plan_extent){0, ids->gid, 1};
	ids->nuid = ids->ngid = 1;
	uids = read_etc("/etc/subuid", &nuids);
	gids = uids ? read_etc("/etc/subgid", &ngids) : NULL;
	if (!gids || !installed("newuidmap") || !installed("newgidmap"))
		return;
	user_name(ids->uid, name);
	ns_ids_parse(uids, nuids, name, ids->uid, ids->uids, &ids->nuid);
	ns_ids_parse(gids, ngids, name, ids->uid, ids->gids, &ids->ngid);
	if (ids->nuid > 1 && ids->ngid > 1)
		ids->persona = NS_SUBIDS;
	else
		ids->nuid = ids->ngid = 1;
}

/* ---- the map of our own namespace ------------------------------------------------------------- */

/* The ids that this namespace has, as one-to-one extents. */
static int own_extents(const char *file, struct plan_extent *x, uint32_t *n, bool *whole,
		       struct err *e)
{
	char text[8192], *p = text;
	ssize_t len = slurp(file, text, sizeof(text));

	if (len < 0)
		return err_sys(e, (int)-len, "read '%s'", file);
	*n = 0;
	while (*n < PLAN_EXTENTS_MAX) {
		unsigned long first, outside, count;
		int used;

		if (sscanf(p, "%lu %lu %lu%n", &first, &outside, &count, &used) != 3)
			break;
		p += used;
		*whole = !first && !outside && count == UINT32_MAX;
		if (first >= IDS)
			continue;
		if (count > IDS - first)
			count = IDS - first;
		x[(*n)++] = (struct plan_extent){(uint32_t)first, (uint32_t)first,
						 (uint32_t)count};
	}
	return 0;
}

/* USER_NS_INIT_INO of <linux/nsfs.h>, Linux 6.18; always was that */
#define MACHINES_OWN 0xEFFFFFFDu

static bool machines_own(int self)
{
	auto_fd int ns = self < 0 ? -1 : sys_pidfd_userns(self);
	struct stat st;

	return (ns < 0 ? stat("/proc/self/ns/user", &st) : fstat(ns, &st)) == 0 && st.st_ino == MACHINES_OWN;
}

/* Of the machine's own namespace the map is known: two files of /proc less to read. */
static int find_extents(struct ns_ids *ids, int self, bool *whole, struct err *e)
{
	const struct plan_extent all = {0, 0, IDS};
	bool whole_g = false;
	int r;

	if (machines_own(self)) {
		ids->uids[0] = ids->gids[0] = all;
		ids->nuid = ids->ngid = 1;
		*whole = true;
		return 0;
	}
	r = own_extents("/proc/self/uid_map", ids->uids, &ids->nuid, whole, e);
	return r < 0 ? r : own_extents("/proc/self/gid_map", ids->gids, &ids->ngid, &whole_g, e);
}

int ns_ids_find(struct ns_ids *ret, int self, struct err *e)
{
	struct ns_ids ids = {.uid = geteuid(), .gid = getegid()};
	bool whole = false;
	uint64_t caps = 0;
	int r = find_extents(&ids, self, &whole, e);

	if (r < 0)
		return r;
	(void)sys_capget(&caps);
	if (whole && caps >> CAP_SYS_ADMIN & 1) {
		ids.persona = NS_ROOT;
	} else if (!whole && !ids.uid && !ids.gid && ids.nuid && ids.ngid &&
		   caps >> CAP_SETUID & 1 && caps >> CAP_SETGID & 1) {
		/* One id is the same wherever it comes from. */
		ids.persona = ids.nuid == 1 && ids.uids[0].count == 1 ? NS_ONE_ID : NS_NESTED;
	} else {
		find_subids(&ids);
	}
	*ret = ids;
	return 0;
}

void ns_ids_hello(const struct ns_ids *ids, struct hello *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ids = ids->persona == NS_SUBIDS ? PLAN_IDS_SUB : PLAN_IDS_SELF;
	ret->uids = ids->nuid;
	ret->gids = ids->ngid;
	memcpy(ret->uid, ids->uids, sizeof(ret->uid));
	memcpy(ret->gid, ids->gids, sizeof(ret->gid));
}

/* ---- ranges of a root caller ------------------------------------------------------------------ */

int ns_window_find(struct ns_window *ret, struct err *e)
{
	const char *asked = getenv("HUTCH_IDS");
	unsigned long first, ranges;
	char tail;

	*ret = (struct ns_window){0x70000000u, 4095};
	if (!asked || !*asked)
		return 0;
	if (sscanf(asked, "%lu:%lu%c", &first, &ranges, &tail) != 2 || !first || !ranges ||
	    first > UINT32_MAX || ranges > (UINT32_MAX - first) / IDS)
		return err_set(e, ERR_INVALID,
			       "HUTCH_IDS='%s' is not FIRST:RANGES (as in 1879048192:4095; each "
			       "range has 65536 ids)",
			       asked);
	*ret = (struct ns_window){(uint32_t)first, (uint32_t)ranges};
	return 0;
}

int ns_range_take(int ranges_dir, const struct ns_window *w, uint32_t *hint, uint32_t *ret_first,
		  int *ret_lock, struct err *e)
{
	auto_fd int fd = openat(ranges_dir, "ranges", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
				0600);

	if (fd < 0)
		return err_sys(e, errno, "open the file 'ranges' of the state directory");
	for (uint32_t i = 0; i < w->ranges; i++) {
		uint32_t at = (*hint + i) % w->ranges;
		struct flock l = {.l_type = F_WRLCK, .l_start = at, .l_len = 1};

		if (fcntl(fd, F_OFD_SETLK, &l) == 0) {
			*hint = at + 1;
			*ret_first = w->first + at * IDS;
			*ret_lock = take_fd(&fd);
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return err_sys(e, errno, "lock a range of ids");
	}
	return err_set(e, ERR_LIMIT,
		       "all %u ranges of ids are taken (HUTCH_IDS=FIRST:RANGES gives more)",
		       w->ranges);
}

/* ---- plan ------------------------------------------------------------------------------------- */

/* Below the nursery's namespace ids are one to one, split where its extents are. */
static uint32_t one_to_one(struct plan_extent *to, const struct plan_extent *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = (struct plan_extent){from[i].inside, from[i].inside, from[i].count};
	return n;
}

void ns_ids_plan(struct draft *d, const struct prepare *p)
{
	char text[32];
	uint32_t last = 0;

	for (uint32_t i = 0; i < p->ngid; i++) {
		const struct plan_extent *x = &p->gid[i];

		if (x->inside <= last + 1 && x->inside + x->count - 1 > last)
			last = x->inside + x->count - 1;
	}
	snprintf(text, sizeof(text), "0 %u", last);
	draft_sysctl(d, "net/ipv4/ping_group_range", text);
	draft_sysctl(d, "net/ipv4/ip_unprivileged_port_start", "0");
}

void ns_ids_prepare(const struct ns_ids *ids, bool host_ids, uint32_t range, struct prepare *p)
{
	switch (ids->persona) {
	case NS_ROOT:
		p->ids = PLAN_IDS_MAP;
		p->nuid = p->ngid = 1;
		p->uid[0] = p->gid[0] = (struct plan_extent){0, host_ids ? 0 : range, IDS};
		break;
	case NS_SUBIDS:
		p->ids = PLAN_IDS_SUB;
		p->nuid = one_to_one(p->uid, ids->uids, ids->nuid);
		p->ngid = one_to_one(p->gid, ids->gids, ids->ngid);
		break;
	case NS_NESTED:
		p->ids = PLAN_IDS_MAP;
		p->nuid = one_to_one(p->uid, ids->uids, ids->nuid);
		p->ngid = one_to_one(p->gid, ids->gids, ids->ngid);
		break;
	case NS_ONE_ID:
		p->ids = PLAN_IDS_SELF;
		p->nuid = p->ngid = 1;
		p->uid[0] = (struct plan_extent){0, ids->uid, 1};
		p->gid[0] = (struct plan_extent){0, ids->gid, 1};
		break;
	}
}
