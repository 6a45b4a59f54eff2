/* SPDX-License-Identifier: MIT */
/*
 * Replying: start_response, write, and the items of the iterable on their way
 * to the wire. Headers leave with the first body bytes, as PEP 3333 asks.
 */
#include <string.h>

#include "core/base/memory.h"
#include "core/py/wsgi/internal.h"

enum {
    COPY_MAX = 8 * 1024,     /* bodies up to this ride in the head's buffer */
    HIGH_WATER = 256 * 1024, /* waiting bytes that pause a generator */
    LOW_WATER = 64 * 1024
};

/* ---- start_response ---- */

static int
fault(ExchangeObject *x, PyObject *kind, PyObject *shown)
{
    if (shown != NULL) {
        PyErr_Format(kind, "%s: %R", x->reply.fault, shown);
    } else {
        PyErr_SetString(kind, x->reply.fault);
    }
    return -1;
}

/* The latin-1 bytes of a str, borrowed from it. */
int
cg_latin1_view(PyObject *o, const char *what, struct cg_slice *ret)
{
    if (!PyUnicode_Check(o)) {
        PyErr_Format(PyExc_TypeError, "%s %R is not a string", what, o);
        return -1;
    }
    if (PyUnicode_READY(o) < 0) {
        return -1;
    }
    if (PyUnicode_KIND(o) != PyUnicode_1BYTE_KIND) {
        PyErr_Format(PyExc_ValueError, "%s %R has characters outside latin-1",
                     what, o);
        return -1;
    }
    *ret = (struct cg_slice){(const char *)PyUnicode_1BYTE_DATA(o),
                             (size_t)PyUnicode_GET_LENGTH(o)};
    return 0;
}

static int
add_pair(ExchangeObject *x, PyObject *name, PyObject *value)
{
    struct cg_slice n, v;
    if (cg_latin1_view(name, "header name", &n) < 0 ||
        cg_latin1_view(value, "header value", &v) < 0) {
        return -1;
    }
    /* the name may be shown, the value may be a peer's or a secret */
    return cg_reply_field(&x->reply, n, v) < 0
               ? fault(x, PyExc_ValueError, name)
               : 0;
}

static int
add_header(ExchangeObject *x, PyObject *item)
{
    if (PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2) {
        return add_pair(x, PyTuple_GET_ITEM(item, 0),
                        PyTuple_GET_ITEM(item, 1));
    }
    py_auto *pair = PySequence_Tuple(item);
    if (pair == NULL || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError,
                     "a header must be a (name, value) tuple, not %R", item);
        return -1;
    }
    return add_pair(x, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
}

static int
add_headers(ExchangeObject *x, PyObject *headers)
{
    py_auto *list = PySequence_Fast(headers, "headers must be a list");
    if (list == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        py_auto *item = py_new(PySequence_Fast_GET_ITEM(list, i));
        if (add_header(x, item) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
set_status(ExchangeObject *x, PyObject *status)
{
    struct cg_slice s;
    if (cg_latin1_view(status, "status", &s) < 0) {
        return -1;
    }
    return cg_reply_status(&x->reply, s) < 0
               ? fault(x, PyExc_ValueError, status)
               : 0;
}

/* PEP 3333: with the head out, an error can only be raised again. */
static int
reraise(PyObject *exc_info)
{
    if (!PyTuple_Check(exc_info) || PyTuple_GET_SIZE(exc_info) != 3) {
        PyErr_SetString(PyExc_TypeError, "exc_info must be a 3-tuple");
        return -1;
    }
    py_auto *value = py_tuple_get(exc_info, 1);
    py_auto *traceback = py_tuple_get(exc_info, 2);
    if (traceback != Py_None &&
        PyException_SetTraceback(value, traceback) < 0) {
        return -1;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(value), value);
    return -1;
}

static int
may_start(ExchangeObject *x, PyObject *exc_info)
{
    if (x->ex == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "start_response called after the end of its request");
        return -1;
    }
    if (exc_info != NULL && exc_info != Py_None) {
        return x->head_sent ? reraise(exc_info) : 0;
    }
    if (x->started) {
        PyErr_SetString(PyExc_AssertionError, "Response headers already set!");
        return -1;
    }
    return 0;
}

static int
keyword_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                  PyObject **argv)
{
    static const char *const name[] = {"status", "headers", "exc_info"};
    Py_ssize_t nkw = PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < nkw; i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        int at = 0;
        while (at < 3 && PyUnicode_CompareWithASCIIString(key, name[at]) != 0) {
            at++;
        }
        if (at == 3 &&
            PyUnicode_CompareWithASCIIString(key, "response_headers") == 0) {
            at = 1;
        }
        if (at == 3 || argv[at] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "start_response() got an unexpected argument %R", key);
            return -1;
        }
        argv[at] = args[nargs + i];
    }
    return 0;
}

PyObject *
cg_start_response(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    ExchangeObject *x = (ExchangeObject *)self;
    PyObject *argv[3] = {NULL, NULL, NULL}; /* the caller's for the call */
    for (Py_ssize_t i = 0; i < nargs && i < 3; i++) {
        argv[i] = args[i];
    }
    if (kwnames != NULL && keyword_arguments(args, nargs, kwnames, argv) < 0) {
        return NULL;
    }
    if (nargs > 3 || argv[0] == NULL || argv[1] == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "start_response(status, headers, exc_info=None)");
        return NULL;
    }
    if (may_start(x, argv[2]) < 0) {
        return NULL;
    }
    x->started = false;
    cg_reply_start(&x->reply, x->ex->out);
    if (set_status(x, argv[0]) < 0 || add_headers(x, argv[1]) < 0) {
        return NULL;
    }
    x->started = true;
    return py_new(x->write);
}

/* ---- sending ---- */

static int
send_parts(ExchangeObject *x, const struct iovec *parts, int count,
           PyObject *keep)
{
    if (!x->failed && x->ex->wire->send(x->ex, parts, count, keep) < 0) {
        x->failed = true;
    }
    return 0;
}

/* Parts that end the body leave at once, others may wait for those that
 * follow. */
static int
post_parts(ExchangeObject *x, const struct iovec *parts, int count,
           PyObject *keep)
{
    if (x->no_more) {
        return send_parts(x, parts, count, keep);
    }
    if (!x->failed && x->ex->wire->post(x->ex, parts, count, keep) < 0) {
        x->failed = true;
    }
    return 0;
}

static void
wait_blocking(struct cg_exchange *ex, int *ret)
{
    Py_BEGIN_ALLOW_THREADS *ret = ex->wire->drain(ex, LOW_WATER);
    Py_END_ALLOW_THREADS
}

/* The one place that waits for a slow reader: without the GIL, or letting other
 * requests of the thread go on. -1 with an exception. */
static int
wait_for_reader(ExchangeObject *x)
{
    const struct cg_wsgi_options *o = x->wsgi->o;
    struct cg_exchange *ex = x->ex;
    int r = 0;
    if (o->park == NULL) {
        wait_blocking(ex, &r);
    }
    while (o->park != NULL && (r = ex->wire->await_drain(ex, LOW_WATER)) == 0) {
        if (o->park(o->park_self, ex) < 0) {
            return -1;
        }
        if (x->ex != ex) { /* its request ended meanwhile */
            PyErr_SetString(PyExc_ValueError,
                            "write called after the end of its request");
            return -1;
        }
    }
    x->failed = x->failed || r < 0;
    return 0;
}

/* Completes the head; it lies in ex->out from reply.begin to the buffer's end
 * and is not sent yet. */
static int
finish_head(ExchangeObject *x, int64_t known)
{
    struct cg_exchange *ex = x->ex;
    if (!x->started) {
        PyErr_SetString(PyExc_AssertionError,
                        "the application did not call start_response");
        return -1;
    }
    const struct cg_reply_context context = {
        .server = x->wsgi->o->server,
        .date = ex->date,
        .minor = ex->req->minor,
        .head_request = ex->req->method_is_head,
        .keep_alive =
            ex->may_keep && (!ex->streaming || ex->wire->can_skip(ex)),
    };
    ex->keep = cg_reply_finish(&x->reply, &context, known);
    ex->status = x->reply.status;
    x->head_sent = true;
    x->no_more = x->reply.framing == CG_FRAME_NONE ||
                 (x->reply.framing == CG_FRAME_LENGTH && x->reply.length == 0);
    return 0;
}

static struct cg_slice
head_bytes(const ExchangeObject *x)
{
    return (struct cg_slice){x->ex->out->p + x->reply.begin,
                             x->reply.end - x->reply.begin};
}

/* Cuts an item to what Content-Length leaves; counts it. */
static size_t
account(ExchangeObject *x, size_t n)
{
    if (x->no_more) {
        x->overrun = x->overrun || n > 0;
        return 0;
    }
    if (x->reply.framing == CG_FRAME_LENGTH) {
        uint64_t left = x->reply.length - x->ex->sent;
        if (n >= left) {
            x->overrun = x->overrun || n > left;
            n = (size_t)left;
            x->no_more = true;
        }
    }
    x->ex->sent += n;
    return n;
}

/* A small body travels in the buffer of the head: one part, one send. */
static int
send_joined(ExchangeObject *x, const char *p, size_t n)
{
    struct cg_buf *out = x->ex->out;
    out->n = x->reply.end;
    memcpy(cg_buf_reserve(out, n), p, n);
    struct iovec part = {out->p + x->reply.begin,
                         x->reply.end - x->reply.begin + n};
    return post_parts(x, &part, 1, NULL);
}

/* "400\r\n"; returns its end. */
static char *
put_chunk_size(char *p, size_t n)
{
    int digits = (64 - __builtin_clzll((unsigned long long)n) + 3) / 4;
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        *p++ = "0123456789abcdef"[n >> shift & 15];
    }
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

static int
send_framed(ExchangeObject *x, struct cg_slice head, const char *p, size_t n,
            PyObject *keep, bool last)
{
    struct iovec parts[4];
    char size[24];
    int count = 0;
    if (head.n > 0) {
        parts[count++] = (struct iovec){(void *)(size_t)head.p, head.n};
    }
    if (x->reply.framing != CG_FRAME_CHUNKED) {
        parts[count++] = (struct iovec){(void *)(size_t)p, n};
        return post_parts(x, parts, count, keep);
    }
    size_t size_n = (size_t)(put_chunk_size(size, n) - size);
    parts[count++] = (struct iovec){size, size_n};
    parts[count++] = (struct iovec){(void *)(size_t)p, n};
    const char *end = last ? "\r\n0\r\n\r\n" : "\r\n";
    parts[count++] = (struct iovec){(void *)(size_t)end, strlen(end)};
    x->no_more = x->no_more || last;
    return post_parts(x, parts, count, NULL);
}

static int
send_bytes(ExchangeObject *x, PyObject *item, int64_t known, bool last)
{
    const char *p = PyBytes_AS_STRING(item);
    size_t n = (size_t)PyBytes_GET_SIZE(item);
    struct cg_slice head = {NULL, 0};
    if (!x->head_sent) {
        if (finish_head(x, known) < 0) {
            return -1;
        }
        head = head_bytes(x);
    }
    n = account(x, n);
    if (n == 0) {
        struct iovec part = {(void *)(size_t)head.p, head.n};
        return head.n > 0 ? send_parts(x, &part, 1, NULL) : 0;
    }
    if (head.n > 0 && n <= COPY_MAX && x->reply.framing != CG_FRAME_CHUNKED) {
        return send_joined(x, p, n);
    }
    return send_framed(x, head, p, n, item, last);
}

static size_t
high_water(const ExchangeObject *x)
{
    size_t bytes = x->wsgi->o->high_water;
    return bytes != 0 ? bytes : HIGH_WATER;
}

int
cg_reply_item(ExchangeObject *x, PyObject *item, bool only, bool last)
{
    if (!PyBytes_Check(item)) {
        PyErr_Format(PyExc_TypeError,
                     "the application must return bytes, not %.200s",
                     Py_TYPE(item)->tp_name);
        return -1;
    }
    if (PyBytes_GET_SIZE(item) == 0) {
        return 0; /* no head before the first byte (PEP 3333) */
    }
    int64_t known = only ? (int64_t)PyBytes_GET_SIZE(item) : -1;
    if (send_bytes(x, item, known, last) < 0) {
        return -1;
    }
    return last || x->ex->wire->pending(x->ex) <= high_water(x)
               ? 0
               : wait_for_reader(x);
}

PyObject *
cg_write(PyObject *self, PyObject *data)
{
    ExchangeObject *x = (ExchangeObject *)self;
    if (x->ex == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "write called after the end of its request");
        return NULL;
    }
    if (cg_reply_item(x, data, false, false) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

int
cg_reply_file_part(ExchangeObject *x, int fd, off_t at, size_t n)
{
    if (finish_head(x, (int64_t)n) < 0) {
        return -1;
    }
    struct cg_slice head = head_bytes(x);
    struct iovec first = {(void *)(size_t)head.p, head.n};
    n = account(x, n);
    if (n == 0) {
        return send_parts(x, &first, 1, NULL);
    }
    if (x->ex->wire->send_file(x->ex, first, fd, at, n) < 0) {
        x->failed = true;
    }
    return 0;
}

static void
log_short(ExchangeObject *x)
{
    struct cg_exchange *ex = x->ex;
    cg_auto(buf) struct cg_buf path = {0};
    cg_buf_put_escaped(&path, cg_span_of(ex->base, ex->req->target), 200);
    cg_log_line(x->wsgi->o->log, CG_ERROR,
                "Response to %.*s is shorter than its Content-Length (%llu of "
                "%llu bytes): closing the connection",
                (int)path.n, path.p, (unsigned long long)ex->sent,
                (unsigned long long)x->reply.length);
}

static int
send_end(ExchangeObject *x)
{
    static const char terminator[] = "0\r\n\r\n";
    if (x->reply.framing == CG_FRAME_CHUNKED && !x->no_more) {
        struct iovec part = {(void *)(size_t)terminator, sizeof terminator - 1};
        x->no_more = true;
        return send_parts(x, &part, 1, NULL);
    }
    if (x->no_more) {
        return 0;
    }
    if (x->reply.framing == CG_FRAME_LENGTH && !x->failed) {
        x->ex->keep = false; /* what follows would be read as this body */
        log_short(x);
    }
    return send_parts(x, NULL, 0, NULL); /* what waits for more */
}

int
cg_reply_end(ExchangeObject *x)
{
    if (x->head_sent) {
        return send_end(x);
    }
    if (finish_head(x, 0) < 0) {
        return -1;
    }
    struct cg_slice head = head_bytes(x);
    struct iovec part = {(void *)(size_t)head.p, head.n};
    send_parts(x, &part, 1, NULL);
    if (x->reply.framing == CG_FRAME_CHUNKED ||
        (x->reply.framing == CG_FRAME_LENGTH && x->reply.length > 0)) {
        return send_end(x);
    }
    return 0;
}

void
cg_reply_abort(ExchangeObject *x, int status, const char *message)
{
    struct cg_exchange *ex = x->ex;
    ex->keep = false;
    if (x->head_sent) { /* a cut: no terminator, no clean end */
        send_parts(x, NULL, 0, NULL);
        return;
    }
    cg_buf_reset(ex->out);
    ex->sent =
        cg_error_page(ex->out, status, cg_slice_of(message), x->wsgi->o->server,
                      ex->date, ex->req->minor, ex->req->method_is_head);
    if (ex->req->method_is_head) {
        ex->sent = 0;
    }
    ex->status = status;
    x->head_sent = true;
    x->started = false; /* what the application said is gone */
    struct iovec part = {ex->out->p, ex->out->n};
    send_parts(x, &part, 1, NULL);
}
