/* SPDX-License-Identifier: MIT */
/*
 * Owned Python references. Every PyObject * variable in core/py owns what it
 * points to: locals are `py_auto`, results leave by py_take, and the accessors
 * here return strong references only. GIL held everywhere.
 */
#ifndef CG_PY_REF_H
#define CG_PY_REF_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core/base/error.h"

static inline void
cg_cleanup_pyobject(PyObject **o)
{
    Py_XDECREF(*o);
}
#define py_auto __attribute__((cleanup(cg_cleanup_pyobject))) PyObject

/* Moves the reference out; the variable is NULL afterwards. */
static inline PyObject *
py_take(PyObject **o)
{
    PyObject *taken = *o;
    *o = NULL;
    return taken;
}

static inline PyObject *
py_new(PyObject *o)
{
    Py_INCREF(o);
    return o;
}

/* A new reference to dict[key], or NULL without an exception when absent. */
static inline PyObject *
py_dict_get(PyObject *dict, PyObject *key)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *o;
    PyDict_GetItemRef(dict, key, &o);
    return o;
#else
    PyObject *o = PyDict_GetItemWithError(dict, key);
    Py_XINCREF(o);
    return o;
#endif
}

/* The item, which is there. Without a GIL another thread may have taken it
 * away: NULL with an exception. */
static inline PyObject *
py_list_get(PyObject *list, Py_ssize_t i)
{
#ifdef Py_GIL_DISABLED
    return PyList_GetItemRef(list, i);
#else
    PyObject *o = PyList_GET_ITEM(list, i);
    Py_INCREF(o);
    return o;
#endif
}

/* An attribute of module sys; NULL without an exception when absent. */
static inline PyObject *
py_sys_get(const char *name)
{
#ifdef Py_GIL_DISABLED
    py_auto *sys = PyImport_ImportModule("sys");
    PyObject *o = sys != NULL ? PyObject_GetAttrString(sys, name) : NULL;
    PyErr_Clear();
#else
    PyObject *o = PySys_GetObject(name);
    Py_XINCREF(o);
#endif
    return o;
}

static inline PyObject *
py_tuple_get(PyObject *tuple, Py_ssize_t i)
{
    PyObject *o = PyTuple_GET_ITEM(tuple, i);
    Py_INCREF(o);
    return o;
}

/* dict[key] = value, giving value away. 0 or -1 with an exception; a NULL
 * value is -1, so that a constructor may stand in the call. */
static inline int
py_dict_put(PyObject *dict, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    int r = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return r;
}

/* No instances but those that we make: an empty one would have no exchange, no
 * log, nothing behind it. (Python 3.9 has no flag for that.) */
static inline void
cg_type_close(PyTypeObject *type)
{
    type->tp_new = NULL;
}

struct cg_buf;
/*
 * Fetches the pending exception, clears it, and stores "Type: message" in err
 * (-EFAULT) and, if not NULL, its traceback as Python would print it in `full`.
 * Never exits on SystemExit.
 */
int cg_py_error(struct cg_error *err, struct cg_buf *full);

#endif
