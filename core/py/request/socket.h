/* SPDX-License-Identifier: MIT */
/*
 * gunicorn.socket: the client's socket for applications that take it over. A
 * socket object is made when somebody looks at it, which most never do.
 */
#ifndef CG_PY_REQUEST_SOCKET_H
#define CG_PY_REQUEST_SOCKET_H

#include "core/py/runtime/ref.h"

#include <stdbool.h>

extern PyType_Spec cg_socket_spec;

/* reply: the ReplyObject whose client it is. */
PyObject *cg_socket_new(PyTypeObject *type, PyObject *reply);
/* Whether nobody looked at it yet. */
bool cg_socket_is_fresh(PyObject *socket);

#endif
