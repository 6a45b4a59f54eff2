/* SPDX-License-Identifier: MIT */
/*
 * TLS: the contexts that a server's certificates are in, and the kind of
 * transport that is made of them. Python's module ssl makes the contexts; here
 * they are used from outside of it, by OpenSSL's own functions.
 *
 * What always holds:
 * - A connection costs one recv and one send per request: OpenSSL reads from
 *   and writes to buffers of the thread, never a socket.
 * - No callback of Python's is left on a context: those that take our
 *   connections for Python's objects would crash. Their work is done here.
 * - A connection is locked in each of its calls: the executor that reads a body
 *   and the thread that sends blocks share it.
 */
#ifndef CG_NET_TLS_H
#define CG_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/base/error.h"
#include "core/net/tickets.h"
#include "core/net/transport.h"

struct cg_tls;

/* A context as Python's ssl has it: the pointer, and what it says of it. */
struct cg_tls_context {
    void *context; /* SSL_CTX; borrowed */
    int verify_mode;
    uint64_t options;
    int least_version; /* minimum_version, 0 when it is not to be checked */
    const char *const *names; /* that it is for; NULL-terminated, may be NULL:
                                 those of its certificate */
    const char *source;       /* for errors: "certfile 'a.pem'" */
};

/* Who is asked for another context (Python's sni_callback): the name that the
 * client wants (NULL: none) to an SSL_CTX, or NULL: the first one; *ret_alert
 * not 0: refused. Entered. */
struct cg_tls_asking {
    void *(*ask)(void *self, const char *name, int *ret_alert);
    void *self;
};

struct cg_tls_options {
    const struct cg_tls_context *contexts; /* the first one is the default */
    int ncontexts;
    const struct cg_ticket_board *tickets; /* NULL: OpenSSL's own keys */
    const uint8_t *session_context;        /* what resumed sessions share */
    size_t session_context_n;
    int keylog_fd; /* -1: none; SSLKEYLOGFILE; borrowed */
};

/* Checks that the contexts can be used from outside, and makes them ready.
 * After cg_openssl_load. */
int cg_tls_new(const struct cg_tls_options *o, struct cg_tls **ret,
               struct cg_error *err);
void cg_tls_free(struct cg_tls *t);
/* New connections get the contexts of `other`, which is freed. Any thread. */
void cg_tls_replace(struct cg_tls *t, struct cg_tls *other);
/* Before the first connection. */
void cg_tls_set_asking(struct cg_tls *t, const struct cg_tls_asking *asking);
/* From time to time, when somebody connects: whether one of those files is
 * another one than before; then `changed` is called, with the engine's baton:
 * it must not block. `files` is NULL-terminated and copied. */
void cg_tls_watch(struct cg_tls *t, const char *const *files,
                  void (*changed)(void *self), void *self);
/* Those listeners speak TLS; `secure` is copied. */
void cg_tls_set_listeners(struct cg_tls *t, const bool *secure, int n);
/* For cg_engine_config. */
const struct cg_transport_maker *cg_tls_maker(const struct cg_tls *t);

/* When the certificate of a context is over; 0: it has none. */
time_t cg_tls_expiry(void *context);

#endif
