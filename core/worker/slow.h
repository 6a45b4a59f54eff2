/* SPDX-License-Identifier: MIT */
/*
 * Slow teller: what the error log says of requests that take longer than
 * slow_request. The stack of a thread comes by a signal, which needs no GIL:
 * the thread writes it to a file in memory, and it is read a moment later. One
 * at a time; others wait for their turn. Lines in a second are bounded.
 */
#ifndef CG_WORKER_SLOW_H
#define CG_WORKER_SLOW_H

#include <pthread.h>

#include "core/engine/engine.h"
#include "logging/limit.h"
#include "logging/log.h"

struct cg_slow_teller {
    struct cg_log *log;
    int fd; /* of the stacks; -1: there are none */
    pthread_mutex_t lock;
    struct cg_log_limit limit;    /* guarded by it; the rest by the baton */
    const struct cg_exchange *of; /* whose stack is on its way, or NULL */
    int looks;                    /* so often looked for it */
    off_t seen;                   /* and so much was there */
    uint64_t waited_us;           /* of that request */
};

/* Once Python runs; GIL held. */
void cg_slow_start(struct cg_slow_teller *t);
void cg_slow_release(struct cg_slow_teller *t);

/* slow, slow_over and slow_ended of struct cg_host. */
bool cg_slow_ask(struct cg_slow_teller *t, const struct cg_exchange *ex,
                 pthread_t thread, uint64_t waited_us);
void cg_slow_forget(struct cg_slow_teller *t, const struct cg_exchange *ex);
void cg_slow_tell(struct cg_slow_teller *t, const struct cg_slow_tale *tale);
/* slow_waits: the runner shows where it waits. */
void cg_slow_show(struct cg_slow_teller *t, const struct cg_runner *runner,
                  struct cg_exchange *ex, uint64_t waited_us);
/* What was held back is summed up. */
void cg_slow_report(struct cg_slow_teller *t);

#endif
