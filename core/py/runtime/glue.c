/* SPDX-License-Identifier: MIT */
/* The built-in module `_cgunicorn` and the finder of embedded sources. */
#include "core/py/runtime/glue.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "core/base/title.h"
#include "core/http/reply.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/python_worker_internal.h"
#include "core/py/compat/written_internal.h"
#include "core/py/config/table_internal.h"
#include "core/py/dirty/wire.h"
#include "core/py/runtime/interp.h"
#include "core/py/runtime/ref.h"

/* ---- what the Python sources call ---- */

static const struct cg_glue_source *
find_source(const char *name)
{
    const struct cg_glue_source *s = cg_glue_sources;
    while (s->name != NULL && strcmp(s->name, name) != 0) {
        s++;
    }
    return s->name != NULL ? s : NULL;
}

static PyObject *
glue_source(PyObject *self, PyObject *name)
{
    const char *wanted = PyUnicode_AsUTF8(name);
    if (wanted == NULL) {
        return NULL;
    }
    const struct cg_glue_source *s = find_source(wanted);
    if (s == NULL) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(siy#)", s->text, s->is_package, s->code,
                         (Py_ssize_t)s->code_size);
}

/* Whether there is one. Its pages are not touched. */
static PyObject *
glue_has_source(PyObject *self, PyObject *name)
{
    const char *wanted = PyUnicode_AsUTF8(name);
    return wanted != NULL ? PyBool_FromLong(find_source(wanted) != NULL) : NULL;
}

/* Text for the log, whatever it holds. */
static PyObject *
encoded(PyObject *text)
{
    return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

static struct cg_slice
bytes_of(PyObject *bytes)
{
    return (struct cg_slice){PyBytes_AS_STRING(bytes),
                             (size_t)PyBytes_GET_SIZE(bytes)};
}

/* As compile(bytes, path, "exec"), whose first act is to make the types of the
 * syntax tree: they take longer than a start has. None for what it refuses in a
 * way of its own (NUL). */
static PyObject *
glue_compile(PyObject *self, PyObject *args)
{
    const char *source;
    Py_ssize_t n;
    PyObject *path; /* borrowed from the arguments */
    PyCompilerFlags flags = {.cf_flags = PyCF_SOURCE_IS_UTF8,
                             .cf_feature_version = PY_MINOR_VERSION};
    if (!PyArg_ParseTuple(args, "y#U", &source, &n, &path)) {
        return NULL;
    }
    if (memchr(source, '\0', (size_t)n) != NULL) {
        Py_RETURN_NONE;
    }
    return Py_CompileStringObject(source, path, Py_file_input, &flags, -1);
}

static PyObject *
glue_log(PyObject *self, PyObject *args)
{
    int level;
    PyObject *text; /* borrowed from the arguments */
    if (!PyArg_ParseTuple(args, "iU", &level, &text)) {
        return NULL;
    }
    py_auto *bytes = encoded(text);
    if (bytes == NULL) {
        return NULL;
    }
    if (cg_hook_log() != NULL) {
        cg_log_text_native(cg_hook_log(), (enum cg_level)level,
                           bytes_of(bytes));
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_log_write(PyObject *self, PyObject *args)
{
    int access;
    PyObject *text; /* borrowed from the arguments */
    if (!PyArg_ParseTuple(args, "pU", &access, &text)) {
        return NULL;
    }
    py_auto *bytes = encoded(text);
    if (bytes == NULL) {
        return NULL;
    }
    if (cg_hook_log() != NULL) {
        cg_log_write(cg_hook_log(), access != 0, bytes_of(bytes));
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_log_syslog(PyObject *self, PyObject *args)
{
    int access, level;
    PyObject *text; /* borrowed from the arguments */
    if (!PyArg_ParseTuple(args, "piU", &access, &level, &text)) {
        return NULL;
    }
    py_auto *bytes = encoded(text);
    if (bytes == NULL) {
        return NULL;
    }
    if (cg_hook_log() != NULL) {
        cg_log_syslog(cg_hook_log(), access != 0, (enum cg_level)level,
                      bytes_of(bytes));
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_log_statsd(PyObject *self, PyObject *message)
{
    if (!PyBytes_Check(message)) {
        PyErr_SetString(PyExc_TypeError, "log_statsd() takes bytes");
        return NULL;
    }
    if (cg_hook_log() != NULL) {
        cg_log_statsd(cg_hook_log(), bytes_of(message));
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_log_fd(PyObject *self, PyObject *access)
{
    int fd = -1, is_access = PyObject_IsTrue(access);
    if (cg_hook_log() != NULL) {
        fd = is_access > 0 ? cg_log_access_fd(cg_hook_log())
                           : cg_log_error_fd(cg_hook_log());
    }
    if (fd < 0) {
        PyErr_SetString(PyExc_OSError, "there is no such log");
        return NULL;
    }
    return PyLong_FromLong(fd);
}

static PyObject *
glue_log_enabled(PyObject *self, PyObject *level)
{
    long n = PyLong_AsLong(level);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyBool_FromLong(cg_hook_log() != NULL &&
                           cg_log_enabled(cg_hook_log(), (enum cg_level)n));
}

static PyObject *
glue_spawn_worker(PyObject *self, PyObject *unused)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    int pid = c->spawn_worker != NULL ? c->spawn_worker(c->self) : -ENOSYS;
    if (pid < 0) {
        return PyErr_Format(PyExc_RuntimeError, "no worker was forked: %s",
                            strerror(-pid));
    }
    return PyLong_FromLong(pid);
}

static PyObject *
glue_cull_workers(PyObject *self, PyObject *unused)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    if (c->cull != NULL) {
        c->cull(c->self);
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_kill_worker(PyObject *self, PyObject *args)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    int pid, sig;
    if (!PyArg_ParseTuple(args, "ii", &pid, &sig)) {
        return NULL;
    }
    if (c->kill_worker != NULL) {
        c->kill_worker(c->self, pid, sig);
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_reopen_logs(PyObject *self, PyObject *unused)
{
    if (cg_hook_log() != NULL) {
        cg_log_reopen(cg_hook_log());
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_num_workers(PyObject *self, PyObject *unused)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    return PyLong_FromLong(c->num_workers != NULL ? c->num_workers(c->self)
                                                  : 0);
}

static PyObject *
glue_set_num_workers(PyObject *self, PyObject *number)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (n < 0 || n > 100000) {
        PyErr_Format(PyExc_ValueError, "num_workers: %ld is out of range", n);
        return NULL;
    }
    if (c->set_num_workers != NULL) {
        c->set_num_workers(c->self, (int)n);
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_signal_self(PyObject *self, PyObject *number)
{
    const struct cg_server_calls *c = cg_hook_server_calls();
    long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (c->signal_self != NULL) {
        c->signal_self(c->self, (int)n);
    }
    Py_RETURN_NONE;
}

static PyObject *
glue_worker_stop(PyObject *self, PyObject *unused)
{
    cg_hook_worker_stop();
    Py_RETURN_NONE;
}

static PyObject *
glue_worker_quit(PyObject *self, PyObject *unused)
{
    cg_hook_worker_quit();
    Py_RETURN_NONE;
}

static PyObject *
glue_title_lend(PyObject *self, PyObject *unused)
{
    cg_title_lend();
    Py_RETURN_NONE;
}

static PyObject *
glue_title_take_back(PyObject *self, PyObject *unused)
{
    cg_title_take_back();
    Py_RETURN_NONE;
}

static PyObject *
glue_title(PyObject *self, PyObject *unused)
{
    const char *text = cg_title_get();
    if (text == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_DecodeFSDefault(text);
}

static PyObject *
glue_name_process(PyObject *self, PyObject *unused)
{
    cg_title_name_process();
    Py_RETURN_NONE;
}

static PyObject *
glue_is_late(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(cg_late_is_here());
}

/* Of our own table: http.client is a lot of modules, some of which a project
 * may have files like. */
static PyObject *
glue_reason(PyObject *self, PyObject *number)
{
    long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    const char *text = n >= 0 && n < 1000 ? cg_reason((int)n) : NULL;
    return PyUnicode_FromString(text != NULL ? text : "");
}

static PyMethodDef methods[] = {
    {"source", glue_source, METH_O,
     "source(name) -> (text, is_package, magic number + code)"},
    {"has_source", glue_has_source, METH_O, "has_source(name)"},
    {"compile", glue_compile, METH_VARARGS, "compile(source, path) -> code"},
    {"log", glue_log, METH_VARARGS, "log(level, text): natively"},
    {"log_write", glue_log_write, METH_VARARGS, "log_write(access, text)"},
    {"log_syslog", glue_log_syslog, METH_VARARGS,
     "log_syslog(access, level, text)"},
    {"log_statsd", glue_log_statsd, METH_O, "log_statsd(bytes)"},
    {"log_fd", glue_log_fd, METH_O, "log_fd(access)"},
    {"spawn_worker", glue_spawn_worker, METH_NOARGS,
     "spawn_worker() -> pid of one more worker"},
    {"cull_workers", glue_cull_workers, METH_NOARGS,
     "cull_workers(): those that are more than num_workers"},
    {"kill_worker", glue_kill_worker, METH_VARARGS, "kill_worker(pid, sig)"},
    {"log_enabled", glue_log_enabled, METH_O, "log_enabled(level)"},
    {"reopen_logs", glue_reopen_logs, METH_NOARGS, "reopen_logs()"},
    {"num_workers", glue_num_workers, METH_NOARGS, "num_workers()"},
    {"set_num_workers", glue_set_num_workers, METH_O, "set_num_workers(n)"},
    {"signal_self", glue_signal_self, METH_O, "signal_self(number)"},
    {"worker_stop", glue_worker_stop, METH_NOARGS,
     "worker_stop(): this worker ends, gracefully"},
    {"worker_quit", glue_worker_quit, METH_NOARGS, "worker_quit(): at once"},
    {"title_lend", glue_title_lend, METH_NOARGS,
     "title_lend(): argv and environ lie where the kernel laid them"},
    {"title_take_back", glue_title_take_back, METH_NOARGS, "the end of that"},
    {"title", glue_title, METH_NOARGS, "title() -> the process's, or None"},
    {"name_process", glue_name_process, METH_NOARGS,
     "name_process(): its short name, which setproctitle changes"},
    {"reason", glue_reason, METH_O, "reason(status) -> phrase, or nothing"},
    {"is_late", glue_is_late, METH_NOARGS,
     "is_late(): the request that runs here took too long; once"},
    {NULL, NULL, 0, NULL}};

/* ---- what an application may import ---- */

static PyObject *
RequestTimeout_str(PyObject *self)
{
    return PyUnicode_FromString(
        "the request ran for longer than request_timeout");
}

/* Not an Exception: frameworks make a page of those, which nobody would get,
 * since the client has its answer. */
static PyType_Slot RequestTimeout_slots[] = {
    {Py_tp_doc, (void *)(size_t) "Raised in a request that took longer than "
                                 "request_timeout."},
    {Py_tp_str, RequestTimeout_str},
    {0, NULL}};

static PyType_Spec RequestTimeout_spec = {
    .name = "_cgunicorn.RequestTimeout",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = RequestTimeout_slots,
};

static PyMethodDef *more_methods; /* of the front end; NULL: none */

static int
fill_module(PyObject *module)
{
    if (more_methods != NULL &&
        PyModule_AddFunctions(module, more_methods) < 0) {
        return -1;
    }
    py_auto *bases = PyTuple_Pack(1, PyExc_BaseException);
    py_auto *timeout =
        bases != NULL ? PyType_FromSpecWithBases(&RequestTimeout_spec, bases)
                      : NULL;
    if (timeout == NULL ||
        PyObject_SetAttrString(module, "RequestTimeout", timeout) < 0 ||
        PyModule_AddFunctions(module, cg_written_methods) < 0 ||
        PyModule_AddFunctions(module, cg_table_methods) < 0 ||
        PyModule_AddFunctions(module, cg_dirty_relay_methods) < 0 ||
        cg_dirty_relay_fill() < 0 || cg_dirty_wire_fill(module) < 0 ||
        PyModule_AddFunctions(module, cg_python_worker_methods) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", CG_VERSION);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)fill_module},
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_cgunicorn",
    .m_doc = "What cgunicorn's embedded Python sources call.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots};

static PyObject *
init_module(void)
{
    return PyModuleDef_Init(&definition);
}

PyObject *
cg_glue_module(PyMethodDef *more)
{
    more_methods = more;
    return init_module();
}

#ifdef Py_GIL_DISABLED

/* A module for what it says: Python turns the GIL on when it is imported. */
static PyModuleDef_Slot gil_slots[] = {{Py_mod_gil, Py_MOD_GIL_USED},
                                       {0, NULL}};

static PyModuleDef gil_definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_cgunicorn_gil",
    .m_doc = "Turns the GIL on, for worker classes that need it.", .m_size = 0,
    .m_slots = gil_slots};

PyObject *
cg_glue_gil_module(void)
{
    return PyModuleDef_Init(&gil_definition);
}

int
cg_glue_register(void)
{
    int r = PyImport_AppendInittab("_cgunicorn", init_module);
    return r < 0 ? r
                 : PyImport_AppendInittab("_cgunicorn_gil", cg_glue_gil_module);
}

#else

PyObject *
cg_glue_gil_module(void)
{
    PyErr_SetString(PyExc_ImportError, "there is no other Python than one with "
                                       "a GIL here");
    return NULL;
}

int
cg_glue_register(void)
{
    return PyImport_AppendInittab("_cgunicorn", init_module);
}

#endif

/* ---- the finder ---- */

static const char finder[] =
    "import sys\n"
    "import _cgunicorn\n"
    "import marshal\n"
    "from _frozen_importlib import ModuleSpec\n"
    "from _frozen_importlib_external import MAGIC_NUMBER\n"
    "class Finder:\n"
    "    def __init__(self, top):\n"
    "        self.top = top\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name != self.top and not name.startswith(self.top + '.'):\n"
    "            if path is None and name in standard.NAMES and \\\n"
    "                    self is Finder.front:\n"
    "                return standard.find(name)\n"
    "            if name.endswith('setproctitle') and self is Finder.front:\n"
    "                from _cgunicorn_glue.title import find\n"
    "                return find(self, name, path, target)\n"
    "            return None\n"
    "        found = _cgunicorn.source(name)\n"
    "        if found is None:\n"
    "            return None\n"
    "        return ModuleSpec(name, self, origin='<cgunicorn>/' + name,\n"
    "                          is_package=bool(found[1]))\n"
    "    def create_module(self, spec):\n"
    "        return None\n"
    "    def exec_module(self, module):\n"
    "        exec(self.get_code(module.__name__), module.__dict__)\n"
    "    def get_source(self, name):\n"
    "        return _cgunicorn.source(name)[0]\n"
    "    def get_code(self, name):\n"
    "        code = _cgunicorn.source(name)[2]\n"
    "        n = len(MAGIC_NUMBER)\n"
    "        if code[:n] == MAGIC_NUMBER:\n"
    "            return marshal.loads(code[n:])\n"
    "        return compile(self.get_source(name), '<cgunicorn>/' + name,\n"
    "                       'exec', dont_inherit=True)\n"
    "    def is_package(self, name):\n"
    "        return bool(_cgunicorn.source(name)[1])\n"
    "class standard: NAMES = ()\n" /* until it is there */
    "Finder.front = Finder('_cgunicorn_glue')\n"
    "sys.meta_path.insert(0, Finder.front)\n"
    "from _cgunicorn_glue import standard\n"
    "if getattr(_cgunicorn, 'takes_name', False):\n"
    "    sys.meta_path.insert(1, Finder('gunicorn'))\n"
    "else:\n"
    "    sys.meta_path.append(Finder('gunicorn'))\n"
    "from _cgunicorn_glue import names\n"
    "names.start()\n"
#ifdef Py_GIL_DISABLED
    "from _cgunicorn_glue import gil\n"
    "gil.watch()\n"
#endif
    ;

int
cg_glue_install(struct cg_error *err)
{
    py_auto *scope = PyDict_New();
    py_auto *name = PyUnicode_FromString("_cgunicorn_finder");
    if (scope == NULL || name == NULL ||
        PyDict_SetItemString(scope, "__builtins__", PyEval_GetBuiltins()) < 0 ||
        PyDict_SetItemString(scope, "__name__", name) < 0) {
        return cg_py_error(err, NULL);
    }
    py_auto *done = PyRun_String(finder, Py_file_input, scope, scope);
    return done != NULL ? 0 : cg_py_error(err, NULL);
}

/* ---- names that a configuration may change ---- */

static const char *
gunicorn_name(const char *attribute, const char *fallback, char *out,
              size_t size)
{
    py_auto *key = PyUnicode_FromString("gunicorn");
    py_auto *module = key != NULL ? PyImport_GetModule(key) : NULL;
    py_auto *value =
        module != NULL ? PyObject_GetAttrString(module, attribute) : NULL;
    const char *text = value != NULL && PyUnicode_Check(value)
                           ? PyUnicode_AsUTF8(value)
                           : NULL;
    PyErr_Clear();
    if (text == NULL || strpbrk(text, "\r\n") != NULL) {
        text = fallback;
    }
    snprintf(out, size, "%s", text);
    return out;
}

const char *
cg_py_server_field(void)
{
    static char text[128];
    return gunicorn_name("SERVER", "gunicorn", text, sizeof text);
}

const char *
cg_py_server_software(void)
{
    static char text[128];
    return gunicorn_name("SERVER_SOFTWARE", "gunicorn/" CG_GUNICORN_VERSION,
                         text, sizeof text);
}
