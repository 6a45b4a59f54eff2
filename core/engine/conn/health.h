/* SPDX-License-Identifier: MIT */
/*
 * Health: requests that the engine answers by itself, for whoever asks whether
 * this server lives (health_path) and whether it wants requests (ready_path).
 * No host has a part in it, so it works while all executors are blocked. 503
 * is what a server gets that stops, is drained, or of whose workers none has
 * shown life for its timeout. Such a connection ends with its reply.
 */
#ifndef CG_ENGINE_HEALTH_H
#define CG_ENGINE_HEALTH_H

#include "core/engine/engine.h"
#include "core/engine/protocol.h"

static inline bool
cg_health_is_on(const struct cg_health_policy *p)
{
    return p->live.n > 0 || p->ready.n > 0;
}

/* Nearly every request is none of them, by its length alone. */
static inline bool
cg_health_may_be(const struct cg_health_policy *p, const struct cg_request *req)
{
    return req->path.n == p->live.n || req->path.n == p->ready.n;
}

/* Whether that request was one of these, which are answered then; its stream
 * may be gone. With the baton. */
bool cg_health_answer(struct cg_engine *e, struct cg_stream *s,
                      const struct cg_arrival *a);

#endif
