/* SPDX-License-Identifier: MIT */
/*
 * Executor: one thread's way into an engine: those that run requests, numbered
 * from 1, and the relief thread. What it holds is the thread's own, with the
 * baton or without.
 */
#ifndef CG_ENGINE_EXECUTOR_H
#define CG_ENGINE_EXECUTOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/engine/engine.h"
#include "core/http/memo.h"
#include "core/http/reply.h"
#include "core/net/loop.h"
#include "core/net/transport.h"

enum { EVENTS = 64, READ_BUFFER = CG_TRANSPORT_ROOM, RELIEF = 0 };

struct cg_segment;

struct cg_executor {
    struct cg_engine *engine;
    int id;                /* RELIEF or 1 … */
    bool entered;          /* holds what enter of the runner gives (the GIL) */
    uint64_t ran_us;       /* with it, when the application last ran here */
    _Atomic uint32_t wake; /* of a parked executor, see pool.c */
    struct cg_flight *flight;
    int64_t date_s; /* second that `date` shows; ours, since the engine's */
    char date[CG_HTTP_DATE_SIZE]; /* may change during a call */
    struct cg_request req;        /* of a request that came in one piece */
    struct cg_head_memo memo;     /* of the last ones */
    struct cg_writer writer;      /* lent to the host with a request */
    struct cg_segment *spare;     /* for blocks that wait; see cork.c */
    cg_loop_event events[EVENTS];
    char rbuf[READ_BUFFER]; /* belongs to this thread, not to the engine */
};

/* Takes and gives what enter of the runner does (the GIL). Never with the
 * baton. */
void cg_engine_enter(struct cg_executor *x);
void cg_engine_leave(struct cg_executor *x);
/* Entered: objects whose bytes were sent are not needed any more. */
void cg_drop_list(const struct cg_runner *runner, struct cg_segment *s);

#endif
