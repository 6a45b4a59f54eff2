/* SPDX-License-Identifier: MIT */
/* HTTP/1 as a protocol: what an event means in each state of its stream. */
#include "core/engine/http1/http1.h"

#include "core/engine/http1/ending.h"
#include "core/engine/http1/receive.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/state.h"

static enum cg_step
on_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    switch ((enum cg_stream_state)c->stream.state) {
    case STREAM_FRESH:
    case STREAM_HEAD:
    case STREAM_IDLE: return cg_receive(x, c, a);
    case STREAM_BODY: return cg_receive_body(x, c, a);
    case STREAM_FLUSH: cg_ending_flush(e, &c->stream); break;
    case STREAM_LENT: e->kind->lent_ready(e, &c->stream); break;
    case STREAM_SKIP: cg_skip(x, c); break;
    case STREAM_LINGER: cg_linger(x, c); break;
    case STREAM_READY:
    case STREAM_RUN: /* not ours now: silence it, it is armed again later */
        cg_conn_disarm(e, c);
        break;
    case STREAM_AWAY: /* another protocol's: loan.c */
    case STREAM_DEAD: break;
    }
    return CG_STEP_MORE;
}

static void
on_deadline(struct cg_engine *e, struct cg_stream *s)
{
    switch ((enum cg_stream_state)s->state) {
    case STREAM_HEAD:
        cg_refuse_status(e, s->conn, 408, "Request head timed out");
        break;
    case STREAM_BODY:
        cg_refuse_status(e, s->conn, 408, "Request body timed out");
        break;
    case STREAM_FRESH:
    case STREAM_IDLE:
    case STREAM_SKIP:
    case STREAM_LINGER: cg_conn_close(e, s->conn); break;
    case STREAM_FLUSH: cg_ending_look(e, s); break;
    case STREAM_LENT: e->kind->lent_expired(e, s); break;
    case STREAM_READY: /* gets a new deadline when it comes back */
    case STREAM_RUN:
    case STREAM_AWAY:
    case STREAM_DEAD: break;
    }
}

static void
close_stream(struct cg_engine *e, struct cg_conn *c)
{
    cg_stream_close(e, &c->stream);
}

const struct cg_protocol cg_http1 = {
    .name = "HTTP/1",
    .on_event = on_event,
    .on_queued = cg_receive_queued,
    .on_deadline = on_deadline,
    .on_answered = cg_ending_begin,
    .close = close_stream,
};
