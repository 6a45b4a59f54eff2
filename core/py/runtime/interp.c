/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/interp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/logger.h"
#include "core/py/runtime/glue.h"
#include "core/py/runtime/ref.h"

/* ---- start ---- */

static int
status_error(PyStatus status, struct cg_error *err)
{
    return cg_error_set(
        err, EFAULT, "Python does not start: %s%s%s",
        status.func != NULL ? status.func : "", status.func != NULL ? ": " : "",
        status.err_msg != NULL ? status.err_msg : "unknown error");
}

static PyStatus
configure(PyConfig *c, const char *exe, int argc, char *const *argv)
{
    wchar_t *wide = Py_DecodeLocale(exe, NULL);
    PyStatus st = PyConfig_SetString(c, &c->program_name, wide);
    if (!PyStatus_Exception(st)) {
        st = PyConfig_SetString(c, &c->executable, wide);
    }
    PyMem_RawFree(wide);
    if (!PyStatus_Exception(st)) {
        st = PyConfig_SetBytesArgv(c, argc, (char **)(size_t)argv);
    }
    return st;
}

void
cg_python_end_at_interrupt(void)
{
    struct sigaction sa;
    if (sigaction(SIGINT, NULL, &sa) == 0 && sa.sa_handler != SIG_IGN) {
        signal(SIGINT, SIG_DFL);
    }
}

static PyStatus
initialize(const PyConfig *config)
{
    sigset_t interrupt, old;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &old);
    PyStatus st = Py_InitializeFromConfig(config);
    cg_python_end_at_interrupt();
    sigprocmask(SIG_SETMASK, &old, NULL);
    return st;
}

static struct cg_python_choice started; /* zeroed in a program of Python's */

const char *
cg_python_to_name(void)
{
    return !started.is_given           ? NULL
           : started.prefix[0] != '\0' ? started.prefix
                                       : started.exe;
}

int
cg_python_start(const struct cg_python_choice *choice, int argc,
                char *const *argv, struct cg_error *err)
{
    PyPreConfig pre;
    PyConfig config;
    started = *choice;
    PyPreConfig_InitPythonConfig(&pre);
    pre.parse_argv = 0; /* our options are not python's */
    PyStatus st = Py_PreInitialize(&pre);
    if (PyStatus_Exception(st)) {
        return status_error(st, err);
    }
    if (cg_glue_register() < 0) {
        return cg_error_set(err, EFAULT, "Python takes no built-in module");
    }
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    st = configure(&config, choice->exe, argc, argv);
    if (!PyStatus_Exception(st)) {
        st = initialize(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(st)) {
        return status_error(st, err);
    }
    return cg_glue_install(err);
}

bool
cg_python_is_free_threaded(void)
{
#ifdef Py_GIL_DISABLED
    return true;
#else
    return false;
#endif
}

bool
cg_python_gil_is_on(void)
{
    py_auto *ask = py_sys_get("_is_gil_enabled"); /* 3.13 */
    py_auto *on = ask != NULL ? PyObject_CallNoArgs(ask) : NULL;
    PyErr_Clear();
    return on != Py_False;
}

#ifdef Py_GIL_DISABLED

int
cg_python_want_gil(struct cg_error *err)
{
    py_auto *turn_on = cg_glue_get("_cgunicorn_glue.gil", "turn_on");
    py_auto *done = turn_on != NULL ? PyObject_CallNoArgs(turn_on) : NULL;
    if (done == NULL) {
        return cg_py_error(err, NULL);
    }
    if (!cg_python_gil_is_on()) {
        return cg_error_set(
            err, EINVAL,
            "it needs the GIL, which is turned off by PYTHON_GIL=0 or -X "
            "gil=0. Leave that out: then the GIL comes on by itself; or name "
            "one of the worker classes that need none: sync, gthread, asgi");
    }
    return 0;
}

void
cg_python_gil_names(struct cg_buf *out)
{
    py_auto *names = cg_glue_get("_cgunicorn_glue.gil", "names");
    py_auto *list = names != NULL ? PyObject_CallNoArgs(names) : NULL;
    const char *text = list != NULL ? PyUnicode_AsUTF8(list) : NULL;
    cg_buf_put_escaped(out, cg_slice_of(text != NULL ? text : ""), 500);
    PyErr_Clear();
}

#else

int
cg_python_want_gil(struct cg_error *err)
{
    return 0;
}

void
cg_python_gil_names(struct cg_buf *out)
{
}

#endif

const char *
cg_python_version(void)
{
    static char text[32];
    snprintf(text, sizeof text, "%.*s", (int)strcspn(Py_GetVersion(), " "),
             Py_GetVersion());
    return text;
}

/* ---- GIL ---- */

static __thread PyThreadState *saved;

void
cg_gil_drop(void)
{
    saved = PyEval_SaveThread();
}

void
cg_gil_take(void)
{
    PyEval_RestoreThread(saved);
}

void
cg_gil_enter(void *unused)
{
    cg_gil_take();
}

void
cg_gil_leave(void *unused)
{
    cg_gil_drop();
}

/* ---- fork ---- */

pid_t
cg_python_fork(void (*in_child)(void *self), void *self)
{
    sigset_t all, old;
    fflush(NULL); /* else buffered output is written twice */
    PyOS_BeforeFork();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    int failure = errno;
    if (pid == 0) {
        if (in_child != NULL) {
            in_child(self);
        }
        sigprocmask(SIG_SETMASK, &old, NULL);
        PyOS_AfterFork_Child();
        return 0;
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    PyOS_AfterFork_Parent();
    return pid < 0 ? -failure : pid;
}

/* ---- signals ---- */

/* sys.exit's argument as a status: None is 0, an int itself, else 1. */
static int
exit_status(PyObject *value)
{
    py_auto *code =
        value != NULL ? PyObject_GetAttrString(value, "code") : NULL;
    if (code == NULL || code == Py_None) {
        PyErr_Clear();
        return 0;
    }
    if (PyLong_Check(code)) {
        int status = (int)PyLong_AsLong(code);
        PyErr_Clear();
        return status & 0xff;
    }
    py_auto *text = PyObject_Str(code);
    const char *s = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    fprintf(stderr, "%s\n", s != NULL ? s : "");
    PyErr_Clear();
    return 1;
}

bool
cg_py_take_exit(int *ret_status)
{
    if (!PyErr_ExceptionMatches(PyExc_SystemExit)) {
        return false;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    *ret_status = exit_status(value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return true;
}

int
cg_python_signals(int *ret_exit, struct cg_error *err)
{
    cg_py_logger_flush(); /* log lines ask for this moment too */
    if (PyErr_CheckSignals() == 0) {
        return 0;
    }
    if (cg_py_take_exit(ret_exit)) {
        return -1;
    }
    cg_py_error(err, NULL);
    return -2;
}

/* ---- end ---- */

/* Python's end puts handled signals back to their default: a second TERM, or a
 * USR1 for everybody, would kill a worker that is done. */
void
cg_python_block_signals(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGQUIT);
    sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
}

int
cg_python_finish(void)
{
    cg_python_block_signals();
    int r = Py_FinalizeEx();
    fflush(NULL);
    return r < 0 ? 120 : 0;
}

long
cg_python_refcount(void)
{
    py_auto *f = py_sys_get("gettotalrefcount"); /* debug builds only */
    py_auto *n = f != NULL ? PyObject_CallNoArgs(f) : NULL;
    long count = n != NULL ? PyLong_AsLong(n) : 0;
    PyErr_Clear();
    return count;
}
