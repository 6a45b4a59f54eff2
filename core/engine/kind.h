/* SPDX-License-Identifier: MIT */
/*
 * Kinds of executors: how a request of an engine is run. Inline by the thread
 * that turns the loop, which waits inside the call; or detached, by a loop of
 * the host's own, which goes on meanwhile. They differ by this table only.
 */
#ifndef CG_ENGINE_KIND_H
#define CG_ENGINE_KIND_H

#include "core/engine/protocol.h"

struct cg_call;

struct cg_executor_kind {
    /* The baton rests in APP while nothing happens, too: a long APP is no sign
     * of a long call. */
    bool rests_in_app;
    /* An executor that waits for one client keeps nobody else waiting. */
    bool may_wait;

    /* With the baton, all of these. Runs a request, to the end of the reply or
     * not; s may be gone when it returns. `intake` (or NULL) is taken. */
    void (*run)(struct cg_executor *x, struct cg_stream *s,
                const struct cg_arrival *a, struct cg_intake *intake);
    /* The same with the body still coming: s->intake. */
    void (*run_stream)(struct cg_executor *x, struct cg_stream *s);
    /* A stream in LENT is ready for what it waits for; its deadline is
     * over; nothing more goes to its peer. */
    void (*lent_ready)(struct cg_engine *e, struct cg_stream *s);
    void (*lent_expired)(struct cg_engine *e, struct cg_stream *s);
    void (*lent_broken)(struct cg_engine *e, struct cg_stream *s);
    /* A call takes too long. */
    void (*overdue)(struct cg_engine *e, struct cg_call *call);
    /* A call is slow: true while the host's loop is to tell where it waits. */
    bool (*slow)(struct cg_engine *e, struct cg_call *call);
    /* Relief took the loop. */
    void (*relieved)(struct cg_engine *e);
};

extern const struct cg_executor_kind cg_inline_executors;
extern const struct cg_executor_kind cg_hosted_executors;

#endif
