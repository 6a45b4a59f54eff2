/* SPDX-License-Identifier: MIT */
/*
 * The WSGI bridge from inside: what is there once per worker. Its requests are
 * kits (kit.h). Files of core/py alone see this; others see wsgi.h.
 */
#ifndef CG_PY_WSGI_BRIDGE_H
#define CG_PY_WSGI_BRIDGE_H

#include "core/py/runtime/ref.h"

#include "core/py/request/timeout.h"
#include "core/py/wsgi/environ.h"
#include "core/py/wsgi/kit.h"
#include "core/py/wsgi/wsgi.h"

enum { CG_KITS = 64 };

struct cg_wsgi {
    const struct cg_wsgi_options *o;
    int pid; /* this worker's */
    PyObject *app;
    PyObject *k_close; /* "close" */
    PyTypeObject *input_type, *reply_type, *file_type, *errors_type,
        *socket_type;
    struct cg_environ environ;
    struct cg_py_limits limits;
    bool python_access;           /* a Python logger has the access lines */
    struct cg_kit *kits[CG_KITS]; /* those that are not in use */
    int nkits;
};

#endif
