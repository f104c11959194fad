/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - the type Run, Box.run() and Box.say(): text or a command, with its output
 *
 * How it works: a wait first holds the box for a moment, in which most texts end; then it waits on the run's own
 * descriptor without holding anything, so that other threads can use the box, and signals are seen. Output that
 * is taken as it comes is put together by a callback that needs no interpreter.
 */
#include "ext.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

PyTypeObject *run_type;

enum { FIRST_MS = 2 };

/* Output in the order in which it came. */
struct stream {
	char *data;
	size_t len, room;
	struct piece {
		int which;
		size_t len;
	} *pieces;
	size_t n, room_pieces;
	int lost; /* no memory */
};

struct run_object {
	PyObject ob_base;
	struct box_object *box;
	struct hutch_run *run; /* belongs to the box: not valid once that is gone */
	struct hutch_result result;
	struct stream stream;
	int streams, ended;
};

/* What was asked for, as long as Python's objects are held. */
struct ask {
	struct hutch_run_options o;
	struct text text, session, cwd, input;
	struct words argv, env;
};

static void ask_done(struct ask *a)
{
	text_done(&a->text);
	text_done(&a->session);
	text_done(&a->cwd);
	text_done(&a->input);
	words_done(&a->argv);
	words_done(&a->env);
}

/* (text, argv, flags, session, cwd, env, timeout_ms, cap, more, input) */
static int ask_get(PyObject *args, struct ask *a, int *ret_more)
{
	PyObject *text, *argv, *session, *cwd, *env, *input = Py_None;
	unsigned long long timeout, cap;

	memset(a, 0, sizeof(*a));
	a->o.size = sizeof(a->o);
	*ret_more = 0;
	if (!PyArg_ParseTuple(args, "OOIOOOKK|pO", &text, &argv, &a->o.flags, &session, &cwd, &env, &timeout, &cap,
			      ret_more, &input))
		return -1;
	if (text_get(text, &a->text) < 0 || text_plain(session, &a->session) < 0 || text_plain(cwd, &a->cwd) < 0 ||
	    text_get(input, &a->input) < 0 || words_get(argv, &a->argv) < 0 || words_get(env, &a->env) < 0) {
		ask_done(a);
		return -1;
	}
	a->o.text = a->text.s;
	a->o.len = a->text.len;
	a->o.argv = a->argv.v;
	a->o.env = a->env.v;
	a->o.cwd = a->cwd.s;
	a->o.input = a->input.s;
	a->o.input_len = a->input.len;
	a->o.session = a->session.s;
	a->o.timeout_ms = timeout;
	a->o.cap = cap;
	return 0;
}

/* ---- output as it comes ----------------------------------------------------------------------- */

static int grow(void **v, size_t *room, size_t need, size_t size)
{
	size_t more = *room ? *room : 4096 / size + 1;
	void *p;

	if (need <= *room)
		return 0;
	while (more < need)
		more *= 2;
	p = realloc(*v, more * size);
	if (!p)
		return -1;
	*v = p;
	*room = more;
	return 0;
}

static void on_output(void *arg, int which, const char *data, size_t len)
{
	struct stream *s = arg;

	if (grow((void **)&s->data, &s->room, s->len + len, 1) < 0 ||
	    grow((void **)&s->pieces, &s->room_pieces, s->n + 1, sizeof(*s->pieces)) < 0) {
		s->lost = 1;
		return;
	}
	memcpy(s->data + s->len, data, len);
	s->len += len;
	if (s->n && s->pieces[s->n - 1].which == which)
		s->pieces[s->n - 1].len += len;
	else
		s->pieces[s->n++] = (struct piece){which, len};
}

/* ---- start and wait --------------------------------------------------------------------------- */

/* With the box held. */
static int look(struct box_object *b, struct hutch_run *run, int ms, struct hutch_result *res, struct hutch_error *e)
{
	int r;

	BOX_BEGIN(b)
	r = b->box ? hutch_run_wait(run, ms, -1, res, e) : gone(e);
	BOX_END(b)
	return r;
}

static int events(struct box_object *b, struct hutch_run *run, struct hutch_error *e)
{
	int r;

	BOX_BEGIN(b)
	r = b->box ? hutch_run_fd(run, e) : gone(e);
	BOX_END(b)
	return r;
}

static void stop_run(struct box_object *b, struct hutch_run *run)
{
	struct hutch_error e;

	BOX_BEGIN(b)
	if (b->box)
		(void)hutch_run_stop(run, &e);
	BOX_END(b)
}

/* @seconds less than 0: for ever. @first: ms with the box held. Return: 1, 0, -1 with an exception. */
static int wait_for(struct box_object *b, struct hutch_run *run, double seconds, int first, struct hutch_result *res)
{
	double until = seconds < 0 ? -1 : clock_now() + seconds;
	struct hutch_error e;
	int fd, r = look(b, run, first, res, &e);

	while (r == 0) {
		double left = seconds < 0 ? -1 : until - clock_now();

		if (seconds >= 0 && left <= 0)
			return PyErr_CheckSignals() < 0 ? -1 : 0;
		r = fd = events(b, run, &e);
		if (r < 0)
			break;
		if (wait_turn(fd, left) < 0)
			return -1;
		r = look(b, run, 0, res, &e);
	}
	if (r < 0)
		raise_error(&e);
	return r;
}

/* Output, copied where it is small. */
struct copy {
	struct hutch_output o; /* its data is not valid any more */
	char small[4096];
};

static int fits(const struct copy *c)
{
	return c->o.len <= sizeof(c->small);
}

/* With the box held. */
static int copy_small(struct hutch_run *run, int which, struct copy *c, struct hutch_error *e)
{
	int r;

	c->o = (struct hutch_output){.size = sizeof(c->o)};
	r = hutch_run_output(run, which, &c->o, e);
	if (r == 0 && c->o.len && fits(c))
		memcpy(c->small, c->o.data, c->o.len);
	return r;
}

static PyObject *small_make(const struct copy *c)
{
	return output_make(PyBytes_FromStringAndSize(c->small, (Py_ssize_t)c->o.len), &c->o);
}

/* Nobody waits for the interpreter lock with the box held: so it is copied, a large one straight into Python's. */
static PyObject *bytes_of(struct box_object *b, struct hutch_run *run, int which)
{
	PyObject *bytes;
	struct hutch_output now = {.size = sizeof(now)};
	struct hutch_error e;
	struct copy c;
	char *to;
	int r;

	BOX_BEGIN(b)
	r = b->box ? copy_small(run, which, &c, &e) : gone(&e);
	BOX_END(b)
	if (r < 0)
		return raise_error(&e);
	if (fits(&c))
		return small_make(&c);
	bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)c.o.len);
	if (!bytes)
		return NULL;
	to = PyBytes_AsString(bytes);
	BOX_BEGIN(b)
	r = b->box ? hutch_run_output(run, which, &now, &e) : gone(&e);
	if (r == 0 && now.len <= c.o.len)
		memcpy(to, now.data, now.len);
	BOX_END(b)
	if (r < 0) {
		Py_DECREF(bytes);
		return raise_error(&e);
	}
	return output_make(bytes, &now);
}

/* Without the interpreter lock. */
static void free_run(struct box_object *b, struct hutch_run *run)
{
	PyThread_acquire_lock(b->lock, WAIT_LOCK);
	if (b->box)
		hutch_run_free(run);
	PyThread_release_lock(b->lock);
}

/* What most runs come to: it ends within a moment, and has written little. Then all is had, and @run freed, in one go.
 * Return: as hutch_run_wait(). */
static int run_at_once(struct box_object *b, const struct hutch_run_options *o, struct hutch_run **run,
		       struct hutch_result *res, struct copy out[2], struct hutch_error *e)
{
	int apart = (o->flags & HUTCH_RUN_APART) != 0, r;

	BOX_BEGIN(b)
	r = b->box ? hutch_run_start(b->box, o, run, e) : gone(e);
	if (r == 0)
		r = hutch_run_wait(*run, FIRST_MS, -1, res, e);
	if (r == 1 && copy_small(*run, 1, &out[0], e) == 0 && fits(&out[0]) &&
	    (!apart || (copy_small(*run, 2, &out[1], e) == 0 && fits(&out[1])))) {
		hutch_run_free(*run);
		*run = NULL;
	}
	BOX_END(b)
	return r;
}

static PyObject *run_whole(struct box_object *b, struct ask *a, int counted)
{
	struct hutch_result res = {.size = sizeof(res)};
	PyObject *out = NULL, *err = NULL, *ret = NULL;
	int r, apart = (a->o.flags & HUTCH_RUN_APART) != 0;
	struct hutch_run *run = NULL;
	double began = clock_now();
	struct copy small[2];
	struct hutch_error e;

	r = run_at_once(b, &a->o, &run, &res, small, &e);
	ask_done(a);
	if (r < 0)
		raise_error(&e);
	else if (r == 0)
		r = wait_for(b, run, -1, 0, &res);
	if (r < 0 && run) {
		PyObject *type, *value, *trace;

		PyErr_Fetch(&type, &value, &trace);
		stop_run(b, run);
		PyErr_Restore(type, value, trace);
	}
	if (r == 1 && (out = run ? bytes_of(b, run, 1) : small_make(&small[0])) &&
	    (!apart || (err = run ? bytes_of(b, run, 2) : small_make(&small[1]))))
		ret = run_result(&res, out, err ? err : Py_None, clock_now() - began, counted);
	if (run) {
		Py_BEGIN_ALLOW_THREADS
		free_run(b, run);
		Py_END_ALLOW_THREADS
	}
	Py_XDECREF(out);
	Py_XDECREF(err);
	return ret;
}

PyObject *box_run(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct ask a;
	int counted;

	return forked(b) || ask_get(args, &a, &counted) < 0 ? NULL : run_whole(b, &a, counted);
}

/* The same, of a text in a session and nothing else: what is called most often, and should cost least. */
PyObject *box_say(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct box_object *b = (struct box_object *)self;
	struct ask a;

	if (n != 2) {
		PyErr_SetString(PyExc_TypeError, "a text and a session are needed");
		return NULL;
	}
	memset(&a, 0, sizeof(a));
	a.o = (struct hutch_run_options){.size = sizeof(a.o), .cap = UINT64_MAX};
	if (forked(b) || text_get(args[0], &a.text) < 0 || text_plain(args[1], &a.session) < 0) {
		ask_done(&a);
		return NULL;
	}
	a.o.text = a.text.s;
	a.o.len = a.text.len;
	a.o.session = a.session.s;
	return run_whole(b, &a, 0);
}

PyObject *box_run_start(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct run_object *x;
	struct hutch_error e;
	struct ask a;
	int r, stream;

	if (forked(b) || ask_get(args, &a, &stream) < 0)
		return NULL;
	x = (struct run_object *)((allocfunc)PyType_GetSlot(run_type, Py_tp_alloc))(run_type, 0);
	if (!x) {
		ask_done(&a);
		return NULL;
	}
	x->streams = stream;
	if (stream) {
		a.o.on_output = on_output;
		a.o.arg = &x->stream;
	}
	BOX_BEGIN(b)
	r = b->box ? hutch_run_start(b->box, &a.o, &x->run, &e) : gone(&e);
	BOX_END(b)
	ask_done(&a);
	if (r < 0) {
		Py_DECREF((PyObject *)x);
		return raise_error(&e);
	}
	Py_INCREF(self);
	x->box = b;
	return (PyObject *)x;
}

/* ---- methods ---------------------------------------------------------------------------------- */

/* Of one that was freed. */
static int freed(const struct run_object *x)
{
	struct hutch_error e = {.code = HUTCH_E_STATE, .message = "the run was freed"};

	if (x->run)
		return forked(x->box);
	raise_error(&e);
	return 1;
}

static PyObject *fileno_of(PyObject *self, PyObject *none)
{
	struct run_object *x = (struct run_object *)self;
	struct hutch_error e;
	int r;

	(void)none;
	if (freed(x))
		return NULL;
	r = events(x->box, x->run, &e);
	return r < 0 ? raise_error(&e) : PyLong_FromLong(r);
}

/* wait(seconds or None) -> result or None */
static PyObject *wait_run(PyObject *self, PyObject *seconds)
{
	struct run_object *x = (struct run_object *)self;
	double s = seconds == Py_None ? -1 : PyFloat_AsDouble(seconds);
	int r = x->ended;

	if (PyErr_Occurred() || (!r && freed(x)))
		return NULL;
	if (!r) {
		x->result.size = sizeof(x->result);
		r = wait_for(x->box, x->run, s, s < 0 || s * 1000 > FIRST_MS ? FIRST_MS : (int)(s * 1000), &x->result);
	}
	if (r < 0)
		return NULL;
	x->ended = r;
	if (r)
		return result_make(&x->result);
	Py_RETURN_NONE;
}

static PyObject *output(PyObject *self, PyObject *args)
{
	struct run_object *x = (struct run_object *)self;
	int which;

	if (!PyArg_ParseTuple(args, "i", &which) || freed(x))
		return NULL;
	return bytes_of(x->box, x->run, which);
}

/* What came since the last call: [(which, bytes)]. */
static PyObject *chunks(PyObject *self, PyObject *none)
{
	struct run_object *x = (struct run_object *)self;
	struct stream s;
	PyObject *ret = PyList_New(0);
	size_t at = 0;

	(void)none;
	if (!ret || forked(x->box)) {
		Py_XDECREF(ret);
		return NULL;
	}
	BOX_BEGIN(x->box)
	s = x->stream;
	memset(&x->stream, 0, sizeof(x->stream));
	BOX_END(x->box)
	for (size_t i = 0; ret && i < s.n; at += s.pieces[i++].len) {
		PyObject *one = Py_BuildValue("(iy#)", s.pieces[i].which, s.data + at, (Py_ssize_t)s.pieces[i].len);

		if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	if (s.lost && ret) {
		Py_CLEAR(ret);
		PyErr_NoMemory();
	}
	free(s.data);
	free(s.pieces);
	return ret;
}

static PyObject *stop(PyObject *self, PyObject *none)
{
	struct run_object *x = (struct run_object *)self;

	(void)none;
	if (freed(x))
		return NULL;
	stop_run(x->box, x->run);
	Py_RETURN_NONE;
}

/* Whoever is in the middle of a wait for it must be done. */
static PyObject *free_it(PyObject *self, PyObject *none)
{
	struct run_object *x = (struct run_object *)self;
	struct hutch_run *run = x->run;

	(void)none;
	x->run = NULL;
	if (!run || x->box->owner != getpid())
		Py_RETURN_NONE;
	Py_BEGIN_ALLOW_THREADS
	free_run(x->box, run);
	Py_END_ALLOW_THREADS
	Py_RETURN_NONE;
}

static void run_dealloc(PyObject *self)
{
	struct run_object *x = (struct run_object *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (x->run && x->box && x->box->owner == getpid()) {
		Py_BEGIN_ALLOW_THREADS
		free_run(x->box, x->run);
		Py_END_ALLOW_THREADS
	}
	free(x->stream.data);
	free(x->stream.pieces);
	Py_XDECREF((PyObject *)x->box);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{"__reduce__", no_pickle, METH_NOARGS, "refuses"},
	{"fileno", fileno_of, METH_NOARGS, "fileno() -> int: readable when wait(0) may have something to do"},
	{"wait", wait_run, METH_O, "wait(seconds or None) -> result or None"},
	{"output", output, METH_VARARGS, "output(which) -> (bytes, total, cut_at)"},
	{"chunks", chunks, METH_NOARGS, "chunks() -> [(which, bytes)]"},
	{"stop", stop, METH_NOARGS, "stop()"},
	{"free", free_it, METH_NOARGS, "free()"},
	{NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_dealloc, run_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_doc, (void *)(uintptr_t)"Text or a command that runs."},
	{0, NULL},
};

static PyType_Spec spec = {"hutch._hutch.Run", sizeof(struct run_object), 0,
			   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

int run_setup(PyObject *module)
{
	run_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return run_type ? PyModule_AddObjectRef(module, "Run", (PyObject *)run_type) : -1;
}
