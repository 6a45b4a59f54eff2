/* SPDX-License-Identifier: MIT */
/*
 * Ending: what becomes of a connection when its request is answered. First what
 * waits for the peer is flushed; then it waits for the next request, or reads
 * away what is left of this one's body (SKIP) or of a refused peer's input
 * (LINGER), each within bounds of time and size, or is closed.
 *
 * With the baton. Each of these may close c.
 */
#ifndef CG_ENGINE_ENDING_H
#define CG_ENGINE_ENDING_H

#include "core/engine/conn/conn.h"
#include "core/engine/loop/executor.h"

/* Bytes of a body that are read away after its response. */
enum { CG_SKIP_MAX = 64 * 1024 };

/* The reply was handed over; c's keep, broken and polite say how it ends. */
void cg_ending_begin(struct cg_engine *e, struct cg_conn *c);
/* FLUSH: the peer takes more; its deadline is over. */
void cg_ending_flush(struct cg_engine *e, struct cg_conn *c);
void cg_ending_look(struct cg_engine *e, struct cg_conn *c);
/* The peer has something to take from here on: its deadline is the next look
 * at how it goes on. */
void cg_ending_await(struct cg_engine *e, struct cg_conn *c);
/* For how long it has taken nothing, if that is too long; else 0. */
uint64_t cg_ending_stalls(struct cg_engine *e, struct cg_conn *c);
/* SKIP, LINGER: there is something to be read away. */
void cg_skip(struct cg_executor *x, struct cg_conn *c);
void cg_linger(struct cg_executor *x, struct cg_conn *c);

#endif
