/* SPDX-License-Identifier: MIT */
#include "core/py/thread.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "core/py/ref.h"

static const char capsule_name[] = "cgunicorn.thread";

struct body {
    void (*call)(void *arg);
    void *arg;
};

static void
free_body(PyObject *capsule)
{
    free(PyCapsule_GetPointer(capsule, capsule_name));
}

static PyObject *
run(PyObject *self, PyObject *unused)
{
    const struct body *b = PyCapsule_GetPointer(self, capsule_name);
    if (b == NULL) {
        return NULL;
    }
    b->call(b->arg);
    Py_RETURN_NONE;
}

static PyMethodDef run_def = {"executor", run, METH_NOARGS,
                              "Runs requests until the worker ends."};

static PyObject *
make_target(void (*call)(void *arg), void *arg)
{
    struct body *b = cg_calloc(1, sizeof *b);
    *b = (struct body){call, arg};
    py_auto *capsule = PyCapsule_New(b, capsule_name, free_body);
    if (capsule == NULL) {
        free(b);
        return NULL;
    }
    return PyCFunction_New(&run_def, capsule);
}

static int
start(const char *name, PyObject *target)
{
    py_auto *module = PyImport_ImportModule("threading");
    py_auto *type =
        module != NULL ? PyObject_GetAttrString(module, "Thread") : NULL;
    py_auto *kw = Py_BuildValue("{s:O,s:s}", "target", target, "name", name);
    py_auto *none = PyTuple_New(0);
    py_auto *thread = type != NULL && kw != NULL && none != NULL
                          ? PyObject_Call(type, none, kw)
                          : NULL;
    py_auto *done =
        thread != NULL ? PyObject_CallMethod(thread, "start", NULL) : NULL;
    return done != NULL ? 0 : -1;
}

int
cg_py_thread_start(const char *name, void (*body)(void *arg), void *arg,
                   struct cg_error *err)
{
    py_auto *target = make_target(body, arg);
    if (target == NULL || start(name, target) < 0) {
        cg_py_error(err, NULL);
        return cg_error_prefix(err, "cannot start a thread (a limit on "
                                    "processes or memory?)");
    }
    return 0;
}
