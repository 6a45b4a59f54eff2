/* SPDX-License-Identifier: MIT */
/*
 * Draining: what becomes of a reply that the application makes faster than its
 * client reads. The executor waits for a moment, which is enough for a client
 * that is only a little slower; then what waits in memory goes to a spill, and
 * the executor goes on. It waits for the client only while there is no room in
 * that file, or none on the disk.
 *
 * Runs in the executor, without the baton and without the host's lock.
 */
#include <errno.h>

#include "core/base/memory.h"
#include "core/engine/exchange/drain.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"
#include "core/engine/outbox/hoard.h"
#include "core/engine/state.h"

enum { POLL_MS = 1000, MOMENT_US = 5 * 1000 };

#define RELAXED memory_order_relaxed

/* ---- the client ---- */

/* A client that takes nothing is given up, also when it is seen only now and
 * then because the executor does not wait for it. */
static int
check_progress(struct cg_call *call)
{
    struct cg_engine *e = call->executor->engine;
    struct cg_outbox *o = &call->stream->outbox;
    uint64_t now = cg_now_us(), most = e->config->write_timeout_us;
    uint64_t still =
        cg_progress_look(&o->progress, o->gone, call->stream->transport, now);
    if (still == 0) {
        atomic_store_explicit(&e->slot->beat_us, now, RELAXED);
    }
    if (most == 0 || still < most) {
        return 0;
    }
    call->stalled_us = still;
    return -ETIMEDOUT;
}

static int
flush(struct cg_call *call)
{
    struct cg_stream *s = call->stream;
    if (!cg_wire_enter(&call->ex)) {
        return -EPIPE;
    }
    int r = cg_outbox_flush(&s->outbox, s->transport, &call->dropped);
    cg_limit_leave(call);
    if (r >= 0) {
        r = check_progress(call);
    }
    return r < 0 ? cg_wire_fail(&call->ex, r) : 0;
}

/* What the thread of the waiting blocks has of it. */
static int
take_back(struct cg_exchange *ex)
{
    if (!cg_wire_enter(ex)) {
        return -EPIPE;
    }
    int r = cg_cork_take((struct cg_call *)(void *)ex);
    cg_limit_leave((struct cg_call *)(void *)ex);
    return r < 0 ? cg_wire_fail(ex, r) : 0;
}

/* ---- the file ---- */

static int
spill(struct cg_call *call)
{
    if (!cg_wire_enter(&call->ex)) {
        return -EPIPE;
    }
    cg_spill_outbox(call->executor->engine, &call->stream->outbox,
                    &call->dropped);
    cg_limit_leave(call);
    return 0;
}

/* ---- both ---- */

/* Milliseconds of the moment that are left; 0 when it is over, and for a client
 * that had one. */
static int
patience(const struct cg_call *call, uint64_t since_us)
{
    uint64_t end = since_us + MOMENT_US, now = cg_now_us();
    bool none = call->stream->outbox.spill != NULL ||
                !call->executor->engine->kind->may_wait;
    return none || now >= end ? 0 : (int)((end - now) / 1000) + 1;
}

static int
wait_for_client(struct cg_call *call, int ms)
{
    const struct cg_engine *e = call->executor->engine;
    cg_transport_wait(call->stream->transport, POLLOUT, ms);
    return atomic_load_explicit(&e->stop.abort_wanted, RELAXED)
               ? cg_wire_fail(&call->ex, -ECANCELED)
               : 0;
}

static int
step(struct cg_call *call, size_t low, uint64_t since_us)
{
    const struct cg_outbox *o = &call->stream->outbox;
    int r = flush(call), ms = POLL_MS;
    if (r < 0 || o->bytes <= low) {
        return r;
    }
    if (cg_may_spill(call) && (ms = patience(call, since_us)) == 0) {
        ms = POLL_MS;
        r = spill(call);
    }
    return r < 0 || o->bytes <= low ? r : wait_for_client(call, ms);
}

/* The flusher has the rest, and who reads the body leaves it alone. */
static void
leave_rest(struct cg_call *call)
{
    if (cg_wire_enter(&call->ex)) {
        if (!cg_outbox_is_empty(&call->stream->outbox)) {
            cg_cork_leave(call);
        }
        cg_limit_leave(call);
    }
}

int
cg_wire_drain(struct cg_exchange *ex, size_t low)
{
    struct cg_call *call = (struct cg_call *)(void *)ex;
    const struct cg_outbox *o = &call->stream->outbox;
    uint64_t since = cg_now_us();
    cg_slow_waits(call);
    int r = take_back(ex);
    while (r == 0 && o->bytes > low) {
        r = step(call, low, since);
    }
    cg_slow_goes_on(call);
    if (r < 0) {
        return r;
    }
    if (call->executor->engine->kind->may_wait) {
        leave_rest(call);
    }
    return 0;
}
