/* SPDX-License-Identifier: Apache-2.0
 *
 * digest.c - all that a process inside can see of its sandbox, one line a thing
 *
 * usage: digest [DIRECTORY]...		whose content is left out
 *
 * How it works: two digests of the same state are equal, byte for byte. So what the kernel or the clock
 * gives anew each time is left out, and nothing else; each such thing has its reason beside it. Lines
 * begin with what kind of thing they are of: file, process, ipc, mount, sysctl, socket, setting.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static char **left_out;
static char **lines;
static size_t nlines;

__attribute__((format(printf, 1, 2))) static void line(const char *form, ...)
{
	va_list args;

	va_start(args, form);
	lines = realloc(lines, (nlines + 1) * sizeof(*lines));
	if (!lines || vasprintf(&lines[nlines++], form, args) < 0)
		abort();
	va_end(args);
}

static uint64_t hash(uint64_t h, const char *data, size_t len) /* FNV-1a */
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)data[i]) * 0x100000001b3u;
	return h;
}

static const uint64_t hash_begin = 0xcbf29ce484222325u;

static bool is_in(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(text, *list) == 0)
			return true;
	return false;
}

/* A whole file; the caller's. NULL: it cannot be read. */
static char *slurp(const char *path)
{
	size_t room = 1 << 20, len = 0;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char *text = fd < 0 ? NULL : malloc(room + 1);
	ssize_t n;

	while (text && len < room && (n = read(fd, text + len, room - len)) > 0)
		len += (size_t)n;
	if (text)
		text[len] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

/* Calls @fn with each line of a file that passes for text. */
static void each_line(const char *path, void (*fn)(const char *kind, char *text), const char *kind)
{
	char *text = slurp(path), *at = text, *next;

	for (; at && *at; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		else
			next = at + strlen(at);
		fn(kind, at);
	}
	free(text);
}

/* ---- files ---------------------------------------------------------------------------------------- */

static uint64_t content(const char *path, const struct stat *st)
{
	static char buf[65536];
	uint64_t h = hash_begin;
	ssize_t n;
	int fd;

	if (S_ISLNK(st->st_mode)) {
		n = readlink(path, buf, sizeof(buf));
		return hash(h, buf, n < 0 ? 0 : (size_t)n);
	}
	if (!S_ISREG(st->st_mode))
		return st->st_rdev;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		h = hash(h, buf, (size_t)n);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? 0 : h;
}

static uint64_t xattrs(const char *path)
{
	char names[4096], value[4096];
	ssize_t n = llistxattr(path, names, sizeof(names)), v;
	uint64_t h = hash_begin;

	for (char *at = names; n > 0 && at < names + n; at += strlen(at) + 1) {
		v = lgetxattr(path, at, value, sizeof(value));
		h = hash(h, at, strlen(at) + 1);
		h = hash(h, value, v < 0 ? 0 : (size_t)v);
	}
	return h;
}

static void files(const char *path, dev_t root)
{
	static const char *const kernels[] = {"/proc", "/sys", NULL}; /* see sysctls() */
	char below[4096];
	struct dirent *x;
	struct stat st;
	bool is_dir;
	DIR *d;

	if (lstat(path, &st) < 0) {
		line("file %s is not there", path);
		return;
	}
	is_dir = S_ISDIR(st.st_mode);
	/* A directory's size and number of links are the file system's own business. Its time, and that of what
	 * is on other file systems (/dev, /tmp, shm), is when it was made: at each reset. So is that of the
	 * root, which has an upper layer of its own. */
	line("file %s mode %o owner %u:%u links %ld size %lld time %lld.%09ld content %llx xattrs %llx", path, st.st_mode,
	     st.st_uid, st.st_gid, is_dir ? 0 : (long)st.st_nlink, is_dir ? 0 : (long long)st.st_size,
	     st.st_dev == root && !is_dir ? (long long)st.st_mtim.tv_sec : 0,
	     st.st_dev == root && !is_dir ? st.st_mtim.tv_nsec : 0, (unsigned long long)(is_dir ? 0 : content(path, &st)),
	     (unsigned long long)xattrs(path));
	if (!is_dir || is_in(path, kernels) || is_in(path, (const char *const *)left_out))
		return;
	d = opendir(path);
	if (!d)
		line("file %s cannot be listed", path);
	while (d && (x = readdir(d)))
		if (strcmp(x->d_name, ".") && strcmp(x->d_name, "..")) {
			snprintf(below, sizeof(below), "%s/%s", path[1] ? path : "", x->d_name);
			files(below, root);
		}
	if (d)
		closedir(d);
}

/* ---- processes ------------------------------------------------------------------------------------ */

/* What a process is, without what counts its work; and whether it runs or sleeps, which is chance. */
static void process(const char *kind, char *text)
{
	static const char *const kept[] = {"Name:", "PPid:", "Uid:", "Gid:", "Groups:", "Threads:", "SigBlk:",
					   "SigIgn:", "SigCgt:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:",
					   "NoNewPrivs:", "Seccomp:", "Seccomp_filters:", NULL};
	char word[64] = "";

	(void)sscanf(text, "%63s", word);
	if (is_in(word, kept) && !strchr(text, '\n'))
		line("process %s %s", kind, text);
}

/* What begins commands from the third on, those that take this digest too. */
static bool is_starter(int pid)
{
	char path[64], comm[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f) {
		(void)!fgets(comm, sizeof(comm), f);
		fclose(f);
	}
	return !strcmp(comm, "hutch-starter\n");
}

static void processes(void)
{
	char path[64], kind[32];
	struct dirent *x;
	DIR *d = opendir("/proc");

	while (d && (x = readdir(d))) {
		int pid = atoi(x->d_name);

		if (!pid || is_starter(pid))
			continue;
		/* The number of a command is whatever comes next. */
		snprintf(kind, sizeof(kind), "%s", pid == 1 ? "1" : pid == getpid() ? "self" : "other");
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
		each_line(path, process, kind);
	}
	if (d)
		closedir(d);
}

/* ---- the kernel's --------------------------------------------------------------------------------- */

static void plain(const char *kind, char *text)
{
	line("%s %s", kind, text);
}

/* Without the numbers that the kernel gives in turn, and the directory of this generation's changes. */
static void mount_line(const char *kind, char *text)
{
	char *at = text, *g;
	unsigned n;

	for (int i = 0; i < 3 && at; i++)
		at = strchr(at + 1, ' ');
	while ((g = strstr(at ? at : text, "/g")) && sscanf(g, "/g%u/", &n) == 1) {
		size_t digits = strspn(g + 2, "0123456789");

		memmove(g + 1, g + 2 + digits, strlen(g + 2 + digits) + 1);
	}
	line("%s%s", kind, at ? at : text);
}

/* Those that count, or are drawn by lot each time they are read, or are the machine's and change by
 * themselves. */
static const char *const restless[] = {
	"/proc/sys/kernel/random", "/proc/sys/fs/inode-nr", "/proc/sys/fs/inode-state", "/proc/sys/fs/dentry-state",
	"/proc/sys/fs/file-nr", "/proc/sys/kernel/ns_last_pid", "/proc/sys/fs/aio-nr", "/proc/sys/kernel/pty/nr",
	"/proc/sys/fs/quota", "/proc/sys/kernel/hung_task_detect_count", "/proc/sys/dev/tty/ldisc_autoload", NULL};

static void sysctls(const char *dir)
{
	char path[4096];
	struct dirent *x;
	DIR *d = opendir(dir);

	while (d && (x = readdir(d))) {
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", dir, x->d_name);
		if (x->d_name[0] == '.' || is_in(path, restless) || lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			sysctls(path);
		else
			each_line(path, plain, path + 1);
	}
	if (d)
		closedir(d);
}

/* The first line is a head. A connection in TIME_WAIT (06) belongs to nobody any more. */
static void socket_line(const char *kind, char *text)
{
	char *at = text + strspn(text, " ");
	char word[4][80] = {{0}};

	if (sscanf(at, "%79s %79s %79s %79s", word[0], word[1], word[2], word[3]) < 2 || !strcmp(word[0], "sl") ||
	    !strcmp(word[0], "Num") || !strcmp(word[0], "sk") || !strcmp(word[3], "06"))
		return;
	line("socket %s %s", kind, at);
}

/* Its counters count our own looking. */
static void interface_line(const char *kind, char *text)
{
	char *colon = strchr(text, ':');

	if (colon) {
		*colon = '\0';
		line("%s %s", kind, text + strspn(text, " "));
	}
}

static void kernels(void)
{
	static const char *const sockets[] = {"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp",
					      "icmp6", "unix", "packet", NULL};
	static const char *const settings[] = {"limits", "uid_map", "gid_map", "setgroups", "timens_offsets",
					       "oom_score_adj", "cgroup", "personality", "coredump_filter", NULL};
	char path[64], kind[64];

	each_line("/proc/sysvipc/shm", plain, "ipc shm");
	each_line("/proc/sysvipc/sem", plain, "ipc sem");
	each_line("/proc/sysvipc/msg", plain, "ipc msg");
	each_line("/proc/self/mountinfo", mount_line, "mount");
	sysctls("/proc/sys");
	for (int i = 0; sockets[i]; i++) {
		snprintf(path, sizeof(path), "/proc/net/%s", sockets[i]);
		each_line(path, socket_line, sockets[i]);
	}
	each_line("/proc/net/route", plain, "socket route");
	each_line("/proc/net/if_inet6", plain, "socket address");
	each_line("/proc/net/dev", interface_line, "socket interface");
	for (int i = 0; settings[i]; i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", settings[i]);
		snprintf(kind, sizeof(kind), "setting %s", settings[i]);
		each_line(path, plain, kind);
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
	char cwd[4096];
	struct stat st;
	mode_t mask = umask(0);

	(void)argc;
	left_out = argv + 1;
	if (stat("/", &st) < 0)
		return 1;
	files("/", st.st_dev);
	processes();
	kernels();
	for (char **e = environ; *e; e++)
		line("setting environment %s", *e);
	line("setting umask %o, in %s", mask, getcwd(cwd, sizeof(cwd)) ? cwd : "?");
	qsort(lines, nlines, sizeof(*lines), by_text);
	for (size_t i = 0; i < nlines; i++)
		puts(lines[i]);
	return 0;
}
