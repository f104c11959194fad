/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - methods of a box: snapshots and forks
 */
#include "ext.h"

#include <stdlib.h>
#include <string.h>

/* snapshot(tag) -> str */
static PyObject *snapshot(PyObject *self, PyObject *tag)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	struct text t;
	PyObject *ret;
	char *name;
	int r;

	if (forked(b) || text_plain(tag, &t) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_box_snapshot(b->box, t.s, &name, &e) : gone(&e);
	BOX_END(b)
	text_done(&t);
	if (r < 0)
		return raise_error(&e);
	ret = text_make(name);
	free(name);
	return ret;
}

/* restore(name, flags) */
static PyObject *restore(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	PyObject *name;
	struct text t;
	unsigned flags;
	int r;

	if (!PyArg_ParseTuple(args, "OI", &name, &flags) || forked(b) || text_plain(name, &t) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_box_restore(b->box, t.s, flags, &e) : gone(&e);
	BOX_END(b)
	text_done(&t);
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

/* snapshots() -> [(name, parent, created, layers, present)] */
static PyObject *snapshots(PyObject *self, PyObject *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_snapshot *v = NULL;
	struct hutch_error e;
	PyObject *ret;
	size_t n = 0;
	int r;

	(void)none;
	if (forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_box_snapshots(b->box, &v, &n, &e) : gone(&e);
	BOX_END(b)
	if (r < 0)
		return raise_error(&e);
	ret = PyList_New(0);
	for (size_t i = 0; ret && i < n; i++) {
		PyObject *one = Py_BuildValue("(NNLIO)", text_make(v[i].name), text_make(v[i].parent),
					      (long long)v[i].created, v[i].layers, v[i].present ? Py_True : Py_False);

		if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	free(v);
	return ret;
}

static PyObject *snapshot_delete(PyObject *self, PyObject *name)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	struct text t;
	int r;

	if (forked(b) || text_plain(name, &t) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_box_snapshot_delete(b->box, t.s ? t.s : "", &e) : gone(&e);
	BOX_END(b)
	text_done(&t);
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

/* diff(from, to) -> [(kind, path)] */
static PyObject *diff(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct text from = {NULL}, to = {NULL};
	PyObject *o_from, *o_to, *ret;
	char *records = NULL;
	struct hutch_error e;
	size_t len = 0;
	int r;

	if (!PyArg_ParseTuple(args, "OO", &o_from, &o_to) || forked(b) || text_plain(o_from, &from) < 0)
		return NULL;
	if (text_plain(o_to, &to) < 0) {
		text_done(&from);
		return NULL;
	}
	BOX_BEGIN(b)
	r = b->box ? hutch_box_diff(b->box, from.s, to.s, &records, &len, &e) : gone(&e);
	BOX_END(b)
	text_done(&from);
	text_done(&to);
	if (r < 0)
		return raise_error(&e);
	ret = PyList_New(0);
	for (size_t at = 0; ret && at + 2 < len; at += strlen(records + at) + 1) {
		PyObject *one = Py_BuildValue("(CN)", records[at], text_make(records + at + 2));

		if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	free(records);
	return ret;
}

enum { FORKS_MAX = 100000 };

/* fork(snapshot, names or None, n, flags) -> [Box] */
static PyObject *fork_box(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	PyObject *o_snapshot, *o_names, *ret;
	struct hutch_box **boxes = NULL;
	struct words names = {NULL};
	struct text t = {NULL};
	struct hutch_error e;
	unsigned n, flags;
	int r;

	if (!PyArg_ParseTuple(args, "OOII", &o_snapshot, &o_names, &n, &flags) || forked(b))
		return NULL;
	if (text_plain(o_snapshot, &t) < 0 || words_get(o_names, &names) < 0) {
		text_done(&t);
		return NULL;
	}
	if (names.v)
		n = (unsigned)names.n;
	boxes = n < 1 || n > FORKS_MAX ? NULL : calloc(n, sizeof(*boxes));
	if (!boxes) {
		PyErr_Format(PyExc_ValueError, "%u forks: 1 to %d can be made at once", n, FORKS_MAX);
		text_done(&t);
		words_done(&names);
		return NULL;
	}
	BOX_BEGIN(b)
	r = b->box ? hutch_box_fork(b->box, t.s, names.v, n, flags, boxes, &e) : gone(&e);
	BOX_END(b)
	ret = r < 0 ? raise_error(&e) : PyList_New(0);
	for (size_t i = 0; r == 0 && i < n; i++) {
		PyObject *one = ret ? box_wrap(b->home, boxes[i], !!(flags & HUTCH_START_DETACHED)) : NULL;

		if (!ret)
			hutch_box_delete(boxes[i], NULL);
		else if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	text_done(&t);
	words_done(&names);
	free(boxes);
	return ret;
}

PyMethodDef snapshot_methods[] = {
	{"snapshot", snapshot, METH_O, "snapshot(tag) -> str"},
	{"restore", restore, METH_VARARGS, "restore(name, flags)"},
	{"snapshots", snapshots, METH_NOARGS, "snapshots() -> [(name, parent, created, layers, present)]"},
	{"snapshot_delete", snapshot_delete, METH_O, "snapshot_delete(name)"},
	{"diff", diff, METH_VARARGS, "diff(from, to) -> [(kind, path)]"},
	{"fork", fork_box, METH_VARARGS, "fork(snapshot, names, n, flags) -> [Box]"},
	{NULL, NULL, 0, NULL},
};
