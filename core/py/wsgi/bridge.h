/* SPDX-License-Identifier: MIT */
/*
 * The WSGI bridge from inside: what is there once per worker. Its requests are
 * kits (kit.h). Files of core/py alone see this; others see wsgi.h.
 */
#ifndef CG_PY_WSGI_BRIDGE_H
#define CG_PY_WSGI_BRIDGE_H

#include <stdatomic.h>

#include "core/py/runtime/ref.h"

#include "core/py/request/timeout.h"
#include "core/py/wsgi/kit.h"
#include "core/py/wsgi/lane.h"
#include "core/py/wsgi/wsgi.h"

struct cg_wsgi {
    const struct cg_wsgi_options *o;
    int pid; /* this worker's */
    PyObject *app;
#ifdef Py_GIL_DISABLED
    PyMutex app_lock;         /* of app, while it is taken or replaced */
    _Atomic uint32_t app_age; /* it was replaced so often */
    PyMutex lanes_lock;       /* of the ring below */
    struct cg_lane *lanes;    /* of other threads than the first */
    uint64_t serial;          /* no other bridge has it */
#endif
    PyObject *k_close; /* "close" */
    PyTypeObject *input_type, *reply_type, *file_type, *errors_type,
        *socket_type;
    struct cg_lane lane; /* of the thread that made the bridge, or of all */
    struct cg_py_limits limits;
    bool python_access; /* a Python logger has the access lines */
};

#ifdef Py_GIL_DISABLED
/* Of a bridge that is made: its own lane is the calling thread's. */
void cg_lane_adopt(struct cg_wsgi *w);
/* The calling thread's, made when it has none; NULL with an exception. */
struct cg_lane *cg_lane_here(struct cg_wsgi *w);
#endif

static inline struct cg_lane *
cg_lane_of(struct cg_wsgi *w)
{
#ifdef Py_GIL_DISABLED
    return cg_lane_here(w);
#else
    return &w->lane;
#endif
}

static inline struct cg_lane *
cg_kit_lane(const struct cg_kit *kit)
{
#ifdef Py_GIL_DISABLED
    return kit->lane;
#else
    return &kit->wsgi->lane;
#endif
}

#endif
