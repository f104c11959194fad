/* SPDX-License-Identifier: Apache-2.0
 *
 * ext.h - what the files of the extension _hutch share
 *
 * How it works: one Python type for each handle of hutch.h, with a method for each function. Handles hold those
 * they belong to. The interpreter lock is released around every call, and a box has a lock of its own, since a
 * box may be used by one thread at a time. After a fork handles say so and are not touched.
 */
#ifndef HUTCH_EXT_H
#define HUTCH_EXT_H

#define Py_LIMITED_API 0x030A0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "hutch.h"

struct home_object {
	PyObject ob_base;
	struct hutch *hutch;
};

struct box_object {
	PyObject ob_base;
	struct home_object *home;
	struct hutch_box *box; /* NULL: deleted or closed */
	PyThread_type_lock lock;
	int owner;    /* the process that made it */
	int detached; /* it outlives its handle */
};

/* Without the interpreter lock, with that of the box. */
#define BOX_BEGIN(b)                                                                                           \
	Py_BEGIN_ALLOW_THREADS PyThread_acquire_lock((b)->lock, WAIT_LOCK);
#define BOX_END(b)                                                                                             \
	PyThread_release_lock((b)->lock);                                                                      \
	Py_END_ALLOW_THREADS

extern PyTypeObject *home_type, *box_type, *run_type, *proc_type;

/* error.c */
int error_setup(PyObject *module);
PyObject *raise_error(const struct hutch_error *e); /* Return: NULL */
int gone(struct hutch_error *e);		    /* a handle whose box was deleted. Return: the code */
int forked(const struct box_object *b);		    /* then an exception is set */
PyObject *no_pickle(PyObject *self, PyObject *none); /* __reduce__() of every handle. Return: NULL */

/* text.c: Python's strings as C has them. Freed with the *_done() of the same name, also when they were not had. */
struct text {
	const char *s; /* NULL: None */
	size_t len;
	PyObject *held;
};
struct words {
	const char **v; /* NULL-terminated; NULL: None */
	size_t n;
	struct text *held;
};
int text_get(PyObject *o, struct text *t);   /* str, bytes or None; Return: 0, or -1 with an exception */
int text_plain(PyObject *o, struct text *t); /* the same, without a NUL in it */
int words_get(PyObject *o, struct words *w); /* a sequence of such, or None */
void text_done(struct text *t);
void words_done(struct words *w);
PyObject *text_make(const char *s);		       /* str; what is no UTF-8 by surrogateescape */

/* result.c */
PyObject *result_make(const struct hutch_result *r);			/* a tuple */
PyObject *output_make(PyObject *bytes, const struct hutch_output *o); /* likewise; takes @bytes, which may be NULL */
/* A RunResult. @out, @err: of output_make(), or None; @counted: the kernel has told what it took. */
PyObject *run_result(const struct hutch_result *r, PyObject *out, PyObject *err, double seconds, int counted);

/* one file each */
int home_setup(PyObject *module);
int box_setup(PyObject *module);
int result_setup(PyObject *module);
int run_setup(PyObject *module);
int proc_setup(PyObject *module);
int op_setup(PyObject *module);
PyObject *box_wrap(struct home_object *home, struct hutch_box *box, int detached);
PyObject *box_run_start(PyObject *self, PyObject *args);
PyObject *box_run(PyObject *self, PyObject *args);
PyObject *box_say(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *box_exec(PyObject *self, PyObject *args);
extern PyMethodDef snapshot_methods[], op_methods[], job_methods[], file_methods[]; /* of a box */

/* snapshot.c: what a fork was asked for, as long as Python's objects are held; the new ones, added to @list (NULL: ended), which is
 * returned, or NULL; a comparison as a list. */
struct fork_ask {
	struct text snapshot;
	struct words names;
	unsigned n, flags;
	int whole;
};
int fork_get(PyObject *args, struct fork_ask *a);
void fork_done(struct fork_ask *a);
PyObject *boxes_wrap(PyObject *list, struct home_object *home, struct hutch_box **boxes, size_t n, int detached);
PyObject *records_make(const char *records, size_t len);

/* Waits on @fd for at most @seconds (less than 0: for ever) without the interpreter lock, in short turns.
 * Return: 1 there is something, 0 not, -1 with an exception (a signal handler raised). */
int wait_turn(int fd, double seconds);
double clock_now(void);

#endif
