/* SPDX-License-Identifier: MIT */
/*
 * Giving: connections that go to the queue that the workers of a generation
 * share (core/share/handover.h), and whether there is a sibling to take them.
 * With the baton.
 */
#ifndef CG_ENGINE_GIVE_H
#define CG_ENGINE_GIVE_H

#include "core/engine/protocol.h"

/* Whether a request may go there now. */
bool cg_may_give(const struct cg_engine *e);
/* Another worker of our generation that has nothing to do. */
bool cg_sibling_idle(const struct cg_engine *e);
/* Somebody else takes what is in the queue. */
bool cg_sibling_serves(const struct cg_engine *e);
bool cg_queue_waits(const struct cg_engine *e);
/* True: this request belongs to the queue now, and so does its connection, or
 * it waits for the reply (core/engine/loan/loan.h). */
bool cg_give(struct cg_engine *e, struct cg_stream *s,
             const struct cg_arrival *a);
/* Our own connections that wait for a request, all that the queue takes. Not
 * when the server is about to end. */
void cg_give_waiting(struct cg_engine *e);

#endif
