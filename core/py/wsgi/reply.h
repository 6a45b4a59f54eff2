/* SPDX-License-Identifier: MIT */
/*
 * Reply: start_response, write, and the items of the iterable on their way to
 * the exchange. Headers leave with the first body bytes, as PEP 3333 asks.
 *
 * What the application gives may run code of its own when it is looked at: it
 * calls back, or lets its request end meanwhile. So everything is taken out of
 * it first; then the exchange is looked at, and nothing runs from there to the
 * end of its use.
 */
#ifndef CG_PY_WSGI_REPLY_H
#define CG_PY_WSGI_REPLY_H

#include "core/py/runtime/ref.h"

#include "core/exchange/exchange.h"
#include "core/py/wsgi/wsgi.h"

typedef struct {
    PyObject_HEAD const struct cg_wsgi_options *o;
    struct cg_exchange *ex;     /* NULL once the request is over */
    PyObject *write;            /* weak: the kit's, valid while ex is set */
    struct cg_fields *trailers; /* to be sent behind the body, or NULL; owned */
    bool failed;                /* the peer is gone */
    bool enough;                /* no more bytes of the body are of use */
    bool draining; /* a thread waits for the reader, without the GIL */
    bool over;     /* the reply is: nobody writes any more */
} ReplyObject;

extern PyType_Spec cg_wsgi_reply_spec;

PyObject *cg_wsgi_reply_new(PyTypeObject *type,
                            const struct cg_wsgi_options *o);
/* What an application gets of it; new references, or NULL with an exception. */
enum cg_wsgi_reply_method {
    CG_REPLY_START_RESPONSE,
    CG_REPLY_WRITE,
    CG_REPLY_EARLY_HINTS,
    CG_REPLY_SEND_TRAILERS
};
PyObject *cg_wsgi_reply_method(PyObject *reply,
                               enum cg_wsgi_reply_method method);

/* Sends one item (bytes). last: nothing follows. -1 with an exception. */
int cg_wsgi_reply_item(ReplyObject *x, PyObject *item, bool last);
/* Ends the body, if that was not said yet. -1 with an exception. */
int cg_wsgi_reply_end(ReplyObject *x);
/* Trailers that were given are not sent any more. */
void cg_wsgi_reply_drop_trailers(ReplyObject *x);

/* The reply is held (held.h). A thread of the application's may wait for the
 * reader in the middle of a write: before anything else is done with the reply,
 * and before the exchange goes. Other Python may run meanwhile. */
void cg_wsgi_reply_wait_turn(ReplyObject *x);

static inline void
cg_wsgi_reply_turn(ReplyObject *x)
{
    if (__builtin_expect(x->draining, 0)) {
        cg_wsgi_reply_wait_turn(x);
    }
}

/* The latin-1 bytes of a str, borrowed from it. -1 with an exception that
 * begins with `what`. */
int cg_latin1_view(PyObject *o, const char *what, struct cg_slice *ret);

/* hints.c: wsgi.early_hints */
PyObject *cg_early_hints(PyObject *self, PyObject *headers);
/* and gunicorn.http2.send_trailers */
PyObject *cg_send_trailers(PyObject *self, PyObject *trailers);

#endif
