/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/detached.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/timerfd.h>

#include "core/base/memory.h"
#include "core/engine/exchange/input.h"
#include "core/engine/exchange/lent.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"

enum {
    SPARE_MAX = 64,        /* calls kept for reuse */
    BYTES_KEEP = 64 * 1024 /* a larger buffer is given back */
};

/* ---- their memory ---- */

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
cg_detached_release(struct cg_engine *e)
{
    while (e->hosted.spare != NULL) {
        struct cg_detached *d = e->hosted.spare;
        e->hosted.spare = d->next;
        free_call(d);
    }
}

/* ---- they begin ---- */

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

void
cg_hosted_wake_at(struct cg_engine *e, uint64_t due_us)
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
        cg_hosted_wake_at(e, due);
    }
}

/* d may be gone when it returns. */
static void
start_call(struct cg_executor *x, struct cg_stream *s, struct cg_detached *d)
{
    struct cg_engine *e = x->engine;
    d->call.ex.ops = &cg_detached_ops;
    d->call.ex.writer = &d->writer;
    d->call.wire = &cg_detached_wire;
    cg_writer_reset(&d->writer);
    d->waits = d->reads = d->rooms = d->ends = d->parks = false;
    d->told = d->lent = d->overdue = d->slow = d->tunnels = false;
    s->call = d;
    e->hosted.in_flight++;
    if (--e->hosted.left <= 0) {
        e->harvest.quota = INT_MAX; /* what else comes is read, and waits */
    }
    cg_call_begin(&d->call);
    expect_block(e, &d->call);
    cg_hosted_open_baton(e, x);
    e->runner.ops->run(e->runner.self, &d->call.ex);
    cg_hosted_take_baton(e, x);
}

void
cg_detached_run_stream(struct cg_executor *x, struct cg_stream *s)
{
    struct cg_detached *d = take_call(x->engine);
    cg_call_init_stream(&d->call, x, s);
    start_call(x, s, d);
}

void
cg_detached_run(struct cg_executor *x, struct cg_stream *s,
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

/* ---- requests that take too long ---- */

static void
put_due(struct cg_engine *e, struct cg_detached *d)
{
    if (!d->overdue && !d->slow) {
        d->due_next = e->hosted.due;
        e->hosted.due = d;
    }
}

void
cg_detached_overdue(struct cg_engine *e, struct cg_call *call)
{
    struct cg_detached *d = cg_detached_of(&call->ex);
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
bool
cg_detached_slow(struct cg_engine *e, struct cg_call *call)
{
    enum { LOOKS = 5 };
    struct cg_detached *d = cg_detached_of(&call->ex);
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
        cg_detached_overdue(e, call);
    }
    return false;
}

/* d may be gone when it returns. */
void
cg_detached_attend_first(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    struct cg_detached *d = e->hosted.due;
    bool slow = d->slow, overdue = d->overdue;
    forget_due(e, d);
    if (slow && overdue) { /* the second comes next */
        cg_detached_overdue(e, &d->call);
    }
    uint64_t waited = cg_slow_so_far(&d->call);
    if (slow) {
        cg_deadline_clear(&d->call.slow.deadline);
    }
    cg_hosted_open_baton(e, x);
    if (slow) {
        e->host->slow_waits(e->host->self, &d->call.ex, waited);
    } else {
        e->runner.ops->interrupt(e->runner.self, &d->call.ex);
    }
    cg_hosted_take_baton(e, x);
}

/* ---- the end of a request ---- */

void
cg_engine_done(struct cg_exchange *ex)
{
    struct cg_detached *d = cg_detached_of(ex);
    struct cg_executor *x = d->call.executor;
    struct cg_engine *e = x->engine;
    struct cg_stream *s = d->call.stream;
    if (!cg_hosted_is_child(e)) {
        cg_lent_reclaim(d);
    }
    uint64_t end_us = cg_call_finish(&d->call);
    cg_hosted_take_baton(e, x);
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
    if (atomic_load_explicit(&e->stop.over, memory_order_relaxed)) {
        cg_conn_close(e, s->conn);
    } else {
        s->conn->protocol->on_answered(e, s);
    }
    /* a request that waited, a line, or the end of a graceful stop */
    if (!e->hosted.polling && (e->ready.n > 0 || e->stop.begun || cg_owes(e))) {
        cg_engine_kick(e);
    }
    cg_hosted_open_baton(e, x);
}
