/* SPDX-License-Identifier: MIT */
/* Waiting: the futures that an application sleeps on, and what the engine is
 * asked to watch meanwhile. */
#include "core/base/clock.h"
#include "core/py/asgi/internal.h"
#include "core/py/runtime/gil.h"

static PyObject *
new_future(struct cg_asgi *a)
{
    py_auto *future = PyObject_CallNoArgs(a->create_future);
    if (future == NULL ||
        PyObject_SetAttr(future, word(a, W_blocking), Py_True) < 0) {
        return NULL;
    }
    return py_take(&future);
}

void
cg_asgi_wake(struct cg_asgi *a, PyObject **slot)
{
    py_auto *future = py_take(slot);
    if (future == NULL) {
        return;
    }
    py_auto *done = PyObject_CallMethodNoArgs(future, word(a, W_done));
    py_auto *set =
        done == Py_False
            ? PyObject_CallMethodOneArg(future, word(a, W_set_result), Py_None)
            : NULL;
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(future);
    }
    (void)set;
}

PyObject *
cg_asgi_wait_in(struct cg_asgi *a, PyObject **slot)
{
    py_auto *future = new_future(a);
    if (future != NULL) {
        cg_asgi_wake(a, slot); /* who waited there looks again */
        *slot = py_new(future);
    }
    return py_take(&future);
}

void
cg_asgi_wake_all(RequestObject *r)
{
    cg_asgi_wake(r->asgi, &r->room_waiter);
    cg_asgi_wake(r->asgi, &r->input_waiter);
}

/* A future that was cancelled waits for nothing. */
static bool
is_waiting(struct cg_asgi *a, PyObject **slot)
{
    if (*slot == NULL) {
        return false;
    }
    py_auto *done = PyObject_CallMethodNoArgs(*slot, word(a, W_done));
    if (done != Py_False) {
        PyErr_Clear();
        Py_CLEAR(*slot);
    }
    return *slot != NULL;
}

static void
send_posted(RequestObject *r)
{
    if (r->posted && r->ex != NULL && r->reply == REPLY_BODY) {
        r->posted = false;
        if (cg_exchange_body(r->ex, NULL, 0, CG_MORE, NULL) < 0) {
            cg_asgi_gone(r);
        }
    }
}

void
cg_asgi_flush(RequestObject *r)
{
    if (r->posted) {
        send_posted(r);
        cg_asgi_watch(r);
    }
}

void
cg_asgi_watch(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    unsigned what = 0;
    send_posted(r);
    if (r->ex == NULL || r->gone_us != 0) {
        return;
    }
    if (r->ws != NULL && cg_websocket_is_open(r)) {
        cg_websocket_watch(r);
        return;
    }
    if (is_waiting(a, &r->room_waiter)) {
        what |= CG_AWAIT_ROOM;
    }
    if (is_waiting(a, &r->input_waiter) || r->left) {
        bool reads =
            r->ws == NULL && r->ex->streaming && !r->body_given && !r->left;
        what |= reads ? CG_AWAIT_INPUT : CG_AWAIT_END;
    }
    int e = what != 0 ? cg_exchange_await(r->ex, what, ROOM_LOW) : 0;
    if (e < 0) {
        cg_asgi_gone(r);
    } else if (e > 0) {
        cg_asgi_wake_all(r);
    }
}

void
cg_asgi_gone(RequestObject *r)
{
    if (r->gone_us == 0) {
        r->gone_us = cg_now_us();
        if (r->ws != NULL) {
            cg_websocket_gone(r);
        }
    }
    cg_asgi_wake_all(r);
}

void
cg_asgi_drained(struct cg_asgi *a, struct cg_exchange *ex)
{
    CG_HAS_GIL();
    RequestObject *r = ex->host;
    if (r == NULL) {
        return;
    }
    py_auto *alive = py_new((PyObject *)r);
    if (ex->broken) {
        cg_asgi_gone(r);
    } else if (r->ws != NULL && cg_websocket_is_open(r)) {
        cg_asgi_wake(a, &r->room_waiter);
        cg_websocket_ready(r);
        return;
    }
    cg_asgi_wake_all(r);
    (void)alive; /* held, not used */
}
