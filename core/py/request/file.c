/* SPDX-License-Identifier: MIT */
#include "core/py/request/file.h"

#include <stddef.h>
#include <structmember.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- plain files ---- */

/* Whether o is of exactly that type. A module that nobody has imported has made
 * no object. */
static bool
is_a(PyObject *o, const char *module, const char *name)
{
    py_auto *key = PyUnicode_FromString(module);
    py_auto *m = key != NULL ? PyImport_GetModule(key) : NULL;
    py_auto *type = m != NULL ? PyObject_GetAttrString(m, name) : NULL;
    PyErr_Clear();
    return type == (PyObject *)Py_TYPE(o);
}

static bool
has(PyObject *dict, const char *name)
{
    py_auto *key = PyUnicode_FromString(name);
    int there = key != NULL ? PyDict_Contains(dict, key) : -1;
    PyErr_Clear();
    return there != 0; /* what cannot be looked at is not trusted */
}

/* Whether somebody has put another way of reading into the object. */
static bool
is_patched(PyObject *o)
{
    py_auto *own = PyObject_GetAttrString(o, "__dict__");
    if (own == NULL || !PyDict_Check(own)) {
        PyErr_Clear();
        return false;
    }
    return has(own, "read") || has(own, "readinto");
}

static bool
is_raw(PyObject *o)
{
    return is_a(o, "_io", "FileIO") && !is_patched(o);
}

static bool
is_buffered(PyObject *o)
{
    if ((!is_a(o, "_io", "BufferedReader") &&
         !is_a(o, "_io", "BufferedRandom")) ||
        is_patched(o)) {
        return false;
    }
    py_auto *raw = PyObject_GetAttrString(o, "raw");
    PyErr_Clear();
    return raw != NULL && is_raw(raw);
}

/* tempfile's wrapper, which may delete the file, counts as what it wraps. */
static bool
is_plain(PyObject *o)
{
    if (!is_a(o, "tempfile", "_TemporaryFileWrapper")) {
        return is_raw(o) || is_buffered(o);
    }
    py_auto *inner = PyObject_GetAttrString(o, "file");
    PyErr_Clear();
    return inner != NULL && !is_patched(o) &&
           (is_raw(inner) || is_buffered(inner));
}

/* ---- what can be sent ---- */

static long long
call_for_number(PyObject *file, const char *name)
{
    py_auto *result = PyObject_CallMethod(file, name, NULL);
    long long n =
        result != NULL && PyLong_Check(result) ? PyLong_AsLongLong(result) : -1;
    PyErr_Clear();
    return n;
}

/* Where the file's reader stands: tell() knows of its buffer, the descriptor
 * does not. */
static off_t
position(PyObject *file, int fd)
{
    long long at = call_for_number(file, "tell");
    return at >= 0 ? (off_t)at : lseek(fd, 0, SEEK_CUR);
}

/* A regular file whose size is known: those that the kernel makes up while they
 * are read (/proc, /sys) say 0, or have no blocks. */
static bool
has_size(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_size > 0 && st->st_blocks > 0;
}

bool
cg_file_look(PyObject *wrapper, struct cg_file_part *ret)
{
    struct stat st;
    py_auto *file = PyObject_GetAttrString(wrapper, "filelike");
    PyErr_Clear();
    int fd = file != NULL && is_plain(file)
                 ? (int)call_for_number(file, "fileno")
                 : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || !has_size(&st)) {
        return false;
    }
    off_t at = position(file, fd);
    if (at < 0 || at > st.st_size) {
        return false;
    }
    *ret = (struct cg_file_part){.fd = fd, .at = at, .n = st.st_size - at};
    return true;
}

int
cg_file_send(struct cg_exchange *ex, const struct cg_file_part *part)
{
    const struct cg_writer *w = ex->writer;
    off_t n = part->n;
    if (w->headed || !w->started) {
        return 0;
    }
    if (w->reply.has_length && w->reply.length < (uint64_t)n) {
        n = (off_t)w->reply.length;
    }
    int r = cg_exchange_file(ex, part->fd, part->at, (size_t)n);
    return r < 0 ? r : 1;
}

/* ---- the type ---- */

typedef struct {
    PyObject_HEAD PyObject *filelike;
    Py_ssize_t blksize;
} FileObject;

static PyObject *
File_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"filelike", "blksize", NULL};
    PyObject *filelike; /* borrowed from the arguments */
    Py_ssize_t blksize = 8192;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|n:FileWrapper",
                                     (char **)(size_t)names, &filelike,
                                     &blksize)) {
        return NULL;
    }
    PyObject *self = type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    FileObject *f = (FileObject *)self;
    f->filelike = py_new(filelike);
    f->blksize = blksize;
    return self;
}

static int
File_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((FileObject *)self)->filelike);
    return 0;
}

static int
File_clear(PyObject *self)
{
    Py_CLEAR(((FileObject *)self)->filelike);
    return 0;
}

static void
File_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, File_dealloc) /* files in files in files */
        File_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* A reference of our own: the attribute is the application's to change. */
static PyObject *
file_of(PyObject *self)
{
    return PyObject_GetAttrString(self, "filelike");
}

static PyObject *
File_iternext(PyObject *self)
{
    FileObject *f = (FileObject *)self;
    py_auto *file = file_of(self);
    py_auto *data = file != NULL
                        ? PyObject_CallMethod(file, "read", "n", f->blksize)
                        : NULL;
    if (data == NULL) {
        return NULL;
    }
    return PyObject_IsTrue(data) == 1 ? py_take(&data) : NULL;
}

/* The old sequence protocol: any index is the next block. */
static PyObject *
File_item(PyObject *self, Py_ssize_t index)
{
    PyObject *data = File_iternext(self);
    if (data == NULL && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_IndexError);
    }
    return data;
}

static PyObject *
File_close(PyObject *self, PyObject *unused)
{
    py_auto *file = file_of(self);
    py_auto *close =
        file != NULL ? PyObject_GetAttrString(file, "close") : NULL;
    if (file == NULL) {
        return NULL;
    }
    if (close == NULL) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return PyObject_CallNoArgs(close);
}

static PyMethodDef File_methods[] = {
    {"close", File_close, METH_NOARGS, "close(): closes the file, if it can"},
    {NULL, NULL, 0, NULL}};

static PyMemberDef File_members[] = {
    {"filelike", T_OBJECT_EX, offsetof(FileObject, filelike), 0, NULL},
    {"blksize", T_PYSSIZET, offsetof(FileObject, blksize), 0, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot File_slots[] = {
    {Py_tp_doc, (void *)(size_t) "wsgi.file_wrapper (PEP 3333)"},
    {Py_tp_new, File_new},
    {Py_tp_traverse, File_traverse},
    {Py_tp_clear, File_clear},
    {Py_tp_dealloc, File_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, File_iternext},
    {Py_sq_item, File_item},
    {Py_tp_methods, File_methods},
    {Py_tp_members, File_members},
    {0, NULL}};

PyType_Spec cg_file_spec = {
    .name = "cgunicorn.FileWrapper",
    .basicsize = sizeof(FileObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = File_slots,
};
