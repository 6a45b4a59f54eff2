/* SPDX-License-Identifier: MIT */
/*
 * wsgi.input of a body that is still coming (request_buffering = False). Reads
 * wait for the client without the GIL. A body that ends early, too slowly or
 * against the rules raises, now and at every later call: the end of the input
 * is always the end of the body.
 */
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/py/wsgi_internal.h"

static size_t
available(const ExchangeObject *x)
{
    return x->in.n - x->in_at;
}

/* OSError makes its subclasses of the number: TimeoutError … */
static int
raise_fault(const struct cg_exchange *ex, int code)
{
    py_auto *error =
        PyObject_CallFunction(PyExc_OSError, "is", -code, ex->input_fault);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    }
    return -1;
}

static void
forget_what_was_read(ExchangeObject *x)
{
    if (x->in_at > 0) {
        x->in.n -= x->in_at;
        memmove(x->in.p, x->in.p + x->in_at, x->in.n);
        x->in_at = 0;
    }
}

/* Waits for more. 1: some came, 0: the end, -1: an exception. */
static int
fill(ExchangeObject *x)
{
    struct cg_exchange *ex = x->ex;
    int r;
    if (ex == NULL) { /* it ended while this thread was in the wait below */
        PyErr_SetString(PyExc_ValueError,
                        "wsgi.input used after the end of its request");
        return -1;
    }
    if (x->reading) {
        PyErr_SetString(PyExc_RuntimeError,
                        "two threads read wsgi.input at once");
        return -1;
    }
    forget_what_was_read(x);
    x->reading = true;
    Py_BEGIN_ALLOW_THREADS r = ex->wire->receive(ex, &x->in);
    Py_END_ALLOW_THREADS if (r < 0)
    {
        r = raise_fault(ex, r);
    }
    x->reading = false; /* from here on ex may be gone */
    return r;
}

static PyObject *
take(ExchangeObject *x, size_t n)
{
    PyObject *r = PyBytes_FromStringAndSize(n > 0 ? x->in.p + x->in_at : NULL,
                                            (Py_ssize_t)n);
    if (r != NULL) {
        x->in_at += n;
        x->pos += n;
    }
    return r;
}

PyObject *
cg_stream_read(ExchangeObject *x, uint64_t size)
{
    while (available(x) < size) {
        int r = fill(x);
        if (r < 0) {
            return NULL;
        }
        if (r == 0) {
            break;
        }
    }
    return take(x, available(x) < size ? available(x) : (size_t)size);
}

PyObject *
cg_stream_line(ExchangeObject *x, uint64_t max)
{
    size_t seen = 0;
    while (seen < max) {
        size_t n = available(x) < max ? available(x) : (size_t)max;
        const char *p = x->in.p != NULL ? x->in.p + x->in_at : "";
        const char *lf = memchr(p + seen, '\n', n - seen);
        if (lf != NULL) {
            return take(x, (size_t)(lf - p) + 1);
        }
        seen = n;
        int r = n < max ? fill(x) : 0;
        if (r < 0) {
            return NULL;
        }
        if (r == 0) {
            break;
        }
    }
    return take(x, seen);
}

/* A thread of the application may still wait for the client: an end of the
 * input wakes it, before the exchange goes. */
static void
end_reading(ExchangeObject *x)
{
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    while (x->reading) {
        x->ex->keep = false;
        shutdown(x->ex->fd, SHUT_RD);
        Py_BEGIN_ALLOW_THREADS nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS
    }
}

void
cg_stream_release(ExchangeObject *x)
{
    end_reading(x);
    cg_buf_release(&x->in);
    x->in_at = 0;
}
