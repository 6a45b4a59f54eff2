/* SPDX-License-Identifier: MIT */
/*
 * The baton: one atomic word that says who may touch an engine's data.
 *
 *   LOOP(x)  x turns the loop; nobody else touches the engine
 *   APP(x)   x runs the application; the engine is at rest; anybody may steal
 *   WAIT(x)  x blocks in the event wait; anybody may steal
 *   FREE     nobody
 *
 * Only the owner writes its own APP and WAIT values, and each of them has a new
 * sequence number, so a compare-and-swap that fails means: it was stolen. No
 * GIL, lock or blocking call may be taken in LOOP. Threads: any.
 */
#ifndef CG_ENGINE_BATON_H
#define CG_ENGINE_BATON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cg_baton_state { BATON_FREE, BATON_LOOP, BATON_APP, BATON_WAIT };

struct cg_baton {
    _Alignas(64) _Atomic uint32_t word; /* state:2 owner:10 seq:20 */
    _Atomic uint32_t want; /* threads that wait for a LOOP to end */
};

static inline uint32_t
cg_baton_make(enum cg_baton_state state, unsigned owner, uint32_t seq)
{
    return (uint32_t)state | owner << 2 | seq << 12;
}

static inline enum cg_baton_state
cg_baton_state(uint32_t word)
{
    return (enum cg_baton_state)(word & 3);
}

static inline unsigned
cg_baton_owner(uint32_t word)
{
    return word >> 2 & 1023;
}

static inline uint32_t
cg_baton_seq(uint32_t word)
{
    return word >> 12;
}

/*
 * Builds with a sanitizer, and with DEBUG=1, know which baton a thread holds in
 * LOOP, so that the engine's functions can assert it: CG_HAS_BATON in state.h.
 */
#ifdef CG_CHECK_OWNERS
extern _Thread_local const struct cg_baton *cg_baton_held;
#define CG_BATON_HELD(baton) (cg_baton_held = (baton))
#else
#define CG_BATON_HELD(baton) ((void)0)
#endif

/* Wakes those who wait for the word to change. */
void cg_baton_wake(struct cg_baton *b);

/* LOOP -> APP or WAIT: from here on the baton may be stolen. Returns the value
 * to give to cg_baton_back. The exchange is a full barrier: it pairs with
 * `want` and with whatever the thief looks at. */
static inline uint32_t
cg_baton_open(struct cg_baton *b, unsigned owner, enum cg_baton_state state)
{
    uint32_t seq =
        cg_baton_seq(atomic_load_explicit(&b->word, memory_order_relaxed));
    uint32_t mine = cg_baton_make(state, owner, seq + 1);
    CG_BATON_HELD(NULL);
    atomic_exchange(&b->word, mine);
    if (__builtin_expect(
            atomic_load_explicit(&b->want, memory_order_relaxed) != 0, 0)) {
        cg_baton_wake(b);
    }
    return mine;
}

/* Back to LOOP; false when somebody stole it meanwhile. Sequentially
 * consistent, since it pairs with relief's look at the word after it stopped
 * ticking. */
static inline bool
cg_baton_back(struct cg_baton *b, unsigned owner, uint32_t mine)
{
    uint32_t loop = cg_baton_make(BATON_LOOP, owner, cg_baton_seq(mine));
    if (!atomic_compare_exchange_strong(&b->word, &mine, loop)) {
        return false;
    }
    CG_BATON_HELD(b);
    return true;
}

/* Takes the baton from the state `seen` if it is still that and not LOOP. */
bool cg_baton_steal(struct cg_baton *b, unsigned owner, uint32_t seen);
/* The same for another thread, which has to be told: cg_baton_received. */
bool cg_baton_give(struct cg_baton *b, unsigned owner, uint32_t seen);
void cg_baton_received(struct cg_baton *b);
/* Takes the baton, waiting for a LOOP of another to end; returns what it was.
 */
uint32_t cg_baton_take(struct cg_baton *b, unsigned owner);
/* LOOP -> FREE, waking who waits. */
void cg_baton_free(struct cg_baton *b);

#endif
