/* SPDX-License-Identifier: MIT */
/*
 * Kit: the objects that a request of WSGI has, made once and used again for the
 * next one as long as nobody else holds any of them. It is what the bridge
 * passes around of a request under way; ASGI borrows one for logs and hooks.
 */
#ifndef CG_PY_WSGI_KIT_H
#define CG_PY_WSGI_KIT_H

#include "core/py/runtime/ref.h"

#include "core/exchange/exchange.h"
#include "core/py/request/timeout.h"

struct cg_lane;
struct cg_wsgi;

struct cg_kit {
    struct cg_wsgi *wsgi;
#ifdef Py_GIL_DISABLED
    struct cg_lane *lane; /* of the thread that it was made in */
#endif
    struct cg_exchange *ex; /* NULL: it is not in use */
    /* InputObject, ReplyObject and its methods, SocketObject; owned */
    PyObject *input, *reply, *start_response, *write, *early_hints, *socket;
    bool handled;             /* nothing is to be answered or logged */
    struct cg_py_limit limit; /* while it runs, when there is one */
};

/* For ex, from now until it is given back, by the same thread. NULL with an
 * exception. */
struct cg_kit *cg_kit_take(struct cg_wsgi *w, struct cg_exchange *ex);
/* Before the exchange is given back: what the application has kept of it says
 * from now on that its request is over. */
void cg_kit_give(struct cg_kit *kit);
/* One that nobody uses. */
void cg_kit_free(struct cg_kit *kit);

#endif
