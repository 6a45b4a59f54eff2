/* SPDX-License-Identifier: MIT */
/*
 * environ (PEP 3333; gunicorn-compat 6.1): a copy of its listener's template,
 * with the request's own keys. Keys are made once, values are latin-1 strings.
 * One thread at a time: it is a part of a lane.
 */
#ifndef CG_PY_WSGI_ENVIRON_H
#define CG_PY_WSGI_ENVIRON_H

#include "core/py/runtime/ref.h"

#include "core/exchange/exchange.h"
#include "core/py/request/template.h"
#include "core/py/wsgi/wsgi.h"

struct cg_kit;

enum { CG_NAME_CACHE = 256 };

/* A field name that has no identity of its own, and its environ key. */
struct cg_cached_name {
    char *name; /* lower case as received; owned */
    size_t n;
    PyObject *key;
};

/* What environs of a listener are copied from: secure is of the last connection
 * with TLS, and without a dict before the first one. */
struct cg_environ_base {
    struct cg_template plain, secure;
    PyObject *protocol, *cipher; /* what secure says */
};

struct cg_environ {
    const struct cg_wsgi_options *o;
    struct cg_environ_base *base; /* one per listener */
    PyObject *field_key[CG_FIELD_COUNT];
    PyObject *last_value[CG_FIELD_COUNT]; /* of the last request */
    struct cg_cached_name names[CG_NAME_CACHE];
    PyObject *last_addr;
    /* interned keys and values */
    PyObject *k_method, *k_path, *k_query, *k_raw_uri, *k_protocol, *k_scheme,
        *k_input, *k_addr, *k_port, *k_script, *k_socket, *k_server_name,
        *k_server_port, *k_early_hints, *v_https, *v_http10, *k_https, *v_on,
        *v_http20, *k_http_version, *v_2, *k_h2_weight, *k_h2_depends,
        *k_h2_trailers, *k_tls_protocol, *k_tls_cipher, *k_request_id;
};

/* 0 or -1 with an exception; what was made is released in both cases by
 * release. file_type is wsgi.file_wrapper, errors wsgi.errors. */
int cg_environ_init(struct cg_environ *e, const struct cg_wsgi_options *o,
                    PyTypeObject *file_type, PyObject *errors);
void cg_environ_release(struct cg_environ *e);
/* A new dict for the kit's request, or NULL with an exception. */
PyObject *cg_environ_new(const struct cg_kit *kit);

#endif
