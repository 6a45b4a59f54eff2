/* SPDX-License-Identifier: MIT */
#include "core/py/request/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/request/input_stream.h"

enum { WINDOW = 64 * 1024 };

static const struct cg_body *
body_of(InputObject *in)
{
    if (in->ex == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "wsgi.input used after the end of its request");
        return NULL;
    }
    return &in->ex->body;
}

/* Bytes that can be read at most. */
static uint64_t
left(const InputObject *in, const struct cg_body *body)
{
    return in->ex->streaming ? PY_SSIZE_T_MAX : body->n - in->pos;
}

/*
 * The body, for a read that begins now. Asked for after whatever may run Python
 * (a size's __index__, a collection of garbage), which may have read as well;
 * and while another thread or greenlet waits in a read, position and buffers
 * are that one's.
 */
static const struct cg_body *
begin_read(InputObject *in)
{
    const struct cg_body *body = body_of(in);
    if (body != NULL && (in->reading || in->parked)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "wsgi.input is read by two at once");
        return NULL;
    }
    return body;
}

/* The one place of the bridge that waits for a disk, so without the GIL. */
static ssize_t
read_file(InputObject *in, int fd, char *to, size_t n, uint64_t at)
{
    ssize_t got;
    cg_saw_given(in);
    Py_BEGIN_ALLOW_THREADS do
    {
        got = pread(fd, to, n, (off_t)at);
    }
    while (got < 0 && errno == EINTR)
        ;
    Py_END_ALLOW_THREADS cg_saw_taken(in);
    return got;
}

/* After an exception the body may be gone: a thread of the application's may
 * read on while its request ends. */
static int
read_pieces(InputObject *in, int fd, char *to, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t got = read_file(in, fd, to, n, at);
        if (body_of(in) == NULL) {
            return -1;
        }
        if (got <= 0) {
            if (got == 0) {
                errno = EIO;
            }
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

/* Nobody else reads from the first piece to the last. */
static int
read_file_all(InputObject *in, int fd, char *to, size_t n, uint64_t at)
{
    in->reading = true;
    int r = read_pieces(in, fd, to, n, at);
    in->reading = false;
    return r;
}

/* The next n bytes (there are that many) as a bytes object. */
static PyObject *
take(InputObject *in, const struct cg_body *body, uint64_t n)
{
    if (body->p != NULL) {
        PyObject *r =
            PyBytes_FromStringAndSize(body->p + in->pos, (Py_ssize_t)n);
        in->pos += r != NULL ? n : 0;
        return r;
    }
    py_auto *r = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n);
    if (r == NULL || read_file_all(in, body->fd, PyBytes_AS_STRING(r),
                                   (size_t)n, in->pos) < 0) {
        return NULL;
    }
    in->pos += n;
    return py_take(&r);
}

/* The size argument: absent, None or negative means everything, UINT64_MAX. May
 * run Python. */
static int
parse_size(PyObject *const *args, Py_ssize_t nargs, const char *name,
           uint64_t *ret)
{
    *ret = UINT64_MAX;
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most 1 argument (%zd given)", name, nargs);
        return -1;
    }
    if (nargs == 0 || args[0] == Py_None) {
        return 0;
    }
    py_auto *number = PyNumber_Index(args[0]);
    if (number == NULL) {
        return -1;
    }
    int overflow;
    long long n = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (n == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (overflow == 0 && n >= 0) {
        *ret = (uint64_t)n;
    }
    return 0;
}

static uint64_t
at_most(uint64_t n, uint64_t most)
{
    return n < most ? n : most;
}

static PyObject *
Input_read(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    InputObject *in = (InputObject *)self;
    uint64_t n;
    if (parse_size(args, nargs, "read", &n) < 0) {
        return NULL;
    }
    py_held(in);
    const struct cg_body *body = begin_read(in);
    if (body == NULL) {
        return NULL;
    }
    n = at_most(n, left(in, body));
    return in->ex->streaming ? cg_wsgi_stream_read(in, n) : take(in, body, n);
}

/* ---- lines ---- */

/* Up to `max` bytes at the current position, in memory; *n how many. */
static const char *
look(InputObject *in, const struct cg_body *body, uint64_t at, size_t *n)
{
    if (body->p != NULL) {
        *n = (size_t)(body->n - at);
        return body->p + at;
    }
    if (in->window == NULL) {
        in->window = cg_malloc(WINDOW);
    }
    if (at < in->window_at || at >= in->window_at + in->window_n) {
        uint64_t left = body->n - at;
        size_t want = left < WINDOW ? (size_t)left : WINDOW;
        if (read_file_all(in, body->fd, in->window, want, at) < 0) {
            in->window_n = 0;
            return NULL;
        }
        in->window_at = at;
        in->window_n = want;
    }
    *n = (size_t)(in->window_at + in->window_n - at);
    return in->window + (at - in->window_at);
}

/* Length of the line at the current position, at most max. -1: exception. */
static int
line_length(InputObject *in, const struct cg_body *body, uint64_t max,
            uint64_t *ret)
{
    uint64_t length = 0;
    while (length < max) {
        size_t n;
        const char *p = look(in, body, in->pos + length, &n);
        if (p == NULL) {
            return -1;
        }
        if (n > max - length) {
            n = (size_t)(max - length);
        }
        const char *lf = memchr(p, '\n', n);
        if (lf != NULL) {
            length += (uint64_t)(lf - p) + 1;
            break;
        }
        length += n;
    }
    *ret = length;
    return 0;
}

static PyObject *
next_line(InputObject *in, uint64_t max)
{
    py_held(in);
    const struct cg_body *body = begin_read(in);
    uint64_t n;
    if (body == NULL) {
        return NULL;
    }
    max = at_most(max, left(in, body));
    if (in->ex->streaming) {
        return cg_wsgi_stream_line(in, max);
    }
    if (line_length(in, body, max, &n) < 0) {
        return NULL;
    }
    return take(in, body, n);
}

static PyObject *
Input_readline(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    uint64_t n;
    if (parse_size(args, nargs, "readline", &n) < 0) {
        return NULL;
    }
    return next_line((InputObject *)self, n);
}

static PyObject *
Input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    InputObject *in = (InputObject *)self;
    uint64_t hint;
    if (parse_size(args, nargs, "readlines", &hint) < 0) {
        return NULL;
    }
    if (nargs == 1 && hint == 0) {
        hint = UINT64_MAX; /* as io.IOBase: a hint of 0 is no hint */
    }
    py_auto *lines = PyList_New(0);
    uint64_t read = 0;
    while (lines != NULL && read < hint) {
        py_auto *line = next_line(in, UINT64_MAX);
        if (line == NULL || PyBytes_GET_SIZE(line) == 0) {
            return line == NULL ? NULL : py_take(&lines);
        }
        if (PyList_Append(lines, line) < 0) {
            return NULL;
        }
        read += (uint64_t)PyBytes_GET_SIZE(line);
    }
    return py_take(&lines);
}

static PyObject *
Input_iternext(PyObject *self)
{
    py_auto *line = next_line((InputObject *)self, UINT64_MAX);
    return line != NULL && PyBytes_GET_SIZE(line) > 0 ? py_take(&line) : NULL;
}

static PyObject *
Input_close(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE; /* PEP 3333: the server's to close */
}

static PyMethodDef Input_methods[] = {
    {"read", (PyCFunction)(void *)Input_read, METH_FASTCALL,
     "read([size]): the next size bytes of the body, or all that is left"},
    {"readline", (PyCFunction)(void *)Input_readline, METH_FASTCALL,
     "readline([size]): the next line, at most size bytes of it"},
    {"readlines", (PyCFunction)(void *)Input_readlines, METH_FASTCALL,
     "readlines([hint]): the lines that are left, about hint bytes of them"},
    {"close", Input_close, METH_NOARGS,
     "close(): does nothing, the server closes its input"},
    {NULL, NULL, 0, NULL}};

/* ---- life ---- */

/* Waits for a read of another thread, then forgets what was read. */
static void
forget(InputObject *in)
{
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    while (in->reading) { /* in->ex is NULL: it comes to its end */
        cg_saw_given(in);
        Py_BEGIN_ALLOW_THREADS nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS cg_saw_taken(in);
    }
    free(in->window);
    in->window = NULL;
    in->window_n = 0;
    in->pos = 0;
}

void
cg_wsgi_input_forget(InputObject *in)
{
    if (in->ex->streaming) {
        cg_wsgi_stream_release(in);
    }
    in->ex = NULL;
    forget(in);
}

static void
Input_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    forget((InputObject *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot Input_slots[] = {
    {Py_tp_doc, (void *)(size_t) "wsgi.input (PEP 3333)"},
    {Py_tp_dealloc, Input_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, Input_iternext},
    {Py_tp_methods, Input_methods},
    {0, NULL}};

PyType_Spec cg_wsgi_input_spec = {
    .name = "cgunicorn.Input",
    .basicsize = sizeof(InputObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Input_slots,
};
