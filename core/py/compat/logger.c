/* SPDX-License-Identifier: MIT */
#include "core/py/compat/logger.h"

#include <stdatomic.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"

enum { TELL_AGAIN_US = 60 * 1000000 };

/* The log and the flags are changed by the main thread, before threads serve
 * and after that. */
static struct {
    PyObject *log; /* server.log */
    _Atomic bool errors, access;
    _Atomic bool deferred;
    _Atomic uint64_t told_us; /* when its failure was told last */
} logger;

static bool
is_set(const _Atomic bool *flag)
{
    return atomic_load_explicit(flag, memory_order_relaxed);
}

static __thread bool flushing; /* a moment at which Python may run */

/* ---- failure ---- */

/* The logger raised: the reason goes to the native log, once a minute. */
static void
tell_failure(void)
{
    cg_auto(buf) struct cg_buf traceback = {0};
    cg_auto(buf) struct cg_buf text = {0};
    struct cg_error err = {0};
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyErr_Clear(); /* INT or QUIT came just now: who asked knows it */
        return;
    }
    cg_py_error(&err, &traceback);
    uint64_t now = cg_now_us(), told = atomic_load(&logger.told_us);
    if ((told != 0 && now - told < TELL_AGAIN_US) ||
        !atomic_compare_exchange_strong(&logger.told_us, &told, now)) {
        return;
    }
    cg_buf_puts(&text, "the logger failed, its lines go to the error log\n");
    if (traceback.n > 0) {
        cg_buf_put(&text, traceback.p, traceback.n);
    } else {
        cg_buf_puts(&text, err.text);
    }
    while (text.n > 0 && text.p[text.n - 1] == '\n') {
        text.n--;
    }
    cg_log_text_native(cg_hook_log(), CG_ERROR,
                       (struct cg_slice){text.p, text.n});
}

static bool
call(const char *name, PyObject *args)
{
    py_auto *f =
        args != NULL ? cg_glue_get("_cgunicorn_glue.logger", name) : NULL;
    py_auto *done = f != NULL ? PyObject_CallObject(f, args) : NULL;
    if (done == NULL) {
        tell_failure();
    }
    return done != NULL;
}

/* ---- the route ---- */

static PyObject *
text_of(struct cg_slice s)
{
    return PyUnicode_DecodeUTF8(s.p != NULL ? s.p : "", (Py_ssize_t)s.n,
                                "backslashreplace");
}

static PyObject *
raw_of(struct cg_slice s)
{
    return PyUnicode_DecodeLatin1(s.p != NULL ? s.p : "", (Py_ssize_t)s.n,
                                  NULL);
}

static bool
emit_line(const struct cg_log_event *e)
{
    py_auto *text = text_of(e->text);
    py_auto *args = text != NULL
                        ? Py_BuildValue("(OiOi)", logger.log, (int)e->level,
                                        text, e->kind == CG_EVENT_EXCEPTION)
                        : NULL;
    return call("line", args);
}

static bool
emit_metric(const struct cg_log_event *e)
{
    py_auto *text = text_of(e->text);
    py_auto *args = text != NULL
                        ? Py_BuildValue("(OiOsls)", logger.log, (int)e->level,
                                        text, e->metric, e->value, e->type)
                        : NULL;
    return call("metric", args);
}

static bool
emit_access(const struct cg_log_event *e)
{
    py_auto *text = text_of(e->text);
    py_auto *args = text != NULL ? PyTuple_Pack(2, logger.log, text) : NULL;
    return call("access_line", args);
}

static bool
emit_request(const struct cg_access_record *r)
{
    py_auto *addr = raw_of(r->remote_addr);
    py_auto *method = raw_of(r->method);
    py_auto *uri = raw_of(r->uri);
    py_auto *protocol = raw_of(r->protocol);
    py_auto *args =
        addr != NULL && method != NULL && uri != NULL && protocol != NULL
            ? Py_BuildValue("(OOOOOiKK)", logger.log, addr, method, uri,
                            protocol, r->status,
                            (unsigned long long)r->body_bytes,
                            (unsigned long long)r->duration_us)
            : NULL;
    return call("refused", args);
}

static bool
emit_kind(const struct cg_log_event *e)
{
    switch (e->kind) {
    case CG_EVENT_LINE:
    case CG_EVENT_EXCEPTION: return emit_line(e);
    case CG_EVENT_METRIC: return emit_metric(e);
    case CG_EVENT_ACCESS: return emit_access(e);
    case CG_EVENT_REQUEST: return emit_request(e->request);
    }
    return false;
}

/* Whoever logs may have an exception under way, which is not ours to lose. */
static bool
emit(void *self, const struct cg_log_event *e)
{
    PyObject *type, *value, *traceback;
    if (logger.log == NULL) {
        return false;
    }
    PyErr_Fetch(&type, &value, &traceback);
    bool done = emit_kind(e);
    PyErr_Restore(type, value, traceback);
    return done;
}

static bool
is_open(void *self)
{
    return (flushing || !is_set(&logger.deferred)) && Py_IsInitialized() &&
           PyGILState_GetThisThreadState() != NULL && PyGILState_Check();
}

static void
wake(void *self)
{
    cg_hook_worker_wake();
}

static void
set_route(bool errors, bool access)
{
    const struct cg_log_route route = {.errors = errors,
                                       .access = access,
                                       .is_open = is_open,
                                       .emit = emit,
                                       .wake = wake};
    if (errors != logger.errors || access != logger.access) {
        cg_log_set_route(cg_hook_log(), errors || access ? &route : NULL);
    }
    logger.errors = errors;
    logger.access = access;
}

/* ---- life ---- */

void
cg_py_logger_settle(void)
{
    int errors = 0, access = 0;
    if (logger.log == NULL || cg_hook_log() == NULL) {
        return;
    }
    py_auto *ask = cg_glue_get("_cgunicorn_glue.logger", "routes");
    py_auto *said = ask != NULL
                        ? PyObject_CallFunctionObjArgs(ask, logger.log, NULL)
                        : NULL;
    if (said == NULL || !PyArg_ParseTuple(said, "pp", &errors, &access)) {
        tell_failure();
        return;
    }
    set_route(errors != 0, access != 0);
}

int
cg_py_logger_adopt(PyObject *server)
{
    py_auto *log = PyObject_GetAttrString(server, "log");
    if (log == NULL) {
        return -1;
    }
    if (log != logger.log) {
        Py_XDECREF(logger.log);
        logger.log = py_new(log);
    }
    cg_py_logger_settle();
    return 0;
}

void
cg_py_logger_drop(void)
{
    if (logger.log != NULL && cg_hook_log() != NULL) {
        set_route(false, false);
    }
    Py_CLEAR(logger.log);
}

void
cg_py_logger_defer(bool on)
{
    logger.deferred = on;
    if (!on) {
        cg_py_logger_flush();
    }
}

void
cg_py_logger_flush(void)
{
    if ((is_set(&logger.errors) || is_set(&logger.access)) && !flushing) {
        flushing = true;
        cg_log_flush(cg_hook_log());
        flushing = false;
    }
}

/* ---- direct use ---- */

bool
cg_py_logger_takes_access(void)
{
    return is_set(&logger.access);
}

bool
cg_py_logger_takes_errors(void)
{
    return is_set(&logger.errors);
}

void
cg_py_logger_access(PyObject *resp, PyObject *req, PyObject *env,
                    uint64_t duration_us)
{
    py_auto *args = Py_BuildValue("(OOOOK)", logger.log, resp, req, env,
                                  (unsigned long long)duration_us);
    call("access", args);
}

static PyObject *
own(PyObject *o)
{
    Py_XINCREF(o);
    return o;
}

/* sys.exc_info() shows the exception while the logger runs, as it would in an
 * `except` block. */
bool
cg_py_logger_exception(const char *fmt, PyObject *a, PyObject *b)
{
    PyObject *type, *value, *traceback, *old[3];
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    PyErr_GetExcInfo(&old[0], &old[1], &old[2]);
    PyErr_SetExcInfo(own(type), own(value), own(traceback));
    py_auto *done =
        PyObject_CallMethod(logger.log, "exception", "sOO", fmt, a, b);
    if (done == NULL) {
        tell_failure();
    }
    PyErr_SetExcInfo(old[0], old[1], old[2]);
    PyErr_Restore(type, value, traceback);
    return done != NULL;
}

bool
cg_py_logger_write_errors(PyObject *text)
{
    py_auto *args = PyTuple_Pack(2, logger.log, text);
    return call("write_errors", args);
}
