/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/shake.h"

#include "core/engine/conn/preamble.h"
#include "core/engine/conn/rest.h"
#include "core/engine/http1/ending.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/http2/session.h"
#include "core/engine/protocol.h"
#include "core/engine/state.h"

enum { TURN_US = 1000 };

static const struct cg_protocol handshake;

void
cg_shake_begin(struct cg_engine *e, struct cg_conn *c)
{
    c->protocol = &handshake;
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_HEAD,
                    e->now_us);
}

static void
tell_failure(struct cg_engine *e, const struct cg_conn *c, const char *why)
{
    atomic_fetch_add_explicit(&e->slot->shakes_failed, 1, memory_order_relaxed);
    if (e->host->unshaken != NULL) {
        e->host->unshaken(e->host->self, &c->peer, why);
    }
}

static void
drop_state(struct cg_transport_state *s)
{
    struct cg_transport gone = {.fd = -1, .state = s};
    cg_transport_close(&gone);
}

/* ---- the preamble, in plain ---- */

/* False: *ret says what came of it. The bytes behind it are in c->rest. */
static bool
read_preamble(struct cg_executor *x, struct cg_conn *c, enum cg_step *ret)
{
    struct cg_transport_state *s = cg_transport_bare(&c->transport);
    ssize_t n = cg_transport_receive(&c->transport, x->rbuf, sizeof x->rbuf);
    size_t used = 0;
    *ret = n == -EAGAIN ? CG_STEP_MORE : CG_STEP_CLOSE;
    if (n <= 0) {
        c->transport.state = s;
        return false;
    }
    c->stream.state = STREAM_HEAD; /* the time goes on */
    c->protocol = x->engine->protocol;
    enum cg_proxy_status st = cg_preamble_feed(x, c, x->rbuf, (size_t)n, &used);
    if (st == CG_PROXY_REFUSED) {
        drop_state(s);
        *ret = CG_STEP_REFUSED;
        return false;
    }
    c->transport.state = s;
    c->transport.movable = false;
    c->protocol = &handshake;
    c->stream.state = STREAM_FRESH;
    *ret = CG_STEP_MORE;
    if (st != CG_PROXY_MORE && c->rest.n == 0 && used < (size_t)n) {
        cg_buf_put(&c->rest, x->rbuf + used, (size_t)n - used);
    }
    return st != CG_PROXY_MORE && c->rest_at < c->rest.n;
}

/* ---- a step ---- */

static enum cg_shaken
call(struct cg_executor *x, struct cg_conn *c, const char **ret_why)
{
    const struct cg_transport_kind *kind = c->transport.state->kind;
    const char *p = c->rest.p != NULL ? c->rest.p + c->rest_at : NULL;
    size_t n = p != NULL ? c->rest.n - c->rest_at : 0;
    enum cg_shaken what = kind->shake(&c->transport, p, n, ret_why);
    if (what == CG_SHAKEN_ASKS) {
        if (!x->entered) {
            cg_engine_enter(x);
        }
        kind->answer(&c->transport);
        what = kind->shake(&c->transport, NULL, 0, ret_why);
    }
    return what;
}

/* As a request is run: others may turn the loop, nobody touches c. */
static enum cg_shaken
step(struct cg_executor *x, struct cg_conn *c, const char **ret_why)
{
    struct cg_engine *e = x->engine;
    uint64_t start_us = cg_now_us();
    c->stream.state = STREAM_RUN;
    if (x->id != RELIEF) {
        cg_alarm_expect(&e->relief.alarm, start_us);
    }
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    enum cg_shaken what = call(x, c, ret_why);
    uint64_t end_us = cg_now_us();
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        uint32_t seen = cg_baton_take(&e->baton, (unsigned)x->id);
        if (x->id == RELIEF) { /* an executor had the loop, and left it */
            cg_relief_withdraw(e);
            e->relief.intrudes = cg_baton_state(seen) == BATON_WAIT;
        }
    }
    e->now_us = end_us > e->now_us ? end_us : e->now_us;
    e->shaking.spent_us += end_us - start_us;
    c->stream.state = STREAM_FRESH;
    cg_rest_release(e, c);
    return what;
}

static enum cg_step
wait_for_peer(struct cg_engine *e, struct cg_conn *c, unsigned interest)
{
    if (c->stream.deadline.next == NULL) { /* it was over meanwhile */
        cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_FIRST,
                        e->now_us);
    }
    cg_conn_arm(e, c, interest);
    return CG_STEP_MORE;
}

/* Its first request may have come with the handshake. */
static enum cg_step
go_on(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    atomic_fetch_add_explicit(&e->slot->shakes, 1, memory_order_relaxed);
    c->protocol = e->protocol;
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_FIRST,
                    e->now_us);
    cg_conn_arm(e, c, CG_LOOP_READ);
    if (c->transport.state->secure->is_h2 && e->config->http2 != NULL) {
        cg_http2_begin(e, c);
    }
    return c->protocol->on_event(x, c, a);
}

/* Who forgets the s of https hears of it. */
static enum cg_step
refuse_plain(struct cg_engine *e, struct cg_conn *c)
{
    drop_state(cg_transport_bare(&c->transport));
    atomic_fetch_add_explicit(&e->slot->shakes_failed, 1, memory_order_relaxed);
    c->protocol = e->protocol;
    cg_refuse_status(e, c, 400,
                     "Plain HTTP was sent to a port that speaks HTTPS: use "
                     "https://");
    return CG_STEP_REFUSED;
}

static enum cg_step
on_shaken(struct cg_executor *x, struct cg_conn *c, enum cg_shaken what,
          const char *why, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    switch (what) {
    case CG_SHAKEN_MORE:
    case CG_SHAKEN_ASKS: return wait_for_peer(e, c, CG_LOOP_READ);
    case CG_SHAKEN_FULL: return wait_for_peer(e, c, CG_LOOP_WRITE);
    case CG_SHAKEN_DONE: return go_on(x, c, a);
    case CG_SHAKEN_PLAIN: return refuse_plain(e, c);
    case CG_SHAKEN_GONE: break;
    case CG_SHAKEN_FAILED: tell_failure(e, c, why); break;
    }
    return CG_STEP_CLOSE;
}

/* Relief cannot ask Python: who can finds it in the ready queue. */
static enum cg_step
leave_to_others(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_engine *e = x->engine;
    if (x->id == RELIEF && e->config->shakes_ask) {
        cg_conn_disarm(e, c);
        c->stream.ready_us = e->now_us;
        cg_ready_push(e, &c->stream);
        return CG_STEP_MORE;
    }
    c->stream.state = STREAM_FRESH;
    return wait_for_peer(e, c, c->armed ? c->interest : CG_LOOP_READ);
}

static enum cg_step
shake(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    const char *why = "";
    enum cg_step early = CG_STEP_MORE;
    if (e->shaking.spent_us >= TURN_US ||
        (x->id == RELIEF && e->config->shakes_ask)) {
        return leave_to_others(x, c);
    }
    c->stream.state = STREAM_FRESH;
    if (c->preamble && !read_preamble(x, c, &early)) {
        return early == CG_STEP_MORE ? wait_for_peer(e, c, CG_LOOP_READ)
                                     : early;
    }
    enum cg_shaken what = step(x, c, &why);
    return on_shaken(x, c, what, why, a);
}

/* ---- as a protocol ---- */

static enum cg_step
on_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    CG_HAS_BATON(x->engine);
    if (c->stream.state != STREAM_FRESH) { /* not ours now */
        cg_conn_disarm(x->engine, c);
        return CG_STEP_MORE;
    }
    return shake(x, c, a);
}

static enum cg_step
on_queued(struct cg_executor *x, struct cg_stream *s, struct cg_arrival *a)
{
    return shake(x, s->conn, a);
}

static void
on_deadline(struct cg_engine *e, struct cg_stream *s)
{
    if (s->state == STREAM_FRESH) { /* else it gets another one later */
        tell_failure(e, s->conn, "it took too long");
        cg_conn_close(e, s->conn);
    }
}

static void
close_stream(struct cg_engine *e, struct cg_conn *c)
{
    cg_stream_close(e, &c->stream);
}

static const struct cg_protocol handshake = {
    .name = "handshake",
    .on_event = on_event,
    .on_queued = on_queued,
    .on_deadline = on_deadline,
    .on_answered = cg_ending_begin,
    .close = close_stream,
};
