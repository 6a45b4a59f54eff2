/* SPDX-License-Identifier: MIT */
/*
 * Budget: what the requests of a worker hold together before and while they
 * run: bytes of heads and bodies in memory (request_memory) and in files
 * (request_disk). Taken before anything is stored. Any thread.
 */
#ifndef CG_ENGINE_BUDGET_H
#define CG_ENGINE_BUDGET_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct cg_purse {
    uint64_t most;
    _Atomic uint64_t held;
};

struct cg_budget {
    struct cg_purse memory, disk;
};

/* False: it would be too much; then nothing is taken. */
static inline bool
cg_purse_take(struct cg_purse *p, uint64_t n)
{
    uint64_t before =
        atomic_fetch_add_explicit(&p->held, n, memory_order_relaxed);
    if (before + n <= p->most) {
        return true;
    }
    atomic_fetch_sub_explicit(&p->held, n, memory_order_relaxed);
    return false;
}

/* Whatever room there is. */
static inline void
cg_purse_add(struct cg_purse *p, uint64_t n)
{
    atomic_fetch_add_explicit(&p->held, n, memory_order_relaxed);
}

static inline void
cg_purse_give(struct cg_purse *p, uint64_t n)
{
    atomic_fetch_sub_explicit(&p->held, n, memory_order_relaxed);
}

/* Why nothing was taken: -ENOSPC. `where`: "memory" or "files". */
static inline int
cg_budget_tell(struct cg_error *err, const struct cg_purse *p,
               const char *where, const char *setting)
{
    return cg_error_set(
        err, ENOSPC,
        "no room for a request: those under way hold %llu of at most %llu "
        "bytes in %s (%s)",
        (unsigned long long)atomic_load_explicit(&p->held,
                                                 memory_order_relaxed),
        (unsigned long long)p->most, where, setting);
}

#endif
