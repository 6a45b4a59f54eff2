/* SPDX-License-Identifier: MIT */
/* Running the application for one exchange. */
#include "core/py/wsgi/wsgi.h"
#include "core/py/runtime/gil.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/logger.h"
#include "core/py/loops/host_loop.h"
#include "core/py/wsgi/internal.h"

/* ---- the bridge ---- */

static int
init(struct cg_wsgi *w)
{
    w->app = py_new(cg_app_callable(w->o->app));
    return cg_late_init(w) < 0 || cg_wsgi_types_init(w) < 0
               ? -1
               : cg_environ_init(w);
}

int
cg_wsgi_new(const struct cg_wsgi_options *options, struct cg_wsgi **ret,
            struct cg_error *err)
{
    struct cg_wsgi *w = cg_calloc(1, sizeof *w);
    w->o = options;
    w->pid = (int)getpid();
    if (init(w) < 0) {
        int r = cg_py_error(err, NULL);
        cg_wsgi_free(w);
        return r < 0 ? r : -1;
    }
    cg_py_logger_settle(); /* the application may have changed loggers */
    w->python_access = cg_py_logger_takes_access();
    cg_py_logger_defer(true);
    *ret = w;
    return 0;
}

static void
release_kit(struct cg_kit *kit)
{
    Py_CLEAR(kit->early_hints);
    Py_CLEAR(kit->socket);
    Py_CLEAR(kit->write);
    Py_CLEAR(kit->start_response);
    Py_CLEAR(kit->exchange);
}

void
cg_wsgi_free(struct cg_wsgi *w)
{
    if (w == NULL) {
        return;
    }
    cg_py_logger_defer(false);
    while (w->nkits > 0) {
        release_kit(&w->kits[--w->nkits]);
    }
    cg_environ_release(w);
    cg_late_release(w);
    PyTypeObject *const types[] = {w->exchange_type, w->file_type,
                                   w->errors_type, w->socket_type};
    for (size_t i = 0; i < CG_COUNT(types); i++) {
        Py_XDECREF((PyObject *)types[i]);
    }
    Py_XDECREF(w->app);
    free(w);
}

void
cg_wsgi_hold(void *unused, void *keep)
{
    CG_HAS_GIL();
    Py_INCREF((PyObject *)keep);
}

void
cg_wsgi_drop(void *unused, void *keep)
{
    CG_HAS_GIL();
    Py_DECREF((PyObject *)keep);
}

/* ---- the kit: exchange object and bound methods, reused when free ---- */

static PyMethodDef start_response_def = {
    "start_response", (PyCFunction)(void *)cg_start_response,
    METH_FASTCALL | METH_KEYWORDS,
    "start_response(status, headers, exc_info=None) -> write (PEP 3333)"};
static PyMethodDef write_def = {"write", cg_write, METH_O,
                                "write(bytes): sends a part of the body"};
static PyMethodDef early_hints_def = {
    "early_hints", cg_early_hints, METH_O,
    "early_hints([(name, value), ...]): sends a 103"};

static int
make_kit(struct cg_wsgi *w, struct cg_kit *kit)
{
    kit->exchange = w->exchange_type->tp_alloc(w->exchange_type, 0);
    if (kit->exchange == NULL) {
        return -1;
    }
    ((ExchangeObject *)kit->exchange)->wsgi = w;
    kit->start_response = PyCFunction_New(&start_response_def, kit->exchange);
    kit->write = PyCFunction_New(&write_def, kit->exchange);
    kit->early_hints = PyCFunction_New(&early_hints_def, kit->exchange);
    kit->socket = cg_socket_new(w, (ExchangeObject *)kit->exchange);
    if (kit->start_response == NULL || kit->write == NULL ||
        kit->early_hints == NULL || kit->socket == NULL) {
        release_kit(kit);
        return -1;
    }
    return 0;
}

static int
take_kit(struct cg_wsgi *w, struct cg_kit *kit)
{
    if (w->nkits == 0) {
        return make_kit(w, kit);
    }
    *kit = w->kits[--w->nkits];
    return 0;
}

/* Nobody but the kit holds its objects: the methods hold the exchange. */
static bool
is_free(const struct cg_kit *kit)
{
    return Py_REFCNT(kit->exchange) == 5 && Py_REFCNT(kit->socket) == 1 &&
           cg_socket_is_fresh(kit->socket) &&
           Py_REFCNT(kit->start_response) == 1 && Py_REFCNT(kit->write) == 1 &&
           Py_REFCNT(kit->early_hints) == 1;
}

static void
give_kit(struct cg_wsgi *w, struct cg_kit *kit)
{
    if (w->nkits < KITS && is_free(kit)) {
        w->kits[w->nkits++] = *kit;
    } else {
        release_kit(kit);
    }
}

static void
begin(ExchangeObject *x, struct cg_exchange *ex, const struct cg_kit *kit)
{
    x->ex = ex;
    x->write = kit->write;
    x->early_hints = kit->early_hints;
    x->socket = kit->socket;
    x->pos = 0;
    x->failed = x->enough = x->handled = x->over = false;
}

static void
end(ExchangeObject *x)
{
    if (x->ex->streaming) {
        cg_stream_release(x);
    }
    x->ex = NULL;
    x->write = x->early_hints = x->socket = NULL;
    cg_reply_turn(x);
    if (x->window != NULL || x->reading) {
        cg_input_release(x);
    }
}

ExchangeObject *
cg_kit_take(struct cg_wsgi *w, struct cg_exchange *ex, struct cg_kit *kit)
{
    if (take_kit(w, kit) < 0) {
        return NULL;
    }
    ExchangeObject *x = (ExchangeObject *)kit->exchange;
    begin(x, ex, kit);
    return x;
}

void
cg_kit_give(struct cg_wsgi *w, struct cg_kit *kit)
{
    end((ExchangeObject *)kit->exchange);
    give_kit(w, kit);
}

/* ---- the iterable ---- */

static bool
is_done(const ExchangeObject *x)
{
    return x->failed || x->enough;
}

static int
send_sequence(ExchangeObject *x, PyObject *seq)
{
    bool list = PyList_CheckExact(seq);
    for (Py_ssize_t i = 0; !is_done(x); i++) {
        Py_ssize_t n = list ? PyList_GET_SIZE(seq) : PyTuple_GET_SIZE(seq);
        if (i >= n) {
            break;
        }
        py_auto *item = list ? py_list_get(seq, i) : py_tuple_get(seq, i);
        if (cg_reply_item(x, item, i == n - 1) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
send_iterable(ExchangeObject *x, PyObject *iterable)
{
    py_auto *it = PyObject_GetIter(iterable);
    if (it == NULL) {
        return -1;
    }
    while (!is_done(x)) {
        py_auto *item = PyIter_Next(it);
        if (item == NULL) {
            return PyErr_Occurred() ? -1 : 0;
        }
        if (cg_reply_item(x, item, false) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
send_result(ExchangeObject *x, PyObject *result)
{
    if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
        return send_sequence(x, result);
    }
    if (PyObject_TypeCheck(result, x->wsgi->file_type)) {
        int r = cg_reply_file(x, result);
        if (r != 0) {
            return r < 0 ? -1 : 0;
        }
    }
    return send_iterable(x, result);
}

static int
respond(ExchangeObject *x, PyObject *result)
{
    if (result == NULL) {
        return -1;
    }
    if (result == Py_None) {
        PyErr_SetString(PyExc_TypeError, "the application returned None in "
                                         "place of an iterable of bytes");
        return -1;
    }
    if (send_result(x, result) < 0) {
        return -1;
    }
    return cg_reply_end(x);
}

static void
log_dropped(ExchangeObject *x, const struct cg_buf *path)
{
    const struct cg_exchange *ex = x->ex;
    char why[32] = "method (HEAD)";
    if (!ex->req->method_is_head) {
        snprintf(why, sizeof why, "status (%d)", ex->status);
    }
    cg_log_line(x->wsgi->o->log, CG_WARNING,
                "Response to %.*s has a body although its %s allows none: it "
                "was dropped",
                (int)path->n, path->p, why);
}

static void
log_overrun(ExchangeObject *x)
{
    const struct cg_exchange *ex = x->ex;
    cg_auto(buf) struct cg_buf path = {0};
    cg_buf_put_escaped(&path, cg_span_of(ex->base, ex->req->target), 200);
    if (ex->writer->misfit == CG_NOT_ASKED) {
        log_dropped(x, &path);
        return;
    }
    cg_log_line(x->wsgi->o->log, CG_ERROR,
                "Response to %.*s is longer than its Content-Length (%llu "
                "bytes): the rest was cut",
                (int)path.n, path.p,
                (unsigned long long)ex->writer->reply.length);
}

/* close() of the iterable: once, whatever happened (PEP 3333). */
static void
close_result(ExchangeObject *x, PyObject *result)
{
    if (result == NULL || PyList_CheckExact(result) ||
        PyTuple_CheckExact(result)) {
        return;
    }
    cg_late_spare(x);
    py_auto *close = PyObject_GetAttr(result, x->wsgi->k_close);
    if (close == NULL) {
        PyErr_Clear();
        return;
    }
    py_auto *done = PyObject_CallNoArgs(close);
    if (done == NULL) {
        cg_wsgi_log_exception(x, "Error closing the response to");
    }
}

/* ---- one request ---- */

static PyObject *
call_app(struct cg_wsgi *w, PyObject *env, PyObject *start_response)
{
    PyObject *args[3] = {NULL, env, start_response};
    py_auto *app = py_new(w->app); /* it may be replaced meanwhile */
    return PyObject_Vectorcall(app, args + 1,
                               2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

void
cg_wsgi_set_app(struct cg_wsgi *w, void *callable)
{
    CG_HAS_GIL();
    PyObject *app = py_new((PyObject *)callable);
    Py_SETREF(w->app, app);
}

static void
name_request(ExchangeObject *x)
{
    const struct cg_exchange *ex = x->ex;
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->method), 20);
    cg_buf_putc(&text, ' ');
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->path), 2000);
    cg_log_line(x->wsgi->o->log, CG_DEBUG, "%s", cg_buf_str(&text));
}

/* req of the request hooks, pre_request called; NULL with an exception. */
static PyObject *
hooked_request(struct cg_wsgi *w, ExchangeObject *x)
{
    py_auto *req = cg_request_object(x);
    if (req != NULL && w->o->pre_request && cg_call_pre_request(x, req) < 0) {
        return NULL;
    }
    return py_take(&req);
}

static PyObject *
make_environ(struct cg_wsgi *w, ExchangeObject *x, PyObject *req)
{
    py_auto *env = cg_environ_new(w, x);
    if (env != NULL && req != NULL && w->o->pre_request &&
        cg_environ_follow(x, env, req) < 0) {
        return NULL;
    }
    return py_take(&env);
}

/* As cg_exchange_abort, when no thread is in the middle of a write. */
static void
cut(ExchangeObject *x, int status, const char *message)
{
    cg_reply_turn(x);
    cg_exchange_abort(x->ex, status, message);
}

/* Exceptions that are no failure: the greenlet was ended; a handler of INT or
 * QUIT ends the worker; or the application has taken the socket over and is
 * done with it (simple-websocket raises StopIteration then). Nothing is left to
 * answer. */
static bool
is_quiet_end(ExchangeObject *x)
{
    bool taken = x->ex->blocking && !x->ex->writer->headed &&
                 PyErr_ExceptionMatches(PyExc_StopIteration);
    bool quits =
        cg_hook_worker_quits() && PyErr_ExceptionMatches(PyExc_SystemExit);
    if (!taken && !quits && !cg_py_loop_is_quiet(x->wsgi->o->loop)) {
        return false;
    }
    PyErr_Clear();
    cut(x, 0, NULL);
    x->ex->broken = true;
    return true;
}

/* The body broke a rule and the application let that through: the peer's
 * fault, which the engine tells. All else is the application's. */
static void
on_exception(ExchangeObject *x)
{
    struct cg_exchange *ex = x->ex;
    if (ex->input_status != 0 && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear();
        cut(x, ex->input_status, ex->input_fault);
        return;
    }
    if (x->wsgi->timeout_type != NULL &&
        PyErr_ExceptionMatches(x->wsgi->timeout_type)) {
        cg_wsgi_log_exception(x, "Request timed out:");
        cut(x, 504, "");
        return;
    }
    cg_wsgi_log_exception(x, "Error handling request");
    cut(x, 500, "");
}

static void
answer(ExchangeObject *x, PyObject *result)
{
    int handled =
        result != NULL ? cg_py_loop_is_handled(x->wsgi->o->loop, result) : 0;
    if (handled > 0) {
        cut(x, 0, NULL);
        x->handled = true;
        return;
    }
    if (handled == 0 && respond(x, result) == 0) {
        return;
    }
    if (is_quiet_end(x)) {
        x->handled = true;
        return;
    }
    on_exception(x);
}

/* The 504 of a late request was logged when it was sent, unless that takes
 * Python. */
static bool
is_logged(const ExchangeObject *x)
{
    return x->handled || (cg_late_is_answered(x) && !x->wsgi->python_access);
}

static void
run_with(struct cg_wsgi *w, ExchangeObject *x, PyObject *start_response)
{
    bool hooked = w->o->pre_request || w->o->post_request;
    if (w->o->names_requests) {
        name_request(x);
    }
    py_auto *req = hooked ? hooked_request(w, x) : NULL;
    py_auto *env = !hooked || req != NULL ? make_environ(w, x, req) : NULL;
    py_auto *result = env != NULL ? call_app(w, env, start_response) : NULL;
    answer(x, result);
    x->over = true;
    cg_reply_turn(x);
    if (w->o->limited && cg_exchange_conclude(x->ex) == CG_LATE_ANSWERED) {
        x->handled = false;
    }
    enum cg_misfit misfit = x->ex->writer->misfit;
    if (misfit == CG_TOO_LONG || misfit == CG_NOT_ASKED) {
        log_overrun(x);
    }
    if (!is_logged(x)) {
        cg_wsgi_log_access(x, env);
    }
    close_result(x, result);
    if (w->o->post_request && req != NULL) {
        cg_call_post_request(x, req, env);
    }
}

/* One that waited for the GIL for so long that its client has been told is not
 * begun any more. */
static void
run_limited(struct cg_wsgi *w, ExchangeObject *x, PyObject *start_response)
{
    if (cg_exchange_conclude(x->ex) != CG_LATE_NO) {
        return;
    }
    cg_late_begin(x);
    run_with(w, x, start_response);
    cg_late_end(x);
}

void
cg_wsgi_run(struct cg_wsgi *w, struct cg_exchange *ex)
{
    CG_HAS_GIL();
    struct cg_kit kit;
    if (take_kit(w, &kit) < 0) {
        PyErr_Clear(); /* out of memory: nothing can be said */
        ex->broken = true;
        return;
    }
    ExchangeObject *x = (ExchangeObject *)kit.exchange;
    begin(x, ex, &kit);
    if (w->o->limited) {
        run_limited(w, x, kit.start_response);
    } else {
        run_with(w, x, kit.start_response);
    }
    end(x);
    give_kit(w, &kit);
    cg_py_logger_flush();
}
