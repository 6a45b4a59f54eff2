/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/ready.h"

#include "core/engine/state.h"

/* Behind which one it belongs; NULL: it is the first. One that comes back from
 * a try to give it away, or out of the shared queue, may be old; what would be
 * far from both ends stands near enough. */
static struct cg_stream *
predecessor(const struct cg_ready *r, const struct cg_stream *s)
{
    enum { STEPS = 64 };
    struct cg_stream *at = r->last;
    if (r->first != NULL && s->ready_us < r->first->ready_us) {
        return NULL;
    }
    for (int i = 0; i < STEPS && at != NULL && at->ready_us > s->ready_us;
         i++) {
        at = at->qprev;
    }
    return at;
}

static void
link_behind(struct cg_stream **first, struct cg_stream **last,
            struct cg_stream *before, struct cg_stream *s)
{
    s->qprev = before;
    s->qnext = before != NULL ? before->qnext : *first;
    *(before != NULL ? &before->qnext : first) = s;
    *(s->qnext != NULL ? &s->qnext->qprev : last) = s;
}

static void
count(struct cg_engine *e, int change)
{
    e->ready.n += change;
    atomic_store_explicit(&e->slot->waiting, e->ready.n, memory_order_relaxed);
}

void
cg_ready_push(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_ready *r = &e->ready;
    CG_HAS_BATON(e);
    s->state = STREAM_READY;
    if (s->exempt) {
        link_behind(&r->exempt_first, &r->exempt_last, r->exempt_last, s);
    } else {
        link_behind(&r->first, &r->last, predecessor(r, s), s);
    }
    count(e, 1);
}

void
cg_ready_take(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_ready *r = &e->ready;
    CG_HAS_BATON(e);
    struct cg_stream **first = s->exempt ? &r->exempt_first : &r->first;
    struct cg_stream **last = s->exempt ? &r->exempt_last : &r->last;
    *(s->qprev != NULL ? &s->qprev->qnext : first) = s->qnext;
    *(s->qnext != NULL ? &s->qnext->qprev : last) = s->qprev;
    s->qnext = s->qprev = NULL;
    count(e, -1);
    e->harvest.quota -= e->harvest.quota > 0;
}

struct cg_stream *
cg_ready_pop(struct cg_engine *e)
{
    struct cg_ready *r = &e->ready;
    struct cg_stream *s = r->exempt_first != NULL ? r->exempt_first : r->first;
    CG_HAS_BATON(e);
    if (s != NULL) {
        cg_ready_take(e, s);
    }
    return s;
}

struct cg_stream *
cg_ready_pop_newest(struct cg_engine *e)
{
    struct cg_stream *s = e->ready.last;
    CG_HAS_BATON(e);
    if (s != NULL) {
        cg_ready_take(e, s);
    }
    return s;
}
