/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - methods of a box: its snapshots; what op.c needs to make some, and forks
 */
#include "ext.h"

#include <stdlib.h>
#include <string.h>

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

PyObject *records_make(const char *records, size_t len)
{
	PyObject *ret = PyList_New(0);

	for (size_t at = 0; ret && at + 2 < len; at += strlen(records + at) + 1) {
		PyObject *one = Py_BuildValue("(CN)", records[at], text_make(records + at + 2));

		if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	return ret;
}

enum { FORKS_MAX = 100000 };

/* (snapshot, names or None, n, flags, whole) */
int fork_get(PyObject *args, struct fork_ask *a)
{
	PyObject *snapshot, *names;

	memset(a, 0, sizeof(*a));
	if (!PyArg_ParseTuple(args, "OOIIp", &snapshot, &names, &a->n, &a->flags, &a->whole))
		return -1;
	if (text_plain(snapshot, &a->snapshot) < 0 || words_get(names, &a->names) < 0) {
		text_done(&a->snapshot);
		return -1;
	}
	if (a->names.v)
		a->n = (unsigned)a->names.n;
	if (a->n >= 1 && a->n <= FORKS_MAX)
		return 0;
	PyErr_Format(PyExc_ValueError, "%u forks: 1 to %d can be made at once", a->n, FORKS_MAX);
	fork_done(a);
	return -1;
}

void fork_done(struct fork_ask *a)
{
	text_done(&a->snapshot);
	words_done(&a->names);
}

PyObject *boxes_wrap(PyObject *list, struct home_object *home, struct hutch_box **boxes, size_t n, int detached)
{
	for (size_t i = 0; i < n; i++) {
		PyObject *one = list ? box_wrap(home, boxes[i], detached) : NULL;

		if (!list)
			hutch_box_delete(boxes[i], NULL);
		else if (!one || PyList_Append(list, one) < 0)
			Py_CLEAR(list);
		Py_XDECREF(one);
	}
	return list;
}

PyMethodDef snapshot_methods[] = {
	{"snapshots", snapshots, METH_NOARGS, "snapshots() -> [(name, parent, created, layers, present)]"},
	{"snapshot_delete", snapshot_delete, METH_O, "snapshot_delete(name)"},
	{NULL, NULL, 0, NULL},
};
