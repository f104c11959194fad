/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c - a hutch_error as a Python exception
 *
 * How it works: hutch._errors.make_error() chooses the class; it is asked for when the first error comes.
 */
#include "ext.h"

#include <stdio.h>
#include <unistd.h>

static PyObject *make_error;

static PyObject *maker(void)
{
	PyObject *module;

	if (make_error)
		return make_error;
	module = PyImport_ImportModule("hutch._errors");
	if (module)
		make_error = PyObject_GetAttrString(module, "make_error");
	Py_XDECREF(module);
	return make_error;
}

PyObject *raise_error(const struct hutch_error *e)
{
	PyObject *message = text_make(e->message), *error = NULL;

	if (message && maker())
		error = PyObject_CallFunction(make_error, "iiO", e->code, e->sys_errno, message);
	if (error)
		PyErr_SetObject((PyObject *)Py_TYPE(error), error);
	Py_XDECREF(error);
	Py_XDECREF(message);
	return NULL;
}

int gone(struct hutch_error *e)
{
	*e = (struct hutch_error){.code = HUTCH_E_STATE, .message = "the sandbox was deleted"};
	return e->code;
}

int forked(const struct box_object *b)
{
	struct hutch_error e = {.code = HUTCH_E_STATE,
				.message = "the sandbox belongs to the process that this one was forked from"};

	if (b->owner == getpid())
		return 0;
	raise_error(&e);
	return 1;
}

PyObject *no_pickle(PyObject *self, PyObject *none)
{
	(void)self;
	(void)none;
	PyErr_SetString(PyExc_TypeError, "a sandbox, and what belongs to one, cannot be copied or sent to another process: "
					 "it belongs to the process that made it. Send its SandboxConfig "
					 "(sb.config), and make a sandbox of it there");
	return NULL;
}
