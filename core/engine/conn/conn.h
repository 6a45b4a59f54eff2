/* SPDX-License-Identifier: MIT */
/*
 * The room of connections: they are accepted or adopted, read until a request
 * is there, refused, given away, and what they do after a reply.
 *
 * What always holds: everything here runs with the baton in LOOP; a connection
 * is in the event set exactly while `armed`, and leaves it before it is closed;
 * one in RUN is touched by nobody but its executor; bytes of a peer are bounded
 * before they are stored. Running a request and answering it is left to
 * exchange/, what follows from a step to the dispatcher, bytes to core/http.
 *
 * Connection: what the engine keeps of one client. Small while idle. `owner`
 * fields belong to the executor that runs the request while the state is RUN,
 * everything else (and they too in other states) to the holder of the baton.
 */
#ifndef CG_ENGINE_CONN_H
#define CG_ENGINE_CONN_H

#include <stddef.h>
#include <sys/socket.h>

#include "core/engine/conn/intake.h"
#include "core/engine/exchange/outbox.h"
#include "core/engine/loop/deadline.h"
#include "core/net/transport.h"

/* X-macro: states and their words. */
#define CG_CONN_STATES(X)                                                      \
    X(FRESH, "fresh")   /* accepted, no byte yet */                            \
    X(SHAKE, "shake")   /* a handshake comes first */                          \
    X(HEAD, "head")     /* a part of a head is there */                        \
    X(BODY, "body")     /* head complete, body under way */                    \
    X(READY, "ready")   /* in the ready queue */                               \
    X(RUN, "run")       /* in the application */                               \
    X(LENT, "lent")     /* there too, but the engine flushes meanwhile */      \
    X(FLUSH, "flush")   /* answered, bytes wait for the peer */                \
    X(IDLE, "idle")     /* between requests */                                 \
    X(SKIP, "skip")     /* answered, the rest of the body is read away */      \
    X(LINGER, "linger") /* refused: the rest of the input is read away */      \
    X(DEAD, "dead")
enum cg_conn_state {
#define X(id, word) CONN_##id,
    CG_CONN_STATES(X)
#undef X
};

struct cg_detached;
struct cg_engine;
struct cg_receipt;

struct cg_conn {
    struct cg_deadline deadline;
    struct cg_conn *qnext; /* ready queue, dead list, free list */
    uint8_t state;         /* enum cg_conn_state */
    uint8_t armed;         /* in the epoll set */
    uint16_t listener;
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

/* All of them. */
struct cg_conns {
    int n;
    struct cg_conn *dead;  /* freed when the harvest is used up */
    struct cg_conn *spare; /* slab */
};

/* With the baton. The transport moves in. */
struct cg_conn *cg_conn_new(struct cg_engine *e, struct cg_transport transport);
/* Who is at the other end of a connection that begins, and what it may say. */
void cg_conn_describe(const struct cg_engine *e, struct cg_conn *c,
                      const struct sockaddr_storage *sa);
void cg_conn_arm(struct cg_engine *e, struct cg_conn *c, unsigned interest);
void cg_conn_disarm(struct cg_engine *e, struct cg_conn *c);
/* It waits for its next request. */
void cg_conn_idle(struct cg_engine *e, struct cg_conn *c);
void cg_conn_close(struct cg_engine *e, struct cg_conn *c);
/* It lives on in another worker: everything of it here goes, unshut. */
void cg_conn_forget(struct cg_engine *e, struct cg_conn *c);
/* No event points to a closed one any more. */
void cg_conn_bury(struct cg_engine *e);
void cg_conn_drop_intake(struct cg_conn *c);
/* From here on, and until cg_conn_not_kept, nothing is lost if another process
 * goes on with it: see keeper.h. */
void cg_conn_kept(const struct cg_engine *e, const struct cg_conn *c);
void cg_conn_not_kept(const struct cg_engine *e, const struct cg_conn *c);
const char *cg_conn_state_word(enum cg_conn_state s);

/* Whose deadline it is. */
static inline struct cg_conn *
cg_conn_of(struct cg_deadline *d)
{
    return (struct cg_conn *)(void *)((char *)d -
                                      offsetof(struct cg_conn, deadline));
}

#endif
