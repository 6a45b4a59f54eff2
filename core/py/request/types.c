/* SPDX-License-Identifier: MIT */
/* The bridge's small types: the exchange, wsgi.errors, gunicorn.socket. */
#include "core/py/compat/logger.h"
#include "core/py/wsgi/internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/py/compat/hooks_internal.h"

/* ---- exchange ---- */

static void
Exchange_dealloc(PyObject *self)
{
    ExchangeObject *x = (ExchangeObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    cg_input_release(x);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot Exchange_slots[] = {
    {Py_tp_doc, (void *)(size_t) "wsgi.input (PEP 3333)"},
    {Py_tp_dealloc, Exchange_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, cg_input_iternext},
    {Py_tp_methods, cg_input_methods},
    {0, NULL}};

static PyType_Spec exchange_spec = {
    .name = "cgunicorn.Input",
    .basicsize = sizeof(ExchangeObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Exchange_slots,
};

/* ---- wsgi.errors: text straight to the error log's descriptor ---- */

typedef struct {
    PyObject_HEAD struct cg_log *log;
} ErrorsObject;

static void
plain_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
write_text(ErrorsObject *e, PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "write() takes a str, not %.200s",
                     Py_TYPE(text)->tp_name);
        return -1;
    }
    if (cg_py_logger_takes_errors() && cg_py_logger_write_errors(text)) {
        return 0;
    }
    py_auto *bytes =
        PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (bytes == NULL) {
        return -1;
    }
    /* one write per call, so lines of several workers do not mix; a log that
     * cannot be written is no failure of the application */
    cg_log_write(e->log, false,
                 (struct cg_slice){PyBytes_AS_STRING(bytes),
                                   (size_t)PyBytes_GET_SIZE(bytes)});
    return 0;
}

static PyObject *
Errors_write(PyObject *self, PyObject *text)
{
    if (write_text((ErrorsObject *)self, text) < 0) {
        return NULL;
    }
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *
Errors_writelines(PyObject *self, PyObject *lines)
{
    py_auto *it = PyObject_GetIter(lines);
    if (it == NULL) {
        return NULL;
    }
    for (;;) {
        py_auto *line = PyIter_Next(it);
        if (line == NULL) {
            break;
        }
        if (write_text((ErrorsObject *)self, line) < 0) {
            return NULL;
        }
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Errors_nothing(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE;
}

static PyObject *
Errors_fileno(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong(cg_log_error_fd(((ErrorsObject *)self)->log));
}

static PyObject *
Errors_yes(PyObject *self, PyObject *unused)
{
    Py_RETURN_TRUE;
}

static PyObject *
Errors_no(PyObject *self, PyObject *unused)
{
    Py_RETURN_FALSE;
}

static PyObject *
Errors_closed(PyObject *self, void *unused)
{
    Py_RETURN_FALSE;
}

/* How text becomes bytes: see write_text. */
static PyObject *
Errors_encoding(PyObject *self, void *name)
{
    return PyUnicode_FromString(name);
}

static PyGetSetDef Errors_fields[] = {
    {"closed", Errors_closed, NULL, NULL, NULL},
    {"encoding", Errors_encoding, NULL, NULL, (void *)(size_t) "utf-8"},
    {"errors", Errors_encoding, NULL, NULL,
     (void *)(size_t) "backslashreplace"},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef Errors_methods[] = {
    {"write", Errors_write, METH_O, "write(str): appends to the error log"},
    {"writelines", Errors_writelines, METH_O, "writelines(strs)"},
    {"flush", Errors_nothing, METH_NOARGS, "flush(): nothing is buffered"},
    {"close", Errors_nothing, METH_NOARGS, "close(): the server's to close"},
    {"fileno", Errors_fileno, METH_NOARGS, "fileno(): of the error log"},
    {"isatty", Errors_no, METH_NOARGS, "isatty(): a log is none"},
    {"readable", Errors_no, METH_NOARGS, "readable()"},
    {"seekable", Errors_no, METH_NOARGS, "seekable()"},
    {"writable", Errors_yes, METH_NOARGS, "writable()"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot Errors_slots[] = {
    {Py_tp_doc, (void *)(size_t) "wsgi.errors (PEP 3333)"},
    {Py_tp_dealloc, plain_dealloc},
    {Py_tp_methods, Errors_methods},
    {Py_tp_getset, Errors_fields},
    {0, NULL}};

static PyType_Spec errors_spec = {
    .name = "cgunicorn.Errors",
    .basicsize = sizeof(ErrorsObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Errors_slots,
};

PyObject *
cg_errors_new(struct cg_wsgi *w)
{
    PyObject *self = w->errors_type->tp_alloc(w->errors_type, 0);
    if (self != NULL) {
        ((ErrorsObject *)self)->log = w->o->log;
    }
    return self;
}

/* ---- gunicorn.socket: a socket object made when somebody looks at it ---- */

typedef struct {
    PyObject_HEAD int fd; /* the client's, while the request runs */
    ExchangeObject *exchange;
    PyObject *real;
} SocketObject;

static int
Socket_traverse(PyObject *self, visitproc visit, void *arg)
{
    SocketObject *s = (SocketObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)s->exchange);
    Py_VISIT(s->real);
    return 0;
}

static int
Socket_clear(PyObject *self)
{
    SocketObject *s = (SocketObject *)self;
    Py_CLEAR(s->exchange);
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
    ExchangeObject *x = s->exchange;
    struct cg_slice unread;
    if (take == NULL) {
        return NULL;
    }
    if (x != NULL) {
        cg_reply_turn(x);
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
 * no use of the socket. */
static PyObject *
Socket_getattro(PyObject *self, PyObject *name)
{
    SocketObject *s = (SocketObject *)self;
    if (s->real == NULL &&
        PyUnicode_CompareWithASCIIString(name, "__class__") == 0) {
        return socket_class();
    }
    if (s->real == NULL && s->exchange != NULL && s->exchange->ex != NULL &&
        s->exchange->ex->secure != NULL) {
        PyObject *fact = fact_of(s->exchange->ex->secure, name);
        if (fact != NULL || PyErr_Occurred()) {
            return fact;
        }
    }
    py_auto *real = real_socket(s);
    return real != NULL ? PyObject_GetAttr(real, name) : NULL;
}

static PyType_Slot Socket_slots[] = {
    {Py_tp_doc, (void *)(size_t) "the client's socket, made on first use"},
    {Py_tp_dealloc, Socket_dealloc},
    {Py_tp_traverse, Socket_traverse},
    {Py_tp_clear, Socket_clear},
    {Py_tp_getattro, Socket_getattro},
    {0, NULL}};

static PyType_Spec socket_spec = {
    .name = "cgunicorn.Socket",
    .basicsize = sizeof(SocketObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = Socket_slots,
};

PyObject *
cg_socket_new(struct cg_wsgi *w, ExchangeObject *x)
{
    PyObject *self = w->socket_type->tp_alloc(w->socket_type, 0);
    if (self != NULL) {
        Py_INCREF(x);
        ((SocketObject *)self)->exchange = x;
    }
    return self;
}

bool
cg_socket_is_fresh(PyObject *socket)
{
    return ((SocketObject *)socket)->real == NULL;
}

/* ---- all types ---- */

static int
make_type(PyTypeObject **ret, PyType_Spec *spec)
{
    *ret = (PyTypeObject *)PyType_FromSpec(spec);
    if (*ret == NULL) {
        return -1;
    }
    if ((spec->flags & Py_TPFLAGS_BASETYPE) == 0) {
        cg_type_close(*ret);
    }
    return 0;
}

int
cg_wsgi_types_init(struct cg_wsgi *w)
{
    if (make_type(&w->exchange_type, &exchange_spec) < 0 ||
        make_type(&w->file_type, &cg_file_spec) < 0 ||
        make_type(&w->errors_type, &errors_spec) < 0 ||
        make_type(&w->socket_type, &socket_spec) < 0) {
        return -1;
    }
    return 0;
}
