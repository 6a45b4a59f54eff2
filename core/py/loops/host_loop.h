/* SPDX-License-Identifier: MIT */
/*
 * Worker classes whose loop is written in Python: gevent's hub, eventlet's hub,
 * tornado's IOLoop. Each is an embedded module (core/py/glue/hosts) with the
 * same functions, called here; see glue/hosts/__init__.py for what they do.
 * All of it needs the GIL and the main thread.
 */
#ifndef CG_PY_HOST_LOOP_H
#define CG_PY_HOST_LOOP_H

#include <stdbool.h>

#include "core/base/error.h"
#include "core/exchange/exchange.h"
#include "core/py/compat/hooks.h"
#include "core/py/runtime/app.h"

struct cg_py_loop;

struct cg_py_loop_calls {
    /* The engine's events; false: it is over (or we are a child of it). */
    bool (*poll)(void *self);
    bool (*is_child)(void *self);
    /* Runs one request to its end, which done() tells. */
    void (*run)(void *self, struct cg_exchange *ex);
    void (*done)(struct cg_exchange *ex);
    void *self;
};

/* Whether the packages that module needs are there and new enough: err has the
 * command that installs them. */
int cg_py_loop_check(const char *module, struct cg_error *err);
/* The same for the loop that a setting names. */
int cg_py_loop_check_name(const char *module, const char *loop,
                          struct cg_error *err);
/* In a master that loads the application itself, before it does. */
int cg_py_loop_patch(const char *module, bool *ret_patched,
                     struct cg_error *err);
/* The same, once it has: what it started gets to its first wait. */
int cg_py_loop_settle(const char *module, struct cg_error *err);
/* In a worker, before the application is loaded: patches, a loop of its own,
 * the signal handlers of `worker`. */
int cg_py_loop_prepare(const char *module, struct cg_py_worker *worker,
                       struct cg_error *err);
/* After every fork of the master, whatever the class: a configuration may have
 * loaded gevent there. */
void cg_py_loop_forked(void);

/* In a worker whose requests share a thread, before it serves: `sig` has what
 * waits written behind the stacks in trace_fd, as soon as the loop comes to it.
 */
int cg_py_loop_listen(int sig, int trace_fd, struct cg_error *err);

int cg_py_loop_new(const char *module, const struct cg_py_loop_calls *calls,
                   struct cg_py_loop **ret, struct cg_error *err);
void cg_py_loop_free(struct cg_py_loop *l);
/* Watches the descriptors and calls poll until it says no. 0; or -1 when a
 * handler asked for an exit (*ret_exit); another exception is in err (-2). */
int cg_py_loop_serve(struct cg_py_loop *l, const int *fds, int nfds,
                     int *ret_exit, struct cg_error *err);
/* Ends the requests that are under way by GreenletExit; false when some did not
 * end within a moment. */
bool cg_py_loop_kill(struct cg_py_loop *l);

/* A server of the package's own, on the listeners of `worker`, in place of the
 * engine: some classes always, some for some applications. It calls beat
 * several times per `timeout`. Otherwise as cg_py_loop_serve. */
bool cg_py_loop_is_own(const char *module, struct cg_app *app);
int cg_py_loop_serve_own(const char *module, struct cg_py_worker *worker,
                         struct cg_app *app, void (*beat)(void *self),
                         void *self, int *ret_exit, struct cg_error *err);

/* run and drained of struct cg_app_ops. */
void cg_py_loop_run(struct cg_py_loop *l, struct cg_exchange *ex);
void cg_py_loop_drained(struct cg_py_loop *l, struct cg_exchange *ex);

/*
 * For the bridge, in a request; l may be NULL, which does nothing of it. parks:
 * requests run in greenlets, and park sleeps until it is worth asking
 * cg_exchange_await_room or _read again; -1 with an exception.
 */
bool cg_py_loop_parks(const struct cg_py_loop *l);
int cg_py_loop_park(struct cg_py_loop *l, struct cg_exchange *ex);
/* The pending exception ends a greenlet on purpose: nothing to say. */
bool cg_py_loop_is_quiet(const struct cg_py_loop *l);
/* Whether the application answered through the socket itself, as its result
 * says. 1, 0, or -1 with an exception. */
int cg_py_loop_is_handled(const struct cg_py_loop *l, struct _object *result);

#endif
