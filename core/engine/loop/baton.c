/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/baton.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef CG_CHECK_OWNERS
_Thread_local const struct cg_baton *cg_baton_held;
#endif

static void
futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void
cg_baton_wake(struct cg_baton *b)
{
    futex(&b->word, FUTEX_WAKE, INT_MAX);
}

bool
cg_baton_give(struct cg_baton *b, unsigned owner, uint32_t seen)
{
    if (cg_baton_state(seen) == BATON_LOOP) {
        return false;
    }
    uint32_t loop = cg_baton_make(BATON_LOOP, owner, cg_baton_seq(seen) + 1);
    return atomic_compare_exchange_strong(&b->word, &seen, loop);
}

void
cg_baton_received(struct cg_baton *b)
{
    CG_BATON_HELD(b);
}

bool
cg_baton_steal(struct cg_baton *b, unsigned owner, uint32_t seen)
{
    if (!cg_baton_give(b, owner, seen)) {
        return false;
    }
    CG_BATON_HELD(b);
    return true;
}

uint32_t
cg_baton_take(struct cg_baton *b, unsigned owner)
{
    for (int spin = 0;; spin++) {
        uint32_t seen = atomic_load(&b->word);
        if (cg_baton_steal(b, owner, seen)) {
            return seen;
        }
        if (cg_baton_state(seen) != BATON_LOOP || spin < 50) {
            continue;
        }
        atomic_fetch_add(&b->want, 1);
        seen = atomic_load(&b->word);
        if (cg_baton_state(seen) == BATON_LOOP) {
            futex(&b->word, FUTEX_WAIT, seen);
        }
        atomic_fetch_sub(&b->want, 1);
    }
}

void
cg_baton_free(struct cg_baton *b)
{
    uint32_t seq =
        cg_baton_seq(atomic_load_explicit(&b->word, memory_order_relaxed));
    CG_BATON_HELD(NULL);
    atomic_store(&b->word, cg_baton_make(BATON_FREE, 0, seq + 1));
    cg_baton_wake(b);
}
