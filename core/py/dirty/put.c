/* SPDX-License-Identifier: MIT */
/*
 * Values of Python as tagged bytes. What runs code of others on the way (a
 * key's __str__, a subclass's __iter__) finds nothing of ours half done:
 * containers are copied before they are counted.
 */
#include "core/py/dirty/wire.h"

static int
put(struct cg_buf *out, const void *p, size_t n)
{
    char *at = cg_buf_try_reserve(out, n);
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(at, p, n);
    out->n += n;
    return 0;
}

static int
put_u64(struct cg_buf *out, int tag, uint64_t n)
{
    char bytes[9] = {(char)tag};
    for (int i = 8; i > 0; i--, n >>= 8) {
        bytes[i] = (char)n;
    }
    return put(out, bytes, sizeof bytes);
}

static int
put_length(struct cg_buf *out, int tag, size_t n, size_t most, const char *what)
{
    if (n > most) {
        PyErr_Format(cg_dirty_error, "%s too large: %zu %s (max: %zu)", what, n,
                     most == CG_DIRTY_ITEMS_MOST ? "items" : "bytes", most);
        return -1;
    }
    const char bytes[5] = {(char)tag, (char)(n >> 24), (char)(n >> 16),
                           (char)(n >> 8), (char)n};
    return put(out, bytes, sizeof bytes);
}

static int
put_text(struct cg_buf *out, PyObject *text)
{
    Py_ssize_t n;
    const char *p = PyUnicode_AsUTF8AndSize(text, &n);
    if (p == NULL || put_length(out, CG_DIRTY_TEXT, (size_t)n, CG_DIRTY_MOST,
                                "String") < 0) {
        return -1;
    }
    return put(out, p, (size_t)n);
}

static int
put_bytes(struct cg_buf *out, PyObject *value)
{
    py_auto *bytes = PyBytes_FromObject(value);
    if (bytes == NULL) {
        return -1;
    }
    size_t n = (size_t)PyBytes_GET_SIZE(bytes);
    if (put_length(out, CG_DIRTY_BYTES, n, CG_DIRTY_MOST, "Bytes") < 0) {
        return -1;
    }
    return put(out, PyBytes_AS_STRING(bytes), n);
}

static int
put_int(struct cg_buf *out, PyObject *value)
{
    int over;
    long long n = PyLong_AsLongLongAndOverflow(value, &over);
    if (over != 0) {
        PyErr_Format(cg_dirty_error, "Integer out of range: %S", value);
        return -1;
    }
    if (n == -1 && PyErr_Occurred()) {
        return -1;
    }
    return put_u64(out, CG_DIRTY_I64, (uint64_t)n);
}

static int
put_float(struct cg_buf *out, PyObject *value)
{
    double d = PyFloat_AS_DOUBLE(value);
    uint64_t n;
    memcpy(&n, &d, sizeof n);
    return put_u64(out, CG_DIRTY_F64, n);
}

static int
put_items(struct cg_buf *out, PyObject *value, int depth)
{
    py_auto *items = PySequence_Tuple(value);
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(items);
    int r =
        put_length(out, CG_DIRTY_LIST, (size_t)n, CG_DIRTY_ITEMS_MOST, "List");
    for (Py_ssize_t i = 0; r == 0 && i < n; i++) {
        r = cg_dirty_put(out, PyTuple_GET_ITEM(items, i), depth + 1);
    }
    return r;
}

static int
put_pair(struct cg_buf *out, PyObject *pair, int depth)
{
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(cg_dirty_error, "Dict whose items are no pairs");
        return -1;
    }
    py_auto *key = PyObject_Str(PyTuple_GET_ITEM(pair, 0));
    if (key == NULL || put_text(out, key) < 0) {
        return -1;
    }
    return cg_dirty_put(out, PyTuple_GET_ITEM(pair, 1), depth + 1);
}

static int
put_pairs(struct cg_buf *out, PyObject *value, int depth)
{
    py_auto *found = PyMapping_Items(value);
    py_auto *pairs = found != NULL ? PySequence_Tuple(found) : NULL;
    if (pairs == NULL) {
        return -1;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(pairs);
    int r =
        put_length(out, CG_DIRTY_DICT, (size_t)n, CG_DIRTY_ITEMS_MOST, "Dict");
    for (Py_ssize_t i = 0; r == 0 && i < n; i++) {
        r = put_pair(out, PyTuple_GET_ITEM(pairs, i), depth);
    }
    return r;
}

/* Subclasses: an IntEnum, numpy's float64. As their own conversion has them. */
static int
put_kin(struct cg_buf *out, PyObject *value)
{
    if (PyLong_Check(value)) {
        py_auto *n = PyNumber_Long(value);
        return n != NULL ? put_int(out, n) : -1;
    }
    if (PyFloat_Check(value)) {
        py_auto *d = PyNumber_Float(value);
        return d != NULL ? put_float(out, d) : -1;
    }
    if (PyUnicode_Check(value)) {
        py_auto *text = PyObject_Str(value);
        return text != NULL ? put_text(out, text) : -1;
    }
    if (PyBytes_Check(value) || PyByteArray_Check(value)) {
        return put_bytes(out, value);
    }
    PyErr_Format(cg_dirty_error, "Unsupported type for TLV encoding: %.200s",
                 Py_TYPE(value)->tp_name);
    return -1;
}

int
cg_dirty_put(struct cg_buf *out, PyObject *value, int depth)
{
    if (PyUnicode_CheckExact(value)) {
        return put_text(out, value);
    }
    if (value == Py_None) {
        return put(out, "\x00", 1);
    }
    if (PyBool_Check(value)) {
        return put(out, value == Py_True ? "\x01\x01" : "\x01\x00", 2);
    }
    if (PyLong_CheckExact(value)) {
        return put_int(out, value);
    }
    if (PyFloat_CheckExact(value)) {
        return put_float(out, value);
    }
    if (PyBytes_CheckExact(value) || PyByteArray_CheckExact(value) ||
        PyMemoryView_Check(value)) {
        return put_bytes(out, value);
    }
    if (depth > CG_DIRTY_DEPTH_MOST) {
        PyErr_SetString(cg_dirty_error, "Values are nested too deeply");
        return -1;
    }
    if (PyList_Check(value) || PyTuple_Check(value)) {
        return put_items(out, value, depth);
    }
    return PyDict_Check(value) ? put_pairs(out, value, depth)
                               : put_kin(out, value);
}
