/* SPDX-License-Identifier: MIT */
/*
 * Concurrency: how many calls run side by side while requests pile up. Calls
 * that compute share the host's lock: with four at once each takes four times
 * as long, its client is gone by then, and nothing was won. Calls that wait
 * leave the CPU idle, and are worth a thread each. Which of the two it is,
 * nobody says, so it is tried: while the executors together want one CPU, fewer
 * of them may run; if they use as much of it as before, that stays so; if not,
 * as many as before run again, and the next try is a second later. As soon as
 * the CPU has room more may run again. Two always may, so that one long call
 * keeps nobody waiting. Not where calls do run at the same time (parallel).
 */
#ifndef CG_ENGINE_CONCURRENCY_H
#define CG_ENGINE_CONCURRENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/busy.h"
#include "core/share/scoreboard.h"

struct cg_engine;

enum {
    CG_CONCURRENCY_LEAST = 2,
    CG_CONCURRENCY_WINDOW_US = 100 * 1000, /* of each measurement */
    CG_CONCURRENCY_PAUSE_US = 1000 * 1000  /* after a try that failed */
};

/* With the baton, but for what is atomic. */
struct cg_concurrency {
    _Atomic int most; /* may run now; 0: all, nothing piles up */
    _Atomic int tid[CG_BOARD_EXECUTORS]; /* of executors that are here; or 0 */
    int allowed;      /* the same, kept for a while when it is over */
    int step;         /* so many fewer are tried now; 0: no try */
    int next_step;    /* of the next try; 0: a quarter */
    int from;         /* as many were allowed before the tries; 0: unknown */
    uint64_t from_us; /* then */
    uint64_t from_percent;      /* of a CPU, that they used */
    uint64_t again_us;          /* no try before */
    uint64_t over_us;           /* nothing piles up since then */
    uint64_t since_us;          /* the window's begin */
    struct cg_busy_thread then; /* sum of the executors */
};

/* What there is at a moment. */
struct cg_concurrency_now {
    uint64_t us;
    int all;                   /* executors that there may be */
    int made;                  /* that there are */
    int busy;                  /* of them, not asleep */
    struct cg_busy_thread sum; /* of them */
};

/* A window is over, if it is. Pure. */
void cg_concurrency_measure(struct cg_concurrency *c,
                            const struct cg_concurrency_now *now);

/* ---- of an engine, with the baton ---- */

/* Requests pile up; no longer. */
void cg_concurrency_begin(struct cg_engine *e);
void cg_concurrency_end(struct cg_engine *e);
/* While they do, now and then. */
void cg_concurrency_look(struct cg_engine *e);
/* Whether there is a bound now. Any thread. */
static inline bool
cg_concurrency_is_bound(const struct cg_concurrency *c)
{
    return atomic_load_explicit(&c->most, memory_order_relaxed) != 0;
}
/* Whether the executor that leads is one too many. */
bool cg_concurrency_is_exceeded(const struct cg_engine *e);
/* Whether one more may run. Any thread. */
bool cg_concurrency_has_room(const struct cg_engine *e);

#endif
