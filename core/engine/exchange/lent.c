/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/lent.h"

#include "core/engine/exchange/drain.h"
#include "core/engine/exchange/input.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"
#include "core/engine/files/offload.h"
#include "core/engine/http1/reply.h"

static void
forget_told(struct cg_engine *e, struct cg_detached *d)
{
    struct cg_detached **at = &e->hosted.awaited_first;
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    if (e->hosted.awaited_last == &d->next) {
        e->hosted.awaited_last = at;
    }
    d->told = false;
}

static void
put_told(struct cg_engine *e, struct cg_detached *d)
{
    d->told = true;
    d->next = NULL;
    *e->hosted.awaited_last = d;
    e->hosted.awaited_last = &d->next;
}

/* The host has the stream alone again. */
void
cg_lent_reclaim(struct cg_detached *d)
{
    struct cg_executor *x = d->call.executor;
    struct cg_engine *e = x->engine;
    if (!d->lent && !d->told) {
        return;
    }
    cg_slow_goes_on(&d->call);
    cg_hosted_take_baton(e, x);
    d->lent = d->waits = d->reads = d->rooms = d->ends = false;
    if (d->told) {
        forget_told(e, d);
    }
    d->call.stream->state = STREAM_RUN;
    cg_hosted_open_baton(e, x);
}

/* The same for one more operation. Another greenlet of the request may wait
 * for the peer: the loop tells it, and it asks again. */
static void
take_back(struct cg_detached *d)
{
    struct cg_engine *e = d->call.executor->engine;
    bool parked = d->parks && (d->waits || d->told);
    if (!d->lent) {
        return;
    }
    cg_lent_reclaim(d);
    if (__builtin_expect(parked, 0)) {
        cg_hosted_take_baton(e, d->call.executor);
        put_told(e, d);
        cg_hosted_open_baton(e, d->call.executor);
        cg_engine_kick(e);
    }
}

/* With the baton. */
static void
lend(struct cg_detached *d, unsigned interest)
{
    struct cg_engine *e = d->call.executor->engine;
    struct cg_stream *s = d->call.stream;
    d->lent = true;
    s->state = STREAM_LENT;
    e->now_us = cg_now_us();
    if (d->reads && !d->tunnels) {
        cg_deadline_set(&e->deadlines, &s->deadline, DEADLINE_BODY, e->now_us);
    } else if ((interest & CG_LOOP_WRITE) != 0) {
        cg_stream_await_peer(e, s);
    } else { /* for its leaving, or words of its own, a peer may take any time
              */
        cg_deadline_clear(&s->deadline);
    }
    cg_conn_arm(e, s->conn, interest);
}

/* What the socket did not take is flushed by the engine while the application
 * goes on, whatever it does next. */
static void
lend_outbox(struct cg_detached *d, bool waits, size_t low)
{
    struct cg_executor *x = d->call.executor;
    if (waits) {
        cg_slow_waits(&d->call);
    }
    cg_hosted_take_baton(x->engine, x);
    d->waits = d->rooms = waits;
    d->low = low;
    lend(d, CG_LOOP_WRITE);
    cg_hoard_count(x->engine, &d->call.stream->outbox);
    cg_hoard_bound(x->engine);
    cg_hosted_open_baton(x->engine, x);
}

static int
lend_rest(struct cg_exchange *ex, int result)
{
    struct cg_detached *d = cg_detached_of(ex);
    if (result == 0 && !d->call.corked.shared &&
        !cg_outbox_is_empty(&d->call.stream->outbox)) {
        lend_outbox(d, false, 0);
    }
    return result;
}

static int
detached_send(struct cg_exchange *ex, const struct iovec *parts, int count,
              void *owner)
{
    struct cg_detached *d = cg_detached_of(ex);
    if (__builtin_expect(cg_hosted_is_child(d->call.executor->engine), 0)) {
        return -EPIPE; /* the answer is the parent's */
    }
    take_back(d);
    return lend_rest(ex, cg_wire_send(ex, parts, count, owner));
}

static int
detached_send_more(struct cg_exchange *ex, const struct iovec *parts, int count,
                   void *owner)
{
    struct cg_detached *d = cg_detached_of(ex);
    if (__builtin_expect(cg_hosted_is_child(d->call.executor->engine), 0)) {
        return -EPIPE;
    }
    take_back(d);
    return lend_rest(ex, cg_wire_send_more(ex, parts, count, owner));
}

static int
detached_send_file(struct cg_exchange *ex, const struct iovec *parts, int count,
                   int fd, off_t offset, size_t n)
{
    struct cg_detached *d = cg_detached_of(ex);
    if (cg_hosted_is_child(d->call.executor->engine)) {
        return -EPIPE;
    }
    take_back(d);
    return lend_rest(ex, cg_wire_send_file(ex, parts, count, fd, offset, n));
}

/* While the connection is lent the engine changes the number. */
static size_t
detached_pending(const struct cg_exchange *ex)
{
    const struct cg_detached *d = (const void *)ex;
    struct cg_executor *x = d->call.executor;
    if (!d->lent) {
        return cg_wire_pending(ex);
    }
    cg_hosted_take_baton(x->engine, x);
    size_t n = cg_wire_pending(ex);
    cg_hosted_open_baton(x->engine, x);
    return n;
}

static uint64_t
detached_unsent(const struct cg_exchange *ex)
{
    const struct cg_detached *d = (const void *)ex;
    struct cg_executor *x = d->call.executor;
    if (!d->lent) {
        return cg_wire_unsent(ex);
    }
    cg_hosted_take_baton(x->engine, x);
    uint64_t n = cg_wire_unsent(ex);
    cg_hosted_open_baton(x->engine, x);
    return n;
}

static int
detached_drain(struct cg_exchange *ex, size_t low)
{
    take_back(cg_detached_of(ex));
    return lend_rest(ex, cg_wire_drain(ex, low));
}

static int
await_room(struct cg_exchange *ex, size_t low)
{
    struct cg_detached *d = cg_detached_of(ex);
    take_back(d);
    if (ex->broken || cg_hosted_is_child(d->call.executor->engine) ||
        cg_limit_is_late(&d->call)) {
        ex->broken = true;
        return -EPIPE;
    }
    int r = cg_cork_take(&d->call);
    if (r < 0) {
        ex->broken = true;
        return r;
    }
    if (d->call.stream->outbox.bytes <= low) {
        return lend_rest(ex, 0) == 0;
    }
    d->parks = true;
    lend_outbox(d, true, low);
    return 0;
}

static int
detached_read(struct cg_exchange *ex, struct cg_buf *to)
{
    struct cg_detached *d = cg_detached_of(ex);
    if (cg_hosted_is_child(d->call.executor->engine)) {
        return -EPIPE; /* so are the client's bytes */
    }
    return cg_input_receive_now(ex, to);
}

/* An answer that is under way goes on meanwhile. */
static int
await_input(struct cg_exchange *ex)
{
    struct cg_detached *d = cg_detached_of(ex);
    struct cg_executor *x = d->call.executor;
    if (cg_hosted_is_child(x->engine) || cg_limit_is_late(&d->call)) {
        return -EPIPE;
    }
    take_back(d);
    if (cg_cork_take(&d->call) < 0) {
        ex->broken = true;
    }
    bool flushes = !ex->broken && !cg_outbox_is_empty(&d->call.stream->outbox);
    cg_hosted_take_baton(x->engine, x);
    d->waits = d->reads = d->parks = true;
    lend(d, CG_LOOP_READ | (flushes ? CG_LOOP_WRITE : 0));
    cg_hosted_open_baton(x->engine, x);
    return 0;
}

/* With the baton. */
static void
lend_for(struct cg_detached *d, unsigned what, size_t low)
{
    struct cg_stream *s = d->call.stream;
    bool flushes = !cg_outbox_is_empty(&s->outbox);
    d->waits = true;
    d->rooms = (what & CG_AWAIT_ROOM) != 0;
    d->reads = (what & CG_AWAIT_INPUT) != 0;
    d->ends = (what & CG_AWAIT_END) != 0;
    d->low = low;
    lend(d, (flushes ? CG_LOOP_WRITE : 0) | (d->reads ? CG_LOOP_READ : 0) |
                (d->ends ? CG_LOOP_END : 0));
    if (flushes) {
        cg_hoard_count(d->call.executor->engine, &s->outbox);
        cg_hoard_bound(d->call.executor->engine);
    }
}

static int
detached_await(struct cg_exchange *ex, unsigned what, size_t low)
{
    struct cg_detached *d = cg_detached_of(ex);
    struct cg_executor *x = d->call.executor;
    take_back(d);
    if (ex->broken || cg_hosted_is_child(x->engine) ||
        cg_limit_is_late(&d->call) || cg_cork_take(&d->call) < 0) {
        ex->broken = true;
        return -EPIPE;
    }
    bool room =
        (what & CG_AWAIT_ROOM) != 0 && d->call.stream->outbox.bytes <= low;
    if (room) {
        return lend_rest(ex, 0) == 0;
    }
    if ((what & CG_AWAIT_ROOM) != 0) {
        cg_slow_waits(&d->call);
    }
    cg_hosted_take_baton(x->engine, x);
    lend_for(d, what, low);
    cg_hosted_open_baton(x->engine, x);
    return 0;
}

/* Most replies end between two polls. */
static bool
detached_leads(const struct cg_exchange *ex)
{
    return false;
}

static int
detached_take_over(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    take_back(cg_detached_of(ex));
    return cg_wire_take_over(ex, ret_unread);
}

/* What it speaks now has a state of its own, and may do so for days. */
static void
fit(struct cg_detached *d)
{
    cg_request_fit(&d->req);
    cg_writer_fit(&d->writer);
}

static int
detached_tunnel(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    struct cg_detached *d = cg_detached_of(ex);
    if (cg_hosted_is_child(d->call.executor->engine)) {
        return -EPIPE;
    }
    take_back(d);
    d->tunnels = true;
    cg_wire_upgrade(ex, ret_unread);
    fit(d);
    return lend_rest(ex, 0);
}

static ssize_t
tunnel_read(struct cg_exchange *ex, char *p, size_t n)
{
    struct cg_detached *d = cg_detached_of(ex);
    if (ex->broken || cg_hosted_is_child(d->call.executor->engine)) {
        return -EPIPE;
    }
    take_back(d);
    return cg_transport_receive(d->call.stream->transport, p, n);
}

static int
tunnel_write(struct cg_exchange *ex, const char *p, size_t n)
{
    const struct iovec part = {(void *)(size_t)p, n};
    return detached_send(ex, &part, 1, NULL);
}

const struct cg_wire cg_detached_wire = {
    .send = detached_send,
    .send_more = detached_send_more,
    .send_file = detached_send_file,
};

const struct cg_exchange_ops cg_detached_ops = {
    .body = cg_http1_body,
    .file = cg_http1_file,
    .inform = cg_http1_inform,
    .trailers = cg_http1_trailers,
    .abort = cg_http1_abort,
    .unsent = detached_unsent,
    .pending = detached_pending,
    .drain = detached_drain,
    .await_room = await_room,
    .read = detached_read,
    .await_input = await_input,
    .await = detached_await,
    .end_input = cg_input_cut,
    .take_over = detached_take_over,
    .tunnel = detached_tunnel,
    .tunnel_read = tunnel_read,
    .tunnel_write = tunnel_write,
    .late = cg_limit_late,
    .conclude = cg_limit_conclude,
    .leads = detached_leads,
    .offload = cg_offload,
};

static void
tell(struct cg_engine *e, struct cg_detached *d)
{
    if (!d->waits || d->told) {
        return;
    }
    d->waits = false;
    put_told(e, d);
}

/* There is nothing to wait for any more. */
static void
end_wait(struct cg_engine *e, struct cg_stream *s)
{
    cg_conn_disarm(e, s->conn);
    cg_deadline_clear(&s->deadline);
    tell(e, s->call);
}

void
cg_lent_broken(struct cg_engine *e, struct cg_stream *s)
{
    s->call->call.ex.broken = true;
    end_wait(e, s);
}

void
cg_lent_expired(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_detached *d = s->call;
    if (d->reads) {
        cg_input_time_out(&d->call);
    } else if ((d->call.stalled_us = cg_stream_stalls(e, s)) == 0) {
        cg_stream_await_peer(e, s);
        return;
    } else {
        d->call.ex.broken = true;
    }
    end_wait(e, s);
}

/* All is out. */
static void
end_flush(struct cg_engine *e, struct cg_stream *s)
{
    const struct cg_detached *d = s->call;
    unsigned interest =
        (d->reads ? CG_LOOP_READ : 0) | (d->ends ? CG_LOOP_END : 0);
    cg_deadline_clear(&s->deadline);
    if (interest != 0 && d->waits) {
        cg_conn_arm(e, s->conn, interest);
    } else {
        cg_conn_disarm(e, s->conn);
    }
}

/* Bytes of a tunnel, at least perhaps. It stays in the event set, since the
 * host reads at once, most often; when it has not been told yet it is busy. */
static void
hear_tunnel(struct cg_engine *e, struct cg_stream *s)
{
    if (s->call->told) {
        cg_conn_disarm(e, s->conn);
    } else {
        tell(e, s->call);
    }
}

void
cg_lent_ready(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_detached *d = s->call;
    int r = cg_outbox_flush(&s->outbox, s->transport, &e->dropped);
    if (r < 0 || (d->ends && cg_transport_has_left(s->transport))) {
        d->call.ex.broken = true;
    }
    cg_hoard_count(e, &s->outbox);
    if (!d->call.ex.broken && d->tunnels && d->reads) {
        hear_tunnel(e, s);
        return;
    }
    if (d->call.ex.broken || d->reads) {
        end_wait(e, s);
        return;
    }
    if (d->rooms && s->outbox.bytes <= d->low) {
        tell(e, d);
    }
    if (r > 0) {
        end_flush(e, s);
    }
}

void
cg_lent_tell_first(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    struct cg_detached *d = e->hosted.awaited_first;
    forget_told(e, d);
    d->waits = false;
    cg_hosted_open_baton(e, x);
    e->runner.ops->awaited(e->runner.self, &d->call.ex);
    cg_hosted_take_baton(e, x);
}
