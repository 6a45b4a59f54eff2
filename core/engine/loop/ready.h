/* SPDX-License-Identifier: MIT */
/*
 * Ready queue: connections with a complete request that waits for its turn, the
 * oldest first. With the baton.
 */
#ifndef CG_ENGINE_READY_H
#define CG_ENGINE_READY_H

#include "core/engine/conn/conn.h"

struct cg_engine;

struct cg_ready {
    struct cg_conn *first, **last;
    int n;
};

/*
 * The connection stays in the event set: an event of it meanwhile is rare, and
 * takes it out. c->ready_us is the caller's to set.
 */
void cg_ready_push(struct cg_engine *e, struct cg_conn *c);
/* NULL: there is none. */
struct cg_conn *cg_ready_pop(struct cg_engine *e);

#endif
