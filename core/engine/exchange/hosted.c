/* SPDX-License-Identifier: MIT */
/*
 * The hosted engine: a loop of the host's own (gevent's hub, an IOLoop, an
 * asyncio loop) watches the event set's descriptor and calls in; requests
 * outlive the call that started them. Between two polls the baton rests in APP,
 * as during a long call of the application, so that relief may take it.
 *
 * Everything here but the work on lent streams runs on the thread of
 * the host's loop; what it calls may switch greenlets, so nothing keeps a
 * pointer into a C frame or a fact about the engine across it.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/conn/give.h"
#include "core/engine/dispatch.h"
#include "core/engine/exchange/drain.h"
#include "core/engine/exchange/input.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"
#include "core/engine/exchange/wire.h"
#include "core/engine/files/offload.h"
#include "core/engine/http1/reply.h"
#include "core/engine/state.h"

enum {
    STEPS = 256,           /* of one poll; the host's other work comes next */
    SPARE_MAX = 64,        /* calls kept for reuse */
    BYTES_KEEP = 64 * 1024 /* a larger buffer is given back */
};

#define RELAXED memory_order_relaxed

/* A call that outlives the dispatch of its request: everything of it is on the
 * heap, and its request and buffers are reused. */
struct cg_detached {
    struct cg_call call; /* first */
    struct cg_detached *next;
    struct cg_request req;
    struct cg_buf bytes;      /* head and body of one that came in one piece */
    struct cg_writer writer;  /* lent to the host */
    struct cg_intake *intake; /* of one that did not */
    uint64_t held;            /* of the budget, for bytes */
    size_t low;               /* the host waits for this; with the baton */
    bool waits;               /* it does; with the baton */
    bool rooms, reads, ends;  /* for room, for the peer's bytes, its leaving */
    bool tunnels;             /* it speaks another protocol with the peer */
    bool told;                /* in the list of the awaited; with the baton */
    bool lent;                /* the host's: the engine may have the outbox */
    bool overdue;             /* the host is to interrupt it; with the baton */
    bool slow;                /* and to tell where it waits; likewise */
    struct cg_detached *due_next; /* in the list of those two */
};

int
cg_hosted_init(struct cg_engine *e)
{
    e->hosted.timer.fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    e->hosted.call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (e->hosted.timer.fd < 0 || e->hosted.call_fd < 0) {
        return -errno;
    }
    cg_engine_kick(e); /* for the first poll, which puts in the listeners */
    return cg_loop_add(&e->loop, e->hosted.timer.fd, CG_LOOP_READ,
                       &e->hosted.timer);
}

/* ---- calls ---- */

static struct cg_detached *
take_call(struct cg_engine *e)
{
    struct cg_detached *d = e->hosted.spare;
    if (d != NULL) {
        e->hosted.spare = d->next;
        e->hosted.nspare--;
        return d;
    }
    d = cg_calloc(1, sizeof *d);
    return d;
}

static void
free_call(struct cg_detached *d)
{
    cg_request_release(&d->req);
    cg_buf_release(&d->bytes);
    cg_writer_release(&d->writer);
    free(d);
}

static void
give_call(struct cg_engine *e, struct cg_detached *d)
{
    cg_intake_free(d->intake);
    d->intake = NULL;
    if (d->held > 0) {
        cg_purse_give(&e->config->intake.budget->memory, d->held);
        d->held = 0;
    }
    if (e->hosted.nspare >= SPARE_MAX) {
        free_call(d);
        return;
    }
    if (d->bytes.cap > BYTES_KEEP) {
        cg_buf_release(&d->bytes);
    }
    if (d->writer.out.cap > BYTES_KEEP) {
        cg_buf_release(&d->writer.out);
    }
    d->next = e->hosted.spare;
    e->hosted.spare = d;
    e->hosted.nspare++;
}

void
cg_hosted_release(struct cg_engine *e)
{
    while (e->hosted.spare != NULL) {
        struct cg_detached *d = e->hosted.spare;
        e->hosted.spare = d->next;
        free_call(d);
    }
    cg_fd_close(&e->hosted.timer.fd);
    cg_fd_close(&e->hosted.call_fd);
}

static struct cg_detached *
detached(struct cg_exchange *ex)
{
    return (struct cg_detached *)(void *)ex;
}

/* It is complete and runs, whatever room there is: others find less. */
static void
count_bytes(const struct cg_engine *e, struct cg_detached *d)
{
    if (e->config->intake.budget != NULL) {
        cg_purse_add(&e->config->intake.budget->memory, d->bytes.n);
        d->held = d->bytes.n;
    }
}

/* The request and its bytes move out of the thread's buffers. A body in a file
 * is an intake's. */
static void
take_request(struct cg_detached *d, struct cg_executor *x, const char *base,
             struct cg_body *body)
{
    struct cg_request old = d->req;
    uint32_t head = x->req.head_n;
    d->req = x->req;
    x->req = old;
    cg_buf_reset(&d->bytes);
    cg_buf_put(&d->bytes, base, head);
    cg_buf_put(&d->bytes, body->p, (size_t)body->n);
    size_t trailers = d->bytes.n;
    cg_buf_put(&d->bytes, body->trailers.p, body->trailers.n);
    body->p = d->bytes.p + head;
    body->trailers.p = d->bytes.p + trailers;
    count_bytes(x->engine, d);
}

static void
open_baton(struct cg_engine *e, const struct cg_executor *x)
{
    cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
}

static void
take_baton(struct cg_engine *e, const struct cg_executor *x)
{
    cg_baton_take(&e->baton, (unsigned)x->id);
}

static void
set_timer_to(struct cg_engine *e, uint64_t due_us)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(due_us / 1000000),
                     .tv_nsec = (long)(due_us % 1000000) * 1000}};
    timerfd_settime(e->hosted.timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
    e->hosted.timer_us = due_us;
}

/* The application may block the loop from here on: relief, which sleeps on the
 * event set, must hear of it, and of the end of the request's time. */
static void
expect_block(struct cg_engine *e, const struct cg_call *call)
{
    uint64_t limit = e->config->request_timeout_us, wait = e->config->beat_us;
    uint64_t slow = e->config->slow_request_us;
    if (cg_limit_is_on(&call->limit) && limit < wait) {
        wait = limit;
    }
    if (call->slow.on && slow < wait) {
        wait = slow;
    }
    uint64_t due = call->ex.start_us + wait;
    if (e->hosted.timer_us == 0 || e->hosted.timer_us > due) {
        set_timer_to(e, due);
    }
}

static const struct cg_wire detached_wire;
static const struct cg_exchange_ops detached_ops;

/* d may be gone when it returns. */
static void
start_call(struct cg_executor *x, struct cg_stream *s, struct cg_detached *d)
{
    struct cg_engine *e = x->engine;
    d->call.ex.ops = &detached_ops;
    d->call.ex.writer = &d->writer;
    d->call.wire = &detached_wire;
    cg_writer_reset(&d->writer);
    d->waits = d->reads = d->rooms = d->ends = false;
    d->told = d->lent = d->overdue = d->slow = d->tunnels = false;
    s->call = d;
    e->hosted.in_flight++;
    if (--e->hosted.left <= 0) {
        e->harvest.quota = INT_MAX; /* what else comes is read, and waits */
    }
    cg_call_begin(&d->call);
    expect_block(e, &d->call);
    open_baton(e, x);
    e->runner.ops->run(e->runner.self, &d->call.ex);
    take_baton(e, x);
}

static void
run_stream(struct cg_executor *x, struct cg_stream *s)
{
    struct cg_detached *d = take_call(x->engine);
    cg_call_init_stream(&d->call, x, s);
    start_call(x, s, d);
}

static void
run_whole(struct cg_executor *x, struct cg_stream *s,
          const struct cg_arrival *a, struct cg_intake *intake)
{
    struct cg_detached *d = take_call(x->engine);
    struct cg_body body = a->body;
    if (intake != NULL) {
        d->intake = intake;
        cg_call_init(&d->call, x, s, &intake->req, a->base);
    } else {
        take_request(d, x, a->base, &body);
        cg_call_init(&d->call, x, s, &d->req, d->bytes.p);
    }
    d->call.ex.body = body;
    start_call(x, s, d);
}

/* ---- lent streams: the engine waits for the peer ---- */

static bool
is_child(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->forked, RELAXED) != 0;
}

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

/* The host has the stream alone again. */
static void
reclaim(struct cg_detached *d)
{
    struct cg_executor *x = d->call.executor;
    struct cg_engine *e = x->engine;
    if (!d->lent) {
        return;
    }
    cg_slow_goes_on(&d->call);
    take_baton(e, x);
    d->lent = d->waits = d->reads = d->rooms = d->ends = false;
    if (d->told) {
        forget_told(e, d);
    }
    d->call.stream->state = STREAM_RUN;
    open_baton(e, x);
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
    take_baton(x->engine, x);
    d->waits = d->rooms = waits;
    d->low = low;
    lend(d, CG_LOOP_WRITE);
    cg_hoard_count(x->engine, &d->call.stream->outbox);
    cg_hoard_bound(x->engine);
    open_baton(x->engine, x);
}

static int
lend_rest(struct cg_exchange *ex, int result)
{
    struct cg_detached *d = detached(ex);
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
    struct cg_detached *d = detached(ex);
    if (__builtin_expect(is_child(d->call.executor->engine), 0)) {
        return -EPIPE; /* the answer is the parent's */
    }
    reclaim(d);
    return lend_rest(ex, cg_wire_send(ex, parts, count, owner));
}

static int
detached_send_more(struct cg_exchange *ex, const struct iovec *parts, int count,
                   void *owner)
{
    struct cg_detached *d = detached(ex);
    if (__builtin_expect(is_child(d->call.executor->engine), 0)) {
        return -EPIPE;
    }
    reclaim(d);
    return lend_rest(ex, cg_wire_send_more(ex, parts, count, owner));
}

static int
detached_send_file(struct cg_exchange *ex, const struct iovec *parts, int count,
                   int fd, off_t offset, size_t n)
{
    struct cg_detached *d = detached(ex);
    if (is_child(d->call.executor->engine)) {
        return -EPIPE;
    }
    reclaim(d);
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
    take_baton(x->engine, x);
    size_t n = cg_wire_pending(ex);
    open_baton(x->engine, x);
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
    take_baton(x->engine, x);
    uint64_t n = cg_wire_unsent(ex);
    open_baton(x->engine, x);
    return n;
}

static int
detached_drain(struct cg_exchange *ex, size_t low)
{
    reclaim(detached(ex));
    return lend_rest(ex, cg_wire_drain(ex, low));
}

static int
await_room(struct cg_exchange *ex, size_t low)
{
    struct cg_detached *d = detached(ex);
    reclaim(d);
    if (ex->broken || is_child(d->call.executor->engine) ||
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
    lend_outbox(d, true, low);
    return 0;
}

static int
detached_read(struct cg_exchange *ex, struct cg_buf *to)
{
    struct cg_detached *d = detached(ex);
    if (is_child(d->call.executor->engine)) {
        return -EPIPE; /* so are the client's bytes */
    }
    return cg_input_receive_now(ex, to);
}

/* An answer that is under way goes on meanwhile. */
static int
await_input(struct cg_exchange *ex)
{
    struct cg_detached *d = detached(ex);
    struct cg_executor *x = d->call.executor;
    if (is_child(x->engine) || cg_limit_is_late(&d->call)) {
        return -EPIPE;
    }
    reclaim(d);
    if (cg_cork_take(&d->call) < 0) {
        ex->broken = true;
    }
    bool flushes = !ex->broken && !cg_outbox_is_empty(&d->call.stream->outbox);
    take_baton(x->engine, x);
    d->waits = d->reads = true;
    lend(d, CG_LOOP_READ | (flushes ? CG_LOOP_WRITE : 0));
    open_baton(x->engine, x);
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
    struct cg_detached *d = detached(ex);
    struct cg_executor *x = d->call.executor;
    reclaim(d);
    if (ex->broken || is_child(x->engine) || cg_limit_is_late(&d->call) ||
        cg_cork_take(&d->call) < 0) {
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
    take_baton(x->engine, x);
    lend_for(d, what, low);
    open_baton(x->engine, x);
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
    reclaim(detached(ex));
    return cg_wire_take_over(ex, ret_unread);
}

static int
detached_tunnel(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    struct cg_detached *d = detached(ex);
    if (is_child(d->call.executor->engine)) {
        return -EPIPE;
    }
    reclaim(d);
    d->tunnels = true;
    cg_wire_upgrade(ex, ret_unread);
    return lend_rest(ex, 0);
}

static ssize_t
tunnel_read(struct cg_exchange *ex, char *p, size_t n)
{
    struct cg_detached *d = detached(ex);
    if (ex->broken || is_child(d->call.executor->engine)) {
        return -EPIPE;
    }
    reclaim(d);
    return cg_transport_receive(d->call.stream->transport, p, n);
}

static int
tunnel_write(struct cg_exchange *ex, const char *p, size_t n)
{
    const struct iovec part = {(void *)(size_t)p, n};
    return detached_send(ex, &part, 1, NULL);
}

static const struct cg_wire detached_wire = {
    .send = detached_send,
    .send_more = detached_send_more,
    .send_file = detached_send_file,
};

static const struct cg_exchange_ops detached_ops = {
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
    d->told = true;
    d->next = NULL;
    *e->hosted.awaited_last = d;
    e->hosted.awaited_last = &d->next;
}

/* There is nothing to wait for any more. */
static void
end_wait(struct cg_engine *e, struct cg_stream *s)
{
    cg_conn_disarm(e, s->conn);
    cg_deadline_clear(&s->deadline);
    tell(e, s->call);
}

static void
lent_broken(struct cg_engine *e, struct cg_stream *s)
{
    s->call->call.ex.broken = true;
    end_wait(e, s);
}

static void
lent_expired(struct cg_engine *e, struct cg_stream *s)
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

static void
lent_ready(struct cg_engine *e, struct cg_stream *s)
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

static void
tell_first(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    struct cg_detached *d = e->hosted.awaited_first;
    forget_told(e, d);
    open_baton(e, x);
    e->runner.ops->awaited(e->runner.self, &d->call.ex);
    take_baton(e, x);
}

/* ---- requests that take too long ---- */

static void
put_due(struct cg_engine *e, struct cg_detached *d)
{
    if (!d->overdue && !d->slow) {
        d->due_next = e->hosted.due;
        e->hosted.due = d;
    }
}

static void
on_overdue(struct cg_engine *e, struct cg_call *call)
{
    struct cg_detached *d = detached(&call->ex);
    put_due(e, d);
    d->overdue = true;
}

static void
forget_due(struct cg_engine *e, struct cg_detached *d)
{
    struct cg_detached **at = &e->hosted.due;
    while (*at != d) {
        at = &(*at)->due_next;
    }
    *at = d->due_next;
    d->overdue = d->slow = false;
}

/* Its greenlet or task waits, if the loop comes to tell that; when it does not
 * for a while it is blocked, and its thread's stack shows by what. */
static bool
on_slow(struct cg_engine *e, struct cg_call *call)
{
    enum { LOOKS = 5 };
    struct cg_detached *d = detached(&call->ex);
    if (call->slow.looks++ < LOOKS) {
        put_due(e, d);
        d->slow = true;
        return true;
    }
    bool overdue = d->overdue;
    if (d->slow) {
        forget_due(e, d);
    }
    if (overdue) {
        on_overdue(e, call);
    }
    return false;
}

/* d may be gone when it returns. */
static void
attend_first(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    struct cg_detached *d = e->hosted.due;
    bool slow = d->slow, overdue = d->overdue;
    forget_due(e, d);
    if (slow && overdue) { /* the second comes next */
        on_overdue(e, &d->call);
    }
    uint64_t waited = cg_slow_so_far(&d->call);
    if (slow) {
        cg_deadline_clear(&d->call.slow.deadline);
    }
    open_baton(e, x);
    if (slow) {
        e->host->slow_waits(e->host->self, &d->call.ex, waited);
    } else {
        e->runner.ops->interrupt(e->runner.self, &d->call.ex);
    }
    take_baton(e, x);
}

/* ---- the end of a request ---- */

void
cg_engine_done(struct cg_exchange *ex)
{
    struct cg_detached *d = detached(ex);
    struct cg_executor *x = d->call.executor;
    struct cg_engine *e = x->engine;
    struct cg_stream *s = d->call.stream;
    if (!is_child(e)) {
        reclaim(d);
    }
    uint64_t end_us = cg_call_finish(&d->call);
    take_baton(e, x);
    cg_call_end(&d->call, end_us);
    if (d->overdue || d->slow) {
        forget_due(e, d);
    }
    if (d->call.input != NULL) {
        cg_input_end(e, s, &d->call);
    }
    s->call = NULL;
    e->hosted.in_flight--;
    give_call(e, d);
    if (atomic_load_explicit(&e->stop.over, RELAXED)) {
        cg_conn_close(e, s->conn);
    } else {
        s->conn->protocol->on_answered(e, s);
    }
    /* a request that waited, a line, or the end of a graceful stop */
    if (!e->hosted.polling && (e->ready.n > 0 || e->stop.begun || cg_owes(e))) {
        cg_engine_kick(e);
    }
    open_baton(e, x);
}

/* ---- polling ---- */

int
cg_engine_fd(const struct cg_engine *e)
{
    return e->loop.fd;
}

int
cg_engine_call_fd(const struct cg_engine *e)
{
    return e->hosted.call_fd;
}

int
cg_engine_in_flight(const struct cg_engine *e)
{
    return e->hosted.in_flight;
}

static void
call_host(struct cg_engine *e)
{
    uint64_t one = 1;
    ssize_t ignored = write(e->hosted.call_fd, &one, sizeof one);
    (void)ignored;
    e->hosted.called = e->hosted.blocked = true;
    /* events wait and the host's loop does not look: from now on it counts as
     * silent (cg_slot_silent_us) */
    atomic_store_explicit(&e->slot->beat_us, cg_now_us(), RELAXED);
    if (!e->stop.begun) {
        atomic_store_explicit(&e->slot->state, CG_WORKER_BUSY, RELAXED);
    }
}

const struct cg_executor_kind cg_hosted_executors = {
    .rests_in_app = true,
    .run = run_whole,
    .run_stream = run_stream,
    .lent_ready = lent_ready,
    .lent_expired = lent_expired,
    .lent_broken = lent_broken,
    .overdue = on_overdue,
    .slow = on_slow,
    .relieved = call_host,
};

static void
look(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    int n = cg_loop_wait(&e->loop, x->events, EVENTS, 0);
    cg_engine_tick(e);
    cg_harvest(x, n);
    cg_show_state(x, CG_WORKER_BUSY);
}

static bool
step(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (cg_loop_next_event(x)) {
        return true;
    }
    if (e->ready.n > 0 && cg_may_run(e) && e->hosted.left > 0) {
        e->harvest.local_due = false;
        cg_dispatch_next(x);
        return true;
    }
    if (__builtin_expect(e->hosted.awaited_first != NULL, 0)) {
        tell_first(x);
        return true;
    }
    if (__builtin_expect(e->hosted.due != NULL, 0)) {
        attend_first(x);
        return true;
    }
    if (cg_owes(e)) {
        cg_pay_now(x);
        return true;
    }
    return cg_http2_is_owed(e) && cg_http2_pump(e);
}

/* The next deadline, in the event set like everything else. It is set anew only
 * when it would come too late, so mostly not at all. */
static void
set_timer(struct cg_engine *e)
{
    int ms = cg_run_timers(e);
    uint64_t due = e->now_us + (uint64_t)ms * 1000;
    if (e->hosted.in_flight > 0 || e->stop.begun) {
        uint64_t beat = e->now_us + e->config->beat_us;
        due = ms >= 0 && due < beat ? due : beat;
    } else if (ms < 0) {
        return;
    }
    if (e->hosted.timer_us != 0 && e->hosted.timer_us <= due) {
        return;
    }
    set_timer_to(e, due);
}

/*
 * How many requests this poll may start. What is started runs in the host's
 * loop, one after the other where they do not wait: nobody can give it away or
 * see that its client left. So a loop that was blocked gets one at a time, and
 * one while a sibling has nothing to do; the rest waits here, where relief
 * finds it if the first one blocks.
 */
static void
set_pace(struct cg_engine *e)
{
    struct cg_hosted *h = &e->hosted;
    int waiting = e->harvest.n - e->harvest.at + e->ready.n;
    h->pace = h->blocked ? 1 : h->pace < STEPS ? h->pace * 2 : STEPS;
    h->blocked = false;
    h->left = waiting > 1 && cg_sibling_idle(e) ? 1 : h->pace;
}

/* Whether there is more to do than this poll did. */
static bool
has_more(const struct cg_engine *e)
{
    bool starts = e->ready.n > 0 && cg_may_run(e);
    return starts || cg_owes(e) || e->hosted.awaited_first != NULL ||
           e->hosted.due != NULL;
}

static void
work(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    int left = STEPS;
    if (e->harvest.at == e->harvest.n) {
        look(x);
    }
    set_pace(e);
    while (left > 0 && step(x)) {
        left--;
    }
    if (e->harvest.at == e->harvest.n) {
        cg_conn_bury(e);
    }
    cg_watch_what_we_can(e);
    set_timer(e);
    if (e->ready.n == 0) {
        if (__builtin_expect(e->overload.above_us != 0, 0)) {
            cg_overload_drained(e);
        }
        e->overload.drained_us = e->now_us;
    }
    /* at once again: more to do, or a deadline left something behind */
    if (left == 0 || has_more(e)) {
        cg_engine_kick(e);
    }
    cg_show_state(x, CG_WORKER_IDLE);
}

bool
cg_engine_poll(struct cg_engine *e, struct cg_executor *x)
{
    if (is_child(e)) {
        return false;
    }
    x->entered = true;
    take_baton(e, x);
    atomic_store(&e->hosted.polling, true);
    if (e->hosted.called) {
        e->hosted.called = false;
        cg_fd_empty(e->hosted.call_fd);
    }
    if (cg_loop_goes_on(x)) {
        work(x);
    }
    atomic_store(&e->hosted.polling, false);
    if (__builtin_expect(cg_http2_is_owed(e), 0)) {
        cg_http2_pump(e);
        cg_engine_kick(e); /* for what it left: streams, deadlines */
    }
    open_baton(e, x);
    return !cg_engine_is_over(e);
}
