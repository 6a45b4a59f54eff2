/* SPDX-License-Identifier: MIT */
/*
 * Replies of HTTP/1: the operations of an exchange, over the wire of its call.
 * The writer (core/http/writer.h) says what is to be sent; here it is told what
 * the connection and the request allow, and its parts go their way.
 *
 * In the executor, without the baton.
 */
#ifndef CG_ENGINE_REPLY_H
#define CG_ENGINE_REPLY_H

#include "core/exchange/exchange.h"

int cg_http1_body(struct cg_exchange *ex, const char *p, size_t n,
                  enum cg_more more, void *keep);
int cg_http1_file(struct cg_exchange *ex, int fd, off_t offset, size_t n);
int cg_http1_inform(struct cg_exchange *ex, int status,
                    const struct cg_fields *fields);
int cg_http1_trailers(struct cg_exchange *ex, const struct cg_fields *fields);
void cg_http1_abort(struct cg_exchange *ex, int status, const char *message);

#endif
