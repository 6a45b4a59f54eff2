/* SPDX-License-Identifier: MIT */
/*
 * Stream: the request half of a connection: what comes of a request, its call,
 * and what of its reply waits for the peer. A connection of HTTP/1 is one
 * stream after the other and has room for just one; a protocol with several at
 * once has more of them, beside the one inside the connection.
 *
 * What deals with one request takes a stream and asks the connection only for
 * who is at the other end. `owner` fields belong to the executor that runs the
 * request while the state is RUN, everything else (and they too in other
 * states) to the holder of the baton.
 */
#ifndef CG_ENGINE_STREAM_H
#define CG_ENGINE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine/exchange/intake.h"
#include "core/engine/loop/deadline.h"
#include "core/engine/outbox/outbox.h"
#include "core/net/transport.h"

/* X-macro: states and their words. */
#define CG_STREAM_STATES(X)                                                    \
    X(FRESH, "fresh")   /* accepted, no byte yet */                            \
    X(HEAD, "head")     /* a part of a head is there */                        \
    X(BODY, "body")     /* head complete, body under way */                    \
    X(READY, "ready")   /* in the ready queue */                               \
    X(RUN, "run")       /* in the application */                               \
    X(LENT, "lent")     /* there too, but the engine flushes meanwhile */      \
    X(AWAY, "away")     /* lent to a sibling, which answers */                 \
    X(FLUSH, "flush")   /* answered, bytes wait for the peer */                \
    X(IDLE, "idle")     /* between requests */                                 \
    X(SKIP, "skip")     /* answered, the rest of the body is read away */      \
    X(LINGER, "linger") /* refused: the rest of the input is read away */      \
    X(DEAD, "dead")
enum cg_stream_state {
#define X(id, word) STREAM_##id,
    CG_STREAM_STATES(X)
#undef X
};

struct cg_conn;
struct cg_detached;
struct cg_engine;
struct cg_receipt;

struct cg_stream {
    struct cg_deadline deadline;
    struct cg_stream *qnext, *qprev; /* ready queue */
    struct cg_conn *conn;            /* whose it is */
    /* What is under its outbox, and where the bytes of a streamed body come
     * from: the connection's own, where it has one stream. */
    struct cg_transport *transport;
    uint64_t ready_us;        /* when its request was complete */
    struct cg_detached *call; /* hosted engines, in RUN and LENT */
    uint8_t state;            /* enum cg_stream_state */
    bool exempt; /* in READY: it is served first, and never refused */

    /* owner fields */
    bool keep;   /* the connection stays open after the response */
    bool broken; /* close at once */
    bool polite; /* the client may be sending more: linger at the end */
    bool taken;  /* the application may hold the socket too */
    struct cg_intake *intake; /* a request in pieces, or a queued one */
    struct cg_outbox outbox;
    struct cg_receipt *receipt; /* of a reply that is not out yet, or NULL */
};

void cg_stream_drop_intake(struct cg_stream *s);
/* With the baton: everything of it goes, whatever waits for the peer. */
void cg_stream_close(struct cg_engine *e, struct cg_stream *s);
/* With the baton. The peer has something to take from here on: the deadline is
 * the next look at how it goes on. */
void cg_stream_await_peer(struct cg_engine *e, struct cg_stream *s);
/* For how long the peer has taken nothing, if that is too long; else 0. */
uint64_t cg_stream_stalls(struct cg_engine *e, struct cg_stream *s);
const char *cg_stream_state_word(enum cg_stream_state s);

/* Whose deadline it is. */
static inline struct cg_stream *
cg_stream_of(struct cg_deadline *d)
{
    return (struct cg_stream *)(void *)((char *)d -
                                        offsetof(struct cg_stream, deadline));
}

#endif
