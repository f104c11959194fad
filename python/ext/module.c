/* SPDX-License-Identifier: Apache-2.0
 *
 * module.c - the extension module hutch._hutch
 *
 * How it works: a thin layer over hutch.h, which is all it knows. What is pleasant is made of it in Python.
 */
#include "ext.h"

static const struct {
	const char *name;
	long value;
} numbers[] = {
	{"START_NOWAIT", HUTCH_START_NOWAIT},
	{"START_DETACHED", HUTCH_START_DETACHED},
	{"START_REMOVE", HUTCH_START_REMOVE},
	{"START_FOR_JOB", HUTCH_START_FOR_JOB},
	{"START_ONCE", HUTCH_START_ONCE},
	{"RESTORE_KEEP_PROCESSES", HUTCH_RESTORE_KEEP_PROCESSES},
	{"RUN_CLEAN", HUTCH_RUN_CLEAN},
	{"RUN_APART", HUTCH_RUN_APART},
	{"EXEC_TTY", HUTCH_EXEC_TTY},
	{"EXEC_MAIN", HUTCH_EXEC_MAIN},
	{"STDIO_NULL", HUTCH_STDIO_NULL},
	{"STDIO_FD", HUTCH_STDIO_FD},
	{"STDIO_PIPE", HUTCH_STDIO_PIPE},
	{"FILE_READ", HUTCH_FILE_READ},
	{"FILE_WRITE", HUTCH_FILE_WRITE},
	{"FILE_CREATE", HUTCH_FILE_CREATE},
	{"FILE_EXCL", HUTCH_FILE_EXCL},
	{"FILE_TRUNC", HUTCH_FILE_TRUNC},
	{"FILE_APPEND", HUTCH_FILE_APPEND},
	{"FILE_DIRECTORY", HUTCH_FILE_DIRECTORY},
	{"FILE_NOFOLLOW", HUTCH_FILE_NOFOLLOW},
	{"FILE_PARENTS", HUTCH_FILE_PARENTS},
	{"FILE_RECURSIVE", HUTCH_FILE_RECURSIVE},
	{"FILE_OWNER", HUTCH_FILE_OWNER},
	{"FILE_MODE", HUTCH_FILE_MODE},
	{"FILE_TIMES", HUTCH_FILE_TIMES},
	{"COPY_EXACT", HUTCH_COPY_EXACT},
	{"COPY_PARENTS", HUTCH_COPY_PARENTS},
	{"COPY_FOLLOW", HUTCH_COPY_FOLLOW},
	{"JOB_MAIN", HUTCH_JOB_MAIN},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, .m_name = "_hutch", .m_doc = "hutch.h for Python.", .m_size = -1,
};

PyMODINIT_FUNC PyInit__hutch(void);

PyMODINIT_FUNC PyInit__hutch(void)
{
	PyObject *module = PyModule_Create(&definition);
	int r = module ? 0 : -1;

	if (r == 0)
		r = PyModule_AddStringConstant(module, "VERSION", HUTCH_VERSION);
	for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(*numbers); i++)
		r = PyModule_AddIntConstant(module, numbers[i].name, numbers[i].value);
	if (r == 0 && home_setup(module) == 0 && box_setup(module) == 0 && result_setup(module) == 0 &&
	    run_setup(module) == 0 && proc_setup(module) == 0 && op_setup(module) == 0)
		return module;
	Py_XDECREF(module);
	return NULL;
}
