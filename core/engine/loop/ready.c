/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/ready.h"

#include "core/engine/state.h"

void
cg_ready_push(struct cg_engine *e, struct cg_conn *c)
{
    CG_HAS_BATON(e);
    c->state = CONN_READY;
    c->qnext = NULL;
    *e->ready.last = c;
    e->ready.last = &c->qnext;
    e->ready.n++;
}

struct cg_conn *
cg_ready_pop(struct cg_engine *e)
{
    struct cg_conn *c = e->ready.first;
    CG_HAS_BATON(e);
    if (c != NULL) {
        e->ready.first = c->qnext;
        if (e->ready.first == NULL) {
            e->ready.last = &e->ready.first;
        }
        e->ready.n--;
        e->harvest.quota -= e->harvest.quota > 0;
    }
    return c;
}
