/* SPDX-License-Identifier: MIT */
/*
 * Queue: who waits for a turn here: which one is next, who has left, who has
 * waited too long. A request whose client is gone is never run: a reset counts
 * at once, the end of what the client sends after abandoned_after. With the
 * baton.
 */
#ifndef CG_ENGINE_QUEUE_H
#define CG_ENGINE_QUEUE_H

#include "core/engine/protocol.h"

/* The next one to run, out of the ready queue; NULL: nobody is left of those
 * that were looked at. Closes connections of those that are gone, answers those
 * that waited too long. */
struct cg_stream *cg_queue_next(struct cg_engine *e);
/* Looks at all that wait, when that is due. */
void cg_queue_sweep(struct cg_engine *e);
/* When it is, UINT64_MAX for never. */
uint64_t cg_queue_sweep_us(const struct cg_engine *e);
/* An adopted request that waited since ready_us; false: it is not to be run,
 * and its connection has been closed or answered. */
bool cg_queue_admits(struct cg_engine *e, struct cg_stream *s,
                     const struct cg_arrival *a);
/* Whether it is to be served before others. */
bool cg_queue_is_exempt(const struct cg_engine *e, const struct cg_arrival *a);

#endif
