/* SPDX-License-Identifier: MIT */
/*
 * Tagged bytes as values of Python. They are a peer's: each length is compared
 * with what is left before anything is made of it.
 */
#include "core/py/dirty/wire.h"

uint32_t
cg_dirty_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 |
           b[3];
}

static int
need(struct cg_slice data, size_t at, size_t n)
{
    if (data.n - at < n) {
        PyErr_SetString(cg_dirty_error, "Truncated TLV data");
        return -1;
    }
    return 0;
}

static int
get_u64(struct cg_slice data, size_t *at, uint64_t *ret)
{
    if (need(data, *at, 8) < 0) {
        return -1;
    }
    *ret = (uint64_t)cg_dirty_u32(data.p + *at) << 32 |
           cg_dirty_u32(data.p + *at + 4);
    *at += 8;
    return 0;
}

/* A length, of which at least so many bytes are there. */
static int
get_length(struct cg_slice data, size_t *at, size_t most, size_t *ret)
{
    if (need(data, *at, 4) < 0) {
        return -1;
    }
    size_t n = cg_dirty_u32(data.p + *at);
    if (n > most) {
        PyErr_Format(cg_dirty_error, "TLV length %zu above %zu", n, most);
        return -1;
    }
    *at += 4;
    *ret = n;
    return need(data, *at, n);
}

/* In the words that say where, instead of the codec's own exception. */
static void
tell_bad_utf8(void)
{
    PyObject *kind, *value, *trace;
    PyErr_Fetch(&kind, &value, &trace);
    PyErr_Format(cg_dirty_error, "Invalid UTF-8 in string: %S",
                 value != NULL ? value : Py_None);
    Py_XDECREF(kind);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

static PyObject *
get_text(struct cg_slice data, size_t *at)
{
    size_t n;
    if (get_length(data, at, CG_DIRTY_MOST, &n) < 0) {
        return NULL;
    }
    PyObject *text = PyUnicode_DecodeUTF8(data.p + *at, (Py_ssize_t)n, NULL);
    *at += n;
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        tell_bad_utf8();
    }
    return text;
}

static PyObject *
get_bytes(struct cg_slice data, size_t *at)
{
    size_t n;
    if (get_length(data, at, CG_DIRTY_MOST, &n) < 0) {
        return NULL;
    }
    const char *p = data.p + *at;
    *at += n;
    return PyBytes_FromStringAndSize(p, (Py_ssize_t)n);
}

static PyObject *
get_items(struct cg_slice data, size_t *at, int depth)
{
    size_t n;
    if (get_length(data, at, CG_DIRTY_ITEMS_MOST, &n) < 0) {
        return NULL;
    }
    py_auto *items = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; items != NULL && i < n; i++) {
        PyObject *item = cg_dirty_get(data, at, depth + 1);
        if (item == NULL) {
            return NULL;
        }
        PyList_SET_ITEM(items, (Py_ssize_t)i, item);
    }
    return py_take(&items);
}

static int
get_pair(struct cg_slice data, size_t *at, int depth, PyObject *pairs)
{
    if (need(data, *at, 1) < 0) {
        return -1;
    }
    if (data.p[*at] != CG_DIRTY_TEXT) {
        PyErr_SetString(cg_dirty_error, "Dict key must be string");
        return -1;
    }
    *at += 1;
    py_auto *key = get_text(data, at);
    py_auto *value = key != NULL ? cg_dirty_get(data, at, depth + 1) : NULL;
    return value != NULL ? PyDict_SetItem(pairs, key, value) : -1;
}

static PyObject *
get_pairs(struct cg_slice data, size_t *at, int depth)
{
    size_t n;
    if (get_length(data, at, CG_DIRTY_ITEMS_MOST, &n) < 0) {
        return NULL;
    }
    py_auto *pairs = PyDict_New();
    for (size_t i = 0; pairs != NULL && i < n; i++) {
        if (get_pair(data, at, depth, pairs) < 0) {
            return NULL;
        }
    }
    return py_take(&pairs);
}

static PyObject *
get_number(struct cg_slice data, size_t *at, int tag)
{
    uint64_t n;
    if (get_u64(data, at, &n) < 0) {
        return NULL;
    }
    if (tag == CG_DIRTY_I64) {
        return PyLong_FromLongLong((int64_t)n);
    }
    double d;
    memcpy(&d, &n, sizeof d);
    return PyFloat_FromDouble(d);
}

static PyObject *
get_container(struct cg_slice data, size_t *at, int depth, int tag)
{
    if (tag != CG_DIRTY_LIST && tag != CG_DIRTY_DICT) {
        PyErr_Format(cg_dirty_error, "Unknown TLV type code: 0x%02x", tag);
        return NULL;
    }
    if (depth > CG_DIRTY_DEPTH_MOST) {
        PyErr_SetString(cg_dirty_error, "Values are nested too deeply");
        return NULL;
    }
    return tag == CG_DIRTY_LIST ? get_items(data, at, depth)
                                : get_pairs(data, at, depth);
}

PyObject *
cg_dirty_get(struct cg_slice data, size_t *at, int depth)
{
    if (need(data, *at, 1) < 0) {
        return NULL;
    }
    int tag = (unsigned char)data.p[*at];
    *at += 1;
    if (tag == CG_DIRTY_TEXT) {
        return get_text(data, at);
    }
    if (tag == CG_DIRTY_NONE) {
        return py_new(Py_None);
    }
    if (tag == CG_DIRTY_BOOL) {
        return need(data, *at, 1) < 0 ? NULL
                                      : PyBool_FromLong(data.p[(*at)++] != 0);
    }
    if (tag == CG_DIRTY_I64 || tag == CG_DIRTY_F64) {
        return get_number(data, at, tag);
    }
    return tag == CG_DIRTY_BYTES ? get_bytes(data, at)
                                 : get_container(data, at, depth, tag);
}
