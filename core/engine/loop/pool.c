/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/engine/state.h"

enum { ASLEEP, HAS_BATON, DISMISSED };

static long
futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *t)
{
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, t, NULL, 0);
}

static void
wake(struct cg_executor *x, uint32_t why)
{
    atomic_store(&x->wake, why);
    futex(&x->wake, FUTEX_WAKE, 1, NULL);
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

/* Who steps aside leaves to relief what that has. */
static bool
may_take(uint32_t word, bool aside)
{
    return aside ? cg_baton_state(word) == BATON_FREE : is_leaderless(word);
}

static bool
lie_down(struct cg_engine *e, struct cg_executor *x, bool aside)
{
    struct cg_pool *p = &e->pool;
    bool stays = true;
    pthread_mutex_lock(&p->lock);
    uint32_t seen = atomic_load(&e->baton.word);
    if (atomic_load(&e->stop.over)) {
        atomic_store(&x->wake, DISMISSED);
    } else if (may_take(seen, aside) &&
               cg_baton_steal(&e->baton, (unsigned)x->id, seen)) {
        atomic_store(&x->wake, HAS_BATON);
    } else {
        atomic_store(&x->wake, ASLEEP);
        p->idle[p->n] = x;
        atomic_store(&p->n, p->n + 1);
        stays = false;
    }
    if (aside) {
        atomic_fetch_sub(&p->leaving, 1);
    }
    pthread_mutex_unlock(&p->lock);
    return stays;
}

static bool
has_surplus(const struct cg_engine *e)
{
    return e->config->executor_idle_us != 0 &&
           atomic_load(&e->executors) > e->config->min_executors;
}

static void
take_out(struct cg_pool *p, const struct cg_executor *x)
{
    int n = atomic_load(&p->n), i = 0;
    while (p->idle[i] != x) {
        i++;
    }
    memmove(&p->idle[i], &p->idle[i + 1],
            (size_t)(n - i - 1) * sizeof p->idle[0]);
    atomic_store(&p->n, n - 1);
}

/* Nobody has woken it for long: whether it leaves. */
static bool
leaves(struct cg_engine *e, struct cg_executor *x)
{
    struct cg_pool *p = &e->pool;
    pthread_mutex_lock(&p->lock);
    bool goes = atomic_load(&x->wake) == ASLEEP && has_surplus(e);
    if (goes) {
        take_out(p, x);
        atomic_fetch_sub(&e->executors, 1);
        atomic_fetch_sub(&e->slot->executors_now, 1);
    }
    pthread_mutex_unlock(&p->lock);
    return goes;
}

/* False: it has left. An idle worker never wakes: those that stay sleep without
 * a timer. */
static bool
sleep_until_called(struct cg_engine *e, struct cg_executor *x)
{
    uint64_t us = e->config->executor_idle_us;
    const struct timespec t = {.tv_sec = (time_t)(us / 1000000),
                               .tv_nsec = (long)(us % 1000000) * 1000};
    while (atomic_load(&x->wake) == ASLEEP) {
        bool timed = has_surplus(e);
        if (futex(&x->wake, FUTEX_WAIT, ASLEEP, timed ? &t : NULL) < 0 &&
            errno == ETIMEDOUT && leaves(e, x)) {
            return false;
        }
    }
    return true;
}

static enum cg_pool_call
park(struct cg_executor *x, bool aside)
{
    struct cg_engine *e = x->engine;
    cg_engine_leave(x);
    if (!lie_down(e, x, aside) && !sleep_until_called(e, x)) {
        return POOL_SURPLUS;
    }
    if (atomic_load(&x->wake) != HAS_BATON) {
        return POOL_END;
    }
    cg_baton_received(&e->baton);
    return POOL_LEAD;
}

enum cg_pool_call
cg_pool_park(struct cg_executor *x)
{
    return park(x, false);
}

enum cg_pool_call
cg_pool_step_aside(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    CG_HAS_BATON(e);
    atomic_fetch_add(&e->pool.leaving, 1);
    cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    return park(x, true);
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
