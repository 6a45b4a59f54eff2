/* SPDX-License-Identifier: MIT */
#include "core/py/compat/written.h"

#include "config/table.h"
#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/written_internal.h"
#include "core/py/runtime/convert.h"

static PyObject *
object_of(void *opaque)
{
    return (PyObject *)opaque;
}

/* ---- settings ---- */

/* Python has another form of it, so it stays what it was. */
static bool
is_foreign(const char *name)
{
    return strcmp(name, "statsd_host") == 0;
}

static int
take_setting(struct cg_settings *s, PyObject *pair, struct cg_error *err)
{
    const char *name;
    PyObject *value; /* borrowed from the pair */
    struct cg_value v;
    if (!PyArg_ParseTuple(pair, "sO", &name, &value)) {
        return cg_py_error(err, NULL);
    }
    int id = cg_setting_find(name);
    if (id < 0 || is_foreign(name)) {
        return 0;
    }
    if (cg_value_from_python(value, &v) < 0) {
        return cg_py_error(err, NULL);
    }
    int r = cg_settings_set(s, (enum cg_setting_id)id, v, CG_LAYER_CLI,
                            "cfg.set() of a hook", err);
    if (r < 0) {
        cg_value_release(&v);
    }
    return r;
}

int
cg_py_settings_follow(struct cg_py_server *server, struct cg_settings *s,
                      struct cg_log *log)
{
    struct cg_error err = {0};
    int n = 0;
    py_auto *cfg = PyObject_GetAttrString(object_of(server), "cfg");
    py_auto *list =
        cfg != NULL ? PyObject_CallMethod(cfg, "_written", NULL) : NULL;
    if (list == NULL || !PyList_Check(list)) {
        PyErr_Clear(); /* a hook has put something else there */
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        py_auto *pair = py_list_get(list, i);
        if (take_setting(s, pair, &err) < 0) {
            cg_log_line(log, CG_ERROR, "%s", err.text);
        } else {
            n++;
        }
    }
    return n;
}

static PyObject *
validate(PyObject *self, PyObject *args)
{
    const char *name;
    PyObject *value; /* borrowed from the arguments */
    struct cg_value v;
    struct cg_error err = {0};
    if (!PyArg_ParseTuple(args, "sO", &name, &value)) {
        return NULL;
    }
    int id = cg_setting_find(name);
    if (id < 0 || is_foreign(name)) {
        return py_new(value);
    }
    if (cg_value_from_python(value, &v) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    if (cg_validate(&cg_rows[id], &v, &err) < 0) {
        PyErr_SetString(PyExc_ValueError, err.text);
    } else {
        result = cg_value_to_python(&v);
    }
    cg_value_release(&v);
    return result;
}

/* ---- the worker ---- */

uint64_t
cg_py_worker_limit(struct cg_py_worker *w)
{
    py_auto *limit = PyObject_CallMethod(object_of(w), "limit", NULL);
    uint64_t n = limit != NULL ? PyLong_AsUnsignedLongLong(limit) : 0;
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return n;
}

static PyObject *
requests(PyObject *self, PyObject *unused)
{
    const struct cg_worker_calls *c = cg_hook_worker_calls();
    return PyLong_FromUnsignedLongLong(
        c->requests != NULL ? c->requests(c->self) : 0);
}

static PyObject *
limit_requests(PyObject *self, PyObject *count)
{
    const struct cg_worker_calls *c = cg_hook_worker_calls();
    unsigned long long n = PyLong_AsUnsignedLongLong(count);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (c->limit_requests != NULL) {
        c->limit_requests(c->self, n);
    }
    Py_RETURN_NONE;
}

static PyObject *
set_application(PyObject *self, PyObject *callable)
{
    const struct cg_worker_calls *c = cg_hook_worker_calls();
    if (c->set_app != NULL) {
        c->set_app(c->self, callable);
    }
    Py_RETURN_NONE;
}

/* ---- the application ---- */

int
cg_py_worker_load(struct cg_py_worker *w, struct cg_app **ret_app,
                  struct cg_error *err, struct cg_buf *traceback)
{
    py_auto *done = PyObject_CallMethod(object_of(w), "load_wsgi", NULL);
    py_auto *app =
        done != NULL ? PyObject_GetAttrString(object_of(w), "wsgi") : NULL;
    return cg_app_take(app, ret_app, err, traceback);
}

int
cg_py_server_load(struct cg_py_server *server, struct cg_app **ret_app,
                  struct cg_error *err, struct cg_buf *traceback)
{
    py_auto *holder = PyObject_GetAttrString(object_of(server), "app");
    py_auto *app =
        holder != NULL ? PyObject_CallMethod(holder, "wsgi", NULL) : NULL;
    return cg_app_take(app, ret_app, err, traceback);
}

void
cg_py_server_forget_app(struct cg_py_server *server)
{
    py_auto *holder = PyObject_GetAttrString(object_of(server), "app");
    if (holder != NULL) {
        PyObject_SetAttrString(holder, "callable", Py_None);
    }
    PyErr_Clear();
}

void
cg_py_worker_take_app(struct cg_py_worker *w, struct cg_app *app)
{
    py_auto *callable = PyObject_GetAttrString(object_of(w), "wsgi");
    if (callable != NULL && callable != Py_None) { /* else a page stands in */
        cg_app_replace(app, callable);
    }
    PyErr_Clear();
}

/* ---- the server ---- */

static PyObject *
set_timeout(PyObject *self, PyObject *seconds)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    double s = PyFloat_AsDouble(seconds);
    if (s == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (!(s >= 0 && s <= INT32_MAX)) {
        PyErr_SetString(PyExc_ValueError, "timeout is out of range");
        return NULL;
    }
    if (c->set_timeout != NULL) {
        c->set_timeout(c->self, (uint64_t)(s * 1000));
    }
    Py_RETURN_NONE;
}

static PyObject *
handle_signal(PyObject *self, PyObject *number)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (c->handle_signal != NULL) {
        c->handle_signal(c->self, (int)n);
    }
    Py_RETURN_NONE;
}

PyMethodDef cg_written_methods[] = {
    {"validate", validate, METH_VARARGS,
     "validate(name, value) -> the setting's value, or ValueError"},
    {"requests", requests, METH_NOARGS, "requests() that this worker has had"},
    {"limit_requests", limit_requests, METH_O,
     "limit_requests(n): after how many it is replaced; 0: never"},
    {"set_application", set_application, METH_O,
     "set_application(callable): from the next request on"},
    {"set_timeout", set_timeout, METH_O, "set_timeout(seconds) of the master"},
    {"handle_signal", handle_signal, METH_O,
     "handle_signal(number): what the master does when it comes"},
    {NULL, NULL, 0, NULL}};
