/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/convert.h"

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"

enum { MAX_DEPTH = 50 };

/* ---- to Python ---- */

static PyObject *
list_to_python(const struct cg_value *v)
{
    py_auto *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < v->list.n; i++) {
        py_auto *item = cg_value_to_python(&v->list.items[i]);
        if (item == NULL || PyList_Append(list, item) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

static PyObject *
map_to_python(const struct cg_value *v)
{
    py_auto *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i + 1 < v->list.n; i += 2) {
        py_auto *key = cg_value_to_python(&v->list.items[i]);
        if (key == NULL ||
            py_dict_put(dict, key, cg_value_to_python(&v->list.items[i + 1])) <
                0) {
            return NULL;
        }
    }
    return py_take(&dict);
}

PyObject *
cg_value_to_python(const struct cg_value *v)
{
    switch (v->kind) {
    case CG_VALUE_NONE: return py_new(Py_None);
    case CG_VALUE_BOOL: return PyBool_FromLong(v->b);
    case CG_VALUE_INT: return PyLong_FromLongLong(v->i);
    case CG_VALUE_FLOAT: return PyFloat_FromDouble(v->f);
    case CG_VALUE_STR:
        return PyUnicode_DecodeFSDefaultAndSize(v->s, (Py_ssize_t)strlen(v->s));
    case CG_VALUE_LIST: return list_to_python(v);
    case CG_VALUE_MAP: return map_to_python(v);
    case CG_VALUE_OBJECT: return py_new(v->object.ref);
    }
    return NULL;
}

/* ---- from Python ---- */

static void
retain(void *ref)
{
    Py_INCREF((PyObject *)ref);
}

static void
release(void *ref)
{
    Py_DECREF((PyObject *)ref);
}

static const struct cg_object_ops object_ops = {retain, release};

static int convert(PyObject *o, int depth, struct cg_value *ret);

static char *
text_of(PyObject *o)
{
    py_auto *bytes =
        o != NULL ? PyUnicode_AsEncodedString(o, "utf-8", "surrogateescape")
                  : NULL;
    char *copy = bytes != NULL ? cg_strdup(PyBytes_AS_STRING(bytes)) : NULL;
    PyErr_Clear();
    return copy != NULL ? copy : cg_strdup("?");
}

/*
 * The system's strings end at a NUL, so none may hide in a value. The one that
 * makes an abstract socket becomes the escape that addresses have for it.
 */
static int
convert_text(PyObject *o, char **ret)
{
    static const char unix_[] = "unix:";
    const size_t front = sizeof unix_ - 1;
    py_auto *bytes = PyUnicode_AsEncodedString(o, "utf-8", "surrogateescape");
    if (bytes == NULL) {
        *ret = cg_strdup("?"); /* a surrogate that stands for no byte */
        PyErr_Clear();
        return 0;
    }
    const char *s = PyBytes_AS_STRING(bytes);
    size_t n = (size_t)PyBytes_GET_SIZE(bytes), whole = strlen(s);
    bool is_abstract = whole == front && n > front + 1 &&
                       strcmp(s, unix_) == 0 &&
                       strlen(s + front + 1) == n - front - 1;
    if (whole < n && !is_abstract) {
        PyErr_SetString(PyExc_ValueError, "a NUL character in a value");
        return -1;
    }
    *ret =
        is_abstract ? cg_strf("%s\\0%s", unix_, s + front + 1) : cg_strdup(s);
    return 0;
}

/* How messages show it: a name for code, repr for the rest. */
static char *
shown(PyObject *o)
{
    py_auto *name =
        PyCallable_Check(o) ? PyObject_GetAttrString(o, "__qualname__") : NULL;
    PyErr_Clear();
    py_auto *repr = name == NULL ? PyObject_Repr(o) : NULL;
    PyErr_Clear();
    return text_of(name != NULL ? name : repr);
}

static int
convert_object(PyObject *o, struct cg_value *ret)
{
    int arity = -1;
    if (PyCallable_Check(o)) {
        py_auto *count = cg_glue_get("_cgunicorn_glue.config", "arity");
        py_auto *n =
            count != NULL ? PyObject_CallFunctionObjArgs(count, o, NULL) : NULL;
        if (n == NULL) {
            return -1;
        }
        arity = (int)PyLong_AsLong(n);
    }
    *ret = (struct cg_value){.kind = CG_VALUE_OBJECT};
    ret->object.ref = py_new(o);
    ret->object.ops = &object_ops;
    ret->object.repr = shown(o);
    ret->object.arity = arity;
    ret->object.callable = PyCallable_Check(o) != 0;
    ret->object.is_class = PyType_Check(o) != 0;
    return 0;
}

/* A pathlib.Path among the items of a list or a dictionary is its text. Alone
 * it stays what it is: gunicorn refuses it. */
static int
convert_path(PyObject *o, struct cg_value *ret)
{
    py_auto *path = PyOS_FSPath(o);
    py_auto *text = path != NULL && PyBytes_Check(path)
                        ? PyUnicode_DecodeFSDefault(PyBytes_AS_STRING(path))
                        : py_take(&path);
    *ret = (struct cg_value){.kind = CG_VALUE_STR};
    return text != NULL ? convert_text(text, &ret->s) : -1;
}

static bool
is_path(PyObject *o)
{
    return !PyType_Check(o) &&
           PyObject_HasAttrString((PyObject *)Py_TYPE(o), "__fspath__");
}

static int
convert_items(PyObject *iterable, int depth, struct cg_value *ret)
{
    py_auto *items = PySequence_Tuple(iterable);
    if (items == NULL) {
        return -1;
    }
    *ret = cg_value_list();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
        struct cg_value item;
        py_auto *o = py_tuple_get(items, i);
        if (convert(o, depth + 1, &item) < 0) {
            cg_value_release(ret);
            return -1;
        }
        cg_value_push(ret, item);
    }
    return 0;
}

static int
convert_dict(PyObject *dict, int depth, struct cg_value *ret)
{
    py_auto *keys = PyDict_Keys(dict);
    *ret = cg_value_map();
    for (Py_ssize_t i = 0; keys != NULL && i < PyList_GET_SIZE(keys); i++) {
        py_auto *key = py_list_get(keys, i);
        py_auto *value = py_dict_get(dict, key);
        py_auto *name = PyUnicode_Check(key) ? py_new(key) : PyObject_Str(key);
        struct cg_value v;
        if (name == NULL || value == NULL ||
            convert(value, depth + 1, &v) < 0) {
            cg_value_release(ret);
            return -1;
        }
        char *text;
        if (convert_text(name, &text) < 0) {
            cg_value_release(&v);
            cg_value_release(ret);
            return -1;
        }
        cg_value_push(ret, (struct cg_value){.kind = CG_VALUE_STR, .s = text});
        cg_value_push(ret, v);
    }
    return keys != NULL ? 0 : -1;
}

static int
convert(PyObject *o, int depth, struct cg_value *ret)
{
    if (depth > MAX_DEPTH) {
        PyErr_SetString(PyExc_ValueError, "too deeply nested");
        return -1;
    }
    if (o == Py_None) {
        *ret = cg_value_none();
    } else if (PyBool_Check(o)) {
        *ret = cg_value_bool(o == Py_True);
    } else if (PyLong_Check(o)) {
        int overflow;
        long long n = PyLong_AsLongLongAndOverflow(o, &overflow);
        *ret = cg_value_int(overflow > 0   ? INT64_MAX
                            : overflow < 0 ? INT64_MIN
                                           : n);
    } else if (PyFloat_Check(o)) {
        *ret = cg_value_float(PyFloat_AS_DOUBLE(o));
    } else if (PyUnicode_Check(o)) {
        *ret = (struct cg_value){.kind = CG_VALUE_STR};
        return convert_text(o, &ret->s);
    } else if (PyList_Check(o) || PyTuple_Check(o) || PyAnySet_Check(o)) {
        return convert_items(o, depth, ret);
    } else if (PyDict_Check(o)) {
        return convert_dict(o, depth, ret);
    } else if (depth > 0 && is_path(o)) {
        return convert_path(o, ret);
    } else {
        return convert_object(o, ret);
    }
    return 0;
}

int
cg_value_from_python(PyObject *o, struct cg_value *ret)
{
    return convert(o, 0, ret);
}
