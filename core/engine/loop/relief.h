/* SPDX-License-Identifier: MIT */
/*
 * Relief: a thread without Python that sleeps until a call of the application
 * is long (2-4 ms; 0.25-0.5 ms while they keep coming). Then it lets an idle
 * executor go on, or turns the loop itself: reads, flushes, keeps deadlines,
 * and gives complete requests to siblings.
 *
 * Its alarm is a timer that the leader sets before the first call after a wait,
 * and clears before the next wait. The hot path pays two loads for it.
 */
#ifndef CG_ENGINE_RELIEF_H
#define CG_ENGINE_RELIEF_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/engine/loop/demand.h"
#include "core/engine/loop/executor.h"

enum { CG_ALARM_TICK_US = 2000 };

struct cg_alarm {
    /* with the baton */
    bool armed;        /* it is set */
    bool lazy;         /* and left to fire */
    uint64_t armed_us; /* since then */
    /* of who starts and stops relief */
    bool used; /* somebody sleeps on it */
    int fd;
    /* 1: relief looks every tick; becomes 0 only while the baton is in WAIT */
    _Alignas(64) _Atomic int ticking;
};

struct cg_relief {
    struct cg_alarm alarm;
    /* the thread's own */
    uint64_t held_us; /* it has the loop since then */
    int fast;         /* short naps left */
    int asked;        /* ticks since the host was asked for an executor */
    bool intrudes;    /* it took the loop from an executor that waits in it */
    struct cg_demand demand;
    struct cg_executor *executor;
    pthread_t thread;
};

/* Once, after the last fork of the worker's own. */
int cg_relief_start(struct cg_engine *e, struct cg_error *err);
void cg_relief_stop(struct cg_engine *e);
/* By relief, whenever it has taken the loop: what only an executor may react to
 * leaves the set, and the executors hear of it. */
void cg_relief_withdraw(struct cg_engine *e);
/* Whether executors come with need, and there may be more. */
bool cg_relief_may_grow(const struct cg_engine *e);

/* us from now; 0: never. */
void cg_alarm_set_to(struct cg_alarm *a, long us);
/* With the baton, before a call; before a wait. */
void cg_alarm_set(struct cg_alarm *a, uint64_t now_us);
void cg_alarm_calm(struct cg_alarm *a);

/* Before a call of the application, with the baton. */
static inline void
cg_alarm_expect(struct cg_alarm *a, uint64_t now_us)
{
    if (__builtin_expect(atomic_load(&a->ticking) == 0, 0)) {
        cg_alarm_set(a, now_us);
    }
}

#endif
