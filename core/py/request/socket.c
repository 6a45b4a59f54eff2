/* SPDX-License-Identifier: MIT */
#include "core/py/request/socket.h"

#include <errno.h>
#include <unistd.h>

#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/held.h"
#include "core/py/wsgi/reply.h"

typedef struct {
    PyObject_HEAD ReplyObject *reply; /* whose client it is; owned. Who holds
                                         it has the socket as well */
    PyObject *real;                   /* NULL: nobody looked at it yet */
} SocketObject;

static int
Socket_traverse(PyObject *self, visitproc visit, void *arg)
{
    SocketObject *s = (SocketObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)s->reply);
    Py_VISIT(s->real);
    return 0;
}

static int
Socket_clear(PyObject *self)
{
    SocketObject *s = (SocketObject *)self;
    Py_CLEAR(s->reply);
    Py_CLEAR(s->real);
    return 0;
}

static void
Socket_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Socket_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* A socket over a duplicate: closing it does not close the connection, which
 * ends with the request. What was read too far is the socket's first. */
static PyObject *
make_socket(SocketObject *s)
{
    py_auto *take = cg_glue_get("_cgunicorn_glue.sockets", "take");
    ReplyObject *x = s->reply;
    struct cg_slice unread;
    if (take == NULL) {
        return NULL;
    }
    if (x != NULL) {
        cg_wsgi_reply_turn(x);
    }
    if (x == NULL || x->ex == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "gunicorn.socket used after the end of its request");
        return NULL;
    }
    int fd = cg_exchange_take_over(x->ex, &unread);
    if (fd == -EPROTO) {
        PyErr_SetString(PyExc_OSError,
                        "gunicorn.socket cannot be used as a socket over TLS "
                        "by this worker class: use the class asgi for "
                        "WebSockets, or let a proxy in front of the server do "
                        "TLS");
        return NULL;
    }
    if (fd < 0) {
        errno = -fd;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *made = PyObject_CallFunction(
        take, "iy#", fd, unread.n > 0 ? unread.p : "", (Py_ssize_t)unread.n);
    if (made == NULL) {
        close(fd);
    }
    return made;
}

/* What an ssl.SSLSocket knows of TLS, which takes no socket; NULL without an
 * exception for any other attribute. */
static PyObject *
fact_of(const struct cg_secure *s, PyObject *name)
{
    py_auto *ask = cg_glue_get("_cgunicorn_glue.sockets", "secure");
    py_auto *fact =
        ask != NULL
            ? PyObject_CallFunction(ask, "Ossz", name, s->protocol, s->cipher,
                                    s->client != NULL ? s->client->pem : NULL)
            : NULL;
    return fact != Py_None ? py_take(&fact) : NULL;
}

static PyObject *
socket_class(void)
{
    py_auto *kind = cg_glue_get("_cgunicorn_glue.sockets", "kind");
    return kind != NULL ? PyObject_CallNoArgs(kind) : NULL;
}

/* Two threads may look at once: the first socket that is made counts. */
static PyObject *
real_socket(SocketObject *s)
{
    if (s->real == NULL) {
        py_auto *made = make_socket(s);
        if (s->real == NULL) {
            s->real = py_take(&made);
        }
        if (s->real != NULL) {
            PyErr_Clear(); /* of the second one */
        }
    }
    return s->real != NULL ? py_new(s->real) : NULL;
}

/* isinstance() asks for the class of anything, also after the request: that is
 * no use of the socket. Either the attribute, or the real socket that has it;
 * or an exception. */
static PyObject *
look(SocketObject *s, PyObject *name, PyObject **ret_real)
{
    py_held(s->reply);
    if (s->real == NULL &&
        PyUnicode_CompareWithASCIIString(name, "__class__") == 0) {
        return socket_class();
    }
    if (s->real == NULL && s->reply->ex != NULL &&
        s->reply->ex->secure != NULL) {
        PyObject *fact = fact_of(s->reply->ex->secure, name);
        if (fact != NULL || PyErr_Occurred()) {
            return fact;
        }
    }
    *ret_real = real_socket(s);
    return NULL;
}

static PyObject *
Socket_getattro(PyObject *self, PyObject *name)
{
    SocketObject *s = (SocketObject *)self;
    py_auto *real = NULL;
    if (s->reply == NULL) { /* cleared by the collector, among garbage */
        return PyObject_GenericGetAttr(self, name);
    }
    PyObject *found = look(s, name, &real);
    return real != NULL ? PyObject_GetAttr(real, name) : found;
}

static PyType_Slot Socket_slots[] = {
    {Py_tp_doc, (void *)(size_t) "the client's socket, made on first use"},
    {Py_tp_dealloc, Socket_dealloc},
    {Py_tp_traverse, Socket_traverse},
    {Py_tp_clear, Socket_clear},
    {Py_tp_getattro, Socket_getattro},
    {0, NULL}};

PyType_Spec cg_socket_spec = {
    .name = "cgunicorn.Socket",
    .basicsize = sizeof(SocketObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = Socket_slots,
};

PyObject *
cg_socket_new(PyTypeObject *type, PyObject *reply)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((SocketObject *)self)->reply = (ReplyObject *)py_new(reply);
    }
    return self;
}

bool
cg_socket_is_fresh(PyObject *socket)
{
    return ((SocketObject *)socket)->real == NULL;
}
