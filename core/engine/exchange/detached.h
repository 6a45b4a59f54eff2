/* SPDX-License-Identifier: MIT */
/*
 * Detached: a call that outlives the dispatch of its request, of a hosted
 * engine: its life from the dispatch to cg_engine_done. Everything of it is on
 * the heap, and its request and buffers are reused. What it calls may switch
 * greenlets, so nothing keeps a pointer into a C frame or a fact about the
 * engine across it. On the thread of the host's loop.
 */
#ifndef CG_ENGINE_DETACHED_H
#define CG_ENGINE_DETACHED_H

#include "core/engine/exchange/call.h"
#include "core/engine/state.h"

struct cg_detached {
    struct cg_call call; /* first */
    struct cg_detached *next;
    struct cg_request req;
    struct cg_buf bytes;      /* head and body of one that came in one piece */
    struct cg_writer writer;  /* lent to the host */
    struct cg_intake *intake; /* of one that did not */
    uint64_t held;            /* of the budget, for bytes */
    size_t low;               /* the host waits for this; with the baton */
    bool waits;               /* it does; with the baton */
    bool rooms, reads, ends;  /* for room, for the peer's bytes, its leaving */
    bool parks;               /* a greenlet does, beside others perhaps */
    bool tunnels;             /* it speaks another protocol with the peer */
    bool told;                /* in the list of the awaited; with the baton */
    bool lent;                /* the host's: the engine may have the outbox */
    bool overdue;             /* the host is to interrupt it; with the baton */
    bool slow;                /* and to tell where it waits; likewise */
    struct cg_detached *due_next; /* in the list of those two */
};

static inline struct cg_detached *
cg_detached_of(struct cg_exchange *ex)
{
    return (struct cg_detached *)(void *)ex;
}

/* Between two polls, and while the application runs, the baton rests in APP. */
static inline void
cg_hosted_open_baton(struct cg_engine *e, const struct cg_executor *x)
{
    cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
}

static inline void
cg_hosted_take_baton(struct cg_engine *e, const struct cg_executor *x)
{
    cg_baton_take(&e->baton, (unsigned)x->id);
}

static inline bool
cg_hosted_is_child(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->forked, memory_order_relaxed) != 0;
}

/* With the baton, all of these. A request runs; maybe it goes on when they
 * return. */
void cg_detached_run(struct cg_executor *x, struct cg_stream *s,
                     const struct cg_arrival *a, struct cg_intake *intake);
void cg_detached_run_stream(struct cg_executor *x, struct cg_stream *s);
/* Its time is over: it is to be interrupted. It is slow: true if the host is to
 * be told where it waits. */
void cg_detached_overdue(struct cg_engine *e, struct cg_call *call);
bool cg_detached_slow(struct cg_engine *e, struct cg_call *call);
/* The first of these is interrupted or told. */
void cg_detached_attend_first(struct cg_executor *x);
/* The loop of the host is to look at us then. */
void cg_hosted_wake_at(struct cg_engine *e, uint64_t due_us);
/* Those that are kept for reuse go. */
void cg_detached_release(struct cg_engine *e);

#endif
