/* SPDX-License-Identifier: MIT */
#include "core/py/compat/python_worker.h"

#include <fcntl.h>
#include <string.h>

#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/python_worker_internal.h"
#include "core/py/runtime/convert.h"
#include "core/py/runtime/gil.h"
#include "core/py/runtime/ref.h"

static struct cg_python_worker_calls calls; /* of the one worker here */

static PyObject *
object_of(void *opaque)
{
    return (PyObject *)opaque;
}

static PyObject *
glue(const char *name)
{
    return cg_glue_get("_cgunicorn_glue.python_worker", name);
}

/* ---- in the master ---- */

/* What the glue raises as RuntimeError is the whole text. */
static int
explain(struct cg_error *err)
{
    static const char kind[] = "RuntimeError: ";
    int r = cg_py_error(err, NULL);
    if (strncmp(err->text, kind, sizeof kind - 1) == 0) {
        memmove(err->text, err->text + sizeof kind - 1,
                strlen(err->text) - sizeof kind + 2);
    }
    return r;
}

int
cg_python_worker_check(const struct cg_settings *s, struct cg_error *err)
{
    CG_HAS_GIL();
    py_auto *check = glue("check");
    py_auto *value = cg_value_to_python(cg_settings_value(s, CG_worker_class));
    py_auto *done = check != NULL && value != NULL
                        ? PyObject_CallFunctionObjArgs(check, value, NULL)
                        : NULL;
    return done != NULL ? 0 : explain(err);
}

bool
cg_python_worker_is_named(const char *name)
{
    CG_HAS_GIL();
    py_auto *is_named = glue("is_named");
    py_auto *found =
        is_named != NULL ? PyObject_CallFunction(is_named, "s", name) : NULL;
    PyErr_Clear();
    return found == Py_True;
}

struct cg_py_worker *
cg_python_worker_new(struct cg_py_server *server, int age, struct cg_error *err)
{
    CG_HAS_GIL();
    py_auto *make = glue("make");
    PyObject *w =
        make != NULL ? PyObject_CallFunction(make, "Oi", object_of(server), age)
                     : NULL;
    if (w == NULL) {
        explain(err);
    }
    return (struct cg_py_worker *)(void *)w;
}

int
cg_python_worker_beat_fd(struct cg_py_worker *w)
{
    CG_HAS_GIL();
    py_auto *tmp = PyObject_GetAttrString(object_of(w), "tmp");
    py_auto *number =
        tmp != NULL ? PyObject_CallMethod(tmp, "fileno", NULL) : NULL;
    long fd = number != NULL ? PyLong_AsLong(number) : -1;
    PyErr_Clear();
    return fd >= 0 ? fcntl((int)fd, F_DUPFD_CLOEXEC, 3) : -1;
}

void
cg_python_worker_bury(struct cg_py_worker *w)
{
    CG_HAS_GIL();
    py_auto *tmp = PyObject_GetAttrString(object_of(w), "tmp");
    if (tmp != NULL) {
        Py_XDECREF(PyObject_CallMethod(tmp, "close", NULL));
    }
    PyErr_Clear();
}

/* ---- in the worker ---- */

int
cg_python_worker_run(struct cg_py_server *server, struct cg_py_worker *w,
                     const struct cg_python_worker_calls *c)
{
    CG_HAS_GIL();
    struct cg_error err = {0};
    calls = *c;
    py_auto *run = glue("run");
    py_auto *status = run != NULL
                          ? PyObject_CallFunctionObjArgs(run, object_of(server),
                                                         object_of(w), NULL)
                          : NULL;
    long code = status != NULL ? PyLong_AsLong(status) : -1;
    if (PyErr_Occurred()) {
        cg_py_error(&err, NULL);
        calls.failed(calls.self, err.text);
        code = CG_EXIT_BOOT;
    }
    calls = (struct cg_python_worker_calls){0};
    return (int)(code & 0xff);
}

static PyObject *
worker_ready(PyObject *self, PyObject *unused)
{
    if (calls.ready != NULL) {
        calls.ready(calls.self);
    }
    Py_RETURN_NONE;
}

static PyObject *
worker_failed(PyObject *self, PyObject *text)
{
    py_auto *bytes =
        PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (bytes == NULL) {
        return NULL;
    }
    if (calls.failed != NULL) {
        calls.failed(calls.self, PyBytes_AS_STRING(bytes));
    }
    Py_RETURN_NONE;
}

static PyObject *
worker_counted(PyObject *self, PyObject *number)
{
    unsigned long long requests = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (calls.counted != NULL) {
        calls.counted(calls.self, requests);
    }
    Py_RETURN_NONE;
}

PyMethodDef cg_python_worker_methods[] = {
    {"worker_ready", worker_ready, METH_NOARGS,
     "worker_ready(): a worker of a class written in Python serves"},
    {"worker_failed", worker_failed, METH_O,
     "worker_failed(text): it does not start"},
    {"worker_counted", worker_counted, METH_O,
     "worker_counted(number): requests that it has begun"},
    {NULL, NULL, 0, NULL}};
