/* SPDX-License-Identifier: MIT */
/*
 * send(): the application's messages become the reply of its exchange. It acts
 * when it is called, and returns something to await only because the protocol
 * says so: mostly there is nothing to wait for.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/asgi/internal.h"

PyObject *
cg_send_done(struct cg_asgi *a)
{
    return py_new(a->done_awaitable);
}

PyObject *
cg_message_get(const struct cg_asgi *a, PyObject *message, enum word key)
{
    return py_dict_get(message, word(a, key));
}

/* ---- whether there is something to be answered ---- */

/*
 * What a message holds may run code of the application's when it is read: keys
 * that are compared, a number's __index__, an iterable, a buffer. It may call
 * send() as well. So a message is read first, then this is asked, and nothing
 * runs from there to the end of what is done with the exchange.
 */
static bool
is_over(const RequestObject *r)
{
    return r->ex == NULL || r->reply == REPLY_COMPLETE || r->gone_us != 0;
}

static int
raise_over(const RequestObject *r, PyObject *type)
{
    if (r->gone_us != 0) {
        PyErr_SetString(r->asgi->gone_error, "the client has disconnected");
    } else {
        PyErr_Format(PyExc_RuntimeError, "%U after the response was complete",
                     type);
    }
    return -1;
}

/* ---- what a message says ---- */

/* The bytes of a bytes object, borrowed from it. */
static struct cg_slice
bytes_view(PyObject *bytes)
{
    return (struct cg_slice){PyBytes_AS_STRING(bytes),
                             (size_t)PyBytes_GET_SIZE(bytes)};
}

/* 1, 0, or -1 with an exception; `without` when it says nothing. */
static int
get_flag(const struct cg_asgi *a, PyObject *message, enum word key, int without)
{
    py_auto *value = cg_message_get(a, message, key);
    if (value == NULL) {
        return PyErr_Occurred() ? -1 : without;
    }
    return PyObject_IsTrue(value);
}

/* 100 to 999, or -1 with an exception. */
static int
get_status(const struct cg_asgi *a, PyObject *message, long least)
{
    py_auto *value = cg_message_get(a, message, W_status);
    if (value == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "message %R has no 'status'",
                         message);
        }
        return -1;
    }
    py_auto *number = PyNumber_Index(value); /* HTTPStatus is an int */
    long status = number != NULL ? PyLong_AsLong(number) : -1;
    if (status < least || status > 999) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError,
                     "'status' is %R, not an integer from "
                     "%ld to 999",
                     value, least);
        return -1;
    }
    return (int)status;
}

/* ---- fields ---- */

/* Whether reading it runs nothing of the application's. */
static bool
is_plain_pair(PyObject *item)
{
    return PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2 &&
           PyBytes_CheckExact(PyTuple_GET_ITEM(item, 0)) &&
           PyBytes_CheckExact(PyTuple_GET_ITEM(item, 1));
}

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

static PyObject *
copy_pair(PyObject *item)
{
    py_auto *pair = PySequence_Tuple(item);
    if (pair == NULL || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_TypeError,
                     "'headers' has (name, value) pairs, not %R", item);
        return NULL;
    }
    PyObject *name = PyTuple_GET_ITEM(pair, 0); /* the pair's */
    PyObject *value = PyTuple_GET_ITEM(pair, 1);
    if (!PyBytes_Check(name) || !PyBytes_Check(value)) {
        PyErr_Format(PyExc_TypeError,
                     "'headers': name and value are bytes, not %R and %.200s",
                     name, Py_TYPE(value)->tp_name);
        return NULL;
    }
    return py_take(&pair);
}

static PyObject *
copy_headers(PyObject *headers)
{
    py_auto *it = PyObject_GetIter(headers);
    py_auto *list = it != NULL ? PyList_New(0) : NULL;
    if (it == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "'headers' has to be an iterable of pairs");
    }
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

PyObject *
cg_message_fields(const struct cg_asgi *a, PyObject *message)
{
    py_auto *headers = cg_message_get(a, message, W_headers);
    if (headers == NULL) {
        return PyErr_Occurred() ? NULL : PyList_New(0);
    }
    py_auto *still = PyList_CheckExact(headers) ? py_list_still(headers) : NULL;
    return still != NULL && is_plain(still) ? py_take(&still)
                                            : copy_headers(headers);
}

/* Takes one field; NULL, or what is wrong with it. Runs nothing. */
typedef const char *(*add_field_fn)(void *to, struct cg_slice name,
                                    struct cg_slice value);

/* All fields of cg_message_fields. NULL, or what is wrong: then *ret_name is
 * the name of which, the caller's. The value may be a peer's or a secret, so it
 * is not shown. */
static const char *
add_fields(PyObject *fields, add_field_fn add, void *to, PyObject **ret_name)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(fields); i++) {
        PyObject *pair = PyList_GET_ITEM(fields, i); /* nothing runs here */
        PyObject *name = PyTuple_GET_ITEM(pair, 0);
        const char *fault =
            add(to, bytes_view(name), bytes_view(PyTuple_GET_ITEM(pair, 1)));
        if (fault != NULL) {
            *ret_name = py_new(name);
            return fault;
        }
    }
    return NULL;
}

int
cg_raise_bad_field(const char *fault, PyObject *name)
{
    PyErr_Format(PyExc_ValueError, "'headers': %s: %R", fault, name);
    return -1;
}

/* A field of the reply's head. */
static const char *
add_header(void *to, struct cg_slice n, struct cg_slice v)
{
    RequestObject *r = to;
    if (cg_exchange_field(r->ex, n, v) < 0) {
        return r->ex->writer->reply.fault;
    }
    if (n.n == 12 && strncasecmp(n.p, "content-type", 12) == 0) {
        r->is_events =
            v.n >= 17 && strncasecmp(v.p, "text/event-stream", 17) == 0;
    }
    return NULL;
}

const char *
cg_send_fields(RequestObject *r, PyObject *fields, PyObject **ret_name)
{
    return add_fields(fields, add_header, r, ret_name);
}

/* ---- http.response.start ---- */

static int
begin_reply(RequestObject *r, int status)
{
    const char text[3] = {(char)('0' + status / 100),
                          (char)('0' + status / 10 % 10),
                          (char)('0' + status % 10)};
    if (cg_exchange_start(r->ex, (struct cg_slice){text, sizeof text}) < 0) {
        PyErr_Format(PyExc_ValueError, "'status': %s",
                     r->ex->writer->reply.fault);
        return -1;
    }
    return 0;
}

static int
check_new(const RequestObject *r, PyObject *type)
{
    if (is_over(r)) {
        return raise_over(r, type);
    }
    if (r->reply != REPLY_NONE) {
        PyErr_SetString(PyExc_RuntimeError,
                        "http.response.start: the response has started "
                        "already");
        return -1;
    }
    return 0;
}

static PyObject *
send_start(RequestObject *r, PyObject *message, PyObject *type)
{
    struct cg_asgi *a = r->asgi;
    int status = get_status(a, message, 200);
    int trailers = status > 0 ? get_flag(a, message, W_trailers, 0) : -1;
    py_auto *fields = trailers >= 0 ? cg_message_fields(a, message) : NULL;
    py_auto *name = NULL;
    if (fields == NULL || check_new(r, type) < 0 ||
        begin_reply(r, status) < 0) {
        return NULL;
    }
    const char *fault = cg_send_fields(r, fields, &name);
    if (fault != NULL) {
        cg_writer_forget(r->ex->writer); /* before anything is shown of it */
        cg_raise_bad_field(fault, name);
        return NULL;
    }
    r->wants_trailers = trailers > 0;
    r->ex->trails = r->wants_trailers && r->takes_trailers;
    r->reply = REPLY_STARTED;
    return cg_send_done(a);
}

/* ---- http.response.body ---- */

static int
check_started(const RequestObject *r, PyObject *type)
{
    if (is_over(r)) {
        return raise_over(r, type);
    }
    if (r->reply == REPLY_NONE) {
        PyErr_Format(PyExc_RuntimeError, "%U before http.response.start", type);
        return -1;
    }
    if (r->reply >= REPLY_TRAILERS) {
        PyErr_Format(PyExc_RuntimeError, "%U after the end of the body", type);
        return -1;
    }
    return 0;
}

static void
complete(RequestObject *r)
{
    r->reply = REPLY_COMPLETE;
    r->posted = false;
    cg_asgi_give_back(r);
}

/* The client is gone: what send() raises now and from now on. */
static PyObject *
raise_gone(RequestObject *r)
{
    PyErr_SetString(r->asgi->gone_error, "the client has disconnected");
    return NULL;
}

/* 0; 1: it is the last that is of any use; -1 with an exception. */
static int
give_body(RequestObject *r, const char *p, size_t n, enum cg_more more,
          PyObject *keep)
{
    struct cg_exchange *ex = r->ex;
    int e = cg_exchange_body(ex, p, n, more, keep);
    r->reply = REPLY_BODY;
    r->posted = more == CG_MORE;
    if (e < 0) {
        cg_asgi_gone(r);
        raise_gone(r);
        return -1;
    }
    if (ex->writer->misfit == CG_TOO_LONG) {
        PyErr_Format(PyExc_RuntimeError,
                     "the response is longer than its Content-Length (%llu)",
                     (unsigned long long)ex->writer->reply.length);
        return -1;
    }
    return e;
}

/* A part of the body that more will follow. */
static PyObject *
after_part(RequestObject *r)
{
    if (r->ex == NULL) {
        return cg_send_done(r->asgi);
    }
    /* of another task nobody tells when it sleeps; and sending ended the
     * engine's watch */
    if (!r->in_step || r->input_waiter != NULL || r->left) {
        cg_asgi_watch(r);
    }
    return r->ex != NULL && cg_exchange_pending(r->ex) > ROOM_HIGH
               ? cg_wait_for_room(r)
               : cg_send_done(r->asgi);
}

static PyObject *
send_bytes(RequestObject *r, const char *p, size_t n, bool more, PyObject *keep)
{
    bool last = !more && !r->wants_trailers;
    if (give_body(r, p, n, last ? CG_LAST : CG_MORE, keep) < 0) {
        return NULL;
    }
    if (last) {
        complete(r);
        return cg_send_done(r->asgi);
    }
    if (!more) {
        r->reply = REPLY_TRAILERS;
    }
    return after_part(r);
}

/* Of whatever has bytes; they stay where they are while we have the view. */
static PyObject *
send_buffer(RequestObject *r, PyObject *body, bool more, PyObject *type)
{
    Py_buffer view;
    if (PyUnicode_Check(body) ||
        PyObject_GetBuffer(body, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, "'body' is bytes, not %.200s",
                     Py_TYPE(body)->tp_name);
        return NULL;
    }
    PyObject *sent = check_started(r, type) == 0
                         ? send_bytes(r, view.buf, (size_t)view.len, more, NULL)
                         : NULL;
    PyBuffer_Release(&view);
    return sent;
}

static PyObject *
send_body(RequestObject *r, PyObject *message, PyObject *type)
{
    struct cg_asgi *a = r->asgi;
    int more = get_flag(a, message, W_more_body, 0);
    py_auto *body = more >= 0 ? cg_message_get(a, message, W_body) : NULL;
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (body == NULL || PyBytes_CheckExact(body)) {
        struct cg_slice s = body != NULL ? bytes_view(body) : CG_SLICE("");
        return check_started(r, type) == 0
                   ? send_bytes(r, s.p, s.n, more > 0, body)
                   : NULL;
    }
    return send_buffer(r, body, more > 0, type);
}
/* ---- http.response.pathsend ---- */

static int
open_file(PyObject *path, size_t *ret_n)
{
    py_auto *name = NULL;
    PyObject *bytes = NULL;
    if (!PyUnicode_FSConverter(path, &bytes)) {
        return -1;
    }
    name = bytes;
    struct stat st;
    int fd = open(PyBytes_AS_STRING(name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        cg_fd_close(&fd);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        PyErr_Format(PyExc_ValueError, "'path' is no regular file: %R", path);
        cg_fd_close(&fd);
        return -1;
    }
    *ret_n = (size_t)st.st_size;
    return fd;
}

static PyObject *
send_path(RequestObject *r, PyObject *message, PyObject *type)
{
    size_t n = 0;
    py_auto *path = cg_message_get(r->asgi, message, W_path);
    if (path == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError,
                            "http.response.pathsend has no 'path'");
        }
        return NULL;
    }
    cg_auto(fd_close) int fd = open_file(path, &n);
    if (fd < 0 || check_started(r, type) < 0) {
        return NULL;
    }
    if (r->reply == REPLY_BODY) {
        PyErr_SetString(PyExc_ValueError,
                        "http.response.pathsend is all of a body");
        return NULL;
    }
    if (cg_exchange_file(r->ex, fd, 0, n) < 0) {
        cg_asgi_gone(r);
        return raise_gone(r);
    }
    complete(r);
    return cg_send_done(r->asgi);
}

/* ---- trailers and interim responses ---- */

static const char *
add_trailer(void *to, struct cg_slice n, struct cg_slice v)
{
    struct cg_fields *fields = to;
    return cg_fields_add(fields, n, v, true) < 0 ? fields->fault : NULL;
}

static const char *
add_interim(void *to, struct cg_slice n, struct cg_slice v)
{
    struct cg_fields *fields = to;
    return cg_fields_add(fields, n, v, false) < 0 ? fields->fault : NULL;
}

/* The fields of a message; -1 with an exception. */
static int
gather_fields(struct cg_fields *to, PyObject *fields, add_field_fn add)
{
    py_auto *name = NULL;
    const char *fault = add_fields(fields, add, to, &name);
    return fault == NULL ? 0 : cg_raise_bad_field(fault, name);
}

static int
check_trailers(const RequestObject *r, PyObject *type)
{
    if (is_over(r)) {
        return raise_over(r, type);
    }
    if (r->reply != REPLY_TRAILERS) {
        PyErr_SetString(PyExc_RuntimeError,
                        "http.response.trailers without 'trailers' in "
                        "http.response.start, or before the end of the body");
        return -1;
    }
    return 0;
}

static PyObject *
send_trailers(RequestObject *r, PyObject *message, PyObject *type)
{
    struct cg_asgi *a = r->asgi;
    int more = get_flag(a, message, W_more_trailers, 0);
    py_auto *fields = more >= 0 ? cg_message_fields(a, message) : NULL;
    if (fields == NULL || check_trailers(r, type) < 0 ||
        gather_fields(&r->trailers, fields, add_trailer) < 0) {
        return NULL;
    }
    if (more > 0) {
        return cg_send_done(a);
    }
    if (!r->takes_trailers) {
        cg_fields_release(&r->trailers);
    }
    int e = cg_exchange_trailers(r->ex, &r->trailers);
    cg_fields_release(&r->trailers);
    if (e < 0) {
        cg_asgi_gone(r);
        return raise_gone(r);
    }
    complete(r);
    return cg_send_done(a);
}

static PyObject *
inform(RequestObject *r, int status, struct cg_fields *fields, PyObject *type)
{
    if (is_over(r)) {
        raise_over(r, type);
        return NULL;
    }
    int e = r->reply <= REPLY_STARTED
                ? cg_exchange_inform(r->ex, status, fields)
                : 0;
    if (e < 0) {
        cg_asgi_gone(r);
        return raise_gone(r);
    }
    return cg_send_done(r->asgi);
}

static PyObject *
links_of(PyObject *links)
{
    PyObject *items = PySequence_Tuple(links);
    if (items == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_SetString(PyExc_TypeError,
                        "'links' has to be an iterable of bytes");
    }
    return items;
}

static int
gather_links(struct cg_fields *to, PyObject *links)
{
    py_auto *list = links != NULL ? links_of(links) : NULL;
    if (links == NULL && !PyErr_Occurred()) {
        return 0;
    }
    for (Py_ssize_t i = 0; list != NULL && i < PyTuple_GET_SIZE(list); i++) {
        py_auto *link = py_tuple_get(list, i);
        if (!PyBytes_Check(link)) {
            PyErr_Format(PyExc_TypeError, "'links' has bytes, not %R", link);
            return -1;
        }
        if (cg_fields_add(to, CG_SLICE("Link"), bytes_view(link), false) < 0) {
            PyErr_Format(PyExc_ValueError, "'links': %s", to->fault);
            return -1;
        }
    }
    return list != NULL ? 0 : -1;
}

static PyObject *
send_hint(RequestObject *r, PyObject *message, PyObject *type)
{
    struct cg_fields fields = {0};
    py_auto *links = cg_message_get(r->asgi, message, W_links);
    PyObject *sent = gather_links(&fields, links) == 0
                         ? inform(r, 103, &fields, type)
                         : NULL;
    cg_fields_release(&fields);
    return sent;
}

/* gunicorn's own: {status, headers}, 100 to 199 but 101. */
static PyObject *
send_informational(RequestObject *r, PyObject *message, PyObject *type)
{
    struct cg_fields fields = {0};
    int status = get_status(r->asgi, message, 100);
    if (status < 0) {
        return NULL;
    }
    if (status > 199 || status == 101) {
        PyErr_Format(PyExc_ValueError,
                     "'status' is %d, not one of an interim response", status);
        return NULL;
    }
    py_auto *list = cg_message_fields(r->asgi, message);
    if (list == NULL) {
        return NULL;
    }
    if (!is_over(r) && r->reply != REPLY_NONE) {
        PyErr_SetString(PyExc_RuntimeError, "http.response.informational after "
                                            "http.response.start");
        return NULL;
    }
    PyObject *sent = gather_fields(&fields, list, add_interim) == 0
                         ? inform(r, status, &fields, type)
                         : NULL;
    cg_fields_release(&fields);
    return sent;
}

/* ---- all of it ---- */

static PyObject *
unexpected(PyObject *type)
{
    PyErr_Format(PyExc_ValueError, "no message of a response has the type %R",
                 type);
    return NULL;
}

PyObject *
cg_send_http(RequestObject *r, PyObject *message, PyObject *type)
{
    if (is_over(r)) {
        raise_over(r, type);
        return NULL;
    }
    if (cg_is_type(type, "http.response.body")) {
        return send_body(r, message, type);
    }
    if (cg_is_type(type, "http.response.start")) {
        return send_start(r, message, type);
    }
    if (cg_is_type(type, "http.response.pathsend")) {
        return send_path(r, message, type);
    }
    if (cg_is_type(type, "http.response.trailers")) {
        return send_trailers(r, message, type);
    }
    if (cg_is_type(type, "http.response.early_hint")) {
        return send_hint(r, message, type);
    }
    return cg_is_type(type, "http.response.informational")
               ? send_informational(r, message, type)
               : unexpected(type);
}

static PyObject *
send_message(RequestObject *r, PyObject *message)
{
    if (r->asgi->closed) {
        PyErr_SetString(PyExc_RuntimeError, "the server has stopped");
        return NULL;
    }
    if (!PyDict_Check(message)) {
        PyErr_Format(PyExc_TypeError, "send() takes a dict, not %.200s",
                     Py_TYPE(message)->tp_name);
        return NULL;
    }
    py_auto *type = cg_message_get(r->asgi, message, W_type);
    if (type == NULL || !PyUnicode_Check(type)) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "message %R has no 'type'", message);
        }
        return NULL;
    }
    return r->ws != NULL ? cg_websocket_send(r, message, type)
                         : cg_send_http(r, message, type);
}

PyObject *
cg_send_call(PyObject *self, PyObject *const *args, size_t nargsf,
             PyObject *kwnames)
{
    if (!cg_asgi_is_here(((RequestObject *)self)->asgi)) {
        return NULL;
    }
    Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    Py_ssize_t nkw = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    bool by_name = n == 0 && nkw == 1 &&
                   cg_is_type(PyTuple_GET_ITEM(kwnames, 0), "message");
    if (!by_name && (n != 1 || nkw != 0)) {
        PyErr_SetString(PyExc_TypeError, "send() takes one message");
        return NULL;
    }
    return send_message((RequestObject *)self, args[0]);
}
