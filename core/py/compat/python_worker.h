/* SPDX-License-Identifier: MIT */
/*
 * Worker classes written in Python (gunicorn's own, uvicorn's, a user's): made
 * in the master with gunicorn's seven arguments, run in the child by
 * init_process(), watched through the file that worker.notify() touches. All
 * functions need the GIL.
 */
#ifndef CG_PY_PYTHON_WORKER_H
#define CG_PY_PYTHON_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "core/py/compat/hooks.h"

/* That the worker_class of the settings can be imported and is a class that a
 * worker can be of; err says what is wrong with it. */
int cg_python_worker_check(const struct cg_settings *s, struct cg_error *err);
/* Whether gunicorn.workers.SUPPORTED_WORKERS, as a configuration may have
 * changed it, has that name. */
bool cg_python_worker_is_named(const char *name);

/* As cg_py_worker_new. max_requests is the class's own business. */
struct cg_py_worker *cg_python_worker_new(struct cg_py_server *server, int age,
                                          struct cg_error *err);
/* A descriptor of our own for the file of its heartbeat; -1: it has none, and
 * cannot be seen to hang. */
int cg_python_worker_beat_fd(struct cg_py_worker *w);
/* It has ended: closes worker.tmp of the master. */
void cg_python_worker_bury(struct cg_py_worker *w);

/* What the running worker tells. */
struct cg_python_worker_calls {
    void (*ready)(void *self);                    /* it serves from here on */
    void (*failed)(void *self, const char *text); /* it does not start */
    /* worker.nr, as of a sign of life; from any thread */
    void (*counted)(void *self, uint64_t requests);
    void *self;
};
/* In the child: worker.init_process(), which returns when the worker ends. Logs
 * what goes wrong; returns the exit status. */
int cg_python_worker_run(struct cg_py_server *server, struct cg_py_worker *w,
                         const struct cg_python_worker_calls *calls);

#endif
