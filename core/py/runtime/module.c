/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/module.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/runtime/glue.h"
#include "core/py/runtime/interp.h"
#include "core/py/runtime/ref.h"

static cg_python_program *program;

/* ---- the words of a list ---- */

struct words {
    PyObject *bytes; /* list of what the items point to */
    char **items;    /* ends with NULL */
    int n;
};

static void
cg_cleanup_words(struct words *w)
{
    Py_CLEAR(w->bytes);
    free(w->items);
}

/* Their bytes, as the system gave them. */
static int
add_word(struct words *w, PyObject *text)
{
    PyObject *bytes = NULL;
    if (!PyUnicode_FSConverter(text, &bytes)) {
        return -1;
    }
    int r = PyList_Append(w->bytes, bytes);
    w->items[w->n++] = PyBytes_AS_STRING(bytes);
    Py_DECREF(bytes);
    return r;
}

static int
read_words(PyObject *list, struct words *ret)
{
    Py_ssize_t n = PyList_Size(list);
    if (n < 1 || n > INT_MAX - 1) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError,
                            "main() takes two lists of words");
        }
        return -1;
    }
    ret->bytes = PyList_New(0);
    ret->items = cg_calloc((size_t)n + 1, sizeof *ret->items);
    for (Py_ssize_t i = 0; ret->bytes != NULL && i < n; i++) {
        py_auto *text = py_list_get(list, i);
        if (add_word(ret, text) < 0) {
            return -1;
        }
    }
    return ret->bytes != NULL ? 0 : -1;
}

/* ---- main ---- */

/* Signals and fork are a process's first thread's. */
static bool
is_first_thread(void)
{
    return syscall(SYS_gettid) == getpid();
}

/* settings: NULL, or of a program that embeds us. */
static PyObject *
run_program(PyObject *settings, PyObject *argv, PyObject *restart)
{
    static bool ran;
    cg_auto(words) struct words a = {0}, r = {0};
    if (read_words(argv, &a) < 0 || read_words(restart, &r) < 0) {
        return NULL;
    }
    if (ran || !is_first_thread()) {
        PyErr_SetString(PyExc_RuntimeError,
                        ran ? "cgunicorn has run in this process already"
                            : "cgunicorn runs in the main thread only");
        return NULL;
    }
    ran = true;
    return PyLong_FromLong(program(settings, a.n, a.items, r.items));
}

static PyObject *
run_main(PyObject *self, PyObject *args)
{
    PyObject *argv, *restart; /* borrowed from the arguments */
    if (!PyArg_ParseTuple(args, "O!O!:main", &PyList_Type, &argv, &PyList_Type,
                          &restart)) {
        return NULL;
    }
    return run_program(NULL, argv, restart);
}

static PyObject *
serve(PyObject *self, PyObject *args)
{
    PyObject *settings, *restart; /* borrowed from the arguments */
    if (!PyArg_ParseTuple(args, "OO!:serve", &settings, &PyList_Type,
                          &restart)) {
        return NULL;
    }
    return run_program(settings, restart, restart);
}

/* The finder of the embedded sources is there once. */
static bool installed;

static int
install(struct cg_error *err)
{
    int r = installed ? 0 : cg_glue_install(err);
    installed = installed || r == 0;
    return r;
}

static PyObject *
install_sources(PyObject *self, PyObject *unused)
{
    struct cg_error err = {0};
    if (install(&err) < 0) {
        PyErr_SetString(PyExc_ImportError, err.text);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"main", run_main, METH_VARARGS,
     "main(argv, restart) -> exit status: runs the server"},
    {"serve", serve, METH_VARARGS,
     "serve(settings, restart) -> exit status: the same for a program; "
     "settings() -> [(name, value, source, own)]"},
    {"install", install_sources, METH_NOARGS,
     "install(): the embedded Python sources can be imported"},
    {NULL, NULL, 0, NULL}};

void *
cg_python_module(cg_python_program *run)
{
    program = run;
    return cg_glue_module(methods);
}

void *
cg_python_gil_module(void)
{
    return cg_glue_gil_module();
}

/* ---- the interpreter that is there ---- */

static bool
same_file(const char *a, const char *b)
{
    char x[PATH_MAX], y[PATH_MAX];
    return realpath(a, x) != NULL && realpath(b, y) != NULL &&
           strcmp(x, y) == 0;
}

/* Interpreters of several environments may be links to one: where they lie
 * counts too. */
static bool
same_program(const char *a, const char *b)
{
    cg_auto(free) char *dir_a = cg_strdup(a);
    cg_auto(free) char *dir_b = cg_strdup(b);
    return same_file(a, b) && same_file(dirname(dir_a), dirname(dir_b));
}

/* A text of module sys, or "". Fresh memory. */
static char *
sys_text(const char *name)
{
    py_auto *o = py_sys_get(name);
    const char *text =
        o != NULL && PyUnicode_Check(o) ? PyUnicode_AsUTF8(o) : NULL;
    PyErr_Clear();
    return cg_strdup(text != NULL ? text : "");
}

static int
check_choice(const char *option, const char *source, struct cg_error *err)
{
    struct stat st;
    cg_auto(free) char *prefix = sys_text("prefix");
    cg_auto(free) char *exe = sys_text("executable");
    bool folder = stat(option, &st) == 0 && S_ISDIR(st.st_mode);
    if (folder ? same_file(option, prefix) : same_program(option, exe)) {
        return 0;
    }
    return cg_error_set(err, EINVAL,
                        "%s: %s is not the Python that this cgunicorn is "
                        "installed in (%s). Install it there and start it by "
                        "%s -m cgunicorn",
                        source, option, exe,
                        folder ? "its bin/python3" : option);
}

int
cg_python_adopt(const char *option, struct cg_error *err)
{
    const char *variable = getenv("CGUNICORN_PYTHON");
    int r = 0;
    if (option != NULL && *option != '\0') {
        r = check_choice(option, "--python", err);
    } else if (variable != NULL && *variable != '\0') {
        r = check_choice(variable, "environment CGUNICORN_PYTHON", err);
    }
    if (r < 0) {
        return r;
    }
    cg_python_end_at_interrupt();
    return install(err);
}

int
cg_python_leave(void)
{
    cg_python_block_signals();
    fflush(NULL);
    return 0;
}
