/* SPDX-License-Identifier: MIT */
/*
 * The limit of a request: what happens when the application takes longer than
 * request_timeout. The stream is the executor's then, so the two agree by
 * one word, its state: the wire's functions are BUSY while they touch it, and
 * who keeps the deadlines closes an OPEN one for good. From then on it is his:
 * a client that heard nothing yet gets a 504, any other a cut.
 *
 * The descriptor stays the connection's until the executor comes back, however
 * late: it may still hold the number. What it sends goes nowhere, since the
 * state is not OPEN any more, and the socket is shut for writing.
 */
#include <sched.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/state.h"
#include "core/http/reply.h"

enum limit_state {
    LIMIT_OFF,      /* no limit: nobody looks at it */
    LIMIT_OPEN,     /* the executor is not in the wire */
    LIMIT_BUSY,     /* it is */
    LIMIT_CLOSING,  /* the deadline is over, who noticed writes the end */
    LIMIT_ANSWERED, /* a 504 went out */
    LIMIT_CUT,      /* the connection was cut */
    LIMIT_WHOLE,    /* the reply was complete, the call goes on */
    LIMIT_OVER,     /* the call ended in time */
    LIMIT_STATES = 15,
    /* flags beside the state */
    LIMIT_HEAD = 16,  /* the head of the reply was sent, or a part of it */
    LIMIT_SENT = 32,  /* so was all of it */
    LIMIT_TAKEN = 64, /* the socket is the application's: no limit any more */
};

static enum limit_state
state_of(uint32_t word)
{
    return (enum limit_state)(word & LIMIT_STATES);
}

static uint32_t
with_state(uint32_t word, enum limit_state state)
{
    return (word & ~(uint32_t)LIMIT_STATES) | (uint32_t)state;
}

static bool
change(struct cg_limit *l, uint32_t seen, enum limit_state state)
{
    return atomic_compare_exchange_strong(&l->state, &seen,
                                          with_state(seen, state));
}

/* ---- the executor's side ---- */

static bool
is_forked(const struct cg_call *call)
{
    return atomic_load_explicit(&call->executor->engine->forked,
                                memory_order_relaxed) != 0;
}

/* Another thread of the application may be in the wire, or the one who keeps
 * the deadlines at work: neither blocks there. In a child of the application
 * there is none of them, and nothing to be sent. */
static uint32_t
at_rest(struct cg_call *call)
{
    uint32_t seen;
    while (state_of(seen = atomic_load(&call->limit.state)) == LIMIT_BUSY ||
           state_of(seen) == LIMIT_CLOSING) {
        if (is_forked(call)) {
            return LIMIT_CUT;
        }
        sched_yield();
    }
    return seen;
}

static bool
is_late(uint32_t word)
{
    enum limit_state state = state_of(word);
    return state == LIMIT_CLOSING || state == LIMIT_ANSWERED ||
           state == LIMIT_CUT || state == LIMIT_WHOLE;
}

bool
cg_limit_enter_slow(struct cg_call *call)
{
    for (;;) {
        uint32_t seen = at_rest(call);
        if (state_of(seen) != LIMIT_OPEN) {
            return false;
        }
        if (change(&call->limit, seen, LIMIT_BUSY)) {
            return true;
        }
    }
}

void
cg_limit_leave_slow(struct cg_call *call)
{
    _Atomic uint32_t *word = &call->limit.state;
    uint32_t head = call->ex.status != 0 ? (uint32_t)LIMIT_HEAD : 0u;
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);
    /* another thread may raise a flag meanwhile */
    while (!atomic_compare_exchange_weak(word, &seen,
                                         with_state(seen | head, LIMIT_OPEN))) {
    }
}

static void
flag(struct cg_exchange *ex, enum limit_state bit)
{
    struct cg_limit *l = &((struct cg_call *)(void *)ex)->limit;
    if (cg_limit_is_on(l)) {
        atomic_fetch_or(&l->state, (uint32_t)bit);
    }
}

void
cg_limit_taken(struct cg_exchange *ex)
{
    flag(ex, LIMIT_TAKEN);
}

void
cg_limit_sent(struct cg_exchange *ex)
{
    flag(ex, LIMIT_SENT);
}

enum cg_late
cg_limit_late(const struct cg_exchange *ex)
{
    struct cg_call *call = (struct cg_call *)(void *)(size_t)ex;
    if (!cg_limit_is_late(call)) {
        return CG_LATE_NO;
    }
    enum limit_state state = state_of(at_rest(call));
    return state == LIMIT_ANSWERED ? CG_LATE_ANSWERED
           : state == LIMIT_CUT    ? CG_LATE_CUT
                                   : CG_LATE_SENT;
}

enum cg_late
cg_limit_conclude(struct cg_exchange *ex)
{
    enum cg_late late = cg_limit_late(ex);
    switch (late) {
    case CG_LATE_NO:
    case CG_LATE_SENT: break;
    case CG_LATE_CUT:
        ex->keep = false;
        ex->broken = true;
        break;
    case CG_LATE_ANSWERED: /* what the application said reached nobody */
        ex->keep = false;
        ex->status = 504;
        ex->sent = ((struct cg_call *)(void *)ex)->limit.page_n;
        cg_writer_close(ex->writer);
        break;
    }
    return late;
}

bool
cg_limit_is_late(const struct cg_call *call)
{
    return is_late(atomic_load(&call->limit.state));
}

/* ---- the side of who keeps the deadlines ---- */

static struct cg_call *
call_of(struct cg_deadline *d)
{
    return (struct cg_call *)(void *)((char *)d -
                                      offsetof(struct cg_call, limit.deadline));
}

/* Complete, or not at all. */
static bool
send_page(struct cg_engine *e, struct cg_call *call)
{
    cg_auto(buf) struct cg_buf page = {0};
    bool head = call->ex.req->method_is_head;
    size_t body = cg_error_page(&page, 504, CG_SLICE(""), e->config->server,
                                e->date, call->ex.req->minor, head);
    struct iovec part = {page.p, page.n};
    ssize_t n = cg_transport_send(call->stream->transport, &part, 1, false);
    call->limit.page_n = head ? 0 : body;
    return n == (ssize_t)page.n;
}

/* A reset, so that nobody takes what came for all of it: not even HTTP/1.0,
 * whose bodies end with the connection. The thread that sends what waits has to
 * be between two blocks. */
static void
reset(struct cg_cork *cork, struct cg_stream *s)
{
    pthread_mutex_lock(&cork->lock);
    cg_transport_reset(s->transport);
    pthread_mutex_unlock(&cork->lock);
}

static void
cut(struct cg_engine *e, struct cg_stream *s)
{
    reset(&e->cork, s);
    if (s->state == STREAM_LENT) {
        e->kind->lent_broken(e, s);
    }
}

static enum limit_state
end_reply(struct cg_engine *e, struct cg_call *call, uint32_t seen)
{
    struct cg_stream *s = call->stream;
    if ((seen & LIMIT_SENT) != 0) {
        return LIMIT_WHOLE;
    }
    if ((seen & LIMIT_HEAD) == 0 && cg_outbox_is_empty(&s->outbox) &&
        !call->ex.blocking && send_page(e, call)) {
        cg_transport_end(s->transport);
        return LIMIT_ANSWERED;
    }
    cut(e, s);
    return LIMIT_CUT;
}

static void
on_limit(struct cg_engine *e, struct cg_call *call)
{
    struct cg_limit *l = &call->limit;
    uint32_t seen = atomic_load(&l->state);
    if ((seen & LIMIT_TAKEN) != 0 || state_of(seen) == LIMIT_OVER) {
        return;
    }
    if (state_of(seen) != LIMIT_OPEN || !change(l, seen, LIMIT_CLOSING)) {
        cg_deadline_set(&e->deadlines, &l->deadline, DEADLINE_RETRY, e->now_us);
        return;
    }
    atomic_store(&l->state, with_state(seen, end_reply(e, call, seen)));
    cg_deadline_set(&e->deadlines, &l->deadline, DEADLINE_GRACE, e->now_us);
    e->kind->overdue(e, call);
    e->host->overdue(e->host->self, &call->ex, l->page_n);
    cg_expect_report(e);
}

void
cg_limit_expire(struct cg_engine *e, struct cg_deadline *d)
{
    struct cg_call *call = call_of(d);
    if (d->list != DEADLINE_GRACE) {
        on_limit(e, call);
    } else if (is_late(atomic_load(&call->limit.state))) {
        e->host->stuck(e->host->self, &call->ex);
        e->kind->overdue(e, call);
    }
}

/* ---- begin and end ---- */

void
cg_limit_begin(struct cg_call *call)
{
    struct cg_engine *e = call->executor->engine;
    struct cg_limit *l = &call->limit;
    atomic_store_explicit(&l->state, LIMIT_OPEN, memory_order_relaxed);
    cg_deadline_set(&e->deadlines, &l->deadline, DEADLINE_LIMIT,
                    call->ex.start_us);
}

void
cg_limit_share(struct cg_call *call)
{
    atomic_store_explicit(&call->limit.state, LIMIT_OPEN, memory_order_relaxed);
}

void
cg_limit_over(struct cg_call *call)
{
    uint32_t seen;
    do {
        seen = at_rest(call);
    } while (state_of(seen) == LIMIT_OPEN &&
             !change(&call->limit, seen, LIMIT_OVER));
}

void
cg_limit_end(struct cg_call *call)
{
    struct cg_stream *s = call->stream;
    cg_deadline_clear(&call->limit.deadline);
    switch (cg_limit_late(&call->ex)) {
    case CG_LATE_ANSWERED: /* the page must not be lost by an abrupt end */
        s->keep = s->broken = false;
        s->polite = true;
        break;
    case CG_LATE_CUT: s->broken = true; break;
    case CG_LATE_NO:
    case CG_LATE_SENT: break;
    }
}
