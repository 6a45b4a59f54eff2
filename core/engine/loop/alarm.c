/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/alarm.h"

#include <sys/timerfd.h>

#define RELAXED memory_order_relaxed

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
