/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs_kept.c - the jobs of a sandbox that is stopped
 *
 * How it works: its keeper has left them in the file `jobs` of its directory (inside/jobs_keep.c), until it is started again:
 * one behind the other what is known of it and, of its output, the last bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"

enum { JOBS_KEPT_MAX = 4096 };

/* *ret: -1 where there is none. */
static int open_file(struct home *h, const char *name, int *ret, uint64_t *ret_size, struct err *e)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%.255s/" JOBS_FILE, name);
	*ret_size = 0;
	*ret = openat(h->boxes, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open '%s/boxes/%s'", h->data_path, path);
	if (fstat(*ret, &st) < 0)
		return err_sys(e, errno, "look at '%s/boxes/%s'", h->data_path, path);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int read_all(int fd, void *to, uint64_t len, uint64_t at, struct err *e)
{
	for (char *p = to; len;) {
		ssize_t n = pread(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_sys(e, errno, "read its file '" JOBS_FILE "'") :
				       err_set(e, ERR_INTERNAL, "its file '" JOBS_FILE "' is too short");
		p += n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int jobs_kept_list(struct home *h, const char *name, struct job_facts **ret, size_t *ret_n, struct err *e)
{
	auto_free struct job_facts *v = NULL;
	auto_fd int fd = -1;
	uint64_t size, at = 0;
	size_t n = 0;
	uint32_t wire = WIRE;
	int r = open_file(h, name, &fd, &size, e);

	if (r == 0 && size)
		r = read_all(fd, &wire, sizeof(wire), 0, e);
	if (r == 0 && wire != WIRE)
		r = err_set(e, ERR_UNSUPPORTED, "the jobs of sandbox '%s' were kept by another version of hutch, which alone can read them",
			    name);
	while (r == 0 && at < size && n < JOBS_KEPT_MAX) {
		struct job_facts *more = realloc(v, (n + 1) * sizeof(*v));

		if (!more)
			return err_oom(e);
		v = more;
		r = read_all(fd, &v[n], sizeof(*v), at, e);
		if (r < 0)
			break;
		v[n].id[sizeof(v[n].id) - 1] = v[n].command[sizeof(v[n].command) - 1] = '\0';
		v[n].end.e.msg[sizeof(v[n].end.e.msg) - 1] = '\0';
		at += sizeof(*v);
		if (v[n].kept > size - at)
			return err_set(e, ERR_INTERNAL, "its file '" JOBS_FILE "' is too short");
		at += v[n++].kept;
	}
	if (r < 0)
		return r;
	*ret = take_ptr(&v);
	*ret_n = n;
	return 0;
}

int jobs_kept_output(struct home *h, const char *name, const char *id, struct job_facts *ret, char **ret_data, struct err *e)
{
	auto_free struct job_facts *v = NULL;
	auto_free char *data = NULL;
	auto_fd int fd = -1;
	uint64_t size, at = 0;
	size_t n = 0, i = 0;
	int r = jobs_kept_list(h, name, &v, &n, e);

	for (; r == 0 && i < n && strcmp(v[i].id, id); i++)
		at += sizeof(*v) + v[i].kept;
	if (r == 0 && i == n)
		return err_set(e, ERR_NOT_FOUND, "no job has the name '%s'", id);
	if (r == 0)
		r = open_file(h, name, &fd, &size, e);
	if (r < 0)
		return r;
	data = malloc(v[i].kept + 1);
	if (!data)
		return err_oom(e);
	r = read_all(fd, data, v[i].kept, at + sizeof(*v), e);
	if (r < 0)
		return r;
	data[v[i].kept] = '\0';
	*ret = v[i];
	*ret_data = take_ptr(&data);
	return 0;
}
