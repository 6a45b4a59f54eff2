/* SPDX-License-Identifier: MIT */
/*
 * gunicorn.socket: the client's socket for applications that take it over. A
 * socket object is made when somebody looks at it, which most never do.
 */
#ifndef CG_PY_REQUEST_SOCKET_H
#define CG_PY_REQUEST_SOCKET_H

#include "core/py/runtime/ref.h"

#include "core/exchange/exchange.h"

typedef struct {
    PyObject_HEAD struct cg_exchange *ex; /* NULL once the request is over */
    PyObject *real;                       /* NULL: nobody looked at it yet */
} SocketObject;

extern PyType_Spec cg_socket_spec;

#endif
