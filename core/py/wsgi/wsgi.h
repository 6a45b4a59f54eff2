/* SPDX-License-Identifier: MIT */
/*
 * WSGI bridge (PEP 3333): runs the application for one exchange and answers it.
 * One bridge per worker process. All functions need the GIL.
 *
 * What always holds: every exchange is answered or cut, and its iterable closed
 * once, whatever the application does; what the application keeps of a request
 * says afterwards that it is over. How bytes are framed and sent is left to the
 * exchange, waiting for a slow peer to it or to the loop (core/py/loops).
 */
#ifndef CG_PY_WSGI_H
#define CG_PY_WSGI_H

#include "core/exchange/app.h"
#include "core/py/compat/hooks.h"
#include "core/py/runtime/app.h"
#include "logging/access.h"
#include "logging/log.h"

struct cg_wsgi;
struct cg_py_loop; /* core/py/loops/host_loop.h */

/* A listener as environ shows it. */
struct cg_wsgi_listener {
    const char *name; /* SERVER_NAME; the path for a unix socket */
    const char *port; /* SERVER_PORT */
    bool is_unix;
};

/* Borrowed; must outlive the bridge. */
struct cg_wsgi_options {
    struct cg_app *app;
    struct cg_log *log;
    const struct cg_access_format *access; /* NULL: no access log */
    const struct cg_wsgi_listener *listeners;
    int nlisteners;
    const char *software;    /* SERVER_SOFTWARE */
    const char *script_name; /* of the environment, "" if none */
    bool multithread, multiprocess;
    bool sendfile;
    /* per-request hooks; NULL server: none of them is set */
    struct cg_py_server *hook_server;
    struct cg_py_worker *hook_worker;
    bool pre_request, post_request;
    bool names_requests; /* at DEBUG, as gunicorn's own pre_request does */
    /* of classes whose requests share a thread, in greenlets if it parks;
     * NULL: a request has its thread */
    struct cg_py_loop *loop;
    /* request_timeout is set: late requests are interrupted; their 504 is in
     * the access log already, unless that is a Python logger's. */
    bool limited;
    size_t high_water; /* bytes that wait before a generator does; 0: default */
};

int cg_wsgi_new(const struct cg_wsgi_options *options, struct cg_wsgi **ret,
                struct cg_error *err);
void cg_wsgi_free(struct cg_wsgi *w);
/* Another application, from the next request on. */
void cg_wsgi_set_app(struct cg_wsgi *w, struct _object *callable);

/*
 * Runs the application for ex and answers it before it returns, whatever
 * happens; the greenlet that it runs in may wait meanwhile. An exception is
 * logged and becomes a 500 (or a cut, once the head is out). Calls close() of
 * the iterable once, logs the access line, calls the request hooks. Leaves no
 * exception behind.
 */
void cg_wsgi_run(struct cg_wsgi *w, struct cg_exchange *ex);

/* No GIL: whether access lines are a Python logger's. */
bool cg_wsgi_logs_in_python(const struct cg_wsgi *w);
/*
 * Requests that took longer than they may get the exception RequestTimeout:
 * those of other threads; that one, whose greenlet waits while the caller is
 * the loop's; and the one of the main thread, when `sig` comes. Each one once.
 */
void cg_wsgi_interrupt(struct cg_wsgi *w);
void cg_wsgi_throw(struct cg_wsgi *w, const struct cg_exchange *ex);
/* show of struct cg_app_ops, where requests run in greenlets; `limited`. */
void cg_wsgi_show(struct cg_wsgi *w, const struct cg_exchange *ex,
                  struct cg_buf *out);
int cg_wsgi_listen(int sig, struct cg_error *err);

/* replied of struct cg_app_ops: the access line of a reply that was still under
 * way when its request was done. */
void cg_wsgi_replied(struct cg_wsgi *w, void *line, uint64_t unsent);

/* hold and drop of struct cg_app_ops: `keep` is a PyObject, of which the engine
 * knows only that it has to be there while its bytes are sent. */
void cg_wsgi_hold(void *unused, void *keep);
void cg_wsgi_drop(void *unused, void *keep);

/* The bridge as a runner: requests run in the thread that calls. */
struct cg_runner cg_wsgi_runner(struct cg_wsgi *w);

#endif
