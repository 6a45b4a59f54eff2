/* SPDX-License-Identifier: MIT */
/*
 * The Python logger: when a logger_class, a logconfig or the application's own
 * filters and handlers have a say in log lines, these go through `server.log`
 * (struct cg_log_route). While the engine serves, lines of C code wait for a
 * moment at which Python may run; the worker's wakeup descriptor asks for one.
 * A logger that raises costs no request: its line goes to the native log, and
 * the reason is told. GIL held everywhere but where `_nogil` says otherwise.
 */
#ifndef CG_PY_LOGGER_H
#define CG_PY_LOGGER_H

#include "core/py/runtime/ref.h"

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

/* After the server object was made or has new settings: its log is ours. */
int cg_py_logger_adopt(PyObject *server);
void cg_py_logger_drop(void);
/* Looks again whether anybody has a say; before serving. */
void cg_py_logger_settle(void);
/* Serving: lines of C code wait for cg_py_logger_flush. */
void cg_py_logger_defer(bool on);
/* Emits what waits. */
void cg_py_logger_flush(void);

/* Whether access lines, error lines, go through Python. */
bool cg_py_logger_takes_access(void);
bool cg_py_logger_takes_errors(void);
/* log.access(resp, req, environ, timedelta) */
void cg_py_logger_access(PyObject *resp, PyObject *req, PyObject *env,
                         uint64_t duration_us);
/* log.exception(fmt, a, b) with the pending exception, which stays. False
 * when the logger failed. */
bool cg_py_logger_exception(const char *fmt, PyObject *a, PyObject *b);
/* wsgi.errors. False when that failed. */
bool cg_py_logger_write_errors(PyObject *text);

#endif
