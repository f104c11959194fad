/* SPDX-License-Identifier: Apache-2.0
 *
 * proc.c - the type Proc: a command with descriptors of the caller's
 */
#include "ext.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

PyTypeObject *proc_type;

/* Standard descriptors that are files are carried while somebody waits, and another thread may take the word that
 * this one waits for. */
#define TURN_S 0.01

struct proc_object {
	PyObject ob_base;
	struct box_object *box;
	struct hutch_proc *proc; /* belongs to the box: not valid once that is gone */
	struct hutch_result result;
	int ended;
};

/* (argv, flags, env, cwd, user, (kind, kind, kind), (fd, fd, fd), timeout_ms, rows, cols) */
PyObject *box_exec(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_exec_options o = {.size = sizeof(o)};
	struct text cwd = {NULL}, user = {NULL};
	PyObject *o_argv, *o_env, *o_cwd, *o_user;
	struct words argv = {NULL}, env = {NULL};
	unsigned long long timeout;
	struct proc_object *x;
	struct hutch_error e;
	int r, bad;

	if (!PyArg_ParseTuple(args, "OIOOO(iii)(iii)KHH", &o_argv, &o.flags, &o_env, &o_cwd, &o_user, &o.io[0].kind,
			      &o.io[1].kind, &o.io[2].kind, &o.io[0].fd, &o.io[1].fd, &o.io[2].fd, &timeout, &o.rows,
			      &o.cols) ||
	    forked(b))
		return NULL;
	x = (struct proc_object *)((allocfunc)PyType_GetSlot(proc_type, Py_tp_alloc))(proc_type, 0);
	bad = !x || words_get(o_argv, &argv) < 0 || words_get(o_env, &env) < 0 || text_plain(o_cwd, &cwd) < 0 ||
	      text_plain(o_user, &user) < 0;
	o.argv = argv.v;
	o.env = env.v;
	o.cwd = cwd.s;
	o.user = user.s;
	o.timeout_ms = timeout;
	r = 0;
	if (!bad) {
		BOX_BEGIN(b)
		r = b->box ? hutch_box_exec(b->box, &o, &x->proc, &e) : gone(&e);
		BOX_END(b)
	}
	words_done(&argv);
	words_done(&env);
	text_done(&cwd);
	text_done(&user);
	if (bad || r < 0) {
		Py_XDECREF((PyObject *)x);
		return bad ? NULL : raise_error(&e);
	}
	Py_INCREF(self);
	x->box = b;
	return (PyObject *)x;
}

static int freed(const struct proc_object *x)
{
	struct hutch_error e = {.code = HUTCH_E_STATE, .message = "the command was freed"};

	if (x->proc)
		return forked(x->box);
	raise_error(&e);
	return 1;
}

/* wait(seconds or None) -> result or None */
static PyObject *wait_proc(PyObject *self, PyObject *seconds)
{
	struct proc_object *x = (struct proc_object *)self;
	double s = seconds == Py_None ? -1 : PyFloat_AsDouble(seconds), until = clock_now() + s;
	struct box_object *b = x->box;
	struct hutch_error e;
	int fd = -1, r = x->ended;

	if (PyErr_Occurred() || (!r && freed(x)))
		return NULL;
	x->result.size = sizeof(x->result);
	while (!r) {
		double left = s < 0 ? TURN_S : until - clock_now();

		BOX_BEGIN(b)
		r = b->box ? hutch_proc_wait(x->proc, 0, -1, &x->result, &e) : gone(&e);
		fd = b->box ? hutch_box_fd(b->box) : -1;
		BOX_END(b)
		if (r || (s >= 0 && left <= 0))
			break;
		if (wait_turn(fd, left < TURN_S ? left : TURN_S) < 0)
			return NULL;
	}
	if (r < 0)
		return raise_error(&e);
	x->ended = r;
	if (r)
		return result_make(&x->result);
	Py_RETURN_NONE;
}

static PyObject *send_signal(PyObject *self, PyObject *args)
{
	struct proc_object *x = (struct proc_object *)self;
	struct box_object *b = x->box;
	struct hutch_error e;
	int signal, r;

	if (!PyArg_ParseTuple(args, "i", &signal) || freed(x))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_proc_signal(x->proc, signal, &e) : gone(&e);
	BOX_END(b)
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

/* take_fd(which) -> int: the caller's to close; -1: there is none yet */
static PyObject *take_fd(PyObject *self, PyObject *args)
{
	struct proc_object *x = (struct proc_object *)self;
	struct box_object *b = x->box;
	int which, fd;

	if (!PyArg_ParseTuple(args, "i", &which) || freed(x))
		return NULL;
	BOX_BEGIN(b)
	fd = b->box ? hutch_proc_take_fd(x->proc, which) : -1;
	BOX_END(b)
	return PyLong_FromLong(fd);
}

static void free_proc(struct proc_object *x)
{
	struct hutch_proc *proc = x->proc;
	struct box_object *b = x->box;

	x->proc = NULL;
	if (!proc || !b || b->owner != getpid())
		return;
	BOX_BEGIN(b)
	if (b->box)
		hutch_proc_free(proc);
	BOX_END(b)
}

static PyObject *free_it(PyObject *self, PyObject *none)
{
	(void)none;
	free_proc((struct proc_object *)self);
	Py_RETURN_NONE;
}

static void proc_dealloc(PyObject *self)
{
	struct proc_object *x = (struct proc_object *)self;
	PyTypeObject *type = Py_TYPE(self);

	free_proc(x);
	Py_XDECREF((PyObject *)x->box);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{"__reduce__", no_pickle, METH_NOARGS, "refuses"},
	{"wait", wait_proc, METH_O, "wait(seconds or None) -> result or None"},
	{"signal", send_signal, METH_VARARGS, "signal(number)"},
	{"take_fd", take_fd, METH_VARARGS, "take_fd(which) -> int"},
	{"free", free_it, METH_NOARGS, "free()"},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, proc_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_doc, (void *)(uintptr_t)"A command that was started."},
	{0, NULL},
};

static PyType_Spec spec = {"hutch._hutch.Proc", sizeof(struct proc_object), 0,
			   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

int proc_setup(PyObject *module)
{
	proc_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return proc_type ? PyModule_AddObjectRef(module, "Proc", (PyObject *)proc_type) : -1;
}
