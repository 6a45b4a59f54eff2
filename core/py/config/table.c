/* SPDX-License-Identifier: MIT */
/* The settings table as Python sees it: gunicorn.config is made of it. */
#include "core/py/config/table_internal.h"

#include "config/settings.h"
#include "config/table.h"
#include "core/py/runtime/convert.h"
#include "core/py/runtime/ref.h"

/* By enum cg_type and enum cg_cli: what gunicorn.config goes by. */
static const char *const types[] = {
    [TYPE_BOOL] = "bool",     [TYPE_UINT] = "pos_int",
    [TYPE_RANGE] = "range",   [TYPE_SECONDS] = "seconds",
    [TYPE_STR] = "string",    [TYPE_LIST] = "list_string",
    [TYPE_PAIRS] = "pairs",   [TYPE_TARGETS] = "targets",
    [TYPE_FILES] = "files",   [TYPE_CSV] = "string_to_list",
    [TYPE_ADDRS] = "addrs",   [TYPE_DICT] = "dict",
    [TYPE_CLASS] = "class",   [TYPE_HOOK] = "hook",
    [TYPE_USER] = "user",     [TYPE_GROUP] = "group",
    [TYPE_CHDIR] = "chdir",   [TYPE_WORD] = "word",
    [TYPE_ANY] = "any",       [TYPE_PROXY] = "proxy_protocol",
    [TYPE_STATSD] = "statsd", [TYPE_PROTOCOLS] = "http_protocols",
};
static const char *const clis[] = {
    [CLI_NONE] = "none",     [CLI_ARG] = "arg",
    [CLI_INT] = "int",       [CLI_AUTOINT] = "auto_int",
    [CLI_FLAG] = "flag",     [CLI_FALSE] = "false",
    [CLI_APPEND] = "append", [CLI_OPTIONAL] = "optional",
};

/* (name, section, type, cli, flags, meta, value, arity, help, hook's name,
 * whether it is ours) */
static PyObject *
row_object(const struct cg_row *row, const struct cg_value *value)
{
    return Py_BuildValue("(sssszzNiszN)", row->name, row->section,
                         types[row->type], clis[row->cli], row->flags,
                         row->meta, cg_value_to_python(value), row->arity,
                         row->help, row->qualname, PyBool_FromLong(row->ours));
}

static PyObject *
settings_table(PyObject *self, PyObject *unused)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    if (cg_settings_new(&s, &err) < 0) {
        PyErr_SetString(PyExc_ValueError, err.text);
        return NULL;
    }
    py_auto *list = PyList_New(0);
    for (int id = 0; list != NULL && id < CG_SETTING_COUNT; id++) {
        py_auto *row = row_object(&cg_rows[id], &s->value[id]);
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
    }
    cg_settings_free(s);
    return py_take(&list);
}

PyMethodDef cg_table_methods[] = {
    {"settings", settings_table, METH_NOARGS,
     "settings() -> the settings' rows, with their defaults here and now"},
    {NULL, NULL, 0, NULL}};
