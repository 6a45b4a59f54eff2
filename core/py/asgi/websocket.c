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
#include "core/py/asgi/internal.h"

enum ws_state { WS_CONNECTING, WS_OPEN, WS_CLOSING, WS_CLOSED, WS_DENIED };

enum {
    READ_SIZE = 64 * 1024,
    UNREAD_BYTES = 64 * 1024, /* messages that nobody took: no more is read */
    UNREAD_MESSAGES = 32,
    DEFLATE_LEAST = 128, /* smaller ones would hardly be */
    PONGS_MOST = 64 * 1024,
    CLOSE_US = 5 * 1000 * 1000 /* for the peer's half of the closing */
};

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

static struct queued *
take_queued(struct websocket *ws)
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
        struct queued *q = take_queued(ws);
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

static bool
is_full(const struct websocket *ws)
{
    return ws->unread >= UNREAD_BYTES || ws->nunread >= UNREAD_MESSAGES;
}

/* What the peer says is of interest: there is room for it, or it is to close.
 */
static bool
is_reading(const struct websocket *ws)
{
    return ws->state == WS_CLOSING || (!is_full(ws) && !ws->reader.over);
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

static void
set_code(struct websocket *ws, unsigned code, const char *reason, size_t n)
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
        set_code(ws, CG_WS_ABNORMAL, "", 0);
    }
    if (ws->state != WS_CLOSED && ws->r->ex != NULL) {
        ws->r->ex->broken = true;
    }
    shut(ws);
}

/* ---- writing ---- */

static size_t
waiting(const struct websocket *ws)
{
    return ws->r->ex != NULL ? cg_exchange_pending(ws->r->ex) : 0;
}

static void
put(struct websocket *ws, const struct cg_buf *bytes)
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
    put(ws, out);
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
static void
put_close(struct websocket *ws, unsigned code, struct cg_slice reason)
{
    struct cg_buf *out = &ws->r->asgi->out;
    if (ws->state != WS_OPEN) {
        return;
    }
    ws->state = WS_CLOSING;
    ws->closing_us = cg_now_us();
    cg_buf_reset(out);
    cg_ws_put_close(out, code, reason);
    put(ws, out);
    cg_asgi_wake(ws->r->asgi, &ws->r->input_waiter);
    cg_asgi_wake(ws->r->asgi, &ws->r->room_waiter);
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
        set_code(ws, in->code, in->control, in->control_n);
        put_close(ws, code, CG_SLICE(""));
    }
    end_if_done(ws);
}

/* What the peer said before its fault is answered first: the close goes out
 * when the application asks for more, or a second later. */
static void
fail(struct websocket *ws)
{
    const struct cg_ws_reader *in = &ws->reader;
    ws->failed_us = 0;
    struct cg_slice why = cg_slice_of(in->fault);
    if (ws->state == WS_OPEN) {
        const struct cg_asgi_options *o = &ws->r->asgi->o;
        o->bad_peer(o->self, ws->r->ex, in->fault);
        set_code(ws, in->code, why.p, why.n);
        put_close(ws, in->code, why);
    }
    end_if_done(ws);
}

static void
on_failure(struct websocket *ws)
{
    if (ws->first == NULL || ws->state != WS_OPEN) {
        fail(ws);
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
        if (ws->state == WS_OPEN && waiting(ws) < PONGS_MOST) {
            put_control(ws, CG_WS_OP_PONG,
                        (struct cg_slice){in->control, in->control_n});
        }
        break;
    case CG_WS_CLOSE: on_close(ws); break;
    case CG_WS_FAILED: on_failure(ws); break;
    }
}

static void
feed(struct websocket *ws, char *p, size_t n)
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
    ssize_t n = is_reading(ws)
                    ? cg_exchange_tunnel_read(r->ex, r->asgi->rbuf, READ_SIZE)
                    : -EAGAIN;
    if (n > 0) {
        ws->heard_us = cg_now_us();
        ws->pinged_us = 0;
        feed(ws, r->asgi->rbuf, (size_t)n);
    } else if (n != -EAGAIN) {
        lose(ws);
    }
    if (cg_websocket_is_open(r)) {
        cg_websocket_watch(r);
    }
}

/* ---- receive() ---- */

static PyObject *
typed(struct cg_asgi *a, enum word type)
{
    py_auto *d = PyDict_New();
    if (d == NULL || PyDict_SetItem(d, word(a, W_type), word(a, type)) < 0) {
        return NULL;
    }
    return py_take(&d);
}

static PyObject *
message_of(struct cg_asgi *a, struct queued *q)
{
    py_auto *content = q->content;
    py_auto *d = typed(a, W_websocket_receive);
    enum word key = PyUnicode_Check(content) ? W_text : W_bytes;
    if (d == NULL || PyDict_SetItem(d, word(a, key), content) < 0) {
        return NULL;
    }
    return py_take(&d);
}

static PyObject *
disconnect_message(struct websocket *ws)
{
    struct cg_asgi *a = ws->r->asgi;
    py_auto *d = typed(a, W_websocket_disconnect);
    if (d == NULL ||
        py_dict_put(d, word(a, W_code), PyLong_FromLong((long)ws->code)) < 0 ||
        py_dict_put(d, word(a, W_reason),
                    PyUnicode_DecodeUTF8(ws->reason, (Py_ssize_t)ws->reason_n,
                                         "replace")) < 0) {
        return NULL;
    }
    return py_take(&d);
}

PyObject *
cg_websocket_take(RequestObject *r)
{
    struct websocket *ws = r->ws;
    if (!ws->connect_given) {
        ws->connect_given = true;
        return typed(r->asgi, W_websocket_connect);
    }
    if (ws->first != NULL) {
        bool was_full = is_full(ws);
        struct queued *q = take_queued(ws);
        PyObject *message = message_of(r->asgi, q);
        free(q);
        if (was_full && ws->state == WS_OPEN && !is_full(ws)) {
            cg_websocket_watch(r);
        }
        return message;
    }
    if (ws->failed_us != 0) {
        fail(ws);
    }
    /* after our own close the peer's answer is not waited for */
    return ws->state == WS_CONNECTING || ws->state == WS_OPEN
               ? NULL
               : disconnect_message(ws);
}

bool
cg_websocket_has_room(const RequestObject *r)
{
    return r->ws->state != WS_OPEN || waiting(r->ws) <= ROOM_LOW;
}

/* ---- send(): the handshake ---- */

static PyObject *
raise_closed(RequestObject *r)
{
    PyErr_SetString(r->asgi->closed_error, "the WebSocket is closed");
    return NULL;
}

static bool
is_offered(const struct cg_exchange *ex, struct cg_slice protocol)
{
    struct cg_ws_protocols at = {0};
    struct cg_slice one;
    while (cg_ws_protocol_next(ex->req, ex->base, &at, &one)) {
        if (one.n == protocol.n && memcmp(one.p, protocol.p, one.n) == 0) {
            return true;
        }
    }
    return false;
}

static int
put_field(RequestObject *r, const char *name, struct cg_slice value)
{
    if (cg_exchange_field(r->ex, cg_slice_of(name), value) < 0) {
        PyErr_Format(PyExc_ValueError, "websocket.accept: %s: %s", name,
                     r->ex->writer->reply.fault);
        return -1;
    }
    return 0;
}

static int
put_protocol(RequestObject *r, PyObject *protocol)
{
    if (protocol == NULL || protocol == Py_None) {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_ssize_t n;
    const char *p = PyUnicode_Check(protocol)
                        ? PyUnicode_AsUTF8AndSize(protocol, &n)
                        : NULL;
    if (p == NULL || !is_offered(r->ex, (struct cg_slice){p, (size_t)n})) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError,
                     "'subprotocol' is %R, which the client did not offer",
                     protocol);
        return -1;
    }
    return put_field(r, "Sec-WebSocket-Protocol",
                     (struct cg_slice){p, (size_t)n});
}

static int
put_extension(RequestObject *r)
{
    struct websocket *ws = r->ws;
    struct cg_ws_terms t;
    if (!r->asgi->o.ws_compression ||
        !cg_ws_request_terms(r->ex->req, r->ex->base, &t)) {
        return 0;
    }
    cg_auto(buf) struct cg_buf answer = {0};
    cg_ws_terms_put(&t, &answer);
    ws->deflates = true;
    ws->deflate = (struct cg_ws_deflate){.bits = t.server_bits,
                                         .forgets = t.server_forgets};
    ws->inflate = (struct cg_ws_inflate){.bits = t.client_bits,
                                         .forgets = t.client_forgets};
    ws->reader.inflate = &ws->inflate;
    return put_field(r, "Sec-WebSocket-Extensions",
                     (struct cg_slice){answer.p, answer.n});
}

static int
put_handshake(RequestObject *r, PyObject *message)
{
    struct cg_asgi *a = r->asgi;
    char accept[CG_WS_ACCEPT_SIZE];
    cg_ws_accept(cg_ws_request_key(r->ex->req, r->ex->base), accept);
    py_auto *protocol = cg_message_get(a, message, W_subprotocol);
    if (cg_exchange_start(r->ex, CG_SLICE("101 Switching Protocols")) < 0 ||
        put_field(r, "Upgrade", CG_SLICE("websocket")) < 0 ||
        put_field(r, "Connection", CG_SLICE("Upgrade")) < 0 ||
        put_field(r, "Sec-WebSocket-Accept", cg_slice_of(accept)) < 0 ||
        put_protocol(r, protocol) < 0 || put_extension(r) < 0) {
        return -1;
    }
    py_auto *headers = cg_message_get(a, message, W_headers);
    return cg_send_headers(r, headers);
}

static PyObject *
send_accept(RequestObject *r, PyObject *message)
{
    struct websocket *ws = r->ws;
    struct cg_exchange *ex = r->ex;
    struct cg_slice unread = {NULL, 0};
    if (put_handshake(r, message) < 0) {
        ws->deflates = false;
        ws->reader.inflate = NULL;
        cg_writer_forget(ex->writer);
        return NULL;
    }
    int e = cg_exchange_body(ex, NULL, 0, CG_LAST, NULL);
    r->reply = REPLY_COMPLETE;
    if (e < 0 || cg_exchange_tunnel(ex, &unread) < 0) {
        cg_asgi_gone(r);
        return raise_closed(r);
    }
    ws->state = WS_OPEN;
    ws->heard_us = cg_now_us();
    cg_asgi_tick_soon(r->asgi);
    if (unread.n > 0) {
        cg_auto(free) char *copy = cg_strndup(unread.p, 0);
        copy = cg_realloc(copy, unread.n);
        memcpy(copy, unread.p, unread.n);
        feed(ws, copy, unread.n);
    }
    if (cg_websocket_is_open(r)) {
        cg_websocket_watch(r);
    }
    return cg_send_done(r->asgi);
}

/* websocket.close before websocket.accept: 403. */
static PyObject *
send_refusal(RequestObject *r)
{
    r->ws->state = WS_DENIED;
    set_code(r->ws, CG_WS_ABNORMAL, "", 0);
    r->ex->may_keep = false;
    if (cg_exchange_start(r->ex, CG_SLICE("403")) < 0 ||
        cg_exchange_body(r->ex, NULL, 0, CG_LAST, NULL) < 0) {
        r->ex->broken = true;
    }
    r->reply = REPLY_COMPLETE;
    cg_asgi_give_back(r);
    return cg_send_done(r->asgi);
}

/* websocket.http.response.*: an HTTP response in place of the handshake. */
static PyObject *
send_denial(RequestObject *r, PyObject *message, PyObject *type)
{
    py_auto *plain = PyUnicode_Substring(type, (Py_ssize_t)strlen("websocket."),
                                         PyUnicode_GET_LENGTH(type));
    if (plain == NULL) {
        return NULL;
    }
    if (!cg_is_type(plain, "http.response.start") &&
        !cg_is_type(plain, "http.response.body")) {
        PyErr_Format(PyExc_ValueError, "no message of a denial has the type %R",
                     type);
        return NULL;
    }
    if (r->ex != NULL) {
        r->ex->may_keep = false;
    }
    PyObject *sent = cg_send_http(r, message, plain);
    if (sent != NULL && r->ws->state == WS_CONNECTING) {
        r->ws->state = WS_DENIED;
        set_code(r->ws, CG_WS_ABNORMAL, "", 0);
    }
    return sent;
}

/* ---- send(): messages ---- */

static int
content_of(PyObject *text, PyObject *bytes, struct cg_slice *ret,
           Py_buffer *view)
{
    Py_ssize_t n;
    if (text != NULL) {
        const char *p =
            PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &n) : NULL;
        if (p == NULL && !PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError, "'text' is a str, not %.200s",
                         Py_TYPE(text)->tp_name);
        }
        *ret = (struct cg_slice){p, p != NULL ? (size_t)n : 0};
        return p != NULL ? 0 : -1;
    }
    if (PyUnicode_Check(bytes) ||
        PyObject_GetBuffer(bytes, view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, "'bytes' is bytes, not %.200s",
                     Py_TYPE(bytes)->tp_name);
        return -1;
    }
    *ret = (struct cg_slice){view->buf, (size_t)view->len};
    return 0;
}

static PyObject *
none_is_null(PyObject *o)
{
    if (o == Py_None) {
        Py_DECREF(o);
        return NULL;
    }
    return o;
}

static PyObject *
send_content(RequestObject *r, PyObject *message)
{
    struct websocket *ws = r->ws;
    struct cg_asgi *a = r->asgi;
    py_auto *text = none_is_null(cg_message_get(a, message, W_text));
    py_auto *bytes = none_is_null(cg_message_get(a, message, W_bytes));
    if ((text == NULL) == (bytes == NULL)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError,
                            "websocket.send has either 'text' or 'bytes'");
        }
        return NULL;
    }
    struct cg_slice content;
    Py_buffer view = {0};
    if (content_of(text, bytes, &content, &view) < 0) {
        return NULL;
    }
    bool deflates = ws->deflates && content.n >= DEFLATE_LEAST;
    cg_buf_reset(&a->out);
    cg_ws_put_message(&a->out, deflates ? &ws->deflate : NULL,
                      text != NULL ? CG_WS_OP_TEXT : CG_WS_OP_BINARY, content);
    PyBuffer_Release(&view);
    put(ws, &a->out);
    if (a->out.cap > READ_SIZE) {
        cg_buf_release(&a->out);
    }
    if (ws->state != WS_OPEN) {
        return raise_closed(r);
    }
    cg_websocket_watch(r);
    return waiting(ws) > ROOM_HIGH ? cg_wait_for_room(r) : cg_send_done(a);
}

/* After a close of ours: for the peer's. */
static void
watch_closing(struct websocket *ws)
{
    if (ws->state == WS_CLOSING) {
        cg_websocket_watch(ws->r);
    }
}

/* 'code' is one that may be sent; 1000 without. */
static int
close_code(RequestObject *r, PyObject *message)
{
    py_auto *value = none_is_null(cg_message_get(r->asgi, message, W_code));
    if (value == NULL) {
        return PyErr_Occurred() ? -1 : CG_WS_NORMAL;
    }
    long code = PyLong_Check(value) ? PyLong_AsLong(value) : -1;
    PyErr_Clear();
    if (code == CG_WS_NO_STATUS) {
        return (int)code;
    }
    if (code < 0 || code > 4999 || !cg_ws_is_close_code((unsigned)code)) {
        PyErr_Format(PyExc_ValueError,
                     "'code' is %R, not one that a close may carry "
                     "(1000-1003, 1007-1014, 3000-4999)",
                     value);
        return -1;
    }
    return (int)code;
}

static PyObject *
send_close(RequestObject *r, PyObject *message)
{
    py_auto *reason = none_is_null(cg_message_get(r->asgi, message, W_reason));
    Py_ssize_t n = 0;
    const char *p = "";
    if (reason != NULL) {
        p = PyUnicode_Check(reason) ? PyUnicode_AsUTF8AndSize(reason, &n)
                                    : NULL;
        if (p == NULL) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "'reason' is a str, not %R", reason);
        }
    }
    int code = PyErr_Occurred() ? -1 : close_code(r, message);
    if (code < 0) {
        return NULL;
    }
    set_code(r->ws, (unsigned)code, p, (size_t)n);
    put_close(r->ws, (unsigned)code, (struct cg_slice){p, (size_t)n});
    watch_closing(r->ws);
    return cg_send_done(r->asgi);
}

static PyObject *
unexpected(PyObject *type, const char *when)
{
    PyErr_Format(PyExc_RuntimeError, "message %R %s", type, when);
    return NULL;
}

static PyObject *
send_connecting(RequestObject *r, PyObject *message, PyObject *type)
{
    if (r->gone_us != 0) {
        return raise_closed(r);
    }
    if (cg_is_type(type, "websocket.accept")) {
        return send_accept(r, message);
    }
    if (cg_is_type(type, "websocket.close")) {
        return send_refusal(r);
    }
    return unexpected(type, "before websocket.accept");
}

PyObject *
cg_websocket_send(RequestObject *r, PyObject *message, PyObject *type)
{
    struct websocket *ws = r->ws;
    if (PyUnicode_GET_LENGTH(type) > 15 &&
        PyUnicode_Tailmatch(type, word(r->asgi, W_denial), 0, PY_SSIZE_T_MAX,
                            -1) > 0) {
        return ws->state == WS_CONNECTING || ws->state == WS_DENIED
                   ? send_denial(r, message, type)
                   : unexpected(type, "after websocket.accept");
    }
    switch (ws->state) {
    case WS_CONNECTING: return send_connecting(r, message, type);
    case WS_OPEN: break;
    case WS_CLOSING:
    case WS_CLOSED:
    case WS_DENIED: return raise_closed(r);
    }
    if (cg_is_type(type, "websocket.send")) {
        return send_content(r, message);
    }
    return cg_is_type(type, "websocket.close")
               ? send_close(r, message)
               : unexpected(type, "after websocket.accept");
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
            Py_XDECREF(send_refusal(r));
        }
        break;
    case WS_OPEN:
        put_close(ws, failed ? CG_WS_INTERNAL_ERROR : CG_WS_NORMAL,
                  CG_SLICE(""));
        watch_closing(ws);
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
        set_code(ws, CG_WS_ABNORMAL, "", 0);
    } else {
        lose(ws);
    }
}

void
cg_websocket_stop(RequestObject *r)
{
    struct websocket *ws = r->ws;
    if (ws->state == WS_OPEN) {
        set_code(ws, CG_WS_RESTART, "", 0);
        put_close(ws, CG_WS_RESTART, CG_SLICE(""));
        watch_closing(ws);
    }
}

static void
tick_open(struct websocket *ws, uint64_t now)
{
    const struct cg_asgi_options *o = &ws->r->asgi->o;
    static const char late[] = "keepalive ping timeout";
    if (ws->failed_us != 0 && now - ws->failed_us >= 1000 * 1000) {
        fail(ws);
        return;
    }
    if (o->ws_ping_us == 0 || is_full(ws)) { /* it could not be heard */
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
        set_code(ws, CG_WS_INTERNAL_ERROR, late, sizeof late - 1);
        put_close(ws, CG_WS_INTERNAL_ERROR, cg_slice_of(late));
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
