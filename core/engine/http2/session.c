/* SPDX-License-Identifier: MIT */
#include "core/engine/http2/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/engine/http2/http2.h"
#include "core/engine/http2/internal.h"
#include "core/engine/state.h"
#include "core/http/h2/h2.h"

enum { READ_AWAY = 1 << 20 }; /* of a peer that was told to go */

static const struct cg_protocol protocol;

void
cg_h2_wants_pump(struct cg_engine *e, struct cg_h2_session *s)
{
    if (!s->waits) {
        s->waits = true;
        s->wait_next = e->http2.waiting;
        e->http2.waiting = s;
    }
}

bool
cg_h2_is_leaving(const struct cg_engine *e)
{
    return e->stop.begun ||
           atomic_load_explicit(&e->stop.wanted, memory_order_relaxed) ||
           atomic_load_explicit(&e->board->head->draining,
                                memory_order_relaxed) != 0 ||
           atomic_load_explicit(&e->requests, memory_order_relaxed) >=
               atomic_load_explicit(&e->request_limit, memory_order_relaxed);
}

/* ---- the connection's end ---- */

static void
tell_fault(struct cg_engine *e, const struct cg_h2_session *s)
{
    char text[200];
    snprintf(text, sizeof text, "HTTP/2: %s; the connection ends",
             cg_h2_fault(s->h2));
    cg_tell_refused(e, (struct cg_refused){.peer = &s->conn->peer,
                                           .message = cg_slice_of(text)});
}

void
cg_h2_die(struct cg_engine *e, struct cg_h2_session *s)
{
    if (s->dying) {
        return;
    }
    s->dying = true;
    cg_conn_disarm(e, s->conn);
    cg_transport_cut(&s->conn->transport);
    for (struct cg_h2_pipe *p = s->pipes; p != NULL; p = p->next) {
        cg_h2_pipe_break(p);
        cg_h2_pipe_ask(p);
    }
    cg_h2_wants_pump(e, s);
}

void
cg_h2_end_politely(struct cg_engine *e, struct cg_h2_session *s)
{
    struct cg_conn *c = s->conn;
    if (c->stream.state == STREAM_LINGER) {
        return;
    }
    cg_transport_end(&c->transport);
    c->rest_at = 0; /* counts what is read away */
    c->stream.state = STREAM_LINGER;
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_LINGER,
                    e->now_us);
    cg_conn_arm(e, c, CG_LOOP_READ);
}

static void
linger(struct cg_executor *x, struct cg_h2_session *s)
{
    struct cg_conn *c = s->conn;
    ssize_t n = cg_transport_receive(&c->transport, x->rbuf, sizeof x->rbuf);
    if (n > 0) {
        c->rest_at += (uint32_t)n;
    }
    if (n != -EAGAIN && (n <= 0 || c->rest_at >= READ_AWAY)) {
        cg_h2_die(x->engine, s);
    }
}

void
cg_h2_leave(struct cg_engine *e, struct cg_h2_session *s)
{
    if (!s->over) {
        s->over = true;
        cg_h2_terminate(s->h2, CG_H2_NO_ERROR);
        cg_h2_wants_pump(e, s);
    }
}

/* ---- a connection's events ---- */

void
cg_http2_feed(struct cg_engine *e, struct cg_conn *c, const char *p, size_t n)
{
    struct cg_h2_session *s = c->session;
    bool was_over = s->over;
    s->holds = false;
    if (cg_h2_feed(s->h2, p, n, e->now_us) < 0 && !was_over) {
        s->over = true;
        if (cg_h2_fault(s->h2) != NULL) {
            tell_fault(e, s);
        }
    }
    cg_h2_wants_pump(e, s);
}

static enum cg_step
on_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    struct cg_h2_session *s = c->session;
    if (s->dying) {
        return CG_STEP_MORE;
    }
    if (c->stream.state == STREAM_LINGER) {
        linger(x, s);
        return CG_STEP_MORE;
    }
    if (!cg_outbox_is_empty(&c->stream.outbox)) {
        cg_h2_wants_pump(e, s);
        if (cg_outbox_flush(&c->stream.outbox, &c->transport, &e->dropped) <
            0) {
            cg_h2_die(e, s);
            return CG_STEP_MORE;
        }
    }
    ssize_t n = cg_transport_receive(&c->transport, x->rbuf, sizeof x->rbuf);
    if (n > 0) {
        cg_http2_feed(e, c, x->rbuf, (size_t)n);
    } else if (n != -EAGAIN) {
        cg_h2_die(e, s);
    }
    return CG_STEP_MORE;
}

static enum cg_step
on_queued(struct cg_executor *x, struct cg_stream *s, struct cg_arrival *a)
{
    return CG_STEP_MORE; /* its stream has no requests */
}

/* Replies that are complete, and that the peer gives no room to. */
static void
cut_stalled(struct cg_engine *e, struct cg_h2_session *s)
{
    for (struct cg_h2_pipe *p = s->pipes; p != NULL; p = p->next) {
        if (p->conn == NULL && p->stream != NULL &&
            e->config->write_timeout_us != 0 &&
            e->now_us - p->moved_us >= e->config->write_timeout_us) {
            cg_h2_reset(p->stream, CG_H2_CANCEL);
            cg_h2_wants_pump(e, s);
        }
    }
}

static void
on_deadline(struct cg_engine *e, struct cg_stream *stream)
{
    struct cg_h2_session *s = stream->conn->session;
    switch ((enum cg_stream_state)stream->state) {
    case STREAM_FLUSH:
        cut_stalled(e, s);
        if (!cg_outbox_is_empty(&stream->outbox) &&
            cg_stream_stalls(e, stream) != 0) {
            cg_h2_die(e, s);
        } else if (!s->dying) {
            cg_stream_await_peer(e, stream);
        }
        break;
    case STREAM_LINGER: cg_h2_die(e, s); break;
    default: cg_h2_leave(e, s); break;
    }
}

/* Its streams that nobody runs go with it; those that run are alone. */
static void
drop_pipes(struct cg_engine *e, struct cg_h2_session *s)
{
    while (s->pipes != NULL) {
        struct cg_h2_pipe *p = s->pipes;
        cg_h2_unlink_pipe(p);
        p->stream = NULL;
        cg_h2_pipe_break(p);
        struct cg_conn *c = p->conn;
        if (c != NULL && c->stream.state != STREAM_RUN &&
            c->stream.state != STREAM_LENT) {
            cg_conn_close(e, c);
        }
        cg_h2_pipe_drop(p);
    }
}

static void
unlink_waiting(struct cg_engine *e, struct cg_h2_session *s)
{
    struct cg_h2_session **at = &e->http2.waiting;
    while (s->waits && *at != s) {
        at = &(*at)->wait_next;
    }
    if (s->waits) {
        *at = s->wait_next;
    }
}

static void
close_session(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_h2_session *s = c->session;
    drop_pipes(e, s);
    unlink_waiting(e, s);
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        e->http2.sessions = s->next;
    }
    cg_h2_free(s->h2);
    free(s);
    c->session = NULL;
    cg_stream_close(e, &c->stream);
}

static void
on_answered(struct cg_engine *e, struct cg_stream *s)
{
}

static const struct cg_protocol protocol = {
    .name = "HTTP/2",
    .on_event = on_event,
    .on_queued = on_queued,
    .on_deadline = on_deadline,
    .on_answered = on_answered,
    .close = close_session,
};

/* ---- begin and end ---- */

void
cg_http2_begin(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_h2_session *s = cg_calloc(1, sizeof *s);
    s->engine = e;
    s->conn = c;
    s->h2 = cg_h2_new(e->config->http2, &cg_h2_session_events, s);
    if (s->h2 == NULL) {
        cg_die("out of memory");
    }
    s->next = e->http2.sessions;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    e->http2.sessions = s;
    c->session = s;
    c->protocol = &protocol;
    c->transport.movable = false;
    c->stream.state = STREAM_FRESH;
    cg_h2_wants_pump(e, s);
}

void
cg_http2_begin_with(struct cg_engine *e, struct cg_conn *c,
                    const struct cg_h2_settings *settings, struct cg_slice text,
                    bool head_request)
{
    cg_http2_begin(e, c);
    struct cg_h2_session *s = c->session;
    if (cg_h2_upgrade(s->h2, settings->bytes, settings->n, text, head_request) <
        0) {
        cg_h2_terminate(s->h2, CG_H2_PROTOCOL_ERROR);
        s->over = true;
    }
    s->holds = true;
}

void
cg_http2_stop(struct cg_engine *e)
{
    for (struct cg_h2_session *s = e->http2.sessions; s != NULL; s = s->next) {
        if (!s->leaving && !s->over && !s->dying) {
            s->leaving = true;
            cg_h2_notify(s->h2);
            cg_h2_wants_pump(e, s);
        }
    }
}

void
cg_http2_init(struct cg_engine *e)
{
    pthread_mutex_init(&e->http2.lock, NULL);
    e->http2.last = &e->http2.first;
}

void
cg_http2_release(struct cg_engine *e)
{
    while (e->http2.sessions != NULL) {
        cg_conn_close(e, e->http2.sessions->conn);
    }
    while (e->http2.first != NULL) {
        cg_http2_next(e);
    }
    cg_h2_empty_pipes(e);
    pthread_mutex_destroy(&e->http2.lock);
    free(e->http2.gather);
}
