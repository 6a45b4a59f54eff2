/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/call.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/uuid.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"
#include "core/engine/outbox/hoard.h"
#include "core/engine/state.h"

#define RELAXED memory_order_relaxed

/* ---- the connection during a call ---- */

static struct cg_call *
call_of(struct cg_exchange *ex)
{
    return (struct cg_call *)(void *)ex;
}

int
cg_wire_fail(struct cg_exchange *ex, int code)
{
    ex->broken = true;
    return code;
}

/* Also in a child that the application forked: the answer is its parent's. */
bool
cg_call_is_closed(const struct cg_call *call)
{
    const struct cg_engine *e = call->executor->engine;
    return call->ex.broken || atomic_load_explicit(&e->forked, RELAXED) != 0;
}

bool
cg_wire_enter(struct cg_exchange *ex)
{
    if (cg_call_is_closed(call_of(ex))) {
        return false;
    }
    CG_OWNS_STREAM(call_of(ex)->stream);
    if (!cg_limit_enter(call_of(ex))) {
        cg_wire_fail(ex, -EPIPE);
        return false;
    }
    return true;
}

/* ---- the scoreboard's part ---- */

static void
copy_text(char *to, size_t size, struct cg_slice from)
{
    size_t n = from.n < size - 1 ? from.n : size - 1;
    if (n > 0) {
        memcpy(to, from.p, n);
    }
    to[n] = '\0';
}

/* Nearly all of them are as long as those that are made here. */
static void
copy_id(char *to, size_t size, struct cg_slice id)
{
    if (id.n == CG_UUID_SIZE) {
        memcpy(to, id.p, CG_UUID_SIZE);
        to[CG_UUID_SIZE] = '\0';
    } else {
        copy_text(to, size, id);
    }
}

static void
flight_begin(struct cg_executor *x, const struct cg_call *call)
{
    struct cg_flight *f = x->flight;
    const struct cg_exchange *ex = &call->ex;
    uint32_t seq = atomic_load_explicit(&f->seq, RELAXED);
    atomic_store_explicit(&f->seq, seq + 1, RELAXED);
    atomic_thread_fence(memory_order_release);
    copy_text(f->method, sizeof f->method,
              cg_span_of(ex->base, ex->req->method));
    copy_text(f->path, sizeof f->path, cg_span_of(ex->base, ex->req->target));
    memcpy(f->peer, ex->peer->addr, sizeof f->peer);
    copy_id(f->id, sizeof f->id, ex->id);
    atomic_store_explicit(&f->since_us, ex->start_us, RELAXED);
    atomic_store_explicit(&f->seq, seq + 2, memory_order_release);
    atomic_store_explicit(&f->running, 1, RELAXED);
    atomic_store_explicit(&x->engine->slot->beat_us, ex->start_us, RELAXED);
}

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
    /* one writer: no locked instruction needed */
    atomic_store_explicit(counter, atomic_load_explicit(counter, RELAXED) + n,
                          RELAXED);
}

static int
log2_of(uint64_t us)
{
    int bits = us != 0 ? 64 - __builtin_clzll(us) : 0;
    return bits < CG_BOARD_HIST ? bits : CG_BOARD_HIST - 1;
}

static void
flight_end(struct cg_executor *x, const struct cg_call *call, uint64_t end_us)
{
    struct cg_flight *f = x->flight;
    const struct cg_exchange *ex = &call->ex;
    int class = ex->status / 100;
    if (!call->own) {
        atomic_store_explicit(&f->running, x->engine->hosted.in_flight > 1,
                              RELAXED);
    }
    struct cg_class_counts *c =
        &f->by_class[class >= 1 && class <= 5 ? class : 0];
    uint64_t app = end_us - ex->start_us;
    uint64_t wait =
        ex->start_us > ex->since_us ? ex->start_us - ex->since_us : 0;
    add(&f->requests, 1);
    add(&f->bytes_out, ex->sent);
    add(&c->requests, 1);
    add(&c->app_us, app);
    add(&c->wait_us, wait);
    add(&c->app_hist[log2_of(app)], 1);
    add(&c->wait_hist[log2_of(wait)], 1);
}

/* ---- begin and end ---- */

/* Nobody is to come back here: this worker stops, or the server is about to
 * and clients shall find another one. */
static bool
is_leaving(const struct cg_engine *e)
{
    return e->stop.begun || atomic_load_explicit(&e->stop.wanted, RELAXED) ||
           atomic_load_explicit(&e->board->head->draining, RELAXED) != 0;
}

static bool
may_keep(const struct cg_engine *e, const struct cg_conn *c,
         const struct cg_request *req)
{
    bool more = c->rest_at < c->rest.n; /* pipelined: it is answered, too */
    return req->keep_alive && !req->force_close &&
           c->requests < e->config->max_keepalive_requests &&
           e->config->keepalive_us != 0 && !c->rest_lost &&
           (more || !is_leaving(e));
}

static const char *
own_date(struct cg_executor *x)
{
    const struct cg_engine *e = x->engine;
    if (x->date_s != e->date_s) {
        x->date_s = e->date_s;
        memcpy(x->date, e->date, sizeof x->date);
    }
    return x->date;
}

static bool
is_at_limit(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->requests, RELAXED) >=
           atomic_load_explicit(&e->request_limit, RELAXED);
}

void
cg_call_begin(struct cg_call *call)
{
    CG_HAS_BATON(call->executor->engine);
    struct cg_engine *e = call->executor->engine;
    call->stream->state = STREAM_RUN;
    add(&e->requests, 1);
    if (__builtin_expect(is_at_limit(e), 0)) {
        call->ex.may_keep = false;
        e->host->retire(e->host->self);
    }
    flight_begin(call->executor, call);
    if (e->config->request_timeout_us != 0) {
        cg_limit_begin(call);
    } else if (__builtin_expect(call->ex.streaming, 0) && e->kind->may_wait) {
        cg_limit_share(call);
    }
    if (__builtin_expect(e->config->slow_request_us != 0, 0)) {
        cg_slow_begin(call);
    }
}

uint64_t
cg_call_finish(struct cg_call *call)
{
    struct cg_engine *e = call->executor->engine;
    if (__builtin_expect(atomic_load_explicit(&e->forked, RELAXED) != 0, 0)) {
        _exit(0); /* a child that returned from the application: not ours */
    }
    if (__builtin_expect(call->ex.blocking, 0)) {
        cg_transport_unblock(call->stream->transport);
    }
    if (__builtin_expect(call->corked.used, 0)) {
        cg_cork_end(call);
    }
    if (cg_limit_is_on(&call->limit)) {
        cg_limit_over(call);
    }
    if (__builtin_expect(call->ex.line != NULL ||
                             !cg_outbox_is_empty(&call->stream->outbox),
                         0)) {
        cg_receipt_make(call);
        cg_hoard_spill_own(call);
    }
    cg_drop_list(&e->runner, call->dropped);
    cg_drop_list(&e->runner, call->spent);
    uint64_t end_us = cg_now_us();
    flight_end(call->executor, call, end_us);
    return end_us;
}

/* One that was promised no end; one with a body, which old clients put a CRLF
 * behind; one whose next bytes are here already. */
static bool
may_be_sending(const struct cg_call *call)
{
    const struct cg_request *req = call->ex.req;
    const struct cg_conn *c = call->stream->conn;
    return req->keep_alive || req->chunked || req->content_length > 0 ||
           c->rest_at < c->rest.n || c->rest_lost;
}

void
cg_call_end(struct cg_call *call, uint64_t end_us)
{
    struct cg_engine *e = call->executor->engine;
    struct cg_stream *s = call->stream;
    CG_HAS_BATON(call->executor->engine);
    if (end_us > e->now_us) {
        e->now_us = end_us;
    }
    call->executor->ran_us = end_us;
    s->keep = call->ex.keep && !call->ex.taken && !s->conn->rest_lost;
    s->broken = call->ex.broken;
    s->polite = may_be_sending(call);
    s->taken = call->ex.blocking && !s->keep;
    if (__builtin_expect(call->stalled_us != 0, 0)) {
        cg_call_stalled(e, call);
    }
    if (cg_limit_is_on(&call->limit)) {
        cg_limit_end(call);
    }
    if (__builtin_expect(call->slow.on, 0)) {
        cg_slow_end(call, end_us);
    }
}

static struct cg_exchange
exchange_of(struct cg_executor *x, struct cg_stream *s,
            const struct cg_request *req, const char *base)
{
    s->conn->requests++;
    return (struct cg_exchange){
        .req = req,
        .base = base,
        .peer = &s->conn->peer,
        .writer = &x->writer,
        .since_us = s->ready_us,
        .start_us = cg_now_us(),
        .listener = s->conn->listener,
        .may_keep = may_keep(x->engine, s->conn, req),
        .is_h2 = s->conn->is_h2,
        .secure = cg_transport_secure(&s->conn->transport),
    };
}

void
cg_call_init(struct cg_call *call, struct cg_executor *x, struct cg_stream *s,
             const struct cg_request *req, const char *base)
{
    call->ex = exchange_of(x, s, req, base);
    call->stream = s;
    call->executor = x;
    call->date = own_date(x);
    cg_writer_reset(&x->writer);
    call->dropped = call->spent = NULL;
    call->corked = (struct cg_corked){0};
    call->own = false;
    call->lost = call->stalled_us = 0;
    call->input = NULL;
    call->input_error = 0;
    atomic_store_explicit(&call->limit.state, 0, RELAXED);
    call->limit.page_n = 0;
    call->slow.on = false;
    call->limit.deadline.next = call->limit.deadline.prev = NULL;
    if (x->engine->config->request_id.field.n > 0) {
        cg_request_id_take(call);
    }
}

void
cg_call_init_stream(struct cg_call *call, struct cg_executor *x,
                    struct cg_stream *s)
{
    struct cg_intake *i = s->intake;
    cg_call_init(call, x, s, &i->req, i->head.p);
    call->input = i;
    call->ex.streaming = true;
    call->ex.body = (struct cg_body){.p = "", .fd = -1};
}
