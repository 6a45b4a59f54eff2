/* SPDX-License-Identifier: MIT */
/* The end of both sides, the reply's and the application's, in whatever order
 * they come. */
#include "core/py/asgi/internal.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/request/access.h"
#include "core/py/wsgi/hooks.h"

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

/* What runs here finds the request without its exchange. */
static void
tell_end(RequestObject *r, struct cg_exchange *ex, enum cg_late late)
{
    struct cg_wsgi *w = r->asgi->wsgi;
    bool line = wants_line(r, late);
    if (!line && r->hooked == NULL) {
        return;
    }
    struct cg_kit *kit = cg_kit_take(w, ex);
    if (kit == NULL) {
        PyErr_Clear(); /* out of memory: nothing can be said */
        return;
    }
    bool needs_environ = r->hooked != NULL || w->python_access ||
                         (w->o->access != NULL && /* NULL: only statsd */
                          cg_access_needs_environ(w->o->access));
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
    /* of HEAD frameworks leave it to the server */
    if (ex->writer->misfit == CG_NOT_ASKED && !ex->req->method_is_head) {
        cg_asgi_log(r, CG_WARNING,
                    "Response has a body although its status allows none, it "
                    "was dropped:");
    }
    if (!r->returned) {
        cg_asgi_keep_line(r);
    }
    r->ex = NULL;
    ex->host = NULL;
    tell_end(r, ex, late);
    r->asgi->o.done(ex);
    cg_asgi_wake_all(r); /* receive() has something to say now */
    PyErr_Restore(type, value, traceback);
}

/* ---- the end of the application ---- */

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

/* INT or QUIT ended the worker in the middle of it: nothing is answered. */
static bool
is_quitting(int outcome)
{
    return outcome < 0 && PyErr_Occurred() && cg_hook_worker_quits() &&
           PyErr_ExceptionMatches(PyExc_SystemExit);
}

void
cg_asgi_finish(RequestObject *r, int outcome)
{
    bool failed = outcome < 0, quits = is_quitting(outcome);
    cg_asgi_tell_exception(r);
    r->returned = true;
    Py_CLEAR(r->task);
    if (r->ws != NULL) {
        cg_websocket_ended(r, failed);
    }
    if (r->ex != NULL && (r->ws == NULL || !cg_websocket_is_open(r))) {
        if (quits || r->gone_us != 0) {
            r->ex->broken = true;
        } else if (r->reply != REPLY_COMPLETE) {
            end_reply(r, failed);
        }
        r->reply = REPLY_COMPLETE;
        cg_asgi_give_back(r);
    }
    cg_asgi_wake_all(r);
    if (r->ex == NULL) {
        cg_asgi_leave(r);
    }
}
