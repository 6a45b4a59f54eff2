/* SPDX-License-Identifier: MIT */
/* Python threads whose body is a C function. */
#ifndef CG_PY_THREAD_H
#define CG_PY_THREAD_H

#include "core/base/error.h"

/* Starts a threading.Thread of that name which calls body(arg) with the GIL
 * held and ends with it; joined at the interpreter's end. GIL held. */
int cg_py_thread_start(const char *name, void (*body)(void *arg), void *arg,
                       struct cg_error *err);

#endif
