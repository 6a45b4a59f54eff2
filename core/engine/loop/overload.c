/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/overload.h"

#include <string.h>

#include "core/engine/conn/give.h"
#include "core/engine/state.h"

enum {
    SHARE = 16,
    /* so much time the oldest have had when it begins: until then they went
     * first, and one that is over in some seconds serves them at its end */
    FIRST_US = 500 * 1000,
    /* an overload that is over sooner is not worth a line */
    TELL_US = 1000 * 1000,
    /* relief accepts no more when nobody came back from a call for so long: if
     * the worker hangs, who waits is better off in the kernel */
    FLOW_US = 250 * 1000
};

#define RELAXED memory_order_relaxed

static void
begin(struct cg_engine *e)
{
    struct cg_overload *o = &e->overload;
    o->standing = true;
    o->debt_us = (SHARE - 1) * FIRST_US;
    o->taken_us = e->now_us;
    cg_concurrency_begin(e);
    atomic_store_explicit(&e->slot->overloaded, 1, RELAXED);
    if (o->tell_us != 0 && o->told) {
        o->tell_us = 0; /* the one before goes on */
        return;
    }
    if (!o->told) {
        o->tale = (struct cg_overload_tale){.begun_us = e->now_us};
        o->tell_us = e->now_us + TELL_US;
    }
}

static void
end(struct cg_engine *e)
{
    struct cg_overload *o = &e->overload;
    o->standing = false;
    cg_concurrency_end(e);
    o->tale.ended_us = e->now_us;
    o->tell_us = o->told ? e->now_us + TELL_US : 0;
    atomic_store_explicit(&e->slot->overloaded, 0, RELAXED);
}

void
cg_overload_observe(struct cg_engine *e, uint64_t oldest_us)
{
    struct cg_overload *o = &e->overload;
    if (oldest_us + CG_OVERLOAD_TARGET_US >= e->now_us) {
        cg_overload_drained(e);
        return;
    }
    if (o->above_us == 0) {
        o->above_us = e->now_us;
    }
    if (!o->standing && e->config->newest_first &&
        e->now_us - o->above_us >= CG_OVERLOAD_INTERVAL_US) {
        atomic_fetch_add_explicit(&e->slot->overloads, 1, RELAXED);
        begin(e);
    }
}

void
cg_overload_drained(struct cg_engine *e)
{
    e->overload.above_us = 0;
    if (__builtin_expect(e->overload.standing, 0)) {
        end(e);
    }
}

bool
cg_overload_newest_first(const struct cg_engine *e)
{
    const struct cg_overload *o = &e->overload;
    return o->standing && (o->oldest_run > 0 || o->debt_us > 0);
}

void
cg_overload_spent(struct cg_engine *e, bool oldest, uint64_t us)
{
    struct cg_overload *o = &e->overload;
    us++; /* a turn costs something, whatever the clock says */
    if (oldest) {
        o->debt_us += (SHARE - 1) * us;
    } else {
        o->debt_us -= us < o->debt_us ? us : o->debt_us;
    }
}

/* Another master's workers may be idle, and are not on our board. */
static bool
nobody_is_idle(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->board->head->shared, RELAXED) == 0 &&
           !cg_sibling_idle(e);
}

bool
cg_overload_accepts_eagerly(const struct cg_engine *e)
{
    uint64_t now = e->now_us;
    if (e->stop.begun || !nobody_is_idle(e)) {
        return false;
    }
    if (e->config->max_queue_us != 0) {
        return true; /* who waits is to hear of it in time */
    }
    return e->config->newest_first &&
           now - e->overload.drained_us >= CG_OVERLOAD_INTERVAL_US &&
           now - e->relief.held_us < FLOW_US;
}

/* ---- telling ---- */

void
cg_overload_tell(struct cg_engine *e)
{
    struct cg_overload *o = &e->overload;
    o->tell_us = 0;
    o->told = o->standing;
    if (e->host->overloaded != NULL) {
        e->host->overloaded(e->host->self, &o->tale, o->standing, e->ready.n);
    }
}

void
cg_overload_end(struct cg_engine *e)
{
    if (e->overload.told) {
        if (e->overload.standing) {
            end(e);
        }
        cg_overload_tell(e);
    }
    atomic_store_explicit(&e->slot->overloaded, 0, RELAXED);
}
