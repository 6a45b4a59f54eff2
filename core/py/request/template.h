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
/* A new dict, in which `key` is the id, which is ASCII and not empty; or NULL
 * with an exception. */
PyObject *cg_template_copy_named(struct cg_template *t, PyObject *key,
                                 struct cg_slice id);
/* The same where there may be none (n = 0); of one template all requests have
 * an id, or none. */
static inline PyObject *
cg_template_copy(struct cg_template *t, PyObject *key, struct cg_slice id)
{
    return id.n > 0 ? cg_template_copy_named(t, key, id) : PyDict_Copy(t->dict);
}

#endif
