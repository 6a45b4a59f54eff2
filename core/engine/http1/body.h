/* SPDX-License-Identifier: MIT */
/*
 * Body: what the wait for the rest of a request asks of both sides. Used by who
 * fills an intake and by who streams.
 */
#ifndef CG_ENGINE_BODY_H
#define CG_ENGINE_BODY_H

#include "core/engine/exchange/stream.h"

struct cg_engine_config;

/* 100 Continue, once per request, if it waits for that. What the socket does
 * not take waits in the outbox, of which the caller is the owner: it has to be
 * flushed although the peer's bytes are waited for. */
void cg_send_continue(struct cg_stream *s, struct cg_intake *i,
                      struct cg_segment **dropped);
/* Whether a body comes at less than the least rate. */
bool cg_body_is_slow(const struct cg_engine_config *config,
                     const struct cg_intake *i, uint64_t now_us);

#endif
