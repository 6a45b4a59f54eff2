/* SPDX-License-Identifier: MIT */
/*
 * Requests that took longer than request_timeout: RequestTimeout is raised
 * where they are. In the main thread by the handler of a signal, which also
 * ends a wait for the kernel; in another thread by PyThreadState_SetAsyncExc,
 * which waits for the next line of Python; in a greenlet that waits by its
 * throw(). Whoever raises has the GIL, and so has a request that ends: none is
 * hit after its end.
 *
 * Nothing of this runs without a limit.
 */
#include "core/py/wsgi/internal.h"

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/loops/host_loop.h"

/* For the signal handler, which takes no argument: a worker has one bridge. */
static struct cg_wsgi *the_bridge;

int
cg_late_init(struct cg_wsgi *w)
{
    w->late_ring.next = w->late_ring.prev = &w->late_ring;
    if (!w->o->limited) {
        return 0;
    }
    the_bridge = w;
    w->timeout_type = cg_glue_get("_cgunicorn_glue.late", "RequestTimeout");
    if (w->timeout_type == NULL || !cg_py_loop_parks(w->o->loop)) {
        return w->timeout_type != NULL ? 0 : -1;
    }
    py_auto *module = PyImport_ImportModule("greenlet");
    w->current =
        module != NULL ? PyObject_GetAttrString(module, "getcurrent") : NULL;
    return w->current != NULL ? 0 : -1;
}

void
cg_late_release(struct cg_wsgi *w)
{
    if (the_bridge == w) {
        the_bridge = NULL;
    }
    Py_CLEAR(w->timeout_type);
    Py_CLEAR(w->current);
}

/* ---- requests under way ---- */

static ExchangeObject *
exchange_of(struct cg_late_link *link)
{
    return (ExchangeObject *)(void *)((char *)link -
                                      offsetof(ExchangeObject, late));
}

void
cg_late_begin(ExchangeObject *x)
{
    struct cg_wsgi *w = x->wsgi;
    struct cg_late_link *ring = &w->late_ring, *link = &x->late;
    link->thread = PyThread_get_thread_ident();
    link->greenlet =
        w->current != NULL ? PyObject_CallNoArgs(w->current) : NULL;
    PyErr_Clear();
    link->told = link->pending = link->traced = false;
    link->next = ring;
    link->prev = ring->prev;
    link->prev->next = link;
    ring->prev = link;
}

/* What was to be raised and was not yet. */
static void
take_back(struct cg_late_link *link)
{
    if (link->pending) {
        link->pending = false;
        PyThreadState_SetAsyncExc(link->thread, NULL);
    }
    if (link->traced) {
        PyObject *type, *value, *traceback;
        link->traced = false;
        PyErr_Fetch(&type, &value, &traceback);
        py_auto *stop = cg_glue_get("_cgunicorn_glue.late", "stop");
        py_auto *done = stop != NULL ? PyObject_CallNoArgs(stop) : NULL;
        (void)done;
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
}

void
cg_late_end(ExchangeObject *x)
{
    struct cg_late_link *link = &x->late;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
    take_back(link); /* it came too late to be raised */
    Py_CLEAR(link->greenlet);
}

void
cg_late_spare(ExchangeObject *x)
{
    struct cg_late_link *link = &x->late;
    if (!x->wsgi->o->limited || cg_exchange_late(x->ex) == CG_LATE_NO) {
        return;
    }
    link->told = true;
    take_back(link);
}

static bool
is_due(struct cg_late_link *link)
{
    struct cg_exchange *ex = exchange_of(link)->ex;
    return !link->told && cg_exchange_late(ex) != CG_LATE_NO;
}

/* ---- raising ---- */

bool
cg_wsgi_logs_in_python(const struct cg_wsgi *w)
{
    return w->python_access;
}

/* Where the interpreter may raise it at a bad place: see glue/late.py. It asks
 * cg_late_is_here before it raises, so the request is not told yet. */
static bool
raise_by_trace(unsigned long thread)
{
    py_auto *raise = cg_glue_get("_cgunicorn_glue.late", "raise_in");
    py_auto *done =
        raise != NULL ? PyObject_CallFunction(raise, "k", thread) : NULL;
    PyErr_Clear();
    return done == Py_True;
}

/* Its request may end while that runs Python: false. */
static bool
interrupt(struct cg_wsgi *w, struct cg_late_link *link)
{
    py_auto *alive = py_new((PyObject *)exchange_of(link));
    (void)alive; /* held, not used */
    link->traced = true;
    bool traced = raise_by_trace(link->thread);
    if (link->next == NULL) {
        return false;
    }
    if (!traced) {
        link->traced = false;
        link->told = link->pending = true;
        PyThreadState_SetAsyncExc(link->thread, w->timeout_type);
    }
    return true;
}

void
cg_wsgi_interrupt(struct cg_wsgi *w)
{
    struct cg_late_link *ring = &w->late_ring, *link = ring->next;
    while (link != ring) {
        bool waits = is_due(link) && !link->traced;
        link = waits && !interrupt(w, link) ? ring->next : link->next;
    }
}

/* What it waits for in spite of the exception. */
static void
log_stack(ExchangeObject *x)
{
    const struct cg_exchange *ex = x->ex;
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_puts(&text, "Stack of the request ");
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->method), 32);
    cg_buf_putc(&text, ' ');
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->target), 1024);
    py_auto *stack = cg_glue_get("_cgunicorn_glue.late", "stack");
    py_auto *lines =
        stack != NULL
            ? PyObject_CallFunctionObjArgs(stack, x->late.greenlet, NULL)
            : NULL;
    const char *shown = lines != NULL ? PyUnicode_AsUTF8(lines) : NULL;
    PyErr_Clear();
    if (shown == NULL || shown[0] == '\0') {
        return;
    }
    cg_buf_putf(&text, "\n%s", shown);
    cg_log_text(x->wsgi->o->log, CG_ERROR, (struct cg_slice){text.p, text.n});
}

static void
throw_into(struct cg_wsgi *w, PyObject *greenlet)
{
    py_auto *alive = py_new(greenlet); /* its link may go meanwhile */
    py_auto *done = PyObject_CallMethod(alive, "throw", "O", w->timeout_type);
    PyErr_Clear();
    (void)done;
}

void
cg_wsgi_throw(struct cg_wsgi *w, const struct cg_exchange *ex)
{
    struct cg_late_link *link = w->late_ring.next;
    while (link != &w->late_ring && exchange_of(link)->ex != ex) {
        link = link->next;
    }
    if (link == &w->late_ring || link->greenlet == NULL) {
        return;
    }
    if (is_due(link)) {
        link->told = true;
        throw_into(w, link->greenlet);
    } else if (link->told) {
        log_stack(exchange_of(link));
    }
}

bool
cg_late_is_here(void)
{
    struct cg_wsgi *w = the_bridge;
    if (w == NULL) {
        return false;
    }
    unsigned long thread = PyThread_get_thread_ident();
    py_auto *me = w->current != NULL ? PyObject_CallNoArgs(w->current) : NULL;
    PyErr_Clear();
    struct cg_late_link *link = w->late_ring.next;
    for (; link != &w->late_ring; link = link->next) {
        if (link->thread == thread && link->greenlet == me && is_due(link)) {
            link->told = true;
            return true;
        }
    }
    return false;
}

int
cg_wsgi_listen(int sig, struct cg_error *err)
{
    py_auto *listen = cg_glue_get("_cgunicorn_glue.late", "listen");
    py_auto *done =
        listen != NULL ? PyObject_CallFunction(listen, "i", sig) : NULL;
    return done != NULL ? 0 : cg_py_error(err, NULL);
}

/* ---- the reply ---- */

bool
cg_late_is_answered(const ExchangeObject *x)
{
    return x->wsgi->o->limited && cg_exchange_late(x->ex) == CG_LATE_ANSWERED;
}
