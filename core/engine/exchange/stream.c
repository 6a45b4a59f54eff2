/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/stream.h"

#include "core/base/memory.h"
#include "core/engine/outbox/hoard.h"
#include "core/engine/outbox/receipt.h"
#include "core/engine/state.h"

const char *
cg_stream_state_word(enum cg_stream_state s)
{
    static const char *const word[] = {
#define X(id, text) [STREAM_##id] = text,
        CG_STREAM_STATES(X)
#undef X
    };
    return (size_t)s < CG_COUNT(word) ? word[s] : "?";
}

void
cg_stream_drop_intake(struct cg_stream *s)
{
    cg_intake_free(s->intake);
    s->intake = NULL;
}

void
cg_stream_close(struct cg_engine *e, struct cg_stream *s)
{
    CG_HAS_BATON(e);
    cg_deadline_clear(&s->deadline);
    if (__builtin_expect(s->receipt != NULL, 0)) {
        cg_receipt_end(e, s);
    }
    s->state = STREAM_DEAD;
    cg_stream_drop_intake(s);
    cg_outbox_clear(&s->outbox, &e->dropped);
    if (__builtin_expect(s->outbox.counted != 0, 0)) {
        cg_hoard_count(e, &s->outbox);
    }
}

/* ---- the peer's progress ---- */

void
cg_stream_await_peer(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_outbox *o = &s->outbox;
    if (o->progress.since_us == 0) {
        cg_progress_look(&o->progress, o->gone, s->transport, e->now_us);
    }
    cg_deadline_set(&e->deadlines, &s->deadline, DEADLINE_WRITE, e->now_us);
}

uint64_t
cg_stream_stalls(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_outbox *o = &s->outbox;
    uint64_t still =
        cg_progress_look(&o->progress, o->gone, s->transport, e->now_us);
    return still >= e->config->write_timeout_us ? still : 0;
}
