/* SPDX-License-Identifier: MIT */
/*
 * Lent: the stream of a detached call while the engine waits for its peer: what
 * the socket did not take is flushed while the application goes on, whatever it
 * does next, and what the application waits for (room, the peer's bytes, its
 * leaving) is told. Any write takes the stream back. Here are the exchange and
 * the wire of detached calls, since each of their functions lends or takes
 * back.
 */
#ifndef CG_ENGINE_LENT_H
#define CG_ENGINE_LENT_H

#include "core/engine/exchange/detached.h"
#include "core/engine/exchange/wire.h"

extern const struct cg_wire cg_detached_wire;
extern const struct cg_exchange_ops cg_detached_ops;

/* On the thread of the host's loop, without the baton: the host has the stream
 * alone again. */
void cg_lent_reclaim(struct cg_detached *d);
/* With the baton; by relief, too. Something happened to the socket; its
 * deadline is over; it is cut. */
void cg_lent_ready(struct cg_engine *e, struct cg_stream *s);
void cg_lent_expired(struct cg_engine *e, struct cg_stream *s);
void cg_lent_broken(struct cg_engine *e, struct cg_stream *s);
/* With the baton: the host hears of the first one for which there is what it
 * waits for. */
void cg_lent_tell_first(struct cg_executor *x);

#endif
