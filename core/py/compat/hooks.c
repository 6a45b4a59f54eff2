/* SPDX-License-Identifier: MIT */
#include "core/py/compat/hooks.h"
#include "core/py/runtime/gil.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/table.h"
#include "core/base/addr.h"
#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/compat/logger.h"
#include "core/py/runtime/convert.h"

/* Of the one server and worker of this process; nobody else sees it. */
static struct {
    struct cg_log *log;
    struct cg_server_calls calls;
    struct cg_worker_calls worker;
    int wakeup_fd;      /* the worker's, to be written to; 0: none */
    _Atomic bool quits; /* it was told to stop at once; any thread asks */
} state;

struct cg_log *
cg_hook_log(void)
{
    return state.log;
}

const struct cg_server_calls *
cg_hook_server_calls(void)
{
    return &state.calls;
}

/* Both structs are Python objects: server is glue's Server, worker its Worker.
 * The casts are here and nowhere else. */
static PyObject *
server_object(struct cg_py_server *s)
{
    return (PyObject *)(void *)s;
}

static PyObject *
worker_object(struct cg_py_worker *w)
{
    return (PyObject *)(void *)w;
}

/* ---- cfg ---- */

static int
put_row(PyObject *values, PyObject *sections, PyObject *hooks,
        const struct cg_settings *s, int id)
{
    py_auto *name = PyUnicode_InternFromString(cg_rows[id].name);
    if (name == NULL ||
        py_dict_put(values, name, cg_value_to_python(&s->value[id])) < 0 ||
        py_dict_put(sections, name, PyUnicode_FromString(cg_rows[id].section)) <
            0) {
        return -1;
    }
    if (cg_rows[id].type != TYPE_HOOK) {
        return 0;
    }
    py_auto *hook = Py_BuildValue("(Os)", name, cg_rows[id].qualname);
    return hook != NULL ? PyList_Append(hooks, hook) : -1;
}

static PyObject *
address_object(const char *text)
{
    struct cg_addr a;
    struct cg_error ignored;
    if (cg_addr_parse(text, &a, &ignored) < 0) {
        return PyUnicode_DecodeFSDefault(text);
    }
    switch (a.kind) {
    case CG_ADDR_TCP: return Py_BuildValue("(si)", a.host, (int)a.port);
    case CG_ADDR_UNIX: return PyUnicode_DecodeFSDefault(a.path);
    case CG_ADDR_FD: return PyLong_FromLong(a.fd);
    }
    return NULL;
}

static PyObject *
addresses(const struct cg_settings *s)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    py_auto *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < bind->list.n; i++) {
        py_auto *a = address_object(bind->list.items[i].s);
        if (a == NULL || PyList_Append(list, a) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

static PyObject *
new_config(const struct cg_settings *s)
{
    py_auto *values = PyDict_New();
    py_auto *defaults = PyDict_New();
    py_auto *sections = PyDict_New();
    py_auto *hooks = PyList_New(0);
    py_auto *address = addresses(s);
    py_auto *make = cg_glue_get("_cgunicorn_glue.hooks", "make_config");
    if (values == NULL || defaults == NULL || sections == NULL ||
        hooks == NULL || address == NULL || make == NULL) {
        return NULL;
    }
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        if (put_row(values, sections, hooks, s, id) < 0) {
            return NULL;
        }
    }
    py_auto *derived =
        Py_BuildValue("{s:N,s:O,s:N,s:O}", "worker_class",
                      PyUnicode_DecodeFSDefault(cg_settings_worker_class(s)),
                      "address", address, "proc_name",
                      PyUnicode_DecodeFSDefault(cg_settings_proc_name(s)),
                      "sendfile", cg_settings_sendfile(s) ? Py_True : Py_False);
    if (derived == NULL) {
        return NULL;
    }
    return PyObject_CallFunction(make, "OOOOO", values, defaults, sections,
                                 hooks, derived);
}

PyObject *
cg_hook_new_config(const struct cg_settings *s)
{
    return new_config(s);
}

/* ---- server ---- */

/* gunicorn's texts of refusal are RuntimeErrors; anything else is a fault of
 * the user's logger, and is shown whole. */
static void
explain(struct cg_error *err)
{
    cg_auto(buf) struct cg_buf traceback = {0};
    bool plain = PyErr_ExceptionMatches(PyExc_RuntimeError);
    int r = cg_py_error(err, &traceback);
    if (plain) {
        /* without the type; one that has no text keeps it */
        const char *text = strstr(err->text, ": ");
        if (text != NULL) {
            memmove(err->text, text + 2, strlen(text + 2) + 1);
        }
    } else if (traceback.n > 0) {
        cg_error_set(err, -r, "cannot make the server's objects:\n%s",
                     cg_buf_str(&traceback));
    }
}

static PyObject *
new_server(const struct cg_settings *settings)
{
    py_auto *cfg = new_config(settings);
    py_auto *type = cfg != NULL
                        ? cg_glue_get("_cgunicorn_glue.hooks", "make_server")
                        : NULL;
    py_auto *server =
        type != NULL ? PyObject_CallFunctionObjArgs(type, cfg, NULL) : NULL;
    return server != NULL && cg_py_logger_adopt(server) == 0 ? py_take(&server)
                                                             : NULL;
}

struct cg_py_server *
cg_py_server_new(const struct cg_settings *settings, struct cg_log *log,
                 const struct cg_server_calls *calls, struct cg_error *err)
{
    state.log = log;
    state.calls = *calls;
    PyObject *server = new_server(settings);
    if (server == NULL) {
        explain(err);
    }
    return (struct cg_py_server *)(void *)server;
}

void
cg_py_server_free(struct cg_py_server *server)
{
    cg_py_logger_drop();
    Py_XDECREF(server_object(server));
    memset(&state, 0, sizeof state);
}

int
cg_py_server_set_settings(struct cg_py_server *server,
                          const struct cg_settings *settings,
                          struct cg_error *err)
{
    py_auto *cfg = new_config(settings);
    py_auto *done = cfg != NULL ? PyObject_CallMethod(server_object(server),
                                                      "set_config", "O", cfg)
                                : NULL;
    if (done == NULL || cg_py_logger_adopt(server_object(server)) < 0) {
        return cg_py_error(err, NULL);
    }
    return 0;
}

void
cg_py_server_reopen_logs(struct cg_py_server *server)
{
    py_auto *reopen = cg_glue_get("_cgunicorn_glue.logger", "reopen");
    py_auto *log = PyObject_GetAttrString(server_object(server), "log");
    py_auto *done = reopen != NULL && log != NULL
                        ? PyObject_CallFunctionObjArgs(reopen, log, NULL)
                        : NULL;
    if (done == NULL) {
        PyErr_Clear();
        cg_log_reopen(state.log);
    }
}

/* Setting plain attributes cannot usefully fail: the user may have put a
 * read-only property in the way, and that is the user's. */
static void
set_attribute(PyObject *o, const char *name, PyObject *value)
{
    if (value != NULL) {
        PyObject_SetAttrString(o, name, value);
        Py_DECREF(value);
    }
    PyErr_Clear();
}

void
cg_py_server_set_pid(struct cg_py_server *server, int pid)
{
    set_attribute(server_object(server), "pid", PyLong_FromLong(pid));
}

void
cg_py_server_set_masters(struct cg_py_server *server, int master_pid,
                         int reexec_pid, const char *name, bool systemd)
{
    PyObject *s = server_object(server);
    set_attribute(s, "master_pid", PyLong_FromLong(master_pid));
    set_attribute(s, "reexec_pid", PyLong_FromLong(reexec_pid));
    set_attribute(s, "master_name", PyUnicode_FromString(name));
    set_attribute(s, "systemd", PyBool_FromLong(systemd));
}

static PyObject *
text_list(char *const *texts)
{
    py_auto *list = PyList_New(0);
    for (; list != NULL && *texts != NULL; texts++) {
        py_auto *text = PyUnicode_DecodeFSDefault(*texts);
        if (text == NULL || PyList_Append(list, text) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

void
cg_py_server_set_start(struct cg_py_server *server, const char *cwd,
                       const char *exe, char *const *args)
{
    py_auto *context =
        PyObject_GetAttrString(server_object(server), "START_CTX");
    py_auto *zero = PyLong_FromLong(0);
    py_auto *dir = PyUnicode_DecodeFSDefault(cwd);
    py_auto *file = PyUnicode_DecodeFSDefault(exe);
    if (context != NULL && zero != NULL && dir != NULL && file != NULL &&
        PyMapping_SetItemString(context, "cwd", dir) == 0) {
        PyObject_SetItem(context, zero, file);
    }
    py_auto *list = args != NULL ? text_list(args) : NULL;
    if (context != NULL && list != NULL) {
        PyMapping_SetItemString(context, "args", list);
    }
    PyErr_Clear();
}

static PyObject *
int_list(const int *numbers, int count)
{
    py_auto *list = PyList_New(0);
    for (int i = 0; list != NULL && i < count; i++) {
        py_auto *n = PyLong_FromLong(numbers[i]);
        if (n == NULL || PyList_Append(list, n) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

void
cg_py_server_set_listeners(struct cg_py_server *server,
                           const char *const *texts, const int *fds, int count)
{
    py_auto *t = PyList_New(0);
    py_auto *f = PyList_New(0);
    for (int i = 0; t != NULL && f != NULL && i < count; i++) {
        py_auto *text = PyUnicode_DecodeFSDefault(texts[i]);
        py_auto *fd = PyLong_FromLong(fds[i]);
        if (text == NULL || fd == NULL || PyList_Append(t, text) < 0 ||
            PyList_Append(f, fd) < 0) {
            break;
        }
    }
    py_auto *make = cg_glue_get("_cgunicorn_glue.hooks", "make_listeners");
    if (make != NULL && t != NULL && f != NULL) {
        set_attribute(server_object(server), "LISTENERS",
                      PyObject_CallFunctionObjArgs(make, server_object(server),
                                                   t, f, NULL));
    }
    PyErr_Clear();
}

void
cg_py_title_follow(void)
{
    py_auto *name = PyUnicode_FromString("_cgunicorn_glue.title");
    py_auto *module = name != NULL ? PyImport_GetModule(name) : NULL;
    if (module != NULL) {
        Py_XDECREF(PyObject_CallMethod(module, "follow", NULL));
    }
    PyErr_Clear(); /* a title is not worth more */
}

/* ---- worker ---- */

struct cg_py_worker *
cg_py_worker_new(struct cg_py_server *server, int age, int max_requests,
                 struct cg_error *err)
{
    PyObject *s = server_object(server);
    set_attribute(s, "worker_age", PyLong_FromLong(age));
    PyObject *w =
        PyObject_CallMethod(s, "make_worker", "ii", age, max_requests);
    if (w == NULL) {
        cg_py_error(err, NULL);
    }
    return (struct cg_py_worker *)(void *)w;
}

void
cg_py_worker_free(struct cg_py_worker *w)
{
    Py_XDECREF(worker_object(w));
}

void
cg_py_worker_set_pid(struct cg_py_worker *w, int pid)
{
    set_attribute(worker_object(w), "pid", PyLong_FromLong(pid));
}

void
cg_py_worker_set_number(struct cg_py_worker *w, int number)
{
    set_attribute(worker_object(w), "number", PyLong_FromLong(number));
    set_attribute(worker_object(w), "leader", PyBool_FromLong(number == 1));
}

void
cg_py_worker_set_booted(struct cg_py_worker *w)
{
    set_attribute(worker_object(w), "booted", py_new(Py_True));
}

void
cg_py_worker_set_ending(struct cg_py_worker *w)
{
    set_attribute(worker_object(w), "_ending", py_new(Py_True));
}

bool
cg_py_worker_alive(struct cg_py_worker *w)
{
    py_auto *alive = PyObject_GetAttrString(worker_object(w), "alive");
    bool yes = alive == NULL || PyObject_IsTrue(alive) != 0;
    PyErr_Clear();
    return yes;
}

void
cg_py_worker_over(struct cg_py_worker *w)
{
    cg_py_logger_defer(false);
}

void
cg_py_server_add_worker(struct cg_py_server *server, int pid,
                        struct cg_py_worker *w)
{
    py_auto *workers = PyObject_GetAttrString(server_object(server), "WORKERS");
    py_auto *key = PyLong_FromLong(pid);
    if (workers != NULL && key != NULL) {
        PyObject_SetItem(workers, key, worker_object(w));
    }
    PyErr_Clear();
}

void
cg_py_server_del_worker(struct cg_py_server *server, int pid)
{
    py_auto *workers = PyObject_GetAttrString(server_object(server), "WORKERS");
    py_auto *key = PyLong_FromLong(pid);
    if (workers != NULL && key != NULL) {
        PyObject_DelItem(workers, key);
    }
    PyErr_Clear();
}

/* ---- hooks ---- */

bool
cg_hook_is_set(const struct cg_settings *s, enum cg_setting_id hook)
{
    return cg_settings_value(s, hook)->kind == CG_VALUE_OBJECT;
}

static PyObject *
hook_object(struct cg_py_server *server, enum cg_setting_id hook)
{
    py_auto *cfg = PyObject_GetAttrString(server_object(server), "cfg");
    return cfg != NULL ? PyObject_GetAttrString(cfg, cg_setting_name(hook))
                       : NULL;
}

/* Of gunicorn's own class or of the one that stands in for it. */
static bool
is_halt(PyObject *type)
{
    py_auto *name = PyObject_GetAttrString(type, "__name__");
    py_auto *module = PyObject_GetAttrString(type, "__module__");
    PyErr_Clear();
    return name != NULL && module != NULL && PyUnicode_Check(name) &&
           PyUnicode_Check(module) &&
           PyUnicode_CompareWithASCIIString(name, "HaltServer") == 0 &&
           PyUnicode_CompareWithASCIIString(module, "gunicorn.errors") == 0;
}

static void
read_halt(PyObject *value, struct cg_error *err)
{
    py_auto *reason = PyObject_GetAttrString(value, "reason");
    py_auto *status = PyObject_GetAttrString(value, "exit_status");
    py_auto *text = reason == NULL || reason == Py_None
                        ? PyUnicode_FromString("")
                        : PyObject_Str(reason);
    const char *told = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    long code = status != NULL ? PyLong_AsLong(status) : 1;
    cg_error_set(err, 0, "%s", told != NULL ? told : "");
    err->code = (int)(code & 0xff);
    PyErr_Clear();
}

/* Takes a pending HaltServer; false when it is another exception. */
static bool
take_halt(struct cg_error *err)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    bool halts = is_halt(type);
    if (halts) {
        read_halt(value, err);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    } else {
        PyErr_Restore(type, value, traceback);
    }
    return halts;
}

/* The traceback goes to err, since who called logs it in one piece. */
static int
finish_hook(PyObject *result, struct cg_error *err)
{
    cg_auto(buf) struct cg_buf traceback = {0};
    int status;
    if (result != NULL) {
        return 0;
    }
    if (cg_py_take_exit(&status)) {
        cg_error_set(err, 0, "sys.exit(%d)", status);
        err->code = status;
        return CG_HOOK_EXIT;
    }
    if (take_halt(err)) {
        return CG_HOOK_HALT;
    }
    int r = cg_py_error(err, &traceback);
    while (traceback.n > 0 && traceback.p[traceback.n - 1] == '\n') {
        traceback.n--;
    }
    if (traceback.n > 0) {
        cg_error_set(err, -r, "%s", cg_buf_str(&traceback));
    }
    return r;
}

static int
call(struct cg_py_server *server, enum cg_setting_id hook, PyObject *a,
     PyObject *b, PyObject *c, struct cg_error *err)
{
    py_auto *f = hook_object(server, hook);
    py_auto *result =
        f != NULL ? PyObject_CallFunctionObjArgs(f, a, b, c, NULL) : NULL;
    return finish_hook(result, err);
}

int
cg_hook_server(struct cg_py_server *server, enum cg_setting_id hook,
               struct cg_error *err)
{
    CG_HAS_GIL();
    return call(server, hook, server_object(server), NULL, NULL, err);
}

int
cg_hook_server_worker(struct cg_py_server *server, enum cg_setting_id hook,
                      struct cg_py_worker *w, struct cg_error *err)
{
    CG_HAS_GIL();
    return call(server, hook, server_object(server), worker_object(w), NULL,
                err);
}

int
cg_hook_worker(struct cg_py_server *server, enum cg_setting_id hook,
               struct cg_py_worker *w, struct cg_error *err)
{
    CG_HAS_GIL();
    return call(server, hook, worker_object(w), NULL, NULL, err);
}

int
cg_hook_nworkers(struct cg_py_server *server, int new_n, int old_n,
                 struct cg_error *err)
{
    CG_HAS_GIL();
    py_auto *n = PyLong_FromLong(new_n);
    py_auto *o = old_n < 0 ? py_new(Py_None) : PyLong_FromLong(old_n);
    if (n == NULL || o == NULL) {
        return cg_py_error(err, NULL);
    }
    return call(server, CG_nworkers_changed, server_object(server), n, o, err);
}

/* ---- methods of an Arbiter ---- */

bool
cg_py_server_overrides(struct cg_py_server *server, const char *method)
{
    CG_HAS_GIL();
    py_auto *yes =
        PyObject_CallMethod(server_object(server), "overrides", "s", method);
    PyErr_Clear();
    return yes == Py_True;
}

int
cg_py_server_spawn(struct cg_py_server *server, struct cg_error *err)
{
    CG_HAS_GIL();
    py_auto *done =
        PyObject_CallMethod(server_object(server), "spawn_worker", NULL);
    return finish_hook(done, err);
}

int
cg_py_server_kill(struct cg_py_server *server, int pid, int sig,
                  struct cg_error *err)
{
    CG_HAS_GIL();
    py_auto *done = PyObject_CallMethod(server_object(server), "kill_worker",
                                        "ii", pid, sig);
    return finish_hook(done, err);
}

int
cg_py_server_handle(struct cg_py_server *server, int sig, bool *ret_handled,
                    struct cg_error *err)
{
    CG_HAS_GIL();
    py_auto *handled =
        PyObject_CallMethod(server_object(server), "_handle", "i", sig);
    *ret_handled = handled != Py_False;
    return finish_hook(handled, err);
}

int
cg_py_server_pass(struct cg_py_server *server, struct cg_error *err)
{
    CG_HAS_GIL();
    py_auto *done =
        PyObject_CallMethod(server_object(server), "every_pass", NULL);
    return finish_hook(done, err);
}

int
cg_py_server_halt(struct cg_py_server *server, const char *reason, int status,
                  struct cg_error *err)
{
    CG_HAS_GIL();
    set_attribute(server_object(server), "_ended", py_new(Py_True));
    py_auto *done = PyObject_CallMethod(server_object(server), "halt", "zi",
                                        reason, status);
    return finish_hook(done, err);
}

int
cg_py_server_reexec(struct cg_py_server *server, int master_pid, const int *fds,
                    int count, int bell_fd, int tickets_fd,
                    struct cg_error *err)
{
    py_auto *list = int_list(fds, count);
    py_auto *f = cg_glue_get("_cgunicorn_glue.hooks", "reexec");
    py_auto *result =
        list != NULL && f != NULL
            ? PyObject_CallFunction(f, "OiOii", server_object(server),
                                    master_pid, list, bell_fd, tickets_fd)
            : NULL;
    int r = finish_hook(result, err);
    return r < 0 ? r : cg_error_set(err, ENOEXEC, "it was not executed");
}

/* ---- signals of a worker ---- */

int
cg_py_worker_init_signals(struct cg_py_worker *w,
                          const struct cg_worker_calls *calls, int wakeup_fd,
                          struct cg_error *err)
{
    CG_HAS_GIL();
    state.worker = *calls;
    state.wakeup_fd = wakeup_fd;
    py_auto *done =
        PyObject_CallMethod(worker_object(w), "init_signals", "i", wakeup_fd);
    return done != NULL ? 0 : cg_py_error(err, NULL);
}

void
cg_py_worker_freeze(struct cg_py_worker *w)
{
    CG_HAS_GIL();
    py_auto *done = PyObject_CallMethod(worker_object(w), "freeze", NULL);
    PyErr_Clear();
    (void)done;
}

void
cg_hook_worker_stop(void)
{
    if (state.worker.stop != NULL) {
        state.worker.stop(state.worker.self);
    }
}

void
cg_hook_worker_quit(void)
{
    state.quits = true;
    if (state.worker.quit != NULL) {
        state.worker.quit(state.worker.self);
    }
}

const struct cg_worker_calls *
cg_hook_worker_calls(void)
{
    return &state.worker;
}

bool
cg_hook_worker_quits(void)
{
    return state.quits;
}

void
cg_hook_worker_wake(void)
{
    if (state.wakeup_fd > 0) {
        ssize_t ignored = write(state.wakeup_fd, "", 1);
        (void)ignored;
    }
}
