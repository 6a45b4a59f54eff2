/* SPDX-License-Identifier: MIT */
/*
 * Frames of dirty workers, and what Python calls of this folder. A frame is
 * made in one piece: the header's place is left free, and filled when the
 * payload's length is known.
 */
#include "core/py/dirty/wire.h"

#include "core/base/memory.h"

PyObject *cg_dirty_error;

/* ---- frames that go ---- */

static int
begin(struct cg_buf *out)
{
    if (cg_buf_try_reserve(out, 256) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    out->n = CG_DIRTY_HEADER;
    return 0;
}

static PyObject *
finish(struct cg_buf *out, int kind, uint64_t request)
{
    size_t n = out->n - CG_DIRTY_HEADER;
    if (n > CG_DIRTY_MOST) {
        return PyErr_Format(cg_dirty_error,
                            "Message too large: %zu bytes (max: %d)", n,
                            CG_DIRTY_MOST);
    }
    const char head[CG_DIRTY_HEADER] = {
        'G',
        'D',
        CG_DIRTY_VERSION,
        (char)kind,
        (char)(n >> 24),
        (char)(n >> 16),
        (char)(n >> 8),
        (char)n,
        (char)(request >> 56),
        (char)(request >> 48),
        (char)(request >> 40),
        (char)(request >> 32),
        (char)(request >> 24),
        (char)(request >> 16),
        (char)(request >> 8),
        (char)request,
    };
    memcpy(out->p, head, sizeof head);
    return PyBytes_FromStringAndSize(out->p, (Py_ssize_t)out->n);
}

static void
put_literal(struct cg_buf *out, struct cg_slice literal)
{
    cg_buf_put(out, literal.p, literal.n);
}

#define DICT(n) "\x21\0\0\0" n
#define KEY(n, name) "\x11\0\0\0" n name

/* Not for a method's self: what it makes is bytes alone. */
static PyObject *
wire_request(PyObject *Py_UNUSED(self), PyObject *args)
{
    unsigned long long request;
    PyObject *app, *action, *list, *dict;
    if (!PyArg_ParseTuple(args, "KOOOO", &request, &app, &action, &list,
                          &dict)) {
        return NULL;
    }
    cg_auto(buf) struct cg_buf out = {0};
    if (begin(&out) < 0) {
        return NULL;
    }
    put_literal(&out, CG_SLICE(DICT("\x04") KEY("\x08", "app_path")));
    if (cg_dirty_put(&out, app, 1) < 0) {
        return NULL;
    }
    put_literal(&out, CG_SLICE(KEY("\x06", "action")));
    if (cg_dirty_put(&out, action, 1) < 0) {
        return NULL;
    }
    put_literal(&out, CG_SLICE(KEY("\x04", "args")));
    if (cg_dirty_put(&out, list, 1) < 0) {
        return NULL;
    }
    put_literal(&out, CG_SLICE(KEY("\x06", "kwargs")));
    return cg_dirty_put(&out, dict, 1) < 0
               ? NULL
               : finish(&out, CG_DIRTY_REQUEST, request);
}

static PyObject *
wire_reply(PyObject *Py_UNUSED(self), PyObject *args)
{
    int kind;
    unsigned long long request;
    PyObject *name, *value;
    if (!PyArg_ParseTuple(args, "iKUO", &kind, &request, &name, &value)) {
        return NULL;
    }
    cg_auto(buf) struct cg_buf out = {0};
    if (begin(&out) < 0) {
        return NULL;
    }
    put_literal(&out, CG_SLICE(DICT("\x01")));
    if (cg_dirty_put(&out, name, 1) < 0 || cg_dirty_put(&out, value, 1) < 0) {
        return NULL;
    }
    return finish(&out, kind, request);
}

static PyObject *
wire_encode(PyObject *Py_UNUSED(self), PyObject *value)
{
    cg_auto(buf) struct cg_buf out = {0};
    return cg_dirty_put(&out, value, 0) < 0
               ? NULL
               : PyBytes_FromStringAndSize(out.p, (Py_ssize_t)out.n);
}

/* ---- frames that come ---- */

bool
cg_dirty_is_frame(struct cg_slice data, struct cg_dirty_head *ret)
{
    if (data.n < CG_DIRTY_HEADER || memcmp(data.p, "GD\x01", 3) != 0 ||
        cg_dirty_u32(data.p + 4) != data.n - CG_DIRTY_HEADER) {
        return false;
    }
    ret->kind = (unsigned char)data.p[3];
    ret->length = cg_dirty_u32(data.p + 4);
    ret->request =
        (uint64_t)cg_dirty_u32(data.p + 8) << 32 | cg_dirty_u32(data.p + 12);
    return true;
}

static PyObject *
wire_split(PyObject *Py_UNUSED(self), PyObject *data)
{
    struct cg_dirty_head head;
    if (!PyBytes_Check(data)) {
        return PyErr_Format(PyExc_TypeError, "bytes, not %.200s",
                            Py_TYPE(data)->tp_name);
    }
    const char *p = PyBytes_AS_STRING(data);
    size_t n = (size_t)PyBytes_GET_SIZE(data);
    if (!cg_dirty_is_frame((struct cg_slice){p, n}, &head)) {
        return py_new(Py_None);
    }
    return Py_BuildValue("iKy#", head.kind, (unsigned long long)head.request,
                         p + CG_DIRTY_HEADER, (Py_ssize_t)head.length);
}

PyObject *
cg_dirty_app_of(struct cg_slice data)
{
    static const char first[] = "\x11\0\0\0\x08"
                                "app_path"
                                "\x11";
    const size_t at = CG_DIRTY_HEADER + 5, n = sizeof first - 1;
    if (data.n < at + n + 4 || memcmp(data.p + at, first, n) != 0) {
        return NULL;
    }
    size_t length = cg_dirty_u32(data.p + at + n);
    if (length > data.n - at - n - 4) {
        return NULL;
    }
    PyObject *app =
        PyUnicode_DecodeUTF8(data.p + at + n + 4, (Py_ssize_t)length, NULL);
    if (app == NULL) {
        PyErr_Clear(); /* it is decoded again by who tells it */
    }
    return app;
}

static PyObject *
wire_app(PyObject *Py_UNUSED(self), PyObject *frame)
{
    char *p;
    Py_ssize_t n;
    if (PyBytes_AsStringAndSize(frame, &p, &n) < 0) {
        return NULL;
    }
    PyObject *app = cg_dirty_app_of((struct cg_slice){p, (size_t)n});
    return app != NULL ? app : py_new(Py_None);
}

/* The value at `at`, which is moved behind it. */
static PyObject *
decode(PyObject *data, size_t *at, bool whole)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    struct cg_slice bytes = {view.buf, (size_t)view.len};
    if (*at > bytes.n) {
        *at = bytes.n;
    }
    py_auto *value = cg_dirty_get(bytes, at, 0);
    if (value != NULL && whole && *at != bytes.n) {
        PyErr_SetString(cg_dirty_error, "Trailing data after TLV");
        Py_CLEAR(value);
    }
    PyBuffer_Release(&view);
    return py_take(&value);
}

static PyObject *
wire_decode(PyObject *Py_UNUSED(self), PyObject *data)
{
    size_t at = 0;
    return decode(data, &at, true);
}

static PyObject *
wire_decode_at(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *data;
    Py_ssize_t from;
    if (!PyArg_ParseTuple(args, "On", &data, &from)) {
        return NULL;
    }
    size_t at = from > 0 ? (size_t)from : 0;
    py_auto *value = decode(data, &at, false);
    return value != NULL ? Py_BuildValue("On", value, (Py_ssize_t)at) : NULL;
}

/* ---- the module ---- */

PyMethodDef cg_dirty_wire_methods[] = {
    {"wire_request", wire_request, METH_VARARGS,
     "wire_request(id, app_path, action, args, kwargs) -> frame"},
    {"wire_reply", wire_reply, METH_VARARGS,
     "wire_reply(kind, id, name, value) -> frame with {name: value}"},
    {"wire_encode", wire_encode, METH_O, "wire_encode(value) -> bytes"},
    {"wire_split", wire_split, METH_O,
     "wire_split(bytes) -> (kind, id, payload) of one whole frame, or None"},
    {"wire_app", wire_app, METH_O,
     "wire_app(frame) -> a call's application if it stands first, or None"},
    {"wire_decode", wire_decode, METH_O, "wire_decode(bytes) -> value"},
    {"wire_decode_at", wire_decode_at, METH_VARARGS,
     "wire_decode_at(bytes, at) -> (value, where it ends)"},
    {NULL, NULL, 0, NULL}};

int
cg_dirty_wire_fill(PyObject *module)
{
    if (cg_dirty_error == NULL) {
        cg_dirty_error = PyErr_NewExceptionWithDoc(
            "_cgunicorn.WireError",
            "What came is no frame, or what goes cannot be one.", NULL, NULL);
    }
    if (cg_dirty_error == NULL ||
        PyModule_AddFunctions(module, cg_dirty_wire_methods) < 0) {
        return -1;
    }
    return PyObject_SetAttrString(module, "WireError", cg_dirty_error);
}
