/* SPDX-License-Identifier: MIT */
/*
 * Streaming: a request that runs while its body is still coming.
 */
#ifndef CG_ENGINE_STREAM_H
#define CG_ENGINE_STREAM_H

#include "core/engine/exchange/call.h"

/* In the executor, without the baton; the operations of an exchange. */
int cg_stream_receive(struct cg_exchange *ex, struct cg_buf *to);
/* -EAGAIN in place of waiting. */
int cg_stream_receive_now(struct cg_exchange *ex, struct cg_buf *to);
/* The body makes no progress: every later receive says so. */
void cg_stream_time_out(struct cg_call *call);
void cg_stream_end_input(struct cg_exchange *ex);
bool cg_stream_can_skip(const struct cg_exchange *ex);
/* With the baton. The request is answered; its connection has its c->keep. */
void cg_input_end(struct cg_engine *e, struct cg_conn *c,
                  const struct cg_call *call);

#endif
