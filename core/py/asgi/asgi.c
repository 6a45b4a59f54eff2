/* SPDX-License-Identifier: MIT */
/* The bridge: what the engine calls, and what all requests share. */
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
#include "core/py/wsgi/hooks.h"

enum { RBUF = 64 * 1024, LEFT_AFTER_US = 1000 * 1000 };

/* Of this process. What an application keeps refers to it for ever, so it is
 * never freed, only closed. */
static struct cg_asgi the_asgi;

/* ---- looking after those that wait ---- */

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

/* ---- a request ---- */

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
        cg_asgi_join(r);
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

/* Its task's stack; of one that has not waited yet there is none. */
void
cg_asgi_show(struct cg_asgi *a, struct cg_exchange *ex, struct cg_buf *out)
{
    CG_HAS_GIL();
    RequestObject *r = ex->host;
    if (r == NULL || r->task == NULL) {
        return;
    }
    py_auto *task = py_new(r->task);
    py_auto *lines = PyObject_CallMethod(a->module, "_stack", "O", task);
    const char *shown = lines != NULL ? PyUnicode_AsUTF8(lines) : NULL;
    PyErr_Clear();
    cg_buf_puts(out, shown != NULL ? shown : "");
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
    cg_asgi_each(a, tell_stop, 0);
    if (a->nrunning > 0) {
        cg_asgi_tick_soon(a);
    }
}

int
cg_asgi_running(const struct cg_asgi *a)
{
    return a->nrunning;
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
        {&a->request_type, &cg_request_spec},
        {&a->receive_type, &cg_receive_spec},
        {&a->wait_type, &cg_wait_spec},
        {&a->drive_type, &cg_drive_spec},
        {&a->done_type, &cg_done_spec},
    };
    for (size_t i = 0; i < CG_COUNT(types); i++) {
        *types[i].to = (PyTypeObject *)PyType_FromSpec(types[i].spec);
        if (*types[i].to == NULL) {
            return -1;
        }
        cg_type_close(*types[i].to);
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
    a->tick = cg_asgi_timer_new(a);
    a->look_after = look_after;
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
#ifdef Py_GIL_DISABLED
    a->thread = PyThread_get_thread_ident();
#endif
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
        cg_asgi_leave(r);
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
    cg_drive_release(a);
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
