/* SPDX-License-Identifier: MIT */
/*
 * Inline executors: who turns the loop runs a request itself, with the baton
 * open meanwhile; the call lives in its frame.
 */
#include "core/engine/exchange/inline.h"

#include "core/engine/exchange/drain.h"
#include "core/engine/exchange/input.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/wire.h"
#include "core/engine/files/offload.h"
#include "core/engine/http1/reply.h"
#include "core/engine/state.h"

/* The fence: who takes the baton first looks for lines then, and the caller
 * has put one just now. One of the two sees the other. */
static bool
wire_leads(const struct cg_exchange *ex)
{
    const struct cg_call *call = (const void *)ex;
    const struct cg_executor *x = call->executor;
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t word = atomic_load(&x->engine->baton.word);
    return cg_baton_owner(word) == (unsigned)x->id;
}

static const struct cg_wire inline_wire = {
    .send = cg_wire_send,
    .send_more = cg_wire_send_more,
    .send_file = cg_wire_send_file,
};

static const struct cg_exchange_ops inline_ops = {
    .body = cg_http1_body,
    .file = cg_http1_file,
    .inform = cg_http1_inform,
    .trailers = cg_http1_trailers,
    .abort = cg_http1_abort,
    .unsent = cg_wire_unsent,
    .pending = cg_wire_pending,
    .drain = cg_wire_drain,
    .read = cg_input_receive,
    .end_input = cg_input_cut,
    .take_over = cg_wire_take_over,
    .late = cg_limit_late,
    .conclude = cg_limit_conclude,
    .leads = wire_leads,
    .offload = cg_offload,
};

/* All of it is sent, and only the baton is missing, which may take a while:
 * from here on the connection waits for its next request. */
static void
mark_early(const struct cg_call *call)
{
    const struct cg_stream *s = call->stream;
    if (call->ex.keep && !call->ex.taken && !call->ex.broken &&
        s->intake == NULL && s->conn->rest_at == s->conn->rest.n &&
        cg_outbox_is_empty(&s->outbox) && !cg_limit_is_on(&call->limit)) {
        cg_conn_kept(call->executor->engine, s->conn);
    }
}

/* What it costs to wake an executor, and the most that one call counts for: one
 * that lost its CPU in the middle says nothing of those that follow. */
enum { WORTH_US = 15, COUNTED_US = 4 * WORTH_US };

/* Where executors do not wait for each other, what is there to be run need not
 * wait for relief to see that a call is long: an idle executor leads on. Not
 * for calls that are over before it has woken. */
static bool
is_crowded(const struct cg_engine *e)
{
    return e->calls_us >= 8 * WORTH_US &&
           (e->harvest.at < e->harvest.n || e->ready.n > 0) &&
           atomic_load_explicit(&e->pool.n, memory_order_relaxed) > 0;
}

static void
measure(struct cg_engine *e, const struct cg_call *call, uint64_t end_us)
{
    uint64_t us = end_us - call->ex.start_us;
    e->calls_us += (us < COUNTED_US ? us : COUNTED_US) - e->calls_us / 8;
}

/* Runs the request; the baton is ours again afterwards. */
static void
run(struct cg_executor *x, struct cg_call *call)
{
    struct cg_engine *e = x->engine;
    bool parallel = __builtin_expect(e->config->parallel, 0);
    bool crowded = parallel && is_crowded(e);
    cg_call_begin(call);
    cg_alarm_expect(&e->relief.alarm, call->ex.start_us);
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    if (crowded) {
        cg_pool_promote(e, mine);
    }
    if (!x->entered) {
        cg_engine_enter(x);
    }
    e->runner.ops->run(e->runner.self, &call->ex);
    uint64_t end_us = cg_call_finish(call);
    mark_early(call);
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        cg_baton_take(&e->baton, (unsigned)x->id);
    }
    if (parallel) {
        measure(e, call, end_us);
    }
    cg_call_end(call, end_us);
}

static void
run_whole(struct cg_executor *x, struct cg_stream *s,
          const struct cg_arrival *a, struct cg_intake *intake)
{
    struct cg_call call;
    cg_call_init(&call, x, s, a->req, a->base);
    call.wire = &inline_wire;
    call.ex.ops = &inline_ops;
    call.ex.body = a->body;
    run(x, &call);
    cg_intake_free(intake);
    s->conn->protocol->on_answered(x->engine, s);
}

static void
run_stream(struct cg_executor *x, struct cg_stream *s)
{
    struct cg_call call;
    cg_call_init_stream(&call, x, s);
    call.wire = &inline_wire;
    call.ex.ops = &inline_ops;
    run(x, &call);
    cg_input_end(x->engine, s, &call);
    s->conn->protocol->on_answered(x->engine, s);
}

/* ---- answers of the engine's own ---- */

uint32_t
cg_inline_open(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (x->id == RELIEF) {
        return 0;
    }
    if (!e->kind->rests_in_app) {
        cg_alarm_expect(&e->relief.alarm, e->now_us);
    }
    return cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
}

void
cg_inline_back(struct cg_executor *x, uint32_t mine)
{
    struct cg_baton *b = &x->engine->baton;
    if (x->id != RELIEF && !cg_baton_back(b, (unsigned)x->id, mine)) {
        cg_baton_take(b, (unsigned)x->id);
    }
}

static void
run_own(struct cg_executor *x, struct cg_call *call,
        void (*answer)(void *self, struct cg_exchange *ex), void *self)
{
    struct cg_engine *e = x->engine;
    call->own = true;
    call->wire = &inline_wire;
    call->ex.ops = &inline_ops;
    call->stream->state = STREAM_RUN;
    uint32_t mine = cg_inline_open(x);
    answer(self, &call->ex);
    if (e->host->answered != NULL) {
        e->host->answered(e->host->self, &call->ex);
    }
    uint64_t end_us = cg_call_finish(call);
    cg_inline_back(x, mine);
    cg_call_end(call, end_us);
}

void
cg_inline_answer(struct cg_executor *x, struct cg_stream *s,
                 const struct cg_arrival *a,
                 void (*answer)(void *self, struct cg_exchange *ex), void *self)
{
    struct cg_call call;
    struct cg_intake *i = s->intake;
    if (__builtin_expect(i != NULL && !i->done, 0)) {
        cg_call_init_stream(&call, x, s);
        run_own(x, &call, answer, self);
        cg_input_end(x->engine, s, &call);
    } else {
        s->intake = NULL;
        cg_call_init(&call, x, s, a->req, a->base);
        call.ex.body = a->body;
        run_own(x, &call, answer, self);
        cg_intake_free(i);
    }
    s->conn->protocol->on_answered(x->engine, s);
}

/* ---- what there is not: a stream is never lent, the loop never called
 * ---- */

static void
no_lent(struct cg_engine *e, struct cg_stream *s)
{
}

static void
no_interrupt(struct cg_engine *e, struct cg_call *call)
{
}

/* It runs in a thread of its own, which may be looked at. */
static bool
no_loop(struct cg_engine *e, struct cg_call *call)
{
    return false;
}

static void
no_call(struct cg_engine *e)
{
}

const struct cg_executor_kind cg_inline_executors = {
    .may_wait = true,
    .run = run_whole,
    .run_stream = run_stream,
    .lent_ready = no_lent,
    .lent_expired = no_lent,
    .lent_broken = no_lent,
    .overdue = no_interrupt,
    .slow = no_loop,
    .relieved = no_call,
};
