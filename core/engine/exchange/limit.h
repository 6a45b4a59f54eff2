/* SPDX-License-Identifier: MIT */
/*
 * Limit: what happens when the application takes longer than request_timeout.
 */
#ifndef CG_ENGINE_LIMIT_H
#define CG_ENGINE_LIMIT_H

#include "core/engine/exchange/call.h"

/* The executor's, without the baton: false when the stream is no
 * longer its own. After an enter that said true comes leave. */
bool cg_limit_enter_slow(struct cg_call *call);
void cg_limit_leave_slow(struct cg_call *call);
/* The application may use the socket itself: no limit any more. */
void cg_limit_taken(struct cg_exchange *ex);
bool cg_limit_is_late(const struct cg_call *call);
/* All of the reply was given to the wire. */
void cg_limit_sent(struct cg_exchange *ex);
enum cg_late cg_limit_late(const struct cg_exchange *ex);
enum cg_late cg_limit_conclude(struct cg_exchange *ex);
/* No limit, but a word: two threads of the application may be in the wire, one
 * that reads a body and sends what waits meanwhile, and one that writes. */
void cg_limit_share(struct cg_call *call);
/* It came back. */
void cg_limit_over(struct cg_call *call);
/* With the baton: one of the lists of calls; begin; end, after which the
 * stream's fields say what the limit did to it. */
void cg_limit_expire(struct cg_engine *e, struct cg_deadline *d);
void cg_limit_begin(struct cg_call *call);
void cg_limit_end(struct cg_call *call);

static inline bool
cg_limit_is_on(const struct cg_limit *l)
{
    return __builtin_expect(
        atomic_load_explicit(&l->state, memory_order_relaxed) != 0, 0);
}

static inline bool
cg_limit_enter(struct cg_call *call)
{
    return !cg_limit_is_on(&call->limit) || cg_limit_enter_slow(call);
}

static inline void
cg_limit_leave(struct cg_call *call)
{
    if (cg_limit_is_on(&call->limit)) {
        cg_limit_leave_slow(call);
    }
}

#endif
