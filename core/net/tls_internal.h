/* SPDX-License-Identifier: MIT */
/* What the files of TLS share. Nobody else includes this. */
#ifndef CG_NET_TLS_INTERNAL_H
#define CG_NET_TLS_INTERNAL_H

#include <pthread.h>

#include "core/net/openssl.h"
#include "core/net/tls.h"

struct cg_tls_site {
    struct ssl_ctx_st *context; /* owned */
    char **names;               /* owned; NULL: of its certificate */
};

struct cg_tls {
    struct cg_transport_maker maker; /* first */
    pthread_mutex_t lock;            /* of sites */
    struct cg_tls_site *sites;
    int nsites;
    bool *secure; /* by listener; NULL: all are */
    int nsecure;
    struct cg_tls_asking asking;
    struct cg_tls_files *files; /* that are watched, or NULL */
};

/* tls_files.c */
void cg_tls_look_at_files(struct cg_tls *t);
void cg_tls_forget_files(struct cg_tls *t);

/* A connection's SSL of the default context; NULL: no memory. */
struct ssl_st *cg_tls_open(struct cg_tls *t);
/* Whether who asked for the certificate of a name has one that is not for the
 * other name, and another one would be. */
bool cg_tls_is_elsewhere(struct cg_tls *t, const char *asked, const char *name);
/* tls.c: for client-hello callbacks; whether the name has been asked for. */
enum cg_tls_asked { CG_TLS_UNASKED, CG_TLS_WAITS, CG_TLS_ANSWERED };
struct cg_tls_question {
    enum cg_tls_asked state;
    struct cg_tls *tls;
    char *name; /* owned; NULL: none was sent, or it changes nothing */
    int alert;  /* the answer, when it is no */
};
extern int cg_tls_question_index; /* of it in an SSL's extra data */

/* tls_facts.c: what the handshake came to. */
void cg_tls_learn(struct ssl_st *ssl, struct cg_secure *facts);
void cg_tls_forget(struct cg_secure *facts);

/* tls_ticket.c */
void cg_tls_use_tickets(struct ssl_ctx_st *context,
                        const struct cg_ticket_board *board);

#endif
