/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c - files of a sandbox, as hutch.h has them
 */
#include <assert.h>
#include <limits.h>
#include <string.h>

#include "api/api.h"
#include "base/own.h"

static_assert(HUTCH_FILE_READ == (int)FILE_READ && HUTCH_FILE_WRITE == (int)FILE_WRITE &&
	      HUTCH_FILE_CREATE == (int)FILE_CREATE && HUTCH_FILE_EXCL == (int)FILE_EXCL &&
	      HUTCH_FILE_TRUNC == (int)FILE_TRUNC && HUTCH_FILE_APPEND == (int)FILE_APPEND &&
	      HUTCH_FILE_DIRECTORY == (int)FILE_DIR && HUTCH_FILE_NOFOLLOW == (int)FILE_NOFOLLOW &&
	      HUTCH_FILE_PARENTS == (int)FILE_PARENTS && HUTCH_FILE_RECURSIVE == (int)FILE_RECURSIVE &&
	      HUTCH_FILE_OWNER == (int)FILE_SET_OWNER && HUTCH_FILE_MODE == (int)FILE_SET_MODE &&
	      HUTCH_FILE_TIMES == (int)FILE_SET_TIMES, "they go over the wire as they are");
static_assert(HUTCH_COPY_EXACT == (int)COPY_EXACT && HUTCH_COPY_PARENTS == (int)COPY_PARENTS &&
	      HUTCH_COPY_FOLLOW == (int)COPY_FOLLOW, "likewise");

#define NS INT64_C(1000000000)

/* Code inside may set any. */
static int64_t to_ns(struct file_time t)
{
	if (t.s > INT64_MAX / NS - 1)
		return INT64_MAX;
	return t.s < INT64_MIN / NS + 1 ? INT64_MIN : t.s * NS + t.ns;
}

static struct file_time from_ns(int64_t ns)
{
	int64_t s = ns / NS - (ns % NS < 0);

	return (struct file_time){.s = s, .ns = (uint32_t)(ns - s * NS)};
}

/* @known: the flags that the caller may have given. */
static int simple(struct hutch_box *box, struct file_ask ask, unsigned known, const char *path, const char *other,
		  struct hutch_error *err)
{
	auto_with(file_answer_done) struct file_answer a = {.fd = -1};
	struct err e = {0};
	int r;

	if (!box || !path || ((ask.op == FILE_RENAME || ask.op == FILE_SYMLINK) && !other))
		return api_missing("box or path", err);
	r = api_check_flags(ask.flags, known, &e);
	if (r == 0)
		r = box_file(to_box(box), &ask, path, other, &a, &e);
	return api_give(r, &e, err);
}

#define OPEN_FLAGS                                                                                                     \
	(HUTCH_FILE_READ | HUTCH_FILE_WRITE | HUTCH_FILE_CREATE | HUTCH_FILE_EXCL | HUTCH_FILE_TRUNC | HUTCH_FILE_APPEND |  \
	 HUTCH_FILE_DIRECTORY | HUTCH_FILE_NOFOLLOW)

int hutch_file_open(struct hutch_box *box, const char *path, unsigned flags, unsigned mode, int *ret_fd,
		    struct hutch_error *err)
{
	struct file_ask ask = {.op = FILE_OPEN, .flags = flags, .mode = mode};
	auto_with(file_answer_done) struct file_answer a = {.fd = -1};
	struct err e = {0};
	int r;

	if (!box || !path || !ret_fd)
		return api_missing("box or path", err);
	if (!(flags & (HUTCH_FILE_READ | HUTCH_FILE_WRITE | HUTCH_FILE_DIRECTORY)))
		r = err_set(&e, ERR_INVALID, "open '%s': neither for reading nor for writing", path);
	else
		r = api_check_flags(flags, OPEN_FLAGS, &e);
	if (r == 0)
		r = box_file(to_box(box), &ask, path, NULL, &a, &e);
	if (r == 0 && a.fd < 0)
		r = err_set(&e, ERR_INTERNAL, "open '%s': no descriptor came", path);
	if (r == 0)
		*ret_fd = take_fd(&a.fd);
	return api_give(r, &e, err);
}

int hutch_file_stat(struct hutch_box *box, const char *path, unsigned flags, struct hutch_stat *ret,
		    struct hutch_error *err)
{
	struct file_ask ask = {.op = FILE_STAT, .flags = flags};
	auto_with(file_answer_done) struct file_answer a = {.fd = -1};
	struct hutch_stat x = {0};
	struct err e = {0};
	int r;

	if (!box || !path || !ret || !ret->size)
		return api_missing("box, path or result", err);
	r = api_check_flags(flags, HUTCH_FILE_NOFOLLOW, &e);
	if (r == 0)
		r = box_file(to_box(box), &ask, path, NULL, &a, &e);
	if (r < 0)
		return api_give(r, &e, err);
	x = (struct hutch_stat){
		.size = ret->size < sizeof(x) ? ret->size : sizeof(x),
		.mode = a.facts.mode, .uid = a.facts.uid, .gid = a.facts.gid, .nlink = a.facts.nlink,
		.bytes = a.facts.size, .ino = a.facts.ino, .atime_ns = to_ns(a.facts.atime),
		.mtime_ns = to_ns(a.facts.mtime), .ctime_ns = to_ns(a.facts.ctime),
	};
	memcpy(ret, &x, x.size);
	return 0;
}

int hutch_file_set(struct hutch_box *box, const char *path, unsigned flags, const struct hutch_stat *to,
		   struct hutch_error *err)
{
	struct file_ask ask = {.op = FILE_META, .flags = flags};

	if (!to || to->size < offsetof(struct hutch_stat, ctime_ns))
		return api_missing("what to set", err);
	ask.mode = to->mode;
	ask.uid = to->uid;
	ask.gid = to->gid;
	ask.atime = from_ns(to->atime_ns);
	ask.mtime = from_ns(to->mtime_ns);
	return simple(box, ask, HUTCH_FILE_OWNER | HUTCH_FILE_MODE | HUTCH_FILE_TIMES | HUTCH_FILE_NOFOLLOW, path, NULL, err);
}

int hutch_file_readlink(struct hutch_box *box, const char *path, char **ret_text, struct hutch_error *err)
{
	struct file_ask ask = {.op = FILE_READLINK};
	auto_with(file_answer_done) struct file_answer a = {.fd = -1};
	struct err e = {0};
	int r;

	if (!box || !path || !ret_text)
		return api_missing("box or path", err);
	r = box_file(to_box(box), &ask, path, NULL, &a, &e);
	if (r == 0)
		*ret_text = take_ptr(&a.text);
	return api_give(r, &e, err);
}

int hutch_file_symlink(struct hutch_box *box, const char *text, const char *path, struct hutch_error *err)
{
	return simple(box, (struct file_ask){.op = FILE_SYMLINK}, 0, path, text, err);
}

int hutch_file_mkdir(struct hutch_box *box, const char *path, unsigned flags, unsigned mode,
		     struct hutch_error *err)
{
	return simple(box, (struct file_ask){.op = FILE_MKDIR, .flags = flags, .mode = mode}, HUTCH_FILE_PARENTS, path, NULL, err);
}

int hutch_file_remove(struct hutch_box *box, const char *path, unsigned flags, struct hutch_error *err)
{
	return simple(box, (struct file_ask){.op = FILE_REMOVE, .flags = flags}, HUTCH_FILE_RECURSIVE, path, NULL, err);
}

int hutch_file_rename(struct hutch_box *box, const char *from, const char *to, struct hutch_error *err)
{
	return simple(box, (struct file_ask){.op = FILE_RENAME}, 0, from, to, err);
}

typedef int copy_fn(struct box *b, const char *from, const char *to, unsigned flags, long *ret_left_out,
		    struct err *e);

static int copy(copy_fn *fn, struct hutch_box *box, const char *from, const char *to, unsigned flags,
		struct hutch_error *err)
{
	bool out = fn == box_copy_out;
	struct err e = {0};
	long left_out = 0;
	int r;

	if (!box || !from || !to)
		return api_missing("box or path", err);
	r = api_check_flags(flags, HUTCH_COPY_EXACT | HUTCH_COPY_PARENTS | HUTCH_COPY_FOLLOW, &e);
	if (r == 0)
		r = fn(to_box(box), from, to, flags, &left_out, &e);
	if (r < 0)
		err_wrap(&e, "copy '%s'%s to '%s'%s", from, out ? " of the sandbox" : "", to,
			 out ? "" : " of the sandbox");
	else
		r = left_out > INT_MAX ? INT_MAX : (int)left_out;
	return api_give(r, &e, err);
}

int hutch_copy_in(struct hutch_box *box, const char *host_path, const char *path, unsigned flags,
		  struct hutch_error *err)
{
	return copy(box_copy_in, box, host_path, path, flags, err);
}

int hutch_copy_out(struct hutch_box *box, const char *path, const char *host_path, unsigned flags,
		   struct hutch_error *err)
{
	return copy(box_copy_out, box, path, host_path, flags, err);
}
