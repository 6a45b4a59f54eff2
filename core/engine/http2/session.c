/* SPDX-License-Identifier: MIT */
#include "core/engine/http2/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/engine/http1/http1.h"
#include "core/engine/http2/pipe.h"
#include "core/engine/state.h"
#include "core/http/h2.h"

enum {
    GATHER = 64 * 1024,  /* what leaves with one send */
    FRAME = 17 * 1024,   /* room for the last frame of it */
    LATE_US = 1000,      /* answers of a long pass do not wait for its end */
    READ_AWAY = 1 << 20, /* of a peer that was told to go */
};

struct cg_h2_session {
    struct cg_engine *engine;
    struct cg_conn *conn;
    struct cg_h2 *h2;
    struct cg_h2_session *next, *prev; /* of the engine */
    struct cg_h2_session *wait_next;
    struct cg_h2_pipe *pipes;
    int n;          /* pipes */
    uint32_t heads; /* requests so far */
    bool waits;     /* in the list of those with something to send */
    bool leaving;   /* it is told so */
    bool over;      /* nothing more is read: what waits leaves, then it ends */
    bool dying;     /* the peer is gone: it ends with its last request */
};

static const struct cg_protocol protocol, stream_protocol;

static void
wants_pump(struct cg_engine *e, struct cg_h2_session *s)
{
    if (!s->waits) {
        s->waits = true;
        s->wait_next = e->http2.waiting;
        e->http2.waiting = s;
    }
}

/* ---- streams that come and go ---- */

static bool
is_leaving(const struct cg_engine *e)
{
    return e->stop.begun ||
           atomic_load_explicit(&e->stop.wanted, memory_order_relaxed) ||
           atomic_load_explicit(&e->board->head->draining,
                                memory_order_relaxed) != 0 ||
           atomic_load_explicit(&e->requests, memory_order_relaxed) >=
               atomic_load_explicit(&e->request_limit, memory_order_relaxed);
}

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

static void
unlink_pipe(struct cg_h2_pipe *p)
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

/* Both ends are done with it. */
static void
settle(struct cg_h2_pipe *p)
{
    if (p->conn == NULL && p->stream == NULL && p->session != NULL) {
        wants_pump(p->engine, p->session);
        unlink_pipe(p);
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
    settle(p);
}

static const struct cg_h2_events events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_moved = on_moved,
    .on_gone = on_gone,
};

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

/* The peer is gone. Requests that run go on, for nobody. */
static void
die(struct cg_engine *e, struct cg_h2_session *s)
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
    wants_pump(e, s);
}

/* The peer may be sending: an abrupt close could take what we said from it. */
static void
end_politely(struct cg_engine *e, struct cg_h2_session *s)
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
        die(x->engine, s);
    }
}

static bool
has_conns(const struct cg_h2_session *s)
{
    const struct cg_h2_pipe *p = s->pipes;
    while (p != NULL && p->conn == NULL) {
        p = p->next;
    }
    return p != NULL;
}

static void
leave(struct cg_engine *e, struct cg_h2_session *s)
{
    if (!s->over) {
        s->over = true;
        cg_h2_terminate(s->h2, CG_H2_NO_ERROR);
        wants_pump(e, s);
    }
}

/* ---- the pump ---- */

/* Out of the pipe, into the session. */
static void
move_out(struct cg_engine *e, struct cg_h2_pipe *p)
{
    struct cg_buf out = p->out;
    size_t credit = p->credit;
    bool end = p->out_end, cut = p->out_cut;
    p->out = (struct cg_buf){0};
    p->credit = 0;
    p->dirty = false;
    pthread_mutex_unlock(&e->http2.lock);
    if (p->stream != NULL && credit > 0) {
        cg_h2_consume(p->stream, credit);
    }
    if (p->stream != NULL && out.n > 0) {
        cg_h2_reply(p->stream, out.p, out.n);
    }
    if (p->stream != NULL && cut) {
        cg_h2_reset(p->stream, CG_H2_INTERNAL_ERROR);
    } else if (p->stream != NULL && end) {
        cg_h2_end(p->stream);
    }
    if (p->session != NULL) {
        wants_pump(e, p->session);
    }
    size_t unsent = p->stream != NULL ? cg_h2_unsent(p->stream) : 0;
    pthread_mutex_lock(&e->http2.lock);
    p->unsent = unsent;
    if (p->out.p == NULL && out.cap <= CG_H2_PIPE_MAX && p->conn != NULL) {
        cg_buf_reset(&out);
        p->out = out;
    } else {
        cg_buf_release(&out);
    }
}

static void
empty_pipes(struct cg_engine *e)
{
    struct cg_http2 *h = &e->http2;
    pthread_mutex_lock(&h->lock);
    atomic_store(&h->owes, false);
    while (h->dirty != NULL) {
        struct cg_h2_pipe *p = h->dirty;
        h->dirty = p->dirty_next;
        move_out(e, p);
        bool both = p->conn == NULL;
        if (both) {
            pthread_mutex_unlock(&h->lock);
            settle(p);
            pthread_mutex_lock(&h->lock);
        }
    }
    pthread_mutex_unlock(&h->lock);
}

/* Who waited for room in a pipe has it. */
static void
tell_moved(struct cg_engine *e, struct cg_h2_session *s)
{
    for (struct cg_h2_pipe *p = s->pipes; p != NULL; p = p->next) {
        if (!p->moved) {
            continue;
        }
        p->moved = false;
        pthread_mutex_lock(&e->http2.lock);
        bool stuck =
            p->full && p->conn != NULL && p->conn->stream.state == STREAM_RUN;
        p->unsent = p->stream != NULL ? cg_h2_unsent(p->stream) : 0;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&e->http2.lock);
        cg_h2_pipe_ask(p);
        if (stuck) {
            cg_cork_nudge(&e->cork);
        }
    }
}

/* 0, or negative: the peer is gone. */
static int
send_some(struct cg_engine *e, struct cg_h2_session *s, size_t *ret_n)
{
    const uint8_t *p;
    ssize_t n = 0;
    size_t at = 0;
    while (at < GATHER && (n = cg_h2_pull(s->h2, &p)) > 0) {
        if ((size_t)n > GATHER + FRAME - at) { /* a frame of its own */
            cg_outbox_put(&s->conn->stream.outbox, e->http2.gather, at);
            cg_outbox_put(&s->conn->stream.outbox, (const char *)p, (size_t)n);
            at = 0;
            break;
        }
        memcpy(e->http2.gather + at, p, (size_t)n);
        at += (size_t)n;
    }
    struct iovec part = {e->http2.gather, at};
    *ret_n = at;
    ssize_t sent = cg_outbox_send(&s->conn->stream.outbox, &s->conn->transport,
                                  &part, at > 0 ? 1 : 0, false, &e->dropped);
    if (sent < 0) {
        return (int)sent;
    }
    cg_outbox_put(&s->conn->stream.outbox, e->http2.gather + sent,
                  at - (size_t)sent);
    return n < 0 ? -EPIPE : 0;
}

/* What it waits for from here on, and how long. */
static void
rest(struct cg_engine *e, struct cg_h2_session *s)
{
    struct cg_conn *c = s->conn;
    bool flushes = !cg_outbox_is_empty(&c->stream.outbox);
    if (!flushes && (s->over || !cg_h2_is_alive(s->h2))) {
        end_politely(e, s);
        return;
    }
    if (s->n > 0 || flushes) {
        if (c->stream.state != STREAM_FLUSH) {
            c->stream.state = STREAM_FLUSH;
            cg_stream_await_peer(e, &c->stream);
        }
    } else if (is_leaving(e) && s->heads > 0) {
        leave(e, s);
    } else if (c->stream.state != STREAM_IDLE && s->heads > 0) {
        c->stream.state = STREAM_IDLE;
        cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_KEEP,
                        e->now_us);
    }
    cg_conn_arm(e, c, CG_LOOP_READ | (flushes ? CG_LOOP_WRITE : 0u));
}

static void
pump_session(struct cg_engine *e, struct cg_h2_session *s)
{
    if (!s->dying && s->heads >= e->config->max_keepalive_requests &&
        !s->leaving) {
        s->leaving = true;
        cg_h2_goaway(s->h2);
    }
    size_t n = 1;
    while (!s->dying && n > 0 && cg_outbox_is_empty(&s->conn->stream.outbox)) {
        if (send_some(e, s, &n) < 0) {
            die(e, s);
        }
    }
    tell_moved(e, s);
    if (!s->dying) {
        rest(e, s);
    } else if (!has_conns(s)) {
        cg_conn_close(e, s->conn);
    }
}

bool
cg_http2_pump(struct cg_engine *e)
{
    struct cg_http2 *h = &e->http2;
    CG_HAS_BATON(e);
    if (h->gather == NULL) {
        h->gather = cg_malloc(GATHER + FRAME);
    }
    h->pumped_us = e->now_us;
    empty_pipes(e);
    struct cg_h2_session *s;
    while ((s = h->waiting) != NULL) {
        h->waiting = s->wait_next;
        s->waits = false;
        pump_session(e, s);
    }
    return h->first != NULL;
}

void
cg_http2_pump_late(struct cg_engine *e)
{
    uint64_t last =
        e->http2.pumped_us > e->harvest.us ? e->http2.pumped_us : e->harvest.us;
    if (cg_http2_is_owed(e) && e->now_us - last > LATE_US) {
        cg_http2_pump(e);
    }
}

struct cg_conn *
cg_http2_next(struct cg_engine *e)
{
    struct cg_http2 *h = &e->http2;
    struct cg_h2_pipe *p = h->first;
    h->first = p->event_next;
    if (h->first == NULL) {
        h->last = &h->first;
    }
    p->asked = false;
    struct cg_conn *c = p->conn;
    if (c == NULL) {
        cg_h2_pipe_drop(p);
    }
    return c;
}

/* ---- a connection's events ---- */

void
cg_http2_feed(struct cg_engine *e, struct cg_conn *c, const char *p, size_t n)
{
    struct cg_h2_session *s = c->session;
    bool was_over = s->over;
    if (cg_h2_feed(s->h2, p, n, e->now_us) < 0 && !was_over) {
        s->over = true;
        if (cg_h2_fault(s->h2) != NULL) {
            tell_fault(e, s);
        }
    }
    wants_pump(e, s);
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
        wants_pump(e, s);
        if (cg_outbox_flush(&c->stream.outbox, &c->transport, &e->dropped) <
            0) {
            die(e, s);
            return CG_STEP_MORE;
        }
    }
    ssize_t n = cg_transport_receive(&c->transport, x->rbuf, sizeof x->rbuf);
    if (n > 0) {
        cg_http2_feed(e, c, x->rbuf, (size_t)n);
    } else if (n != -EAGAIN) {
        die(e, s);
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
            wants_pump(e, s);
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
            die(e, s);
        } else if (!s->dying) {
            cg_stream_await_peer(e, stream);
        }
        break;
    case STREAM_LINGER: die(e, s); break;
    default: leave(e, s); break;
    }
}

/* Its streams that nobody runs go with it; those that run are alone. */
static void
drop_pipes(struct cg_engine *e, struct cg_h2_session *s)
{
    while (s->pipes != NULL) {
        struct cg_h2_pipe *p = s->pipes;
        unlink_pipe(p);
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

/* ---- a stream as a connection of HTTP/1 ---- */

/* How a body of unknown length is framed here is no word of the client's. */
static void
drop_framing(struct cg_arrival *a)
{
    struct cg_request *r = (struct cg_request *)(uintptr_t)a->req;
    uint16_t to = 0;
    if (!r->chunked) {
        return;
    }
    for (uint16_t i = 0; i < r->nfields; i++) {
        if (r->fields[i].id != CG_FIELD_TRANSFER_ENCODING) {
            r->fields[to++] = r->fields[i];
        }
    }
    r->nfields = to;
    r->proven = 0;
}

static enum cg_step
on_stream_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_h2_pipe *p = cg_h2_pipe_of(c);
    enum cg_step step = cg_http1.on_event(x, c, a);
    if (step == CG_STEP_REQUEST) {
        drop_framing(a);
    } else if (step == CG_STEP_MORE && p->conn == c) {
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
    if (step == CG_STEP_REQUEST) {
        drop_framing(a);
    }
    return step;
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

/* ---- begin and end ---- */

void
cg_http2_begin(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_h2_session *s = cg_calloc(1, sizeof *s);
    s->engine = e;
    s->conn = c;
    s->h2 = cg_h2_new(e->config->http2, &events, s);
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
    wants_pump(e, s);
}

void
cg_http2_stop(struct cg_engine *e)
{
    for (struct cg_h2_session *s = e->http2.sessions; s != NULL; s = s->next) {
        if (!s->leaving && !s->over && !s->dying) {
            s->leaving = true;
            cg_h2_notify(s->h2);
            wants_pump(e, s);
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
    empty_pipes(e);
    pthread_mutex_destroy(&e->http2.lock);
    free(e->http2.gather);
}
