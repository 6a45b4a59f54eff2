/* SPDX-License-Identifier: MIT */
#include "core/engine/dispatch.h"

#include "core/engine/conn/accept.h"
#include "core/engine/conn/adopt.h"
#include "core/engine/conn/give.h"
#include "core/engine/conn/health.h"
#include "core/engine/files/answer.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/protocol.h"
#include "core/engine/queue.h"
#include "core/engine/state.h"

/* ---- a request is there ---- */

/* One whose connection cannot move is lent, which costs more than most calls
 * take: so only when a long call keeps it. At once for a sibling that is idle,
 * one of those that came together; the others wait whether the call ends. */
static bool
may_go(const struct cg_executor *x, const struct cg_stream *s,
       const struct cg_arrival *a)
{
    enum { WORTH_US = 1000 };
    const struct cg_engine *e = x->engine;
    if (cg_transport_is_plain(&s->conn->transport)) {
        return true;
    }
    return x->id == RELIEF && cg_loan_may_begin(e, s, a->req) &&
           (e->now_us >= s->ready_us + WORTH_US ||
            (e->loans.last_us != e->now_us && cg_sibling_idle(e)));
}

/* A request that this worker cannot run soon goes to who is free first. */
static bool
goes_away(struct cg_executor *x, struct cg_stream *s,
          const struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    if (x->id != RELIEF && (!e->harvest.giving || s->state == STREAM_READY)) {
        return false;
    }
    if (s->intake != NULL && !s->intake->done) {
        return false; /* its body is still coming */
    }
    e->harvest.giving = false;
    return cg_may_give(e) && may_go(x, s, a) && cg_give(e, s, a);
}

/* Whether it must wait its turn: no Python here, or others wait since before it
 * was seen. */
static bool
must_queue(const struct cg_executor *x, const struct cg_stream *s)
{
    return x->id == RELIEF || !cg_may_run(x->engine) ||
           (x->engine->harvest.quota > 0 && s->state != STREAM_READY);
}

/* The thread's buffers are used again before it runs. */
static struct cg_intake *
intake_of(struct cg_executor *x, const struct cg_arrival *a)
{
    struct cg_intake *i = cg_intake_new();
    cg_intake_take_head(i, &x->req, a->base);
    cg_buf_put(&i->body, a->body.p, (size_t)a->body.n);
    i->body_n = a->body.n;
    i->done = true;
    cg_intake_count(i, &x->engine->config->intake);
    return i;
}

static void
run(struct cg_executor *x, struct cg_stream *s, const struct cg_arrival *a)
{
    const struct cg_executor_kind *kind = x->engine->kind;
    struct cg_intake *i = s->intake;
    if (__builtin_expect(i != NULL && !i->done, 0)) {
        kind->run_stream(x, s);
        return;
    }
    s->intake = NULL; /* the call's now: the connection may be closed in it */
    kind->run(x, s, a, i);
}

static void
put_in_queue(struct cg_executor *x, struct cg_stream *s,
             const struct cg_arrival *a)
{
    s->exempt = cg_queue_is_exempt(x->engine, a);
    if (s->intake == NULL) {
        s->intake = intake_of(x, a);
    }
    cg_ready_push(x->engine, s);
}

static void
on_request(struct cg_executor *x, struct cg_stream *s,
           const struct cg_arrival *a)
{
    if (__builtin_expect(cg_health_may_be(&x->engine->config->health, a->req),
                         0) &&
        cg_health_answer(x->engine, s, a)) {
        return;
    }
    const struct cg_engine *e = x->engine;
    if (__builtin_expect(e->config->redirect_port != 0, 0) &&
        cg_transport_secure(&s->conn->transport) == NULL && !cg_is_held(e)) {
        cg_redirect(x->engine, s->conn, a->req, a->base,
                    e->config->redirect_port);
        return;
    }
    if (__builtin_expect(e->config->files != NULL, 0) &&
        cg_files_answer(x, s, a)) {
        return;
    }
    if (goes_away(x, s, a)) {
        return;
    }
    if (!must_queue(x, s)) {
        run(x, s, a);
        return;
    }
    put_in_queue(x, s, a);
}

static void
on_step(struct cg_executor *x, struct cg_stream *s, enum cg_step step,
        const struct cg_arrival *a)
{
    switch (step) {
    case CG_STEP_REQUEST: on_request(x, s, a); break;
    case CG_STEP_CLOSE: cg_conn_close(x->engine, s->conn); break;
    case CG_STEP_MORE:
    case CG_STEP_REFUSED: break;
    }
}

void
cg_dispatch_queued(struct cg_executor *x, struct cg_stream *s)
{
    struct cg_arrival a;
    on_step(x, s, s->conn->protocol->on_queued(x, s, &a), &a);
}

/* A loop of the host's comes back for the next one when it has time again: so
 * long the one before took. */
static void
hand_over_in_turn(struct cg_executor *x, struct cg_stream *s)
{
    struct cg_overload *o = &x->engine->overload;
    bool oldest = o->oldest;
    cg_overload_spent(x->engine, o->oldest_run > 0,
                      x->engine->now_us - o->taken_us);
    o->oldest_run = oldest;
    o->taken_us = x->engine->now_us;
    cg_dispatch_queued(x, s);
}

/* While the queue stands: what it takes is counted. */
static void
run_in_turn(struct cg_executor *x, struct cg_stream *s)
{
    struct cg_engine *e = x->engine;
    bool oldest = e->overload.oldest;
    uint64_t start_us = e->now_us;
    cg_concurrency_look(e);
    e->overload.oldest_run += oldest;
    cg_dispatch_queued(x, s);
    e->overload.oldest_run -= oldest;
    cg_overload_spent(e, oldest, e->now_us - start_us);
}

void
cg_dispatch_next(struct cg_executor *x)
{
    const struct cg_engine *e = x->engine;
    struct cg_stream *s = cg_queue_next(x->engine);
    if (s == NULL) {
        return;
    }
    if (__builtin_expect(!e->overload.standing, 1)) {
        cg_dispatch_queued(x, s);
    } else if (e->kind->rests_in_app) {
        hand_over_in_turn(x, s);
    } else {
        run_in_turn(x, s);
    }
}

void
cg_dispatch_event(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_arrival a;
    on_step(x, &c->stream, c->protocol->on_event(x, c, &a), &a);
}

void
cg_dispatch_expired(struct cg_engine *e, struct cg_stream *s)
{
    s->conn->protocol->on_deadline(e, s);
}

/* ---- connections that come ---- */

/* Most often the request is there already: one epoll_ctl saved. */
bool
cg_dispatch_accept_one(struct cg_executor *x, int listener)
{
    struct cg_engine *e = x->engine;
    struct cg_conn *c = cg_accept_one(x, listener);
    if (c == NULL) {
        return false;
    }
    bool waits = x->id == RELIEF || e->overload.standing;
    uint64_t waited_us =
        __builtin_expect(waits, 0) ? cg_transport_silent_us(&c->transport) : 0;
    cg_dispatch_event(x, c);
    if (__builtin_expect(waited_us != 0, 0) &&
        c->stream.state == STREAM_READY && c->stream.ready_us > waited_us) {
        /* it has waited since it was sent */
        cg_ready_take(e, &c->stream);
        c->stream.ready_us -= waited_us;
        cg_ready_push(e, &c->stream);
    }
    return true;
}

/* Each is accepted only when the one before has been read, and run if it was a
 * request: so nothing is taken that has to wait here. While the queue stands
 * all wait here: the newest, which is next, is at the end of the kernel's. */
void
cg_dispatch_accept(struct cg_executor *x, int listener)
{
    enum { LONG_US = 500 };
    struct cg_engine *e = x->engine;
    uint64_t start_us = e->now_us;
    int most = cg_accept_most(x), n = 0;
    while (n < most && e->now_us - start_us < LONG_US &&
           cg_dispatch_accept_one(x, listener)) {
        n++;
    }
    cg_accept_learn(e, most, n);
}

void
cg_dispatch_accept_rest(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    bool all = atomic_load(&e->board->head->closing) != 0;
    struct cg_conn *c;
    for (int i = 0; (all || e->watches.listeners_on) && i < e->accept.n; i++) {
        bool rest = all && !e->accept.listeners[i].adopted;
        /* the kernel woke us, and us only, for the first; while others accept,
         * the queue may never be empty, and loses nothing */
        do {
            c = cg_accept_from(x, i);
            if (c != NULL) {
                cg_dispatch_event(x, c);
            }
        } while (c != NULL && rest);
    }
}

void
cg_dispatch_offered(struct cg_executor *x)
{
    struct cg_conn *c = cg_accept_offered(x->engine);
    if (c != NULL) {
        cg_dispatch_event(x, c);
    }
}

/* While the queue stands what the others gave is a part of it. */
static void
on_adopted(struct cg_executor *x, struct cg_stream *s,
           const struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    if (!cg_queue_admits(e, s, a)) {
        return;
    }
    if (e->overload.standing) {
        put_in_queue(x, s, a);
    } else {
        run(x, s, a);
    }
}

bool
cg_dispatch_adopt(struct cg_executor *x)
{
    struct cg_adoption a;
    enum cg_adopted what = cg_adopt(x, &a);
    if (what == CG_ADOPTED_REQUEST) {
        on_adopted(x, &a.conn->stream, &a.arrival);
    } else if (what == CG_ADOPTED_FRESH) {
        cg_dispatch_event(x, a.conn);
    }
    return what != CG_ADOPTED_NONE;
}
