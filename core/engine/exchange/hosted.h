/* SPDX-License-Identifier: MIT */
/*
 * Hosted: executors of an engine whose host has a loop of its own (gevent's
 * hub, an IOLoop, an asyncio loop). See cg_engine_poll in engine.h.
 */
#ifndef CG_ENGINE_HOSTED_H
#define CG_ENGINE_HOSTED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine/loop/watches.h"

struct cg_detached;

/* With the baton. */
struct cg_hosted {
    int in_flight;         /* calls that the host has */
    int most;              /* of these; more wait */
    struct cg_watch timer; /* timerfd: the next deadline, in the loop's set */
    uint64_t timer_us;     /* it is set to that; 0: not set */
    int call_fd;           /* eventfd: relief wants the host to poll */
    int pace;              /* requests that one poll may start */
    int left;              /* of them */
    bool blocked;          /* the loop was, since the last poll */
    bool called;           /* it is readable */
    _Atomic bool polling;  /* the host's thread is in cg_engine_poll */
    struct cg_detached *awaited_first, **awaited_last; /* to be told */
    struct cg_detached *due;   /* the host is to attend to them */
    struct cg_detached *spare; /* pool of calls */
    int nspare;
};

/* 0 or a negative errno. */
int cg_hosted_init(struct cg_engine *e);
void cg_hosted_release(struct cg_engine *e);

#endif
