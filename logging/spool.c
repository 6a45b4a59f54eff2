/* SPDX-License-Identifier: MIT */
#include "logging/spool.h"

#include <limits.h>
#include <string.h>

_Static_assert(CG_SPOOL_SIZE < PIPE_BUF, "a pipe would take it in parts");

bool
cg_spool_put(struct cg_spool *s, const char *line, size_t n)
{
    uint32_t used = atomic_load_explicit(&s->used, memory_order_relaxed);
    if (used > CG_SPOOL_SIZE || n > CG_SPOOL_SIZE - used) {
        return false;
    }
    memcpy(s->bytes + used, line, n);
    atomic_store_explicit(&s->used, used + (uint32_t)n, memory_order_release);
    return true;
}

struct cg_slice
cg_spool_view(const struct cg_spool *s)
{
    size_t n = atomic_load_explicit(&s->used, memory_order_acquire);
    const char *end =
        memrchr(s->bytes, '\n', n < CG_SPOOL_SIZE ? n : CG_SPOOL_SIZE);
    return (struct cg_slice){s->bytes,
                             end != NULL ? (size_t)(end - s->bytes) + 1 : 0};
}

void
cg_spool_reset(struct cg_spool *s)
{
    atomic_store_explicit(&s->used, 0, memory_order_release);
}
