/* SPDX-License-Identifier: MIT */
/*
 * Relief: a thread without Python that sleeps until a call of the application
 * is long (2-4 ms; 0.25-0.5 ms while they keep coming). Then it lets an idle
 * executor go on, or turns the loop itself: reads, flushes, keeps deadlines,
 * and gives complete requests to siblings.
 */
#ifndef CG_ENGINE_RELIEF_H
#define CG_ENGINE_RELIEF_H

#include <pthread.h>

#include "core/engine/loop/alarm.h"
#include "core/engine/loop/executor.h"

struct cg_relief {
    struct cg_alarm alarm;
    /* the thread's own */
    int fast;  /* short naps left */
    int asked; /* ticks since the host was asked for an executor */
    struct cg_executor *executor;
    pthread_t thread;
};

/* Once, after the last fork of the worker's own. */
int cg_relief_start(struct cg_engine *e, struct cg_error *err);
void cg_relief_stop(struct cg_engine *e);

#endif
