/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/trace.h"

#include "core/py/runtime/ref.h"

static int
call_with(PyObject *f, PyObject *args, PyObject *kwargs)
{
    py_auto *done = f != NULL && args != NULL && kwargs != NULL
                        ? PyObject_Call(f, args, kwargs)
                        : NULL;
    return done != NULL ? 0 : -1;
}

static int
enable(PyObject *faulthandler, int fd)
{
    py_auto *enabled = PyObject_CallMethod(faulthandler, "is_enabled", NULL);
    if (enabled == NULL || enabled == Py_True) {
        return enabled != NULL ? 0 : -1;
    }
    py_auto *f = PyObject_GetAttrString(faulthandler, "enable");
    py_auto *args = PyTuple_New(0);
    py_auto *kwargs =
        Py_BuildValue("{s:i,s:O}", "file", fd, "all_threads", Py_True);
    return call_with(f, args, kwargs);
}

static int
listen(PyObject *faulthandler, int fd, int sig, PyObject *all_threads)
{
    py_auto *f = PyObject_GetAttrString(faulthandler, "register");
    py_auto *args = Py_BuildValue("(i)", sig);
    py_auto *kwargs =
        Py_BuildValue("{s:i,s:O}", "file", fd, "all_threads", all_threads);
    return call_with(f, args, kwargs);
}

int
cg_py_trace_start(int fd, int sig, struct cg_error *err)
{
    py_auto *faulthandler = PyImport_ImportModule("faulthandler");
    if (faulthandler == NULL || enable(faulthandler, fd) < 0) {
        return cg_py_error(err, NULL);
    }
    return listen(faulthandler, fd, sig, Py_True) < 0 ? cg_py_error(err, NULL)
                                                      : 0;
}

int
cg_py_trace_thread(int fd, int sig, struct cg_error *err)
{
    py_auto *faulthandler = PyImport_ImportModule("faulthandler");
    if (faulthandler == NULL || listen(faulthandler, fd, sig, Py_False) < 0) {
        return cg_py_error(err, NULL);
    }
    return 0;
}
