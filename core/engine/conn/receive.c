/* SPDX-License-Identifier: MIT */
/*
 * Receiving: bytes of a connection become complete requests. One that arrives
 * in one piece is run straight from the thread's read buffer; anything else
 * goes through an intake.
 */
#include <errno.h>
#include <string.h>

#include "core/engine/internal.h"

/* ---- the ready queue ---- */

/*
 * The connection stays in the event set: an event of it meanwhile is
 * rare, and takes it out. c->ready_us is the caller's to set.
 */
void
cg_ready_push(struct cg_engine *e, struct cg_conn *c)
{
    c->state = CONN_READY;
    c->qnext = NULL;
    *e->ready_last = c;
    e->ready_last = &c->qnext;
    e->nready++;
}

struct cg_conn *
cg_ready_pop(struct cg_engine *e)
{
    struct cg_conn *c = e->ready_first;
    if (c != NULL) {
        e->ready_first = c->qnext;
        if (e->ready_first == NULL) {
            e->ready_last = &e->ready_first;
        }
        e->nready--;
        e->quota -= e->quota > 0;
    }
    return c;
}

/* Whether a request that is complete must wait its turn: no Python here, or
 * others wait since before it was seen. */
static bool
must_queue(const struct cg_executor *x, const struct cg_conn *c)
{
    return x->id == RELIEF || !cg_may_run(x->engine) ||
           (x->engine->quota > 0 && c->state != CONN_READY);
}

/* A request that this worker cannot run soon goes to who is free first. */
static bool
goes_away(struct cg_executor *x, struct cg_conn *c, struct cg_slice head,
          const struct cg_body *body)
{
    struct cg_engine *e = x->engine;
    if (x->id != RELIEF && (!e->giving || c->state == CONN_READY)) {
        return false;
    }
    e->giving = false;
    return cg_may_give(e) && cg_give(e, c, head, body);
}

/* ---- what became of an intake ---- */

void
cg_send_continue(struct cg_conn *c, struct cg_intake *i)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (i->continued || !i->req.expect_continue || i->body_n > 0) {
        return;
    }
    i->continued = true;
    struct iovec part = {(void *)(size_t)line, sizeof line - 1};
    cg_transport_send(&c->transport, &part, 1, false);
}

/* The first seconds do not count, and neither does framing. */
bool
cg_body_is_slow(const struct cg_engine_config *config,
                const struct cg_intake *i, uint64_t now_us)
{
    uint64_t elapsed = now_us - i->since_us;
    return config->body_min_rate != 0 && elapsed > config->body_grace_us &&
           i->body_n < (elapsed - config->body_grace_us) / 1000 *
                           config->body_min_rate / 1000;
}

static void
wait_for_body(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_intake *i = c->intake;
    cg_send_continue(c, i);
    if (i->since_us == 0) {
        i->since_us = e->now_us;
    }
    c->state = CONN_BODY;
    cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_BODY, e->now_us);
}

static void
wait_for_more(struct cg_engine *e, struct cg_conn *c)
{
    if (c->intake->head_done) {
        wait_for_body(e, c);
    } else if (c->state != CONN_HEAD) {
        c->state = CONN_HEAD; /* absolute: not prolonged by more bytes */
        cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_HEAD, e->now_us);
    }
    cg_conn_arm(e, c, CG_LOOP_READ);
}

static void
serve_intake(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_intake *i = c->intake;
    if (!i->done) {
        cg_serve_stream(x, c);
        return;
    }
    c->intake = NULL; /* ours now: the connection may be closed below */
    cg_serve(x, c, &i->req, i->head.p, cg_intake_body(i), i);
}

/* All of it is there, or as much as this server waits for. */
static void
on_intake_ready(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_intake *i = c->intake;
    const struct cg_body body = cg_intake_body(i);
    if (i->done &&
        goes_away(x, c, (struct cg_slice){i->head.p, i->head.n}, &body)) {
        return;
    }
    if (must_queue(x, c)) {
        cg_ready_push(x->engine, c);
    } else {
        serve_intake(x, c);
    }
}

static void
on_intake_part(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_engine *e = x->engine;
    if (c->intake->head_done && e->config->streaming) {
        c->ready_us = c->intake->since_us = e->now_us;
        on_intake_ready(x, c);
        return;
    }
    wait_for_more(e, c);
    if (c->state == CONN_BODY &&
        cg_body_is_slow(e->config, c->intake, e->now_us)) {
        cg_refuse_status(e, c, 408, "Request body comes too slowly");
    }
}

static void
on_intake(struct cg_executor *x, struct cg_conn *c, enum cg_intake_status st,
          const struct cg_error *err)
{
    struct cg_engine *e = x->engine;
    switch (st) {
    case CG_INTAKE_MORE: on_intake_part(x, c); return;
    case CG_INTAKE_REFUSED:
        cg_refuse(e, c, &c->intake->req, c->intake->head.p);
        return;
    case CG_INTAKE_FAILED: cg_refuse_fault(e, c, err); return;
    case CG_INTAKE_COMPLETE:
        c->ready_us = e->now_us;
        on_intake_ready(x, c);
        return;
    }
}

static void
feed_intake(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n)
{
    struct cg_error err = {0};
    size_t used = 0;
    enum cg_intake_status st =
        cg_intake_feed(c->intake, &x->engine->config->intake, c->peer.trusted,
                       p, n, &used, &err);
    if (st == CG_INTAKE_COMPLETE && used < n) {
        cg_buf_put(&c->rest, p + used, n - used);
    }
    on_intake(x, c, st, &err);
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

/* Keeps a complete request that cannot run at once. */
static void
queue_whole(struct cg_executor *x, struct cg_conn *c, const char *p,
            struct cg_slice body)
{
    struct cg_intake *i = cg_intake_new();
    cg_intake_take_head(i, &x->req, p);
    cg_buf_put(&i->body, body.p, body.n);
    i->body_n = body.n;
    i->done = true;
    c->intake = i;
    cg_ready_push(x->engine, c);
}

static void
start_intake(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
             bool head_done)
{
    c->intake = cg_intake_new();
    if (!head_done) {
        cg_intake_take_part(c->intake, &x->req, p, n);
        wait_for_more(x->engine, c);
        return;
    }
    size_t head_n = x->req.head_n;
    cg_intake_take_head(c->intake, &x->req, p);
    feed_intake(x, c, p + head_n, n - head_n);
}

/* A request that is all there, at p. */
static void
run_whole(struct cg_executor *x, struct cg_conn *c, const char *p,
          struct cg_slice data)
{
    const struct cg_body body = {.p = data.p, .n = data.n, .fd = -1};
    if (c->state != CONN_READY) {
        c->ready_us = x->engine->now_us;
    }
    if (goes_away(x, c, (struct cg_slice){p, x->req.head_n}, &body)) {
        return;
    }
    if (must_queue(x, c)) {
        queue_whole(x, c, p, data);
    } else {
        cg_serve(x, c, &x->req, p, body, NULL);
    }
}

/* p[0..n) begins a request; `rest`: it lies in c->rest and stays there. */
static void
feed_fresh(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
           bool rest)
{
    cg_request_reset(&x->req);
    enum cg_head_status st =
        cg_head_read_with(&x->req, &x->memo, x->engine->config->intake.head,
                          c->peer.trusted, p, n);
    struct cg_slice body;
    if (st == CG_HEAD_DONE &&
        x->req.content_length > x->engine->config->intake.max_body) {
        x->req.refusal = CG_REFUSE_BODY_LIMIT;
        st = CG_HEAD_REFUSED;
    }
    if (st == CG_HEAD_REFUSED) {
        cg_refuse(x->engine, c, &x->req, p);
        return;
    }
    if (st == CG_HEAD_MORE || !has_whole_body(&x->req, n, &body, p)) {
        struct cg_buf moved = {0};
        if (rest) { /* the intake may put what follows into c->rest */
            moved = c->rest;
            c->rest = (struct cg_buf){0};
            c->rest_at = 0;
        }
        start_intake(x, c, p, n, st == CG_HEAD_DONE);
        cg_buf_release(&moved);
        return;
    }
    size_t used = x->req.head_n + body.n;
    if (rest) {
        c->rest_at += (uint32_t)used;
    } else if (used < n) {
        cg_buf_put(&c->rest, p + used, n - used);
    }
    run_whole(x, c, p, body);
}

void
cg_receive_ready(struct cg_executor *x, struct cg_conn *c)
{
    if (c->intake != NULL) {
        on_intake_ready(x, c);
        return;
    }
    feed_fresh(x, c, c->rest.p + c->rest_at, c->rest.n - c->rest_at, true);
}

/* ---- what a proxy tells first ---- */

static void
take_peer(struct cg_conn *c, const struct cg_proxy *p)
{
    c->preamble = false;
    if (p->kind == CG_PROXY_LOCAL) {
        return;
    }
    memcpy(c->peer.addr, p->client, sizeof c->peer.addr);
    memcpy(c->peer.proxy_addr, p->server, sizeof c->peer.proxy_addr);
    c->peer.port = p->client_port;
    c->peer.proxy_port = p->server_port;
    c->peer.proxied = (uint8_t)p->kind;
    c->transport.movable = false; /* these addresses are known here only */
}

static void
refuse_preamble(struct cg_executor *x, struct cg_conn *c, enum cg_refusal why,
                const char *p, size_t n)
{
    enum { LINE_MOST = 107 };
    const char *end = memchr(p, '\r', n);
    size_t shown = end != NULL ? (size_t)(end - p) : n;
    cg_request_reset(&x->req);
    x->req.refusal = why;
    x->req.refused_at.n = (uint32_t)(shown < LINE_MOST ? shown : LINE_MOST);
    cg_refuse(x->engine, c, &x->req, p);
}

static void
wait_for_first(struct cg_engine *e, struct cg_conn *c)
{
    if (c->state != CONN_HEAD) { /* the head's time counts from here on */
        c->state = CONN_HEAD;
        cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_HEAD, e->now_us);
    }
    cg_conn_arm(e, c, CG_LOOP_READ);
}

static enum cg_proxy_status
read_preamble(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
              size_t *used)
{
    struct cg_proxy proxy = {.kind = CG_PROXY_LOCAL};
    enum cg_refusal why = CG_REFUSE_PROXY_FORBIDDEN;
    enum cg_proxy_mode mode = x->engine->config->proxy_mode;
    enum cg_proxy_status st = CG_PROXY_REFUSED;
    if (c->may_announce || !cg_proxy_begins(mode, p, n)) {
        st = cg_proxy_read(mode, p, n, &proxy, &why);
    }
    if (st == CG_PROXY_REFUSED) {
        refuse_preamble(x, c, why, p, n);
    } else if (st != CG_PROXY_MORE) {
        take_peer(c, &proxy);
    }
    *used = proxy.n;
    return st;
}

/* Bytes of a connection that may begin with a preamble; what came of one is
 * kept in c->rest until it is whole. */
static void
feed_first(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n)
{
    struct cg_buf all = c->rest;
    size_t used = 0;
    c->rest = (struct cg_buf){0};
    if (all.n > 0) {
        cg_buf_put(&all, p, n);
        p = all.p;
        n = all.n;
    }
    enum cg_proxy_status st = read_preamble(x, c, p, n, &used);
    if (st == CG_PROXY_MORE) {
        cg_buf_put(&c->rest, p, n);
        wait_for_first(x->engine, c);
    } else if (st != CG_PROXY_REFUSED && used < n) {
        feed_fresh(x, c, p + used, n - used, false);
    } else if (st != CG_PROXY_REFUSED) {
        wait_for_first(x->engine, c);
    }
    cg_buf_release(&all);
}

/* ---- reading the socket ---- */

static void
on_no_bytes(struct cg_executor *x, struct cg_conn *c, ssize_t n)
{
    struct cg_engine *e = x->engine;
    if (n == -EAGAIN) {
        if (c->state == CONN_IDLE || c->state == CONN_FRESH) {
            cg_conn_kept(e, c);
        }
        if (!c->armed) {
            cg_conn_arm(e, c, CG_LOOP_READ);
            cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_FIRST,
                            e->now_us);
        }
        return;
    }
    if (c->state == CONN_BODY) { /* gone, or it hears the answer still */
        cg_refuse_status(e, c, 400, "Request body ended early");
        return;
    }
    cg_conn_close(e, c);
}

/* One recv; returns how many bytes came, *room how many had been welcome. */
static size_t
receive_once(struct cg_executor *x, struct cg_conn *c, size_t *room)
{
    char *p = c->intake != NULL && cg_transport_is_plain(&c->transport)
                  ? cg_intake_room(c->intake, &x->engine->config->intake, room)
                  : NULL;
    bool direct = p != NULL;
    if (!direct) {
        p = x->rbuf;
        *room = sizeof x->rbuf;
    }
    cg_conn_not_kept(x->engine, c);
    ssize_t n = cg_transport_receive(&c->transport, p, *room);
    if (n <= 0) {
        on_no_bytes(x, c, n);
        return 0;
    }
    if (direct) {
        on_intake(x, c, cg_intake_filled(c->intake, (size_t)n), NULL);
    } else if (c->intake != NULL) {
        feed_intake(x, c, p, (size_t)n);
    } else if (__builtin_expect(c->preamble, 0)) {
        feed_first(x, c, p, (size_t)n);
    } else {
        feed_fresh(x, c, p, (size_t)n, false);
    }
    return (size_t)n;
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
void
cg_receive(struct cg_executor *x, struct cg_conn *c)
{
    size_t room, n, sum = 0;
    do {
        n = receive_once(x, c, &room);
        sum += n;
    } while (n == room && c->state == CONN_BODY && sum < share_of(c->intake));
}
