/* SPDX-License-Identifier: MIT */
/*
 * Stacks of a stuck worker. Python's own faulthandler writes them from a signal
 * handler in C: it needs neither the GIL nor memory, so it works while an
 * extension holds the GIL for good.
 */
#ifndef CG_PY_TRACE_H
#define CG_PY_TRACE_H

#include "core/base/error.h"

/*
 * In a worker, after its fork: `sig` makes it write the Python stacks of all
 * threads to fd, and so do SEGV, BUS, FPE and ILL before they kill it, unless
 * the application has faulthandler write them elsewhere. fd stays the
 * caller's and must stay open. GIL held.
 */
int cg_py_trace_start(int fd, int sig, struct cg_error *err);
/* `sig` makes the thread that it is sent to write its own stack to fd,
 * likewise.
 */
int cg_py_trace_thread(int fd, int sig, struct cg_error *err);

#endif
