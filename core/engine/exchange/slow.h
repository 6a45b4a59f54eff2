/* SPDX-License-Identifier: MIT */
/*
 * Slow: requests that take longer than slow_request are told, with the stack at
 * that moment, and again at their end, with where the time went. Nothing of it
 * runs without that setting.
 */
#ifndef CG_ENGINE_SLOW_H
#define CG_ENGINE_SLOW_H

#include "core/engine/exchange/call.h"

struct cg_receipt;

/* With the baton; begin by the thread that will run the call. */
void cg_slow_begin(struct cg_call *call);
void cg_slow_expire(struct cg_engine *e, struct cg_deadline *d);
void cg_slow_end(struct cg_call *call, uint64_t end_us);
/* With the baton: what its peer had not taken then is taken, or lost. */
void cg_slow_sent(struct cg_engine *e, struct cg_stream *s,
                  struct cg_receipt *r);
/* The executor's: it begins to wait for its peer, and does not any more; the
 * socket is the application's, which may take any time. */
void cg_slow_waits(struct cg_call *call);
void cg_slow_goes_on(struct cg_call *call);
void cg_slow_taken(struct cg_exchange *ex);
/* Microseconds of such waits. Any thread. */
uint64_t cg_slow_so_far(const struct cg_call *call);

#endif
