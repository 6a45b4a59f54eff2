/* SPDX-License-Identifier: MIT */
/*
 * Parts of a request as Python objects: what environ (WSGI), the scope (ASGI)
 * and `req` of the request hooks say of the same bytes, so that they say the
 * same. Bounds and rules are the reader's (core/http): nothing is judged here.
 */
#ifndef CG_PY_REQUEST_PARTS_H
#define CG_PY_REQUEST_PARTS_H

#include "core/exchange/exchange.h"
#include "core/py/runtime/ref.h"

/* A str with one character for each byte, as PEP 3333 wants them. */
static inline PyObject *
cg_part_latin1(struct cg_slice s)
{
    return PyUnicode_DecodeLatin1(s.p, (Py_ssize_t)s.n, NULL);
}

static inline PyObject *
cg_part_bytes(struct cg_slice s)
{
    return PyBytes_FromStringAndSize(s.p, (Py_ssize_t)s.n);
}

/* Whether the client speaks TLS: to us, or to a proxy that is trusted. */
static inline bool
cg_part_is_https(const struct cg_exchange *ex)
{
    return ex->req->scheme == CG_SCHEME_HTTPS ||
           (ex->req->scheme == CG_SCHEME_TRANSPORT && ex->secure);
}

/* As SERVER_PROTOCOL and the access log have it. */
static inline struct cg_slice
cg_part_protocol(const struct cg_exchange *ex)
{
    return ex->is_h2             ? CG_SLICE("HTTP/2.0")
           : ex->req->minor == 0 ? CG_SLICE("HTTP/1.0")
                                 : CG_SLICE("HTTP/1.1");
}

/* The path without its percent-encoding (RFC 3986, 2.1), appended to ret; what
 * is no valid triplet stays as it is. */
void cg_part_decode_path(struct cg_slice path, struct cg_buf *ret);

#endif
