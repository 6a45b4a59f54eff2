/* SPDX-License-Identifier: MIT */
/* The timer: requests that wait are looked after, once a second. */
#include "core/base/clock.h"
#include "core/py/asgi/internal.h"
#include "core/py/compat/logger.h"

/* Any of them may leave the ring meanwhile. */
void
cg_asgi_each(struct cg_asgi *a, void (*call)(RequestObject *r, uint64_t now),
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
    cg_asgi_each(a, a->look_after, now);
    cg_asgi_log_held_frames(a);
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

PyObject *
cg_asgi_timer_new(struct cg_asgi *a)
{
    py_auto *capsule = PyCapsule_New(a, "cgunicorn.asgi", NULL);
    return capsule != NULL ? PyCFunction_New(&tick_def, capsule) : NULL;
}
