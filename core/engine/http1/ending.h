/* SPDX-License-Identifier: MIT */
/*
 * Ending: what becomes of a connection when its request is answered. First what
 * waits for the peer is flushed; then it waits for the next request, or reads
 * away what is left of this one's body (SKIP) or of a refused peer's input
 * (LINGER), each within bounds of time and size, or is closed.
 *
 * With the baton. Each of these may close the connection.
 */
#ifndef CG_ENGINE_ENDING_H
#define CG_ENGINE_ENDING_H

#include "core/engine/conn/conn.h"
#include "core/engine/loop/executor.h"

/* Bytes of a body that are read away after its response. */
enum { CG_SKIP_MAX = 64 * 1024 };

/* The reply was handed over; s's keep, broken and polite say how it ends. */
void cg_ending_begin(struct cg_engine *e, struct cg_stream *s);
/* FLUSH: the peer takes more; its deadline is over. */
void cg_ending_flush(struct cg_engine *e, struct cg_stream *s);
void cg_ending_look(struct cg_engine *e, struct cg_stream *s);
/* SKIP, LINGER: there is something to be read away. */
void cg_skip(struct cg_executor *x, struct cg_conn *c);
void cg_linger(struct cg_executor *x, struct cg_conn *c);

#endif
