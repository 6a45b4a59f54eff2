/* SPDX-License-Identifier: MIT */
/* Lifespan: the application's start and end, and that of the loop. The protocol
 * is Python (glue/hosts/asgi_.py); here is what the worker makes of it. */
#include "core/py/asgi/asgi.h"

#include <errno.h>

#include "core/base/memory.h"
#include "core/py/asgi/internal.h"

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
    if (answer != NULL && answer != Py_None && !PyDict_Check(answer)) {
        return take_failure(answer, err, traceback);
    }
    /* the application may have set a task factory, or the loop's debug mode */
    if (answer == NULL || cg_task_choose(a) < 0) {
        return cg_py_error(err, traceback);
    }
    if (answer != Py_None) {
        a->state = py_new(answer);
    }
    return 0;
}

/* A WebSocket whose application has returned waits for its peer's close. */
static void
cut(RequestObject *r, uint64_t unused)
{
    if (r->ws != NULL && r->returned) {
        cg_websocket_cut(r);
    }
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
    cg_asgi_each(a, cut, 0);
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
