/* SPDX-License-Identifier: MIT */
#include "core/engine/http1/receive.h"

#include <errno.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/conn/preamble.h"
#include "core/engine/conn/rest.h"
#include "core/engine/conn/room.h"
#include "core/engine/http1/body.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/state.h"

/* ---- what became of an intake ---- */

/* A part of 100 Continue may wait for its peer, too. */
static void
await_bytes(struct cg_engine *e, struct cg_conn *c)
{
    bool flushes = !cg_outbox_is_empty(&c->stream.outbox);
    cg_conn_arm(e, c, CG_LOOP_READ | (flushes ? CG_LOOP_WRITE : 0u));
}

static void
wait_for_body(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_intake *i = c->stream.intake;
    cg_send_continue(&c->stream, i, &e->dropped);
    if (i->since_us == 0) {
        i->since_us = e->now_us;
    }
    c->stream.state = STREAM_BODY;
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_BODY,
                    e->now_us);
}

/* Who sends parts of heads takes no place of who sends requests. */
static void
head_is_whole(struct cg_engine *e, struct cg_conn *c)
{
    if (__builtin_expect(!c->counted, 0)) {
        cg_conn_count(e, c);
        cg_room_bound(e);
    }
}

static void
wait_for_more(struct cg_engine *e, struct cg_conn *c)
{
    if (c->stream.intake->head_done) {
        wait_for_body(e, c);
    } else if (c->stream.state != STREAM_HEAD) {
        cg_conn_discount(e, c);
        c->stream.state =
            STREAM_HEAD; /* absolute: not prolonged by more bytes */
        cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_HEAD,
                        e->now_us);
    }
    await_bytes(e, c);
}

/* All of it is there, or as much as this server waits for. */
static enum cg_step
intake_is_ready(const struct cg_stream *s, struct cg_arrival *a)
{
    const struct cg_intake *i = s->intake;
    *a = (struct cg_arrival){
        .req = &i->req, .base = i->head.p, .body = cg_intake_body(i)};
    return CG_STEP_REQUEST;
}

static enum cg_step
on_intake_part(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    if (c->stream.intake->head_done && e->config->streaming) {
        c->stream.ready_us = c->stream.intake->since_us = e->now_us;
        return intake_is_ready(&c->stream, a);
    }
    wait_for_more(e, c);
    if (c->stream.state == STREAM_BODY &&
        cg_body_is_slow(e->config, c->stream.intake, e->now_us)) {
        cg_refuse_status(e, c, 408, "Request body comes too slowly");
        return CG_STEP_REFUSED;
    }
    return CG_STEP_MORE;
}

static enum cg_step
on_intake(struct cg_executor *x, struct cg_conn *c, enum cg_intake_status st,
          const struct cg_error *err, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    switch (st) {
    case CG_INTAKE_MORE: return on_intake_part(x, c, a);
    case CG_INTAKE_REFUSED:
        cg_refuse(e, c, &c->stream.intake->req, c->stream.intake->head.p);
        break;
    case CG_INTAKE_FAILED: cg_refuse_fault(e, c, err); break;
    case CG_INTAKE_COMPLETE:
        c->stream.ready_us = e->now_us;
        return intake_is_ready(&c->stream, a);
    }
    return CG_STEP_REFUSED;
}

static enum cg_step
feed_intake(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
            struct cg_arrival *a)
{
    struct cg_error err = {0};
    size_t used = 0;
    enum cg_intake_status st =
        cg_intake_feed(c->stream.intake, &x->engine->config->intake,
                       c->peer.trusted, p, n, &used, &err);
    if (c->stream.intake->head_done) {
        head_is_whole(x->engine, c);
    }
    if (st == CG_INTAKE_COMPLETE && used < n) {
        cg_rest_put(x->engine, c, p + used, n - used);
    }
    return on_intake(x, c, st, &err, a);
}

/* ---- a request's first bytes ---- */

/* The body that lies behind the head in p[0..n), or false when it is not all
 * there (or must be decoded). */
static bool
has_whole_body(const struct cg_request *r, size_t n, struct cg_slice *body,
               const char *p)
{
    if (r->chunked) {
        return false;
    }
    size_t there = n - r->head_n;
    if (r->has_length && r->content_length > there) {
        return false;
    }
    *body = (struct cg_slice){p + r->head_n,
                              r->has_length ? (size_t)r->content_length : 0};
    return true;
}

static enum cg_step
start_intake(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
             bool head_done, struct cg_arrival *a)
{
    c->stream.intake = cg_intake_new();
    if (!head_done) {
        struct cg_error err = {0};
        cg_intake_take_part(c->stream.intake, &x->req, p, n);
        if (cg_intake_charge(c->stream.intake, &x->engine->config->intake,
                             &err) < 0) {
            cg_refuse_fault(x->engine, c, &err);
            return CG_STEP_REFUSED;
        }
        wait_for_more(x->engine, c);
        return CG_STEP_MORE;
    }
    size_t head_n = x->req.head_n;
    cg_intake_take_head(c->stream.intake, &x->req, p);
    return feed_intake(x, c, p + head_n, n - head_n, a);
}

/* The intake may put what follows into c->rest, where p lies. */
static enum cg_step
start_intake_from_rest(struct cg_executor *x, struct cg_conn *c, const char *p,
                       size_t n, bool head_done, struct cg_arrival *a)
{
    struct cg_buf moved = cg_rest_take(x->engine, c);
    enum cg_step step = start_intake(x, c, p, n, head_done, a);
    cg_buf_release(&moved);
    return step;
}

/* p[0..n) begins a request; `rest`: it lies in c->rest and stays there. */
static enum cg_step
feed_fresh(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
           bool rest, struct cg_arrival *a)
{
    cg_request_reset(&x->req);
    enum cg_head_status st =
        cg_head_read_with(&x->req, &x->memo, x->engine->config->intake.head,
                          c->peer.trusted, p, n);
    struct cg_slice body;
    if (st == CG_HEAD_DONE) {
        head_is_whole(x->engine, c);
        if (__builtin_expect(c->told_https, 0)) {
            x->req.scheme = CG_SCHEME_HTTPS;
        }
    }
    if (st == CG_HEAD_DONE) {
        x->req.refusal = cg_intake_too_large(&x->engine->config->intake,
                                             x->req.content_length);
        st = x->req.refusal != CG_REFUSE_NONE ? CG_HEAD_REFUSED : st;
    }
    if (st == CG_HEAD_REFUSED) {
        cg_refuse(x->engine, c, &x->req, p);
        return CG_STEP_REFUSED;
    }
    if (st == CG_HEAD_MORE || !has_whole_body(&x->req, n, &body, p)) {
        return rest ? start_intake_from_rest(x, c, p, n, st == CG_HEAD_DONE, a)
                    : start_intake(x, c, p, n, st == CG_HEAD_DONE, a);
    }
    size_t used = x->req.head_n + body.n;
    if (rest) {
        c->rest_at += (uint32_t)used;
    } else if (used < n) {
        cg_rest_put(x->engine, c, p + used, n - used);
    }
    if (c->stream.state != STREAM_READY) {
        c->stream.ready_us = x->engine->now_us;
    }
    a->req = &x->req;
    a->base = p;
    a->body = (struct cg_body){.p = body.p, .n = body.n, .fd = -1};
    return CG_STEP_REQUEST;
}

static enum cg_step
feed_rest(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    return feed_fresh(x, c, c->rest.p + c->rest_at, c->rest.n - c->rest_at,
                      true, a);
}

enum cg_step
cg_receive_queued(struct cg_executor *x, struct cg_stream *s,
                  struct cg_arrival *a)
{
    CG_HAS_BATON(x->engine);
    return s->intake != NULL ? intake_is_ready(s, a) : feed_rest(x, s->conn, a);
}

/* Bytes of a connection that may begin with a preamble. */
static enum cg_step
feed_first(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
           struct cg_arrival *a)
{
    size_t used = 0;
    switch (cg_preamble_feed(x, c, p, n, &used)) {
    case CG_PROXY_MORE: return CG_STEP_MORE;
    case CG_PROXY_REFUSED: return CG_STEP_REFUSED;
    case CG_PROXY_NONE:
    case CG_PROXY_DONE: break;
    }
    if (c->rest.n > 0) {
        return feed_rest(x, c, a);
    }
    return used < n ? feed_fresh(x, c, p + used, n - used, false, a)
                    : CG_STEP_MORE;
}

/* ---- reading the socket ---- */

static enum cg_step
on_no_bytes(struct cg_executor *x, struct cg_conn *c, ssize_t n)
{
    struct cg_engine *e = x->engine;
    if (n == -EAGAIN) {
        if (c->stream.state == STREAM_IDLE || c->stream.state == STREAM_FRESH) {
            cg_conn_kept(e, c);
        }
        if (!c->armed) {
            cg_conn_arm(e, c, CG_LOOP_READ);
            cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_FIRST,
                            e->now_us);
        }
        return CG_STEP_MORE;
    }
    if (c->stream.state ==
        STREAM_BODY) { /* gone, or it hears the answer still */
        cg_refuse_status(e, c, 400, "Request body ended early");
        return CG_STEP_REFUSED;
    }
    return CG_STEP_CLOSE;
}

/* One look; *ret_n is how many bytes came, *room how many had been welcome. */
static enum cg_step
receive_once(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a,
             size_t *ret_n, size_t *room)
{
    char *p =
        c->stream.intake != NULL && cg_transport_is_plain(&c->transport)
            ? cg_intake_room(c->stream.intake, &x->engine->config->intake, room)
            : NULL;
    bool direct = p != NULL;
    if (!direct) {
        p = x->rbuf;
        *room = sizeof x->rbuf;
    }
    cg_conn_not_kept(x->engine, c);
    ssize_t n = cg_transport_receive(&c->transport, p, *room);
    *ret_n = n > 0 ? (size_t)n : 0;
    if (n <= 0) {
        return on_no_bytes(x, c, n);
    }
    if (direct) {
        return on_intake(x, c, cg_intake_filled(c->stream.intake, (size_t)n),
                         NULL, a);
    }
    if (c->stream.intake != NULL) {
        return feed_intake(x, c, p, (size_t)n, a);
    }
    if (__builtin_expect(c->preamble, 0)) {
        return feed_first(x, c, p, (size_t)n, a);
    }
    return feed_fresh(x, c, p, (size_t)n, false, a);
}

/* Bytes of a body before others have their turn: decoding takes longer. */
static size_t
share_of(const struct cg_intake *i)
{
    enum { PLAIN = 1024 * 1024, DECODED = 256 * 1024 };
    return i->req.chunked ? DECODED : PLAIN;
}

/* A body that filled its room goes on at once: what else has come is most often
 * its end, and a body held meanwhile is memory held. */
enum cg_step
cg_receive(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    size_t room, n, sum = 0;
    enum cg_step step;
    CG_HAS_BATON(x->engine);
    do {
        step = receive_once(x, c, a, &n, &room);
        sum += n;
    } while (step == CG_STEP_MORE && n == room &&
             c->stream.state == STREAM_BODY &&
             sum < share_of(c->stream.intake));
    return step;
}

enum cg_step
cg_receive_body(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    if (__builtin_expect(!cg_outbox_is_empty(&c->stream.outbox), 0)) {
        cg_outbox_flush(&c->stream.outbox, &c->transport, &e->dropped);
        await_bytes(e, c);
    }
    return cg_receive(x, c, a);
}
