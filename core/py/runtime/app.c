/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/app.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/ref.h"

struct cg_app {
    PyObject *callable;
};

PyObject *
cg_glue_get(const char *module, const char *name)
{
    py_auto *m = PyImport_ImportModule(module);
    return m != NULL ? PyObject_GetAttrString(m, name) : NULL;
}

bool
cg_app_module_exists(const char *name)
{
    py_auto *find = cg_glue_get("importlib.util", "find_spec");
    py_auto *spec =
        find != NULL ? PyObject_CallFunction(find, "s", name) : NULL;
    PyErr_Clear(); /* what cannot be looked for is not there */
    return spec != NULL && spec != Py_None;
}

/* AppError of the embedded source: its status, and the traceback of what
 * caused it. */
static int
take_app_error(struct cg_error *err, struct cg_buf *traceback)
{
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    PyErr_NormalizeException(&t, &v, &tb);
    py_auto *type = t;
    py_auto *value = v;
    py_auto *trace = tb;
    py_auto *status = PyObject_GetAttrString(value, "status");
    if (status == NULL) { /* not ours: a fault in the loader itself */
        PyErr_Clear();
        PyErr_Restore(py_take(&type), py_take(&value), py_take(&trace));
        cg_py_error(err, traceback);
        return CG_EXIT_BOOT;
    }
    py_auto *cause = PyException_GetCause(value);
    if (cause != NULL) {
        struct cg_error ignored;
        PyErr_SetObject((PyObject *)Py_TYPE(cause), cause);
        cg_py_error(&ignored, traceback);
    }
    py_auto *text = PyObject_Str(value);
    const char *s = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    cg_error_set(err, ENOENT, "%s", s != NULL ? s : "cannot be loaded");
    PyErr_Clear();
    return (int)PyLong_AsLong(status);
}

int
cg_app_load(const char *spec, struct cg_app **ret_app, struct cg_error *err,
            struct cg_buf *traceback)
{
    py_auto *load = cg_glue_get("_cgunicorn_glue.app", "load");
    py_auto *callable =
        load != NULL
            ? PyObject_CallFunction(load, "N", PyUnicode_DecodeFSDefault(spec))
            : NULL;
    return cg_app_take(callable, ret_app, err, traceback);
}

int
cg_app_take(PyObject *callable, struct cg_app **ret_app, struct cg_error *err,
            struct cg_buf *traceback)
{
    if (callable == NULL) {
        return take_app_error(err, traceback);
    }
    struct cg_app *app = cg_calloc(1, sizeof *app);
    app->callable = py_new(callable);
    *ret_app = app;
    return 0;
}

void
cg_app_replace(struct cg_app *app, PyObject *callable)
{
    Py_INCREF(callable);
    Py_SETREF(app->callable, callable);
}

void
cg_app_free(struct cg_app *app)
{
    if (app != NULL) {
        Py_CLEAR(app->callable);
        free(app);
    }
}

PyObject *
cg_app_callable(struct cg_app *app)
{
    return app->callable;
}

int
cg_app_check_kind(struct cg_app *app, bool asgi, struct cg_error *err)
{
    py_auto *check = cg_glue_get("_cgunicorn_glue.app", "check_kind");
    py_auto *wrong =
        check != NULL
            ? PyObject_CallFunctionObjArgs(check, app->callable,
                                           asgi ? Py_True : Py_False, NULL)
            : NULL;
    const char *text =
        wrong != NULL && wrong != Py_None ? PyUnicode_AsUTF8(wrong) : NULL;
    PyErr_Clear();
    return text != NULL ? cg_error_set(err, EINVAL, "%s", text) : 0;
}

bool
cg_app_is_asgi(struct cg_app *app)
{
    py_auto *ask = cg_glue_get("_cgunicorn_glue.app", "is_asgi");
    py_auto *yes = ask != NULL ? PyObject_CallOneArg(ask, app->callable) : NULL;
    PyErr_Clear();
    return yes == Py_True;
}

void
cg_app_threads(struct cg_buf *out)
{
    py_auto *names = NULL;
    py_auto *list = cg_glue_get("_cgunicorn_glue.app", "other_threads");
    names = list != NULL ? PyObject_CallNoArgs(list) : NULL;
    const char *text = names != NULL ? PyUnicode_AsUTF8(names) : NULL;
    cg_buf_puts(out, text != NULL ? text : "");
    PyErr_Clear();
}

int
cg_app_files(struct cg_buf *out)
{
    py_auto *make = cg_glue_get("_cgunicorn_glue.app", "loaded_files");
    py_auto *bytes = make != NULL ? PyObject_CallNoArgs(make) : NULL;
    if (bytes == NULL || !PyBytes_Check(bytes)) {
        PyErr_Clear();
        return -EINVAL;
    }
    cg_buf_put(out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    return 0;
}

void
cg_app_freeze(void)
{
    py_auto *gc = PyImport_ImportModule("gc");
    py_auto *collected =
        gc != NULL ? PyObject_CallMethod(gc, "collect", NULL) : NULL;
    py_auto *frozen =
        collected != NULL ? PyObject_CallMethod(gc, "freeze", NULL) : NULL;
    PyErr_Clear();
    (void)frozen;
}

/* ---- reload, spew ---- */

static PyObject *
strings_of(const char *const *items)
{
    py_auto *list = PyList_New(0);
    for (; list != NULL && *items != NULL; items++) {
        py_auto *item = PyUnicode_DecodeFSDefault(*items);
        if (item == NULL || PyList_Append(list, item) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

int
cg_app_places(const char *const *extra, const char *config, struct cg_buf *out,
              struct cg_error *err)
{
    py_auto *ask = cg_glue_get("_cgunicorn_glue.reload", "places");
    py_auto *list = ask != NULL ? strings_of(extra) : NULL;
    py_auto *bytes =
        list != NULL ? PyObject_CallFunction(ask, "Os", list, config) : NULL;
    if (bytes == NULL || !PyBytes_Check(bytes)) {
        cg_py_error(err, NULL);
        return err->code != 0 ? err->code : -EINVAL;
    }
    cg_buf_put(out, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    return 0;
}

struct cg_app *
cg_app_fault(struct cg_slice text)
{
    py_auto *class = cg_glue_get("_cgunicorn_glue.reload", "Fault");
    py_auto *shown =
        PyUnicode_DecodeUTF8(text.p, (Py_ssize_t)text.n, "replace");
    py_auto *fault = class != NULL && shown != NULL
                         ? PyObject_CallOneArg(class, shown)
                         : NULL;
    PyErr_Clear();
    if (fault == NULL) {
        return NULL;
    }
    struct cg_app *app = cg_calloc(1, sizeof *app);
    app->callable = py_new(fault);
    return app;
}

bool
cg_app_show_faults(struct cg_app *app, bool asgi)
{
    py_auto *wrap = cg_glue_get("_cgunicorn_glue.dev", "wrap");
    py_auto *wrapped =
        wrap != NULL ? PyObject_CallFunctionObjArgs(
                           wrap, app->callable, asgi ? Py_True : Py_False, NULL)
                     : NULL;
    PyErr_Clear();
    if (wrapped != NULL) {
        cg_app_replace(app, wrapped);
    }
    return wrapped != NULL;
}

int
cg_app_spew(struct cg_error *err)
{
    py_auto *start = cg_glue_get("_cgunicorn_glue.spew", "start");
    py_auto *done = start != NULL ? PyObject_CallNoArgs(start) : NULL;
    if (done == NULL) {
        cg_py_error(err, NULL);
        return err->code != 0 ? err->code : -EINVAL;
    }
    return 0;
}
