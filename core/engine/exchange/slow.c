/* SPDX-License-Identifier: MIT */
/*
 * Slow requests. The deadline is kept like that of request_timeout, from the
 * start of the application; who finds it over asks the host to tell the stack,
 * which may take a moment, so it asks again. At the end the whole time counts,
 * from the complete request to the last byte that the peer took.
 */
#include "core/engine/exchange/slow.h"

#include "core/engine/state.h"
#include "core/exchange/queue.h"

#define RELAXED memory_order_relaxed

enum { TARGET_MAX = 1024, METHOD_MAX = 32 };

static uint64_t
since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* ---- waiting for the peer ---- */

static uint64_t
get(const _Atomic uint64_t *us)
{
    return atomic_load_explicit(us, RELAXED);
}

static void
set(_Atomic uint64_t *us, uint64_t to)
{
    atomic_store_explicit(us, to, RELAXED);
}

/* The socket is the application's. */
static bool
is_taken(const struct cg_call *call)
{
    return get(&call->slow.waited_us) == UINT64_MAX;
}

uint64_t
cg_slow_so_far(const struct cg_call *call)
{
    const struct cg_slow *s = &call->slow;
    if (!s->on || is_taken(call)) {
        return 0;
    }
    uint64_t begun = get(&s->since_us);
    return get(&s->waited_us) + (begun != 0 ? since(cg_now_us(), begun) : 0);
}

void
cg_slow_waits(struct cg_call *call)
{
    if (call->slow.on) {
        set(&call->slow.since_us, cg_now_us());
    }
}

void
cg_slow_goes_on(struct cg_call *call)
{
    if (call->slow.on && get(&call->slow.since_us) != 0 && !is_taken(call)) {
        set(&call->slow.waited_us, cg_slow_so_far(call));
        set(&call->slow.since_us, 0);
    }
}

/* The deadline stays in its list, and finds nothing to tell. */
void
cg_slow_taken(struct cg_exchange *ex)
{
    struct cg_call *call = (struct cg_call *)(void *)ex;
    if (call->slow.on) {
        set(&call->slow.waited_us, UINT64_MAX);
    }
}

/* ---- the moment ---- */

static struct cg_call *
call_of(struct cg_deadline *d)
{
    return (struct cg_call *)(void *)((char *)d -
                                      offsetof(struct cg_call, slow.deadline));
}

void
cg_slow_begin(struct cg_call *call)
{
    struct cg_engine *e = call->executor->engine;
    struct cg_slow *s = &call->slow;
    s->on = true;
    s->asked = false;
    s->looks = 0;
    s->thread = pthread_self();
    set(&s->since_us, 0);
    set(&s->waited_us, 0);
    s->deadline.next = s->deadline.prev = NULL;
    cg_deadline_set(&e->deadlines, &s->deadline, DEADLINE_SLOW,
                    call->ex.start_us);
}

void
cg_slow_expire(struct cg_engine *e, struct cg_deadline *d)
{
    struct cg_call *call = call_of(d);
    struct cg_slow *s = &call->slow;
    if (is_taken(call)) {
        return;
    }
    if (!s->asked && e->kind->slow(e, call)) {
        cg_deadline_set(&e->deadlines, d, DEADLINE_SLOW_AGAIN, e->now_us);
        return;
    }
    s->asked = !e->host->slow(e->host->self, &call->ex, s->thread,
                              cg_slow_so_far(call));
    if (s->asked) {
        cg_deadline_set(&e->deadlines, d, DEADLINE_SLOW_AGAIN, e->now_us);
    }
    cg_expect_report(e);
}

/* ---- the end ---- */

static struct cg_slice
cut(struct cg_slice s, size_t most)
{
    return (struct cg_slice){s.p, s.n < most ? s.n : most};
}

static struct cg_slow_tale
tale_of(const struct cg_call *call, uint64_t end_us)
{
    const struct cg_exchange *ex = &call->ex;
    uint64_t all = since(end_us, ex->start_us), waited = cg_slow_so_far(call);
    return (struct cg_slow_tale){
        .peer = ex->peer,
        .method = cut(cg_span_of(ex->base, ex->req->method), METHOD_MAX),
        .target = cut(cg_span_of(ex->base, ex->req->target), TARGET_MAX),
        .id = ex->id,
        .status = ex->status,
        .queue_us = cg_exchange_queue_us(ex),
        .app_us = since(all, waited),
        .send_us = waited,
    };
}

void
cg_slow_end(struct cg_call *call, uint64_t end_us)
{
    struct cg_engine *e = call->executor->engine;
    struct cg_receipt *r = call->stream->receipt;
    cg_deadline_clear(&call->slow.deadline);
    if (call->slow.asked) {
        e->host->slow_over(e->host->self, &call->ex);
    }
    if (is_taken(call)) {
        return;
    }
    struct cg_slow_tale tale = tale_of(call, end_us);
    if (r != NULL) { /* its peer has not taken all of it */
        r->slow = true;
        r->tale = tale;
        r->since_us = call->ex.since_us;
        r->end_us = end_us;
    } else if (since(end_us, call->ex.since_us) >= e->config->slow_request_us) {
        e->host->slow_ended(e->host->self, &tale);
        cg_expect_report(e);
    }
}

void
cg_slow_sent(struct cg_engine *e, struct cg_stream *s, struct cg_receipt *r)
{
    uint64_t now = cg_now_us();
    if (since(now, r->since_us) < e->config->slow_request_us) {
        return;
    }
    r->tale.peer = &s->conn->peer;
    r->tale.method = (struct cg_slice){r->text, r->method_n};
    r->tale.target = (struct cg_slice){r->text + r->method_n, r->target_n};
    r->tale.id =
        (struct cg_slice){r->text + r->method_n + r->target_n, r->id_n};
    r->tale.send_us += since(now, r->end_us);
    r->tale.unsent = r->unsent;
    e->host->slow_ended(e->host->self, &r->tale);
    cg_expect_report(e);
}
