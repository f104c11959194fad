/* SPDX-License-Identifier: Apache-2.0
 *
 * box.c - the type Box: a sandbox, its life and its end
 */
#include "ext.h"

#include <stdlib.h>
#include <unistd.h>

PyTypeObject *box_type;

PyObject *box_wrap(struct home_object *home, struct hutch_box *box, int detached)
{
	struct box_object *b = (struct box_object *)((allocfunc)PyType_GetSlot(box_type, Py_tp_alloc))(box_type, 0);

	if (b)
		b->lock = PyThread_allocate_lock();
	if (!b || !b->lock) {
		hutch_box_delete(box, NULL);
		Py_XDECREF((PyObject *)b);
		return b ? PyErr_NoMemory() : NULL;
	}
	Py_INCREF((PyObject *)home);
	b->home = home;
	b->box = box;
	b->owner = getpid();
	b->detached = detached;
	return (PyObject *)b;
}

static void box_dealloc(PyObject *self)
{
	struct box_object *b = (struct box_object *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (b->box && b->detached)
		hutch_box_close(b->box);
	else if (b->box)
		hutch_box_delete(b->box, NULL);
	if (b->lock)
		PyThread_free_lock(b->lock);
	Py_XDECREF((PyObject *)b->home);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

/* ---- calls that take nothing and give nothing -------------------------------------------------- */

static PyObject *answer(int r, const struct hutch_error *e)
{
	if (r < 0)
		return raise_error(e);
	Py_RETURN_NONE;
}

static PyObject *wait_ready(PyObject *self, PyObject *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	int r;

	(void)none;
	if (forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_box_wait_ready(b->box, &e) : gone(&e);
	BOX_END(b)
	return answer(r, &e);
}

/* Of a box that is gone already: nothing. In a forked child only memory is freed. */
static PyObject *end(PyObject *self, int delete)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	struct hutch_box *box;
	int r = 0;

	if (b->owner != getpid()) {
		box = b->box;
		b->box = NULL;
		hutch_box_close(box);
		Py_RETURN_NONE;
	}
	Py_BEGIN_ALLOW_THREADS
	PyThread_acquire_lock(b->lock, WAIT_LOCK); /* after the calls of other threads */
	Py_END_ALLOW_THREADS
	box = b->box; /* under both locks: who only asks for its name has no other than the interpreter's */
	b->box = NULL;
	Py_BEGIN_ALLOW_THREADS
	if (delete)
		r = hutch_box_delete(box, &e);
	else
		hutch_box_close(box);
	BOX_END(b)
	return answer(r, &e);
}

static PyObject *delete_box(PyObject *self, PyObject *none)
{
	(void)none;
	return end(self, 1);
}

static PyObject *close_box(PyObject *self, PyObject *none)
{
	(void)none;
	return end(self, 0);
}

static PyObject *stop(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	int ms, r;

	if (!PyArg_ParseTuple(args, "i", &ms) || forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_box_stop(b->box, ms, &e) : gone(&e);
	BOX_END(b)
	return answer(r, &e);
}

static PyObject *kill_box(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	int signal, r;

	if (!PyArg_ParseTuple(args, "i", &signal) || forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_box_kill(b->box, signal, &e) : gone(&e);
	BOX_END(b)
	return answer(r, &e);
}

/* ---- what is known of it ---------------------------------------------------------------------- */

static PyObject *name(PyObject *self, void *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;

	(void)none;
	if (b->box)
		return text_make(hutch_box_name(b->box));
	gone(&e);
	return raise_error(&e);
}

static PyObject *remark(PyObject *self, void *none)
{
	struct box_object *b = (struct box_object *)self;

	(void)none;
	return text_make(b->box ? hutch_box_remark(b->box) : "");
}

static PyObject *alive(PyObject *self, void *none)
{
	struct box_object *b = (struct box_object *)self;

	(void)none;
	return PyBool_FromLong(b->box && b->owner == getpid());
}

static PyObject *spec_of(PyObject *self, PyObject *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	PyObject *ret;
	char *json;
	int r;

	(void)none;
	if (forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_spec_to_json(hutch_box_spec(b->box), &json, &e) : gone(&e);
	BOX_END(b)
	if (r < 0)
		return raise_error(&e);
	ret = text_make(json);
	free(json);
	return ret;
}

static PyObject *fileno_of(PyObject *self, PyObject *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;

	(void)none;
	if (forked(b))
		return NULL;
	if (b->box)
		return PyLong_FromLong(hutch_box_fd(b->box));
	gone(&e);
	return raise_error(&e);
}

/* ---- the type --------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
	{"__reduce__", no_pickle, METH_NOARGS, "refuses"},
	{"wait_ready", wait_ready, METH_NOARGS, "wait_ready()"},
	{"delete", delete_box, METH_NOARGS, "delete()"},
	{"close", close_box, METH_NOARGS, "close()"},
	{"stop", stop, METH_VARARGS, "stop(timeout_ms)"},
	{"kill", kill_box, METH_VARARGS, "kill(signal)"},
	{"spec", spec_of, METH_NOARGS, "spec() -> JSON"},
	{"fileno", fileno_of, METH_NOARGS, "fileno() -> int"},
	{"run", box_run, METH_VARARGS, "run(text, argv, flags, session, cwd, env, timeout_ms, cap, counted, input) -> RunResult"},
	{"say", (PyCFunction)(void (*)(void))box_say, METH_FASTCALL, "say(text, session) -> RunResult"},
	{"run_start", box_run_start, METH_VARARGS,
	 "run_start(text, argv, flags, session, cwd, env, timeout_ms, cap, stream, input) -> Run"},
	{"exec", box_exec, METH_VARARGS, "exec(argv, flags, env, cwd, user, kinds, fds, timeout_ms, rows, cols) -> Proc"},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
	{"name", name, NULL, "its name", NULL},
	{"remark", remark, NULL, "what is less than one may think, or \"\"", NULL},
	{"alive", alive, NULL, "neither deleted nor another process's", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, box_dealloc},
	{Py_tp_methods, NULL}, /* see below */
	{Py_tp_getset, members},
	{Py_tp_doc, (void *)(uintptr_t)"A sandbox."},
	{0, NULL},
};

static PyType_Spec spec = {"hutch._hutch.Box", sizeof(struct box_object), 0,
			   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

enum { METHODS_MAX = 64 };

/* The methods of all files in one table. */
static PyMethodDef *all_methods(void)
{
	static PyMethodDef all[METHODS_MAX];
	PyMethodDef *const lists[] = {methods, snapshot_methods, op_methods, job_methods, file_methods};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		for (PyMethodDef *m = lists[i]; m->ml_name && n < METHODS_MAX - 1; m++)
			all[n++] = *m;
	return all;
}

int box_setup(PyObject *module)
{
	slots[1].pfunc = all_methods();
	box_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return box_type ? PyModule_AddObjectRef(module, "Box", (PyObject *)box_type) : -1;
}
