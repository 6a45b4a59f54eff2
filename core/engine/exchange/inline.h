/* SPDX-License-Identifier: MIT */
/*
 * Answers of the engine's own, given as an inline executor gives those of the
 * application: through an exchange, by whoever turns the loop, in every kind of
 * engine. No host has a part in it, nor a limit of time.
 */
#ifndef CG_ENGINE_INLINE_H
#define CG_ENGINE_INLINE_H

#include "core/engine/protocol.h"

/* With the baton. `answer` makes the reply through ex, with the baton open, to
 * its end; s may be gone when this returns. The host is told of it. */
void cg_inline_answer(struct cg_executor *x, struct cg_stream *s,
                      const struct cg_arrival *a,
                      void (*answer)(void *self, struct cg_exchange *ex),
                      void *self);

/* Around what may block for a moment: the baton is open, and relief turns the
 * loop if it takes longer. Relief's own thread keeps it: it is the last. */
uint32_t cg_inline_open(struct cg_executor *x);
void cg_inline_back(struct cg_executor *x, uint32_t mine);

#endif
