/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/ready.h"

#include "core/engine/state.h"

void
cg_ready_push(struct cg_engine *e, struct cg_stream *s)
{
    CG_HAS_BATON(e);
    s->state = STREAM_READY;
    s->qnext = NULL;
    *e->ready.last = s;
    e->ready.last = &s->qnext;
    e->ready.n++;
}

struct cg_stream *
cg_ready_pop(struct cg_engine *e)
{
    struct cg_stream *s = e->ready.first;
    CG_HAS_BATON(e);
    if (s != NULL) {
        e->ready.first = s->qnext;
        if (e->ready.first == NULL) {
            e->ready.last = &e->ready.first;
        }
        e->ready.n--;
        e->harvest.quota -= e->harvest.quota > 0;
    }
    return s;
}
