/* SPDX-License-Identifier: MIT */
/* Python threads whose body is a C function. */
#ifndef CG_PY_THREAD_H
#define CG_PY_THREAD_H

#include "core/base/error.h"

/*
 * Starts a threading.Thread of that name which calls body(arg) with the GIL
 * held and ends with it; joined at the interpreter's end. GIL held.
 *
 * -EINTR: a signal's handler raised something meanwhile, and body may run all
 * the same: arg has to stay. *ret_exit is the status then if it was sys.exit,
 * and is left alone otherwise; err says what it was.
 */
int cg_py_thread_start(const char *name, void (*body)(void *arg), void *arg,
                       int *ret_exit, struct cg_error *err);

#endif
