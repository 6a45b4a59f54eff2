/* SPDX-License-Identifier: MIT */
/*
 * What the classes that run WSGI through the engine have in common: policy,
 * engine, bridge, access log, limits, signals. A class adds how executors wait.
 */
#ifndef CG_WORKER_WSGI_HOST_H
#define CG_WORKER_WSGI_HOST_H

#include <pthread.h>

#include "core/engine/engine.h"
#include "core/py/loops/host_loop.h"
#include "core/py/wsgi/wsgi.h"
#include "core/worker/host.h"
#include "core/worker/policy.h"
#include "core/worker/slow.h"
#include "logging/limit.h"

struct cg_wsgi_host {
    struct cg_host_run *run;
    struct cg_host host; /* given to the engine */
    struct cg_policy policy;
    struct cg_engine *engine;
    struct cg_access_format *access;
    struct cg_wsgi_listener *listeners;
    struct cg_wsgi_options options;
    struct cg_wsgi *wsgi;    /* the runner's */
    struct cg_runner runner; /* what runs requests */
    uint64_t graceful_us;
    struct cg_log_limit bad_peers, trouble; /* guarded by the baton */
    struct cg_log_limit late, stalled;      /* the same */
    struct cg_slow_teller slow;
    pthread_t main;                /* the main thread */
    void (*interrupt)(void *self); /* as its class has it */
    struct cg_warmup *warmup;      /* or NULL */
    bool stuck;                    /* the master knows; the baton */
    bool spools;                   /* as its class has it */
};

/* What differs between the classes. */
struct cg_wsgi_host_class {
    int executors; /* at most */
    /* at least, if their number follows need, and how long others stay idle */
    int least_executors;
    uint64_t idle_us;
    bool keeps_limit; /* worker_connections counts (not in sync) */
    bool calls_may_last;
    bool streams;            /* requests run before their body is there */
    bool websockets;         /* over HTTP/2, too */
    bool buffers;            /* they never do, whatever the settings say */
    bool spools;             /* lines wait for the end of a pass */
    bool multithread;        /* as environ says it */
    struct cg_py_loop *loop; /* of a hosted engine, or NULL */
    size_t high_water;       /* see cg_wsgi_options */
    bool (*want_executor)(void *self);
    void (*prove)(void *self); /* see struct cg_host; `self` is the */
    void (*over)(void *self);  /* struct cg_wsgi_host */
    /* Makes h->runner of h->wsgi; NULL: WSGI in the thread that calls. */
    int (*make_runner)(struct cg_wsgi_host *h, struct cg_error *err);
    /* A request took too long: where requests do not run in the main thread;
     * NULL: a signal to that. From any thread: must not block. */
    void (*interrupt)(void *self);
};

/* Makes everything up to the engine, which is not started. On failure what was
 * made is released. GIL held. */
int cg_wsgi_host_init(struct cg_wsgi_host *h, struct cg_host_run *run,
                      const struct cg_wsgi_host_class *class,
                      struct cg_error *err);
/* The worker serves from now on: told to the master, relief started. */
int cg_wsgi_host_start(struct cg_wsgi_host *h, struct cg_error *err);
/* After the end: logs an orphan's, tells worker.nr. */
void cg_wsgi_host_end(struct cg_wsgi_host *h);
void cg_wsgi_host_release(struct cg_wsgi_host *h);
/* A signal's handler raised what err says; status >= 0: it was sys.exit. */
void cg_wsgi_host_interrupted(struct cg_wsgi_host *h, int status,
                              const struct cg_error *err);
/* Runs Python's signal handlers that are due; main thread, GIL held. */
void cg_wsgi_host_signals(struct cg_wsgi_host *h);

#endif
