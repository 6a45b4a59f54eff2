/* SPDX-License-Identifier: MIT */
/*
 * Upgrade: the protocol of a plain connection of a trusted peer that may ask to
 * go on with HTTP/2 (`http2_cleartext`): HTTP/1, until a request does. That
 * request is the first stream. One with a body is answered by HTTP/1.1, as any
 * server may: its body would have to be read first.
 */
#ifndef CG_ENGINE_HTTP2_UPGRADE_H
#define CG_ENGINE_HTTP2_UPGRADE_H

#include "core/engine/protocol.h"

extern const struct cg_protocol cg_http2_upgrade;

#endif
