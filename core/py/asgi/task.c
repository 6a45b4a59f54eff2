/* SPDX-License-Identifier: MIT */
/*
 * A task that is made when somebody needs it. Most requests end in their first
 * step; asyncio must still answer "which task is this?" with something that is
 * an asyncio.Task. So each gets an instance of a subclass that was not
 * initialised. Whoever reads an attribute of it, and the first wait, has it
 * initialised: from then on it is a task like others.
 *
 * Where the base is not CPython's own, or does other things, requests run in
 * tasks of the loop's create_task.
 */
#include <string.h>

#include "core/base/memory.h"
#include "core/py/asgi/internal.h"

/* Behind the base's own fields. */
struct tail {
    DriveObject *drive; /* owned; NULL once it is given back */
    PyObject *context;
    bool settled;
};

/* The type's functions have no bridge to ask: a worker has one. */
static struct cg_asgi *the_bridge;

static struct tail *
tail_of(PyObject *task)
{
    return (struct tail *)(void *)((char *)task + the_bridge->task_tail);
}

static PyTypeObject *
base_of(void)
{
    return the_bridge->task_base;
}

/* ---- becoming a task ---- */

static PyObject *
arguments(const struct tail *t, bool now)
{
    py_auto *kw = PyDict_New();
    if (kw == NULL || PyDict_SetItemString(kw, "loop", the_bridge->loop) < 0 ||
        PyDict_SetItemString(kw, "context", t->context) < 0) {
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030C0000
    if (now && PyDict_SetItemString(kw, "eager_start", Py_True) < 0) {
        return NULL;
    }
#endif
    return py_take(&kw);
}

int
cg_task_settle(PyObject *task, bool now)
{
    if (the_bridge == NULL || !Py_IS_TYPE(task, the_bridge->task_type)) {
        return 0;
    }
    struct tail *t = tail_of(task);
    py_held(task);
    if (t->settled || t->drive == NULL) {
        return 0;
    }
    t->settled = true;
    py_auto *kw = arguments(t, now);
    py_auto *args = PyTuple_Pack(1, (PyObject *)t->drive);
    return kw != NULL && args != NULL ? base_of()->tp_init(task, args, kw) : -1;
}

static PyObject *
Task_getattro(PyObject *self, PyObject *name)
{
    const struct tail *t = tail_of(self);
    bool quiet = t->settled || t->drive == NULL ||
                 PyUnicode_CompareWithASCIIString(name, "get_coro") == 0 ||
                 PyUnicode_CompareWithASCIIString(name, "__class__") == 0;
    if (!quiet && cg_task_settle(self, false) < 0) {
        return NULL;
    }
    return PyObject_GenericGetAttr(self, name);
}

static PyObject *
Task_repr(PyObject *self)
{
    return cg_task_settle(self, false) == 0 ? base_of()->tp_repr(self) : NULL;
}

static PyObject *
Task_get_coro(PyObject *self, PyObject *unused)
{
    const struct tail *t = tail_of(self);
    return py_new(t->drive != NULL && t->drive->coro != NULL ? t->drive->coro
                                                             : Py_None);
}

/* ---- its life ---- */

static bool
base_is_static(void)
{
    return (base_of()->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0;
}

static int
Task_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct tail *t = tail_of(self);
    Py_VISIT(t->drive);
    Py_VISIT(t->context);
    if (base_is_static()) { /* else the base's does */
        Py_VISIT(Py_TYPE(self));
    }
    return base_of()->tp_traverse(self, visit, arg);
}

static int
Task_clear(PyObject *self)
{
    struct tail *t = tail_of(self);
    Py_CLEAR(t->drive);
    Py_CLEAR(t->context);
    return base_of()->tp_clear(self);
}

static void
Task_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    bool is_static = base_is_static();
    struct tail *t = tail_of(self);
    /* the base runs its finaliser for its own type only */
    if (t->settled && PyObject_CallFinalizerFromDealloc(self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    Py_CLEAR(t->drive);
    Py_CLEAR(t->context);
    base_of()->tp_dealloc(self);
    if (is_static) {
        Py_DECREF(type);
    }
}

static PyMethodDef Task_methods[] = {
    {"get_coro", Task_get_coro, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};

static PyType_Slot Task_slots[] = {{Py_tp_getattro, Task_getattro},
                                   {Py_tp_repr, Task_repr},
                                   {Py_tp_methods, Task_methods},
                                   {Py_tp_traverse, Task_traverse},
                                   {Py_tp_clear, Task_clear},
                                   {Py_tp_dealloc, Task_dealloc},
                                   {0, NULL}};

static int
make_type(struct cg_asgi *a)
{
    a->task_tail = (a->task_base->tp_basicsize + 15) & ~15;
    PyType_Spec spec = {
        .name = "cgunicorn.RequestTask",
        .basicsize = (int)(a->task_tail + (Py_ssize_t)sizeof(struct tail)),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .slots = Task_slots,
    };
    py_auto *bases = PyTuple_Pack(1, (PyObject *)a->task_base);
    if (bases == NULL) {
        return -1;
    }
    a->task_type = (PyTypeObject *)PyType_FromSpecWithBases(&spec, bases);
    return a->task_type != NULL ? 0 : -1;
}

/* Whether an instance that was not initialised is known to be harmless: the
 * versions of CPython that this was tried with, and asyncio as it comes. */
static int
can_be_lazy(struct cg_asgi *a)
{
    py_auto *factory = PyObject_CallMethod(a->loop, "get_task_factory", NULL);
    py_auto *debug = factory != NULL
                         ? PyObject_CallMethod(a->loop, "get_debug", NULL)
                         : NULL;
    if (debug == NULL) {
        return -1;
    }
    py_auto *c_module = PyImport_ImportModule("_asyncio");
    py_auto *c_task =
        c_module != NULL ? PyObject_GetAttrString(c_module, "Task") : NULL;
    PyErr_Clear();
    bool known = PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x03100000;
    return known && factory == Py_None && PyObject_IsTrue(debug) == 0 &&
           c_task == (PyObject *)a->task_base;
}

int
cg_task_choose(struct cg_asgi *a)
{
    int lazy = can_be_lazy(a);
    if (lazy > 0 && a->task_type == NULL) {
        the_bridge = a;
        lazy = make_type(a) < 0 ? -1 : 1;
    }
    a->lazy = lazy > 0;
    return lazy < 0 ? -1 : 0;
}

int
cg_task_init(struct cg_asgi *a)
{
    py_auto *asyncio = PyImport_ImportModule("asyncio");
    py_auto *tasks = PyImport_ImportModule("asyncio.tasks");
    if (asyncio == NULL || tasks == NULL) {
        return -1;
    }
    a->cancelled_error = PyObject_GetAttrString(asyncio, "CancelledError");
    a->task_base = (PyTypeObject *)PyObject_GetAttrString(asyncio, "Task");
    a->enter_task = PyObject_GetAttrString(tasks, "_enter_task");
    a->leave_task = PyObject_GetAttrString(tasks, "_leave_task");
    if (a->cancelled_error == NULL || a->task_base == NULL ||
        a->enter_task == NULL || a->leave_task == NULL) {
        return -1;
    }
    return cg_task_choose(a);
}

/* Tasks may outlive the bridge: the type's functions need what they look up. */
void
cg_task_release(struct cg_asgi *a)
{
    while (a->nspare_task > 0) {
        Py_DECREF(a->spare_task[--a->nspare_task]);
    }
    Py_CLEAR(a->cancelled_error);
    Py_CLEAR(a->enter_task);
    Py_CLEAR(a->leave_task);
}

/* ---- taking and giving ---- */

PyObject *
cg_task_take(struct cg_asgi *a, DriveObject *d, PyObject *context)
{
    PyObject *task = a->nspare_task > 0
                         ? a->spare_task[--a->nspare_task]
                         : a->task_type->tp_alloc(a->task_type, 0);
    if (task != NULL) {
        struct tail *t = tail_of(task);
        t->drive = (DriveObject *)py_new((PyObject *)d);
        t->context = py_new(context);
        t->settled = false;
    }
    return task;
}

/* Nobody has it, hangs on it, or has put anything into it. */
static bool
is_fresh(PyObject *task)
{
    const PyTypeObject *type = Py_TYPE(task);
    if (!py_is_only(task, 1) || tail_of(task)->settled ||
        type->tp_weaklistoffset <= 0 || type->tp_dictoffset <= 0) {
        return false;
    }
    PyObject *const *weak = (void *)((char *)task + type->tp_weaklistoffset);
    PyObject *const *dict = (void *)((char *)task + type->tp_dictoffset);
    return *weak == NULL && (*dict == NULL || PyDict_GET_SIZE(*dict) == 0);
}

void
cg_task_give(struct cg_asgi *a, PyObject *task)
{
    if (is_fresh(task) && a->nspare_task < SPARES) {
        struct tail *t = tail_of(task);
        Py_CLEAR(t->drive);
        Py_CLEAR(t->context);
        a->spare_task[a->nspare_task++] = task;
        return;
    }
    Py_DECREF(task);
}
