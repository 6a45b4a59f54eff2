/* SPDX-License-Identifier: MIT */
#include "core/py/request/errors.h"

#include "core/py/compat/logger.h"

typedef struct {
    PyObject_HEAD struct cg_log *log;
} ErrorsObject;

static void
Errors_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
write_text(ErrorsObject *e, PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "write() takes a str, not %.200s",
                     Py_TYPE(text)->tp_name);
        return -1;
    }
    if (cg_py_logger_takes_errors() && cg_py_logger_write_errors(text)) {
        return 0;
    }
    py_auto *bytes =
        PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (bytes == NULL) {
        return -1;
    }
    /* one write per call, so lines of several workers do not mix; a log that
     * cannot be written is no failure of the application */
    cg_log_write(e->log, false,
                 (struct cg_slice){PyBytes_AS_STRING(bytes),
                                   (size_t)PyBytes_GET_SIZE(bytes)});
    return 0;
}

static PyObject *
Errors_write(PyObject *self, PyObject *text)
{
    if (write_text((ErrorsObject *)self, text) < 0) {
        return NULL;
    }
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *
Errors_writelines(PyObject *self, PyObject *lines)
{
    py_auto *it = PyObject_GetIter(lines);
    if (it == NULL) {
        return NULL;
    }
    for (;;) {
        py_auto *line = PyIter_Next(it);
        if (line == NULL) {
            break;
        }
        if (write_text((ErrorsObject *)self, line) < 0) {
            return NULL;
        }
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Errors_nothing(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE;
}

static PyObject *
Errors_fileno(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong(cg_log_error_fd(((ErrorsObject *)self)->log));
}

static PyObject *
Errors_yes(PyObject *self, PyObject *unused)
{
    Py_RETURN_TRUE;
}

static PyObject *
Errors_no(PyObject *self, PyObject *unused)
{
    Py_RETURN_FALSE;
}

static PyObject *
Errors_closed(PyObject *self, void *unused)
{
    Py_RETURN_FALSE;
}

/* How text becomes bytes: see write_text. */
static PyObject *
Errors_encoding(PyObject *self, void *name)
{
    return PyUnicode_FromString(name);
}

static PyGetSetDef Errors_fields[] = {
    {"closed", Errors_closed, NULL, NULL, NULL},
    {"encoding", Errors_encoding, NULL, NULL, (void *)(size_t) "utf-8"},
    {"errors", Errors_encoding, NULL, NULL,
     (void *)(size_t) "backslashreplace"},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef Errors_methods[] = {
    {"write", Errors_write, METH_O, "write(str): appends to the error log"},
    {"writelines", Errors_writelines, METH_O, "writelines(strs)"},
    {"flush", Errors_nothing, METH_NOARGS, "flush(): nothing is buffered"},
    {"close", Errors_nothing, METH_NOARGS, "close(): the server's to close"},
    {"fileno", Errors_fileno, METH_NOARGS, "fileno(): of the error log"},
    {"isatty", Errors_no, METH_NOARGS, "isatty(): a log is none"},
    {"readable", Errors_no, METH_NOARGS, "readable()"},
    {"seekable", Errors_no, METH_NOARGS, "seekable()"},
    {"writable", Errors_yes, METH_NOARGS, "writable()"},
    {NULL, NULL, 0, NULL}};

static PyType_Slot Errors_slots[] = {
    {Py_tp_doc, (void *)(size_t) "wsgi.errors (PEP 3333)"},
    {Py_tp_dealloc, Errors_dealloc},
    {Py_tp_methods, Errors_methods},
    {Py_tp_getset, Errors_fields},
    {0, NULL}};

PyType_Spec cg_errors_spec = {
    .name = "cgunicorn.Errors",
    .basicsize = sizeof(ErrorsObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Errors_slots,
};

PyObject *
cg_errors_new(PyTypeObject *type, struct cg_log *log)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((ErrorsObject *)self)->log = log;
    }
    return self;
}
