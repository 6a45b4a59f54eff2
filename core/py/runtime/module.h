/* SPDX-License-Identifier: MIT */
/*
 * The program as an extension module: `_cgunicorn` in an interpreter that
 * somebody else started and will end. interp.h holds for the rest.
 */
#ifndef CG_PY_MODULE_H
#define CG_PY_MODULE_H

#include "core/base/error.h"

/* Runs the program; `restart` is what a new one is started with, its first
 * word the interpreter. Both lists end with NULL and are the caller's.
 * `settings`: of a program that embeds the server, the callable that says how
 * it is configured; else NULL, and argv says it. GIL held, main thread. Returns
 * an exit status. */
typedef int cg_python_program(void *settings, int argc, char *const *argv,
                              char *const *restart);

/* What PyInit__cgunicorn returns: the module with functions main(argv, restart)
 * and serve(settings, restart), one of which runs `program`, once. And
 * install(): the embedded Python sources can be imported from then on. */
void *cg_python_module(cg_python_program *program);

/* What PyInit__cgunicorn_gil returns: the module whose import turns the GIL on,
 * where it may be off. */
void *cg_python_gil_module(void);

/* In the program, what cg_python_start and cg_python_finish do elsewhere.
 * `option` is --python's value or NULL; an error unless it means this
 * interpreter, as CGUNICORN_PYTHON. GIL held. */
int cg_python_adopt(const char *option, struct cg_error *err);
int cg_python_leave(void);

#endif
