/* SPDX-License-Identifier: MIT */
/* The request object, which is `send`, and the ring of those that run. One that
 * nobody else holds at its end is used again. */
#include <string.h>

#include "core/base/memory.h"
#include "core/py/asgi/internal.h"

static int
Request_traverse(PyObject *self, visitproc visit, void *arg)
{
    RequestObject *r = (RequestObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(r->receive);
    Py_VISIT(r->task);
    Py_VISIT(r->room_waiter);
    Py_VISIT(r->input_waiter);
    Py_VISIT(r->hooked);
    return 0;
}

static int
Request_clear(PyObject *self)
{
    RequestObject *r = (RequestObject *)self;
    Py_CLEAR(r->receive);
    Py_CLEAR(r->task);
    Py_CLEAR(r->room_waiter);
    Py_CLEAR(r->input_waiter);
    Py_CLEAR(r->hooked);
    return 0;
}

static void
Request_dealloc(PyObject *self)
{
    RequestObject *r = (RequestObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Request_clear(self);
    cg_websocket_free(r->ws);
    cg_fields_release(&r->trailers);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef Request_members[] = {{"__vectorcalloffset__", T_PYSSIZET,
                                         offsetof(RequestObject, vectorcall),
                                         READONLY, NULL},
                                        {NULL, 0, 0, 0, NULL}};

static PyType_Slot Request_slots[] = {
    {Py_tp_dealloc, Request_dealloc}, {Py_tp_traverse, Request_traverse},
    {Py_tp_clear, Request_clear},     {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, Request_members}, {0, NULL}};

PyType_Spec cg_request_spec = {
    .name = "cgunicorn.Send",
    .basicsize = sizeof(RequestObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = Request_slots,
};

/* Both, which refer to each other. */
static RequestObject *
make_request(struct cg_asgi *a)
{
    RequestObject *r =
        (RequestObject *)a->request_type->tp_alloc(a->request_type, 0);
    ReceiveObject *receive =
        (ReceiveObject *)a->receive_type->tp_alloc(a->receive_type, 0);
    if (r == NULL || receive == NULL) {
        Py_XDECREF((PyObject *)r);
        Py_XDECREF((PyObject *)receive);
        return NULL;
    }
    r->vectorcall = cg_send_call;
    receive->vectorcall = cg_receive_call;
    receive->request = (RequestObject *)py_new((PyObject *)r);
    r->receive = receive;
    return r;
}

/* As new, whatever an earlier request left. */
static void
reset(RequestObject *r)
{
    r->reply = REPLY_NONE;
    r->body_at = 0;
    r->gone_us = 0;
    r->body_given = r->wants_trailers = r->takes_trailers = false;
    r->is_events = r->in_step = r->posted = r->told = false;
    r->cancelled = r->returned = r->left = false;
}

RequestObject *
cg_asgi_request_new(struct cg_asgi *a, struct cg_exchange *ex)
{
    RequestObject *r = a->nspare > 0 ? a->spare[--a->nspare] : make_request(a);
    if (r == NULL) {
        return NULL;
    }
    reset(r);
    r->asgi = a;
    r->ex = ex;
    r->since_us = ex->start_us;
    ex->host = r;
    return r;
}

/* Used again when nobody else has it: `receive` does, and the caller. Else
 * the two refer to each other no more. */
void
cg_asgi_drop(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    if (py_is_only((PyObject *)r, 2) && r->receive != NULL &&
        py_is_only((PyObject *)r->receive, 1) && r->ws == NULL &&
        a->nspare < SPARES) {
        a->spare[a->nspare++] = r;
        return;
    }
    if (r->returned) {
        Py_CLEAR(r->receive);
    }
    Py_DECREF((PyObject *)r);
}

void
cg_asgi_join(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    if (a->first == NULL) {
        a->first = r->next = r->prev = r;
    } else {
        r->next = a->first;
        r->prev = a->first->prev;
        r->prev->next = r->next->prev = r;
    }
    a->nrunning++;
    Py_INCREF((PyObject *)r);
}

void
cg_asgi_leave(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    if (r->next == NULL) {
        return;
    }
    a->first = r->next == r ? NULL : r->next;
    r->prev->next = r->next;
    r->next->prev = r->prev;
    r->next = r->prev = NULL;
    a->nrunning--;
    Py_DECREF((PyObject *)r);
}
