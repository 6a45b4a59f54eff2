/* SPDX-License-Identifier: MIT */
/*
 * Alarm: the timer that wakes relief when a call of the application is long.
 * The leader sets it before the first call after a wait, and clears it before
 * the next wait. The hot path pays two loads for it.
 */
#ifndef CG_ENGINE_ALARM_H
#define CG_ENGINE_ALARM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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
