/* SPDX-License-Identifier: MIT */
#include "core/engine/outbox/progress.h"

uint64_t
cg_progress_look(struct cg_progress *p, uint64_t gone,
                 const struct cg_transport *t, uint64_t now_us)
{
    uint32_t held = cg_transport_held(t);
    if (p->since_us == 0 || gone != p->gone || held < p->held || t->patient) {
        p->since_us = now_us;
    }
    p->gone = gone;
    p->held = held;
    /* looks of another thread may have been later than the caller's clock */
    return now_us > p->since_us ? now_us - p->since_us : 0;
}
