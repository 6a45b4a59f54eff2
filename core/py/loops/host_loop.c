/* SPDX-License-Identifier: MIT */
/*
 * The loop of a hosted engine, and the greenlets that requests run in.
 *
 * A seat is a greenlet whose body is C: it runs a request, and when that never
 * waited it sits down for the next one, since making a greenlet costs more than
 * most requests do. One that waited is not used again: a timeout that the
 * application forgot in it must not hit a stranger's request.
 */
#include "core/py/loops/host_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/ref.h"

enum { IDLE_MAX = 32 };

struct seat {
    struct cg_py_loop *loop;  /* NULL once it is gone */
    struct seat *next, *prev; /* all seats that are alive */
    PyObject *greenlet;
    PyObject *enter;  /* starts the greenlet, then switches into it */
    PyObject *self;   /* the capsule, whose end is the seat's */
    PyObject *parked; /* the greenlet that waits for the client */
    struct cg_exchange *ex;
    bool begun; /* its body runs, or has run */
    bool waited;
};

struct cg_py_loop {
    struct cg_py_loop_calls calls;
    PyObject *module;
    PyObject *spawn; /* spawn(body) -> (greenlet, start); None: no greenlets */
    PyObject *leave; /* switches to the hub */
    PyObject *sit;   /* the same, quicker, from a seat */
    PyObject *current; /* the running greenlet */
    PyObject *quiet, *handled;
    PyObject *over;    /* while it serves: what to call at the end */
    PyObject *context; /* that each request gets a copy of */
    struct seat seats; /* ring */
    struct seat *idle[IDLE_MAX];
    int nidle;
};

static const char seat_name[] = "cgunicorn.seat";
static const char loop_name[] = "cgunicorn.loop";
static const char ended_name[] = "cgunicorn.ended";

/* ---- modules ---- */

static PyObject *
call_module(const char *module, const char *function, PyObject *argument)
{
    py_auto *f = cg_glue_get(module, function);
    return f != NULL ? PyObject_CallFunctionObjArgs(f, argument, NULL) : NULL;
}

/* None, or what is wrong. */
static int
take_verdict(PyObject *wrong, struct cg_error *err)
{
    if (wrong == NULL) {
        return cg_py_error(err, NULL);
    }
    if (wrong == Py_None) {
        return 0;
    }
    const char *text = PyUnicode_AsUTF8(wrong);
    PyErr_Clear();
    return cg_error_set(err, ENOENT, "%s", text != NULL ? text : "unusable");
}

int
cg_py_loop_check(const char *module, struct cg_error *err)
{
    py_auto *wrong = call_module(module, "check", NULL);
    return take_verdict(wrong, err);
}

int
cg_py_loop_check_name(const char *module, const char *loop,
                      struct cg_error *err)
{
    py_auto *name = PyUnicode_FromString(loop != NULL ? loop : "auto");
    py_auto *wrong =
        name != NULL ? call_module(module, "check_loop", name) : NULL;
    return take_verdict(wrong, err);
}

/* patch() tells whether it did something. */
int
cg_py_loop_patch(const char *module, bool *ret_patched, struct cg_error *err)
{
    py_auto *patched = call_module(module, "patch", NULL);
    *ret_patched = patched == Py_True;
    return patched != NULL ? 0 : cg_py_error(err, NULL);
}

int
cg_py_loop_settle(const char *module, struct cg_error *err)
{
    py_auto *done = call_module(module, "settle", NULL);
    return done != NULL ? 0 : cg_py_error(err, NULL);
}

int
cg_py_loop_prepare(const char *module, struct cg_py_worker *worker,
                   struct cg_error *err)
{
    py_auto *done = call_module(module, "prepare", (PyObject *)(void *)worker);
    return done != NULL ? 0 : cg_py_error(err, NULL);
}

void
cg_py_loop_forked(void)
{
    py_auto *done = call_module("_cgunicorn_glue.hosts", "forked", NULL);
    PyErr_Clear();
    (void)done;
}

/* ---- seats ---- */

static void
free_seat(PyObject *capsule)
{
    free(PyCapsule_GetPointer(capsule, seat_name));
}

static void
stand_up(struct seat *s)
{
    struct cg_py_loop *l = s->loop;
    for (int i = 0; i < l->nidle; i++) {
        if (l->idle[i] == s) {
            l->idle[i] = l->idle[--l->nidle];
            break;
        }
    }
    s->prev->next = s->next;
    s->next->prev = s->prev;
    s->loop = NULL;
    Py_CLEAR(s->parked);
    Py_CLEAR(s->enter);
    Py_CLEAR(s->self);
    Py_CLEAR(s->greenlet);
}

/* A greenlet of the application may still wait for the client of a request that
 * is over: it is told so, from the loop. */
static void
wake_stray(struct seat *s)
{
    py_auto *stray = s->parked;
    s->parked = NULL;
    py_auto *wake =
        stray != NULL ? PyObject_GetAttrString(stray, "switch") : NULL;
    py_auto *done =
        wake != NULL ? PyObject_CallMethod(s->loop->module, "later", "O", wake)
                     : NULL;
    PyErr_Clear();
    (void)done;
}

/* Every request has a context of its own. */
static void
run_in_context(struct cg_py_loop *l, struct cg_exchange *ex, struct seat *s)
{
    py_auto *context = PyContext_Copy(l->context);
    bool entered = context != NULL && PyContext_Enter(context) == 0;
    PyErr_Clear();
    l->calls.run(l->calls.self, ex);
    if (s != NULL) {
        wake_stray(s);
    }
    if (entered && PyContext_Exit(context) < 0) {
        PyErr_Clear(); /* the application left another one behind */
    }
}

static void
run_request(struct seat *s)
{
    struct cg_py_loop *l = s->loop;
    struct cg_exchange *ex = s->ex;
    run_in_context(l, ex, s);
    s->ex = NULL;
    l->calls.done(ex);
}

/* Sleeps until the next request; false: there is none, the greenlet ends. */
static bool
sit_down(struct seat *s)
{
    struct cg_py_loop *l = s->loop;
    if (s->waited || l->nidle == IDLE_MAX) {
        return false;
    }
    l->idle[l->nidle++] = s;
    py_auto *woken = PyObject_CallNoArgs(l->sit);
    PyErr_Clear(); /* it was ended; nobody to tell */
    return woken != NULL && s->ex != NULL;
}

/* An application finds it (gevent's greenlets keep it in _run); its own
 * greenlet calls it once, with a request. */
static PyObject *
seat_body(PyObject *self, PyObject *unused)
{
    struct seat *s = PyCapsule_GetPointer(self, seat_name);
    if (s == NULL) {
        return NULL;
    }
    if (s->begun || s->ex == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this greenlet's requests are the server's to run");
        return NULL;
    }
    s->begun = true;
    while (s->ex != NULL) {
        run_request(s);
        if (!sit_down(s)) {
            break;
        }
    }
    stand_up(s);
    Py_RETURN_NONE;
}

static PyMethodDef body_def = {"requests", seat_body, METH_NOARGS,
                               "Runs requests, one after the other."};

static int
fill_seat(struct cg_py_loop *l, struct seat *s)
{
    py_auto *body = PyCFunction_New(&body_def, s->self);
    py_auto *pair = body != NULL ? PyObject_CallOneArg(l->spawn, body) : NULL;
    if (pair == NULL) {
        return -1;
    }
    s->greenlet = PySequence_GetItem(pair, 0);
    s->enter = PySequence_GetItem(pair, 1);
    return s->greenlet != NULL && s->enter != NULL ? 0 : -1;
}

static struct seat *
new_seat(struct cg_py_loop *l)
{
    struct seat *s = cg_calloc(1, sizeof *s);
    PyObject *capsule = PyCapsule_New(s, seat_name, free_seat);
    if (capsule == NULL) {
        free(s);
        return NULL;
    }
    s->self = capsule;
    s->loop = l;
    s->next = &l->seats;
    s->prev = l->seats.prev;
    s->prev->next = s;
    l->seats.prev = s;
    if (fill_seat(l, s) < 0) {
        py_auto *alive = py_new(capsule); /* its end is the seat's */
        (void)alive;                      /* held, not used */
        stand_up(s);
        return NULL;
    }
    return s;
}

/* From the first switch on it is entered like any greenlet. */
static void
use_switch(struct seat *s)
{
    PyObject *method = PyObject_GetAttrString(s->greenlet, "switch");
    if (method != NULL) {
        Py_SETREF(s->enter, method);
    }
    PyErr_Clear(); /* it can be entered as before */
}

static void
run_seated(struct cg_py_loop *l, struct cg_exchange *ex)
{
    bool fresh = l->nidle == 0;
    struct seat *s = fresh ? new_seat(l) : l->idle[--l->nidle];
    if (s == NULL) {
        PyErr_Clear(); /* out of memory: nothing can be said */
        ex->broken = true;
        l->calls.done(ex);
        return;
    }
    py_auto *alive = py_new(s->self);
    (void)alive; /* held, not used */
    py_auto *enter = py_new(s->enter);
    s->ex = ex;
    ex->host = s;
    py_auto *back = PyObject_CallNoArgs(enter);
    PyErr_Clear();
    (void)back;
    if (s->loop == NULL) {
        return;
    }
    s->waited = s->ex != NULL;
    if (fresh) {
        use_switch(s);
    }
}

void
cg_py_loop_run(struct cg_py_loop *l, struct cg_exchange *ex)
{
    if (l->spawn != Py_None) {
        run_seated(l, ex);
        return;
    }
    run_in_context(l, ex, NULL);
    l->calls.done(ex);
}

/* ---- waiting for the client ---- */

int
cg_py_loop_park(struct cg_py_loop *l, struct cg_exchange *ex)
{
    struct seat *s = ex->host;
    py_auto *alive = py_new(s->self);
    (void)alive; /* held, not used */
    py_auto *me = PyObject_CallNoArgs(l->current);
    if (me == NULL) {
        return -1;
    }
    if (s->parked != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "two greenlets wait for the client "
                                            "of one request at once");
        return -1;
    }
    s->parked = py_new(me);
    py_auto *woken = PyObject_CallNoArgs(l->leave);
    if (s->parked == me) {
        Py_CLEAR(s->parked);
    }
    return woken != NULL ? 0 : -1;
}

void
cg_py_loop_drained(struct cg_py_loop *l, struct cg_exchange *ex)
{
    struct seat *s = ex->host;
    py_auto *greenlet = s->parked;
    s->parked = NULL;
    py_auto *back =
        greenlet != NULL ? PyObject_CallMethod(greenlet, "switch", NULL) : NULL;
    PyErr_Clear();
    (void)back;
}

bool
cg_py_loop_parks(const struct cg_py_loop *l)
{
    return l != NULL && l->spawn != Py_None;
}

bool
cg_py_loop_is_quiet(const struct cg_py_loop *l)
{
    return l != NULL && PyErr_ExceptionMatches(l->quiet);
}

int
cg_py_loop_is_handled(const struct cg_py_loop *l, PyObject *result)
{
    if (l == NULL || l->handled == Py_None) {
        return 0;
    }
    py_auto *yes = PyObject_CallOneArg(l->handled, result);
    return yes != NULL ? PyObject_IsTrue(yes) : -1;
}

/* ---- the loop ---- */

static PyObject *
loop_poll(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct cg_py_loop *l = PyCapsule_GetPointer(self, loop_name);
    if (l == NULL) {
        return NULL;
    }
    if (!l->calls.poll(l->calls.self) && l->over != NULL) {
        PyObject *child = l->calls.is_child(l->calls.self) ? Py_True : Py_False;
        return PyObject_CallOneArg(l->over, child);
    }
    Py_RETURN_NONE;
}

static PyMethodDef poll_def = {"poll", (PyCFunction)(void *)loop_poll,
                               METH_FASTCALL,
                               "Lets the engine work; takes what it is given."};

static PyObject *
loop_set_over(PyObject *self, PyObject *over)
{
    struct cg_py_loop *l = PyCapsule_GetPointer(self, loop_name);
    if (l == NULL) {
        return NULL;
    }
    Py_XSETREF(l->over, py_new(over));
    Py_RETURN_NONE;
}

static PyMethodDef set_over_def = {
    "set_over", loop_set_over, METH_O,
    "set_over(f): f(is_child) is called once there is nothing more to poll"};

static PyObject *
descriptors(const int *fds, int nfds)
{
    py_auto *list = PyList_New(0);
    for (int i = 0; list != NULL && i < nfds; i++) {
        py_auto *fd = PyLong_FromLong(fds[i]);
        if (fd == NULL || PyList_Append(list, fd) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

static int
exit_or_error(int *ret_exit, struct cg_error *err)
{
    if (cg_py_take_exit(ret_exit)) {
        return -1;
    }
    cg_py_error(err, NULL);
    return -2;
}

/* What is left of the functions that have it finds nothing any more. */
static void
end_capsule(PyObject *capsule)
{
    if (capsule != NULL && PyCapsule_SetName(capsule, ended_name) < 0) {
        PyErr_Clear();
    }
}

int
cg_py_loop_serve(struct cg_py_loop *l, const int *fds, int nfds, int *ret_exit,
                 struct cg_error *err)
{
    py_auto *self = PyCapsule_New(l, loop_name, NULL);
    py_auto *poll = self != NULL ? PyCFunction_New(&poll_def, self) : NULL;
    py_auto *set = self != NULL ? PyCFunction_New(&set_over_def, self) : NULL;
    py_auto *list = descriptors(fds, nfds);
    py_auto *serve = PyObject_GetAttrString(l->module, "serve");
    py_auto *done =
        poll != NULL && set != NULL && list != NULL && serve != NULL
            ? PyObject_CallFunctionObjArgs(serve, list, poll, set, NULL)
            : NULL;
    Py_CLEAR(l->over);
    int r = done != NULL ? 0 : exit_or_error(ret_exit, err);
    end_capsule(self);
    return r;
}

/* ---- servers of the packages' own ---- */

struct heart {
    void (*beat)(void *self);
    void *self;
};

static const char heart_name[] = "cgunicorn.heart";

static PyObject *
heart_beat(PyObject *self, PyObject *unused)
{
    const struct heart *h = PyCapsule_GetPointer(self, heart_name);
    if (h == NULL) {
        return NULL;
    }
    h->beat(h->self);
    Py_RETURN_NONE;
}

static PyMethodDef beat_def = {"beat", heart_beat, METH_NOARGS,
                               "Tells the master that the loop turns."};

static void
free_heart(PyObject *capsule)
{
    free(PyCapsule_GetPointer(capsule, heart_name));
}

static PyObject *
new_heart(void (*beat)(void *self), void *self)
{
    struct heart *h = cg_malloc(sizeof *h);
    *h = (struct heart){beat, self};
    py_auto *capsule = PyCapsule_New(h, heart_name, free_heart);
    if (capsule == NULL) {
        free(h);
        return NULL;
    }
    return PyCFunction_New(&beat_def, capsule);
}

bool
cg_py_loop_is_own(const char *module, struct cg_app *app)
{
    py_auto *answer = call_module(module, "is_own", cg_app_callable(app));
    PyErr_Clear();
    return answer == Py_True;
}

int
cg_py_loop_serve_own(const char *module, struct cg_py_worker *worker,
                     struct cg_app *app, void (*beat)(void *self), void *self,
                     int *ret_exit, struct cg_error *err)
{
    py_auto *serve = cg_glue_get(module, "serve_own");
    py_auto *heart = serve != NULL ? new_heart(beat, self) : NULL;
    py_auto *done = heart != NULL
                        ? PyObject_CallFunctionObjArgs(
                              serve, (PyObject *)(void *)worker,
                              (PyObject *)cg_app_callable(app), heart, NULL)
                        : NULL;
    return done != NULL ? 0 : exit_or_error(ret_exit, err);
}

static PyObject *
seated_greenlets(struct cg_py_loop *l)
{
    py_auto *list = PyList_New(0);
    for (struct seat *s = l->seats.next; list != NULL && s != &l->seats;
         s = s->next) {
        if (PyList_Append(list, s->greenlet) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

bool
cg_py_loop_kill(struct cg_py_loop *l)
{
    py_auto *list = seated_greenlets(l);
    py_auto *kill = PyObject_GetAttrString(l->module, "kill");
    py_auto *done = list != NULL && kill != NULL && PyList_GET_SIZE(list) > 0
                        ? PyObject_CallOneArg(kill, list)
                        : NULL;
    PyErr_Clear();
    (void)done;
    return l->seats.next == &l->seats;
}

/* ---- making it ---- */

static int
get(struct cg_py_loop *l, PyObject **to, const char *name)
{
    *to = PyObject_GetAttrString(l->module, name);
    return *to != NULL ? 0 : -1;
}

static int
init(struct cg_py_loop *l, const char *module)
{
    l->module = PyImport_ImportModule(module);
    if (l->module == NULL || get(l, &l->spawn, "spawn") < 0 ||
        get(l, &l->quiet, "QUIET") < 0 || get(l, &l->handled, "handled") < 0) {
        return -1;
    }
    /* a greenlet begins with an empty one, a callback with its loop's */
    l->context =
        l->spawn == Py_None ? PyContext_CopyCurrent() : PyContext_New();
    if (l->context == NULL) {
        return -1;
    }
    if (l->spawn == Py_None) {
        return 0;
    }
    l->leave = PyObject_CallMethod(l->module, "leave", NULL);
    l->sit =
        l->leave != NULL ? PyObject_CallMethod(l->module, "sit", NULL) : NULL;
    return l->sit != NULL ? get(l, &l->current, "current") : -1;
}

int
cg_py_loop_listen(int sig, int trace_fd, struct cg_error *err)
{
    py_auto *listen = cg_glue_get("_cgunicorn_glue.hosts.waiting", "listen");
    py_auto *done = listen != NULL
                        ? PyObject_CallFunction(listen, "ii", sig, trace_fd)
                        : NULL;
    return done != NULL ? 0 : cg_py_error(err, NULL);
}

int
cg_py_loop_new(const char *module, const struct cg_py_loop_calls *calls,
               struct cg_py_loop **ret, struct cg_error *err)
{
    struct cg_py_loop *l = cg_calloc(1, sizeof *l);
    l->calls = *calls;
    l->seats.next = l->seats.prev = &l->seats;
    if (init(l, module) < 0) {
        int r = cg_py_error(err, NULL);
        cg_py_loop_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void
cg_py_loop_free(struct cg_py_loop *l)
{
    if (l == NULL) {
        return;
    }
    Py_CLEAR(l->module);
    Py_CLEAR(l->spawn);
    Py_CLEAR(l->leave);
    Py_CLEAR(l->sit);
    Py_CLEAR(l->current);
    Py_CLEAR(l->quiet);
    Py_CLEAR(l->handled);
    Py_CLEAR(l->over);
    Py_CLEAR(l->context);
    free(l);
}
