/* SPDX-License-Identifier: MIT */
/* Running the application for one exchange. */
#include "core/py/wsgi/wsgi.h"
#include "core/py/runtime/gil.h"
#include "core/py/runtime/held.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/logger.h"
#include "core/py/loops/host_loop.h"
#include "core/py/request/access.h"
#include "core/py/request/errors.h"
#include "core/py/request/file.h"
#include "core/py/request/input.h"
#include "core/py/request/socket.h"
#include "core/py/wsgi/bridge.h"
#include "core/py/wsgi/hooks.h"
#include "core/py/wsgi/reply.h"

/* ---- the bridge ---- */

static int
make_types(struct cg_wsgi *w)
{
    const struct {
        PyTypeObject **to;
        PyType_Spec *spec;
    } types[] = {
        {&w->input_type, &cg_wsgi_input_spec},
        {&w->reply_type, &cg_wsgi_reply_spec},
        {&w->file_type, &cg_file_spec},
        {&w->errors_type, &cg_errors_spec},
        {&w->socket_type, &cg_socket_spec},
    };
    for (size_t i = 0; i < CG_COUNT(types); i++) {
        PyTypeObject *made = (PyTypeObject *)PyType_FromSpec(types[i].spec);
        *types[i].to = made;
        if (made == NULL) {
            return -1;
        }
        if ((types[i].spec->flags & Py_TPFLAGS_BASETYPE) == 0) {
            cg_type_close(made);
        }
    }
    return 0;
}

static int
init(struct cg_wsgi *w)
{
    w->app = py_new(cg_app_callable(w->o->app));
    w->k_close = PyUnicode_InternFromString("close");
    if (w->k_close == NULL || make_types(w) < 0 ||
        cg_py_limits_init(&w->limits, w->o->limited,
                          cg_py_loop_parks(w->o->loop), w->o->log) < 0) {
        return -1;
    }
    return cg_lane_init(w, &w->lane);
}

int
cg_wsgi_new(const struct cg_wsgi_options *options, struct cg_wsgi **ret,
            struct cg_error *err)
{
    struct cg_wsgi *w = cg_calloc(1, sizeof *w);
    w->o = options;
    w->pid = (int)getpid();
#ifdef Py_GIL_DISABLED
    cg_lane_adopt(w);
#endif
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

void
cg_wsgi_free(struct cg_wsgi *w)
{
    if (w == NULL) {
        return;
    }
    cg_py_logger_defer(false);
    cg_lanes_release(w);
    cg_py_limits_release(&w->limits);
    PyTypeObject *const types[] = {w->input_type, w->reply_type, w->file_type,
                                   w->errors_type, w->socket_type};
    for (size_t i = 0; i < CG_COUNT(types); i++) {
        Py_XDECREF((PyObject *)types[i]);
    }
    Py_XDECREF(w->k_close);
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

/* ---- the iterable ---- */

static bool
is_done(const ReplyObject *x)
{
    py_held(x);
    return x->failed || x->enough;
}

static int
send_sequence(ReplyObject *x, PyObject *seq)
{
    bool list = PyList_CheckExact(seq);
    for (Py_ssize_t i = 0; !is_done(x); i++) {
        Py_ssize_t n = list ? PyList_GET_SIZE(seq) : PyTuple_GET_SIZE(seq);
        if (i >= n) {
            break;
        }
        py_auto *item = list ? py_list_get(seq, i) : py_tuple_get(seq, i);
        if (item == NULL) {
            PyErr_Clear(); /* another thread has just made it shorter */
            break;
        }
        if (cg_wsgi_reply_item(x, item, i == n - 1) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
send_iterable(ReplyObject *x, PyObject *iterable)
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
        if (cg_wsgi_reply_item(x, item, false) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Whether the result is a file that is on its way. */
static bool
send_file(const struct cg_wsgi *w, ReplyObject *x, PyObject *result)
{
    struct cg_file_part part;
    if (!w->o->sendfile || !PyObject_TypeCheck(result, w->file_type) ||
        !cg_file_look(result, &part)) {
        return false;
    }
    py_held(x);
    cg_wsgi_reply_turn(x); /* looking at the file may have written something */
    int r = cg_file_send(x->ex, &part);
    x->failed = x->failed || r < 0;
    return r != 0;
}

static int
respond(const struct cg_kit *kit, PyObject *result)
{
    ReplyObject *x = (ReplyObject *)kit->reply;
    if (result == NULL) {
        return -1;
    }
    if (result == Py_None) {
        PyErr_SetString(PyExc_TypeError, "the application returned None in "
                                         "place of an iterable of bytes");
        return -1;
    }
    int r = 0;
    if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) {
        r = send_sequence(x, result);
    } else if (!send_file(kit->wsgi, x, result)) {
        r = send_iterable(x, result);
    }
    return r < 0 ? -1 : cg_wsgi_reply_end(x);
}

static void
log_dropped(struct cg_kit *kit, const struct cg_buf *path)
{
    const struct cg_exchange *ex = kit->ex;
    char why[32] = "method (HEAD)";
    if (!ex->req->method_is_head) {
        snprintf(why, sizeof why, "status (%d)", ex->status);
    }
    cg_log_line(kit->wsgi->o->log, CG_WARNING,
                "Response to %.*s has a body although its %s allows none: it "
                "was dropped",
                (int)path->n, path->p, why);
}

static void
log_overrun(struct cg_kit *kit)
{
    const struct cg_exchange *ex = kit->ex;
    cg_auto(buf) struct cg_buf path = {0};
    cg_buf_put_escaped(&path, cg_span_of(ex->base, ex->req->target), 200);
    if (ex->writer->misfit == CG_NOT_ASKED) {
        log_dropped(kit, &path);
        return;
    }
    cg_log_line(kit->wsgi->o->log, CG_ERROR,
                "Response to %.*s is longer than its Content-Length (%llu "
                "bytes): the rest was cut",
                (int)path.n, path.p,
                (unsigned long long)ex->writer->reply.length);
}

/* close() of the iterable: once, whatever happened (PEP 3333). */
static void
close_result(struct cg_kit *kit, PyObject *result)
{
    if (result == NULL || PyList_CheckExact(result) ||
        PyTuple_CheckExact(result)) {
        return;
    }
    if (kit->wsgi->o->limited) {
        cg_py_limit_spare(&kit->limit);
    }
    py_auto *close = PyObject_GetAttr(result, kit->wsgi->k_close);
    if (close == NULL) {
        PyErr_Clear();
        return;
    }
    py_auto *done = PyObject_CallNoArgs(close);
    if (done == NULL) {
        cg_wsgi_log_exception(kit, "Error closing the response to");
    }
}

/* ---- one request ---- */

#ifdef Py_GIL_DISABLED

/* Each thread has a reference of its own: one for each request would be
 * counted by all of them in one place. */
static PyObject *
take_app(struct cg_wsgi *w)
{
    struct cg_lane *lane = cg_lane_here(w);
    if (lane->app == NULL || lane->app_age != atomic_load(&w->app_age)) {
        PyMutex_Lock(&w->app_lock);
        PyObject *app = py_new(w->app);
        lane->app_age = atomic_load(&w->app_age);
        PyMutex_Unlock(&w->app_lock);
        Py_XSETREF(lane->app, app);
    }
    return py_new(lane->app);
}

static void
replace_app(struct cg_wsgi *w, PyObject *app)
{
    PyMutex_Lock(&w->app_lock);
    py_auto *old = w->app;
    w->app = app;
    atomic_fetch_add(&w->app_age, 1);
    PyMutex_Unlock(&w->app_lock);
    (void)old; /* released behind the lock */
}

#else

static PyObject *
take_app(struct cg_wsgi *w)
{
    return py_new(w->app);
}

static void
replace_app(struct cg_wsgi *w, PyObject *app)
{
    Py_SETREF(w->app, app);
}

#endif

static PyObject *
call_app(struct cg_wsgi *w, PyObject *env, PyObject *start_response)
{
    PyObject *args[3] = {NULL, env, start_response};
    py_auto *app = take_app(w); /* it may be replaced meanwhile */
    return PyObject_Vectorcall(app, args + 1,
                               2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

void
cg_wsgi_set_app(struct cg_wsgi *w, PyObject *callable)
{
    CG_HAS_GIL();
    replace_app(w, py_new(callable));
}

static void
name_request(struct cg_kit *kit)
{
    const struct cg_exchange *ex = kit->ex;
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->method), 20);
    cg_buf_putc(&text, ' ');
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->path), 2000);
    cg_log_line(kit->wsgi->o->log, CG_DEBUG, "%s", cg_buf_str(&text));
}

/* req of the request hooks, pre_request called; NULL with an exception. */
static PyObject *
hooked_request(struct cg_wsgi *w, struct cg_kit *kit)
{
    py_auto *req = cg_request_object(kit);
    if (req != NULL && w->o->pre_request && cg_call_pre_request(kit, req) < 0) {
        return NULL;
    }
    return py_take(&req);
}

static PyObject *
make_environ(struct cg_wsgi *w, struct cg_kit *kit, PyObject *req)
{
    py_auto *env = cg_environ_new(kit);
    if (env != NULL && req != NULL && w->o->pre_request &&
        cg_environ_follow(kit, env, req) < 0) {
        return NULL;
    }
    return py_take(&env);
}

/* As cg_exchange_abort, when no thread is in the middle of a write. */
static void
cut(const struct cg_kit *kit, int status, const char *message)
{
    py_held(kit->reply);
    cg_wsgi_reply_turn((ReplyObject *)kit->reply);
    cg_exchange_abort(kit->ex, status, message);
}

/* Exceptions that are no failure: the greenlet was ended; a handler of INT or
 * QUIT ends the worker; or the application has taken the socket over and is
 * done with it (simple-websocket raises StopIteration then). Nothing is left to
 * answer. */
static bool
is_quiet_end(struct cg_kit *kit)
{
    bool taken = kit->ex->blocking && !kit->ex->writer->headed &&
                 PyErr_ExceptionMatches(PyExc_StopIteration);
    bool quits =
        cg_hook_worker_quits() && PyErr_ExceptionMatches(PyExc_SystemExit);
    if (!taken && !quits && !cg_py_loop_is_quiet(kit->wsgi->o->loop)) {
        return false;
    }
    PyErr_Clear();
    cut(kit, 0, NULL);
    kit->ex->broken = true;
    return true;
}

/* The body broke a rule and the application let that through: the peer's
 * fault, which the engine tells. All else is the application's. */
static void
on_exception(struct cg_kit *kit)
{
    struct cg_exchange *ex = kit->ex;
    if (ex->input_status != 0 && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear();
        cut(kit, ex->input_status, ex->input_fault);
        return;
    }
    if (kit->wsgi->limits.timeout_type != NULL &&
        PyErr_ExceptionMatches(kit->wsgi->limits.timeout_type)) {
        cg_wsgi_log_exception(kit, "Request timed out:");
        cut(kit, 504, "");
        return;
    }
    cg_wsgi_log_exception(kit, "Error handling request");
    cut(kit, 500, "");
}

static void
answer(struct cg_kit *kit, PyObject *result)
{
    int handled =
        result != NULL ? cg_py_loop_is_handled(kit->wsgi->o->loop, result) : 0;
    if (handled > 0) {
        cut(kit, 0, NULL);
        kit->handled = true;
        return;
    }
    if (handled == 0 && respond(kit, result) == 0) {
        return;
    }
    if (is_quiet_end(kit)) {
        kit->handled = true;
        return;
    }
    on_exception(kit);
}

/* The 504 of a late request was logged when it was sent, unless that takes
 * Python. */
static bool
is_logged(const struct cg_kit *kit)
{
    return kit->handled ||
           (kit->wsgi->o->limited && !kit->wsgi->python_access &&
            cg_exchange_late(kit->ex) == CG_LATE_ANSWERED);
}

/* The application is done with its request: what threads of its own still do
 * with that finds it over, or waits for us. */
static void
conclude(struct cg_wsgi *w, struct cg_kit *kit, PyObject *env)
{
    ReplyObject *reply = (ReplyObject *)kit->reply;
    py_held(reply);
    reply->over = true;
    cg_wsgi_reply_turn(reply);
    if (w->o->limited && cg_exchange_conclude(kit->ex) == CG_LATE_ANSWERED) {
        kit->handled = false;
    }
    enum cg_misfit misfit = kit->ex->writer->misfit;
    if (misfit == CG_TOO_LONG || misfit == CG_NOT_ASKED) {
        log_overrun(kit);
    }
    if (!is_logged(kit)) {
        cg_wsgi_log_access(kit, env);
    }
}

static void
run_with(struct cg_wsgi *w, struct cg_kit *kit)
{
    bool hooked = w->o->pre_request || w->o->post_request;
    if (w->o->names_requests) {
        name_request(kit);
    }
    py_auto *req = hooked ? hooked_request(w, kit) : NULL;
    py_auto *env = !hooked || req != NULL ? make_environ(w, kit, req) : NULL;
    py_auto *result =
        env != NULL ? call_app(w, env, kit->start_response) : NULL;
    answer(kit, result);
    conclude(w, kit, env);
    close_result(kit, result);
    if (w->o->post_request && req != NULL) {
        cg_call_post_request(kit, req, env);
    }
}

/* One that waited for the GIL for so long that its client has been told is not
 * begun any more. */
static void
run_limited(struct cg_wsgi *w, struct cg_kit *kit)
{
    if (cg_exchange_conclude(kit->ex) != CG_LATE_NO) {
        return;
    }
    cg_py_limit_begin(&w->limits, &kit->limit, kit->ex);
    run_with(w, kit);
    cg_py_limit_end(&kit->limit);
}

void
cg_wsgi_run(struct cg_wsgi *w, struct cg_exchange *ex)
{
    CG_HAS_GIL();
    struct cg_kit *kit = cg_kit_take(w, ex);
    if (kit == NULL) {
        PyErr_Clear(); /* out of memory: nothing can be said */
        ex->broken = true;
        return;
    }
    if (w->o->limited) {
        run_limited(w, kit);
    } else {
        run_with(w, kit);
    }
    cg_kit_give(kit);
    cg_py_logger_flush();
}

/* ---- requests that take too long ---- */

bool
cg_wsgi_logs_in_python(const struct cg_wsgi *w)
{
    return w->python_access;
}

void
cg_wsgi_interrupt(struct cg_wsgi *w)
{
    CG_HAS_GIL();
    cg_py_limits_interrupt(&w->limits);
}

void
cg_wsgi_throw(struct cg_wsgi *w, const struct cg_exchange *ex)
{
    CG_HAS_GIL();
    cg_py_limits_throw(&w->limits, ex);
}

void
cg_wsgi_show(struct cg_wsgi *w, const struct cg_exchange *ex,
             struct cg_buf *out)
{
    CG_HAS_GIL();
    cg_py_limits_show(&w->limits, ex, out);
}

int
cg_wsgi_listen(int sig, struct cg_error *err)
{
    CG_HAS_GIL();
    return cg_py_limits_listen(sig, err);
}
