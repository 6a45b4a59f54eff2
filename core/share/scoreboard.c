/* SPDX-License-Identifier: MIT */
#include "core/share/scoreboard.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/share/pages.h"

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

/* ---- life ---- */

static size_t
board_size(const struct cg_scoreboard *b)
{
    return b->head_n + b->nslots * b->stride;
}

/* A file for each, or a worker could reach its neighbour's from its own. */
static int
map_all(struct cg_scoreboard *b)
{
    bool sealed = false;
    int r = cg_pages_map(b->write, b->read, b->head_n, &sealed);
    b->sealed = sealed;
    for (uint32_t i = 0; r == 0 && i < b->nslots; i++) {
        size_t at = b->head_n + i * b->stride;
        r = cg_pages_map(b->write + at, b->read + at, b->stride, &sealed);
        b->sealed = b->sealed && sealed;
    }
    return r;
}

struct cg_scoreboard *
cg_scoreboard_new(uint32_t nslots, size_t extra)
{
    struct cg_scoreboard *b = cg_calloc(1, sizeof *b);
    b->nslots = nslots;
    b->extra_at = (sizeof(struct cg_slot) + 63) / 64 * 64;
    b->head_n = cg_pages_size(sizeof(struct cg_board_head));
    b->stride = cg_pages_size(b->extra_at + extra);
    b->write = cg_pages_reserve(board_size(b));
    b->read = cg_pages_reserve(board_size(b));
    if (b->write == NULL || b->read == NULL || map_all(b) < 0) {
        cg_scoreboard_free(b);
        return NULL;
    }
    b->master = (struct cg_board_head *)(void *)b->write;
    b->head = (const struct cg_board_head *)(const void *)b->read;
    return b;
}

void
cg_scoreboard_free(struct cg_scoreboard *b)
{
    if (b != NULL) {
        cg_pages_drop(b->write, board_size(b));
        cg_pages_drop(b->read, board_size(b));
        free(b);
    }
}

void
cg_scoreboard_enter(struct cg_scoreboard *b, struct cg_slot *own)
{
    size_t at = (size_t)((char *)own - b->write), end = at + b->stride;
    cg_pages_drop(b->write, at);
    cg_pages_drop(b->write + end, board_size(b) - end);
    b->master = NULL;
}

/* ---- places ---- */

struct cg_slot *
cg_board_slot(const struct cg_scoreboard *b, uint32_t number)
{
    return (struct cg_slot *)(void *)(b->write + b->head_n +
                                      number * b->stride);
}

uint32_t
cg_board_number(const struct cg_scoreboard *b, const struct cg_slot *slot)
{
    size_t at = (size_t)((const char *)slot - b->write);
    return (uint32_t)((at - b->head_n) / b->stride);
}

void *
cg_slot_extra(const struct cg_scoreboard *b, struct cg_slot *slot)
{
    return (char *)slot + b->extra_at;
}

/* ---- a slot's worker ---- */

/* Flights are cleared by whom they serve: a page that nobody touched costs
 * nothing, and how many an earlier worker touched only that one knew. */
void
cg_slot_clear(struct cg_slot *s)
{
    memset(s, 0, offsetof(struct cg_slot, flight));
}

void
cg_slot_claim(struct cg_scoreboard *b, struct cg_slot *s, uint32_t age,
              uint32_t generation)
{
    uint32_t number = cg_board_number(b, s);
    cg_slot_clear(s);
    if (number >= atomic_load(&b->master->used)) {
        atomic_store(&b->master->used, number + 1);
    }
    atomic_store(&s->age, age);
    atomic_store(&s->generation, generation);
    atomic_store(&s->state, CG_WORKER_BOOTING);
}

struct cg_flight *
cg_slot_flight(struct cg_slot *s, int executor)
{
    CG_ASSERT(executor >= 0 && executor < CG_BOARD_EXECUTORS);
    int used = atomic_load(&s->executors);
    if (executor >= used) {
        memset(&s->flight[used], 0,
               (size_t)(executor + 1 - used) * sizeof s->flight[0]);
        atomic_store(&s->executors, executor + 1);
    }
    return &s->flight[executor];
}

void
cg_slot_end(struct cg_slot *s, uint64_t now_us)
{
    atomic_store(&s->beat_us, now_us);
    atomic_store(&s->state, CG_WORKER_ENDING);
}

/* ---- what others read ---- */

static int
bounded(int executors)
{
    return executors < 0                    ? 0
           : executors > CG_BOARD_EXECUTORS ? CG_BOARD_EXECUTORS
                                            : executors;
}

struct cg_slot_look
cg_slot_look(const struct cg_slot *s)
{
    int connections = atomic_load(&s->connections);
    int executors = atomic_load(&s->executors);
    int waiting = atomic_load(&s->waiting);
    return (struct cg_slot_look){
        .state = atomic_load(&s->state),
        .beat_us = atomic_load(&s->beat_us),
        .connections = connections > 0 ? connections : 0,
        .waiting = waiting > 0 ? waiting : 0,
        .overloaded = atomic_load(&s->overloaded) != 0,
        .executors = bounded(executors),
        .executors_now = bounded(atomic_load(&s->executors_now)),
        .kept = atomic_load(&s->keeper) != 0,
    };
}

uint64_t
cg_slot_silent_us(const struct cg_slot_look *l, uint64_t now_us)
{
    if (l->state != CG_WORKER_BUSY && l->state != CG_WORKER_STOPPING &&
        l->state != CG_WORKER_ENDING) {
        return 0;
    }
    return l->beat_us != 0 && now_us > l->beat_us ? now_us - l->beat_us : 0;
}

uint64_t
cg_slot_requests(const struct cg_slot *s)
{
    uint64_t sum = 0;
    int used = cg_slot_look(s).executors;
    for (int i = 0; i < used; i++) {
        sum +=
            atomic_load_explicit(&s->flight[i].requests, memory_order_relaxed);
    }
    return sum;
}

uint64_t
cg_slot_app_us(const struct cg_slot *s, uint64_t now_us)
{
    uint64_t sum = 0;
    int used = cg_slot_look(s).executors;
    for (int i = 0; i < used; i++) {
        const struct cg_flight *f = &s->flight[i];
        uint64_t since = atomic_load(&f->since_us);
        for (int k = 0; k < CG_BOARD_CLASSES; k++) {
            sum += atomic_load_explicit(&f->by_class[k].app_us,
                                        memory_order_relaxed);
        }
        sum += atomic_load(&f->running) && since < now_us ? now_us - since : 0;
    }
    return sum;
}

/* ---- the last error ---- */

static size_t
copy(char *to, size_t room, const char *text, size_t n)
{
    n = n < room ? n : room;
    memcpy(to, text, n);
    return n;
}

/* What fits of "first line: last line". */
static void
shorten(char *to, size_t size, const char *text, size_t n)
{
    while (n > 0 && text[n - 1] == '\n') {
        n--;
    }
    const char *first = memchr(text, '\n', n), *last = memrchr(text, '\n', n);
    size_t used =
        copy(to, size - 1, text, first != NULL ? (size_t)(first - text) : n);
    if (last != NULL) {
        used += copy(to + used, size - 1 - used, ": ", 2);
        used += copy(to + used, size - 1 - used, last + 1,
                     n - (size_t)(last + 1 - text));
    }
    to[used] = '\0';
}

void
cg_slot_tell_error(struct cg_slot *s, const char *text, size_t n,
                   uint64_t now_us)
{
    struct cg_last_error *e = &s->error;
    uint32_t seq = atomic_load(&e->seq);
    atomic_store(&e->seq, seq + 1);
    shorten(e->text, sizeof e->text, text, n);
    atomic_store(&e->at_us, now_us);
    atomic_store(&e->seq, seq + 2);
}

bool
cg_slot_last_error(const struct cg_slot *s, char text[200], uint64_t *ret_at_us)
{
    const struct cg_last_error *e = &s->error;
    for (int tries = 0; tries < 100; tries++) {
        uint32_t before = atomic_load(&e->seq);
        memcpy(text, e->text, sizeof e->text);
        *ret_at_us = atomic_load(&e->at_us);
        if (before % 2 == 0 && atomic_load(&e->seq) == before) {
            break;
        }
    }
    text[sizeof e->text - 1] = '\0';
    return atomic_load(&e->seq) != 0;
}
