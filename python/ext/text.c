/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - strings between Python and C
 */
#include "ext.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int text_get(PyObject *o, struct text *t)
{
	Py_ssize_t len = 0;
	char *bytes;

	*t = (struct text){NULL};
	if (o == Py_None)
		return 0;
	if (PyUnicode_Check(o)) {
		t->s = PyUnicode_AsUTF8AndSize(o, &len);
		if (t->s) {
			t->len = (size_t)len;
			Py_INCREF(o);
			t->held = o;
			return 0;
		}
		PyErr_Clear(); /* surrogates: bytes that are no UTF-8 */
		t->held = PyUnicode_AsEncodedString(o, "utf-8", "surrogateescape");
	} else if (PyBytes_Check(o)) {
		Py_INCREF(o);
		t->held = o;
	} else {
		PyErr_SetString(PyExc_TypeError, "a str or bytes is needed");
	}
	if (!t->held || PyBytes_AsStringAndSize(t->held, &bytes, &len) < 0) {
		text_done(t);
		return -1;
	}
	t->s = bytes;
	t->len = (size_t)len;
	return 0;
}

int text_plain(PyObject *o, struct text *t)
{
	if (text_get(o, t) < 0)
		return -1;
	if (!t->s || strlen(t->s) == t->len)
		return 0;
	PyErr_SetString(PyExc_ValueError, "a NUL in the text");
	text_done(t);
	return -1;
}

void text_done(struct text *t)
{
	Py_XDECREF(t->held);
	*t = (struct text){NULL};
}

int words_get(PyObject *o, struct words *w)
{
	Py_ssize_t n;

	*w = (struct words){NULL};
	if (o == Py_None)
		return 0;
	n = PyUnicode_Check(o) || PyBytes_Check(o) ? -1 : PySequence_Size(o);
	if (n < 0) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_TypeError, "a list of words is needed, not a text");
		return -1;
	}
	w->v = calloc((size_t)n + 1, sizeof(*w->v));
	w->held = calloc((size_t)n + 1, sizeof(*w->held));
	if (!w->v || !w->held) {
		words_done(w);
		PyErr_NoMemory();
		return -1;
	}
	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *item = PySequence_GetItem(o, i);

		if (item && item != Py_None && text_plain(item, &w->held[i]) == 0) {
			w->v[i] = w->held[i].s;
			w->n++;
		} else if (!PyErr_Occurred()) {
			PyErr_SetString(PyExc_TypeError, "None among words");
		}
		Py_XDECREF(item);
		if (PyErr_Occurred()) {
			words_done(w);
			return -1;
		}
	}
	return 0;
}

void words_done(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		text_done(&w->held[i]);
	free(w->held);
	free((void *)w->v);
	*w = (struct words){NULL};
}

PyObject *text_make(const char *s)
{
	return PyUnicode_DecodeUTF8(s, (Py_ssize_t)strlen(s), "surrogateescape");
}

double clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

enum { TURN_MS = 200 }; /* a signal may have come to another thread, and the box may be deleted by one */

int wait_turn(int fd, double seconds)
{
	struct pollfd p = {fd, POLLIN, 0};
	int ms = seconds < 0 || seconds * 1000 > TURN_MS ? TURN_MS : (int)(seconds * 1000 + 0.999), r;

	Py_BEGIN_ALLOW_THREADS
	r = poll(&p, 1, ms);
	Py_END_ALLOW_THREADS
	return PyErr_CheckSignals() < 0 ? -1 : r > 0;
}
