/* SPDX-License-Identifier: MIT */
/*
 * Connection: what the engine keeps of one client. Small while idle. `owner`
 * fields belong to the executor that runs the request while the state is RUN,
 * everything else (and they too in other states) to the holder of the baton.
 */
#ifndef CG_ENGINE_CONN_H
#define CG_ENGINE_CONN_H

#include "core/engine/conn/intake.h"
#include "core/engine/exchange/outbox.h"
#include "core/net/transport.h"

/* X-macro: states and their words. */
#define CG_CONN_STATES(X)                                                      \
    X(FRESH, "fresh")   /* accepted, no byte yet */                            \
    X(HEAD, "head")     /* a part of a head is there */                        \
    X(BODY, "body")     /* head complete, body under way */                    \
    X(READY, "ready")   /* in the ready queue */                               \
    X(RUN, "run")       /* in the application */                               \
    X(LENT, "lent")     /* there too, but the engine flushes meanwhile */      \
    X(FLUSH, "flush")   /* answered, bytes wait for the peer */                \
    X(IDLE, "idle")     /* between requests */                                 \
    X(DRAIN, "drain")   /* answered, the rest of the body is read away */      \
    X(LINGER, "linger") /* refused: the rest of the input is read away */      \
    X(DEAD, "dead")
enum cg_conn_state {
#define X(id, word) CONN_##id,
    CG_CONN_STATES(X)
#undef X
};

/* The deadline lists; each has one length of time. */
enum cg_deadline_list {
    DEADLINE_FIRST,
    DEADLINE_HEAD,
    DEADLINE_BODY,
    DEADLINE_WRITE,
    DEADLINE_KEEP,
    DEADLINE_DRAIN,
    DEADLINE_LINGER,
    /* of calls, not of connections: see limit.c */
    DEADLINE_LIMIT,
    DEADLINE_RETRY,
    DEADLINE_GRACE,
    DEADLINE_LISTS,
    DEADLINE_CONN_LISTS = DEADLINE_LIMIT
};

struct cg_deadline {
    struct cg_deadline *next, *prev; /* NULL: in no list */
    uint64_t at;                     /* when it is over */
    uint64_t queued; /* what the list believes; corrected lazily */
    uint8_t list;
};

struct cg_detached;
struct cg_receipt;

struct cg_conn {
    struct cg_deadline deadline;
    struct cg_conn *qnext; /* ready queue, dead list, free list */
    uint8_t state;         /* enum cg_conn_state */
    uint8_t armed;         /* in the epoll set */
    uint8_t listener;
    uint16_t interest; /* CG_LOOP_READ and the like, when armed */
    bool preamble;     /* a PROXY preamble may come first */
    bool may_announce; /* and the peer is one that may send it */
    uint32_t requests;
    struct cg_transport transport;
    uint64_t ready_us;        /* when its request was complete */
    struct cg_detached *call; /* hosted engines, in RUN and LENT */

    /* owner fields */
    bool keep;          /* stays open after the response */
    bool broken;        /* close at once */
    bool polite;        /* the client may be sending more: linger at the end */
    bool taken;         /* the application may hold the socket too */
    uint32_t rest_at;   /* first unused byte of rest */
    struct cg_buf rest; /* bytes after the request: pipelining */
    struct cg_intake *intake; /* a request in pieces, or a queued one */
    struct cg_outbox outbox;
    struct cg_receipt *receipt; /* of a reply that is not out yet, or NULL */
    struct cg_peer peer;
};

#endif
