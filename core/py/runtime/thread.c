/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/thread.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/ref.h"

static const char capsule_name[] = "cgunicorn.thread";

enum { NEW, BEGUN, CALLED_OFF };

struct body {
    void (*call)(void *arg);
    void *arg;
    _Atomic int state; /* NEW, then one of the others for good */
};

static void
free_body(PyObject *capsule)
{
    free(PyCapsule_GetPointer(capsule, capsule_name));
}

static PyObject *
run(PyObject *self, PyObject *unused)
{
    struct body *b = PyCapsule_GetPointer(self, capsule_name);
    if (b == NULL) {
        return NULL;
    }
    int state = NEW;
    if (atomic_compare_exchange_strong(&b->state, &state, BEGUN)) {
        b->call(b->arg);
    }
    Py_RETURN_NONE;
}

static PyMethodDef run_def = {"executor", run, METH_NOARGS,
                              "Runs requests until the worker ends."};

/* As long as the result lives so does *ret_body. */
static PyObject *
make_target(void (*call)(void *arg), void *arg, struct body **ret_body)
{
    struct body *b = cg_calloc(1, sizeof *b);
    *b = (struct body){.call = call, .arg = arg};
    py_auto *capsule = PyCapsule_New(b, capsule_name, free_body);
    if (capsule == NULL) {
        free(b);
        return NULL;
    }
    *ret_body = b;
    return PyCFunction_New(&run_def, capsule);
}

static PyObject *
make_thread(const char *name, PyObject *target)
{
    py_auto *module = PyImport_ImportModule("threading");
    py_auto *type =
        module != NULL ? PyObject_GetAttrString(module, "Thread") : NULL;
    py_auto *kw = Py_BuildValue("{s:O,s:s}", "target", target, "name", name);
    py_auto *none = PyTuple_New(0);
    return type != NULL && kw != NULL && none != NULL
               ? PyObject_Call(type, none, kw)
               : NULL;
}

/* Of a thread that was not started, or that was while a signal's handler raised
 * something, mostly where Thread.start waits for it to begin. */
static int
fail(struct body *b, int *ret_exit, struct cg_error *err)
{
    if (cg_py_take_exit(ret_exit)) {
        return cg_error_set(err, EINTR, "it was told to end");
    }
    int r = cg_py_error(err, NULL), state = NEW;
    bool begun = b != NULL &&
                 !atomic_compare_exchange_strong(&b->state, &state, CALLED_OFF);
    return begun ? -EINTR : r;
}

int
cg_py_thread_start(const char *name, void (*body)(void *arg), void *arg,
                   int *ret_exit, struct cg_error *err)
{
    struct body *b = NULL;
    py_auto *target = make_target(body, arg, &b);
    py_auto *thread = target != NULL ? make_thread(name, target) : NULL;
    py_auto *done =
        thread != NULL ? PyObject_CallMethod(thread, "start", NULL) : NULL;
    int r = done != NULL ? 0 : fail(target != NULL ? b : NULL, ret_exit, err);
    if (r < 0 && r != -EINTR) {
        return cg_error_prefix(err, "cannot start a thread (a limit on "
                                    "processes or memory?)");
    }
    return r;
}
