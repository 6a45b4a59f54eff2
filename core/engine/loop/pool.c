/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/engine/state.h"

enum { ASLEEP, HAS_BATON, DISMISSED };

static void
futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void
wake(struct cg_executor *x, uint32_t why)
{
    atomic_store(&x->wake, why);
    futex(&x->wake, FUTEX_WAKE, 1);
}

void
cg_pool_init(struct cg_pool *p)
{
    pthread_mutex_init(&p->lock, NULL);
}

void
cg_pool_release(struct cg_pool *p)
{
    pthread_mutex_destroy(&p->lock);
}

/* Nobody turns the loop, or only relief does, which cannot run requests. */
static bool
is_leaderless(uint32_t word)
{
    return cg_baton_state(word) == BATON_FREE ||
           (cg_baton_owner(word) == RELIEF &&
            cg_baton_state(word) != BATON_LOOP);
}

static bool
lie_down(struct cg_engine *e, struct cg_executor *x)
{
    struct cg_pool *p = &e->pool;
    bool stays = true;
    pthread_mutex_lock(&p->lock);
    uint32_t seen = atomic_load(&e->baton.word);
    if (atomic_load(&e->stop.over)) {
        atomic_store(&x->wake, DISMISSED);
    } else if (is_leaderless(seen) &&
               cg_baton_steal(&e->baton, (unsigned)x->id, seen)) {
        atomic_store(&x->wake, HAS_BATON);
    } else {
        atomic_store(&x->wake, ASLEEP);
        p->idle[p->n] = x;
        atomic_store(&p->n, p->n + 1);
        stays = false;
    }
    pthread_mutex_unlock(&p->lock);
    return stays;
}

bool
cg_pool_park(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    cg_engine_leave(x);
    if (!lie_down(e, x)) {
        while (atomic_load(&x->wake) == ASLEEP) {
            futex(&x->wake, FUTEX_WAIT, ASLEEP);
        }
    }
    if (atomic_load(&x->wake) != HAS_BATON) {
        return false;
    }
    cg_baton_received(&e->baton);
    return true;
}

bool
cg_pool_promote(struct cg_engine *e, uint32_t seen)
{
    struct cg_pool *p = &e->pool;
    bool done = false;
    pthread_mutex_lock(&p->lock);
    if (p->n > 0) {
        struct cg_executor *x = p->idle[p->n - 1];
        if (cg_baton_give(&e->baton, (unsigned)x->id, seen)) {
            atomic_store(&p->n, p->n - 1);
            wake(x, HAS_BATON);
            done = true;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return done;
}

void
cg_pool_dismiss(struct cg_engine *e)
{
    struct cg_pool *p = &e->pool;
    pthread_mutex_lock(&p->lock);
    while (p->n > 0) {
        atomic_store(&p->n, p->n - 1);
        wake(p->idle[p->n], DISMISSED);
    }
    pthread_mutex_unlock(&p->lock);
}
