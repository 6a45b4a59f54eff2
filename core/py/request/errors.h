/* SPDX-License-Identifier: MIT */
/*
 * wsgi.errors (PEP 3333): text straight to the error log, or to the Python
 * logger that has it. One object for all requests of a worker.
 */
#ifndef CG_PY_REQUEST_ERRORS_H
#define CG_PY_REQUEST_ERRORS_H

#include "core/py/runtime/ref.h"

#include "logging/log.h"

extern PyType_Spec cg_errors_spec;

/* log is borrowed and must outlive it. */
PyObject *cg_errors_new(PyTypeObject *type, struct cg_log *log);

#endif
