/* SPDX-License-Identifier: Apache-2.0
 *
 * result.c - what came of a command, for Python
 *
 * How it works: most runs end as expected, with little output. Their RunResult is made here: Python takes several times as long
 * for it right after a wait, when none of its code is in a cache. What is unusual is left to RunResult.__new__(), whose class
 * hutch/_result.py names to us.
 */
#include "ext.h"

static PyObject *result_class, *told_name;

/* A tuple of @n things that are given away; NULL where one of them is. */
static PyObject *tuple_of(PyObject *const *things, int n)
{
	PyObject *ret = PyTuple_New(n);

	for (int i = 0; i < n; i++) {
		if (ret && things[i])
			PyTuple_SetItem(ret, i, things[i]);
		else
			Py_XDECREF(things[i]);
		if (!things[i])
			Py_CLEAR(ret);
	}
	return ret;
}

PyObject *result_make(const struct hutch_result *r)
{
	return tuple_of((PyObject *[]){PyLong_FromLong(r->end), PyLong_FromLong(r->exit_code), PyLong_FromLong(r->signal),
				       PyLong_FromUnsignedLongLong(r->user_us), PyLong_FromUnsignedLongLong(r->system_us),
				       PyLong_FromUnsignedLongLong(r->maxrss_bytes), text_make(r->message)},
			7);
}

PyObject *output_make(PyObject *bytes, const struct hutch_output *o)
{
	return tuple_of((PyObject *[]){bytes, PyLong_FromUnsignedLongLong(o->total), PyLong_FromSize_t(o->cut_at)}, 3);
}

static PyObject *another(PyObject *o)
{
	Py_INCREF(o);
	return o;
}

/* As RunResult.__new__() does it. */
static PyObject *make_usual(PyObject *told, PyObject *bytes, int exit_code)
{
	newfunc tuple_new = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
	PyObject *text = PyUnicode_FromEncodedObject(bytes, "utf-8", "backslashreplace");
	PyObject *pair = tuple_of((PyObject *[]){text, PyLong_FromLong(exit_code)}, 2), *args = tuple_of(&pair, 1);
	PyObject *ret = args ? tuple_new((PyTypeObject *)result_class, args, NULL) : NULL;

	Py_XDECREF(args);
	if (ret && PyObject_SetAttr(ret, told_name, told) < 0)
		Py_CLEAR(ret);
	return ret;
}

PyObject *run_result(const struct hutch_result *r, PyObject *out, PyObject *err, double seconds, int counted)
{
	PyObject *bytes = PyTuple_GetItem(out, 0), *total = PyTuple_GetItem(out, 1), *ret;
	PyObject *told = tuple_of((PyObject *[]){result_make(r), another(out), another(err), PyFloat_FromDouble(seconds),
						 PyBool_FromLong(counted)}, 5);

	if (!told)
		return NULL;
	if (r->end != HUTCH_END_NOT_RUN && (size_t)PyBytes_Size(bytes) == PyLong_AsSize_t(total))
		ret = make_usual(told, bytes, r->exit_code);
	else
		ret = PyObject_CallObject(result_class, told);
	Py_DECREF(told);
	return ret;
}

static PyObject *results_are(PyObject *module, PyObject *class)
{
	(void)module;
	if (!PyType_Check(class) || !PyType_IsSubtype((PyTypeObject *)class, &PyTuple_Type)) {
		PyErr_SetString(PyExc_TypeError, "a class of tuples is needed");
		return NULL;
	}
	Py_INCREF(class);
	Py_XDECREF(result_class);
	result_class = class;
	Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
	{"results_are", results_are, METH_O, "results_are(class): of what runs give"},
	{NULL, NULL, 0, NULL},
};

int result_setup(PyObject *module)
{
	told_name = PyUnicode_InternFromString("_told");
	return told_name ? PyModule_AddFunctions(module, functions) : -1;
}
