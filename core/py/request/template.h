/* SPDX-License-Identifier: MIT */
/*
 * Template: the dict that environ (WSGI) and scope (ASGI) begin as copies of,
 * which is cheaper than filling one: what all requests have in common is there,
 * and the request's id (request_id) is put in before the copy is made. Its
 * thread's, as what it is a part of.
 */
#ifndef CG_PY_REQUEST_TEMPLATE_H
#define CG_PY_REQUEST_TEMPLATE_H

#include "core/base/bytes.h"
#include "core/py/runtime/ref.h"

struct cg_template {
    PyObject *dict;
    PyObject *id; /* the str that dict has for the last request's, or NULL */
};

void cg_template_release(struct cg_template *t);
/* A new dict, in which `key` is the id if there is one (n > 0; ASCII); or NULL
 * with an exception. Of one template all requests have an id, or none. */
PyObject *cg_template_copy(struct cg_template *t, PyObject *key,
                           struct cg_slice id);

#endif
