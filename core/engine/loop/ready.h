/* SPDX-License-Identifier: MIT */
/*
 * Ready queue: streams with a complete request that waits for its turn, the
 * oldest first. With the baton.
 */
#ifndef CG_ENGINE_READY_H
#define CG_ENGINE_READY_H

#include "core/engine/exchange/stream.h"

struct cg_engine;

struct cg_ready {
    struct cg_stream *first, **last;
    int n;
};

/*
 * Its connection stays in the event set: an event of it meanwhile is rare, and
 * takes it out. s->ready_us is the caller's to set.
 */
void cg_ready_push(struct cg_engine *e, struct cg_stream *s);
/* NULL: there is none. */
struct cg_stream *cg_ready_pop(struct cg_engine *e);

#endif
