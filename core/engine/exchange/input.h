/* SPDX-License-Identifier: MIT */
/*
 * Input: the body of a request that runs while it is still coming.
 */
#ifndef CG_ENGINE_INPUT_H
#define CG_ENGINE_INPUT_H

#include "core/engine/exchange/call.h"

/* In the executor, without the baton; the operations of an exchange. */
int cg_input_receive(struct cg_exchange *ex, struct cg_buf *to);
/* -EAGAIN in place of waiting. */
int cg_input_receive_now(struct cg_exchange *ex, struct cg_buf *to);
/* The body makes no progress: every later receive says so. */
void cg_input_time_out(struct cg_call *call);
void cg_input_cut(struct cg_exchange *ex);
bool cg_input_can_skip(const struct cg_exchange *ex);
/* With the baton. The request is answered; its connection has its s->keep. */
void cg_input_end(struct cg_engine *e, struct cg_stream *s,
                  const struct cg_call *call);

#endif
