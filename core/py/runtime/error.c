/* SPDX-License-Identifier: MIT */
/* The pending exception as text. */
#include "core/py/runtime/ref.h"

#include <errno.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"

static const char glue_folder[] = "<cgunicorn>/";

/* Frames of our own sources are no news for a user. */
static PyObject *
skip_glue(PyObject *traceback)
{
    while (traceback != NULL && traceback != Py_None) {
        py_auto *frame = PyObject_GetAttrString(traceback, "tb_frame");
        py_auto *code =
            frame != NULL ? PyObject_GetAttrString(frame, "f_code") : NULL;
        py_auto *file =
            code != NULL ? PyObject_GetAttrString(code, "co_filename") : NULL;
        const char *name = file != NULL ? PyUnicode_AsUTF8(file) : NULL;
        if (name == NULL ||
            strncmp(name, glue_folder, sizeof glue_folder - 1) != 0) {
            break;
        }
        PyObject *next = PyObject_GetAttrString(traceback, "tb_next");
        Py_DECREF(traceback);
        traceback = next;
    }
    PyErr_Clear();
    if (traceback == NULL) {
        return py_new(Py_None);
    }
    return traceback;
}

static void
put_object(struct cg_buf *out, PyObject *o)
{
    py_auto *text = o != NULL ? PyObject_Str(o) : NULL;
    py_auto *bytes =
        text != NULL
            ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace")
            : NULL;
    if (bytes != NULL) {
        cg_buf_put(out, PyBytes_AS_STRING(bytes),
                   (size_t)PyBytes_GET_SIZE(bytes));
    } else {
        cg_buf_puts(out, "(no text)");
    }
    PyErr_Clear();
}

static void
put_traceback(struct cg_buf *out, PyObject *type, PyObject *value,
              PyObject *traceback)
{
    py_auto *module = PyImport_ImportModule("traceback");
    py_auto *lines = module != NULL
                         ? PyObject_CallMethod(module, "format_exception",
                                               "OOO", type, value, traceback)
                         : NULL;
    py_auto *empty = PyUnicode_FromString("");
    py_auto *text =
        lines != NULL && empty != NULL ? PyUnicode_Join(empty, lines) : NULL;
    PyErr_Clear();
    put_object(out, text != NULL ? text : value);
}

static void
put_line(struct cg_buf *out, PyObject *type, PyObject *value)
{
    py_auto *name = PyObject_GetAttrString(type, "__name__");
    PyErr_Clear();
    put_object(out, name);
    size_t before = out->n;
    cg_buf_puts(out, ": ");
    size_t text = out->n;
    put_object(out, value);
    if (out->n == text) {
        out->n = before; /* `KeyError` alone */
    }
}

int
cg_py_error(struct cg_error *err, struct cg_buf *full)
{
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    if (t == NULL) {
        return cg_error_set(err, EFAULT, "an error without an exception");
    }
    PyErr_NormalizeException(&t, &v, &tb);
    py_auto *type = t;
    py_auto *value = v != NULL ? v : py_new(Py_None);
    py_auto *traceback = skip_glue(tb);
    if (value != Py_None && traceback != Py_None) {
        PyException_SetTraceback(value, traceback);
    }
    cg_auto(buf) struct cg_buf line = {0};
    put_line(&line, type, value);
    if (full != NULL) {
        put_traceback(full, type, value, traceback);
    }
    PyErr_Clear();
    return cg_error_set(err, EFAULT, "%s", cg_buf_str(&line));
}
