/* SPDX-License-Identifier: MIT */
/*
 * Stop: how the loop is asked to end, and that it has. The asking is any
 * thread's (engine.h); what follows from it is the loop's (turn.c).
 */
#ifndef CG_ENGINE_STOP_H
#define CG_ENGINE_STOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cg_engine;

struct cg_stop {
    /* with the baton */
    uint64_t at_us; /* a graceful one ends then */
    bool orphaned;
    _Atomic bool begun; /* relief reads it while it watches, too */
    /* any thread */
    _Atomic int wanted;
    _Atomic uint64_t graceful_us;
    _Atomic int abort_wanted;
    _Atomic int over; /* nobody turns the loop again */
    _Atomic int end;  /* enum cg_engine_end, valid when over */
};

/* Wakes the loop, or the host's. Any thread, a signal handler, too. */
void cg_engine_kick(struct cg_engine *e);
/* With the baton: nobody turns the loop again. */
void cg_engine_end_now(struct cg_engine *e);

#endif
