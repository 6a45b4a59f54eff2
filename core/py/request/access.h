/* SPDX-License-Identifier: MIT */
/*
 * What the bridge tells the logs of a request: its access line, which may wait
 * until the reply is out, and tracebacks. Through the native log, or the Python
 * logger that has taken it over.
 */
#ifndef CG_PY_REQUEST_ACCESS_H
#define CG_PY_REQUEST_ACCESS_H

#include "core/py/runtime/ref.h"

struct cg_kit;

/* environ may be NULL: there is none, or no atom asks for it. */
void cg_wsgi_log_access(const struct cg_kit *kit, PyObject *environ);
/* Logs the pending exception with its traceback and clears it. */
void cg_wsgi_log_exception(const struct cg_kit *kit, const char *what);

#endif
