/* SPDX-License-Identifier: MIT */
/*
 * WebSocket, the server's side (RFC 6455, 5 to 7, and RFC 7692): bytes in,
 * events out; messages in, bytes out. Never reads a socket, never looks at a
 * clock: who owns the connection answers pings, closes, and keeps deadlines.
 * What a peer sends is bounded before it is stored: a message by max_message
 * (counted after it was inflated), a control frame by 125 bytes.
 */
#ifndef CG_HTTP_WEBSOCKET_H
#define CG_HTTP_WEBSOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/utf8.h"
#include "core/http/websocket/deflate.h"

/* RFC 6455, 11.8. */
enum cg_ws_opcode {
    CG_WS_OP_CONTINUATION = 0x0,
    CG_WS_OP_TEXT = 0x1,
    CG_WS_OP_BINARY = 0x2,
    CG_WS_OP_CLOSE = 0x8,
    CG_WS_OP_PING = 0x9,
    CG_WS_OP_PONG = 0xa
};

/* RFC 6455, 7.4.1, and the registry. */
enum cg_ws_code {
    CG_WS_NORMAL = 1000,
    CG_WS_GOING_AWAY = 1001,
    CG_WS_PROTOCOL_ERROR = 1002,
    CG_WS_NO_STATUS = 1005, /* never sent */
    CG_WS_ABNORMAL = 1006,  /* never sent */
    CG_WS_INVALID_DATA = 1007,
    CG_WS_TOO_BIG = 1009,
    CG_WS_INTERNAL_ERROR = 1011,
    CG_WS_RESTART = 1012
};

enum { CG_WS_CONTROL_MAX = 125, CG_WS_HEAD_MAX = 10 };

enum cg_ws_event {
    CG_WS_MORE,   /* all input is used, nothing complete */
    CG_WS_TEXT,   /* r->message is a whole message */
    CG_WS_BINARY, /* the same */
    CG_WS_PING,   /* r->control has its payload: answer with a pong */
    CG_WS_PONG,   /* the same; nothing to do */
    CG_WS_CLOSE,  /* r->code, and the reason in r->control; ends the reading */
    CG_WS_FAILED  /* r->code to close with, r->fault why; ends the reading */
};

struct cg_ws_reader {
    /* set before the first call */
    uint64_t max_message;          /* bytes; 0 = no limit */
    struct cg_ws_inflate *inflate; /* NULL: RSV1 is a fault; borrowed */

    /* the result of the last event */
    struct cg_buf message; /* owned; valid until the next call */
    char control[CG_WS_CONTROL_MAX];
    uint8_t control_n;
    uint16_t code;
    const char *fault; /* static text */

    /* private; zeroed memory is a fresh reader */
    uint8_t head[14];
    uint8_t head_n;
    uint8_t opcode; /* of the current frame */
    uint8_t kind;   /* of the message under way, 0 = none */
    bool in_frame, fin, compressed, given, over;
    uint8_t mask[4];
    uint8_t mask_at; /* of the mask, what is next */
    uint64_t left;   /* payload bytes of the frame that are to come */
    struct cg_utf8 utf8;
};

/* Reads p[0..n), which it may change (masks are undone in place); *used is how
 * far it came. Call again with the rest until CG_WS_MORE. After CG_WS_CLOSE or
 * CG_WS_FAILED all further input is used up without an event. */
enum cg_ws_event cg_ws_read(struct cg_ws_reader *r, char *p, size_t n,
                            size_t *used);
void cg_ws_reader_release(struct cg_ws_reader *r);

/* The head of an unmasked frame that is complete in itself; returns its
 * bytes. `compressed` sets RSV1. */
size_t cg_ws_put_head(char head[CG_WS_HEAD_MAX], enum cg_ws_opcode opcode,
                      bool compressed, uint64_t n);
/* Appends a whole frame. A control frame has at most 125 bytes. */
void cg_ws_put_frame(struct cg_buf *out, enum cg_ws_opcode opcode,
                     struct cg_slice payload);
/* Appends a message as one frame, compressed when d is not NULL. */
void cg_ws_put_message(struct cg_buf *out, struct cg_ws_deflate *d,
                       enum cg_ws_opcode opcode, struct cg_slice payload);
/* Appends a close frame; NO_STATUS gives an empty one. Of the reason goes what
 * fits, whole characters of UTF-8 only. */
void cg_ws_put_close(struct cg_buf *out, unsigned code, struct cg_slice reason);

/* Whether a close frame may carry it: 1000-1003, 1007-1014, 3000-4999. */
bool cg_ws_is_close_code(unsigned code);

#endif
