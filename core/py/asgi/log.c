/* SPDX-License-Identifier: MIT */
/* What the log says about a request: of one whose exchange is given back only
 * its line is known any more. */
#include <stdatomic.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/asgi/internal.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/request/access.h"

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
    if (ex->id.n > 0) {
        cg_buf_puts(out, " (request ");
        cg_buf_put(out, ex->id.p, ex->id.n);
        cg_buf_putc(out, ')');
    }
}

/* For what its application says after the reply. */
void
cg_asgi_keep_line(RequestObject *r)
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

/* Showing an exception runs code of the application's: meanwhile nothing is
 * there that it could answer, so the exchange stays. */
void
cg_asgi_log_exception(RequestObject *r, const char *what)
{
    struct cg_exchange *ex = r->ex;
    struct cg_kit *kit = ex != NULL ? cg_kit_take(r->asgi->wsgi, ex) : NULL;
    if (kit == NULL) {
        log_bare_exception(r, what);
        return;
    }
    r->ex = NULL;
    cg_wsgi_log_exception(kit, what);
    cg_kit_give(kit);
    r->ex = ex;
}

/* ---- bad frames ---- */

enum { BAD_FRAMES = 10 }; /* lines in a second */

void
cg_asgi_log_bad_frame(RequestObject *r, const char *fault)
{
    struct cg_asgi *a = r->asgi;
    atomic_fetch_add_explicit(a->o.refused, 1, memory_order_relaxed);
    if (cg_log_limit_pass(&a->bad_frames, cg_now_us(), BAD_FRAMES)) {
        cg_log_line(a->wsgi->o->log, CG_WARNING,
                    "Invalid WebSocket frame from ip=%s: %s", r->ex->peer->addr,
                    fault);
    }
}

void
cg_asgi_log_held_frames(struct cg_asgi *a)
{
    uint64_t held = cg_log_limit_take(&a->bad_frames);
    if (held > 0) {
        cg_log_line(a->wsgi->o->log, CG_WARNING,
                    "Invalid WebSocket frame from ... and %llu more like this",
                    (unsigned long long)held);
    }
}

/* ---- exceptions ---- */

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
void
cg_asgi_tell_exception(RequestObject *r)
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
