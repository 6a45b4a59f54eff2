/* SPDX-License-Identifier: MIT */
/*
 * Pool: the idle executors. One, the leader, has the baton and serves requests
 * inline; the others sleep until relief finds the leader in a long call and
 * lets the last one that went to sleep go on in its place.
 */
#ifndef CG_ENGINE_POOL_H
#define CG_ENGINE_POOL_H

#include <pthread.h>

#include "core/engine/loop/executor.h"
#include "core/share/scoreboard.h"

struct cg_pool {
    pthread_mutex_t lock;
    struct cg_executor *idle[CG_BOARD_EXECUTORS]; /* last in, first out */
    _Atomic int n;
    _Atomic int leaving; /* on their way there: they step aside */
};

void cg_pool_init(struct cg_pool *p);
void cg_pool_release(struct cg_pool *p);
/* What an executor that slept is to do. */
enum cg_pool_call {
    POOL_LEAD,   /* it has the baton */
    POOL_END,    /* the engine is over */
    POOL_SURPLUS /* it was idle for long, and there are more than the least */
};
/* Sleeps without the host's lock. */
enum cg_pool_call cg_pool_park(struct cg_executor *x);
/* The same for one that leads and is one too many: others are in calls. The
 * baton is left where relief, whose alarm is set, finds it. */
enum cg_pool_call cg_pool_step_aside(struct cg_executor *x);
/* Gives the baton, if it is still `seen`, to an idle executor. */
bool cg_pool_promote(struct cg_engine *e, uint32_t seen);
/* The engine is over: all of them wake up. */
void cg_pool_dismiss(struct cg_engine *e);

#endif
