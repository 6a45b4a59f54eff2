/* SPDX-License-Identifier: MIT */
#include "core/py/config/config_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/secret.h"
#include "config/table.h"
#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/convert.h"
#include "core/py/runtime/ref.h"

static void
warn_unknown(const char *name, const char *source, struct cg_findings *f)
{
    const char *retired = cg_setting_retired(name);
    const char *near = retired == NULL ? cg_setting_suggest(name) : NULL;
    if (retired != NULL) {
        cg_findings_warn(f, "%s: %s", source, retired);
    } else if (near != NULL) { /* else an ordinary variable */
        cg_findings_warn(f,
                         "%s: '%s' is no setting and has no effect; did you "
                         "mean '%s'?",
                         source, name, near);
    }
}

/* A name that the file imported and that happens to be a setting's (a module
 * called `config`, a class) is no value. */
static bool
is_value(PyObject *value)
{
    return !PyModule_Check(value);
}

static int
apply_value(struct cg_settings *s, enum cg_setting_id id, PyObject *value,
            const char *source, struct cg_error *err)
{
    struct cg_value v;
    if (cg_value_from_python(value, &v) < 0) {
        cg_py_error(err, NULL);
        return cg_error_prefix(err, "%s: %s", source, cg_setting_name(id));
    }
    int r = cg_settings_set(s, id, v, CG_LAYER_FILE, source, err);
    if (r < 0) {
        cg_value_release(&v);
    }
    return r;
}

static void
apply_item(struct cg_settings *s, PyObject *item, struct cg_findings *f)
{
    const char *name, *source;
    PyObject *value; /* borrowed from the item */
    int own;
    struct cg_error err = {0};
    if (!PyArg_ParseTuple(item, "sOsp", &name, &value, &source, &own)) {
        cg_py_error(&err, NULL);
        cg_findings_problem(f, err.text);
        return;
    }
    int id = cg_setting_find(name);
    if (id < 0 && own) {
        warn_unknown(name, source, f);
    }
    if (id >= 0 && !own && cg_rows[id].ours) {
        return; /* gunicorn has no such setting: a name that was imported */
    }
    if (id >= 0 && is_value(value) &&
        apply_value(s, (enum cg_setting_id)id, value, source, &err) < 0) {
        cg_findings_problem(f, err.text);
    }
}

static int
failed_to_run(const char *path, int *ret_exit, struct cg_findings *f)
{
    if (cg_py_take_exit(ret_exit)) {
        return -ECANCELED;
    }
    cg_auto(buf) struct cg_buf traceback = {0};
    struct cg_error line = {0};
    cg_py_error(&line, &traceback);
    while (traceback.n > 0 && traceback.p[traceback.n - 1] == '\n') {
        traceback.n--;
    }
    cg_auto(free) char *text = cg_strf("Failed to read config file: %s\n%s",
                                       path, cg_buf_str(&traceback));
    cg_findings_problem(f, text);
    return -EINVAL;
}

static int
read_python(void *self, const char *path, bool is_module, struct cg_settings *s,
            int *ret_exit, struct cg_findings *f)
{
    py_auto *read = cg_glue_get("_cgunicorn_glue.config",
                                is_module ? "read_module" : "read_file");
    py_auto *items =
        read != NULL
            ? PyObject_CallFunction(read, "N", PyUnicode_DecodeFSDefault(path))
            : NULL;
    if (items == NULL) {
        return failed_to_run(path, ret_exit, f);
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        py_auto *item = py_list_get(items, i);
        apply_item(s, item, f);
    }
    return 0;
}

/* A program that embeds the server: it has its own idea of files. */
static int
read_program(void *self, const char *path, bool is_module,
             struct cg_settings *s, int *ret_exit, struct cg_findings *f)
{
    py_auto *items = PyObject_CallFunctionObjArgs(self, NULL);
    if (items == NULL) {
        return failed_to_run("the application's configuration", ret_exit, f);
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        py_auto *item = py_list_get(items, i);
        apply_item(s, item, f);
    }
    return 0;
}

struct cg_python_reader
cg_python_program_reader(void *settings)
{
    return (struct cg_python_reader){.read = read_program, .self = settings};
}

struct cg_python_reader
cg_python_config_reader(void)
{
    return (struct cg_python_reader){.read = read_python, .self = NULL};
}

/* ---- to YAML ---- */

static PyObject *
setting_names(void)
{
    py_auto *names = PyList_New(0);
    for (int id = 0; names != NULL && id < CG_SETTING_COUNT; id++) {
        py_auto *name =
            PyUnicode_FromString(cg_setting_name((enum cg_setting_id)id));
        if (name == NULL || PyList_Append(names, name) < 0) {
            return NULL;
        }
    }
    return py_take(&names);
}

/* (text, [note, ...]) */
static int
take_converted(PyObject *result, struct cg_buf *out, struct cg_findings *f)
{
    const char *text;
    PyObject *notes; /* borrowed from the result */
    if (!PyArg_ParseTuple(result, "sO!", &text, &PyList_Type, &notes)) {
        return -1;
    }
    cg_buf_puts(out, text);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(notes); i++) {
        py_auto *note = py_list_get(notes, i);
        const char *line = PyUnicode_AsUTF8(note);
        if (line == NULL) {
            return -1;
        }
        cg_findings_warn(f, "%s", line);
    }
    return 0;
}

static PyObject *
hides(PyObject *show_secrets, PyObject *variable)
{
    if (show_secrets == Py_True) {
        Py_RETURN_FALSE;
    }
    py_auto *bytes = PyUnicode_EncodeFSDefault(variable);
    return bytes != NULL
               ? PyBool_FromLong(cg_secret_is_in(PyBytes_AS_STRING(bytes)))
               : NULL;
}

static PyMethodDef hides_method = {"hides", hides, METH_O, NULL};

int
cg_python_to_yaml(const char *path, bool show_secrets, struct cg_buf *out,
                  int *ret_exit, struct cg_findings *f)
{
    py_auto *convert = cg_glue_get("_cgunicorn_glue.to_yaml", "convert");
    py_auto *names = setting_names();
    py_auto *hides_function =
        PyCFunction_New(&hides_method, show_secrets ? Py_True : Py_False);
    py_auto *result = convert != NULL && names != NULL && hides_function != NULL
                          ? PyObject_CallFunction(
                                convert, "NOO", PyUnicode_DecodeFSDefault(path),
                                names, hides_function)
                          : NULL;
    if (result == NULL || take_converted(result, out, f) < 0) {
        return failed_to_run(path, ret_exit, f);
    }
    return 0;
}

/* ---- import strings of hooks ---- */

static int
resolve(struct cg_settings *s, enum cg_setting_id id, struct cg_error *err)
{
    const struct cg_value *text = cg_settings_value(s, id);
    py_auto *import = cg_glue_get("_cgunicorn_glue.config", "import_string");
    py_auto *object =
        import != NULL ? PyObject_CallFunction(import, "s", text->s) : NULL;
    struct cg_value v;
    cg_auto(free) char *source = cg_strdup(s->source[id].text);
    if (object == NULL || cg_value_from_python(object, &v) < 0) {
        cg_py_error(err, NULL);
        return cg_error_prefix(err, "%s: %s: %s", source, cg_setting_name(id),
                               text->s);
    }
    int r = cg_settings_set(s, id, v, s->source[id].layer, source, err);
    if (r < 0) {
        cg_value_release(&v);
    }
    return r;
}

int
cg_python_resolve_hooks(struct cg_settings *s, struct cg_error *err)
{
    static const enum cg_setting_id hooks[] = {
        CG_on_starting,       CG_on_reload,         CG_when_ready,
        CG_pre_fork,          CG_post_fork,         CG_post_worker_init,
        CG_worker_int,        CG_worker_abort,      CG_pre_exec,
        CG_pre_request,       CG_post_request,      CG_child_exit,
        CG_worker_exit,       CG_nworkers_changed,  CG_on_exit,
        CG_ssl_context,       CG_on_dirty_starting, CG_dirty_post_fork,
        CG_dirty_worker_init, CG_dirty_worker_exit};
    cg_auto(buf) struct cg_buf all = {0};
    for (size_t i = 0; i < CG_COUNT(hooks); i++) {
        if (cg_settings_value(s, hooks[i])->kind == CG_VALUE_STR &&
            resolve(s, hooks[i], err) < 0) {
            cg_buf_putf(&all, "%s%s", all.n > 0 ? "\n" : "", err->text);
        }
    }
    return all.n > 0 ? cg_error_set(err, EINVAL, "%s", cg_buf_str(&all)) : 0;
}

/* ---- sys.path and os.environ ---- */

static int
insert_path(const char *dir, bool if_absent, struct cg_error *err)
{
    py_auto *path = py_sys_get("path");
    py_auto *entry = PyUnicode_DecodeFSDefault(dir);
    int there = entry != NULL ? PySequence_Contains(path, entry) : -1;
    if (there < 0 ||
        ((there == 0 || !if_absent) && PyList_Insert(path, 0, entry) < 0)) {
        return cg_py_error(err, NULL);
    }
    return 0;
}

int
cg_python_set_path(const char *dir, const char *pythonpath,
                   struct cg_error *err)
{
    int r = dir != NULL ? insert_path(dir, true, err) : 0;
    cg_auto(free) char *list = cg_strdup(pythonpath != NULL ? pythonpath : "");
    char *save = NULL;
    for (char *p = strtok_r(list, ",", &save); r == 0 && p != NULL;
         p = strtok_r(NULL, ",", &save)) {
        cg_auto(free) char *full = realpath(p, NULL);
        r = insert_path(full != NULL ? full : p, true, err);
    }
    return r;
}

int
cg_python_setenv(const char *name, const char *value, struct cg_error *err)
{
    py_auto *os = PyImport_ImportModule("os");
    py_auto *mapping =
        os != NULL ? PyObject_GetAttrString(os, "environ") : NULL;
    py_auto *n = PyUnicode_DecodeFSDefault(name);
    py_auto *v = value != NULL ? PyUnicode_DecodeFSDefault(value) : NULL;
    if (mapping == NULL || n == NULL || (value != NULL && v == NULL)) {
        return cg_py_error(err, NULL);
    }
    if (v != NULL) {
        return PyObject_SetItem(mapping, n, v) < 0 ? cg_py_error(err, NULL) : 0;
    }
    if (PyObject_DelItem(mapping, n) < 0 &&
        !PyErr_ExceptionMatches(PyExc_KeyError)) {
        return cg_py_error(err, NULL);
    }
    PyErr_Clear();
    return 0;
}
