/* SPDX-License-Identifier: MIT */
/*
 * The room of connections: they are accepted or adopted, given away, closed
 * to make room for others.
 *
 * What always holds: everything here runs with the baton in LOOP; a connection
 * is in the event set exactly while `armed`, and leaves it before it is closed;
 * one in RUN is touched by nobody but its executor. What comes and goes on it
 * is left to its protocol, a request to exchange/, what follows to the
 * dispatcher.
 *
 * Connection: what the engine keeps of one client: a transport, who is at the
 * other end, what came of the next request, and the stream of this one. Small
 * while idle. `owner` fields belong to the executor that runs the request while
 * the stream is in RUN, everything else (and they too in other states) to the
 * holder of the baton.
 */
#ifndef CG_ENGINE_CONN_H
#define CG_ENGINE_CONN_H

#include <stddef.h>
#include <sys/socket.h>

#include "core/engine/exchange/stream.h"
#include "core/net/transport.h"

struct cg_engine;
struct cg_loan;
struct cg_protocol;

struct cg_conn {
    struct cg_stream stream; /* first: the one that every connection has */
    const struct cg_protocol *protocol; /* what its bytes mean */
    struct cg_conn *next;               /* dead list, free list */
    struct cg_transport transport;
    uint8_t armed; /* in the epoll set */
    uint16_t listener;
    uint16_t interest; /* CG_LOOP_READ and the like, when armed */
    bool preamble;     /* a PROXY preamble may come first, or a packet must */
    bool may_announce; /* and the peer is one that may send it */
    bool told_https;   /* the packet says so */
    bool counted;      /* a whole head has come, and no part of another */
    bool inner;        /* it is a part of another one, with no descriptor */
    bool is_h2;        /* its request came over HTTP/2 */
    uint32_t requests;
    union { /* which one its protocol says; else NULL */
        struct cg_h2_session *session; /* of HTTP/2 (http2.h) */
        struct cg_loan *loan; /* of a lent request (loan.h), at both ends */
    };

    /* owner fields */
    uint32_t rest_at;   /* first unused byte of rest */
    struct cg_buf rest; /* bytes after the request: pipelining (rest.h) */
    uint32_t rest_held; /* of them in the budget */
    bool rest_lost;     /* there was no room for them: it cannot go on */
    struct cg_peer peer;
};

/* All of them. */
struct cg_conns {
    int n;
    int counted;           /* those that have max_connections as their bound */
    struct cg_conn *dead;  /* freed when the harvest is used up */
    struct cg_conn *spare; /* slab */
};

/* With the baton. The transport moves in. */
struct cg_conn *cg_conn_new(struct cg_engine *e, struct cg_transport transport);
/* One that is a part of another connection: it counts as none. */
struct cg_conn *cg_conn_new_inner(struct cg_engine *e,
                                  struct cg_transport transport,
                                  const struct cg_conn *outer,
                                  const struct cg_protocol *protocol);
/* Who is at the other end of a connection that begins, and what it may say. */
void cg_conn_describe(const struct cg_engine *e, struct cg_conn *c,
                      const struct sockaddr_storage *sa);
void cg_conn_arm(struct cg_engine *e, struct cg_conn *c, unsigned interest);
void cg_conn_disarm(struct cg_engine *e, struct cg_conn *c);
/* It takes one of max_connections from here on; or no longer, since of its next
 * head a part has come. */
void cg_conn_count(struct cg_engine *e, struct cg_conn *c);
void cg_conn_discount(struct cg_engine *e, struct cg_conn *c);
/* It waits for its next request. */
void cg_conn_idle(struct cg_engine *e, struct cg_conn *c);
void cg_conn_close(struct cg_engine *e, struct cg_conn *c);
/* It lives on in another worker: everything of it here goes, unshut. */
void cg_conn_forget(struct cg_engine *e, struct cg_conn *c);
/* No event points to a closed one any more. */
void cg_conn_bury(struct cg_engine *e);
/* From here on, and until cg_conn_not_kept, nothing is lost if another process
 * goes on with it: see keeper.h. */
void cg_conn_kept(const struct cg_engine *e, const struct cg_conn *c);
void cg_conn_not_kept(const struct cg_engine *e, const struct cg_conn *c);

#endif
