/* SPDX-License-Identifier: MIT */
/*
 * Streams of a session: one that comes is a pipe and a connection of HTTP/1
 * without a descriptor at its other end.
 */
#include <stdio.h>

#include "core/engine/http1/http1.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/http2/http2.h"
#include "core/engine/http2/internal.h"
#include "core/engine/state.h"
#include "core/http/host.h"

static const struct cg_protocol stream_protocol;

/* ---- they come and go ---- */

static void
link_pipe(struct cg_h2_session *s, struct cg_h2_pipe *p)
{
    p->session = s;
    p->next = s->pipes;
    if (p->next != NULL) {
        p->next->prev = p;
    }
    s->pipes = p;
    s->n++;
}

void
cg_h2_unlink_pipe(struct cg_h2_pipe *p)
{
    struct cg_h2_session *s = p->session;
    if (p->next != NULL) {
        p->next->prev = p->prev;
    }
    if (p->prev != NULL) {
        p->prev->next = p->next;
    } else {
        s->pipes = p->next;
    }
    p->session = NULL;
    s->n--;
}

void
cg_h2_settle(struct cg_h2_pipe *p)
{
    if (p->conn == NULL && p->stream == NULL && p->session != NULL) {
        cg_h2_wants_pump(p->engine, p->session);
        cg_h2_unlink_pipe(p);
    }
    cg_h2_pipe_drop(p);
}

static void *
on_head(void *self, struct cg_h2_stream *stream, struct cg_slice text,
        bool ends)
{
    struct cg_h2_session *s = self;
    struct cg_conn *outer = s->conn;
    struct cg_h2_pipe *p = NULL;
    struct cg_engine *e = s->engine;
    if (s->over || s->dying) {
        return NULL;
    }
    p = cg_h2_pipe_new(e);
    p->state.secure = cg_transport_secure(&outer->transport);
    p->stream = stream;
    link_pipe(s, p);
    p->conn = cg_conn_new_inner(e, cg_transport_with(-1, &p->state), outer,
                                &stream_protocol);
    cg_h2_pipe_put(p, text.p, text.n, 0, ends);
    cg_conn_count(e, outer);
    s->heads++;
    outer->requests++;
    cg_h2_pipe_ask(p);
    return p;
}

static void
on_body(void *self, void *owner, const char *p, size_t n, bool chunked)
{
    struct cg_h2_pipe *pipe = owner;
    char size[24];
    if (chunked) {
        int k = snprintf(size, sizeof size, "%zx\r\n", n);
        cg_h2_pipe_put(pipe, size, (size_t)k, 0, false);
    }
    cg_h2_pipe_put(pipe, p, n, n, false);
    if (chunked) {
        cg_h2_pipe_put(pipe, "\r\n", 2, 0, false);
    }
    cg_h2_pipe_ask(pipe);
}

static void
on_end(void *self, void *owner, bool chunked, struct cg_slice trailers)
{
    struct cg_h2_pipe *p = owner;
    if (chunked) {
        cg_h2_pipe_put(p, "0\r\n", 3, 0, false);
        cg_h2_pipe_put(p, trailers.p, trailers.n, 0, false);
        cg_h2_pipe_put(p, "\r\n", 2, 0, false);
    }
    cg_h2_pipe_put(p, "", 0, 0, true);
    cg_h2_pipe_ask(p);
}

static void
on_moved(void *self, void *owner)
{
    struct cg_h2_pipe *p = owner;
    p->moved = true;
    p->moved_us = p->engine->now_us;
    if (p->session != NULL && p->session->n > 1 && p->stream != NULL &&
        cg_h2_is_dry(p->stream) && cg_h2_pipe_was_full(p)) {
        p->session->dry = true;
    }
}

static void
on_gone(void *self, void *owner, uint32_t code)
{
    struct cg_h2_pipe *p = owner;
    p->stream = NULL;
    if (code == CG_H2_NO_ERROR) {
        cg_h2_pipe_finish(p);
    } else {
        cg_h2_pipe_break(p);
    }
    cg_h2_pipe_ask(p);
    cg_h2_settle(p);
}

const struct cg_h2_events cg_h2_session_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_moved = on_moved,
    .on_gone = on_gone,
};

/* ---- a stream as a connection of HTTP/1 ---- */

/* How a body of unknown length is framed here is no word of the client's. */
static void
drop_framing(struct cg_arrival *a)
{
    cg_request_drop_coding((struct cg_request *)(uintptr_t)a->req);
}

/* A client may use a connection for all hosts of its certificate. Whoever asks
 * for one of another certificate comes again on a connection of its own; a
 * gateway that is trusted speaks for many (RFC 9110, 7.4). */
static bool
is_misdirected(const struct cg_conn *c, const struct cg_arrival *a)
{
    const struct cg_secure *secure = cg_transport_secure(&c->transport);
    const struct cg_field *f;
    struct cg_authority to;
    return secure != NULL && secure->misdirects != NULL && !c->peer.trusted &&
           (f = cg_request_field(a->req, CG_FIELD_HOST)) != NULL &&
           cg_authority_read((struct cg_slice){a->base + f->value, f->value_n},
                             &to) &&
           secure->misdirects(secure, to.host);
}

static enum cg_step
on_stream_request(struct cg_engine *e, struct cg_conn *c, struct cg_arrival *a)
{
    drop_framing(a);
    if (!is_misdirected(c, a)) {
        return CG_STEP_REQUEST;
    }
    ((struct cg_request *)(uintptr_t)a->req)->refusal = CG_REFUSE_MISDIRECTED;
    cg_refuse(e, c, a->req, a->base);
    return CG_STEP_REFUSED;
}

static enum cg_step
on_stream_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_h2_pipe *p = cg_h2_pipe_of(c);
    enum cg_step step = cg_http1.on_event(x, c, a);
    if (step == CG_STEP_REQUEST) {
        return on_stream_request(x->engine, c, a);
    }
    if (step == CG_STEP_MORE && p->conn == c) {
        cg_h2_pipe_ask(p);
    }
    return step;
}

static enum cg_step
on_stream_queued(struct cg_executor *x, struct cg_stream *s,
                 struct cg_arrival *a)
{
    cg_http2_pump_late(x->engine);
    if (cg_h2_pipe_is_gone(cg_h2_pipe_of(s->conn))) {
        s->broken = true;
        return CG_STEP_CLOSE; /* nobody waits for it any more */
    }
    enum cg_step step = cg_http1.on_queued(x, s, a);
    return step == CG_STEP_REQUEST ? on_stream_request(x->engine, s->conn, a)
                                   : step;
}

static void
on_stream_answered(struct cg_engine *e, struct cg_stream *s)
{
    s->keep = s->polite = false;
    cg_http1.on_answered(e, s);
}

static void
on_stream_armed(struct cg_engine *e, struct cg_conn *c)
{
    cg_h2_pipe_ask(cg_h2_pipe_of(c));
}

static void
on_stream_deadline(struct cg_engine *e, struct cg_stream *s)
{
    cg_http1.on_deadline(e, s);
}

static void
close_stream(struct cg_engine *e, struct cg_conn *c)
{
    cg_stream_close(e, &c->stream);
}

static const struct cg_protocol stream_protocol = {
    .name = "HTTP/2 stream",
    .on_event = on_stream_event,
    .on_queued = on_stream_queued,
    .on_deadline = on_stream_deadline,
    .on_answered = on_stream_answered,
    .close = close_stream,
    .on_armed = on_stream_armed,
};
