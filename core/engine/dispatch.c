/* SPDX-License-Identifier: MIT */
#include "core/engine/dispatch.h"

#include "core/base/fd.h"
#include "core/engine/conn/accept.h"
#include "core/engine/conn/adopt.h"
#include "core/engine/conn/ending.h"
#include "core/engine/conn/give.h"
#include "core/engine/conn/receive.h"
#include "core/engine/conn/refuse.h"
#include "core/engine/conn/shake.h"
#include "core/engine/state.h"

/* ---- a request is there ---- */

/* A request that this worker cannot run soon goes to who is free first. */
static bool
goes_away(struct cg_executor *x, struct cg_conn *c, const struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    if (x->id != RELIEF && (!e->harvest.giving || c->state == CONN_READY)) {
        return false;
    }
    if (c->intake != NULL && !c->intake->done) {
        return false; /* its body is still coming */
    }
    e->harvest.giving = false;
    return cg_may_give(e) &&
           cg_give(e, c, (struct cg_slice){a->base, a->req->head_n}, &a->body);
}

/* Whether it must wait its turn: no Python here, or others wait since before it
 * was seen. */
static bool
must_queue(const struct cg_executor *x, const struct cg_conn *c)
{
    return x->id == RELIEF || !cg_may_run(x->engine) ||
           (x->engine->harvest.quota > 0 && c->state != CONN_READY);
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
    return i;
}

static void
run(struct cg_executor *x, struct cg_conn *c, const struct cg_arrival *a)
{
    const struct cg_executor_kind *kind = x->engine->kind;
    struct cg_intake *i = c->intake;
    if (__builtin_expect(i != NULL && !i->done, 0)) {
        kind->run_stream(x, c);
        return;
    }
    c->intake = NULL; /* the call's now: the connection may be closed in it */
    kind->run(x, c, a, i);
}

static void
on_request(struct cg_executor *x, struct cg_conn *c, const struct cg_arrival *a)
{
    if (goes_away(x, c, a)) {
        return;
    }
    if (!must_queue(x, c)) {
        run(x, c, a);
        return;
    }
    if (c->intake == NULL) {
        c->intake = intake_of(x, a);
    }
    cg_ready_push(x->engine, c);
}

static void
on_step(struct cg_executor *x, struct cg_conn *c, enum cg_step step,
        const struct cg_arrival *a)
{
    switch (step) {
    case CG_STEP_REQUEST: on_request(x, c, a); break;
    case CG_STEP_CLOSE: cg_conn_close(x->engine, c); break;
    case CG_STEP_MORE:
    case CG_STEP_REFUSED: break;
    }
}

static void
read_on(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_arrival a;
    on_step(x, c, cg_receive(x, c, &a), &a);
}

/* Its first request may have come with the handshake. */
static void
shake(struct cg_executor *x, struct cg_conn *c)
{
    switch (cg_shake(x, c)) {
    case CG_STEP_REQUEST: read_on(x, c); break;
    case CG_STEP_CLOSE: cg_conn_close(x->engine, c); break;
    case CG_STEP_MORE:
    case CG_STEP_REFUSED: break;
    }
}

static void
begin(struct cg_executor *x, struct cg_conn *c)
{
    if (__builtin_expect(cg_transport_shakes(&c->transport), 0)) {
        cg_shake_begin(x->engine, c);
        shake(x, c);
    } else {
        read_on(x, c);
    }
}

void
cg_dispatch_queued(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_arrival a;
    if (__builtin_expect(cg_transport_is_shaking(&c->transport), 0)) {
        shake(x, c);
        return;
    }
    on_step(x, c, cg_receive_queued(x, c, &a), &a);
}

/* ---- events and deadlines ---- */

void
cg_dispatch_event(struct cg_executor *x, struct cg_conn *c)
{
    switch ((enum cg_conn_state)c->state) {
    case CONN_FRESH:
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_IDLE: read_on(x, c); break;
    case CONN_SHAKE: shake(x, c); break;
    case CONN_FLUSH: cg_ending_flush(x->engine, c); break;
    case CONN_LENT: x->engine->kind->lent_ready(x->engine, c); break;
    case CONN_SKIP: cg_skip(x, c); break;
    case CONN_LINGER: cg_linger(x, c); break;
    case CONN_READY:
    case CONN_RUN: /* not ours now: silence it, it is armed again later */
        cg_conn_disarm(x->engine, c);
        break;
    case CONN_DEAD: break;
    }
}

void
cg_dispatch_expired(struct cg_engine *e, struct cg_conn *c)
{
    switch ((enum cg_conn_state)c->state) {
    case CONN_HEAD:
        cg_refuse_status(e, c, 408, "Request head timed out");
        break;
    case CONN_BODY:
        cg_refuse_status(e, c, 408, "Request body timed out");
        break;
    case CONN_SHAKE: cg_shake_expired(e, c); break;
    case CONN_FRESH:
    case CONN_IDLE:
    case CONN_SKIP:
    case CONN_LINGER: cg_conn_close(e, c); break;
    case CONN_FLUSH: cg_ending_look(e, c); break;
    case CONN_LENT: e->kind->lent_expired(e, c); break;
    case CONN_READY: /* gets a new deadline when it comes back */
    case CONN_RUN:
    case CONN_DEAD: break;
    }
}

/* ---- connections that come ---- */

/* Most often the request is there already: one epoll_ctl saved. */
bool
cg_dispatch_accept_one(struct cg_executor *x, int listener)
{
    struct cg_conn *c = cg_accept_one(x, listener);
    if (c == NULL) {
        return false;
    }
    begin(x, c);
    return true;
}

/* Each is accepted only when the one before has been read, and run if it was a
 * request: so nothing is taken that has to wait here. */
void
cg_dispatch_accept(struct cg_executor *x, int listener)
{
    enum { LONG_US = 500 };
    struct cg_engine *e = x->engine;
    uint64_t start_us = e->now_us;
    int most = cg_accept_most(e), n = 0;
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
                begin(x, c);
            }
        } while (c != NULL && rest);
    }
}

bool
cg_dispatch_adopt(struct cg_executor *x)
{
    struct cg_adoption a;
    enum cg_adopted what = cg_adopt(x, &a);
    if (what == CG_ADOPTED_REQUEST) {
        run(x, a.conn, &a.arrival);
    } else if (what == CG_ADOPTED_FRESH) {
        read_on(x, a.conn);
    }
    cg_fd_close(&a.file);
    return what != CG_ADOPTED_NONE;
}
