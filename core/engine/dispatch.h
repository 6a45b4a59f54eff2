/* SPDX-License-Identifier: MIT */
/*
 * Dispatch: what follows from what happened to a connection. The only file that
 * sees all of it: reading, running, answering, giving away. With the baton.
 */
#ifndef CG_ENGINE_DISPATCH_H
#define CG_ENGINE_DISPATCH_H

#include "core/engine/conn/conn.h"
#include "core/engine/loop/executor.h"

/* Its socket is ready for what it waits for, or it is new. */
void cg_dispatch_event(struct cg_executor *x, struct cg_conn *c);
/* Its deadline is over. */
void cg_dispatch_expired(struct cg_engine *e, struct cg_stream *s);
/* It was taken out of the ready queue. */
void cg_dispatch_queued(struct cg_executor *x, struct cg_stream *s);
/* The next one of that queue, if there is one that is to be run. */
void cg_dispatch_next(struct cg_executor *x);
/* Somebody may wait at a listener; whether somebody did. */
bool cg_dispatch_accept_one(struct cg_executor *x, int listener);
/* At a wake-up of the listener: one, or a few. */
void cg_dispatch_accept(struct cg_executor *x, int listener);
/* At a stop: those that the kernel promised us. */
void cg_dispatch_accept_rest(struct cg_executor *x);
/* What the host offers. */
void cg_dispatch_offered(struct cg_executor *x);
/* Takes one out of the shared queue; false when there is none. */
bool cg_dispatch_adopt(struct cg_executor *x);

#endif
