/* SPDX-License-Identifier: MIT */
/*
 * One WebSocket of an application (ASGI www 2.5, RFC 6455). The handshake is an
 * exchange like others; once it is accepted it is a tunnel, whose bytes the
 * engine carries and we understand. Pings, pongs and closes are answered here,
 * whatever the application does meanwhile.
 *
 *   CONNECTING -> OPEN -> CLOSING (we closed first) -> CLOSED
 *              -> DENIED (an HTTP response)
 *
 * The exchange is given back when the connection has come to its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/asgi/websocket_internal.h"

enum {
    UNREAD_BYTES = 64 * 1024, /* messages that nobody took: no more is read */
    UNREAD_MESSAGES = 32,
    PONGS_MOST = 64 * 1024,
    CLOSE_US = 5 * 1000 * 1000 /* for the peer's half of the closing */
};

struct websocket *
cg_websocket_new(RequestObject *r)
{
    struct websocket *ws = cg_calloc(1, sizeof *ws);
    ws->r = r;
    ws->last = &ws->first;
    ws->code = CG_WS_NO_STATUS;
    ws->reader.max_message = r->asgi->o.ws_max;
    return ws;
}

struct queued *
cg_websocket_take_queued(struct websocket *ws)
{
    struct queued *q = ws->first;
    ws->first = q->next;
    if (ws->first == NULL) {
        ws->last = &ws->first;
    }
    ws->unread -= q->n;
    ws->nunread--;
    return q;
}

void
cg_websocket_free(struct websocket *ws)
{
    if (ws == NULL) {
        return;
    }
    while (ws->first != NULL) {
        struct queued *q = cg_websocket_take_queued(ws);
        Py_DECREF(q->content);
        free(q);
    }
    cg_ws_reader_release(&ws->reader);
    cg_ws_inflate_release(&ws->inflate);
    cg_ws_deflate_release(&ws->deflate);
    free(ws);
}

bool
cg_websocket_is_open(const RequestObject *r)
{
    return r->ws->state == WS_OPEN || r->ws->state == WS_CLOSING;
}

/* ---- the engine's watch ---- */

bool
cg_websocket_is_full(const struct websocket *ws)
{
    return ws->unread >= UNREAD_BYTES || ws->nunread >= UNREAD_MESSAGES;
}

/* What the peer says is of interest: there is room for it, or it is to close.
 */
static bool
is_reading(const struct websocket *ws)
{
    return ws->state == WS_CLOSING ||
           (!cg_websocket_is_full(ws) && !ws->reader.over);
}

void
cg_websocket_watch(RequestObject *r)
{
    struct websocket *ws = r->ws;
    unsigned what = (is_reading(ws) ? CG_AWAIT_INPUT : 0) |
                    (r->room_waiter != NULL ? CG_AWAIT_ROOM : 0);
    what = what != 0 ? what : CG_AWAIT_END; /* one that is full may be left */
    if (what == ws->watched) {
        return;
    }
    int e = cg_exchange_await(r->ex, what, ROOM_LOW);
    ws->watched = e == 0 ? what : 0;
    if (e < 0) {
        cg_asgi_gone(r);
    } else if (e > 0) {
        cg_asgi_wake(r->asgi, &r->room_waiter);
        cg_websocket_watch(r);
    }
}

/* ---- the end ---- */

/* The connection has come to its end; the application is told by receive(). */
static void
shut(struct websocket *ws)
{
    RequestObject *r = ws->r;
    if (ws->state == WS_CLOSED) {
        return;
    }
    ws->state = WS_CLOSED;
    cg_ws_reader_release(&ws->reader);
    cg_ws_inflate_release(&ws->inflate);
    cg_ws_deflate_release(&ws->deflate);
    cg_asgi_give_back(r);
    if (r->returned) {
        cg_asgi_finish(r, 0);
    }
}

void
cg_websocket_set_code(struct websocket *ws, unsigned code, const char *reason,
                      size_t n)
{
    ws->code = code;
    ws->reason_n = n < sizeof ws->reason ? n : sizeof ws->reason;
    memcpy(ws->reason, reason, ws->reason_n);
}

/* The peer is gone without a close. */
static void
lose(struct websocket *ws)
{
    if (ws->state == WS_OPEN) {
        cg_websocket_set_code(ws, CG_WS_ABNORMAL, "", 0);
    }
    if (ws->state != WS_CLOSED && ws->r->ex != NULL) {
        ws->r->ex->broken = true;
    }
    shut(ws);
}

/* ---- writing ---- */

size_t
cg_websocket_waiting(const struct websocket *ws)
{
    return ws->r->ex != NULL ? cg_exchange_pending(ws->r->ex) : 0;
}

void
cg_websocket_put(struct websocket *ws, const struct cg_buf *bytes)
{
    ws->watched = 0;
    if (cg_exchange_tunnel_write(ws->r->ex, bytes->p, bytes->n) < 0) {
        lose(ws);
    }
}

static void
put_control(struct websocket *ws, enum cg_ws_opcode opcode,
            struct cg_slice payload)
{
    struct cg_buf *out = &ws->r->asgi->out;
    cg_buf_reset(out);
    cg_ws_put_frame(out, opcode, payload);
    cg_websocket_put(ws, out);
}

/* Both closes are out and in: RFC 6455, 7.1.1, the server ends the connection.
 * What of ours still waits is sent first. */
static void
end_if_done(struct websocket *ws)
{
    if (ws->state == WS_CLOSING && ws->reader.over) {
        shut(ws);
    }
}

/* Our half of the closing; nothing is sent after it. */
void
cg_websocket_put_close(struct websocket *ws, unsigned code,
                       struct cg_slice reason)
{
    struct cg_buf *out = &ws->r->asgi->out;
    if (ws->state != WS_OPEN) {
        return;
    }
    ws->state = WS_CLOSING;
    ws->closing_us = cg_now_us();
    cg_buf_reset(out);
    cg_ws_put_close(out, code, reason);
    cg_websocket_put(ws, out);
    cg_asgi_wake(ws->r->asgi, &ws->r->input_waiter);
    cg_asgi_wake(ws->r->asgi, &ws->r->room_waiter);
}

/* After a close of ours: for the peer's. */
void
cg_websocket_watch_closing(struct websocket *ws)
{
    if (ws->state == WS_CLOSING) {
        cg_websocket_watch(ws->r);
    }
}

/* ---- reading ---- */

static void
queue(struct websocket *ws, PyObject *content)
{
    if (content == NULL) {
        PyErr_WriteUnraisable((PyObject *)ws->r);
        return;
    }
    struct queued *q = cg_calloc(1, sizeof *q);
    q->content = content;
    q->n = ws->reader.message.n;
    *ws->last = q;
    ws->last = &q->next;
    ws->unread += q->n;
    ws->nunread++;
    cg_asgi_wake(ws->r->asgi, &ws->r->input_waiter);
}

/* The peer's close; answered once, with its code (7.1.5). */
static void
on_close(struct websocket *ws)
{
    const struct cg_ws_reader *in = &ws->reader;
    if (ws->state == WS_OPEN) {
        unsigned code = in->code == CG_WS_NO_STATUS ? CG_WS_NORMAL : in->code;
        cg_websocket_set_code(ws, in->code, in->control, in->control_n);
        cg_websocket_put_close(ws, code, CG_SLICE(""));
    }
    end_if_done(ws);
}

/* What the peer said before its fault is answered first: the close goes out
 * when the application asks for more, or a second later. */
void
cg_websocket_fail(struct websocket *ws)
{
    const struct cg_ws_reader *in = &ws->reader;
    ws->failed_us = 0;
    struct cg_slice why = cg_slice_of(in->fault);
    if (ws->state == WS_OPEN) {
        cg_asgi_log_bad_frame(ws->r, in->fault);
        cg_websocket_set_code(ws, in->code, why.p, why.n);
        cg_websocket_put_close(ws, in->code, why);
    }
    end_if_done(ws);
}

static void
on_failure(struct websocket *ws)
{
    if (ws->first == NULL || ws->state != WS_OPEN) {
        cg_websocket_fail(ws);
    } else {
        ws->failed_us = cg_now_us();
    }
}

static void
on_event(struct websocket *ws, enum cg_ws_event ev)
{
    const struct cg_ws_reader *in = &ws->reader;
    const struct cg_buf *m = &in->message;
    const char *p = m->n > 0 ? m->p : "";
    switch (ev) {
    case CG_WS_MORE:
    case CG_WS_PONG: break;
    case CG_WS_TEXT:
        if (ws->state == WS_OPEN) {
            queue(ws, PyUnicode_DecodeUTF8(p, (Py_ssize_t)m->n, NULL));
        }
        break;
    case CG_WS_BINARY:
        if (ws->state == WS_OPEN) {
            queue(ws, PyBytes_FromStringAndSize(p, (Py_ssize_t)m->n));
        }
        break;
    case CG_WS_PING:
        if (ws->state == WS_OPEN && cg_websocket_waiting(ws) < PONGS_MOST) {
            put_control(ws, CG_WS_OP_PONG,
                        (struct cg_slice){in->control, in->control_n});
        }
        break;
    case CG_WS_CLOSE: on_close(ws); break;
    case CG_WS_FAILED: on_failure(ws); break;
    }
}

void
cg_websocket_feed(struct websocket *ws, char *p, size_t n)
{
    size_t at = 0;
    while (at < n && ws->state != WS_CLOSED) {
        size_t used = 0;
        enum cg_ws_event ev = cg_ws_read(&ws->reader, p + at, n - at, &used);
        at += used;
        on_event(ws, ev);
    }
}

/* Something came, or went. */
void
cg_websocket_ready(RequestObject *r)
{
    struct websocket *ws = r->ws;
    ws->watched = 0;
    ssize_t n = is_reading(ws) ? cg_exchange_tunnel_read(r->ex, r->asgi->rbuf,
                                                         WS_READ_SIZE)
                               : -EAGAIN;
    if (n > 0) {
        ws->heard_us = cg_now_us();
        ws->pinged_us = 0;
        cg_websocket_feed(ws, r->asgi->rbuf, (size_t)n);
    } else if (n != -EAGAIN) {
        lose(ws);
    }
    if (cg_websocket_is_open(r)) {
        cg_websocket_watch(r);
    }
}

/* ---- what happens to it ---- */

/* The application has returned or raised. */
void
cg_websocket_ended(RequestObject *r, bool failed)
{
    struct websocket *ws = r->ws;
    switch (ws->state) {
    case WS_CONNECTING:
        ws->state = WS_DENIED;
        if (r->ex != NULL && r->gone_us == 0 && !failed) {
            Py_XDECREF(cg_websocket_send_refusal(r));
        }
        break;
    case WS_OPEN:
        cg_websocket_put_close(ws, failed ? CG_WS_INTERNAL_ERROR : CG_WS_NORMAL,
                               CG_SLICE(""));
        cg_websocket_watch_closing(ws);
        break;
    case WS_CLOSING:
    case WS_CLOSED:
    case WS_DENIED: break;
    }
}

void
cg_websocket_gone(RequestObject *r)
{
    struct websocket *ws = r->ws;
    if (ws->state == WS_CONNECTING || ws->state == WS_DENIED) {
        ws->state = WS_DENIED;
        cg_websocket_set_code(ws, CG_WS_ABNORMAL, "", 0);
    } else {
        lose(ws);
    }
}

void
cg_websocket_stop(RequestObject *r)
{
    struct websocket *ws = r->ws;
    if (ws->state == WS_OPEN) {
        cg_websocket_set_code(ws, CG_WS_RESTART, "", 0);
        cg_websocket_put_close(ws, CG_WS_RESTART, CG_SLICE(""));
        cg_websocket_watch_closing(ws);
    }
}

static void
tick_open(struct websocket *ws, uint64_t now)
{
    const struct cg_asgi_options *o = &ws->r->asgi->o;
    static const char late[] = "keepalive ping timeout";
    if (ws->failed_us != 0 && now - ws->failed_us >= 1000 * 1000) {
        cg_websocket_fail(ws);
        return;
    }
    if (o->ws_ping_us == 0 ||
        cg_websocket_is_full(ws)) { /* it could not be heard */
        return;
    }
    if (ws->pinged_us == 0 && now - ws->heard_us >= o->ws_ping_us) {
        ws->pinged_us = now;
        put_control(ws, CG_WS_OP_PING, CG_SLICE(""));
        if (ws->state == WS_OPEN) {
            cg_websocket_watch(ws->r);
        }
    } else if (ws->pinged_us != 0 && o->ws_patience_us != 0 &&
               now - ws->pinged_us >= o->ws_patience_us) {
        cg_websocket_set_code(ws, CG_WS_INTERNAL_ERROR, late, sizeof late - 1);
        cg_websocket_put_close(ws, CG_WS_INTERNAL_ERROR, cg_slice_of(late));
        shut(ws);
    }
}

void
cg_websocket_tick(RequestObject *r, uint64_t now_us)
{
    struct websocket *ws = r->ws;
    if (ws->state == WS_OPEN) {
        tick_open(ws, now_us);
    } else if (ws->state == WS_CLOSING && now_us - ws->closing_us >= CLOSE_US) {
        shut(ws);
    }
}

void
cg_websocket_cut(RequestObject *r)
{
    lose(r->ws);
}
