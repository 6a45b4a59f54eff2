/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/executor.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/state.h"

#define RELAXED memory_order_relaxed

void
cg_drop_list(const struct cg_runner *runner, struct cg_segment *s)
{
    while (s != NULL) {
        struct cg_segment *next = s->next;
        runner->ops->drop(runner->self, s->owner);
        free(s);
        s = next;
    }
}

struct cg_executor *
cg_executor_new(struct cg_engine *e, int id)
{
    CG_ASSERT(id >= 0 && id < CG_BOARD_EXECUTORS);
    struct cg_executor *x = cg_malloc(sizeof *x);
    memset(x, 0, offsetof(struct cg_executor, events));
    x->engine = e;
    x->id = id;
    x->date_s = -1;
    if (id != RELIEF) {
        atomic_fetch_add(&e->executors, 1);
        atomic_fetch_add(&e->slot->executors_now, 1);
    }
    x->flight = cg_slot_flight(e->slot, id);
    return x;
}

void
cg_executor_free(struct cg_executor *x)
{
    if (x != NULL) {
        cg_request_release(&x->req);
        cg_writer_release(&x->writer);
        free(x->spare);
        free(x);
    }
}

void
cg_engine_enter(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    atomic_fetch_add_explicit(&e->entering, 1, RELAXED);
    e->runner.ops->enter(e->runner.self);
    atomic_fetch_sub_explicit(&e->entering, 1, RELAXED);
    x->entered = true;
}

void
cg_engine_leave(struct cg_executor *x)
{
    if (x->entered) {
        x->entered = false;
        x->engine->runner.ops->leave(x->engine->runner.self);
    }
}
