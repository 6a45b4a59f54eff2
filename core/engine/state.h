/* SPDX-License-Identifier: MIT */
/*
 * What an engine is made of: each part belongs to the file whose header
 * declares it. Included by the engine's own files only.
 */
#ifndef CG_ENGINE_STATE_H
#define CG_ENGINE_STATE_H

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/engine/conn/accept.h"
#include "core/engine/conn/conn.h"
#include "core/engine/conn/shake.h"
#include "core/engine/engine.h"
#include "core/engine/exchange/hosted.h"
#include "core/engine/http2/http2.h"
#include "core/engine/kind.h"
#include "core/engine/loan/loan.h"
#include "core/engine/loop/baton.h"
#include "core/engine/loop/concurrency.h"
#include "core/engine/loop/deadline.h"
#include "core/engine/loop/executor.h"
#include "core/engine/loop/overload.h"
#include "core/engine/loop/pool.h"
#include "core/engine/loop/ready.h"
#include "core/engine/loop/relief.h"
#include "core/engine/loop/stop.h"
#include "core/engine/loop/tell.h"
#include "core/engine/loop/turn.h"
#include "core/engine/loop/watches.h"
#include "core/engine/outbox/cork.h"
#include "core/engine/outbox/hoard.h"
#include "core/engine/outbox/receipt.h"
#include "core/net/loop.h"

struct cg_engine {
    struct cg_baton baton;

    /* ---- only with the baton in LOOP ---- */
    struct cg_loop loop;
    const struct cg_engine_config *config;
    const struct cg_host *host;
    struct cg_runner runner;
    const struct cg_executor_kind *kind;
    const struct cg_protocol *protocol; /* that connections begin with */
    struct cg_scoreboard *board;
    struct cg_slot *slot;
    uint32_t slot_number; /* ours on it */
    uint64_t now_us;      /* of the last look at the clock */
    uint64_t wall_us;     /* what now_us is less than the time since 1970 */
    int64_t date_s;       /* second that `date` shows, and wall_us is of */
    char date[CG_HTTP_DATE_SIZE];
    uint64_t calls_us; /* 8 times what calls take, on average; if parallel */
    struct cg_harvest harvest;
    struct cg_ready ready;
    struct cg_overload overload;
    struct cg_concurrency concurrency; /* partly any thread */
    struct cg_conns conns;
    struct cg_segment *dropped; /* objects that wait for an entered thread */
    struct cg_receipts receipts;
    struct cg_deadlines deadlines;
    struct cg_accepting accept;
    struct cg_shaking shaking;
    struct cg_watches watches;
    struct cg_relief relief;
    struct cg_hosted hosted;
    struct cg_loans loans;
    struct cg_http2 http2; /* partly any thread, as its header says */

    /* ---- any thread, as their headers say ---- */
    struct cg_pool pool;
    struct cg_cork cork;
    struct cg_telling tell;
    struct cg_stop stop;
    struct cg_hoard hoard;
    _Atomic uint64_t spill_pause_us; /* the disk failed: not before this time */
    _Alignas(64) _Atomic uint64_t requests;
    _Atomic uint64_t request_limit; /* UINT64_MAX: none */
    _Atomic int forked;             /* we are a child of the application */
    _Atomic int has_forked;         /* a child may hold our sockets */
    _Atomic int entering; /* executors that wait for the host's lock */
    _Atomic int executors;
    _Atomic uint64_t proof_us; /* the host was asked for one then, or 0 */
    uint64_t prove_us;         /* it was asked last */
};

/* Whether something waits for an entered thread. */
static inline bool
cg_owes(const struct cg_engine *e)
{
    return __builtin_expect(
        e->dropped != NULL || e->receipts.first != NULL || e->hoard.trims, 0);
}

/*
 * Assertions of who owns what, in builds with a sanitizer and with DEBUG=1.
 * CG_HAS_BATON: the caller holds the baton in LOOP, or nobody can: the engine
 * is being made or freed. CG_OWNS_STREAM: the stream is in RUN, so it belongs
 * to its executor (or to who the application lent that to), which this is.
 */
#ifdef CG_CHECK_OWNERS
#define CG_HAS_BATON(e)                                                        \
    CG_ASSERT(cg_baton_held == &(e)->baton || atomic_load(&(e)->stop.over) ||  \
              cg_baton_state(atomic_load(&(e)->baton.word)) == BATON_FREE)
#define CG_OWNS_STREAM(s) CG_ASSERT((s)->state == STREAM_RUN)
#else
#define CG_HAS_BATON(e) ((void)0)
#define CG_OWNS_STREAM(s) ((void)0)
#endif

/* Whether executors besides the one that leads are in calls. */
static inline bool
cg_others_run(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->executors, memory_order_relaxed) >
           atomic_load_explicit(&e->pool.n, memory_order_relaxed) + 1;
}

/* Whether only requests of the host's own are run yet. */
static inline bool
cg_is_held(const struct cg_engine *e)
{
    return __builtin_expect(
        atomic_load_explicit(&e->accept.held, memory_order_relaxed) != 0, 0);
}

/* Whether another request may begin here. */
static inline bool
cg_may_run(const struct cg_engine *e)
{
    return e->hosted.in_flight < e->hosted.most;
}

#endif
