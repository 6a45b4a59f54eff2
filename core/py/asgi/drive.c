/* SPDX-License-Identifier: MIT */
/*
 * The drive: a coroutine that goes on with the application's, and the first
 * steps of it, which need no task yet. What it yields before a task is there it
 * holds, and gives that to the task when the task asks.
 */
#include <string.h>

#include "core/base/memory.h"
#include "core/py/asgi/internal.h"

/* ---- steps ---- */

/* What is no coroutine, as `await` would take it. */
static PyObject *
await_other(PyObject *awaitable)
{
    unaryfunc await = Py_TYPE(awaitable)->tp_as_async != NULL
                          ? Py_TYPE(awaitable)->tp_as_async->am_await
                          : NULL;
    if (await == NULL) {
        PyErr_Format(PyExc_TypeError,
                     "the application returned %.200s, which cannot be "
                     "awaited: it is no ASGI 3 application",
                     Py_TYPE(awaitable)->tp_name);
        return NULL;
    }
    return await(awaitable);
}

/* Other threads may look at the drive meanwhile: coroutine_of. */
static void
set_coro(DriveObject *d, PyObject *coro)
{
    py_held(d);
    d->coro = coro;
}

static int
begin(DriveObject *d)
{
    RequestObject *r = d->request;
    py_auto *scope = py_take(&d->scope);
    PyObject *args[4] = {NULL, scope, (PyObject *)r->receive, (PyObject *)r};
    py_auto *coro = PyObject_Vectorcall(
        r->asgi->app, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (coro != NULL && !PyCoro_CheckExact(coro)) {
        py_auto *awaitable = py_take(&coro);
        coro = await_other(awaitable);
    }
    set_coro(d, py_take(&coro));
    d->state = DRIVE_RUN;
    return d->coro != NULL ? 0 : -1;
}

/* What an application that ended leaves; keeps the exception of one that was
 * cancelled, for its task. */
static PySendResult
end(DriveObject *d, PySendResult what, PyObject **ret)
{
    RequestObject *r = d->request;
    struct cg_asgi *a = r->asgi;
    d->state = DRIVE_DONE;
    d->request = NULL;
    if (a->closed) { /* the server has stopped: nobody is to be told */
        Py_DECREF(r);
        return what;
    }
    bool cancelled =
        what == PYGEN_ERROR && PyErr_ExceptionMatches(a->cancelled_error);
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    if (cancelled) {
        PyErr_Fetch(&type, &value, &traceback);
    }
    cg_asgi_finish(r, what == PYGEN_ERROR ? -1 : 0);
    cg_asgi_drop(r);
    if (cancelled) {
        PyErr_Restore(type, value, traceback);
        return PYGEN_ERROR;
    }
    Py_CLEAR(*ret);
    *ret = py_new(Py_None); /* an exception was told already */
    return PYGEN_RETURN;
}

static PySendResult
settle(DriveObject *d, PySendResult what, PyObject **ret)
{
    d->request->in_step = false;
    if (what == PYGEN_NEXT) {
        cg_asgi_flush(d->request);
        return what;
    }
    return end(d, what, ret);
}

static PySendResult
step(DriveObject *d, PyObject *arg, PyObject **ret)
{
    d->request->in_step = true;
    PySendResult what = cg_coro_send(d->request->asgi, d->coro, arg, ret);
    return settle(d, what, ret);
}

static PySendResult
go_on(DriveObject *d, PyObject *arg, PyObject **ret)
{
    switch (d->state) {
    case DRIVE_HELD:
        d->state = DRIVE_RUN;
        *ret = py_take(&d->held);
        return PYGEN_NEXT;
    case DRIVE_DONE: *ret = py_new(Py_None); return PYGEN_RETURN;
    case DRIVE_NEW:
        if (begin(d) < 0) {
            return settle(d, PYGEN_ERROR, ret);
        }
        return step(d, Py_None, ret);
    case DRIVE_YIELD: d->state = DRIVE_RUN; return step(d, Py_None, ret);
    case DRIVE_RUN: break;
    }
    return step(d, arg, ret);
}

/* The application can get hold of its drive and send to it what it likes: not
 * while it runs. False with an exception; else ended by leave. */
static bool
enter(DriveObject *d)
{
    const RequestObject *r = d->request;
    if (r != NULL && !cg_asgi_is_here(r->asgi)) {
        return false;
    }
    if (d->busy) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return false;
    }
    d->busy = true;
    return true;
}

static bool
is_done(const DriveObject *d)
{
    return d->state == DRIVE_DONE || d->request == NULL;
}

PySendResult
cg_drive_send(PyObject *self, PyObject *arg, PyObject **ret)
{
    DriveObject *d = (DriveObject *)self;
    *ret = NULL;
    if (!enter(d)) {
        return PYGEN_ERROR;
    }
    PySendResult what = PYGEN_RETURN;
    if (is_done(d)) {
        *ret = py_new(Py_None);
    } else {
        what = go_on(d, arg, ret);
    }
    d->busy = false;
    return what;
}

/* ---- the coroutine's methods ---- */

static PyObject *
Drive_send(PyObject *self, PyObject *arg)
{
    PyObject *result = NULL;
    PySendResult what = cg_drive_send(self, arg, &result);
    return cg_step_result(what, result);
}

static PyObject *
Drive_iternext(PyObject *self)
{
    return Drive_send(self, Py_None);
}

/* With the message of the exception that a task throws when it is cancelled. */
static PyObject *
cancel_with(struct cg_asgi *a, PyObject *future, PyObject *exception)
{
    py_auto *message = NULL;
    if (PyExceptionInstance_Check(exception)) {
        py_auto *args = PyObject_GetAttr(exception, word(a, W_args));
        message =
            args != NULL && PyTuple_Check(args) && PyTuple_GET_SIZE(args) == 1
                ? py_tuple_get(args, 0)
                : NULL;
        PyErr_Clear();
    }
    return message != NULL
               ? PyObject_CallMethodOneArg(future, word(a, W_cancel), message)
               : PyObject_CallMethodNoArgs(future, word(a, W_cancel));
}

/* Its task was cancelled before it saw the future: that one is cancelled, as
 * Task.cancel() would. 1: it is, and *ret is to be waited for. */
static int
cancel_held(DriveObject *d, PyObject *exception, PyObject **ret)
{
    struct cg_asgi *a = d->request->asgi;
    PyObject *type = PyExceptionInstance_Check(exception)
                         ? (PyObject *)Py_TYPE(exception)
                         : exception;
    py_auto *held = py_take(&d->held);
    if (!PyErr_GivenExceptionMatches(type, a->cancelled_error)) {
        return 0;
    }
    py_auto *yes = cancel_with(a, held, exception);
    int cancelled = yes != NULL ? PyObject_IsTrue(yes) : -1;
    PyErr_Clear();
    if (cancelled > 0) {
        *ret = py_take(&held);
    }
    return cancelled > 0;
}

static PySendResult
throw_in(DriveObject *d, PyObject *args, PyObject **ret)
{
    struct cg_asgi *a = d->request->asgi;
    if (d->coro == NULL) {
        cg_raise_args(args);
        return settle(d, PYGEN_ERROR, ret);
    }
    py_auto *method = PyObject_GetAttr(d->coro, word(a, W_throw));
    if (method == NULL) { /* an iterator without one */
        PyErr_Clear();
        cg_raise_args(args);
        return settle(d, PYGEN_ERROR, ret);
    }
    d->request->in_step = true;
    *ret = PyObject_Call(method, args, NULL);
    return settle(d, *ret != NULL ? PYGEN_NEXT : cg_step_stopped(ret), ret);
}

static PySendResult
take_exception(DriveObject *d, PyObject *args, PyObject **ret)
{
    bool held = d->state == DRIVE_HELD;
    d->state = DRIVE_RUN;
    py_auto *exception = py_tuple_get(args, 0);
    return held && cancel_held(d, exception, ret) > 0 ? PYGEN_NEXT
                                                      : throw_in(d, args, ret);
}

static PyObject *
Drive_throw(PyObject *self, PyObject *args)
{
    DriveObject *d = (DriveObject *)self;
    PyObject *result = NULL;
    if (is_done(d) || PyTuple_GET_SIZE(args) == 0) {
        return cg_raise_args(args);
    }
    if (!enter(d)) {
        return NULL;
    }
    PySendResult what = take_exception(d, args, &result);
    d->busy = false;
    return cg_step_result(what, result);
}

static PyObject *
Drive_close(PyObject *self, PyObject *unused)
{
    DriveObject *d = (DriveObject *)self;
    if (d->coro == NULL || is_done(d)) {
        Py_RETURN_NONE;
    }
    if (!enter(d)) {
        return NULL;
    }
    PyObject *done = PyObject_CallMethod(d->coro, "close", NULL);
    d->busy = false;
    return done;
}

static PyObject *
coroutine_of(DriveObject *d)
{
    py_held(d);
    Py_XINCREF(d->coro);
    return d->coro;
}

/* cr_frame and the like, for tracebacks and debuggers, are the application's.
 */
static PyObject *
Drive_getattro(PyObject *self, PyObject *name)
{
    py_auto *coro = coroutine_of((DriveObject *)self);
    PyObject *own = PyObject_GenericGetAttr(self, name);
    if (own != NULL || coro == NULL ||
        !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return own;
    }
    PyErr_Clear();
    return PyObject_GetAttr(coro, name);
}

static int
Drive_traverse(PyObject *self, visitproc visit, void *arg)
{
    DriveObject *d = (DriveObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(d->request);
    Py_VISIT(d->scope);
    Py_VISIT(d->coro);
    Py_VISIT(d->held);
    return 0;
}

static int
Drive_clear(PyObject *self)
{
    DriveObject *d = (DriveObject *)self;
    Py_CLEAR(d->request);
    Py_CLEAR(d->scope);
    Py_CLEAR(d->coro);
    Py_CLEAR(d->held);
    return 0;
}

static void
Drive_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Drive_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Drive_methods[] = {
    {"send", Drive_send, METH_O, NULL},
    {"throw", Drive_throw, METH_VARARGS, NULL},
    {"close", Drive_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

static PyType_Slot Drive_slots[] = {{Py_tp_dealloc, Drive_dealloc},
                                    {Py_tp_traverse, Drive_traverse},
                                    {Py_tp_clear, Drive_clear},
                                    {Py_tp_getattro, Drive_getattro},
                                    {Py_tp_iter, PyObject_SelfIter},
                                    {Py_tp_iternext, Drive_iternext},
                                    {Py_tp_methods, Drive_methods},
                                    {Py_am_await, PyObject_SelfIter},
#if PY_VERSION_HEX >= 0x030A0000
                                    {Py_am_send, cg_drive_send},
#endif
                                    {0, NULL}};

PyType_Spec cg_drive_spec = {
    .name = "cgunicorn.Drive",
    .basicsize = sizeof(DriveObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = Drive_slots,
};

/* ---- the first step ---- */

static DriveObject *
take_drive(RequestObject *r, PyObject *scope)
{
    struct cg_asgi *a = r->asgi;
    DriveObject *d =
        a->nspare_drive > 0
            ? a->spare_drive[--a->nspare_drive]
            : (DriveObject *)a->drive_type->tp_alloc(a->drive_type, 0);
    if (d != NULL) {
        d->request = (RequestObject *)py_new((PyObject *)r);
        d->scope = py_new(scope);
        d->state = DRIVE_NEW;
    }
    return d;
}

/* Used again when nobody else has it, nor gets hold of it while it is emptied,
 * which may run code of the application's. */
static void
give_drive(struct cg_asgi *a, DriveObject *d)
{
    if (py_is_only((PyObject *)d, 1)) {
        Drive_clear((PyObject *)d);
        if (py_is_only((PyObject *)d, 1) && a->nspare_drive < SPARES &&
            !a->closed) {
            a->spare_drive[a->nspare_drive++] = d;
            return;
        }
    }
    Py_DECREF((PyObject *)d);
}

void
cg_drive_release(struct cg_asgi *a)
{
    while (a->nspare_drive > 0) {
        Py_DECREF((PyObject *)a->spare_drive[--a->nspare_drive]);
    }
}

static int
call_task(PyObject *function, PyObject *loop, PyObject *task)
{
    PyObject *args[3] = {NULL, loop, task};
    py_auto *done = PyObject_Vectorcall(
        function, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    return done != NULL ? 0 : -1;
}

/* Ours, that the application entered another one meanwhile or not. */
static void
leave_context(PyObject *context)
{
    if (PyContext_Exit(context) < 0) {
        PyErr_Clear(); /* the application left another one behind */
    }
}

/* It waits: its task becomes one that the loop knows. From 3.12 on the task
 * takes its first step at once, and enters the context by itself. */
static void
keep_waiting(DriveObject *d, PyObject *task, PyObject *yielded)
{
    d->state = yielded != Py_None ? DRIVE_HELD : DRIVE_YIELD;
    d->held = yielded != Py_None ? yielded : NULL;
    if (yielded == Py_None) {
        Py_DECREF(yielded);
    }
    RequestObject *r = d->request;
    Py_XSETREF(r->task, py_new(task));
    cg_asgi_tick_soon(r->asgi);
    if (cg_task_settle(task, d->state == DRIVE_HELD) < 0) {
        PyErr_WriteUnraisable(task);
    }
}

/* The first step, as the loop's current task; consumes the exception of one
 * that was cancelled. */
static PySendResult
step_as(struct cg_asgi *a, PyObject *task, DriveObject *d, PyObject **ret)
{
    PySendResult what = cg_drive_send((PyObject *)d, Py_None, ret);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (call_task(a->leave_task, a->loop, task) < 0) {
        PyErr_WriteUnraisable(task);
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return what;
}

/* Under a task that nobody has seen, in a context of its own. */
static int
start_lazily(struct cg_asgi *a, DriveObject *d, PyObject *context)
{
    PyObject *result = NULL;
    py_auto *task = cg_task_take(a, d, context);
    if (task == NULL || PyContext_Enter(context) < 0) {
        return -1;
    }
    if (call_task(a->enter_task, a->loop, task) < 0) {
        leave_context(context);
        return -1;
    }
    PySendResult what = step_as(a, task, d, &result);
    leave_context(context);
    if (what == PYGEN_NEXT) {
        keep_waiting(d, task, result);
        return 0;
    }
    Py_XDECREF(result);
    cg_task_give(a, py_take(&task));
    return 0;
}

static void
keep_task(DriveObject *d, PyObject *task)
{
    if (d->request != NULL) {
        cg_asgi_tick_soon(d->request->asgi);
        Py_XSETREF(d->request->task, py_new(task));
    }
}

/* By the loop's own means: it copies the context that it finds. */
static int
start_as_task(struct cg_asgi *a, DriveObject *d, PyObject *context)
{
    if (PyContext_Enter(context) < 0) {
        return -1;
    }
    py_auto *task = PyObject_CallOneArg(a->create_task, (PyObject *)d);
    if (task != NULL) {
        keep_task(d, task);
    }
    leave_context(context);
    return task != NULL ? 0 : -1;
}

/* It never got as far as its first step. */
static void
give_up(DriveObject *d)
{
    PyObject *unused = NULL;
    if (d->request != NULL) {
        end(d, PYGEN_ERROR, &unused);
    }
    Py_XDECREF(unused);
    PyErr_Clear();
}

void
cg_drive_start(RequestObject *r, PyObject *scope)
{
    struct cg_asgi *a = r->asgi;
    DriveObject *d = take_drive(r, scope);
    py_auto *context = PyContext_Copy(a->context);
    if (d == NULL || context == NULL) {
        cg_asgi_finish(r, -1);
        Py_XDECREF((PyObject *)d);
        return;
    }
    int e =
        a->lazy ? start_lazily(a, d, context) : start_as_task(a, d, context);
    if (e < 0) {
        give_up(d);
    }
    give_drive(a, d);
}
