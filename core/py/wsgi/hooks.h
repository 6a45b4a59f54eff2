/* SPDX-License-Identifier: MIT */
/*
 * pre_request and post_request: the objects they get, and what they change.
 * Nothing of this runs when neither hook is set, but for req and resp of a
 * Python logger's access lines.
 */
#ifndef CG_PY_WSGI_HOOKS_H
#define CG_PY_WSGI_HOOKS_H

#include "core/py/runtime/ref.h"

struct cg_kit;

/* `req` and `resp` of the kit's request; new references, or NULL with an
 * exception. */
PyObject *cg_request_object(const struct cg_kit *kit);
PyObject *cg_response_object(const struct cg_kit *kit, PyObject *req);
/* 0 or -1 with an exception. */
int cg_call_pre_request(const struct cg_kit *kit, PyObject *req);
/* What it changed of req goes into environ. 0 or -1 with an exception. */
int cg_environ_follow(const struct cg_kit *kit, PyObject *environ,
                      PyObject *req);
/* Its exceptions are logged. environ may be NULL: there is none. */
void cg_call_post_request(const struct cg_kit *kit, PyObject *req,
                          PyObject *environ);

#endif
