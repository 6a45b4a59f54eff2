/* SPDX-License-Identifier: MIT */
/*
 * Contexts of TLS as Python's ssl makes them: gunicorn's factory, the user's
 * hook ssl_context, and what has to be known to use them from outside. GIL
 * held.
 */
#ifndef CG_PY_TLS_H
#define CG_PY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/settings.h"
#include "core/base/error.h"

struct _object;

struct cg_py_site {
    void *context; /* SSL_CTX; borrowed from the Python object */
    int verify_mode;
    uint64_t options;
    int least_version;
    const char **names; /* NULL-terminated; empty: those of its certificate */
    char *source;
};

struct cg_py_tls {
    char *library; /* path of _ssl */
    struct cg_py_site *sites;
    int nsites;
    char *keylog; /* path, or "" */
    char *notice; /* what is to be warned of, or "" */
    uint8_t session[32];
    size_t session_n;
    struct _object *objects; /* the contexts, kept */
    struct _object *asks;    /* sni_callback, or NULL */
};

/* Runs factory and hook. 0 or a negative errno; err is one line. */
int cg_py_tls_new(const struct cg_settings *s, struct cg_py_tls **ret,
                  struct cg_error *err);
void cg_py_tls_free(struct cg_py_tls *t);
/* sni_callback of the first context: the SSL_CTX to go on with, which is kept
 * for as long as t; *ret_alert not 0: the client is refused. `self` is t. */
void *cg_py_tls_ask(void *self, const char *name, int *ret_alert);

#endif
