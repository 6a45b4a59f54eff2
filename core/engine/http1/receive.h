/* SPDX-License-Identifier: MIT */
/*
 * Receiving: bytes of a connection become complete requests. One that arrives
 * in one piece lies in the thread's read buffer; anything else goes through an
 * intake. What to do with a request is the dispatcher's to say.
 *
 * With the baton.
 */
#ifndef CG_ENGINE_RECEIVE_H
#define CG_ENGINE_RECEIVE_H

#include "core/engine/protocol.h"

/* Reads what has come; *a is filled with REQUEST. */
enum cg_step cg_receive(struct cg_executor *x, struct cg_conn *c,
                        struct cg_arrival *a);
/* The same in BODY, where something may wait for the peer, too. */
enum cg_step cg_receive_body(struct cg_executor *x, struct cg_conn *c,
                             struct cg_arrival *a);
/* The same for one that was in the ready queue: no byte is read. */
enum cg_step cg_receive_queued(struct cg_executor *x, struct cg_stream *s,
                               struct cg_arrival *a);

#endif
