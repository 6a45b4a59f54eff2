/* SPDX-License-Identifier: MIT */
/*
 * Receiving: bytes of a connection become complete requests. One that arrives
 * in one piece lies in the thread's read buffer; anything else goes through an
 * intake. What to do with a request is the dispatcher's to say.
 *
 * With the baton.
 */
#ifndef CG_ENGINE_RECEIVE_H
#define CG_ENGINE_RECEIVE_H

#include "core/engine/conn/conn.h"
#include "core/engine/loop/executor.h"

/* What a step of reading came to. */
enum cg_step {
    CG_STEP_MORE,    /* the connection waits for its peer */
    CG_STEP_REQUEST, /* a request is there, as much of it as we wait for */
    CG_STEP_REFUSED, /* the peer got an error page; its connection ends */
    CG_STEP_CLOSE    /* there is nobody any more: to be closed */
};

/* A request that is there. When it came in pieces it is c->intake's; else it
 * lies in the thread's buffers or c->rest, until they are used again. */
struct cg_arrival {
    const struct cg_request *req;
    const char *base; /* what req's offsets count from */
    struct cg_body body;
};

/* Reads what has come; *a is filled with REQUEST. */
enum cg_step cg_receive(struct cg_executor *x, struct cg_conn *c,
                        struct cg_arrival *a);
/* The same for one that was in the ready queue: no byte is read. */
enum cg_step cg_receive_queued(struct cg_executor *x, struct cg_conn *c,
                               struct cg_arrival *a);

#endif
