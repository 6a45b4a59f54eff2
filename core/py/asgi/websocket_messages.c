/* SPDX-License-Identifier: MIT */
/* The messages of a WebSocket: what receive() gives, and what send() takes. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/py/asgi/websocket_internal.h"

enum { DEFLATE_LEAST = 128 }; /* smaller messages would hardly be smaller */

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
        bool was_full = cg_websocket_is_full(ws);
        struct queued *q = cg_websocket_take_queued(ws);
        PyObject *message = message_of(r->asgi, q);
        free(q);
        if (was_full && ws->state == WS_OPEN && !cg_websocket_is_full(ws)) {
            cg_websocket_watch(r);
        }
        return message;
    }
    if (ws->failed_us != 0) {
        cg_websocket_fail(ws);
    }
    /* after our own close the peer's answer is not waited for */
    return ws->state == WS_CONNECTING || ws->state == WS_OPEN
               ? NULL
               : disconnect_message(ws);
}

bool
cg_websocket_has_room(const RequestObject *r)
{
    return r->ws->state != WS_OPEN || cg_websocket_waiting(r->ws) <= ROOM_LOW;
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
    if (ws->state != WS_OPEN) { /* reading the message has closed it */
        PyBuffer_Release(&view);
        return cg_websocket_raise_closed(r);
    }
    bool deflates = ws->deflates && content.n >= DEFLATE_LEAST;
    cg_buf_reset(&a->out);
    cg_ws_put_message(&a->out, deflates ? &ws->deflate : NULL,
                      text != NULL ? CG_WS_OP_TEXT : CG_WS_OP_BINARY, content);
    PyBuffer_Release(&view);
    cg_websocket_put(ws, &a->out);
    if (a->out.cap > WS_READ_SIZE) {
        cg_buf_release(&a->out);
    }
    if (ws->state != WS_OPEN) {
        return cg_websocket_raise_closed(r);
    }
    cg_websocket_watch(r);
    return cg_websocket_waiting(ws) > ROOM_HIGH ? cg_wait_for_room(r)
                                                : cg_send_done(a);
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
    if (r->ws->state != WS_OPEN) {
        return cg_websocket_raise_closed(r);
    }
    cg_websocket_set_code(r->ws, (unsigned)code, p, (size_t)n);
    cg_websocket_put_close(r->ws, (unsigned)code,
                           (struct cg_slice){p, (size_t)n});
    cg_websocket_watch_closing(r->ws);
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
        return cg_websocket_raise_closed(r);
    }
    if (cg_is_type(type, "websocket.accept")) {
        return cg_websocket_send_accept(r, message);
    }
    if (cg_is_type(type, "websocket.close")) {
        return cg_websocket_send_refusal(r);
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
                   ? cg_websocket_send_denial(r, message, type)
                   : unexpected(type, "after websocket.accept");
    }
    switch (ws->state) {
    case WS_CONNECTING: return send_connecting(r, message, type);
    case WS_OPEN: break;
    case WS_CLOSING:
    case WS_CLOSED:
    case WS_DENIED: return cg_websocket_raise_closed(r);
    }
    if (cg_is_type(type, "websocket.send")) {
        return send_content(r, message);
    }
    return cg_is_type(type, "websocket.close")
               ? send_close(r, message)
               : unexpected(type, "after websocket.accept");
}
