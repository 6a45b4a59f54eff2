/* SPDX-License-Identifier: MIT */
/*
 * receive(), and what it and a send() that has to wait return: awaitables that
 * are their own coroutines. They act when they are awaited, not when they are
 * made, so that a cancelled wait loses nothing.
 */
#include <errno.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/asgi/internal.h"

typedef struct {
    PyObject_HEAD RequestObject *request; /* owned */
    bool for_room;
} WaitObject;

/* ---- messages ---- */

PyObject *
cg_disconnect_message(struct cg_asgi *a)
{
    py_auto *d = PyDict_New();
    if (d == NULL ||
        PyDict_SetItem(d, word(a, W_type), word(a, W_http_disconnect)) < 0) {
        return NULL;
    }
    return py_take(&d);
}

/* Takes body. */
static PyObject *
request_message(struct cg_asgi *a, PyObject *body, bool more)
{
    py_auto *part = body;
    py_auto *d = PyDict_New();
    if (part == NULL || d == NULL ||
        PyDict_SetItem(d, word(a, W_type), word(a, W_http_request)) < 0 ||
        PyDict_SetItem(d, word(a, W_body), part) < 0 ||
        PyDict_SetItem(d, word(a, W_more_body), more ? Py_True : Py_False) <
            0) {
        return NULL;
    }
    return py_take(&d);
}

/* ---- the body ---- */

static PyObject *
part_of_file(const struct cg_body *body, uint64_t at, size_t n)
{
    py_auto *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n);
    ssize_t got = bytes != NULL
                      ? pread(body->fd, PyBytes_AS_STRING(bytes), n, (off_t)at)
                      : 0;
    if (bytes != NULL && got < (ssize_t)n) {
        errno = got < 0 ? errno : EIO;
        PyErr_SetFromErrno(PyExc_OSError);
        return NULL;
    }
    return py_take(&bytes);
}

/* Of a body that is complete. */
static PyObject *
take_part(RequestObject *r)
{
    const struct cg_body *body = &r->ex->body;
    uint64_t left = body->n - r->body_at;
    size_t n = left < BODY_PART || body->p != NULL ? (size_t)left : BODY_PART;
    PyObject *part =
        body->p != NULL || n == 0
            ? PyBytes_FromStringAndSize(n > 0 ? body->p : "", (Py_ssize_t)n)
            : part_of_file(body, r->body_at, n);
    if (part == NULL) {
        return NULL;
    }
    r->body_at += n;
    r->body_given = r->body_at == body->n;
    return request_message(r->asgi, part, !r->body_given);
}

/* The body broke a rule, or its client left: the peer's fault, which the engine
 * tells. The application is told that nobody is there any more. */
static PyObject *
fail_input(RequestObject *r)
{
    struct cg_exchange *ex = r->ex;
    if (r->reply <= REPLY_STARTED && ex->input_status != 0) {
        cg_exchange_abort(ex, ex->input_status, ex->input_fault);
        r->reply = REPLY_COMPLETE;
    }
    cg_asgi_gone(r);
    return cg_disconnect_message(r->asgi);
}

/* Of a body that is still coming: as much as is there. */
static PyObject *
read_part(RequestObject *r)
{
    struct cg_buf *in = &r->asgi->in;
    int e = 1;
    cg_buf_reset(in);
    while (e > 0 && in->n < BODY_PART) {
        e = cg_exchange_read(r->ex, in);
    }
    if (e < 0 && e != -EAGAIN && in->n == 0) {
        return fail_input(r);
    }
    if (e != 0 && in->n == 0) {
        return NULL; /* nothing yet */
    }
    r->body_given = e == 0;
    return request_message(
        r->asgi, PyBytes_FromStringAndSize(in->p, (Py_ssize_t)in->n), e != 0);
}

/* The next message, or NULL without an exception when there is none yet. */
static PyObject *
take_message(RequestObject *r)
{
    if (r->ws != NULL) {
        return cg_websocket_take(r);
    }
    if (r->ex == NULL || r->gone_us != 0 || r->told ||
        r->reply == REPLY_COMPLETE) {
        return cg_disconnect_message(r->asgi);
    }
    if (r->body_given) {
        return NULL;
    }
    return r->ex->streaming ? read_part(r) : take_part(r);
}

/* ---- waiting ---- */

/* 1, 0, -1 with an exception. */
static int
has_room(RequestObject *r)
{
    if (r->ws != NULL) {
        return cg_websocket_has_room(r);
    }
    if (r->gone_us != 0) {
        PyErr_SetString(r->asgi->gone_error, "the client has disconnected");
        return -1;
    }
    return r->ex == NULL || cg_exchange_pending(r->ex) <= ROOM_LOW;
}

static PySendResult
wait_on(RequestObject *r, PyObject **slot, PyObject **ret)
{
    *ret = cg_asgi_wait_in(r->asgi, slot);
    if (*ret == NULL) {
        return PYGEN_ERROR;
    }
    cg_asgi_watch(r);
    return PYGEN_NEXT;
}

static PySendResult
Wait_am_send(PyObject *self, PyObject *arg, PyObject **ret)
{
    WaitObject *w = (WaitObject *)self;
    RequestObject *r = w->request;
    *ret = NULL;
    if (r == NULL || r->asgi->closed) {
        PyErr_SetString(PyExc_RuntimeError, "the server has stopped");
        return PYGEN_ERROR;
    }
    if (!cg_asgi_is_here(r->asgi)) {
        return PYGEN_ERROR;
    }
    if (w->for_room) {
        int room = has_room(r);
        if (room == 0) {
            return wait_on(r, &r->room_waiter, ret);
        }
        *ret = room > 0 ? py_new(Py_None) : NULL;
        return room > 0 ? PYGEN_RETURN : PYGEN_ERROR;
    }
    *ret = take_message(r);
    if (*ret != NULL) {
        return PYGEN_RETURN;
    }
    return PyErr_Occurred() ? PYGEN_ERROR : wait_on(r, &r->input_waiter, ret);
}

static PyObject *
Wait_send(PyObject *self, PyObject *arg)
{
    PyObject *result = NULL;
    PySendResult what = Wait_am_send(self, arg, &result);
    return cg_step_result(what, result);
}

static PyObject *
Wait_iternext(PyObject *self)
{
    return Wait_send(self, Py_None);
}

static PyObject *
Wait_throw(PyObject *self, PyObject *args)
{
    return cg_raise_args(args);
}

static PyObject *
nothing(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE;
}

static int
Wait_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((WaitObject *)self)->request);
    return 0;
}

static int
Wait_clear(PyObject *self)
{
    Py_CLEAR(((WaitObject *)self)->request);
    return 0;
}

static void
Wait_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Wait_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Wait_methods[] = {{"send", Wait_send, METH_O, NULL},
                                     {"throw", Wait_throw, METH_VARARGS, NULL},
                                     {"close", nothing, METH_NOARGS, NULL},
                                     {NULL, NULL, 0, NULL}};

static PyType_Slot Wait_slots[] = {{Py_tp_dealloc, Wait_dealloc},
                                   {Py_tp_traverse, Wait_traverse},
                                   {Py_tp_clear, Wait_clear},
                                   {Py_tp_iter, PyObject_SelfIter},
                                   {Py_tp_iternext, Wait_iternext},
                                   {Py_tp_methods, Wait_methods},
                                   {Py_am_await, PyObject_SelfIter},
#if PY_VERSION_HEX >= 0x030A0000
                                   {Py_am_send, Wait_am_send},
#endif
                                   {0, NULL}};

PyType_Spec cg_wait_spec = {
    .name = "cgunicorn.Wait",
    .basicsize = sizeof(WaitObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = Wait_slots,
};

static PyObject *
new_wait(RequestObject *r, bool for_room)
{
    PyTypeObject *type = r->asgi->wait_type;
    WaitObject *w = (WaitObject *)type->tp_alloc(type, 0);
    if (w != NULL) {
        w->request = (RequestObject *)py_new((PyObject *)r);
        w->for_room = for_room;
    }
    return (PyObject *)w;
}

PyObject *
cg_wait_for_room(RequestObject *r)
{
    return new_wait(r, true);
}

/* ---- done: nothing to wait for ---- */

#if PY_VERSION_HEX >= 0x030A0000
static PySendResult
Done_am_send(PyObject *self, PyObject *arg, PyObject **ret)
{
    *ret = py_new(Py_None);
    return PYGEN_RETURN;
}
#endif

static PyObject *
Done_iternext(PyObject *self)
{
    return NULL;
}

static PyObject *
Done_send(PyObject *self, PyObject *arg)
{
    PyErr_SetNone(PyExc_StopIteration);
    return NULL;
}

static void
Done_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Done_methods[] = {{"send", Done_send, METH_O, NULL},
                                     {"throw", Wait_throw, METH_VARARGS, NULL},
                                     {"close", nothing, METH_NOARGS, NULL},
                                     {NULL, NULL, 0, NULL}};

static PyType_Slot Done_slots[] = {{Py_tp_dealloc, Done_dealloc},
                                   {Py_tp_iter, PyObject_SelfIter},
                                   {Py_tp_iternext, Done_iternext},
                                   {Py_tp_methods, Done_methods},
                                   {Py_am_await, PyObject_SelfIter},
#if PY_VERSION_HEX >= 0x030A0000
                                   {Py_am_send, Done_am_send},
#endif
                                   {0, NULL}};

PyType_Spec cg_done_spec = {
    .name = "cgunicorn.Done",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Done_slots,
};

/* ---- receive ---- */

PyObject *
cg_receive_call(PyObject *self, PyObject *const *args, size_t nargsf,
                PyObject *kwnames)
{
    RequestObject *r = ((ReceiveObject *)self)->request;
    if (PyVectorcall_NARGS(nargsf) != 0 || kwnames != NULL) {
        PyErr_SetString(PyExc_TypeError, "receive() takes no arguments");
        return NULL;
    }
    if (r == NULL || r->asgi->closed) {
        PyErr_SetString(PyExc_RuntimeError, "the server has stopped");
        return NULL;
    }
    return new_wait(r, false);
}

static int
Receive_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ReceiveObject *)self)->request);
    return 0;
}

static int
Receive_clear(PyObject *self)
{
    Py_CLEAR(((ReceiveObject *)self)->request);
    return 0;
}

static void
Receive_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Receive_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef Receive_members[] = {{"__vectorcalloffset__", T_PYSSIZET,
                                         offsetof(ReceiveObject, vectorcall),
                                         READONLY, NULL},
                                        {NULL, 0, 0, 0, NULL}};

static PyType_Slot Receive_slots[] = {
    {Py_tp_dealloc, Receive_dealloc}, {Py_tp_traverse, Receive_traverse},
    {Py_tp_clear, Receive_clear},     {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, Receive_members}, {0, NULL}};

PyType_Spec cg_receive_spec = {
    .name = "cgunicorn.Receive",
    .basicsize = sizeof(ReceiveObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = Receive_slots,
};
