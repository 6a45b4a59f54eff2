/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/shake.h"

#include "core/engine/conn/preamble.h"
#include "core/engine/conn/refuse.h"
#include "core/engine/state.h"

enum { TURN_US = 1000 };

void
cg_shake_begin(struct cg_engine *e, struct cg_conn *c)
{
    c->state = CONN_SHAKE;
    cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_HEAD, e->now_us);
}

static void
tell_failure(struct cg_engine *e, const struct cg_conn *c, const char *why)
{
    atomic_fetch_add_explicit(&e->slot->shakes_failed, 1, memory_order_relaxed);
    if (e->host->unshaken != NULL) {
        e->host->unshaken(e->host->self, &c->peer, why);
    }
}

void
cg_shake_expired(struct cg_engine *e, struct cg_conn *c)
{
    tell_failure(e, c, "it took too long");
    cg_conn_close(e, c);
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
    c->state = c->rest.n > 0 ? CONN_HEAD : CONN_SHAKE; /* time goes on */
    enum cg_proxy_status st = cg_preamble_feed(x, c, x->rbuf, (size_t)n, &used);
    if (st == CG_PROXY_REFUSED) {
        struct cg_transport gone = {.fd = -1, .state = s};
        cg_transport_close(&gone);
        *ret = CG_STEP_REFUSED;
        return false;
    }
    c->transport.state = s;
    c->transport.movable = false;
    c->state = CONN_SHAKE;
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
    c->state = CONN_RUN;
    if (x->id != RELIEF) {
        cg_alarm_expect(&e->relief.alarm, start_us);
    }
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    enum cg_shaken what = call(x, c, ret_why);
    uint64_t end_us = cg_now_us();
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        cg_baton_take(&e->baton, (unsigned)x->id);
    }
    e->now_us = end_us > e->now_us ? end_us : e->now_us;
    e->shaking.spent_us += end_us - start_us;
    c->state = CONN_SHAKE;
    cg_buf_release(&c->rest);
    c->rest_at = 0;
    return what;
}

static void
wait_for_peer(struct cg_engine *e, struct cg_conn *c, unsigned interest)
{
    if (c->deadline.next == NULL) { /* it was over meanwhile */
        cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_FIRST, e->now_us);
    }
    cg_conn_arm(e, c, interest);
}

/* Who forgets the s of https hears of it. */
static enum cg_step
refuse_plain(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_transport gone = {.fd = -1,
                                .state = cg_transport_bare(&c->transport)};
    cg_transport_close(&gone);
    atomic_fetch_add_explicit(&e->slot->shakes_failed, 1, memory_order_relaxed);
    cg_refuse_status(e, c, 400,
                     "Plain HTTP was sent to a port that speaks HTTPS: use "
                     "https://");
    return CG_STEP_REFUSED;
}

static enum cg_step
on_shaken(struct cg_engine *e, struct cg_conn *c, enum cg_shaken what,
          const char *why)
{
    switch (what) {
    case CG_SHAKEN_MORE:
    case CG_SHAKEN_ASKS: wait_for_peer(e, c, CG_LOOP_READ); return CG_STEP_MORE;
    case CG_SHAKEN_FULL:
        wait_for_peer(e, c, CG_LOOP_WRITE);
        return CG_STEP_MORE;
    case CG_SHAKEN_DONE:
        atomic_fetch_add_explicit(&e->slot->shakes, 1, memory_order_relaxed);
        c->state = CONN_FRESH;
        cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_FIRST, e->now_us);
        if (c->interest != CG_LOOP_READ || !c->armed) {
            cg_conn_arm(e, c, CG_LOOP_READ);
        }
        return CG_STEP_REQUEST;
    case CG_SHAKEN_PLAIN: return refuse_plain(e, c);
    case CG_SHAKEN_GONE: break;
    case CG_SHAKEN_FAILED: tell_failure(e, c, why); break;
    }
    return CG_STEP_CLOSE;
}

/* Only an executor can ask Python: it finds the connection in the set. */
static bool
is_not_for(const struct cg_executor *x)
{
    return x->engine->shaking.spent_us >= TURN_US ||
           (x->id == RELIEF && x->engine->config->shakes_ask);
}

enum cg_step
cg_shake(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_engine *e = x->engine;
    const char *why = "";
    enum cg_step early = CG_STEP_MORE;
    CG_HAS_BATON(e);
    if (is_not_for(x)) {
        if (x->id == RELIEF && c->armed && e->config->shakes_ask) {
            cg_conn_disarm(e, c);
            cg_ready_push(e, c);
            c->state = CONN_SHAKE;
        } else {
            cg_conn_arm(e, c, c->armed ? c->interest : CG_LOOP_READ);
        }
        return CG_STEP_MORE;
    }
    if (c->preamble && !read_preamble(x, c, &early)) {
        if (early == CG_STEP_MORE) {
            cg_conn_arm(e, c, CG_LOOP_READ);
        }
        return early;
    }
    enum cg_shaken what = step(x, c, &why);
    return on_shaken(e, c, what, why);
}
