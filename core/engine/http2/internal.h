/* SPDX-License-Identifier: MIT */
/* What the files of this room share. Nobody else includes this. */
#ifndef CG_ENGINE_HTTP2_INTERNAL_H
#define CG_ENGINE_HTTP2_INTERNAL_H

#include "core/engine/http2/pipe.h"
#include "core/engine/protocol.h"

struct cg_h2_session {
    struct cg_engine *engine;
    struct cg_conn *conn;
    struct cg_h2 *h2;
    struct cg_h2_session *next, *prev; /* of the engine */
    struct cg_h2_session *wait_next;
    struct cg_h2_pipe *pipes;
    int n;          /* pipes */
    uint32_t heads; /* requests so far */
    /* in a pump: one of its streams could have sent more, had it been there;
     * those behind it wait for the next pass (RFC 9218) */
    bool dry;
    /* after an upgrade, until the peer's first frames: curl has no room for
     * more than 32 KiB behind a 101 */
    bool holds;
    bool waits;   /* in the list of those with something to send */
    bool leaving; /* it is told so */
    bool over;    /* nothing more is read: what waits leaves, then it ends */
    bool dying;   /* the peer is gone: it ends with its last request */
};

/* session.c */
/* The pump is to look at it. */
void cg_h2_wants_pump(struct cg_engine *e, struct cg_h2_session *s);
/* Its worker takes no more requests. */
bool cg_h2_is_leaving(const struct cg_engine *e);
/* The peer is gone. Requests that run go on, for nobody. */
void cg_h2_die(struct cg_engine *e, struct cg_h2_session *s);
/* The peer may be sending: an abrupt close could take what we said from it. */
void cg_h2_end_politely(struct cg_engine *e, struct cg_h2_session *s);
/* Nothing more is served: what waits leaves, then it ends. */
void cg_h2_leave(struct cg_engine *e, struct cg_h2_session *s);

/* streams.c */
extern const struct cg_h2_events cg_h2_session_events;
void cg_h2_unlink_pipe(struct cg_h2_pipe *p);
/* One of its ends is gone: so is the pipe when the other one is, too. */
void cg_h2_settle(struct cg_h2_pipe *p);

/* pump.c */
/* What executors did goes into the sessions. */
void cg_h2_empty_pipes(struct cg_engine *e);

#endif
