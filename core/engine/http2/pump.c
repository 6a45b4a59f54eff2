/* SPDX-License-Identifier: MIT */
/*
 * Pump: what executors put into pipes goes through the sessions to the sockets,
 * all of a turn's answers with one send.
 */
#include "core/engine/http2/http2.h"

#include "core/base/memory.h"
#include "core/engine/http2/internal.h"
#include "core/engine/state.h"

enum {
    GATHER = 64 * 1024, /* what leaves with one send */
    FRAME = 17 * 1024,  /* room for the last frame of it */
    LATE_US = 1000,     /* answers of a long pass do not wait for its end */
};

/* Whose fault it is that a reply breaks off: of who took nothing of it for
 * write_timeout, or ours. */
static uint32_t
cut_code(const struct cg_engine *e, const struct cg_h2_pipe *p)
{
    uint64_t most = e->config->write_timeout_us;
    bool stalled = most != 0 && cg_h2_unsent(p->stream) > 0 &&
                   e->now_us - p->moved_us >= most;
    return stalled ? CG_H2_CANCEL : CG_H2_INTERNAL_ERROR;
}

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
        cg_h2_reset(p->stream, cut_code(e, p));
    } else if (p->stream != NULL && end) {
        cg_h2_end(p->stream);
    }
    if (p->session != NULL) {
        cg_h2_wants_pump(e, p->session);
    }
    size_t unsent = p->stream != NULL ? cg_h2_unsent(p->stream) : 0;
    pthread_mutex_lock(&e->http2.lock);
    p->unsent = unsent;
    cg_h2_pipe_count(p);
    if (p->out.p == NULL && out.cap <= CG_H2_PIPE_MAX && p->conn != NULL) {
        cg_buf_reset(&out);
        p->out = out;
    } else {
        cg_buf_release(&out);
    }
}

void
cg_h2_empty_pipes(struct cg_engine *e)
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
            cg_h2_settle(p);
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
        cg_h2_pipe_count(p);
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
    while (at < GATHER && !s->dry && (n = cg_h2_pull(s->h2, &p)) > 0) {
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
        cg_h2_end_politely(e, s);
        return;
    }
    if (s->n > 0 || flushes) {
        if (c->stream.state != STREAM_FLUSH) {
            c->stream.state = STREAM_FLUSH;
            cg_stream_await_peer(e, &c->stream);
        }
    } else if (cg_h2_is_leaving(e) && s->heads > 0) {
        cg_h2_leave(e, s);
    } else if (c->stream.state != STREAM_IDLE && s->heads > 0) {
        c->stream.state = STREAM_IDLE;
        cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_KEEP,
                        e->now_us);
    }
    cg_conn_arm(e, c, CG_LOOP_READ | (flushes ? CG_LOOP_WRITE : 0u));
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
pump_session(struct cg_engine *e, struct cg_h2_session *s)
{
    if (!s->dying && s->heads >= e->config->max_keepalive_requests &&
        !s->leaving) {
        s->leaving = true;
        cg_h2_goaway(s->h2);
    }
    size_t n = 1;
    s->dry = false;
    while (!s->dying && !s->holds && n > 0 &&
           cg_outbox_is_empty(&s->conn->stream.outbox)) {
        if (send_some(e, s, &n) < 0) {
            cg_h2_die(e, s);
        } else if (s->dry) {
            cg_h2_wants_pump(e, s);
            break;
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
    cg_h2_empty_pipes(e);
    /* those that want it again get it in the next pass */
    struct cg_h2_session *s, *list = h->waiting;
    h->waiting = NULL;
    while ((s = list) != NULL) {
        list = s->wait_next;
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
    /* one that waits for its dry stream waits for what comes next */
    bool owed = atomic_load_explicit(&e->http2.owes, memory_order_relaxed) ||
                (e->http2.waiting != NULL && !e->http2.waiting->dry);
    if (owed && e->now_us - last > LATE_US) {
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
