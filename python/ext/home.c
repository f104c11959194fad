/* SPDX-License-Identifier: Apache-2.0
 *
 * home.c - the type Home: what one process holds of hutch; fields, specs and the doctor
 */
#include "ext.h"

#include <stdlib.h>
#include <unistd.h>

PyTypeObject *home_type;

/* ---- specs ------------------------------------------------------------------------------------ */

/* @fields: a sequence of (name, text). */
static struct hutch_spec *make_spec(PyObject *fields)
{
	struct hutch_spec *spec = NULL;
	struct hutch_error e;
	Py_ssize_t n = PySequence_Size(fields);

	if (n < 0)
		return NULL;
	if (hutch_spec_new(&spec, &e) < 0) {
		raise_error(&e);
		return NULL;
	}
	for (Py_ssize_t i = 0; i < n && !PyErr_Occurred(); i++) {
		PyObject *item = PySequence_GetItem(fields, i), *name = NULL, *value = NULL;
		struct text t = {NULL}, v = {NULL};

		if (item && !PyTuple_Check(item))
			PyErr_SetString(PyExc_TypeError, "a field is (name, text)");
		else if (item && PyArg_ParseTuple(item, "OO;a field is (name, text)", &name, &value) &&
			 text_plain(name, &t) == 0 && text_plain(value, &v) == 0) {
			if (!t.s || !v.s)
				PyErr_SetString(PyExc_TypeError, "a field is (name, text)");
			else if (hutch_spec_set(spec, t.s, v.s, &e) < 0)
				raise_error(&e);
		}
		text_done(&t);
		text_done(&v);
		Py_XDECREF(item);
	}
	if (!PyErr_Occurred())
		return spec;
	hutch_spec_free(spec);
	return NULL;
}

static PyObject *spec_json(PyObject *module, PyObject *fields)
{
	struct hutch_spec *spec = make_spec(fields);
	PyObject *ret = NULL;
	struct hutch_error e;
	char *json;

	(void)module;
	if (!spec)
		return NULL;
	if (hutch_spec_to_json(spec, &json, &e) < 0) {
		raise_error(&e);
	} else {
		ret = text_make(json);
		free(json);
	}
	hutch_spec_free(spec);
	return ret;
}

static PyObject *spec_fields(PyObject *module, PyObject *none)
{
	const struct hutch_field *f;
	size_t n = hutch_fields(&f);
	PyObject *ret = PyList_New(0);

	(void)module;
	(void)none;
	for (size_t i = 0; ret && i < n; i++) {
		PyObject *one = Py_BuildValue("(sziss)", f[i].name, f[i].flag, (int)f[i].type, f[i].since, f[i].help);

		if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	return ret;
}

/* ---- the handle ------------------------------------------------------------------------------- */

static PyObject *home_new(PyTypeObject *type, PyObject *args, PyObject *kw)
{
	struct hutch_open_options o = {.size = sizeof(o)};
	struct home_object *h;
	struct hutch_error e;
	int r;

	(void)kw;
	if (!PyArg_ParseTuple(args, "|z", &o.directory))
		return NULL;
	h = (struct home_object *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
	if (!h)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	r = hutch_open(&o, &h->hutch, &e);
	Py_END_ALLOW_THREADS
	if (r < 0) {
		h->hutch = NULL;
		raise_error(&e);
		Py_DECREF(h);
		return NULL;
	}
	return (PyObject *)h;
}

static void home_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	hutch_close(((struct home_object *)self)->hutch);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static PyObject *home_start(PyObject *self, PyObject *args)
{
	struct home_object *h = (struct home_object *)self;
	struct hutch_start_options o = {.size = sizeof(o)};
	struct hutch_spec *spec;
	struct hutch_box *box;
	struct hutch_error e;
	PyObject *fields;
	int r;

	if (!PyArg_ParseTuple(args, "OI", &fields, &o.flags))
		return NULL;
	spec = make_spec(fields);
	if (!spec)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	r = hutch_box_start(h->hutch, spec, &o, &box, &e);
	hutch_spec_free(spec);
	Py_END_ALLOW_THREADS
	return r < 0 ? raise_error(&e) : box_wrap(h, box, !!(o.flags & HUTCH_START_DETACHED));
}

static PyObject *home_attach(PyObject *self, PyObject *args)
{
	struct home_object *h = (struct home_object *)self;
	struct hutch_box *box;
	struct hutch_error e;
	const char *name;
	int start, r;

	if (!PyArg_ParseTuple(args, "sp", &name, &start))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	r = start ? hutch_box_start_stopped(h->hutch, name, NULL, &box, &e) :
		    hutch_box_attach(h->hutch, name, &box, &e);
	Py_END_ALLOW_THREADS
	return r < 0 ? raise_error(&e) : box_wrap(h, box, 1);
}

static PyObject *home_remove(PyObject *self, PyObject *args)
{
	struct home_object *h = (struct home_object *)self;
	struct hutch_error e;
	const char *name;
	int r;

	if (!PyArg_ParseTuple(args, "s", &name))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	r = hutch_remove(h->hutch, name, &e);
	Py_END_ALLOW_THREADS
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

/* (name, state, detached, started, pid, root, snapshots) of each. */
static PyObject *home_list(PyObject *self, PyObject *none)
{
	struct home_object *h = (struct home_object *)self;
	struct hutch_listed *v = NULL;
	struct hutch_error e;
	PyObject *ret;
	size_t n = 0;
	int r;

	(void)none;
	Py_BEGIN_ALLOW_THREADS
	r = hutch_list(h->hutch, &v, &n, &e);
	Py_END_ALLOW_THREADS
	if (r < 0)
		return raise_error(&e);
	ret = PyList_New(0);
	for (size_t i = 0; ret && i < n; i++) {
		PyObject *one = Py_BuildValue("(NiiLiNI)", text_make(v[i].name), v[i].state, v[i].detached,
					      (long long)v[i].started, v[i].pid, text_make(v[i].root), v[i].snapshots);

		if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	free(v);
	return ret;
}

static PyObject *home_cleanup(PyObject *self, PyObject *args)
{
	struct home_object *h = (struct home_object *)self;
	struct hutch_error e;
	int ms, r;

	if (!PyArg_ParseTuple(args, "i", &ms))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	r = hutch_cleanup(h->hutch, ms, &e);
	Py_END_ALLOW_THREADS
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{"__reduce__", no_pickle, METH_NOARGS, "refuses"},
	{"start", home_start, METH_VARARGS, "start(fields, flags) -> Box"},
	{"attach", home_attach, METH_VARARGS, "attach(name, start_it) -> Box"},
	{"remove", home_remove, METH_VARARGS, "remove(name)"},
	{"list", home_list, METH_NOARGS, "list() -> [(name, state, detached, started, pid, root, snapshots)]"},
	{"cleanup", home_cleanup, METH_VARARGS, "cleanup(timeout_ms)"},
	{NULL, NULL, 0, NULL},
};

static PyMethodDef functions[] = {
	{"spec_json", spec_json, METH_O, "spec_json(fields) -> str: what they ask for, checked"},
	{"spec_fields", spec_fields, METH_NOARGS, "spec_fields() -> [(name, flag, type, since, help)]"},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_new, home_new},
	{Py_tp_dealloc, home_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_doc, (void *)(uintptr_t)"What one process holds of hutch."},
	{0, NULL},
};

static PyType_Spec spec = {"hutch._hutch.Home", sizeof(struct home_object), 0, Py_TPFLAGS_DEFAULT, slots};

int home_setup(PyObject *module)
{
	home_type = (PyTypeObject *)PyType_FromSpec(&spec);
	if (!home_type || PyModule_AddFunctions(module, functions) < 0)
		return -1;
	return PyModule_AddObjectRef(module, "Home", (PyObject *)home_type);
}
