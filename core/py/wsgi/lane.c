/* SPDX-License-Identifier: MIT */
#include "core/py/wsgi/lane.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "core/py/request/errors.h"
#include "core/py/wsgi/bridge.h"

int
cg_lane_init(struct cg_wsgi *w, struct cg_lane *lane)
{
    py_auto *errors = cg_errors_new(w->errors_type, w->o->log);
    return errors != NULL
               ? cg_environ_init(&lane->environ, w->o, w->file_type, errors)
               : -1;
}

static void
release(struct cg_lane *lane)
{
    while (lane->nkits > 0) {
        cg_kit_free(lane->kits[--lane->nkits]);
    }
    cg_environ_release(&lane->environ);
#ifdef Py_GIL_DISABLED
    Py_CLEAR(lane->app);
#endif
}

#ifdef Py_GIL_DISABLED

/* The lane that this thread found last, and whose it is. */
static __thread struct {
    uint64_t serial;
    struct cg_lane *lane;
} here;

static struct cg_lane *
make_lane(struct cg_wsgi *w)
{
    struct cg_lane *lane = cg_calloc(1, sizeof *lane);
    if (cg_lane_init(w, lane) < 0) {
        release(lane);
        free(lane);
        return NULL;
    }
    PyMutex_Lock(&w->lanes_lock);
    lane->next = w->lanes;
    w->lanes = lane;
    PyMutex_Unlock(&w->lanes_lock);
    return lane;
}

void
cg_lane_adopt(struct cg_wsgi *w)
{
    static _Atomic uint64_t serials;
    w->serial = atomic_fetch_add(&serials, 1) + 1;
    here.serial = w->serial;
    here.lane = &w->lane;
}

struct cg_lane *
cg_lane_here(struct cg_wsgi *w)
{
    if (here.serial != w->serial) {
        struct cg_lane *made = make_lane(w);
        if (made == NULL) {
            return NULL;
        }
        here.serial = w->serial;
        here.lane = made;
    }
    return here.lane;
}

void
cg_lanes_release(struct cg_wsgi *w)
{
    release(&w->lane);
    while (w->lanes != NULL) {
        struct cg_lane *lane = w->lanes;
        w->lanes = lane->next;
        release(lane);
        free(lane);
    }
}

#else

void
cg_lanes_release(struct cg_wsgi *w)
{
    release(&w->lane);
}

#endif
