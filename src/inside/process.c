/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - what the kernel says of one process
 *
 * By the keeper's own proc, with numbers of the keeper's pid namespace.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"

/* The number behind the last blank of the line that begins with @key ("\nKey:"), or -1. The list of groups comes before it
 * and is as long as the inside likes. */
static long long status_of(const struct keeper *k, pid_t pid, const char *key)
{
	size_t matched = 1, len = strlen(key); /* the first line begins one, too */
	char path[32], text[4096];
	auto_fd int fd = -1;
	long long value = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/status", pid);
	fd = openat(k->proc, path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0) {
		for (const char *c = text; c < text + n; c++) {
			if (matched < len)
				matched = *c == key[matched] ? matched + 1 : *c == '\n';
			else if (*c == '\n')
				return value;
			else
				value = *c >= '0' && *c <= '9' ? value * 10 + (*c - '0') : 0;
		}
	}
	return -1;
}

/* Field @number of stat(5), from 3 on; *state: the third. */
static unsigned long long stat_field(const struct keeper *k, pid_t pid, int number, char *state)
{
	char path[32], text[1024];
	auto_fd int fd = -1;
	const char *at;
	ssize_t n;

	*state = 'Z';
	snprintf(path, sizeof(path), "%d/stat", pid);
	fd = openat(k->proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')');
	if (!at || !at[1])
		return 0;
	at += 2;
	*state = *at;
	for (int i = 3; i < number && at; i++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

/* The first thread of a process may have ended, and look like a zombie, while others go on. */
bool process_is_zombie(const struct keeper *k, pid_t pid)
{
	char state;
	unsigned long long threads = stat_field(k, pid, 20, &state);

	return state == 'Z' && threads <= 1;
}

bool process_is_stopped(const struct keeper *k, pid_t pid)
{
	char state;

	(void)stat_field(k, pid, 3, &state);
	return state == 'T' || state == 't';
}

bool process_is_busy(const struct keeper *k, pid_t pid)
{
	char state;

	(void)stat_field(k, pid, 3, &state);
	return state == 'R' || state == 'D';
}

bool process_is_still(const struct keeper *k, pid_t pid)
{
	char state;

	(void)stat_field(k, pid, 3, &state);
	return state == 'T' || state == 't' || state == 'Z' || state == 'X';
}

unsigned long long process_started(const struct keeper *k, pid_t pid)
{
	char state;

	return stat_field(k, pid, 22, &state);
}

int32_t process_inside(const struct keeper *k, pid_t pid)
{
	long long n = status_of(k, pid, "\nNSpid:");

	return n > 0 ? (int32_t)n : 0;
}

bool process_has_socket(const struct keeper *k, pid_t pid)
{
	char path[32], to[16];
	auto_dir DIR *d = NULL;
	struct dirent *x;
	int fd;

	snprintf(path, sizeof(path), "%d/fd", pid);
	fd = openat(k->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (x = readdir(d)))
		if (*x->d_name != '.' && readlinkat(dirfd(d), x->d_name, to, sizeof(to)) > 7 && !memcmp(to, "socket:", 7))
			return true;
	return !d;
}
