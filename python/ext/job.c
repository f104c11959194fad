/* SPDX-License-Identifier: Apache-2.0
 *
 * job.c - methods of a box: jobs
 */
#include "ext.h"

#include <stdlib.h>
#include <string.h>

/* (id, running, pid, started_ms, ended_ms, written, kept, command, result or None) */
static PyObject *job_make(const struct hutch_job *j)
{
	PyObject *result = j->running ? Py_None : result_make(&j->result);

	if (result == Py_None)
		Py_INCREF(result);
	return result ? Py_BuildValue("(NOiLLKKNN)", text_make(j->id), j->running ? Py_True : Py_False, j->pid,
				      (long long)j->started_ms, (long long)j->ended_ms, (unsigned long long)j->written,
				      (unsigned long long)j->kept, text_make(j->command), result) :
			NULL;
}

/* A job and its output, of which a copy is made as long as the box is held: nobody waits for the interpreter lock
 * with the box held. */
struct both {
	struct hutch_job job;
	struct hutch_job_output out;
	char *copy;
};

static void both_init(struct both *x)
{
	*x = (struct both){.job = {.size = sizeof(x->job)}, .out = {.size = sizeof(x->out)}};
	x->job.result.size = sizeof(x->job.result);
}

/* Return: @r, or NOMEM. */
static int both_copy(struct both *x, int r, struct hutch_error *e)
{
	if (r < 0 || !x->out.len)
		return r;
	x->copy = malloc(x->out.len);
	if (!x->copy) {
		*e = (struct hutch_error){.code = HUTCH_E_NOMEM, .message = "out of memory"};
		return e->code;
	}
	memcpy(x->copy, x->out.data, x->out.len);
	return r;
}

/* (job, bytes, next, lost) */
static PyObject *both_make(struct both *x)
{
	PyObject *job = job_make(&x->job), *ret = NULL;

	if (job)
		ret = Py_BuildValue("(Ny#KK)", job, x->copy ? x->copy : "", (Py_ssize_t)(x->copy ? x->out.len : 0),
				    (unsigned long long)x->out.next, (unsigned long long)x->out.lost);
	free(x->copy);
	x->copy = NULL;
	return ret;
}

/* job_start(text, argv, flags, env, cwd, user, id, timeout_ms, keep) -> id */
static PyObject *job_start(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct text text = {NULL}, cwd = {NULL}, user = {NULL}, id = {NULL};
	PyObject *o_text, *o_argv, *o_env, *o_cwd, *o_user, *o_id;
	struct hutch_job_options o = {.size = sizeof(o)};
	struct words argv = {NULL}, env = {NULL};
	unsigned long long timeout, keep;
	char name[HUTCH_JOB_ID_SIZE];
	struct hutch_error e;
	int r, bad;

	if (!PyArg_ParseTuple(args, "OOIOOOOKK", &o_text, &o_argv, &o.flags, &o_env, &o_cwd, &o_user, &o_id, &timeout,
			      &keep) ||
	    forked(b))
		return NULL;
	bad = text_plain(o_text, &text) < 0 || words_get(o_argv, &argv) < 0 || words_get(o_env, &env) < 0 ||
	      text_plain(o_cwd, &cwd) < 0 || text_plain(o_user, &user) < 0 || text_plain(o_id, &id) < 0;
	o.text = text.s;
	o.len = text.len;
	o.argv = argv.v;
	o.env = env.v;
	o.cwd = cwd.s;
	o.user = user.s;
	o.id = id.s;
	o.timeout_ms = timeout;
	o.keep = keep;
	r = 0;
	if (!bad) {
		BOX_BEGIN(b)
		r = b->box ? hutch_job_start(b->box, &o, name, &e) : gone(&e);
		BOX_END(b)
	}
	text_done(&text);
	text_done(&cwd);
	text_done(&user);
	text_done(&id);
	words_done(&argv);
	words_done(&env);
	return bad ? NULL : r < 0 ? raise_error(&e) : text_make(name);
}

/* job_check(id, from) -> (job, bytes, next, lost) */
static PyObject *job_check(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct both x;
	unsigned long long from;
	struct hutch_error e;
	const char *id;
	int r;

	both_init(&x);
	if (!PyArg_ParseTuple(args, "sK", &id, &from) || forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = both_copy(&x, b->box ? hutch_job_check(b->box, id, from, &x.job, &x.out, &e) : gone(&e), &e);
	BOX_END(b)
	return r < 0 ? raise_error(&e) : both_make(&x);
}

#define TURN_S 0.02 /* another thread may take the word that this one waits for */

/* job_wait(id, from, seconds or None) -> (job, bytes, next, lost) or None */
static PyObject *job_wait(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct both x;
	unsigned long long from;
	double s, until;
	struct hutch_error e;
	PyObject *seconds;
	const char *id;
	int fd = -1, r = 0;

	both_init(&x);
	if (!PyArg_ParseTuple(args, "sKO", &id, &from, &seconds) || forked(b))
		return NULL;
	s = seconds == Py_None ? -1 : PyFloat_AsDouble(seconds);
	until = clock_now() + s;
	while (!r && !PyErr_Occurred()) {
		double left = s < 0 ? TURN_S : until - clock_now();

		BOX_BEGIN(b)
		r = b->box ? hutch_job_wait(b->box, id, from, 0, -1, &x.job, &x.out, &e) : gone(&e);
		if (r == 1)
			r = both_copy(&x, r, &e);
		fd = b->box ? hutch_box_fd(b->box) : -1;
		BOX_END(b)
		if (r || (s >= 0 && left <= 0) || wait_turn(fd, left < TURN_S ? left : TURN_S) < 0)
			break;
	}
	if (r < 0)
		return raise_error(&e);
	if (r)
		return both_make(&x);
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

/* job_list() -> [job] */
static PyObject *job_list(PyObject *self, PyObject *none)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_job *v = NULL;
	struct hutch_error e;
	PyObject *ret;
	size_t n = 0;
	int r;

	(void)none;
	if (forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_job_list(b->box, &v, &n, &e) : gone(&e);
	BOX_END(b)
	if (r < 0)
		return raise_error(&e);
	ret = PyList_New(0);
	for (size_t i = 0; ret && i < n; i++) {
		PyObject *one = job_make(&v[i]);

		if (!one || PyList_Append(ret, one) < 0)
			Py_CLEAR(ret);
		Py_XDECREF(one);
	}
	free(v);
	return ret;
}

/* job_signal(id, number) */
static PyObject *job_signal(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_error e;
	const char *id;
	int signal, r;

	if (!PyArg_ParseTuple(args, "si", &id, &signal) || forked(b))
		return NULL;
	BOX_BEGIN(b)
	r = b->box ? hutch_job_signal(b->box, id, signal, &e) : gone(&e);
	BOX_END(b)
	if (r < 0)
		return raise_error(&e);
	Py_RETURN_NONE;
}

/* job_stop(id, signal, grace_ms, from) -> (job, bytes, next, lost) */
static PyObject *job_stop(PyObject *self, PyObject *args)
{
	struct box_object *b = (struct box_object *)self;
	struct hutch_job_stop_options o = {.size = sizeof(o)};
	struct both x;
	unsigned long long grace, from;
	struct hutch_error e;
	const char *id;
	int r;

	both_init(&x);
	if (!PyArg_ParseTuple(args, "siKK", &id, &o.signal, &grace, &from) || forked(b))
		return NULL;
	o.grace_ms = grace;
	o.from = from;
	BOX_BEGIN(b)
	r = both_copy(&x, b->box ? hutch_job_stop(b->box, id, &o, &x.job, &x.out, &e) : gone(&e), &e);
	BOX_END(b)
	return r < 0 ? raise_error(&e) : both_make(&x);
}

PyMethodDef job_methods[] = {
	{"job_start", job_start, METH_VARARGS, "job_start(text, argv, flags, env, cwd, user, id, timeout_ms, keep) -> id"},
	{"job_check", job_check, METH_VARARGS, "job_check(id, from) -> (job, bytes, next, lost)"},
	{"job_wait", job_wait, METH_VARARGS, "job_wait(id, from, seconds or None) -> the same, or None"},
	{"job_list", job_list, METH_NOARGS, "job_list() -> [job]"},
	{"job_signal", job_signal, METH_VARARGS, "job_signal(id, number)"},
	{"job_stop", job_stop, METH_VARARGS, "job_stop(id, signal, grace_ms, from) -> (job, bytes, next, lost)"},
	{NULL, NULL, 0, NULL},
};
