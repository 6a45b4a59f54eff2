/* SPDX-License-Identifier: MIT */
/*
 * Runner: what runs applications, as a table of functions. A worker makes one
 * for its class (WSGI in the thread that calls, WSGI in greenlets or on a loop,
 * ASGI in tasks) and hands it to its engine, which asks nothing else about it.
 *
 * WHO CALLS. The engine's executors call `enter` to `show`, never its
 * relief thread; the worker calls `start` to `free`, on its main thread.
 * `enter` and `leave` stand around all others: what needs the GIL has it.
 */
#ifndef CG_EXCHANGE_APP_H
#define CG_EXCHANGE_APP_H

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/exchange/exchange.h"

struct cg_app_ops {
    /* Before the first run after a wait, and before a wait: the GIL. */
    void (*enter)(void *self);
    void (*leave)(void *self);
    /* Answers through ex; never fails, never throws. Where requests share a
     * thread it may return before, and gives ex back later. */
    void (*run)(void *self, struct cg_exchange *ex);
    /* What cg_exchange_await and its like announced; NULL: it never waits so.
     */
    void (*awaited)(void *self, struct cg_exchange *ex);
    /* ex takes too long, or goes on long after it was told that: on the thread
     * that requests share, as awaited. NULL: they share none. */
    void (*interrupt)(void *self, struct cg_exchange *ex);
    /* Where ex waits, as Python shows stacks, for the log; on the thread that
     * requests share, as awaited. NULL: they share none. */
    void (*show)(void *self, struct cg_exchange *ex, struct cg_buf *out);
    /* An object that a reply's bytes belong to: one more and one less user. */
    void (*hold)(void *self, void *owner);
    void (*drop)(void *self, void *owner);
    /* Once for each ex->line, when its reply is out, or will not be but for the
     * last `unsent` bytes. */
    void (*replied)(void *self, void *line, uint64_t unsent);

    /* Before the first request: the application's own start. -1: it says that
     * it cannot; why is in err and, if it raised, in traceback. */
    int (*start)(void *self, struct cg_error *err, struct cg_buf *traceback);
    /* A graceful stop has begun, which may take so long. */
    void (*stop)(void *self, uint64_t graceful_us);
    /* Nothing calls run any more: ends what is left, for so long at most, and
     * then the application. False: something does not end. */
    bool (*end)(void *self, uint64_t patience_us);
    /* After the engine is gone; self may be NULL. */
    void (*free)(void *self);
};

struct cg_runner {
    const struct cg_app_ops *ops;
    void *self;
};

#endif
