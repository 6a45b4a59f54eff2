/* SPDX-License-Identifier: MIT */
#include "core/py/wsgi/reply.h"

#include <stdlib.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/py/loops/host_loop.h"
#include "core/py/runtime/gil.h"
#include "core/py/runtime/held.h"

enum {
    HIGH_WATER = 256 * 1024, /* waiting bytes that pause a generator */
    LOW_WATER = 64 * 1024
};

/* ---- start_response ---- */

/* There is no reply now; what is shown of it may begin another one. */
static int
fault(ReplyObject *x, PyObject *shown)
{
    const char *what = x->ex->writer->reply.fault;
    cg_writer_forget(x->ex->writer);
    PyErr_Format(PyExc_ValueError, "%s: %R", what, shown);
    return -1;
}

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

/* ---- fields, as tuples of two strings ---- */

static bool
is_latin1(PyObject *o)
{
    return PyUnicode_CheckExact(o) && PyUnicode_KIND(o) == PyUnicode_1BYTE_KIND;
}

static bool
is_plain_pair(PyObject *item)
{
    return PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2 &&
           is_latin1(PyTuple_GET_ITEM(item, 0)) &&
           is_latin1(PyTuple_GET_ITEM(item, 1));
}

/* A list that runs nothing when it is read. */
static bool
is_plain(PyObject *headers)
{
    if (!PyList_CheckExact(headers)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        if (!is_plain_pair(PyList_GET_ITEM(headers, i))) {
            return false;
        }
    }
    return true;
}

/* The pair as a tuple of our own, whose strings can be viewed. */
static PyObject *
copy_pair(PyObject *item)
{
    struct cg_slice ignored;
    py_auto *pair = PySequence_Tuple(item);
    if (pair == NULL || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError,
                     "a header must be a (name, value) tuple, not %R", item);
        return NULL;
    }
    if (cg_latin1_view(PyTuple_GET_ITEM(pair, 0), "header name", &ignored) <
            0 ||
        cg_latin1_view(PyTuple_GET_ITEM(pair, 1), "header value", &ignored) <
            0) {
        return NULL;
    }
    return py_take(&pair);
}

/* A new reference: the list itself when it is plain, else a copy. */
static PyObject *
plain_headers(PyObject *headers)
{
    py_auto *still = PyList_CheckExact(headers) ? py_list_still(headers) : NULL;
    if (still != NULL && is_plain(still)) {
        return py_take(&still);
    }
    py_auto *it = PyObject_GetIter(headers);
    py_auto *list = it != NULL ? PyList_New(0) : NULL;
    while (list != NULL) {
        py_auto *item = PyIter_Next(it);
        py_auto *pair = item != NULL ? copy_pair(item) : NULL;
        if (item == NULL && !PyErr_Occurred()) {
            return py_take(&list);
        }
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            return NULL;
        }
    }
    return NULL;
}

static struct cg_slice
view(PyObject *latin1)
{
    return (struct cg_slice){(const char *)PyUnicode_1BYTE_DATA(latin1),
                             (size_t)PyUnicode_GET_LENGTH(latin1)};
}

/* The name may be shown, the value may be a peer's or a secret. */
static int
add_headers(ReplyObject *x, PyObject *list)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *pair = PyList_GET_ITEM(list, i); /* nothing runs here */
        struct cg_slice name = view(PyTuple_GET_ITEM(pair, 0));
        struct cg_slice value = view(PyTuple_GET_ITEM(pair, 1));
        if (cg_exchange_field(x->ex, name, value) < 0) {
            py_auto *shown = py_tuple_get(pair, 0);
            return fault(x, shown);
        }
    }
    return 0;
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
    if (!PyExceptionInstance_Check(value)) { /* CPython takes our word for it */
        PyErr_SetString(PyExc_TypeError, "exc_info holds no exception");
        return -1;
    }
    if (traceback != Py_None &&
        PyException_SetTraceback(value, traceback) < 0) {
        return -1;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(value), value);
    return -1;
}

static inline int
may_start(ReplyObject *x, PyObject *exc_info)
{
    if (x->ex == NULL || x->over) {
        PyErr_SetString(PyExc_ValueError,
                        "start_response called after the end of its request");
        return -1;
    }
    if (exc_info != NULL && exc_info != Py_None) {
        return x->ex->writer->headed ? reraise(exc_info) : 0;
    }
    if (x->ex->writer->started) {
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

static PyObject *
start(ReplyObject *x, PyObject *status, PyObject *headers, PyObject *exc_info)
{
    struct cg_slice line;
    py_held(x);
    if (may_start(x, exc_info) < 0) {
        return NULL;
    }
    py_auto *list = plain_headers(headers);
    if (list == NULL || cg_latin1_view(status, "status", &line) < 0 ||
        (list != headers && may_start(x, exc_info) < 0)) {
        return NULL;
    }
    /* from here on nothing runs but what shows a fault */
    if (cg_exchange_start(x->ex, line) < 0) {
        fault(x, status);
        return NULL;
    }
    return add_headers(x, list) == 0 ? py_new(x->write) : NULL;
}

static PyObject *
start_response(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    ReplyObject *x = (ReplyObject *)self;
    PyObject *argv[3] = {/* the caller's for the call */
                         nargs > 0 ? args[0] : NULL, nargs > 1 ? args[1] : NULL,
                         nargs > 2 ? args[2] : NULL};
    if (kwnames != NULL && keyword_arguments(args, nargs, kwnames, argv) < 0) {
        return NULL;
    }
    if (nargs > 3 || argv[0] == NULL || argv[1] == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "start_response(status, headers, exc_info=None)");
        return NULL;
    }
    return start(x, argv[0], argv[1], argv[2]);
}

/* ---- sending ---- */

static int
check_started(const ReplyObject *x)
{
    const struct cg_writer *w = x->ex->writer;
    if (w->started || w->headed) {
        return 0;
    }
    PyErr_SetString(PyExc_AssertionError,
                    "the application did not call start_response");
    return -1;
}

/* Whoever waits in there has the exchange, without the GIL. */
static void
wait_blocking(ReplyObject *x, struct cg_exchange *ex, int *ret)
{
    x->draining = true;
    cg_saw_given(x);
    Py_BEGIN_ALLOW_THREADS CG_HAS_NO_GIL();
    *ret = cg_exchange_drain(ex, LOW_WATER);
    Py_END_ALLOW_THREADS cg_saw_taken(x);
    x->draining = false;
}

void
cg_wsgi_reply_wait_turn(ReplyObject *x)
{
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    while (x->draining) {
        cg_saw_given(x);
        Py_BEGIN_ALLOW_THREADS nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS cg_saw_taken(x);
    }
}

static int
raise_ended(void)
{
    PyErr_SetString(PyExc_ValueError,
                    "write called after the end of its request");
    return -1;
}

/* The one place that waits for a slow reader: without the GIL, or letting other
 * requests of the thread go on. -1 with an exception. */
static int
wait_for_reader(ReplyObject *x)
{
    struct cg_py_loop *loop = x->o->loop;
    struct cg_exchange *ex = x->ex;
    bool parks = cg_py_loop_parks(loop);
    int r = 0;
    if (!parks) {
        wait_blocking(x, ex, &r);
    }
    while (parks && (r = cg_exchange_await_room(ex, LOW_WATER)) == 0) {
        if (cg_py_loop_park(loop, ex) < 0) {
            return -1;
        }
        if (x->ex != ex) { /* its request ended meanwhile */
            return raise_ended();
        }
    }
    x->failed = x->failed || r < 0;
    return 0;
}

static size_t
high_water(const ReplyObject *x)
{
    size_t bytes = x->o->high_water;
    return bytes != 0 ? bytes : HIGH_WATER;
}

int
cg_wsgi_reply_item(ReplyObject *x, PyObject *item, bool last)
{
    if (!PyBytes_Check(item)) {
        PyErr_Format(PyExc_TypeError,
                     "the application must return bytes, not %.200s",
                     Py_TYPE(item)->tp_name);
        return -1;
    }
    size_t n = (size_t)PyBytes_GET_SIZE(item);
    if (n == 0) {
        return 0; /* no head before the first byte (PEP 3333) */
    }
    py_held(x);
    cg_wsgi_reply_turn(x);
    if (x->ex == NULL) {
        return raise_ended();
    }
    if (check_started(x) < 0) {
        return -1;
    }
    /* the end of a subclass's object may run code, wherever that comes */
    PyObject *keep = PyBytes_CheckExact(item) ? item : NULL;
    int r =
        cg_exchange_body(x->ex, PyBytes_AS_STRING(item), n,
                         last && x->trailers == NULL ? CG_LAST : CG_MORE, keep);
    x->failed = x->failed || r < 0;
    x->enough = r > 0;
    return last || r != 0 || cg_exchange_pending(x->ex) <= high_water(x)
               ? 0
               : wait_for_reader(x);
}

static PyObject *
write_body(PyObject *self, PyObject *data)
{
    ReplyObject *x = (ReplyObject *)self;
    py_held(x);
    if (x->ex == NULL || x->over) {
        raise_ended();
        return NULL;
    }
    if (cg_wsgi_reply_item(x, data, false) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static void
log_short(ReplyObject *x)
{
    struct cg_exchange *ex = x->ex;
    cg_auto(buf) struct cg_buf path = {0};
    cg_buf_put_escaped(&path, cg_span_of(ex->base, ex->req->target), 200);
    cg_log_line(x->o->log, CG_ERROR,
                "Response to %.*s is shorter than its Content-Length (%llu of "
                "%llu bytes): closing the connection",
                (int)path.n, path.p, (unsigned long long)ex->sent,
                (unsigned long long)ex->writer->reply.length);
}

void
cg_wsgi_reply_drop_trailers(ReplyObject *x)
{
    if (x->trailers != NULL) {
        cg_fields_release(x->trailers);
        free(x->trailers);
        x->trailers = NULL;
    }
}

static int
say_end(ReplyObject *x)
{
    return x->trailers == NULL ? cg_exchange_body(x->ex, NULL, 0, CG_LAST, NULL)
                               : cg_exchange_trailers(x->ex, x->trailers);
}

int
cg_wsgi_reply_end(ReplyObject *x)
{
    const struct cg_writer *w = x->ex->writer;
    py_held(x);
    cg_wsgi_reply_turn(x);
    if (check_started(x) < 0) {
        return -1;
    }
    if (!w->ended && say_end(x) < 0) {
        x->failed = true;
    }
    if (w->misfit == CG_TOO_SHORT && !x->failed) {
        log_short(x);
    }
    return 0;
}

/* ---- the object and its methods ---- */

static PyMethodDef start_response_def = {
    "start_response", (PyCFunction)(void *)start_response,
    METH_FASTCALL | METH_KEYWORDS,
    "start_response(status, headers, exc_info=None) -> write (PEP 3333)"};
static PyMethodDef write_def = {"write", write_body, METH_O,
                                "write(bytes): sends a part of the body"};
static PyMethodDef early_hints_def = {
    "early_hints", cg_early_hints, METH_O,
    "early_hints([(name, value), ...]): sends a 103"};
static PyMethodDef send_trailers_def = {
    "send_trailers", cg_send_trailers, METH_O,
    "send_trailers([(name, value), ...]): fields behind the body"};

PyObject *
cg_wsgi_reply_new(PyTypeObject *type, const struct cg_wsgi_options *o)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((ReplyObject *)self)->o = o;
    }
    return self;
}

PyObject *
cg_wsgi_reply_method(PyObject *reply, enum cg_wsgi_reply_method method)
{
    PyMethodDef *const defs[] = {
        [CG_REPLY_START_RESPONSE] = &start_response_def,
        [CG_REPLY_WRITE] = &write_def,
        [CG_REPLY_EARLY_HINTS] = &early_hints_def,
        [CG_REPLY_SEND_TRAILERS] = &send_trailers_def,
    };
    return PyCFunction_New(defs[method], reply);
}

static void
Reply_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    cg_wsgi_reply_drop_trailers((ReplyObject *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot Reply_slots[] = {
    {Py_tp_doc, (void *)(size_t) "what start_response and write are bound to"},
    {Py_tp_dealloc, Reply_dealloc},
    {0, NULL}};

PyType_Spec cg_wsgi_reply_spec = {
    .name = "cgunicorn.Reply",
    .basicsize = sizeof(ReplyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Reply_slots,
};
