/* SPDX-License-Identifier: Apache-2.0
 *
 * op.c - the type Op, and the methods of a box that begin one: a reset, a snapshot, a fork and the like
 */
#include "ext.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static PyTypeObject *op_type;

struct op_object {
	PyObject ob_base;
	struct box_object *box;
	struct hutch_op *op;
	int detached; /* of a fork: the new ones outlive their handles */
	int diff;     /* its text is records */
	unsigned n;   /* of a fork: how many */
};

/* What a begin gave. */
static PyObject *made(struct box_object *b, int r, struct hutch_op *op, const struct hutch_error *e, struct op_object as)
{
	struct op_object *x;

	if (r < 0)
		return raise_error(e);
	x = (struct op_object *)((allocfunc)PyType_GetSlot(op_type, Py_tp_alloc))(op_type, 0);
	if (!x) {
		hutch_op_free(op);
		return NULL;
	}
	Py_INCREF((PyObject *)b);
	x->box = b;
	x->op = op;
	x->detached = as.detached;
	x->diff = as.diff;
	x->n = as.n;
	return (PyObject *)x;
}

/* Waits for its end, under the lock under which it was begun: no other thread comes in between. Return: as @r, or less than 0. */
static int to_its_end(int whole, int r, struct hutch_op **op, struct hutch_error *e)
{
	if (r < 0 || !whole || hutch_op_wait(*op, -1, e) > 0)
		return r;
	hutch_op_free(*op);
	return e->code;
}

/* ---- begin ------------------------------------------------------------------------------------ */

static PyObject *ready_start(PyObject *self, PyObject *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_op *op = NULL;
	struct hutch_error e;
	int r;

	(void)none;
	if (forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_ready_start(b->box, &op, &e) : gone(&e);
	BOX_END(b)
	return made(b, r, op, &e, (struct op_object){.n = 0});
}

static PyObject *reset_start(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_op *op = NULL;
	struct hutch_error e;
	int keep, whole, r;

	if (!PyArg_ParseTuple(args, "pp", &keep, &whole) || forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_reset_start(b->box, keep ? HUTCH_RESTORE_KEEP_PROCESSES : 0, &op, &e) : gone(&e);
	r = to_its_end(whole, r, &op, &e);
	BOX_END(b)
	return made(b, r, op, &e, (struct op_object){.n = 0});
}

static PyObject *snapshot_start(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_op *op = NULL;
	struct hutch_error e;
	int whole, r;
	PyObject *tag;
	struct text t;

	if (!PyArg_ParseTuple(args, "Op", &tag, &whole) || forked(b) || text_plain(tag, &t) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_snapshot_start(b->box, t.s, &op, &e) : gone(&e);
	r = to_its_end(whole, r, &op, &e);
	BOX_END(b)
	text_done(&t);
	return made(b, r, op, &e, (struct op_object){.n = 0});
}

static PyObject *restore_start(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_op *op = NULL;
	struct hutch_error e;
	PyObject *name;
	struct text t;
	unsigned flags;
	int whole, r;

	if (!PyArg_ParseTuple(args, "OIp", &name, &flags, &whole) || forked(b) || text_plain(name, &t) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_restore_start(b->box, t.s, flags, &op, &e) : gone(&e);
	r = to_its_end(whole, r, &op, &e);
	BOX_END(b)
	text_done(&t);
	return made(b, r, op, &e, (struct op_object){.n = 0});
}

static PyObject *diff_start(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct text from = {NULL}, to = {NULL};
	struct hutch_op *op = NULL;
	PyObject *o_from, *o_to;
	struct hutch_error e;
	int whole, r;

	if (!PyArg_ParseTuple(args, "OOp", &o_from, &o_to, &whole) || forked(b) || text_plain(o_from, &from) < 0)
		return NULL;
	if (text_plain(o_to, &to) < 0) {
		text_done(&from);
		return NULL;
	}
	BOX_BEGIN(b)
	r = b->box ? hutch_diff_start(b->box, from.s, to.s, &op, &e) : gone(&e);
	r = to_its_end(whole, r, &op, &e);
	BOX_END(b)
	text_done(&from);
	text_done(&to);
	return made(b, r, op, &e, (struct op_object){.diff = 1});
}

static PyObject *fork_start(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_op *op = NULL;
	struct hutch_error e;
	struct fork_ask a;
	int r;

	if (forked(b) || fork_get(args, &a) < 0)
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_fork_start(b->box, a.snapshot.s, a.names.v, a.n, a.flags, &op, &e) : gone(&e);
	r = to_its_end(a.whole, r, &op, &e);
	BOX_END(b)
	fork_done(&a);
	return made(b, r, op, &e, (struct op_object){.n = a.n, .detached = !!(a.flags & HUTCH_START_DETACHED)});
}

/* The handle is that of no sandbox any more, as after delete(). Of one that is gone already: None; and in a forked child, where
 * only memory is freed. */
static PyObject *delete_start(PyObject *self, PyObject *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_op *op = NULL;
	struct hutch_error e;
	struct hutch_box *box;
	int r = 0;

	(void)none;
	if (b->owner != getpid()) {
		box = b->box;
		b->box = NULL;
		hutch_box_close(box);
		Py_RETURN_NONE;
	}
	Py_BEGIN_ALLOW_THREADS
	PyThread_acquire_lock(b->lock, WAIT_LOCK); /* after the calls of other threads */
	Py_END_ALLOW_THREADS
	box = b->box; /* under both locks, see delete() */
	b->box = NULL;
	Py_BEGIN_ALLOW_THREADS
	if (box)
		r = hutch_delete_start(box, &op, &e);
	BOX_END(b)
	if (!box)
		Py_RETURN_NONE;
	if (r < 0)
		b->box = box;
	return made(b, r, op, &e, (struct op_object){.n = 0});
}

PyMethodDef op_methods[] = {
	{"ready_start", ready_start, METH_NOARGS, "ready_start() -> Op"},
	/* @whole: to its end. */
	{"reset_start", reset_start, METH_VARARGS, "reset_start(keep_processes, whole) -> Op"},
	{"snapshot_start", snapshot_start, METH_VARARGS, "snapshot_start(tag, whole) -> Op"},
	{"restore_start", restore_start, METH_VARARGS, "restore_start(name, flags, whole) -> Op"},
	{"diff_start", diff_start, METH_VARARGS, "diff_start(from, to, whole) -> Op"},
	{"fork_start", fork_start, METH_VARARGS, "fork_start(snapshot, names, n, flags, whole) -> Op"},
	{"delete_start", delete_start, METH_NOARGS, "delete_start() -> Op or None"},
	{NULL, NULL, 0, NULL},
};

/* ---- the type --------------------------------------------------------------------------------- */

static PyObject *fileno_of(PyObject *self, PyObject *none)
{
	struct op_object *x = (struct op_object *)self;
	struct hutch_error e;
	int r;

	(void)none;
	if (forked(x->box))
		return NULL;
	BOX_BEGIN(x->box)
	r = hutch_op_fd(x->op, &e);
	BOX_END(x->box)
	return r < 0 ? raise_error(&e) : PyLong_FromLong(r);
}

/* wait(forever) -> bool */
static PyObject *wait_op(PyObject *self, PyObject *args)
{
	struct op_object *x = (struct op_object *)self;
	struct hutch_error e;
	int forever, r;

	if (!PyArg_ParseTuple(args, "p", &forever) || forked(x->box))
		return NULL;
	BOX_BEGIN(x->box)
	r = hutch_op_wait(x->op, forever ? -1 : 0, &e);
	BOX_END(x->box)
	return r < 0 ? raise_error(&e) : PyBool_FromLong(r);
}

static PyObject *new_boxes(struct op_object *x)
{
	struct hutch_box **boxes = calloc(x->n, sizeof(*boxes));
	PyObject *ret = boxes ? PyList_New(0) : PyErr_NoMemory();
	size_t n = 0;

	if (!boxes || !ret) {
		free(boxes);
		return NULL;
	}
	BOX_BEGIN(x->box)
	n = hutch_op_boxes(x->op, boxes);
	BOX_END(x->box)
	ret = boxes_wrap(ret, x->box->home, boxes, n, x->detached);
	free(boxes);
	return ret;
}

/* What came of it: a name, records, sandboxes, or None. */
static PyObject *result(PyObject *self, PyObject *none)
{
	struct op_object *x = (struct op_object *)self;
	const char *text;
	size_t len;

	(void)none;
	if (forked(x->box))
		return NULL;
	if (x->n)
		return new_boxes(x);
	text = hutch_op_text(x->op, &len);
	if (x->diff)
		return records_make(text, len);
	if (text)
		return text_make(text);
	Py_RETURN_NONE;
}

static void op_dealloc(PyObject *self)
{
	struct op_object *x = (struct op_object *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (x->op && x->box->owner != getpid()) {
		hutch_op_free(x->op); /* who held the lock is not there */
	} else if (x->op) {
		BOX_BEGIN(x->box)
		hutch_op_free(x->op);
		BOX_END(x->box)
	}
	Py_XDECREF((PyObject *)x->box);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{"__reduce__", no_pickle, METH_NOARGS, "refuses"},
	{"fileno", fileno_of, METH_NOARGS, "fileno() -> int: readable when wait(False) may have something to do"},
	{"wait", wait_op, METH_VARARGS, "wait(forever) -> bool: is it done?"},
	{"result", result, METH_NOARGS, "result(): what came of it"},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, op_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_doc, (void *)(uintptr_t)"What was begun."},
	{0, NULL},
};

static PyType_Spec spec = {"hutch._hutch.Op", sizeof(struct op_object), 0,
			   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

int op_setup(PyObject *module)
{
	op_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return op_type ? PyModule_AddObjectRef(module, "Op", (PyObject *)op_type) : -1;
}
