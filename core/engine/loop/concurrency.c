/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/concurrency.h"

#include "core/engine/state.h"

/* Percent of one CPU, but for SLACK. */
enum {
    FULL = 95,      /* wanted: computing is what they do */
    ROOM = 90,      /* below that others might, too */
    PARALLEL = 150, /* used: they compute outside the host's lock */
    SLACK = 10      /* percent of what was used that tries may cost */
};

enum {
    /* what was found out is good for an overload that comes back so soon */
    KEPT_US = 2 * 1000 * 1000,
    /* what was used before the tries is measured anew */
    STALE_US = 10 * 1000 * 1000
};

#define RELAXED memory_order_relaxed

/* ---- measuring ---- */

static void
pause_tries(struct cg_concurrency *c, const struct cg_concurrency_now *now)
{
    c->step = 0;
    c->again_us = now->us + CG_CONCURRENCY_PAUSE_US;
}

static void
go_back(struct cg_concurrency *c, const struct cg_concurrency_now *now)
{
    c->allowed += c->step;
    c->next_step = c->step > 1 ? c->step / 2 : 1;
    pause_tries(c, now);
}

/* What tries cost counts from there on, so that many small losses are a large
 * one. */
static void
remember(struct cg_concurrency *c, const struct cg_concurrency_now *now,
         uint64_t used)
{
    if (c->allowed >= c->from || now->us - c->from_us > STALE_US) {
        c->from = c->allowed;
        c->from_us = now->us;
        c->from_percent = used;
    }
}

/* More are allowed than there are while others are still to be made. */
static bool
all_run(const struct cg_concurrency *c, const struct cg_concurrency_now *now)
{
    return now->busy >= c->allowed || now->busy == now->made;
}

static void
try_fewer(struct cg_concurrency *c)
{
    int step = c->next_step != 0 ? c->next_step : (c->allowed + 3) / 4;
    int spare = c->allowed - CG_CONCURRENCY_LEAST;
    c->step = step < spare ? step : spare;
    c->allowed -= c->step;
}

static void
allow_more(struct cg_concurrency *c, const struct cg_concurrency_now *now,
           uint64_t wanted)
{
    c->allowed = wanted < ROOM / 2 ? 2 * c->allowed : c->allowed + 1;
    c->allowed = c->allowed < now->all ? c->allowed : now->all;
    c->from = 0;
    pause_tries(c, now);
}

static void
conclude(struct cg_concurrency *c, const struct cg_concurrency_now *now,
         uint64_t used, uint64_t wanted)
{
    bool full = wanted >= FULL && used < PARALLEL;
    bool as_before = used * 100 >= c->from_percent * (100 - SLACK);
    if (c->step != 0 && !(full && as_before)) {
        go_back(c, now);
        return;
    }
    c->step = 0;
    if (wanted < ROOM && c->allowed < now->all) {
        allow_more(c, now, wanted);
    } else if (full && all_run(c, now) && now->busy > CG_CONCURRENCY_LEAST &&
               now->us >= c->again_us) {
        c->allowed = now->busy;
        remember(c, now, used);
        try_fewer(c);
    }
}

void
cg_concurrency_measure(struct cg_concurrency *c,
                       const struct cg_concurrency_now *now)
{
    uint64_t took_us = now->us - c->since_us;
    /* else one of the threads has ended, or there is no window yet */
    bool known = c->since_us != 0 && now->sum.used_us >= c->then.used_us &&
                 now->sum.delayed_us >= c->then.delayed_us;
    if (known && took_us < CG_CONCURRENCY_WINDOW_US) {
        return;
    }
    if (known) {
        uint64_t used = now->sum.used_us - c->then.used_us;
        uint64_t delayed = now->sum.delayed_us - c->then.delayed_us;
        conclude(c, now, used * 100 / took_us,
                 (used + delayed) * 100 / took_us);
    }
    c->since_us = now->us;
    c->then = now->sum;
}

/* ---- of an engine ---- */

static int
busy(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->executors, RELAXED) -
           atomic_load_explicit(&e->pool.n, RELAXED) -
           atomic_load_explicit(&e->pool.leaving, RELAXED);
}

static struct cg_busy_thread
sum_of(const struct cg_concurrency *c)
{
    struct cg_busy_thread sum = {0};
    for (int i = 0; i < CG_BOARD_EXECUTORS; i++) {
        int tid = atomic_load_explicit(&c->tid[i], RELAXED);
        if (tid != 0) {
            struct cg_busy_thread one = cg_busy_of(tid);
            sum.used_us += one.used_us;
            sum.delayed_us += one.delayed_us;
        }
    }
    return sum;
}

static bool
applies(const struct cg_engine *e)
{
    return !e->config->parallel && e->relief.alarm.used &&
           e->config->max_executors > CG_CONCURRENCY_LEAST;
}

void
cg_concurrency_begin(struct cg_engine *e)
{
    struct cg_concurrency *c = &e->concurrency;
    if (!applies(e)) {
        return;
    }
    if (c->allowed == 0 || e->now_us - c->over_us > KEPT_US) {
        c->allowed = e->config->max_executors;
        c->step = c->next_step = c->from = 0;
        c->again_us = 0;
    }
    c->since_us = 0;
    atomic_store_explicit(&c->most, c->allowed, RELAXED);
}

void
cg_concurrency_end(struct cg_engine *e)
{
    e->concurrency.over_us = e->now_us;
    atomic_store_explicit(&e->concurrency.most, 0, RELAXED);
}

void
cg_concurrency_look(struct cg_engine *e)
{
    struct cg_concurrency *c = &e->concurrency;
    CG_HAS_BATON(e);
    if (atomic_load_explicit(&c->most, RELAXED) == 0) {
        return;
    }
    if (busy(e) > c->allowed) {
        c->since_us = 0; /* they come back from their calls one by one */
        return;
    }
    if (e->now_us - c->since_us < CG_CONCURRENCY_WINDOW_US) {
        return;
    }
    const struct cg_concurrency_now now = {
        .us = e->now_us,
        .all = e->config->max_executors,
        .made = atomic_load_explicit(&e->executors, RELAXED),
        .busy = busy(e),
        .sum = sum_of(c)};
    cg_concurrency_measure(c, &now);
    atomic_store_explicit(&c->most, c->allowed, RELAXED);
}

bool
cg_concurrency_is_exceeded(const struct cg_engine *e)
{
    int most = atomic_load_explicit(&e->concurrency.most, RELAXED);
    return most != 0 && busy(e) > most && !e->stop.begun &&
           e->harvest.at == e->harvest.n;
}

bool
cg_concurrency_has_room(const struct cg_engine *e)
{
    int most = atomic_load_explicit(&e->concurrency.most, RELAXED);
    return most == 0 || busy(e) < most;
}
