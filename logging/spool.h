/* SPDX-License-Identifier: MIT */
/*
 * Spool: whole lines that wait to be written together, in memory that outlives
 * the process that puts them there. A worker fills and empties its own, under a
 * lock of its log's; when it has died the master writes what it left.
 *
 * A line counts from the moment its length is published, behind its bytes, so
 * nobody ever finds half a line. It stops to count after the write: who dies
 * between the two has its lines written twice, never not at all.
 */
#ifndef CG_LOGGING_SPOOL_H
#define CG_LOGGING_SPOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

/* One page with `used`, and less than PIPE_BUF: a pipe takes all of it or none,
 * and mixes nothing in. */
enum { CG_SPOOL_SIZE = 4096 - 64 };

/* Zeroed memory is an empty one. */
struct cg_spool {
    _Alignas(64) _Atomic uint32_t used;
    _Alignas(64) char bytes[CG_SPOOL_SIZE];
};

/* False when it has no room for the line, which ends with a newline. */
bool cg_spool_put(struct cg_spool *s, const char *line, size_t n);
/* What waits, until the next put. Of one that another process may have left in
 * any state: whole lines, within bounds. */
struct cg_slice cg_spool_view(const struct cg_spool *s);
void cg_spool_reset(struct cg_spool *s);

static inline bool
cg_spool_is_empty(const struct cg_spool *s)
{
    return atomic_load_explicit(&s->used, memory_order_relaxed) == 0;
}

#endif
