/* SPDX-License-Identifier: MIT */
/*
 * The worker of an engine under test, and its runner: a lock in place of the
 * GIL, a function in place of an application, counters of what it was told. A
 * test that wants to hear of something itself changes `host` before the engine
 * is made. Without Check, since a fuzzer uses it, too.
 */
#ifndef CG_TESTS_FAKE_HOST_H
#define CG_TESTS_FAKE_HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/engine/engine.h"

struct fake_host {
    struct cg_host host;     /* for cg_engine_new */
    struct cg_runner runner; /* too */
    /* in place of an application; entered */
    void (*run)(void *self, struct cg_exchange *ex);
    void (*on_awaited)(void *self, struct cg_exchange *ex); /* or NULL */
    void *self;
    pthread_mutex_t gil;
    _Atomic int held, dropped, awaited;
    _Atomic int lines, written; /* of answered requests: waiting, and not */
    _Atomic int refused, stalled;
    _Atomic int overdue, stuck; /* requests with a limit of time */
    _Atomic int late;           /* what became of the last such reply */
    _Atomic int wanted;         /* executors asked for */
    _Atomic int proved;         /* asked so often whether its lock is free */
    _Atomic int troubles;       /* lines about the surroundings */
    char trouble[512];          /* the last one */
    _Atomic int ended;
};

/* ---- the runner ---- */

static inline void
fake_enter(void *self)
{
    pthread_mutex_lock(&((struct fake_host *)self)->gil);
}

static inline void
fake_leave(void *self)
{
    pthread_mutex_unlock(&((struct fake_host *)self)->gil);
}

static inline void
fake_run(void *self, struct cg_exchange *ex)
{
    struct fake_host *f = self;
    f->run(f->self, ex);
}

static inline void
fake_awaited(void *self, struct cg_exchange *ex)
{
    struct fake_host *f = self;
    if (f->on_awaited != NULL) {
        f->on_awaited(f->self, ex);
    }
    atomic_fetch_add(&f->awaited, 1);
}

static inline void
fake_hold(void *self, void *owner)
{
    atomic_fetch_add(&((struct fake_host *)self)->held, 1);
}

static inline void
fake_drop(void *self, void *owner)
{
    atomic_fetch_add(&((struct fake_host *)self)->dropped, 1);
}

/* ---- the worker ---- */

static inline void
fake_nothing(void *self)
{
}

static inline void
fake_refused(void *self, const struct cg_refused *why)
{
    atomic_fetch_add(&((struct fake_host *)self)->refused, 1);
}

static inline void
fake_stalled(void *self, const struct cg_stalled *what)
{
    atomic_fetch_add(&((struct fake_host *)self)->stalled, 1);
}

static inline void
fake_overdue(void *self, const struct cg_exchange *ex, size_t page_n)
{
    struct fake_host *f = self;
    atomic_store(&f->late, cg_exchange_late(ex));
    atomic_fetch_add(&f->overdue, 1);
}

static inline void
fake_stuck(void *self, const struct cg_exchange *ex)
{
    atomic_fetch_add(&((struct fake_host *)self)->stuck, 1);
}

static inline void
fake_trouble(void *self, const char *text)
{
    struct fake_host *f = self;
    snprintf(f->trouble, sizeof f->trouble, "%s", text);
    atomic_fetch_add(&f->troubles, 1);
}

static inline bool
fake_has_lines(void *self)
{
    return atomic_load(&((struct fake_host *)self)->lines) > 0;
}

static inline void
fake_write_lines(void *self)
{
    struct fake_host *f = self;
    atomic_fetch_add(&f->written, atomic_exchange(&f->lines, 0));
}

/* For host.want_executor of a test with several. */
static inline bool
fake_want_executor(void *self)
{
    atomic_fetch_add(&((struct fake_host *)self)->wanted, 1);
    return true;
}

static inline void
fake_over(void *self)
{
    atomic_store(&((struct fake_host *)self)->ended, 1);
}

/* Zeroed memory becomes one whose application is `run`. */
static inline void
fake_host_init(struct fake_host *f, void (*run)(void *, struct cg_exchange *),
               void *self)
{
    static const struct cg_app_ops ops = {
        .enter = fake_enter,
        .leave = fake_leave,
        .run = fake_run,
        .awaited = fake_awaited,
        .hold = fake_hold,
        .drop = fake_drop,
    };
    f->run = run;
    f->self = self;
    pthread_mutex_init(&f->gil, NULL);
    f->runner = (struct cg_runner){&ops, f};
    f->host = (struct cg_host){
        .signals = fake_nothing,
        .refused = fake_refused,
        .stalled = fake_stalled,
        .trouble = fake_trouble,
        .report = fake_nothing,
        .has_lines = fake_has_lines,
        .write_lines = fake_write_lines,
        .overdue = fake_overdue,
        .stuck = fake_stuck,
        .over = fake_over,
        .self = f,
    };
}

#endif
