/* SPDX-License-Identifier: MIT */
#include "core/engine/outbox/hoard.h"

#include "core/base/memory.h"
#include "core/engine/state.h"

enum {
    SPILL_MIN = 64 * 1024, /* less is not worth a file of its own */
    /* a hoard of so much that is gone goes back to the system, not more often
     * than once in this time */
    TRIM_MIN = 4 * 1024 * 1024,
    TRIM_US = 1000 * 1000,
    /* after the disk failed, all of the worker's replies wait in memory */
    PAUSE_US = 10 * 1000 * 1000
};

#define RELAXED memory_order_relaxed

/* ---- the disk ---- */

static bool
engine_may_spill(const struct cg_engine *e)
{
    return e->config->spill.max != 0 &&
           cg_now_us() >= atomic_load_explicit(&e->spill_pause_us, RELAXED);
}

bool
cg_may_spill(const struct cg_call *call)
{
    return !call->ex.blocking && engine_may_spill(call->executor->engine);
}

static uint64_t
spilled(const struct cg_outbox *o)
{
    return o->spill != NULL ? cg_spill_bytes(o->spill) : 0;
}

static void
give_up_files(struct cg_engine *e, const char *why)
{
    cg_auto(free) char *text =
        cg_strf("%s; the worker waits for slow clients", why);
    atomic_store_explicit(&e->spill_pause_us, cg_now_us() + PAUSE_US, RELAXED);
    cg_note_trouble(e, text);
}

void
cg_spill_outbox(struct cg_engine *e, struct cg_outbox *o,
                struct cg_segment **dropped)
{
    struct cg_error err = {0};
    uint64_t before = spilled(o);
    int r = cg_outbox_spill(o, &e->config->spill, dropped, &err);
    uint64_t n = spilled(o) - before;
    atomic_fetch_add_explicit(&e->slot->spilled, n, RELAXED);
    atomic_fetch_add_explicit(&e->slot->spills, before == 0 && n > 0, RELAXED);
    if (r < 0) {
        give_up_files(e, err.text);
    }
}

/* ---- counting ---- */

void
cg_hoard_count(struct cg_engine *e, struct cg_outbox *o)
{
    size_t held = atomic_load_explicit(&e->hoard.bytes, RELAXED);
    held = held - o->counted + o->memory;
    o->counted = o->memory;
    atomic_store_explicit(&e->hoard.bytes, held, RELAXED);
    if (held > e->hoard.peak) {
        e->hoard.peak = held;
    } else if (e->hoard.peak >= TRIM_MIN && held < e->hoard.peak / 4) {
        e->hoard.peak = held;
        e->hoard.trim_us = e->now_us + TRIM_US;
    }
}

static bool
is_too_much(const struct cg_engine *e, size_t more)
{
    return atomic_load_explicit(&e->hoard.bytes, RELAXED) + more >
           e->config->response_memory;
}

/* ---- the executor's own reply ---- */

void
cg_hoard_spill_own(struct cg_call *call)
{
    struct cg_executor *x = call->executor;
    struct cg_engine *e = x->engine;
    struct cg_outbox *o = &call->stream->outbox;
    if (o->memory < SPILL_MIN || !is_too_much(e, o->memory) ||
        !cg_may_spill(call)) {
        return;
    }
    cg_engine_leave(x); /* the disk may take its time */
    cg_spill_outbox(e, o, &call->dropped);
    cg_engine_enter(x);
}

/* ---- others, with the baton ---- */

static struct cg_stream *
largest(struct cg_engine *e)
{
    struct cg_stream *found = NULL;
    struct cg_deadline *d = cg_deadlines_oldest(&e->deadlines, DEADLINE_WRITE);
    for (; d != NULL; d = cg_deadlines_next(&e->deadlines, d)) {
        struct cg_stream *s = cg_stream_of(d);
        bool ours = s->state == STREAM_FLUSH || s->state == STREAM_LENT ||
                    s->state == STREAM_AWAY;
        if (ours &&
            (found == NULL || s->outbox.memory > found->outbox.memory)) {
            found = s;
        }
    }
    return found;
}

void
cg_hoard_bound(struct cg_engine *e)
{
    if (__builtin_expect(!is_too_much(e, 0), 1) || !engine_may_spill(e)) {
        return;
    }
    struct cg_stream *s = largest(e);
    if (s != NULL && s->outbox.memory >= SPILL_MIN) {
        cg_spill_outbox(e, &s->outbox, &e->dropped);
        cg_hoard_count(e, &s->outbox);
    }
}
