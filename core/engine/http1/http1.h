/* SPDX-License-Identifier: MIT */
/*
 * The room of HTTP/1: from the bytes of a connection to complete requests, and
 * from a reply to its bytes.
 *
 * What always holds: a connection has one stream, and its next request is not
 * looked at before the reply to this one is handed over; bytes of a peer are
 * bounded before they are stored. What they mean is left to core/http, running
 * a request to the dispatcher, what waits for the peer to the outbox.
 */
#ifndef CG_ENGINE_HTTP1_H
#define CG_ENGINE_HTTP1_H

#include "core/engine/protocol.h"

extern const struct cg_protocol cg_http1;

#endif
