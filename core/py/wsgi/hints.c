/* SPDX-License-Identifier: MIT */
/*
 * wsgi.early_hints (gunicorn 25): a 103 with fields for the client to work on
 * while the application does. Silent where a 103 has no place: behind the head
 * of the reply, and for HTTP/1.0. Fields are checked as those of a reply.
 *
 * gunicorn.http2.send_trailers (gunicorn 25): fields that leave behind the
 * body, over HTTP/2. Those of several calls are sent together.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/py/runtime/held.h"
#include "core/py/wsgi/reply.h"

/* gunicorn takes bytes here, too. */
static int
view(PyObject *o, const char *what, struct cg_slice *ret)
{
    if (PyBytes_Check(o)) {
        *ret = (struct cg_slice){PyBytes_AS_STRING(o),
                                 (size_t)PyBytes_GET_SIZE(o)};
        return 0;
    }
    return cg_latin1_view(o, what, ret);
}

static int
add_pair(struct cg_fields *fields, PyObject *item, bool trailer)
{
    py_auto *pair = PySequence_Tuple(item);
    if (pair == NULL || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError,
                     "a header must be a (name, value) tuple, not %R", item);
        return -1;
    }
    py_auto *name = py_tuple_get(pair, 0);
    py_auto *value = py_tuple_get(pair, 1);
    struct cg_slice n, v;
    if (view(name, "header name", &n) < 0 ||
        view(value, "header value", &v) < 0) {
        return -1;
    }
    if (cg_fields_add(fields, n, v, trailer) < 0) {
        PyErr_Format(PyExc_ValueError, "%s: %R", fields->fault, name);
        return -1;
    }
    return 0;
}

/* Copies what it is given: the iterable may run anything. */
static int
add_pairs(struct cg_fields *fields, PyObject *headers, bool trailer)
{
    py_auto *it = PyObject_GetIter(headers);
    while (it != NULL) {
        py_auto *item = PyIter_Next(it);
        if (item == NULL) {
            break;
        }
        if (add_pair(fields, item, trailer) < 0) {
            return -1;
        }
    }
    return PyErr_Occurred() ? -1 : 0;
}

static bool
takes_hints(ReplyObject *x)
{
    py_held(x);
    return x->ex != NULL && !x->ex->writer->headed && x->ex->req->minor != 0;
}

static void
inform(ReplyObject *x, const struct cg_fields *fields)
{
    py_held(x);
    cg_wsgi_reply_turn(x);
    if (x->ex != NULL && !x->over &&
        cg_exchange_inform(x->ex, 103, fields) < 0) {
        x->failed = true;
    }
}

PyObject *
cg_early_hints(PyObject *self, PyObject *headers)
{
    ReplyObject *x = (ReplyObject *)self;
    struct cg_fields fields = {0};
    if (!takes_hints(x)) {
        Py_RETURN_NONE;
    }
    int r = add_pairs(&fields, headers, false);
    if (r == 0) {
        inform(x, &fields);
    }
    cg_fields_release(&fields);
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* A call that fails leaves what earlier ones gave. */
static int
join(ReplyObject *x, const struct cg_fields *fields)
{
    py_held(x);
    cg_wsgi_reply_turn(x);
    if (x->ex == NULL || x->over || x->ex->writer->ended) {
        PyErr_SetString(PyExc_ValueError,
                        "send_trailers called after the end of the body");
        return -1;
    }
    if (x->trailers == NULL) {
        x->trailers = cg_calloc(1, sizeof *x->trailers);
        x->ex->trails = true;
    }
    cg_buf_put(&x->trailers->text, fields->text.p, fields->text.n);
    return 0;
}

PyObject *
cg_send_trailers(PyObject *self, PyObject *trailers)
{
    struct cg_fields fields = {0};
    int r = add_pairs(&fields, trailers, true);
    r = r == 0 ? join((ReplyObject *)self, &fields) : r;
    cg_fields_release(&fields);
    if (r < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
