/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/stop.h"

#include <unistd.h>

#include "core/engine/loop/pool.h"
#include "core/engine/state.h"

#define RELAXED memory_order_relaxed

void
cg_engine_kick(struct cg_engine *e)
{
    uint64_t one = 1;
    ssize_t ignored = write(e->watches.kick.fd, &one, sizeof one);
    (void)ignored;
}

void
cg_engine_stop(struct cg_engine *e, uint64_t graceful_us)
{
    atomic_store(&e->stop.graceful_us, graceful_us);
    atomic_store(&e->stop.wanted, 1);
    cg_engine_kick(e);
}

void
cg_engine_abort(struct cg_engine *e)
{
    atomic_store(&e->stop.abort_wanted, 1);
    cg_engine_kick(e);
}

bool
cg_engine_is_stopping(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->stop.wanted, RELAXED) != 0;
}

bool
cg_engine_is_over(const struct cg_engine *e)
{
    return atomic_load(&e->stop.over) != 0;
}

enum cg_engine_end
cg_engine_end(const struct cg_engine *e)
{
    return (enum cg_engine_end)atomic_load(&e->stop.end);
}

void
cg_engine_forked(struct cg_engine *e, bool in_child)
{
    atomic_store(in_child ? &e->forked : &e->has_forked, 1);
}

void
cg_engine_end_now(struct cg_engine *e)
{
    enum cg_engine_end how = CG_END_STOPPED;
    if (atomic_exchange(&e->stop.over, 1)) {
        return;
    }
    if (e->stop.orphaned) {
        how = CG_END_ORPHANED;
    } else if (atomic_load(&e->stop.abort_wanted) || e->conns.n > 0) {
        how = CG_END_FORCED;
    }
    atomic_store(&e->stop.end, how);
    cg_pool_dismiss(e);
    cg_engine_kick(e); /* who waits for events without the baton */
    if (e->host->over != NULL) {
        e->host->over(e->host->self);
    }
}
