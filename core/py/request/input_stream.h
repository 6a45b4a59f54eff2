/* SPDX-License-Identifier: MIT */
/*
 * wsgi.input of a body that is still coming (request_buffering = False). Reads
 * wait for the client without the GIL, or in a parked greenlet. A body that
 * ends early, too slowly or against the rules raises, now and at every later
 * call: the end of the input is always the end of the body.
 */
#ifndef CG_PY_REQUEST_INPUT_STREAM_H
#define CG_PY_REQUEST_INPUT_STREAM_H

#include "core/py/request/input.h"

/* As read(size) and readline(max); new references, NULL with an exception. */
PyObject *cg_wsgi_stream_read(InputObject *in, uint64_t size);
PyObject *cg_wsgi_stream_line(InputObject *in, uint64_t max);
/* Ends reads of other threads, then forgets what was left. While in->ex is
 * set. */
void cg_wsgi_stream_release(InputObject *in);

#endif
