/* SPDX-License-Identifier: MIT */
/*
 * wsgi.file_wrapper: files leave by sendfile where they can. That sends what
 * the descriptor has; read() may say something else (gzip, a subclass, a file
 * of /proc), and read() is right. So only Python's own types for plain files
 * are sent so, as they were made.
 */
#ifndef CG_PY_REQUEST_FILE_H
#define CG_PY_REQUEST_FILE_H

#include "core/py/runtime/ref.h"

#include "core/exchange/exchange.h"

extern PyType_Spec cg_file_spec;

/* The wrapper's file becomes the body. 1: it is on its way; 0: it has to be
 * iterated; a negative errno: nothing reaches the peer any more. */
int cg_file_send(struct cg_exchange *ex, PyObject *wrapper);

#endif
