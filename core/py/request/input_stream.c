/* SPDX-License-Identifier: MIT */
#include "core/py/request/input_stream.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/py/loops/host_loop.h"
#include "core/py/runtime/gil.h"
#include "core/py/runtime/held.h"

static size_t
available(const InputObject *in)
{
    return in->buf.n - in->buf_at;
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
forget_what_was_read(InputObject *in)
{
    if (in->buf_at > 0) {
        in->buf.n -= in->buf_at;
        memmove(in->buf.p, in->buf.p + in->buf_at, in->buf.n);
        in->buf_at = 0;
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
receive_parked(InputObject *in)
{
    struct cg_py_loop *loop = in->loop;
    struct cg_exchange *ex = in->ex;
    int r;
    while ((r = cg_exchange_read(ex, &in->buf)) == -EAGAIN) {
        r = cg_exchange_await_input(ex);
        if (r < 0) {
            break;
        }
        if (cg_py_loop_park(loop, ex) < 0) {
            return -1;
        }
        if (in->ex != ex) {
            return raise_ended();
        }
    }
    return r < 0 ? raise_fault(ex, r) : r;
}

/* As fill(), without the GIL. */
static int
receive_blocking(InputObject *in)
{
    struct cg_exchange *ex = in->ex;
    int r;
    cg_saw_given(in);
    Py_BEGIN_ALLOW_THREADS CG_HAS_NO_GIL();
    r = cg_exchange_read(ex, &in->buf);
    Py_END_ALLOW_THREADS cg_saw_taken(in);
    return r < 0 ? raise_fault(ex, r) : r;
}

/* Waits for more. 1: some came, 0: the end, -1: an exception. Who calls a
 * method of the input meanwhile is told (begin_read in input.c), so that nobody
 * looks at the buffer while it grows, or takes what a line began with. */
static int
fill(InputObject *in)
{
    if (in->ex == NULL) { /* it ended while this thread waited below */
        return raise_ended();
    }
    forget_what_was_read(in);
    /* after the wait ex may be gone */
    bool parks = cg_py_loop_parks(in->loop);
    bool *waits = parks ? &in->parked : &in->reading;
    *waits = true;
    int r = parks ? receive_parked(in) : receive_blocking(in);
    *waits = false;
    return r;
}

static PyObject *
take(InputObject *in, size_t n)
{
    PyObject *r = PyBytes_FromStringAndSize(
        n > 0 ? in->buf.p + in->buf_at : NULL, (Py_ssize_t)n);
    if (r != NULL) {
        in->buf_at += n;
        in->pos += n;
    }
    return r;
}

PyObject *
cg_wsgi_stream_read(InputObject *in, uint64_t size)
{
    while (available(in) < size) {
        int r = fill(in);
        if (r < 0) {
            return NULL;
        }
        if (r == 0) {
            break;
        }
    }
    return take(in, available(in) < size ? available(in) : (size_t)size);
}

PyObject *
cg_wsgi_stream_line(InputObject *in, uint64_t max)
{
    size_t seen = 0;
    while (seen < max) {
        size_t n = available(in) < max ? available(in) : (size_t)max;
        const char *p = in->buf.p != NULL ? in->buf.p + in->buf_at : "";
        const char *lf = memchr(p + seen, '\n', n - seen);
        if (lf != NULL) {
            return take(in, (size_t)(lf - p) + 1);
        }
        seen = n;
        int r = n < max ? fill(in) : 0;
        if (r < 0) {
            return NULL;
        }
        if (r == 0) {
            break;
        }
    }
    return take(in, seen);
}

/* A thread of the application may still wait for the client: an end of the
 * input wakes it, before the exchange goes. A greenlet is woken by its loop. */
static void
end_reading(InputObject *in)
{
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    while (in->reading) {
        cg_exchange_end_input(in->ex);
        cg_saw_given(in);
        Py_BEGIN_ALLOW_THREADS nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS cg_saw_taken(in);
    }
}

void
cg_wsgi_stream_release(InputObject *in)
{
    end_reading(in);
    cg_buf_release(&in->buf);
    in->buf_at = 0;
}
