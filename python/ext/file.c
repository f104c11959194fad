/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c - methods of a box: files of the inside
 */
#include "ext.h"

#include <stdlib.h>

/* file_open(path, flags, mode) -> int: a descriptor, the caller's to close */
static PyObject *file_open(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	unsigned flags, mode;
	struct hutch_error e;
	PyObject *o;
	struct text path;
	int fd, r;

	if (!PyArg_ParseTuple(args, "OII", &o, &flags, &mode) || forked(b) || text_plain(o, &path) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_open(b->box, path.s ? path.s : "", flags, mode, &fd, &e) : gone(&e);
	BOX_END(b)
	text_done(&path);
	return r < 0 ? raise_error(&e) : PyLong_FromLong(fd);
}

/* file_stat(path, flags) -> (mode, uid, gid, nlink, bytes, ino, atime_ns, mtime_ns, ctime_ns) */
static PyObject *file_stat(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_stat st = {.size = sizeof(st)};
	struct hutch_error e;
	struct text path;
	unsigned flags;
	PyObject *o;
	int r;

	if (!PyArg_ParseTuple(args, "OI", &o, &flags) || forked(b) || text_plain(o, &path) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_stat(b->box, path.s ? path.s : "", flags, &st, &e) : gone(&e);
	BOX_END(b)
	text_done(&path);
	if (r < 0)
		return raise_error(&e);
	return Py_BuildValue("(IIIIKKLLL)", st.mode, st.uid, st.gid, st.nlink, (unsigned long long)st.bytes,
			     (unsigned long long)st.ino, (long long)st.atime_ns, (long long)st.mtime_ns,
			     (long long)st.ctime_ns);
}

/* file_set(path, flags, mode, uid, gid, atime_ns, mtime_ns) */
static PyObject *file_set(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_stat st = {.size = sizeof(st)};
	long long atime, mtime;
	struct hutch_error e;
	struct text path;
	unsigned flags;
	PyObject *o;
	int r;

	if (!PyArg_ParseTuple(args, "OIIIILL", &o, &flags, &st.mode, &st.uid, &st.gid, &atime, &mtime) || forked(b) ||
	    text_plain(o, &path) < 0)
		return NULL;
	st.atime_ns = atime;
	st.mtime_ns = mtime;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_set(b->box, path.s ? path.s : "", flags, &st, &e) : gone(&e);
	BOX_END(b)
	text_done(&path);
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

static PyObject *file_readlink(PyObject *self, PyObject *o)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	struct text path;
	PyObject *ret;
	char *text;
	int r;

	if (forked(b) || text_plain(o, &path) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_readlink(b->box, path.s ? path.s : "", &text, &e) : gone(&e);
	BOX_END(b)
	text_done(&path);
	if (r < 0)
		return raise_error(&e);
	ret = text_make(text);
	free(text);
	return ret;
}

/* Two texts and a number. Return: 0, or -1 with an exception. */
static int two(PyObject *args, const struct box_object *b, struct text *one, struct text *other, unsigned *flags)
{
	PyObject *o1, *o2;

	*one = *other = (struct text){NULL};
	if (!PyArg_ParseTuple(args, "OO|I", &o1, &o2, flags) || forked(b) || text_plain(o1, one) < 0)
		return -1;
	if (text_plain(o2, other) == 0 && one->s && other->s)
		return 0;
	if (!PyErr_Occurred())
		PyErr_SetString(PyExc_TypeError, "a path is needed, not None");
	text_done(one);
	text_done(other);
	return -1;
}

static PyObject *done(int r, const struct hutch_error *e, struct text *one, struct text *other)
{
	text_done(one);
	text_done(other);
	return r < 0 ? raise_error(e) : PyLong_FromLong(r);
}

static PyObject *file_symlink(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct text one, other;
	struct hutch_error e;
	unsigned flags = 0;
	int r;

	if (two(args, b, &one, &other, &flags) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_symlink(b->box, one.s, other.s, &e) : gone(&e);
	BOX_END(b)
	return done(r, &e, &one, &other);
}

static PyObject *file_rename(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct text one, other;
	struct hutch_error e;
	unsigned flags = 0;
	int r;

	if (two(args, b, &one, &other, &flags) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_rename(b->box, one.s, other.s, &e) : gone(&e);
	BOX_END(b)
	return done(r, &e, &one, &other);
}

static PyObject *copy_in(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct text one, other;
	struct hutch_error e;
	unsigned flags = 0;
	int r;

	if (two(args, b, &one, &other, &flags) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_copy_in(b->box, one.s, other.s, flags, &e) : gone(&e);
	BOX_END(b)
	return done(r, &e, &one, &other);
}

static PyObject *copy_out(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct text one, other;
	struct hutch_error e;
	unsigned flags = 0;
	int r;

	if (two(args, b, &one, &other, &flags) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_copy_out(b->box, one.s, other.s, flags, &e) : gone(&e);
	BOX_END(b)
	return done(r, &e, &one, &other);
}

static PyObject *file_mkdir(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	unsigned flags, mode;
	struct hutch_error e;
	struct text path;
	PyObject *o;
	int r;

	if (!PyArg_ParseTuple(args, "OII", &o, &flags, &mode) || forked(b) || text_plain(o, &path) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_mkdir(b->box, path.s ? path.s : "", flags, mode, &e) : gone(&e);
	BOX_END(b)
	text_done(&path);
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

static PyObject *file_remove(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	struct text path;
	unsigned flags;
	PyObject *o;
	int r;

	if (!PyArg_ParseTuple(args, "OI", &o, &flags) || forked(b) || text_plain(o, &path) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_file_remove(b->box, path.s ? path.s : "", flags, &e) : gone(&e);
	BOX_END(b)
	text_done(&path);
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

PyMethodDef file_methods[] = {
	{"file_open", file_open, METH_VARARGS, "file_open(path, flags, mode) -> int"},
	{"file_stat", file_stat, METH_VARARGS,
	 "file_stat(path, flags) -> (mode, uid, gid, nlink, bytes, ino, atime_ns, mtime_ns, ctime_ns)"},
	{"file_set", file_set, METH_VARARGS, "file_set(path, flags, mode, uid, gid, atime_ns, mtime_ns)"},
	{"file_readlink", file_readlink, METH_O, "file_readlink(path) -> str"},
	{"file_symlink", file_symlink, METH_VARARGS, "file_symlink(text, path)"},
	{"file_rename", file_rename, METH_VARARGS, "file_rename(from, to)"},
	{"file_mkdir", file_mkdir, METH_VARARGS, "file_mkdir(path, flags, mode)"},
	{"file_remove", file_remove, METH_VARARGS, "file_remove(path, flags)"},
	{"copy_in", copy_in, METH_VARARGS, "copy_in(host_path, path, flags) -> how many were left out"},
	{"copy_out", copy_out, METH_VARARGS, "copy_out(path, host_path, flags) -> how many were left out"},
	{NULL, NULL, 0, NULL},
};
