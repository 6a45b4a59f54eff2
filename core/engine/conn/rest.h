/* SPDX-License-Identifier: MIT */
/*
 * Rest: what came behind a request on its connection (c->rest, from c->rest_at
 * on), most often the next one. It counts in request_memory while it lies
 * there. Whoever owns the stream calls these, with the baton or without.
 */
#ifndef CG_ENGINE_REST_H
#define CG_ENGINE_REST_H

#include "core/engine/conn/conn.h"

/* Puts more there. Without room in request_memory all of it is lost: then the
 * connection ends with the request before it, which tells the client that the
 * others were not read (RFC 9112, 9.3.2). */
void cg_rest_put(struct cg_engine *e, struct cg_conn *c, const char *p,
                 size_t n);
/* Counts what the caller has put there, whatever room there is: others find
 * less. */
void cg_rest_count(const struct cg_engine *e, struct cg_conn *c);
/* The caller's from here on; nothing is left, and nothing counts. */
struct cg_buf cg_rest_take(const struct cg_engine *e, struct cg_conn *c);
void cg_rest_release(const struct cg_engine *e, struct cg_conn *c);

#endif
