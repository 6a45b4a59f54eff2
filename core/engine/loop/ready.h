/* SPDX-License-Identifier: MIT */
/*
 * Ready queue: streams with a complete request that waits for its turn, in the
 * order of ready_us, and before them the exempt ones. With the baton.
 */
#ifndef CG_ENGINE_READY_H
#define CG_ENGINE_READY_H

#include "core/engine/exchange/stream.h"

struct cg_engine;

struct cg_ready {
    struct cg_stream *first, *last; /* the oldest, the newest */
    struct cg_stream *exempt_first, *exempt_last;
    int n; /* of both */
};

/*
 * Its connection stays in the event set: an event of it meanwhile is rare, and
 * takes it out. s->ready_us and s->exempt are the caller's to set.
 */
void cg_ready_push(struct cg_engine *e, struct cg_stream *s);
/* The first of all; NULL: there is none. */
struct cg_stream *cg_ready_pop(struct cg_engine *e);
/* The newest of those that are not exempt; NULL: there is none. */
struct cg_stream *cg_ready_pop_newest(struct cg_engine *e);
/* This one, wherever it stands. */
void cg_ready_take(struct cg_engine *e, struct cg_stream *s);

#endif
