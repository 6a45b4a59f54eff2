/* SPDX-License-Identifier: MIT */
/*
 * wsgi.input of a body that is still coming (request_buffering = False). Reads
 * wait for the client without the GIL, or in a parked greenlet. A body that
 * ends early, too slowly or against the rules raises, now and at every later
 * call: the end of the input is always the end of the body.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/py/loops/host_loop.h"
#include "core/py/runtime/gil.h"
#include "core/py/wsgi/internal.h"

static size_t
available(const ExchangeObject *x)
{
    return x->in.n - x->in_at;
}

/* OSError makes its subclasses of the number: TimeoutError … */
static int
raise_fault(const struct cg_exchange *ex, int code)
{
    const char *fault =
        ex->input_fault != NULL ? ex->input_fault : strerror(-code);
    py_auto *error = PyObject_CallFunction(PyExc_OSError, "is", -code, fault);
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

static int
raise_ended(void)
{
    PyErr_SetString(PyExc_ValueError,
                    "wsgi.input used after the end of its request");
    return -1;
}

/* As fill(), letting other requests of the thread go on. */
static int
receive_parked(ExchangeObject *x)
{
    struct cg_py_loop *loop = x->wsgi->o->loop;
    struct cg_exchange *ex = x->ex;
    int r;
    while ((r = cg_exchange_read(ex, &x->in)) == -EAGAIN) {
        r = cg_exchange_await_input(ex);
        if (r < 0) {
            break;
        }
        if (cg_py_loop_park(loop, ex) < 0) {
            return -1;
        }
        if (x->ex != ex) {
            return raise_ended();
        }
    }
    return r < 0 ? raise_fault(ex, r) : r;
}

/* As fill(), without the GIL. */
static int
receive_blocking(ExchangeObject *x)
{
    struct cg_exchange *ex = x->ex;
    int r;
    Py_BEGIN_ALLOW_THREADS CG_HAS_NO_GIL();
    r = cg_exchange_read(ex, &x->in);
    Py_END_ALLOW_THREADS return r < 0 ? raise_fault(ex, r) : r;
}

/* Waits for more. 1: some came, 0: the end, -1: an exception. Who calls a
 * method of the input meanwhile is told (begin_read in input.c), so that nobody
 * looks at the buffer while it grows, or takes what a line began with. */
static int
fill(ExchangeObject *x)
{
    if (x->ex == NULL) { /* it ended while this thread waited below */
        return raise_ended();
    }
    forget_what_was_read(x);
    /* after the wait ex may be gone */
    bool parks = cg_py_loop_parks(x->wsgi->o->loop);
    bool *waits = parks ? &x->parked : &x->reading;
    *waits = true;
    int r = parks ? receive_parked(x) : receive_blocking(x);
    *waits = false;
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
 * input wakes it, before the exchange goes. A greenlet is woken by its loop. */
static void
end_reading(ExchangeObject *x)
{
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    while (x->reading) {
        cg_exchange_end_input(x->ex);
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
