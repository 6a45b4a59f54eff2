/* SPDX-License-Identifier: MIT */
/*
 * Lane: what of the bridge one thread at a time may touch: the templates and
 * last values of environ, and the kits that are not in use. With a GIL all
 * threads have the same one. Without, each has its own, so that no request
 * finds what another thread is about to change, and none waits for a lock.
 */
#ifndef CG_PY_WSGI_LANE_H
#define CG_PY_WSGI_LANE_H

#include "core/py/runtime/ref.h"

#include "core/py/wsgi/environ.h"

struct cg_kit;
struct cg_wsgi;

enum { CG_KITS = 64 };

struct cg_lane {
    struct cg_environ environ;
    struct cg_kit *kits[CG_KITS]; /* those that are not in use */
    int nkits;
#ifdef Py_GIL_DISABLED
    struct cg_lane *next; /* of the bridge's list */
    PyObject *app;        /* the application, as of app_age */
    uint32_t app_age;
#endif
};

/* 0 or -1 with an exception; release cleans up after both. */
int cg_lane_init(struct cg_wsgi *w, struct cg_lane *lane);
/* All of the bridge's. Nobody uses any of them. */
void cg_lanes_release(struct cg_wsgi *w);

#endif
