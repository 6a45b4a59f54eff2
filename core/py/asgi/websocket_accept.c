/* SPDX-License-Identifier: MIT */
/*
 * send() of a WebSocket that is not accepted yet: the handshake, its refusal,
 * and an HTTP response in its place.
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/asgi/websocket_internal.h"

PyObject *
cg_websocket_raise_closed(RequestObject *r)
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

/* NULL, or what is wrong with the field. */
static const char *
put_field(RequestObject *r, const char *name, struct cg_slice value)
{
    return cg_exchange_field(r->ex, cg_slice_of(name), value) < 0
               ? r->ex->writer->reply.fault
               : NULL;
}

/* What the handshake is to say. */
struct answer {
    struct cg_slice protocol; /* p is NULL: none */
    PyObject *fields;
};

static const char *
put_extension(RequestObject *r)
{
    struct websocket *ws = r->ws;
    struct cg_ws_terms t;
    if (!r->asgi->o.ws_compression ||
        !cg_ws_request_terms(r->ex->req, r->ex->base, &t)) {
        return NULL;
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

/* NULL, or what is wrong, perhaps with the name of the field. Runs nothing of
 * the application's. */
static const char *
put_handshake(RequestObject *r, const struct answer *answer,
              PyObject **ret_name)
{
    char accept[CG_WS_ACCEPT_SIZE];
    const char *fault = NULL;
    cg_ws_accept(cg_ws_request_key(r->ex->req, r->ex->base), accept);
    if (cg_exchange_start(r->ex, CG_SLICE("101 Switching Protocols")) < 0) {
        return r->ex->writer->reply.fault;
    }
    if ((fault = put_field(r, "Upgrade", CG_SLICE("websocket"))) != NULL ||
        (fault = put_field(r, "Connection", CG_SLICE("Upgrade"))) != NULL ||
        (fault = put_field(r, "Sec-WebSocket-Accept", cg_slice_of(accept))) !=
            NULL) {
        return fault;
    }
    if (answer->protocol.p != NULL) {
        fault = put_field(r, "Sec-WebSocket-Protocol", answer->protocol);
    }
    if (fault == NULL) {
        fault = put_extension(r);
    }
    return fault != NULL ? fault : cg_send_fields(r, answer->fields, ret_name);
}

/* As if nothing had been said; then the exception, which may say it again. */
static PyObject *
take_back(RequestObject *r, const char *fault, PyObject *name)
{
    r->ws->deflates = false;
    r->ws->reader.inflate = NULL;
    cg_writer_forget(r->ex->writer);
    if (name != NULL) {
        cg_raise_bad_field(fault, name);
    } else {
        PyErr_Format(PyExc_ValueError, "websocket.accept: %s", fault);
    }
    return NULL;
}

/* The protocol's text; -1 with an exception when it is none, or was not
 * offered. */
static int
choose(RequestObject *r, PyObject *protocol, struct cg_slice *ret)
{
    Py_ssize_t n = 0;
    if (protocol == NULL || protocol == Py_None) {
        return 0;
    }
    const char *p = PyUnicode_Check(protocol)
                        ? PyUnicode_AsUTF8AndSize(protocol, &n)
                        : NULL;
    *ret = (struct cg_slice){p, (size_t)n};
    if (p == NULL || !is_offered(r->ex, *ret)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError,
                     "'subprotocol' is %R, which the client did not offer",
                     protocol);
        return -1;
    }
    return 0;
}

static PyObject *
open_tunnel(RequestObject *r)
{
    struct websocket *ws = r->ws;
    struct cg_exchange *ex = r->ex;
    struct cg_slice unread = {NULL, 0};
    int e = cg_exchange_body(ex, NULL, 0, CG_LAST, NULL);
    r->reply = REPLY_COMPLETE;
    if (e < 0 || cg_exchange_tunnel(ex, &unread) < 0) {
        cg_asgi_gone(r);
        return cg_websocket_raise_closed(r);
    }
    ws->state = WS_OPEN;
    ws->heard_us = cg_now_us();
    cg_asgi_tick_soon(r->asgi);
    if (unread.n > 0) {
        cg_auto(free) char *copy = cg_strndup(unread.p, 0);
        copy = cg_realloc(copy, unread.n);
        memcpy(copy, unread.p, unread.n);
        cg_websocket_feed(ws, copy, unread.n);
    }
    if (cg_websocket_is_open(r)) {
        cg_websocket_watch(r);
    }
    return cg_send_done(r->asgi);
}

PyObject *
cg_websocket_send_accept(RequestObject *r, PyObject *message)
{
    const struct cg_asgi *a = r->asgi;
    py_auto *name = NULL;
    py_auto *fields = cg_message_fields(a, message);
    py_auto *protocol =
        fields != NULL ? cg_message_get(a, message, W_subprotocol) : NULL;
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (r->ex == NULL || r->ws->state != WS_CONNECTING || r->gone_us != 0) {
        return cg_websocket_raise_closed(r); /* reading it has closed it */
    }
    struct answer answer = {.fields = fields};
    if (choose(r, protocol, &answer.protocol) < 0) {
        return NULL;
    }
    const char *fault = put_handshake(r, &answer, &name);
    return fault == NULL ? open_tunnel(r) : take_back(r, fault, name);
}

/* websocket.close before websocket.accept: 403. */
PyObject *
cg_websocket_send_refusal(RequestObject *r)
{
    r->ws->state = WS_DENIED;
    cg_websocket_set_code(r->ws, CG_WS_ABNORMAL, "", 0);
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
PyObject *
cg_websocket_send_denial(RequestObject *r, PyObject *message, PyObject *type)
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
        cg_websocket_set_code(r->ws, CG_WS_ABNORMAL, "", 0);
    }
    return sent;
}
