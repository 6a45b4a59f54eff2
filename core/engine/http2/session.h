/* SPDX-License-Identifier: MIT */
/*
 * Session: the protocol of a connection that speaks HTTP/2, from its preface to
 * its end. Its own stream runs no request: its outbox is what waits for the
 * peer of all of them, its state IDLE while there are none and FLUSH else.
 *
 * With the baton.
 */
#ifndef CG_ENGINE_HTTP2_SESSION_H
#define CG_ENGINE_HTTP2_SESSION_H

#include "core/engine/protocol.h"
#include "core/http/h2/upgrade.h"

/* What a peer says of itself with an upgrade. */
struct cg_h2_settings {
    uint8_t bytes[CG_H2_SETTINGS_MAX];
    size_t n;
};

/* c speaks HTTP/2 from here on; config->http2 is not NULL. It is in the event
 * set, or gets there with its first event. */
void cg_http2_begin(struct cg_engine *e, struct cg_conn *c);
/* The same from a request of HTTP/1.1 on, which is its first stream: its head
 * as text, without a body. */
void cg_http2_begin_with(struct cg_engine *e, struct cg_conn *c,
                         const struct cg_h2_settings *settings,
                         struct cg_slice text, bool head_request);
/* Bytes that came of it already. */
void cg_http2_feed(struct cg_engine *e, struct cg_conn *c, const char *p,
                   size_t n);

#endif
