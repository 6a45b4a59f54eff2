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

/* What is sent of it; the descriptor is the file's own. */
struct cg_file_part {
    int fd;
    off_t at, n;
};

/* Whether the wrapper's file can be sent so. May run Python. */
bool cg_file_look(PyObject *wrapper, struct cg_file_part *ret);
/* It becomes the body. 1: it is on its way; 0: the reply is not at its
 * beginning, the file has to be iterated; a negative errno: nothing reaches the
 * peer any more. Runs no Python. */
int cg_file_send(struct cg_exchange *ex, const struct cg_file_part *part);

#endif
