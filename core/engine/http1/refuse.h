/* SPDX-License-Identifier: MIT */
/*
 * Refusing: one complete error response, no more of the peer's bytes parsed,
 * and an end that does not cut the response off (RFC 9112, 9.6).
 *
 * With the baton. The connection may be closed when these return.
 */
#ifndef CG_ENGINE_REFUSE_H
#define CG_ENGINE_REFUSE_H

#include "core/base/error.h"
#include "core/engine/conn/conn.h"

struct cg_arrival;
struct cg_engine;

/* req says what is wrong with it; base is what its offsets count from. */
void cg_refuse(struct cg_engine *e, struct cg_conn *c,
               const struct cg_request *req, const char *base);
void cg_refuse_status(struct cg_engine *e, struct cg_conn *c, int status,
                      const char *message);
/* Something of ours is in the way: the peer gets a 500 or 503, the log the
 * text. */
void cg_refuse_fault(struct cg_engine *e, struct cg_conn *c,
                     const struct cg_error *err);

/* The same resource by https, at that port: an answer (308, RFC 9110 15.4.9)
 * without a run, then the end. `base` is what the request's offsets count from.
 */
void cg_redirect(struct cg_engine *e, struct cg_conn *c,
                 const struct cg_request *req, const char *base, uint16_t port);
/* A request that is not run: its client has left, or it has waited too long and
 * is told so by a 503. a: NULL for one that waits in the ready queue. */
void cg_abandon(struct cg_engine *e, struct cg_conn *c,
                const struct cg_arrival *a);
void cg_refuse_busy(struct cg_engine *e, struct cg_conn *c,
                    const struct cg_arrival *a);
/* A whole reply of the engine's own, and the end of the connection. */
void cg_answer_and_end(struct cg_engine *e, struct cg_conn *c,
                       const struct cg_buf *reply);

#endif
