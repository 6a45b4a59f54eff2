/* SPDX-License-Identifier: MIT */
/* What the files of an application's WebSocket share. Nobody else includes
 * this. */
#ifndef CG_PY_ASGI_WEBSOCKET_INTERNAL_H
#define CG_PY_ASGI_WEBSOCKET_INTERNAL_H

#include "core/py/asgi/internal.h"

enum { WS_READ_SIZE = 64 * 1024 };

enum ws_state { WS_CONNECTING, WS_OPEN, WS_CLOSING, WS_CLOSED, WS_DENIED };

struct queued {
    struct queued *next;
    size_t n;
    PyObject *content; /* str or bytes */
};

struct websocket {
    RequestObject *r; /* whose it is */
    enum ws_state state;
    bool connect_given;
    bool deflates;
    unsigned watched; /* what the engine was asked to wait for */
    struct cg_ws_reader reader;
    struct cg_ws_inflate inflate;
    struct cg_ws_deflate deflate;
    struct queued *first, **last;
    size_t unread;
    int nunread;
    unsigned code; /* of the disconnection */
    char reason[CG_WS_CONTROL_MAX];
    size_t reason_n;
    uint64_t heard_us, pinged_us, closing_us, failed_us;
};

/* websocket.c */
/* As the application will hear of the end. */
void cg_websocket_set_code(struct websocket *ws, unsigned code,
                           const char *reason, size_t n);
bool cg_websocket_is_full(const struct websocket *ws);
/* Of a queue that is not empty; owned. */
struct queued *cg_websocket_take_queued(struct websocket *ws);
/* Bytes that the peer has not taken yet. */
size_t cg_websocket_waiting(const struct websocket *ws);
void cg_websocket_put(struct websocket *ws, const struct cg_buf *bytes);
/* Our half of the closing; nothing is sent after it. */
void cg_websocket_put_close(struct websocket *ws, unsigned code,
                            struct cg_slice reason);
/* After a close of ours: for the peer's. */
void cg_websocket_watch_closing(struct websocket *ws);
/* What the peer sent; unmasked in place. */
void cg_websocket_feed(struct websocket *ws, char *p, size_t n);
/* What the peer said before its fault is taken: the close goes out. */
void cg_websocket_fail(struct websocket *ws);

/* websocket_accept.c */
PyObject *cg_websocket_raise_closed(RequestObject *r);
PyObject *cg_websocket_send_accept(RequestObject *r, PyObject *message);
PyObject *cg_websocket_send_refusal(RequestObject *r);
PyObject *cg_websocket_send_denial(RequestObject *r, PyObject *message,
                                   PyObject *type);

#endif
