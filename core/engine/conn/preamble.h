/* SPDX-License-Identifier: MIT */
/*
 * Preamble: what a proxy tells before the first request (PROXY protocol), from
 * peers that may send one; or the packet that a request is told by where the
 * service speaks uwsgi.
 */
#ifndef CG_ENGINE_PREAMBLE_H
#define CG_ENGINE_PREAMBLE_H

#include "core/engine/conn/conn.h"
#include "core/engine/loop/executor.h"
#include "core/http/proxy/proxy.h"
#include "core/http/proxy/uwsgi.h"

/*
 * Feeds the bytes that came. What has come of one is kept in c->rest until it
 * is whole; afterwards bytes of a request may be there, from c->rest_at on, or
 * else at p + *ret_used. REFUSED: the peer has its answer.
 */
enum cg_proxy_status cg_preamble_feed(struct cg_executor *x, struct cg_conn *c,
                                      const char *p, size_t n,
                                      size_t *ret_used);

#endif
