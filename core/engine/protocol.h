/* SPDX-License-Identifier: MIT */
/*
 * Protocol: what the bytes of a connection mean. HTTP/1 is the one that there
 * is; another one (HTTP/2), or what comes before one is chosen (a handshake),
 * is a table of its own beside it, and a connection may change `protocol` when
 * it learns more.
 *
 * What always holds: a protocol reads and writes through its connection's
 * transport, and makes streams (core/engine/exchange/stream.h) of what comes.
 * It never runs a request: a step says that one is there, or its stream goes
 * into the ready queue, and what follows is the dispatcher's to say. What
 * differs between ways to run requests is kind.h's.
 *
 * There is one entry for all events of a connection, since the event set does
 * not say more than that it is ready for what it waits for, and that the
 * protocol knows.
 */
#ifndef CG_ENGINE_PROTOCOL_H
#define CG_ENGINE_PROTOCOL_H

#include "core/engine/conn/conn.h"
#include "core/engine/loop/executor.h"

/* What a step of a connection came to. */
enum cg_step {
    CG_STEP_MORE,    /* it waits for its peer */
    CG_STEP_REQUEST, /* a request is there, as much of it as we wait for */
    CG_STEP_REFUSED, /* the peer got an error page; its connection ends */
    CG_STEP_CLOSE    /* there is nobody any more: to be closed */
};

/* A request that is there. When it came in pieces it is the stream's intake's;
 * else it lies in the thread's buffers or the connection's rest, until they are
 * used again. */
struct cg_arrival {
    const struct cg_request *req;
    const char *base; /* what req's offsets count from */
    struct cg_body body;
};

/* With the baton, all of them. */
struct cg_protocol {
    const char *name;
    /* The socket is ready for what the connection waits for, or it is new; *a
     * is filled with REQUEST, which is of c->stream. */
    enum cg_step (*on_event)(struct cg_executor *x, struct cg_conn *c,
                             struct cg_arrival *a);
    /* s was the first of the ready queue: the same without reading. */
    enum cg_step (*on_queued)(struct cg_executor *x, struct cg_stream *s,
                              struct cg_arrival *a);
    /* A deadline of s is over. Its connection may be gone afterwards. */
    void (*on_deadline)(struct cg_engine *e, struct cg_stream *s);
    /* The reply of s was handed over; its keep, broken and polite say how it
     * ends, and its outbox what the peer has not taken yet. Its connection may
     * be gone afterwards. */
    void (*on_answered)(struct cg_engine *e, struct cg_stream *s);
    /* Everything that there is of a connection goes, the transport aside. */
    void (*close)(struct cg_engine *e, struct cg_conn *c);
    /* One without a descriptor waits for what c->interest says; else NULL. */
    void (*on_armed)(struct cg_engine *e, struct cg_conn *c);
};

#endif
