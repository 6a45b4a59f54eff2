/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/relief.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/busy.h"
#include "core/base/fd.h"
#include "core/engine/conn/give.h"
#include "core/engine/conn/health.h"
#include "core/engine/dispatch.h"
#include "core/engine/loop/stop.h"
#include "core/engine/loop/turn.h"
#include "core/engine/state.h"

enum {
    FAST_US = 250,
    FAST_TICKS = 400, /* long calls come in swarms */
    SLACK_NS = 20000,
    ASK_TICKS = 5 /* how long a new executor may take before relief goes on */
};

#define RELAXED memory_order_relaxed

/* ---- the alarm ---- */

void
cg_alarm_set_to(struct cg_alarm *a, long us)
{
    const struct itimerspec when = {.it_value.tv_nsec = us * 1000};
    timerfd_settime(a->fd, 0, &when, NULL);
}

/* Below one change from idle to busy per tick the alarm is set and cleared and
 * relief sleeps; above, it is left to fire and relief looks once a tick by
 * itself. An alarm older than a tick counts as spent: a stale flag would hide a
 * long call for ever. */
void
cg_alarm_set(struct cg_alarm *a, uint64_t now_us)
{
    if (!a->used || (a->armed && now_us - a->armed_us < CG_ALARM_TICK_US)) {
        return;
    }
    a->armed = true;
    a->lazy = now_us - a->armed_us < CG_ALARM_TICK_US;
    a->armed_us = now_us;
    cg_alarm_set_to(a, CG_ALARM_TICK_US);
}

void
cg_alarm_calm(struct cg_alarm *a)
{
    bool ticking = atomic_load_explicit(&a->ticking, RELAXED) != 0;
    if (a->armed && !a->lazy) {
        a->armed = false;
        if (!ticking) {
            cg_alarm_set_to(a, 0);
        }
    } else if (ticking) {
        a->armed = false;
    }
}

/* ---- the thread ---- */

static void
nap(struct cg_relief *r)
{
    long us = CG_ALARM_TICK_US;
    if (r->fast > 0) {
        r->fast--;
        us = FAST_US;
    }
    const struct timespec t = {.tv_nsec = us * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Sleeps until a call was not over before the alarm. */
static void
doze(struct cg_engine *e)
{
    struct cg_relief *r = &e->relief;
    uint64_t fired;
    atomic_exchange(&r->alarm.ticking, 0);
    /* only a leader that waits now will see the 0 before its next call */
    if (cg_baton_state(atomic_load(&e->baton.word)) == BATON_WAIT &&
        !atomic_load(&e->stop.over)) {
        ssize_t ignored = read(r->alarm.fd, &fired, sizeof fired);
        (void)ignored;
    }
    atomic_store(&r->alarm.ticking, 1);
}

/* Every complete request moves once relief has the loop: it is the server's
 * queue, whoever is free first takes it, oldest first. Until an executor wants
 * the loop: it may run what is left. */
static void
give_ready(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    bool newest = e->overload.standing;
    struct cg_stream *next, *s = newest ? e->ready.last : e->ready.first;
    for (int k = e->ready.n; s != NULL && k > 0 && cg_may_give(e) &&
                             atomic_load_explicit(&e->baton.want, RELAXED) == 0;
         k--) {
        next = newest ? s->qprev : s->qnext;
        cg_ready_take(e, s);
        cg_dispatch_queued(x, s); /* gives it, or queues it again */
        s = next;
    }
}

/* Who asks a server that is blocked for its health, or for a file, gets an
 * answer; what else comes goes to the others, or waits here as it would there.
 */
static void
listen_if_useful(struct cg_engine *e)
{
    bool answers =
        cg_health_is_on(&e->config->health) || e->config->files != NULL;
    if ((!answers || cg_sibling_idle(e)) && !cg_overload_accepts_eagerly(e)) {
        cg_watch_listeners(e, false);
    }
}

void
cg_relief_withdraw(struct cg_engine *e)
{
    e->harvest.relieved = true;
    e->relief.held_us = e->now_us = cg_now_us();
    listen_if_useful(e);
    cg_watch_wakeup(e, false);
    cg_watch_queue(e, false);
    cg_watch_pass_on(e);
    e->kind->relieved(e);
}

/* One step with the baton; false when it was lost. */
static bool
step(struct cg_executor *x)
{
    if (cg_loop_next_event(x)) {
        return true;
    }
    cg_conn_bury(x->engine);
    cg_concurrency_look(x->engine);
    listen_if_useful(x->engine);
    give_ready(x);
    return cg_has_lines(x->engine) ? cg_write_lines(x) : cg_loop_look(x);
}

/* ---- how many run ---- */

static bool
follows_need(const struct cg_engine *e)
{
    return e->config->min_executors != 0;
}

bool
cg_relief_may_grow(const struct cg_engine *e)
{
    return follows_need(e) && atomic_load_explicit(&e->executors, RELAXED) <
                                  e->config->max_executors;
}

/* Whether one more than those that are in calls may run a request. */
static bool
may_run_more(struct cg_engine *e)
{
    if (!cg_concurrency_has_room(e) || !follows_need(e)) {
        return cg_concurrency_has_room(e);
    }
    int made = atomic_load_explicit(&e->executors, RELAXED);
    const struct cg_demand_crew crew = {
        .least = e->config->min_executors,
        .most = e->config->max_executors,
        .made = made,
        .busy = made - atomic_load_explicit(&e->pool.n, RELAXED)};
    return crew.busy < cg_demand_allows(&e->relief.demand, &crew, cg_now_us(),
                                        cg_busy_look);
}

/* While relief has the loop: the calls turned out to wait, so that there is
 * room for another executor. Whoever waits for the host's lock says that there
 * is none. */
static void
grow_if_useful(struct cg_engine *e)
{
    if (cg_relief_may_grow(e) &&
        atomic_load_explicit(&e->pool.n, RELAXED) == 0 &&
        atomic_load_explicit(&e->entering, RELAXED) == 0 && may_run_more(e)) {
        e->host->want_executor(e->host->self);
    }
}

/* An idle executor goes on in relief's place; not while others wait for the
 * host's lock already. */
static bool
is_replaced(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (atomic_load_explicit(&e->pool.n, RELAXED) == 0 ||
        atomic_load_explicit(&e->entering, RELAXED) > 0 || !may_run_more(e)) {
        return false;
    }
    uint32_t mine = cg_baton_open(&e->baton, RELIEF, BATON_APP);
    return cg_pool_promote(e, mine) || !cg_baton_back(&e->baton, RELIEF, mine);
}

/* An executor that waits for events does not know that they were taken from it:
 * it is told, and has the loop again. */
static void
withdraw_from(struct cg_engine *e)
{
    e->relief.intrudes = false;
    cg_baton_free(&e->baton);
    cg_engine_kick(e);
}

/* Turns the loop until somebody who can run requests wants it. */
static void
hold(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    e->relief.intrudes = false;
    cg_relief_withdraw(e);
    atomic_fetch_add_explicit(&e->slot->takeovers, 1, RELAXED);
    while (cg_loop_goes_on(x) &&
           atomic_load_explicit(&e->baton.want, RELAXED) == 0) {
        if (!step(x)) {
            return;
        }
        if (__builtin_expect(e->relief.intrudes, 0)) {
            withdraw_from(e);
            return;
        }
        if (is_replaced(x)) {
            return;
        }
        grow_if_useful(e);
    }
    cg_baton_free(&e->baton);
}

/* Whether executors stand in line for the host's lock while a sibling could
 * answer: another one here would only lengthen the line. */
static bool
is_contended(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->entering, RELAXED) > 0 && cg_may_give(e) &&
           cg_sibling_idle(e);
}

static bool
may_ask_for_executor(struct cg_engine *e)
{
    struct cg_relief *r = &e->relief;
    if (e->host->want_executor == NULL || r->asked >= ASK_TICKS ||
        atomic_load(&e->executors) >= e->config->max_executors) {
        return false;
    }
    r->asked++;
    return e->host->want_executor(e->host->self);
}

static void
on_long_call(struct cg_executor *x, uint32_t seen)
{
    struct cg_engine *e = x->engine;
    struct cg_relief *r = &e->relief;
    bool crowded = is_contended(e) || !may_run_more(e);
    if (!crowded && cg_pool_promote(e, seen)) {
        atomic_fetch_add_explicit(&e->slot->promotions, 1, RELAXED);
        r->fast = FAST_TICKS;
        r->asked = 0;
        return;
    }
    if (!crowded && may_ask_for_executor(e)) {
        return;
    }
    r->asked = 0;
    if (cg_baton_steal(&e->baton, RELIEF, seen)) {
        r->fast = FAST_TICKS;
        hold(x);
    }
}

/* ---- of a hosted engine ---- */

static bool
has_events(const struct cg_engine *e, int timeout_ms)
{
    struct pollfd p = {.fd = e->loop.fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

/*
 * There the baton rests in APP while the host's loop is idle too, so a call is
 * no sign of trouble: events that stay where they are for a tick are. Relief
 * sleeps until there are any; while the loop is busy it looks once a tick.
 */
static void
watch_host(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    uint32_t last = 0;
    while (!atomic_load(&e->stop.over)) {
        uint32_t seen = atomic_load(&e->baton.word);
        bool rests = seen == last && cg_baton_state(seen) == BATON_APP;
        if (rests && !has_events(e, 0)) {
            has_events(e, -1);
            seen = atomic_load(&e->baton.word);
        } else if (rests && cg_baton_steal(&e->baton, RELIEF, seen)) {
            e->relief.fast = FAST_TICKS;
            hold(x);
            seen = 0;
        }
        last = seen;
        nap(&e->relief);
    }
}

static void
watch_leader(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    uint32_t last = 0;
    while (!atomic_load(&e->stop.over)) {
        uint32_t seen = atomic_load(&e->baton.word);
        enum cg_baton_state state = cg_baton_state(seen);
        if (seen == last && state == BATON_APP) {
            on_long_call(x, seen);
            last = 0;
        } else if (seen == last && state == BATON_WAIT) {
            doze(e);
            last = atomic_load(&e->baton.word);
        } else {
            last = seen;
        }
        nap(&e->relief);
    }
}

static void *
relief_main(void *arg)
{
    struct cg_executor *x = arg;
    prctl(PR_SET_NAME, "relief");
    prctl(PR_SET_TIMERSLACK, (unsigned long)SLACK_NS);
    if (x->engine->kind->rests_in_app) {
        watch_host(x);
    } else {
        watch_leader(x);
    }
    return NULL;
}

/* ---- start and end ---- */

int
cg_relief_start(struct cg_engine *e, struct cg_error *err)
{
    struct cg_relief *r = &e->relief;
    r->alarm.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (r->alarm.fd < 0) {
        return cg_error_set(err, errno, "cannot make a timer: %s",
                            strerror(errno));
    }
    r->executor = cg_executor_new(e, RELIEF);
    atomic_store(&r->alarm.ticking, 1);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int failure = pthread_create(&r->thread, NULL, relief_main, r->executor);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    r->alarm.used = failure == 0;
    return failure == 0 ? 0
                        : cg_error_set(err, failure,
                                       "cannot start a thread: %s (a limit on "
                                       "processes or memory?)",
                                       strerror(failure));
}

void
cg_relief_stop(struct cg_engine *e)
{
    struct cg_relief *r = &e->relief;
    if (r->alarm.used) {
        cg_alarm_set_to(&r->alarm, 1);
        cg_engine_kick(e);
        pthread_join(r->thread, NULL);
        r->alarm.used = false;
    }
    cg_executor_free(r->executor);
    r->executor = NULL;
    cg_fd_close(&r->alarm.fd);
}
