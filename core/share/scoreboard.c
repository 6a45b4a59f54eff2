/* SPDX-License-Identifier: MIT */
#include "core/share/scoreboard.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/memory.h"

const char *
cg_worker_state_word(enum cg_worker_state s)
{
    static const char *const word[] = {
#define X(id, text) [CG_WORKER_##id] = text,
        CG_WORKER_STATES(X)
#undef X
    };
    return (size_t)s < CG_COUNT(word) ? word[s] : "?";
}

static size_t
board_size(uint32_t nslots)
{
    return sizeof(struct cg_scoreboard) + nslots * sizeof(struct cg_slot);
}

struct cg_scoreboard *
cg_scoreboard_new(uint32_t nslots)
{
    struct cg_scoreboard *b =
        mmap(NULL, board_size(nslots), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED) {
        return NULL;
    }
    b->nslots = nslots;
    return b;
}

void
cg_scoreboard_free(struct cg_scoreboard *b)
{
    if (b != NULL) {
        munmap(b, board_size(b->nslots));
    }
}

/* Only what was used: a page that nobody touched costs nothing. */
static void
clear(struct cg_slot *s)
{
    size_t used = (size_t)atomic_load(&s->executors);
    memset(s->flight, 0, used * sizeof s->flight[0]);
    memset(s, 0, offsetof(struct cg_slot, flight));
}

void
cg_slot_claim(struct cg_scoreboard *b, struct cg_slot *s, uint32_t age,
              uint32_t generation)
{
    uint32_t number = (uint32_t)(s - b->slot);
    clear(s);
    if (number >= atomic_load(&b->used)) {
        atomic_store(&b->used, number + 1);
    }
    atomic_store(&s->age, age);
    atomic_store(&s->generation, generation);
    atomic_store(&s->state, CG_WORKER_BOOTING);
}

void
cg_slot_end(struct cg_slot *s, uint64_t now_us)
{
    atomic_store(&s->beat_us, now_us);
    atomic_store(&s->state, CG_WORKER_ENDING);
}

void
cg_slot_clear(struct cg_slot *s)
{
    clear(s);
}

uint64_t
cg_slot_silent_us(const struct cg_slot *s, uint64_t now_us)
{
    uint32_t state = atomic_load(&s->state);
    if (state != CG_WORKER_BUSY && state != CG_WORKER_STOPPING &&
        state != CG_WORKER_ENDING) {
        return 0;
    }
    uint64_t beat = atomic_load(&s->beat_us);
    return beat != 0 && now_us > beat ? now_us - beat : 0;
}

uint64_t
cg_slot_requests(const struct cg_slot *s)
{
    uint64_t sum = 0;
    int32_t used = atomic_load(&s->executors);
    for (int32_t i = 0; i < used; i++) {
        sum +=
            atomic_load_explicit(&s->flight[i].requests, memory_order_relaxed);
    }
    return sum;
}
