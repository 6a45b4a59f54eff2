/* SPDX-License-Identifier: MIT */
/* The bridge: requests from their start to the end of both sides, the reply's
 * and the application's, in whatever order these come. */
#include "core/py/asgi/asgi.h"
#include "core/py/runtime/gil.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/asgi/internal.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/logger.h"
#include "core/py/request/access.h"
#include "core/py/wsgi/hooks.h"

enum { RBUF = 64 * 1024, LEFT_AFTER_US = 1000 * 1000 };

/* Of this process. What an application keeps refers to it for ever, so it is
 * never freed, only closed. */
static struct cg_asgi the_asgi;

/* ---- logs ---- */

static void
put_line(struct cg_buf *out, const RequestObject *r, const char *what)
{
    const struct cg_exchange *ex = r->ex;
    cg_buf_puts(out, what);
    cg_buf_putc(out, ' ');
    if (ex == NULL) {
        cg_buf_put_escaped(out, (struct cg_slice){r->line, r->line_n}, 160);
        return;
    }
    cg_buf_put_escaped(out, cg_span_of(ex->base, ex->req->method), 32);
    cg_buf_putc(out, ' ');
    cg_buf_put_escaped(out, cg_span_of(ex->base, ex->req->target), 1024);
}

/* For what its application says after the reply. */
static void
keep_line(RequestObject *r)
{
    const struct cg_request *req = r->ex->req;
    struct cg_slice line = cg_span_of(r->ex->base, req->line);
    r->line_n = (uint8_t)(line.n < sizeof r->line ? line.n : sizeof r->line);
    memcpy(r->line, line.p, r->line_n);
}

void
cg_asgi_log(RequestObject *r, enum cg_level level, const char *text)
{
    cg_auto(buf) struct cg_buf line = {0};
    put_line(&line, r, text);
    cg_log_line(r->asgi->wsgi->o->log, level, "%s", cg_buf_str(&line));
}

/* Of a request whose exchange is given back nothing is known any more. */
static void
log_bare_exception(RequestObject *r, const char *what)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(buf) struct cg_buf traceback = {0};
    struct cg_error err = {0};
    put_line(&text, r, what);
    cg_py_error(&err, &traceback);
    cg_buf_putc(&text, '\n');
    cg_buf_puts(&text, traceback.n > 0 ? cg_buf_str(&traceback) : err.text);
    while (text.n > 0 && text.p[text.n - 1] == '\n') {
        text.n--;
    }
    cg_log_exception(r->asgi->wsgi->o->log, (struct cg_slice){text.p, text.n});
}

void
cg_asgi_log_exception(RequestObject *r, const char *what)
{
    struct cg_kit *kit =
        r->ex != NULL ? cg_kit_take(r->asgi->wsgi, r->ex) : NULL;
    if (kit == NULL) {
        log_bare_exception(r, what);
        return;
    }
    cg_wsgi_log_exception(kit, what);
    cg_kit_give(kit);
}

/* ---- waiting ---- */

static PyObject *
new_future(struct cg_asgi *a)
{
    py_auto *future = PyObject_CallNoArgs(a->create_future);
    if (future == NULL ||
        PyObject_SetAttr(future, word(a, W_blocking), Py_True) < 0) {
        return NULL;
    }
    return py_take(&future);
}

void
cg_asgi_wake(struct cg_asgi *a, PyObject **slot)
{
    py_auto *future = py_take(slot);
    if (future == NULL) {
        return;
    }
    py_auto *done = PyObject_CallMethodNoArgs(future, word(a, W_done));
    py_auto *set =
        done == Py_False
            ? PyObject_CallMethodOneArg(future, word(a, W_set_result), Py_None)
            : NULL;
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(future);
    }
    (void)set;
}

PyObject *
cg_asgi_wait_in(struct cg_asgi *a, PyObject **slot)
{
    py_auto *future = new_future(a);
    if (future != NULL) {
        cg_asgi_wake(a, slot); /* who waited there looks again */
        *slot = py_new(future);
    }
    return py_take(&future);
}

static void
wake_all(RequestObject *r)
{
    cg_asgi_wake(r->asgi, &r->room_waiter);
    cg_asgi_wake(r->asgi, &r->input_waiter);
}

/* A future that was cancelled waits for nothing. */
static bool
is_waiting(struct cg_asgi *a, PyObject **slot)
{
    if (*slot == NULL) {
        return false;
    }
    py_auto *done = PyObject_CallMethodNoArgs(*slot, word(a, W_done));
    if (done != Py_False) {
        PyErr_Clear();
        Py_CLEAR(*slot);
    }
    return *slot != NULL;
}

static void
send_posted(RequestObject *r)
{
    if (r->posted && r->ex != NULL && r->reply == REPLY_BODY) {
        r->posted = false;
        if (cg_exchange_body(r->ex, NULL, 0, CG_MORE, NULL) < 0) {
            cg_asgi_gone(r);
        }
    }
}

void
cg_asgi_flush(RequestObject *r)
{
    if (r->posted) {
        send_posted(r);
        cg_asgi_watch(r);
    }
}

void
cg_asgi_watch(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    unsigned what = 0;
    send_posted(r);
    if (r->ex == NULL || r->gone_us != 0) {
        return;
    }
    if (r->ws != NULL && cg_websocket_is_open(r)) {
        cg_websocket_watch(r);
        return;
    }
    if (is_waiting(a, &r->room_waiter)) {
        what |= CG_AWAIT_ROOM;
    }
    if (is_waiting(a, &r->input_waiter) || r->left) {
        bool reads =
            r->ws == NULL && r->ex->streaming && !r->body_given && !r->left;
        what |= reads ? CG_AWAIT_INPUT : CG_AWAIT_END;
    }
    int e = what != 0 ? cg_exchange_await(r->ex, what, ROOM_LOW) : 0;
    if (e < 0) {
        cg_asgi_gone(r);
    } else if (e > 0) {
        wake_all(r);
    }
}

void
cg_asgi_gone(RequestObject *r)
{
    if (r->gone_us == 0) {
        r->gone_us = cg_now_us();
        if (r->ws != NULL) {
            cg_websocket_gone(r);
        }
    }
    wake_all(r);
}

void
cg_asgi_drained(struct cg_asgi *a, struct cg_exchange *ex)
{
    CG_HAS_GIL();
    RequestObject *r = ex->host;
    if (r == NULL) {
        return;
    }
    py_auto *alive = py_new((PyObject *)r);
    if (ex->broken) {
        cg_asgi_gone(r);
    } else if (r->ws != NULL && cg_websocket_is_open(r)) {
        cg_asgi_wake(a, &r->room_waiter);
        cg_websocket_ready(r);
        return;
    }
    wake_all(r);
    (void)alive; /* held, not used */
}

/* ---- the timer ---- */

static void
cancel(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    if (r->task != NULL && !r->returned) {
        py_auto *done = PyObject_CallMethodNoArgs(r->task, word(a, W_cancel));
        PyErr_Clear();
        (void)done;
    }
}

/* A client that leaves while its application waits for something else is seen
 * by the engine only when it is asked to look. */
static void
look_after(RequestObject *r, uint64_t now)
{
    struct cg_asgi *a = r->asgi;
    if (r->ws != NULL) {
        cg_websocket_tick(r, now);
    } else if (r->ex != NULL && !r->left && now - r->since_us > LEFT_AFTER_US &&
               (r->body_given || !r->ex->streaming)) {
        r->left = true;
        cg_asgi_watch(r);
    }
    if (r->gone_us != 0 && !r->cancelled && now - r->gone_us >= a->o.grace_us) {
        r->cancelled = true;
        cancel(r);
    }
    if (a->stopping && now >= a->half_us && !r->told && r->ex != NULL) {
        r->told = true;
        cg_asgi_wake(a, &r->input_waiter);
    }
}

/* Any of them may leave the ring meanwhile. */
static void
each_running(struct cg_asgi *a, void (*call)(RequestObject *r, uint64_t now),
             uint64_t now)
{
    RequestObject *r = a->first;
    for (int left = a->nrunning; left > 0 && r != NULL; left--) {
        RequestObject *next = (RequestObject *)py_new((PyObject *)r->next);
        py_auto *alive = py_new((PyObject *)r);
        call(r, now);
        (void)alive; /* held, not used */
        r = next->next != NULL ? next : NULL;
        Py_DECREF((PyObject *)next);
    }
}

static PyObject *
tick(PyObject *self, PyObject *unused)
{
    struct cg_asgi *a = PyCapsule_GetPointer(self, "cgunicorn.asgi");
    uint64_t now = cg_now_us();
    if (a == NULL) {
        return NULL;
    }
    a->ticking = false;
    each_running(a, look_after, now);
    if (a->nrunning > 0) {
        cg_asgi_tick_soon(a);
    }
    cg_py_logger_flush();
    Py_RETURN_NONE;
}

static PyMethodDef tick_def = {"look_after_requests", tick, METH_NOARGS, NULL};

static double
tick_seconds(const struct cg_asgi *a)
{
    uint64_t us = 1000 * 1000;
    us = a->o.grace_us > 0 && a->o.grace_us < us ? a->o.grace_us : us;
    return (double)us / 1e6;
}

void
cg_asgi_tick_soon(struct cg_asgi *a)
{
    if (a->ticking || a->closed) {
        return;
    }
    py_auto *handle =
        PyObject_CallFunction(a->call_later, "dO", tick_seconds(a), a->tick);
    if (handle == NULL) {
        PyErr_WriteUnraisable(a->loop);
        return;
    }
    a->ticking = true;
}

/* ---- the request object ---- */

static int
Request_traverse(PyObject *self, visitproc visit, void *arg)
{
    RequestObject *r = (RequestObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(r->receive);
    Py_VISIT(r->task);
    Py_VISIT(r->room_waiter);
    Py_VISIT(r->input_waiter);
    Py_VISIT(r->hooked);
    return 0;
}

static int
Request_clear(PyObject *self)
{
    RequestObject *r = (RequestObject *)self;
    Py_CLEAR(r->receive);
    Py_CLEAR(r->task);
    Py_CLEAR(r->room_waiter);
    Py_CLEAR(r->input_waiter);
    Py_CLEAR(r->hooked);
    return 0;
}

static void
Request_dealloc(PyObject *self)
{
    RequestObject *r = (RequestObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Request_clear(self);
    cg_websocket_free(r->ws);
    cg_fields_release(&r->trailers);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef Request_members[] = {{"__vectorcalloffset__", T_PYSSIZET,
                                         offsetof(RequestObject, vectorcall),
                                         READONLY, NULL},
                                        {NULL, 0, 0, 0, NULL}};

static PyType_Slot Request_slots[] = {
    {Py_tp_dealloc, Request_dealloc}, {Py_tp_traverse, Request_traverse},
    {Py_tp_clear, Request_clear},     {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, Request_members}, {0, NULL}};

static PyType_Spec request_spec = {
    .name = "cgunicorn.Send",
    .basicsize = sizeof(RequestObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = Request_slots,
};

/* Both, which refer to each other. */
static RequestObject *
make_request(struct cg_asgi *a)
{
    RequestObject *r =
        (RequestObject *)a->request_type->tp_alloc(a->request_type, 0);
    ReceiveObject *receive =
        (ReceiveObject *)a->receive_type->tp_alloc(a->receive_type, 0);
    if (r == NULL || receive == NULL) {
        Py_XDECREF((PyObject *)r);
        Py_XDECREF((PyObject *)receive);
        return NULL;
    }
    r->vectorcall = cg_send_call;
    receive->vectorcall = cg_receive_call;
    receive->request = (RequestObject *)py_new((PyObject *)r);
    r->receive = receive;
    return r;
}

/* As new, whatever an earlier request left. */
static void
reset(RequestObject *r)
{
    r->reply = REPLY_NONE;
    r->body_at = 0;
    r->gone_us = 0;
    r->body_given = r->wants_trailers = r->takes_trailers = false;
    r->is_events = r->in_step = r->posted = r->told = false;
    r->cancelled = r->returned = r->left = false;
}

RequestObject *
cg_asgi_request_new(struct cg_asgi *a, struct cg_exchange *ex)
{
    RequestObject *r = a->nspare > 0 ? a->spare[--a->nspare] : make_request(a);
    if (r == NULL) {
        return NULL;
    }
    reset(r);
    r->asgi = a;
    r->ex = ex;
    r->since_us = ex->start_us;
    ex->host = r;
    return r;
}

/* Used again when nobody else has it: `receive` does, and the caller. Else
 * the two refer to each other no more. */
void
cg_asgi_drop(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    if (Py_REFCNT(r) == 2 && r->receive != NULL && Py_REFCNT(r->receive) == 1 &&
        r->ws == NULL && a->nspare < SPARES) {
        a->spare[a->nspare++] = r;
        return;
    }
    if (r->returned) {
        Py_CLEAR(r->receive);
    }
    Py_DECREF((PyObject *)r);
}

static void
join_ring(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    if (a->first == NULL) {
        a->first = r->next = r->prev = r;
    } else {
        r->next = a->first;
        r->prev = a->first->prev;
        r->prev->next = r->next->prev = r;
    }
    a->nrunning++;
    Py_INCREF((PyObject *)r);
}

static void
leave_ring(RequestObject *r)
{
    struct cg_asgi *a = r->asgi;
    if (r->next == NULL) {
        return;
    }
    a->first = r->next == r ? NULL : r->next;
    r->prev->next = r->next;
    r->next->prev = r->prev;
    r->next = r->prev = NULL;
    a->nrunning--;
    Py_DECREF((PyObject *)r);
}

/* ---- the end of the reply ---- */

static bool
wants_line(const RequestObject *r, enum cg_late late)
{
    const struct cg_wsgi *w = r->asgi->wsgi;
    /* the 504 of a late request was logged when it was sent, unless that takes
     * Python */
    return cg_log_wants_requests(w->o->log) &&
           (late != CG_LATE_ANSWERED || w->python_access);
}

static void
tell_hook(RequestObject *r, const struct cg_kit *kit, PyObject *env)
{
    if (r->hooked != NULL && r->asgi->wsgi->o->post_request) {
        cg_call_post_request(kit, r->hooked, env);
    }
    Py_CLEAR(r->hooked);
}

static void
tell_end(RequestObject *r, enum cg_late late)
{
    struct cg_wsgi *w = r->asgi->wsgi;
    bool line = wants_line(r, late);
    if (!line && r->hooked == NULL) {
        return;
    }
    struct cg_kit *kit = cg_kit_take(w, r->ex);
    if (kit == NULL) {
        PyErr_Clear(); /* out of memory: nothing can be said */
        return;
    }
    bool needs_environ = r->hooked != NULL || w->python_access ||
                         cg_access_needs_environ(w->o->access);
    py_auto *env = needs_environ ? cg_environ_new(kit) : NULL;
    PyErr_Clear();
    if (line) {
        cg_wsgi_log_access(kit, env);
    }
    tell_hook(r, kit, env);
    cg_kit_give(kit);
}

void
cg_asgi_give_back(RequestObject *r)
{
    struct cg_exchange *ex = r->ex;
    if (ex == NULL) {
        return;
    }
    PyObject *type, *value, *traceback; /* what send() raises, perhaps */
    PyErr_Fetch(&type, &value, &traceback);
    enum cg_late late =
        r->asgi->wsgi->o->limited ? cg_exchange_conclude(ex) : CG_LATE_NO;
    if (ex->writer->misfit == CG_TOO_SHORT && !ex->broken) {
        cg_asgi_log(r, CG_ERROR,
                    "Response is shorter than its Content-Length, closing the "
                    "connection:");
    }
    tell_end(r, late);
    if (!r->returned) {
        keep_line(r);
    }
    r->ex = NULL;
    ex->host = NULL;
    r->asgi->o.done(ex);
    wake_all(r); /* receive() has something to say now */
    PyErr_Restore(type, value, traceback);
}

/* ---- the end of the application ---- */

/* Whether the exception says only that the client is gone, or that the task
 * was cancelled; also inside of groups. */
static bool
is_quiet(struct cg_asgi *a)
{
    if (PyErr_ExceptionMatches(a->gone_error) ||
        PyErr_ExceptionMatches(a->cancelled_error)) {
        return true;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    py_auto *kinds = PyTuple_Pack(2, a->gone_error, a->cancelled_error);
    py_auto *split =
        value != NULL ? PyObject_GetAttr(value, word(a, W_split)) : NULL;
    py_auto *parts = split != NULL && kinds != NULL
                         ? PyObject_CallOneArg(split, kinds)
                         : NULL;
    bool quiet = parts != NULL && PyTuple_Check(parts) &&
                 PyTuple_GET_SIZE(parts) == 2 &&
                 PyTuple_GET_ITEM(parts, 1) == Py_None;
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
    return quiet;
}

/* What is to be said about an exception; it is consumed. sys.exit() in an
 * application ends a request, not the server. */
static void
tell_exception(RequestObject *r)
{
    if (!PyErr_Occurred()) {
        return;
    }
    if (is_quiet(r->asgi) ||
        (cg_hook_worker_quits() && PyErr_ExceptionMatches(PyExc_SystemExit))) {
        PyErr_Clear();
        return;
    }
    cg_asgi_log_exception(r, "Error handling request");
}

/* A WebSocket whose application has returned waits for its peer's close. */
static void
cut(RequestObject *r, uint64_t unused)
{
    if (r->ws != NULL && r->returned) {
        cg_websocket_cut(r);
    }
}

static void
end_reply(RequestObject *r, bool failed)
{
    struct cg_exchange *ex = r->ex;
    switch (r->reply) {
    case REPLY_NONE:
        if (!failed) {
            cg_asgi_log(r, CG_ERROR,
                        "The application returned without a "
                        "response:");
        }
        cg_exchange_abort(ex, 500, "");
        break;
    case REPLY_STARTED:
    case REPLY_BODY:
        if (!failed) {
            cg_asgi_log(r, CG_ERROR,
                        "The application returned before the end "
                        "of its response:");
        }
        cg_exchange_abort(ex, failed && r->reply == REPLY_STARTED ? 500 : 0,
                          "");
        break;
    case REPLY_TRAILERS:
        if (cg_exchange_body(ex, NULL, 0, CG_LAST, NULL) < 0) {
            ex->broken = true;
        }
        break;
    case REPLY_COMPLETE: break;
    }
}

void
cg_asgi_finish(RequestObject *r, int outcome)
{
    bool failed = outcome < 0;
    tell_exception(r);
    r->returned = true;
    Py_CLEAR(r->task);
    if (r->ws != NULL) {
        cg_websocket_ended(r, failed);
    }
    if (r->ex != NULL && (r->ws == NULL || !cg_websocket_is_open(r))) {
        if (r->gone_us == 0 && r->reply != REPLY_COMPLETE) {
            end_reply(r, failed);
        } else if (r->gone_us != 0) {
            r->ex->broken = true;
        }
        r->reply = REPLY_COMPLETE;
        cg_asgi_give_back(r);
    }
    wake_all(r);
    if (r->ex == NULL) {
        leave_ring(r);
    }
}

/* ---- a request ---- */

void
cg_asgi_request_start(RequestObject *r)
{
    join_ring(r);
}

/* A handshake that cannot be one. */
static void
refuse(struct cg_asgi *a, RequestObject *r, enum cg_ws_request what)
{
    const char *text;
    int status = cg_ws_request_status(what, &text);
    struct cg_exchange *ex = r->ex;
    char code[16];
    snprintf(code, sizeof code, "%d", status);
    ex->may_keep = false;
    if (cg_exchange_start(ex, cg_slice_of(code)) < 0 ||
        cg_exchange_field(ex, CG_SLICE("Content-Type"),
                          CG_SLICE("text/plain")) < 0 ||
        (status == 426 &&
         (cg_exchange_field(ex, CG_SLICE("Upgrade"), CG_SLICE("websocket")) <
              0 ||
          cg_exchange_field(ex, CG_SLICE("Sec-WebSocket-Version"),
                            CG_SLICE("13")) < 0)) ||
        cg_exchange_body(ex, text, strlen(text), CG_LAST, NULL) < 0) {
        ex->broken = true;
    }
    r->reply = REPLY_COMPLETE;
    cg_asgi_give_back(r);
}

/* req of the request hooks, pre_request called. */
static int
call_hooks(RequestObject *r)
{
    struct cg_wsgi *w = r->asgi->wsgi;
    if (!w->o->pre_request && !w->o->post_request) {
        return 0;
    }
    struct cg_kit *kit = cg_kit_take(w, r->ex);
    if (kit == NULL) {
        return -1;
    }
    r->hooked = cg_request_object(kit);
    int e = r->hooked != NULL ? 0 : -1;
    if (e == 0 && w->o->pre_request) {
        e = cg_call_pre_request(kit, r->hooked);
    }
    cg_kit_give(kit);
    return e;
}

/* What pre_request changed goes into the scope. */
static int
follow_hook(RequestObject *r, PyObject *scope)
{
    if (r->hooked == NULL || !r->asgi->wsgi->o->pre_request) {
        return 0;
    }
    py_auto *done =
        PyObject_CallMethod(r->asgi->module, "follow", "OO", scope, r->hooked);
    return done != NULL ? 0 : -1;
}

static void
start(struct cg_asgi *a, RequestObject *r)
{
    py_auto *scope = call_hooks(r) == 0 ? cg_scope_new(a, r) : NULL;
    if (scope == NULL || follow_hook(r, scope) < 0) {
        cg_asgi_finish(r, -1);
        return;
    }
    cg_drive_start(r, scope);
}

void
cg_asgi_run(struct cg_asgi *a, struct cg_exchange *ex)
{
    CG_HAS_GIL();
    enum cg_ws_request what = ex->req->upgrade
                                  ? cg_ws_request_check(ex->req, ex->base)
                                  : CG_WS_REQUEST_NONE;
    /* one whose client has been told that it is late is not begun any more */
    if (a->wsgi->o->limited && cg_exchange_conclude(ex) != CG_LATE_NO) {
        a->o.done(ex);
        return;
    }
    RequestObject *r = cg_asgi_request_new(a, ex);
    if (r == NULL) {
        PyErr_Clear(); /* out of memory: nothing can be said */
        ex->broken = true;
        a->o.done(ex);
        return;
    }
    if (what == CG_WS_REQUEST_GOOD) {
        r->ws = cg_websocket_new(r);
    }
    if (what > CG_WS_REQUEST_GOOD) {
        refuse(a, r, what);
    } else {
        cg_asgi_request_start(r);
        start(a, r);
    }
    cg_asgi_drop(r);
    cg_py_logger_flush();
}

void
cg_asgi_interrupt(struct cg_asgi *a, struct cg_exchange *ex)
{
    CG_HAS_GIL();
    RequestObject *r = ex->host;
    if (r == NULL) {
        return;
    }
    py_auto *alive = py_new((PyObject *)r);
    cg_asgi_gone(r);
    cancel(r);
    (void)alive; /* held, not used */
}

static void
tell_stop(RequestObject *r, uint64_t unused)
{
    if (r->ws != NULL) {
        cg_websocket_stop(r);
    } else if (r->is_events && !r->told) {
        r->told = true;
        cg_asgi_wake(r->asgi, &r->input_waiter);
    }
}

void
cg_asgi_stop(struct cg_asgi *a, uint64_t graceful_us)
{
    if (a->stopping) {
        return;
    }
    a->stopping = true;
    a->half_us = cg_now_us() + graceful_us / 2;
    each_running(a, tell_stop, 0);
    if (a->nrunning > 0) {
        cg_asgi_tick_soon(a);
    }
}

int
cg_asgi_running(const struct cg_asgi *a)
{
    return a->nrunning;
}

/* ---- lifespan, and the end ---- */

/* A list of two: an error's text and its traceback, each perhaps None. */
static int
take_failure(PyObject *answer, struct cg_error *err, struct cg_buf *traceback)
{
    py_auto *text = PySequence_GetItem(answer, 0);
    py_auto *trace = text != NULL ? PySequence_GetItem(answer, 1) : NULL;
    const char *s = trace != NULL ? PyUnicode_AsUTF8(text) : NULL;
    const char *t =
        s != NULL && trace != Py_None ? PyUnicode_AsUTF8(trace) : NULL;
    PyErr_Clear();
    cg_buf_puts(traceback, t != NULL ? t : "");
    return cg_error_set(err, ECANCELED, "%s", s != NULL ? s : "failed");
}

int
cg_asgi_startup(struct cg_asgi *a, struct cg_error *err,
                struct cg_buf *traceback)
{
    py_auto *answer =
        PyObject_CallMethod(a->module, "startup", "Os", a->app, a->o.lifespan);
    if (answer == NULL) {
        return cg_py_error(err, traceback);
    }
    if (PyDict_Check(answer)) {
        a->state = py_new(answer);
        return 0;
    }
    return answer == Py_None ? 0 : take_failure(answer, err, traceback);
}

/* The tasks of requests whose application has not returned. */
static PyObject *
running_tasks(struct cg_asgi *a)
{
    py_auto *list = PyList_New(0);
    RequestObject *r = a->first;
    for (int left = a->nrunning; list != NULL && left > 0; left--) {
        if (r->task != NULL && PyList_Append(list, r->task) < 0) {
            return NULL;
        }
        r = r->next;
    }
    return py_take(&list);
}

void
cg_asgi_shutdown(struct cg_asgi *a, uint64_t patience_us)
{
    each_running(a, cut, 0);
    py_auto *tasks = running_tasks(a);
    py_auto *done = tasks != NULL
                        ? PyObject_CallMethod(a->module, "shutdown", "Od",
                                              tasks, (double)patience_us / 1e6)
                        : NULL;
    if (done == NULL) {
        struct cg_error err = {0};
        cg_auto(buf) struct cg_buf traceback = {0};
        cg_py_error(&err, &traceback);
        cg_log_line(a->wsgi->o->log, CG_ERROR,
                    "The event loop did not end well: %s", err.text);
    }
    a->closed = true;
}

/* ---- making it ---- */

static int
init_words(struct cg_asgi *a)
{
    static const char *const text[] = {
#define WORD(name, string) string,
#include "core/py/asgi/words.def"
#undef WORD
    };
    for (int i = 0; i < WORDS; i++) {
        a->word[i] = PyUnicode_InternFromString(text[i]);
        if (a->word[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int
init_types(struct cg_asgi *a)
{
    const struct {
        PyTypeObject **to;
        PyType_Spec *spec;
    } types[] = {
        {&a->request_type, &request_spec}, {&a->receive_type, &cg_receive_spec},
        {&a->wait_type, &cg_wait_spec},    {&a->drive_type, &cg_drive_spec},
        {&a->done_type, &cg_done_spec},
    };
    for (size_t i = 0; i < CG_COUNT(types); i++) {
        *types[i].to = (PyTypeObject *)PyType_FromSpec(types[i].spec);
        if (*types[i].to == NULL) {
            return -1;
        }
    }
    a->done_awaitable = a->done_type->tp_alloc(a->done_type, 0);
    return a->done_awaitable != NULL ? 0 : -1;
}

/* What send() raises when nobody is there: an OSError, as the specification
 * says; for WebSockets a RuntimeError too, as in gunicorn. */
static int
init_errors(struct cg_asgi *a)
{
    a->gone_error =
        PyErr_NewException("cgunicorn.ClientDisconnected", PyExc_OSError, NULL);
    py_auto *bases = a->gone_error != NULL
                         ? PyTuple_Pack(2, a->gone_error, PyExc_RuntimeError)
                         : NULL;
    a->closed_error =
        bases != NULL
            ? PyErr_NewException("cgunicorn.WebSocketClosed", bases, NULL)
            : NULL;
    return a->closed_error != NULL ? 0 : -1;
}

static int
get(PyObject *from, const char *name, PyObject **to)
{
    *to = PyObject_GetAttrString(from, name);
    return *to != NULL ? 0 : -1;
}

static int
init_loop(struct cg_asgi *a)
{
    a->module = PyImport_ImportModule(a->o.module);
    a->context = PyContext_CopyCurrent();
    py_auto *capsule = PyCapsule_New(a, "cgunicorn.asgi", NULL);
    a->tick = capsule != NULL ? PyCFunction_New(&tick_def, capsule) : NULL;
    return a->module == NULL || a->context == NULL || a->tick == NULL ||
                   get(a->module, "loop", &a->loop) < 0 ||
                   get(a->loop, "create_future", &a->create_future) < 0 ||
                   get(a->loop, "create_task", &a->create_task) < 0 ||
                   get(a->loop, "call_later", &a->call_later) < 0
               ? -1
               : 0;
}

static int
init(struct cg_asgi *a)
{
    return init_words(a) < 0 || init_types(a) < 0 || init_errors(a) < 0 ||
                   init_loop(a) < 0 || cg_task_init(a) < 0
               ? -1
               : cg_scope_init(a);
}

int
cg_asgi_new(const struct cg_asgi_options *options, struct cg_asgi **ret,
            struct cg_error *err)
{
    struct cg_asgi *a = &the_asgi;
    memset(a, 0, sizeof *a);
    a->o = *options;
    a->wsgi = options->wsgi;
    a->app = py_new(a->wsgi->app);
    a->rbuf = cg_malloc(RBUF);
    if (init(a) < 0) {
        int e = cg_py_error(err, NULL);
        cg_asgi_free(a);
        return e < 0 ? e : -1;
    }
    *ret = a;
    return 0;
}

/* What runs on will find that the server has stopped. */
static void
abandon(struct cg_asgi *a)
{
    while (a->first != NULL) {
        RequestObject *r = a->first;
        py_auto *alive = py_new((PyObject *)r);
        if (r->ex != NULL) {
            r->ex->broken = true;
            r->ex->host = NULL;
            r->ex = NULL;
        }
        leave_ring(r);
        (void)alive; /* held, not used */
    }
}

void
cg_asgi_free(struct cg_asgi *a)
{
    if (a == NULL) {
        return;
    }
    a->closed = true;
    abandon(a);
    while (a->nspare > 0) {
        RequestObject *r = a->spare[--a->nspare];
        Py_CLEAR(r->receive->request); /* they refer to each other */
        Py_DECREF((PyObject *)r);
    }
    cg_task_release(a);
    cg_scope_release(a);
    for (int i = 0; i < WORDS; i++) {
        Py_CLEAR(a->word[i]);
    }
    PyObject **const objects[] = {
        &a->app,           &a->module,         &a->loop,
        &a->create_future, &a->create_task,    &a->call_later,
        &a->context,       &a->state,          &a->gone_error,
        &a->closed_error,  &a->done_awaitable, &a->tick,
    };
    for (size_t i = 0; i < CG_COUNT(objects); i++) {
        Py_CLEAR(*objects[i]);
    }
    PyTypeObject *const types[] = {a->request_type, a->receive_type,
                                   a->wait_type, a->drive_type, a->done_type};
    for (size_t i = 0; i < CG_COUNT(types); i++) {
        Py_XDECREF((PyObject *)types[i]);
    }
    cg_buf_release(&a->in);
    cg_buf_release(&a->out);
    free(a->rbuf);
}
