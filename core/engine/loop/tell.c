/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/tell.h"

#include <stdio.h>

#include "core/engine/loop/stop.h"
#include "core/engine/state.h"

void
cg_expect_report(struct cg_engine *e)
{
    enum { REPORT_US = 1000 * 1000 };
    if (e->tell.report_us == 0) {
        e->tell.report_us = e->now_us + REPORT_US;
    }
}

void
cg_tell_refused(struct cg_engine *e, struct cg_refused why)
{
    CG_HAS_BATON(e);
    atomic_fetch_add_explicit(&e->slot->refused, 1, memory_order_relaxed);
    e->host->refused(e->host->self, &why);
    cg_expect_report(e);
}

void
cg_tell_unserved(struct cg_engine *e, const struct cg_refused *why)
{
    CG_HAS_BATON(e);
    e->host->refused(e->host->self, why);
}

void
cg_tell_trouble(struct cg_engine *e, const char *text)
{
    CG_HAS_BATON(e);
    e->host->trouble(e->host->self, text);
    cg_expect_report(e);
}

enum { NOTE_NONE, NOTE_WRITTEN, NOTE_THERE };

void
cg_note_trouble(struct cg_engine *e, const char *text)
{
    struct cg_note *n = &e->tell.note;
    int none = NOTE_NONE;
    if (atomic_compare_exchange_strong(&n->state, &none, NOTE_WRITTEN)) {
        snprintf(n->text, sizeof n->text, "%s", text);
        atomic_store(&n->state, NOTE_THERE);
        cg_engine_kick(e);
    }
}

void
cg_tell_noted(struct cg_engine *e)
{
    struct cg_note *n = &e->tell.note;
    if (atomic_load(&n->state) == NOTE_THERE) {
        cg_tell_trouble(e, n->text);
        atomic_store(&n->state, NOTE_NONE);
    }
}
