/* SPDX-License-Identifier: MIT */
/*
 * wsgi.input: the whole body, in memory or in an unlinked file, read exactly as
 * PEP 3333 asks. Used after its request it raises: it never shows another
 * request's bytes. A body that is still coming is input_stream.h's.
 */
#ifndef CG_PY_REQUEST_INPUT_H
#define CG_PY_REQUEST_INPUT_H

#include "core/py/runtime/held.h"

#include "core/exchange/exchange.h"

struct cg_py_loop; /* core/py/loops/host_loop.h */

typedef struct {
    PyObject_HEAD struct cg_exchange *ex; /* NULL once the request is over */
    struct cg_py_loop *loop; /* where a wait lets others go on, or NULL */
    uint64_t pos;
    char *window; /* a part of a body that lies in a file, for readline */
    uint64_t window_at;
    size_t window_n;
    struct cg_buf buf; /* streaming: what came and was not read yet */
    size_t buf_at;     /* first byte of it */
    bool reading;      /* a thread waits for bytes, without the GIL */
    bool parked;       /* a greenlet does; its loop wakes it */
} InputObject;

extern PyType_Spec cg_wsgi_input_spec;

/* One object serves a request after the other: from its beginning, when nobody
 * else has it, … */
static inline void
cg_wsgi_input_begin(InputObject *in, struct cg_exchange *ex)
{
    in->ex = ex;
    in->pos = 0;
}

/* What was read of it goes; waits for threads that still read. It is held. */
void cg_wsgi_input_forget(InputObject *in);

/* … to its end. */
static inline void
cg_wsgi_input_end(InputObject *in)
{
    py_held(in);
    if (in->ex->streaming || in->window != NULL || in->reading) {
        cg_wsgi_input_forget(in);
    }
    in->ex = NULL;
}

#endif
