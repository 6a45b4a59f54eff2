/* SPDX-License-Identifier: MIT */
#include "core/engine/http1/ending.h"

#include <errno.h>

#include "core/engine/conn/rest.h"
#include "core/engine/loop/ready.h"
#include "core/engine/outbox/hoard.h"
#include "core/engine/outbox/receipt.h"
#include "core/engine/state.h"

/* ---- a refused peer ---- */

static void
linger_begin(struct cg_engine *e, struct cg_conn *c)
{
    cg_stream_drop_intake(&c->stream);
    cg_rest_release(e, c); /* rest_at counts what is read away from here on */
    cg_transport_end(&c->transport);
    c->stream.state = STREAM_LINGER;
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_LINGER,
                    e->now_us);
    cg_conn_arm(e, c, CG_LOOP_READ);
}

/* Reads away what a refused peer still sends; its deadline bounds the time, the
 * bytes are bounded here. */
void
cg_linger(struct cg_executor *x, struct cg_conn *c)
{
    enum { LIMIT = 64 * 1024 };
    ssize_t n = cg_transport_receive(&c->transport, x->rbuf, sizeof x->rbuf);
    if (n == -EAGAIN) {
        return;
    }
    if (n > 0) {
        c->rest_at += (uint32_t)n;
    }
    if (n <= 0 || c->rest_at >= LIMIT) {
        cg_conn_close(x->engine, c);
    }
}

/* ---- the rest of a body ---- */

static void
skip_begin(struct cg_engine *e, struct cg_conn *c)
{
    c->stream.state = STREAM_SKIP;
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_SKIP,
                    e->now_us);
    cg_conn_arm(e, c, CG_LOOP_READ);
}

static void go_on(struct cg_engine *e, struct cg_conn *c);

static void
skip(struct cg_engine *e, struct cg_conn *c, const char *p, size_t n)
{
    struct cg_intake *i = c->stream.intake;
    const struct cg_intake_policy policy =
        cg_intake_in_memory(&e->config->intake);
    size_t used = 0;
    enum cg_intake_status st =
        cg_intake_feed(i, &policy, c->peer.trusted, p, n, &used, NULL);
    cg_buf_reset(&i->body);
    i->skipped += (uint32_t)used;
    if (st == CG_INTAKE_COMPLETE) {
        cg_rest_put(e, c, p + used, n - used);
        cg_stream_drop_intake(&c->stream);
        c->stream.keep = c->stream.keep && !c->rest_lost;
        go_on(e, c);
    } else if (st != CG_INTAKE_MORE || i->skipped > CG_SKIP_MAX) {
        linger_begin(e, c);
    }
}

void
cg_skip(struct cg_executor *x, struct cg_conn *c)
{
    ssize_t n = cg_transport_receive(&c->transport, x->rbuf, sizeof x->rbuf);
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0) {
        cg_conn_close(x->engine, c);
        return;
    }
    skip(x->engine, c, x->rbuf, (size_t)n);
}

/* ---- the next request, or the end ---- */

static void
go_on(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_stream *s = &c->stream;
    if (__builtin_expect(s->receipt != NULL, 0)) {
        cg_receipt_end(e, s);
    }
    if (!s->keep) {
        /* a client that was promised no end may be writing: an abrupt close
         * could take the response's end from it (RFC 9112, 9.6) */
        if (s->polite) {
            linger_begin(e, c);
        } else {
            cg_conn_close(e, c);
        }
        return;
    }
    if (__builtin_expect(s->intake != NULL, 0)) {
        skip_begin(e, c);
        return;
    }
    if (__builtin_expect(c->rest.p != NULL, 0)) {
        if (c->rest_at < c->rest.n) {
            s->ready_us = e->now_us;
            cg_deadline_set(&e->deadlines, &s->deadline, DEADLINE_KEEP,
                            e->now_us);
            cg_ready_push(e, s);
            return;
        }
        cg_rest_release(e, c);
    }
    cg_conn_idle(e, c);
}

void
cg_ending_begin(struct cg_engine *e, struct cg_stream *s)
{
    CG_HAS_BATON(e);
    if (s->broken) {
        cg_conn_close(e, s->conn);
    } else if (!cg_outbox_is_empty(&s->outbox)) {
        s->state = STREAM_FLUSH;
        cg_stream_await_peer(e, s);
        cg_hoard_count(e, &s->outbox);
        cg_hoard_bound(e);
        cg_conn_arm(e, s->conn, CG_LOOP_WRITE);
    } else {
        go_on(e, s->conn);
    }
}

void
cg_ending_flush(struct cg_engine *e, struct cg_stream *s)
{
    int r = cg_outbox_flush(&s->outbox, s->transport, &e->dropped);
    cg_hoard_count(e, &s->outbox);
    CG_HAS_BATON(e);
    if (r < 0) {
        cg_conn_close(e, s->conn);
    } else if (r > 0) {
        go_on(e, s->conn);
    }
}

void
cg_ending_look(struct cg_engine *e, struct cg_stream *s)
{
    uint64_t stalled_us = cg_stream_stalls(e, s);
    if (stalled_us == 0) {
        cg_stream_await_peer(e, s);
        return;
    }
    cg_receipt_stalled(e, s, stalled_us);
    cg_conn_close(e, s->conn);
}
