/* SPDX-License-Identifier: MIT */
#include "core/py/request/timeout.h"

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/held.h"

/* For the signal handler, which takes no argument: a worker has one bridge. It
 * is set before the first request and after the last one. */
static struct cg_py_limits *the_limits;

int
cg_py_limits_init(struct cg_py_limits *all, bool limited, bool in_greenlets,
                  struct cg_log *log)
{
    all->first.next = all->first.prev = &all->first;
    all->log = log;
    if (!limited) {
        return 0;
    }
    the_limits = all;
    all->timeout_type = cg_glue_get("_cgunicorn_glue.late", "RequestTimeout");
    if (all->timeout_type == NULL || !in_greenlets) {
        return all->timeout_type != NULL ? 0 : -1;
    }
    py_auto *module = PyImport_ImportModule("greenlet");
    all->current =
        module != NULL ? PyObject_GetAttrString(module, "getcurrent") : NULL;
    return all->current != NULL ? 0 : -1;
}

void
cg_py_limits_release(struct cg_py_limits *all)
{
    if (the_limits == all) {
        the_limits = NULL;
    }
    Py_CLEAR(all->timeout_type);
    Py_CLEAR(all->current);
}

/* ---- requests under way ---- */

void
cg_py_limit_begin(struct cg_py_limits *all, struct cg_py_limit *l,
                  struct cg_exchange *ex)
{
    struct cg_py_limit *ring = &all->first;
    l->all = all;
    l->ex = ex;
    l->thread = PyThread_get_thread_ident();
    l->greenlet =
        all->current != NULL ? PyObject_CallNoArgs(all->current) : NULL;
    PyErr_Clear();
    py_held(all->timeout_type);
    l->serial = ++all->begun;
    l->told = l->pending = l->traced = false;
    l->next = ring;
    l->prev = ring->prev;
    l->prev->next = l;
    ring->prev = l;
}

/* What was to be raised and was not yet. */
static void
take_back(struct cg_py_limit *l)
{
    if (l->pending) {
        l->pending = false;
        PyThreadState_SetAsyncExc(l->thread, NULL);
    }
    if (l->traced) {
        PyObject *type, *value, *traceback;
        l->traced = false;
        PyErr_Fetch(&type, &value, &traceback);
        py_auto *stop = cg_glue_get("_cgunicorn_glue.late", "stop");
        py_auto *done = stop != NULL ? PyObject_CallNoArgs(stop) : NULL;
        (void)done;
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
}

void
cg_py_limit_end(struct cg_py_limit *l)
{
    py_held(l->all->timeout_type);
    l->prev->next = l->next;
    l->next->prev = l->prev;
    take_back(l); /* it came too late to be raised */
    Py_CLEAR(l->greenlet);
}

void
cg_py_limit_spare(struct cg_py_limit *l)
{
    py_held(l->all->timeout_type);
    if (cg_exchange_late(l->ex) != CG_LATE_NO) {
        l->told = true;
        take_back(l);
    }
}

static bool
is_due(struct cg_py_limit *l)
{
    return !l->told && cg_exchange_late(l->ex) != CG_LATE_NO;
}

/* ---- raising ---- */

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

static bool
is_under_way(const struct cg_py_limits *all, uint64_t serial)
{
    const struct cg_py_limit *l = all->first.next;
    while (l != &all->first && l->serial != serial) {
        l = l->next;
    }
    return l != &all->first;
}

/* Its request may end while that runs Python, and all of it be gone: false. */
static bool
interrupt(struct cg_py_limits *all, struct cg_py_limit *l)
{
    uint64_t serial = l->serial;
    l->traced = true;
    bool traced = raise_by_trace(l->thread);
    if (!is_under_way(all, serial)) {
        return false;
    }
    if (!traced) {
        l->traced = false;
        l->told = l->pending = true;
        PyThreadState_SetAsyncExc(l->thread, all->timeout_type);
    }
    return true;
}

void
cg_py_limits_interrupt(struct cg_py_limits *all)
{
    py_held(all->timeout_type);
    struct cg_py_limit *ring = &all->first, *l = ring->next;
    while (l != ring) {
        bool waits = is_due(l) && !l->traced;
        l = waits && !interrupt(all, l) ? ring->next : l->next;
    }
}

static void
put_stack(PyObject *in, struct cg_buf *out)
{
    py_auto *greenlet = py_new(in); /* its link may go meanwhile */
    py_auto *stack = cg_glue_get("_cgunicorn_glue.late", "stack");
    py_auto *lines =
        stack != NULL ? PyObject_CallOneArg(stack, greenlet) : NULL;
    const char *shown = lines != NULL ? PyUnicode_AsUTF8(lines) : NULL;
    PyErr_Clear();
    cg_buf_puts(out, shown != NULL ? shown : "");
}

/* What it waits for in spite of the exception. */
static void
log_stack(const struct cg_py_limits *all, const struct cg_py_limit *l)
{
    const struct cg_exchange *ex = l->ex;
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_puts(&text, "Stack of the request ");
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->method), 32);
    cg_buf_putc(&text, ' ');
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->target), 1024);
    cg_buf_putc(&text, '\n');
    size_t head = text.n;
    put_stack(l->greenlet, &text);
    if (text.n == head) {
        return;
    }
    cg_log_text(all->log, CG_ERROR, (struct cg_slice){text.p, text.n});
}

static void
throw_into(const struct cg_py_limits *all, PyObject *greenlet)
{
    py_auto *alive = py_new(greenlet); /* its link may go meanwhile */
    py_auto *done = PyObject_CallMethod(alive, "throw", "O", all->timeout_type);
    PyErr_Clear();
    (void)done;
}

/* NULL: it has none. Who asks is of a class that runs with a GIL. */
static struct cg_py_limit *
in_greenlet(struct cg_py_limits *all, const struct cg_exchange *ex)
{
    struct cg_py_limit *l = all->first.next;
    while (l != &all->first && l->ex != ex) {
        l = l->next;
    }
    return l != &all->first && l->greenlet != NULL ? l : NULL;
}

void
cg_py_limits_show(struct cg_py_limits *all, const struct cg_exchange *ex,
                  struct cg_buf *out)
{
    const struct cg_py_limit *l = in_greenlet(all, ex);
    if (l != NULL) {
        put_stack(l->greenlet, out);
    }
}

void
cg_py_limits_throw(struct cg_py_limits *all, const struct cg_exchange *ex)
{
    struct cg_py_limit *l = in_greenlet(all, ex);
    if (l == NULL) {
        return;
    }
    if (is_due(l)) {
        l->told = true;
        throw_into(all, l->greenlet);
    } else if (l->told) {
        log_stack(all, l);
    }
}

bool
cg_late_is_here(void)
{
    struct cg_py_limits *all = the_limits;
    if (all == NULL) {
        return false;
    }
    unsigned long thread = PyThread_get_thread_ident();
    py_auto *me =
        all->current != NULL ? PyObject_CallNoArgs(all->current) : NULL;
    PyErr_Clear();
    py_held(all->timeout_type);
    struct cg_py_limit *l = all->first.next;
    for (; l != &all->first; l = l->next) {
        if (l->thread == thread && l->greenlet == me && is_due(l)) {
            l->told = true;
            return true;
        }
    }
    return false;
}

int
cg_py_limits_listen(int sig, struct cg_error *err)
{
    py_auto *listen = cg_glue_get("_cgunicorn_glue.late", "listen");
    py_auto *done =
        listen != NULL ? PyObject_CallFunction(listen, "i", sig) : NULL;
    return done != NULL ? 0 : cg_py_error(err, NULL);
}
