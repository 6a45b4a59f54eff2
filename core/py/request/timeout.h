/* SPDX-License-Identifier: MIT */
/*
 * Requests that took longer than request_timeout: RequestTimeout is raised
 * where they are. In the main thread by the handler of a signal, which also
 * ends a wait for the kernel; in another thread by PyThreadState_SetAsyncExc,
 * which waits for the next line of Python; in a greenlet that waits by its
 * throw(). Whoever raises has the GIL, or holds timeout_type (held.h) where
 * there is none, and so does a request that ends: none is hit after its end.
 *
 * Nothing of this runs without a limit.
 */
#ifndef CG_PY_REQUEST_TIMEOUT_H
#define CG_PY_REQUEST_TIMEOUT_H

#include "core/py/runtime/ref.h"

#include "core/exchange/exchange.h"
#include "logging/log.h"

/* A request under way that has a limit of time. */
struct cg_py_limit {
    struct cg_py_limits *all;
    struct cg_py_limit *next, *prev;
    struct cg_exchange *ex;
    uint64_t serial; /* no other has it */
    unsigned long thread;
    PyObject *greenlet; /* that it runs in; owned, NULL without greenlets */
    bool told;          /* RequestTimeout was raised */
    bool pending;       /* or will be, by PyThreadState_SetAsyncExc */
    bool traced;        /* or will be, at the thread's next line */
};

/* All of them, and what is raised in them. */
struct cg_py_limits {
    struct cg_py_limit first; /* ring */
    PyObject *timeout_type;   /* NULL: there is no limit */
    PyObject *current;        /* greenlet.getcurrent, or NULL */
    struct cg_log *log;
    uint64_t begun; /* so many so far */
};

/* limited: request_timeout is set. 0 or -1 with an exception. */
int cg_py_limits_init(struct cg_py_limits *all, bool limited, bool in_greenlets,
                      struct cg_log *log);
void cg_py_limits_release(struct cg_py_limits *all);

/* From the beginning of a request to its end `l` must not move. */
void cg_py_limit_begin(struct cg_py_limits *all, struct cg_py_limit *l,
                       struct cg_exchange *ex);
void cg_py_limit_end(struct cg_py_limit *l);
/* Of one that has begun: if it is late it ends by itself, since nothing that it
 * sends goes anywhere: what it does for that is not interrupted. */
void cg_py_limit_spare(struct cg_py_limit *l);

/* Requests of other threads that are late; that one, whose greenlet waits
 * while the caller is the loop's; the one of the main thread, whenever `sig`
 * comes. Each one once. */
void cg_py_limits_interrupt(struct cg_py_limits *all);
void cg_py_limits_throw(struct cg_py_limits *all, const struct cg_exchange *ex);
/* The stack of that request's greenlet, if it waits in one. */
void cg_py_limits_show(struct cg_py_limits *all, const struct cg_exchange *ex,
                       struct cg_buf *out);
int cg_py_limits_listen(int sig, struct cg_error *err);

#endif
