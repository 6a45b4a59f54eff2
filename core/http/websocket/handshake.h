/* SPDX-License-Identifier: MIT */
/*
 * The opening handshake of a WebSocket (RFC 6455, 4.2), the server's side: is
 * a request one, may it be accepted, and what the answer says.
 */
#ifndef CG_HTTP_WEBSOCKET_HANDSHAKE_H
#define CG_HTTP_WEBSOCKET_HANDSHAKE_H

#include "core/http/request.h"
#include "core/http/websocket/deflate.h"

enum cg_ws_request {
    CG_WS_REQUEST_NONE,        /* an HTTP request like others */
    CG_WS_REQUEST_GOOD,        /* a handshake */
    CG_WS_REQUEST_BAD_METHOD,  /* 400: not GET */
    CG_WS_REQUEST_BAD_VERSION, /* 426, with Sec-WebSocket-Version: 13 */
    CG_WS_REQUEST_BAD_KEY      /* 400: not one key of 16 bytes in base64 */
};

/* A handshake is a request of HTTP/1.1 with Connection: upgrade and the word
 * websocket in Upgrade; `base` is what r's offsets count from. */
enum cg_ws_request cg_ws_request_check(const struct cg_request *r,
                                       const char *base);
/* What to say about a refused one: a status and a short text. */
int cg_ws_request_status(enum cg_ws_request what, const char **ret_text);

/* Sec-WebSocket-Accept for the key of a good request. */
enum { CG_WS_ACCEPT_SIZE = 29 };
void cg_ws_accept(struct cg_slice key, char ret[CG_WS_ACCEPT_SIZE]);
struct cg_slice cg_ws_request_key(const struct cg_request *r, const char *base);

/* The subprotocols that the client offers, one after the other: *at is 0 at
 * first. False: there are no more. */
struct cg_ws_protocols {
    uint16_t field; /* of r */
    uint32_t at;    /* in its value */
};
bool cg_ws_protocol_next(const struct cg_request *r, const char *base,
                         struct cg_ws_protocols *at, struct cg_slice *ret);

/* The first offer of the request for permessage-deflate that can be met. */
bool cg_ws_request_terms(const struct cg_request *r, const char *base,
                         struct cg_ws_terms *ret);

#endif
