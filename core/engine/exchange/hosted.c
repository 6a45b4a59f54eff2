/* SPDX-License-Identifier: MIT */
/*
 * The hosted engine: a loop of the host's own (gevent's hub, an IOLoop, an
 * asyncio loop) watches the event set's descriptor and calls in; requests
 * outlive the call that started them (detached.h). Between two polls the baton
 * rests in APP, as during a long call of the application, so that relief may
 * take it. Everything here runs on the thread of the host's loop, but for what
 * asks for it.
 */
#include "core/engine/exchange/hosted.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/engine/conn/give.h"
#include "core/engine/dispatch.h"
#include "core/engine/exchange/detached.h"
#include "core/engine/exchange/lent.h"

enum { STEPS = 256 /* of one poll; the host's other work comes next */ };

#define RELAXED memory_order_relaxed

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

void
cg_hosted_release(struct cg_engine *e)
{
    cg_detached_release(e);
    cg_fd_close(&e->hosted.timer.fd);
    cg_fd_close(&e->hosted.call_fd);
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
    .run = cg_detached_run,
    .run_stream = cg_detached_run_stream,
    .lent_ready = cg_lent_ready,
    .lent_expired = cg_lent_expired,
    .lent_broken = cg_lent_broken,
    .overdue = cg_detached_overdue,
    .slow = cg_detached_slow,
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
        cg_lent_tell_first(x);
        return true;
    }
    if (__builtin_expect(e->hosted.due != NULL, 0)) {
        cg_detached_attend_first(x);
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
    cg_hosted_wake_at(e, due);
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
    if (e->ready.n == 0) {
        if (__builtin_expect(e->overload.above_us != 0, 0)) {
            cg_overload_drained(e);
        }
        e->overload.drained_us = e->now_us;
    }
    set_timer(e);
    /* at once again: more to do, or a deadline left something behind */
    if (left == 0 || has_more(e)) {
        cg_engine_kick(e);
    }
    cg_show_state(x, CG_WORKER_IDLE);
}

bool
cg_engine_poll(struct cg_engine *e, struct cg_executor *x)
{
    if (cg_hosted_is_child(e)) {
        return false;
    }
    x->entered = true;
    cg_hosted_take_baton(e, x);
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
    cg_hosted_open_baton(e, x);
    return !cg_engine_is_over(e);
}
