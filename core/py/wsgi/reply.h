/* SPDX-License-Identifier: MIT */
/*
 * Reply: start_response, write, and the items of the iterable on their way to
 * the exchange. Headers leave with the first body bytes, as PEP 3333 asks.
 */
#ifndef CG_PY_WSGI_REPLY_H
#define CG_PY_WSGI_REPLY_H

#include "core/py/runtime/ref.h"

#include "core/exchange/exchange.h"
#include "core/py/wsgi/wsgi.h"

typedef struct {
    PyObject_HEAD const struct cg_wsgi_options *o;
    struct cg_exchange *ex; /* NULL once the request is over */
    PyObject *write;        /* weak: the kit's, valid while ex is set */
    bool failed;            /* the peer is gone */
    bool enough;            /* no more bytes of the body are of use */
} ReplyObject;

extern PyType_Spec cg_wsgi_reply_spec;

PyObject *cg_wsgi_reply_new(PyTypeObject *type,
                            const struct cg_wsgi_options *o);
/* What an application gets of it; new references, or NULL with an exception. */
enum cg_wsgi_reply_method {
    CG_REPLY_START_RESPONSE,
    CG_REPLY_WRITE,
    CG_REPLY_EARLY_HINTS
};
PyObject *cg_wsgi_reply_method(PyObject *reply,
                               enum cg_wsgi_reply_method method);

/* Sends one item (bytes). last: nothing follows. -1 with an exception. */
int cg_wsgi_reply_item(ReplyObject *x, PyObject *item, bool last);
/* Ends the body, if that was not said yet. -1 with an exception. */
int cg_wsgi_reply_end(ReplyObject *x);

/* The latin-1 bytes of a str, borrowed from it. -1 with an exception that
 * begins with `what`. */
int cg_latin1_view(PyObject *o, const char *what, struct cg_slice *ret);

/* hints.c: wsgi.early_hints */
PyObject *cg_early_hints(PyObject *self, PyObject *headers);

#endif
